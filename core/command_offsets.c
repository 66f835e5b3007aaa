/* `millrace offsets`: where the partitions of a job stand, would start, and shall start. */
#include "command_offsets.h"
#include "clock.h"
#include "command.h"
#include "command_group.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace offsets show|plan -c FILE [OPTION...]\n"
        "       millrace offsets set --to earliest|latest|TIME|OFFSET -c FILE [OPTION...]\n"
        "       millrace offsets restore CHECKPOINT... -c FILE [OPTION...]\n"
        "\n"
        "Shows and sets where the partitions of a job stand. Joins no group: show, plan and\n"
        "--dry-run change nothing, and a running job is not disturbed.\n"
        "\n"
        "  show     what is known: the log, the group's commit, the newest checkpoint file\n"
        "  plan     where each partition would start now, and why\n"
        "  set      the group's position from now on; checkpoint files until then are left out\n"
        "  restore  makes a checkpoint file the group's position, with what it says is finished;\n"
        "           of a folder (as checkpoint.dir is one) the newest good file of each partition\n"
        "\n"
        "set and restore refuse while a member of the group is alive: stop the job first.\n"
        "\n"
        "examples:\n"
        "  millrace offsets show -c millrace.yaml\n"
        "  millrace offsets plan -c millrace.yaml --json | jq '.partitions[].start'\n"
        "  millrace offsets set --to 2026-11-01T00:00:00Z -c millrace.yaml --dry-run\n"
        "  millrace offsets set --to 1200 --partition 0 -c millrace.yaml\n"
        "  millrace offsets restore /var/lib/millrace -c millrace.yaml\n"
        "\n"
        "options:\n"
        "  -c, --config FILE       the configuration [$MILLRACE_CONFIG]\n"
        "      --group NAME        consumer group, instead of source.group (of a backfill)\n"
        "      --json              one JSON object, with all files and finished ranges\n"
        "      --to PLACE          set: earliest, latest, a time such as 2026-11-01T00:00:00Z (the\n"
        "                          first record that is not older), or an offset\n"
        "      --topic NAME        set, restore: only this topic [all]\n"
        "      --partition NUMBER  set, restore: only this partition [all]\n"
        "      --dry-run           set, restore: show what would be done, and do nothing\n"
        "      --yes               set, restore: do it without asking on the terminal\n"
        "      --force             restore: take files of another cluster or group, too\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 done, 1 failed or refused, 2 usage, 65 a damaged checkpoint file, 69 the\n"
        "brokers cannot be reached, 78 the configuration does not load.\n"
        "See also: millrace run --help, millrace check --help\n";

enum { ASK_MS = 15000 };

struct verb {
	const char *name;
	int (*run)(const struct offsets_view *view);
	bool joins_files; /* its inquiry reads the checkpoint files */
	bool changes;
};

static const struct verb verbs[] = {
        {"show", offsets_show, false, false},
        {"plan", offsets_plan, true, false},
        {"set", offsets_set, false, true},
        {"restore", offsets_restore, false, true},
};

/* ---- asking ---- */

static int complain(bool refused, const struct err *err)
{
	fprintf(stderr, "millrace offsets: %s\n", err->text);
	return refused ? EXIT_FAILURE : EXIT_UNREACHABLE;
}

static int ask(struct offsets_view *view, const struct source_config *source, const struct verb *verb)
{
	struct err err;
	bool refused = false;
	struct inquiry *inquiry = inquiry_make_all(view->client, source, ASK_MS, &refused, &err);
	if (inquiry == NULL)
		return complain(refused, &err);
	inquiry->budget_ms = ASK_MS;
	const char *to = view->options->to;
	inquiry->place = to && strspn(to, "0123456789") < strlen(to) ? to : NULL;
	inquiry_run(inquiry);
	view->inquiry = inquiry;
	int code = inquiry->answered ? verb->run(view) : complain(inquiry->refused, &inquiry->err);
	inquiry_free(inquiry);
	return code;
}

static int with_client(struct offsets_view *view, const struct verb *verb)
{
	struct source_config source = view->config->source;
	struct source_checkpoints files = {
	        view->reader, checkpoint_reader_positions, checkpoint_reader_release, NULL, NULL};
	struct err err;
	int code;
	if (view->reader && verb->joins_files)
		source.checkpoints = &files;
	view->client = command_group_open(view->config, &code, &err);
	if (view->client) {
		code = ask(view, &source, verb);
		command_group_close(view->client);
		return code;
	}
	fprintf(stderr, "millrace offsets: %s\n", err.text);
	if (code == EXIT_UNREACHABLE)
		fputs("Are bootstrap.servers of source.kafka right, and are the brokers up?\n", stderr);
	return code;
}

static bool topic_known(const struct config *config, const char *topic)
{
	for (size_t i = 0; i < config->source.topic_count; i++)
		if (strcmp(config->source.topics[i], topic) == 0)
			return true;
	return false;
}

static int run(const struct offsets_options *options, const struct verb *verb)
{
	int code;
	struct config *config = command_load(options->config, &code);
	if (config == NULL)
		return code;
	if (options->group) {
		mem_free(config->source.group);
		config->source.group = mem_strdup(options->group);
	}
	log_init(LOG_TEXT, LOG_WARN, config->name);
	struct offsets_view view = {.options = options, .config = config};
	if (options->topic && !topic_known(config, options->topic)) {
		code = command_usage(
		        "offsets", "--topic: '%s' is not among the configuration's topics", options->topic);
	} else {
		if (config->checkpoint_dir)
			view.reader = checkpoint_reader_open(&checkpointfile_disk, config->checkpoint_dir,
			        config->source.group, CHECKPOINT_READ_MS);
		code = with_client(&view, verb);
		checkpoint_reader_close(view.reader);
	}
	config_free(config);
	return code;
}

/* ---- options ---- */

static bool is_number(const char *text, size_t most)
{
	size_t size = strlen(text);
	return size > 0 && size <= most && strspn(text, "0123456789") == size;
}

static bool is_place(const char *text)
{
	int64_t wall;
	return strcmp(text, "earliest") == 0 || strcmp(text, "latest") == 0 || is_number(text, 18) ||
	       clock_parse(text, strlen(text), &wall);
}

/* EXIT_SUCCESS, or what command_usage answers. */
static int check_options(const struct offsets_options *options, const struct verb *verb)
{
	bool setting = verb->run == offsets_set, restoring = verb->run == offsets_restore;
	if (setting && options->to == NULL)
		return command_usage("offsets", "set where to? --to earliest, latest, a time or an offset");
	if (options->to && !is_place(options->to))
		return command_usage("offsets",
		        "--to: expected earliest, latest, a time such as 2026-11-01T00:00:00Z or an "
		        "offset, found '%s'",
		        options->to);
	if (options->partition && !is_number(options->partition, 9))
		return command_usage(
		        "offsets", "--partition: expected a number, found '%s'", options->partition);
	if (options->to && !setting)
		return command_usage("offsets", "--to belongs to set");
	if (options->force && !restoring)
		return command_usage("offsets", "--force belongs to restore");
	if (!verb->changes && (options->yes || options->dry_run || options->topic || options->partition))
		return command_usage(
		        "offsets", "--yes, --dry-run, --topic and --partition belong to set and restore");
	if (restoring && options->file_count == 0)
		return command_usage("offsets", "restore what? a checkpoint file, or a folder of them");
	if (!restoring && options->file_count)
		return command_usage("offsets",
		        "unexpected argument '%s'; the configuration is given with -c FILE",
		        options->files[0]);
	if (options->config == NULL)
		return command_usage("offsets", "no configuration: give one with -c FILE");
	return EXIT_SUCCESS;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

int command_offsets(int argc, char **argv)
{
	enum { JSON = 256, GROUP, TO, TOPIC, PARTITION, DRY_RUN, YES, FORCE };
	static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
	        {"json", no_argument, NULL, JSON}, {"group", required_argument, NULL, GROUP},
	        {"to", required_argument, NULL, TO}, {"topic", required_argument, NULL, TOPIC},
	        {"partition", required_argument, NULL, PARTITION}, {"dry-run", no_argument, NULL, DRY_RUN},
	        {"yes", no_argument, NULL, YES}, {"force", no_argument, NULL, FORCE},
	        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct offsets_options options = {.config = getenv("MILLRACE_CONFIG")};
	int option;
	while ((option = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1)
		switch (option) {
		case 'c': options.config = optarg; break;
		case JSON: options.json = true; break;
		case GROUP: options.group = optarg; break;
		case TO: options.to = optarg; break;
		case TOPIC: options.topic = optarg; break;
		case PARTITION: options.partition = optarg; break;
		case DRY_RUN: options.dry_run = true; break;
		case YES: options.yes = true; break;
		case FORCE: options.force = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind >= argc)
		return command_usage("offsets", "what? 'show', 'plan', 'set' or 'restore'");
	const struct verb *verb = find_verb(argv[optind]);
	if (verb == NULL)
		return command_usage(
		        "offsets", "expected show, plan, set or restore, found '%s'", argv[optind]);
	options.files = argv + optind + 1;
	options.file_count = (size_t)(argc - optind - 1);
	int bad = check_options(&options, verb);
	return bad ? bad : run(&options, verb);
}
