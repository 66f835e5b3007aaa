/* `millrace enrich`: the same pipeline as a filter, from a file to stdout. */
#include "command.h"
#include "config.h"
#include "log.h"
#include "mem.h"
#include "script_trouble.h"
#include "signals.h"
#include "text.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace enrich SCRIPT [FILE] [OPTION...]\n"
        "\n"
        "Runs a script over events: JSON lines in (FILE, or standard input), enriched JSON\n"
        "lines out, in the order of the input. What fails is told on standard error.\n"
        "\n"
        "examples:\n"
        "  millrace enrich scripts/page_content_change.lua events.jsonl \\\n"
        "      --endpoint http://localhost:6500/w/api.php > enriched.jsonl\n"
        "  kcat -C -b localhost -t events -e | millrace enrich shape.lua --errors failed.jsonl\n"
        "\n"
        "options:\n"
        "      --endpoint URL      where the script's requests go; https://{host}/... asks the\n"
        "                          host that each request names\n"
        "      --params K=V        one of millrace.params; may be given several times\n"
        "      --errors FILE       error events (/error/2.1.0), one a line\n"
        "      --concurrency N     calls in flight [64]\n"
        "      --timeout TIME      of one call, such as 10s [60s]\n"
        "      --attempts N        calls for one lookup at most [8]\n"
        "  -q, --quiet             no summary\n"
        "      --log-level LEVEL   debug, info, warn or error [warn]\n"
        "      --log-format FORMAT auto, text, json or logfmt [text]\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 none failed, 1 some failed or a file cannot be read or written,\n"
        "2 usage, 78 the script does not load.\n"
        "See also: millrace check --help\n";

enum { SHOWN_FAILURES = 10, PARAMS_MAX = 64 };

struct enrich {
	const char *script, *file, *endpoint, *errors, *concurrency, *timeout, *attempts;
	struct command_log log;
	const char *params[PARAMS_MAX];
	size_t param_count;
	bool quiet;
	uint64_t failures;
};

/* ---- a configuration for files ---- */

/* A YAML scalar in double quotes; JSON's escapes are YAML's, and `$` is doubled against substitution. */
static void quote(struct buf *out, const char *text)
{
	struct buf json;
	buf_init(&json, 0);
	text_json_string(&json, text, strlen(text));
	for (size_t i = 0; i < json.size; i++) {
		if (json.data[i] == '$')
			buf_append_byte(out, '$');
		buf_append_byte(out, json.data[i]);
	}
	buf_free(&json);
}

static bool plain_scalar(const char *text)
{
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return true;
	return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0' && strlen(text) < 16;
}

static void append_params(struct buf *yaml, const struct enrich *enrich)
{
	buf_append_text(yaml, "  params: {");
	for (size_t i = 0; i < enrich->param_count; i++) {
		char *name = mem_strdup(enrich->params[i]);
		char *value = strchr(name, '=');
		*value++ = '\0';
		buf_append_text(yaml, i ? ", " : "");
		quote(yaml, name);
		buf_append_text(yaml, ": ");
		if (plain_scalar(value))
			buf_append_text(yaml, value);
		else
			quote(yaml, value);
		mem_free(name);
	}
	buf_append_text(yaml, "}\n");
}

static struct config *configure(const struct enrich *enrich)
{
	struct buf yaml;
	struct config_report report = {0};
	const char *endpoint = enrich->endpoint ? enrich->endpoint : "http://no-endpoint-given.invalid/";
	buf_init(&yaml, 0);
	buf_append_text(&yaml, "name: enrich\nsource: {topics: [input], kafka: {bootstrap.servers: none}}\n"
	                       "script:\n  path: ");
	quote(&yaml, enrich->script);
	buf_append_byte(&yaml, '\n');
	append_params(&yaml, enrich);
	buf_append_text(&yaml, "  reload: off\n");
	buf_append_text(&yaml,
	        "http:\n  user_agent: \"millrace/" MILLRACE_VERSION " (enrich)\"\n  upstreams:\n"
	        "    endpoint: {url: ");
	quote(&yaml, endpoint);
	if (strstr(endpoint, "{host}"))
		buf_append_text(&yaml, ", hosts: [\"*\"]");
	buf_printf(&yaml, ", concurrency: %s, timeout: %s, retry: {attempts: %s}}\n", enrich->concurrency,
	        enrich->timeout, enrich->attempts);
	buf_append_text(&yaml, "sink: {topic: stdout, max_bytes: 100MiB, kafka: {bootstrap.servers: none}}\n"
	                       "errors: {topic: errors, max_bytes: 100MiB}\n"
	                       "order: partition\nlimits: {memory: 1GiB}\nadmin: {listen: \"off\"}\n");
	struct config *config = config_parse("(options of millrace enrich)", yaml.data, yaml.size, &report);
	if (report.errors)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	buf_free(&yaml);
	return config;
}

/* ---- running ---- */

/* In full, as the error event that was made of it has it. */
static void tell_trouble(const struct enrich *enrich, const struct record *record, const char *message)
{
	struct buf text;
	struct bytes event = {record->outputs[0].value, record->outputs[0].value_size};
	char *where = mem_printf(
	        "%s:%lld", enrich->file ? enrich->file : "(stdin)", (long long)record->input.offset + 1);
	buf_init(&text, 0);
	if (!script_trouble_event(event, enrich->script, where, command_colour(STDERR_FILENO), &text))
		buf_printf(&text, "%s: %s: %s\n", where, record->reason, message);
	fputs(text.data, stderr);
	buf_free(&text);
	mem_free(where);
}

static void tell_failure(void *context, const struct record *record, const char *message)
{
	struct enrich *enrich = context;
	if (message == NULL || record->outcome != OUTCOME_FAILED || record->reason == NULL)
		return;
	if (++enrich->failures <= SHOWN_FAILURES)
		tell_trouble(enrich, record, message);
	else if (enrich->failures == SHOWN_FAILURES + 1)
		fprintf(stderr, "(more failures are not shown%s)\n",
		        enrich->errors ? "; all are in the file given with --errors"
		                       : "; --errors FILE keeps them all");
}

static int run(struct enrich *enrich, const struct config *config, int in, int errors)
{
	struct worker_files files = {
	        .in = in, .out = STDOUT_FILENO, .errors = errors, .in_name = "input", .max_line = 64u << 20};
	struct worker_config worker_config = {
	        .config = config, .files = &files, .ended = tell_failure, .context = enrich};
	struct pipeline_counts counts = {0};
	struct worker *worker = worker_start(&worker_config);
	if (worker == NULL)
		return EXIT_FAILURE;
	signals_install(worker, false);
	int code = worker_join(worker, &counts);
	signals_forget();
	worker_free(worker);
	if (!enrich->quiet && code != EXIT_CONFIG)
		fprintf(stderr, "%llu event%s: %llu enriched, %llu passed, %llu dropped, %llu failed%s\n",
		        (unsigned long long)counts.taken, counts.taken == 1 ? "" : "s",
		        (unsigned long long)counts.outcomes[OUTCOME_ENRICHED],
		        (unsigned long long)counts.outcomes[OUTCOME_PASSED],
		        (unsigned long long)counts.outcomes[OUTCOME_DROPPED],
		        (unsigned long long)counts.outcomes[OUTCOME_FAILED],
		        counts.given_back ? "; stopped before the end" : "");
	return code                                                   ? code
	       : counts.outcomes[OUTCOME_FAILED] || counts.given_back ? EXIT_FAILURE
	                                                              : EXIT_SUCCESS;
}

static int open_file(const char *path)
{
	struct stat found;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &found) == 0 && S_ISDIR(found.st_mode)) {
		close(fd);
		fd = -1;
		errno = EISDIR;
	}
	if (fd < 0)
		fprintf(stderr, "millrace enrich: %s cannot be read: %s\n", path, strerror(errno));
	return fd;
}

static bool script_is_there(const struct enrich *enrich)
{
	int fd = open_file(enrich->script);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int open_and_run(struct enrich *enrich)
{
	int code = EXIT_FAILURE, in = STDIN_FILENO, errors = -1;
	if (!script_is_there(enrich))
		return EXIT_CONFIG;
	struct config *config = configure(enrich);
	if (config == NULL)
		return EXIT_CONFIG;
	if (enrich->file)
		in = open_file(enrich->file);
	const char *path = enrich->errors ? enrich->errors : "/dev/null";
	if (in >= 0 && (errors = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
		fprintf(stderr, "millrace enrich: %s cannot be written: %s\n", path, strerror(errno));
	size_t upstreams = config->upstream_count;
	if (enrich->endpoint == NULL)
		config->upstream_count = 0; /* so that a request is refused with the reason */
	if (in >= 0 && errors >= 0 && !command_script_loads(config))
		code = EXIT_CONFIG;
	else if (in >= 0 && errors >= 0)
		code = run(enrich, config, in, errors);
	config->upstream_count = upstreams;
	if (in > STDIN_FILENO)
		close(in);
	if (errors >= 0)
		close(errors);
	config_free(config);
	return code;
}

/* ---- options ---- */

static const char *bad_value(const struct enrich *enrich)
{
	int64_t ms;
	if (enrich->endpoint && strncmp(enrich->endpoint, "http://", 7) != 0 &&
	        strncmp(enrich->endpoint, "https://", 8) != 0)
		return "--endpoint: expected a URL that begins with http:// or https://";
	if (!text_duration(enrich->timeout, &ms) || ms == 0)
		return "--timeout: expected a duration such as 500ms, 10s or 2m";
	if (strspn(enrich->concurrency, "0123456789") != strlen(enrich->concurrency) ||
	        atoi(enrich->concurrency) < 1)
		return "--concurrency: expected a number from 1";
	if (strspn(enrich->attempts, "0123456789") != strlen(enrich->attempts) || atoi(enrich->attempts) < 1)
		return "--attempts: expected a number from 1";
	for (size_t i = 0; i < enrich->param_count; i++)
		if (strchr(enrich->params[i], '=') == NULL || enrich->params[i][0] == '=')
			return "--params: expected NAME=VALUE";
	return NULL;
}

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, struct enrich *enrich)
{
	enum { ENDPOINT = 256, PARAMS, ERRORS, CONCURRENCY, TIMEOUT, ATTEMPTS };
	static const struct option long_options[] = {
	        {"endpoint", required_argument, NULL, ENDPOINT},
	        {"params", required_argument, NULL, PARAMS},
	        {"errors", required_argument, NULL, ERRORS},
	        {"concurrency", required_argument, NULL, CONCURRENCY},
	        {"timeout", required_argument, NULL, TIMEOUT},
	        {"attempts", required_argument, NULL, ATTEMPTS},
	        COMMAND_LOG,
	        {"quiet", no_argument, NULL, 'q'},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argc, argv, ":qh", long_options, NULL)) != -1)
		switch (option) {
		case ENDPOINT: enrich->endpoint = optarg; break;
		case PARAMS:
			if (enrich->param_count == PARAMS_MAX)
				return command_usage("enrich", "--params: at most %d", PARAMS_MAX);
			enrich->params[enrich->param_count++] = optarg;
			break;
		case ERRORS: enrich->errors = optarg; break;
		case CONCURRENCY: enrich->concurrency = optarg; break;
		case TIMEOUT: enrich->timeout = optarg; break;
		case ATTEMPTS: enrich->attempts = optarg; break;
		case 'q': enrich->quiet = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default:
			if (!command_log_option(&enrich->log, option))
				return command_bad_option(argv, option, long_options);
		}
	return -1;
}

int command_enrich(int argc, char **argv)
{
	struct enrich enrich = {.concurrency = "64", .timeout = "60s", .attempts = "8"};
	int code = read_options(argc, argv, &enrich);
	if (code >= 0)
		return code;
	const char *bad = bad_value(&enrich);
	if (bad)
		return command_usage("enrich", "%s", bad);
	if (optind >= argc)
		return command_usage("enrich", "no script: give the path of a Lua file");
	if (argc - optind > 2)
		return command_usage("enrich", "unexpected argument '%s'", argv[optind + 2]);
	if (!command_log_good("enrich", &enrich.log))
		return EXIT_USAGE;
	enrich.script = argv[optind];
	enrich.file = argc - optind == 2 && strcmp(argv[optind + 1], "-") != 0 ? argv[optind + 1] : NULL;
	command_log_init(&enrich.log, LOG_TEXT, LOG_WARN, "enrich");
	return open_and_run(&enrich);
}
