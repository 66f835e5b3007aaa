/* `millrace errors`: what failed, shown, and done again. */
#include "command_errors.h"
#include "clock.h"
#include "command_group.h"
#include "kafka_ask.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
        "usage: millrace errors list|show|replay -c FILE [OPTION...]\n"
        "       millrace errors list -c FILE [FILTER...] [-n NUMBER]\n"
        "       millrace errors show -c FILE TOPIC/PARTITION/OFFSET\n"
        "       millrace errors replay -c FILE [FILTER...] [--rate N/s] [--dry-run]\n"
        "\n"
        "  list     the job's error events, the newest last, and how many of each type\n"
        "  show     one error event with its original, by the record's place in the source or by\n"
        "           the event's own place in the error stream\n"
        "  replay   what failed, through the present script and configuration to the job's sinks,\n"
        "           by the same engine as millrace run; never to a source topic\n"
        "\n"
        "list, show and --dry-run join no group and change nothing.\n"
        "\n"
        "examples:\n"
        "  millrace errors list -c millrace.yaml --from 2026-11-01T00:00:00Z --type 'Http*'\n"
        "  millrace errors show eqiad.mediawiki.page_change.v1/0/81236 -c millrace.yaml\n"
        "  millrace errors replay -c millrace.yaml --dry-run\n"
        "  millrace errors replay -c millrace.yaml --rate 20/s\n"
        "  millrace errors replay -c millrace.yaml --type MissingRevision --domain en.wikipedia.org\n"
        "\n"
        "options:\n"
        "  -c, --config FILE       the configuration [$MILLRACE_CONFIG]\n"
        "      --from TIME         what failed at this time or later: such as\n"
        "                          2026-11-01T00:00:00Z, or earliest. A replay goes on where the\n"
        "                          last one stopped; with --from it starts over there\n"
        "      --until TIME        what failed before this time, or end: the end of the error\n"
        "                          stream as it is now [end]\n"
        "      --type NAME         only errors of this type, such as ScriptError; * and ? stand\n"
        "                          for any text and any character; may be given several times\n"
        "      --domain NAME       only of this wiki (meta.domain of the event); likewise\n"
        "      --message REGEX     only those whose message matches (POSIX, extended)\n"
        "  -n, --lines NUMBER      list: so many of the newest, 0 for all [100]\n"
        "      --rate RATE         replay: so many records at most, such as 20/s [no limit]\n"
        "      --dry-run           replay: say what would be replayed, and do nothing\n"
        "      --group NAME        replay: where it remembers how far it came\n"
        "                          [source.group with -replay]\n"
        "      --json              list, show, replay: for machines\n"
        "      --log-level LEVEL   debug, info, warn or error, instead of log.level\n"
        "      --log-format FORMAT auto, text, json or logfmt, instead of log.format\n"
        "  -h, --help              this text\n"
        "\n"
        "A replay with --type, --domain or --message does what it names from --from on (or from\n"
        "the beginning) each time and leaves the position of replays without them as it is.\n"
        "What fails again becomes a new error event, for the next replay.\n"
        "\n"
        "exit codes: 0 done, 1 nothing was found (show), or some failed again, were not found or\n"
        "are left, or another replay is running, 2 usage, 69 the brokers cannot be reached,\n"
        "78 configuration or script does not load.\n"
        "See also: millrace explain --help, millrace audit --help\n";

enum { SILENCE_MS = 30000, TOPIC_MS = 15000, LINES = 100 };

/* ---- what the verbs share ---- */

int errors_complain(bool refused, const struct err *err)
{
	fprintf(stderr, "millrace errors: %s\n", err->text);
	return refused ? EXIT_FAILURE : EXIT_UNREACHABLE;
}

static struct rd_kafka_s *open_at(const struct errors_job *job, const struct kafka_property *properties,
        size_t count, const char *group, int *code)
{
	struct config named = *job->config;
	struct err err;
	if (group)
		named.source.group = (char *)(size_t)group;
	struct rd_kafka_s *client = command_group_open_at(&named, properties, count, code, &err);
	if (client == NULL)
		fprintf(stderr, "millrace errors: %s\n", err.text);
	return client;
}

struct rd_kafka_s *errors_open_source(const struct errors_job *job, int *code)
{
	return open_at(job, job->source_kafka, job->source_kafka_count, NULL, code);
}

struct rd_kafka_s *errors_open_stream(const struct errors_job *job, const char *group, int *code)
{
	const char *topic = job->config->errors.topic;
	struct rd_kafka_s *client = open_at(job, job->stream_kafka, job->stream_kafka_count, group, code);
	if (client == NULL || kafka_ask_topic(client, topic, TOPIC_MS).state != KAFKA_TOPIC_ABSENT)
		return client;
	fprintf(stderr,
	        "millrace errors: there is no topic %s: either nothing has failed yet, or `errors` in %s "
	        "names "
	        "another one than the job writes to\n",
	        topic, job->config->path);
	command_group_close(client);
	*code = EXIT_FAILURE;
	return NULL;
}

int errors_read(const struct errors_job *job, struct topicreader *reader)
{
	const struct errors_options *options = job->options;
	struct err err;
	bool refused = false;
	reader->from = TOPICREADER_ALWAYS;
	reader->until = TOPICREADER_END;
	reader->silence_ms = SILENCE_MS;
	if (options->from)
		clock_parse(options->from, strlen(options->from), &reader->from);
	if (options->until)
		clock_parse(options->until, strlen(options->until), &reader->until);
	if (topicreader_read(reader, job->config->errors.topic, &refused, &err))
		return EXIT_SUCCESS;
	return errors_complain(refused, &err);
}

void errors_line(struct buf *out, struct bytes text, size_t most)
{
	size_t at = 0, characters = 0;
	while (at < text.size && characters < most) {
		size_t good = text_utf8_valid(text.data + at, text.size - at < 4 ? text.size - at : 4);
		unsigned char first = (unsigned char)text.data[at];
		size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
		if (good < size && first >= 0x80) {
			buf_append_text(out, "\xEF\xBF\xBD");
			size = 1;
		} else if (first < 0x20 || first == 0x7F ||
		           (first == 0xC2 && (unsigned char)text.data[at + 1] < 0xA0)) {
			buf_append_byte(out, ' ');
		} else {
			buf_append(out, text.data + at, size);
		}
		at += size;
		characters++;
	}
	if (at < text.size)
		buf_append_text(out, "...");
}

/* ---- the job ---- */

static const char *servers(const struct kafka_property *properties, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(properties[i].name, "bootstrap.servers") == 0)
			return properties[i].value;
	return "";
}

/* Those that a consumer takes, and no static member's name. */
static struct kafka_property *for_reading(
        const struct kafka_property *properties, size_t count, size_t *usable_count)
{
	struct kafka_property *usable = mem_zalloc(count, sizeof *usable);
	*usable_count = 0;
	for (size_t i = 0; i < count; i++)
		if (strcmp(properties[i].name, "group.instance.id") != 0 &&
		        kafka_check_property(KAFKA_CONSUMER, properties[i].name, properties[i].value, NULL))
			usable[(*usable_count)++] = properties[i];
	return usable;
}

/* On one cluster the source's properties are those that were chosen for reading. */
static void choose_properties(struct errors_job *job)
{
	const struct source_config *source = &job->config->source;
	const struct sink_config *stream = &job->config->errors;
	bool same = strcmp(servers(source->kafka, source->kafka_count),
	                    servers(stream->kafka, stream->kafka_count)) == 0;
	job->source_kafka = for_reading(source->kafka, source->kafka_count, &job->source_kafka_count);
	job->stream_kafka = for_reading(same ? source->kafka : stream->kafka,
	        same ? source->kafka_count : stream->kafka_count, &job->stream_kafka_count);
}

static int run(const struct errors_options *options, int (*verb)(const struct errors_job *job))
{
	int code;
	struct config *config = command_load(options->config, &code);
	if (config == NULL)
		return code;
	bool replays = verb == errors_replay && !options->dry_run;
	command_log_init(&options->log, replays ? config->log_format : LOG_TEXT,
	        replays ? config->log_level : LOG_WARN, config->name);
	struct errors_job job = {.options = options, .config = config};
	choose_properties(&job);
	code = verb(&job);
	mem_free(job.source_kafka);
	mem_free(job.stream_kafka);
	config_free(config);
	return code;
}

/* ---- options ---- */

static const struct verb {
	const char *name;
	int (*run)(const struct errors_job *job);
} verbs[] = {{"list", errors_list}, {"show", errors_show}, {"replay", errors_replay}};

static int check_times(struct errors_options *options)
{
	int64_t from = TOPICREADER_ALWAYS, until = TOPICREADER_END, wall = clock_wall();
	if (options->from && strcmp(options->from, "earliest") == 0)
		from = TOPICREADER_ALWAYS;
	else if (options->from && !clock_parse(options->from, strlen(options->from), &from))
		return command_usage("errors",
		        "--from: expected earliest or a time such as 2026-11-01T00:00:00Z, found '%s'",
		        options->from);
	if (options->until && strcmp(options->until, "end") == 0)
		options->until = NULL;
	else if (options->until && !clock_parse(options->until, strlen(options->until), &until))
		return command_usage("errors",
		        "--until: expected end or a time such as 2026-11-01T00:00:00Z, found '%s'",
		        options->until);
	if (from > wall || (options->until && until > wall))
		return command_usage("errors", "--from and --until: expected times that have been");
	if (from > until)
		return command_usage(
		        "errors", "--from is later than --until: there would be nothing to read");
	return EXIT_SUCCESS;
}

static int check_place(const struct errors_options *options)
{
	struct origin origin;
	if (options->place == NULL)
		return command_usage("errors",
		        "show what? the place of a record as TOPIC/PARTITION/OFFSET: `list` has them");
	if (!origin_read_place(options->place, strlen(options->place), &origin))
		return command_usage(
		        "errors", "show: expected TOPIC/PARTITION/OFFSET, found '%s'", options->place);
	if (options->from || options->until || errorfilter_any(&options->filter))
		return command_usage("errors", "show takes a place, and no filters");
	return EXIT_SUCCESS;
}

static int check_options(struct errors_options *options, const struct verb *verb, bool lines)
{
	bool replays = verb->run == errors_replay;
	if (options->config == NULL)
		return command_usage("errors", "no configuration: give one with -c FILE");
	if (!replays && (options->rate > 0 || options->dry_run || options->group))
		return command_usage("errors", "--rate, --dry-run and --group belong to replay");
	if (lines && verb->run != errors_list)
		return command_usage("errors", "-n belongs to list");
	if (options->place && verb->run != errors_show)
		return command_usage("errors",
		        "unexpected argument '%s'; the configuration is given with -c FILE", options->place);
	if (options->group && *options->group == '\0')
		return command_usage("errors", "--group: expected a name");
	if (!command_log_good("errors", &options->log))
		return EXIT_USAGE;
	return verb->run == errors_show ? check_place(options) : check_times(options);
}

static int add_type(struct errors_options *options, const char *name)
{
	struct errorfilter *filter = &options->filter;
	if (filter->type_count == ERRORFILTER_TYPES)
		return command_usage(
		        "errors", "--type: %d names at most; * stands for any text", (int)ERRORFILTER_TYPES);
	filter->types[filter->type_count++] = name;
	return EXIT_SUCCESS;
}

static int set_message(struct errors_options *options, const char *expression)
{
	char why[256];
	if (errorfilter_set_message(&options->filter, expression, why))
		return EXIT_SUCCESS;
	return command_usage("errors", "--message: '%s' is no regular expression: %s", expression, why);
}

static int set_lines(struct errors_options *options, const char *text)
{
	if (*text == '\0' || strlen(text) > 9 || strspn(text, "0123456789") < strlen(text))
		return command_usage("errors", "-n: expected a number, found '%s'", text);
	options->most = (size_t)atoi(text);
	return EXIT_SUCCESS;
}

static int set_rate(struct errors_options *options, const char *text)
{
	if (text_rate(text, &options->rate) && options->rate > 0)
		return EXIT_SUCCESS;
	return command_usage("errors", "--rate: expected a rate such as 20/s or 600/m, found '%s'", text);
}

static int run_verb(struct errors_options *options, char **words, int count, bool lines)
{
	const struct verb *verb = NULL;
	if (count == 0)
		return command_usage("errors", "what? 'list', 'show' or 'replay'");
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].name, words[0]) == 0)
			verb = &verbs[i];
	if (verb == NULL)
		return command_usage("errors", "expected list, show or replay, found '%s'", words[0]);
	if (count > 2)
		return command_usage("errors", "unexpected argument '%s'", words[2]);
	options->place = count == 2 ? words[1] : NULL;
	int bad = check_options(options, verb, lines);
	return bad ? bad : run(options, verb->run);
}

static int read_options(int argc, char **argv, struct errors_options *options)
{
	enum { FROM = 256, UNTIL, TYPE, DOMAIN, MESSAGE, RATE, DRY_RUN, GROUP, JSON };
	static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
	        {"from", required_argument, NULL, FROM}, {"until", required_argument, NULL, UNTIL},
	        {"type", required_argument, NULL, TYPE}, {"domain", required_argument, NULL, DOMAIN},
	        {"message", required_argument, NULL, MESSAGE}, {"lines", required_argument, NULL, 'n'},
	        {"rate", required_argument, NULL, RATE}, {"dry-run", no_argument, NULL, DRY_RUN},
	        {"group", required_argument, NULL, GROUP}, {"json", no_argument, NULL, JSON}, COMMAND_LOG,
	        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	bool lines = false;
	int option, bad = EXIT_SUCCESS;
	while (bad == EXIT_SUCCESS && (option = getopt_long(argc, argv, ":c:n:h", long_options, NULL)) != -1)
		switch (option) {
		case 'c': options->config = optarg; break;
		case 'n': bad = set_lines(options, optarg), lines = true; break;
		case FROM: options->from = optarg; break;
		case UNTIL: options->until = optarg; break;
		case TYPE: bad = add_type(options, optarg); break;
		case DOMAIN: options->filter.domain = optarg; break;
		case MESSAGE: bad = set_message(options, optarg); break;
		case RATE: bad = set_rate(options, optarg); break;
		case DRY_RUN: options->dry_run = true; break;
		case GROUP: options->group = optarg; break;
		case JSON: options->json = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default:
			if (!command_log_option(&options->log, option))
				return command_bad_option(argv, option, long_options);
		}
	return bad ? bad : run_verb(options, argv + optind, argc - optind, lines);
}

int command_errors(int argc, char **argv)
{
	struct errors_options options = {.config = getenv("MILLRACE_CONFIG"), .most = LINES};
	int code = read_options(argc, argv, &options);
	errorfilter_free(&options.filter);
	return code;
}
