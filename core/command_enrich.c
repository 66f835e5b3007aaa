/* `millrace enrich`: the same pipeline as a filter, from a file to stdout. */
#include "command.h"
#include "enrich.h"
#include "mem.h"
#include "text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace enrich SCRIPT [FILE] [OPTION...]\n"
        "       millrace enrich -c CONFIG [SCRIPT.lua] [FILE] [OPTION...]\n"
        "\n"
        "Runs a script over events: JSON lines in (FILE, or standard input), enriched JSON\n"
        "lines out, in the order of the input. What fails is told on standard error.\n"
        "\n"
        "examples:\n"
        "  millrace enrich scripts/page_content_change.lua events.jsonl \\\n"
        "      --endpoint http://localhost:6500/w/api.php > enriched.jsonl\n"
        "  kcat -C -b localhost -t events -e | millrace enrich shape.lua --errors failed.jsonl\n"
        "  millrace enrich new.lua events.jsonl --record page --endpoint http://localhost:6500/w/api.php\n"
        "  millrace enrich new.lua --replay page --explain -w    without a network, at each save\n"
        "  millrace enrich old.lua --replay page --diff new.lua\n"
        "\n"
        "options:\n"
        "  -c, --config CONFIG     take upstreams, sinks, key, params and, unless SCRIPT is given,\n"
        "                          the script from a job's configuration\n"
        "      --endpoint URL      where the script's requests go; https://{host}/... asks the\n"
        "                          host that each request names\n"
        "      --endpoint NAME=URL likewise, for requests with upstream = NAME; may be given\n"
        "                          several times, the one without a name or the first is the default\n"
        "      --params K=V        one of millrace.params; may be given several times\n"
        "      --record DIR        keep the events and what is asked and answered as a cassette, a\n"
        "                          folder of readable files; what may be secret is left out\n"
        "      --replay DIR        take answers from a cassette and ask nobody; without FILE its\n"
        "                          events, too\n"
        "      --explain           tell each event's walk on standard error: requests, answers,\n"
        "                          retries, what changed, times; on a terminal instead of the outputs\n"
        "      --diff OTHER.lua    instead of outputs, what differs when OTHER.lua gets the same\n"
        "                          events and the same answers; exit 1 when something does\n"
        "  -w, --watch             run again whenever script, modules, events or cassette are saved\n"
        "      --errors FILE       error events (/error/2.1.0), one a line\n"
        "      --concurrency N     calls in flight [64]\n"
        "      --timeout TIME      of one call, such as 10s [60s]\n"
        "      --attempts N        calls for one lookup at most [8]\n"
        "  -q, --quiet             no summary\n"
        "      --log-level LEVEL   debug, info, warn or error [warn; error with --explain\n"
        "                          and --diff]\n"
        "      --log-format FORMAT auto, text, json or logfmt [text]\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 none failed (--diff: all the same; -w: ended by Ctrl-C), 1 some failed\n"
        "(--diff: some differ) or a file cannot be read or written, 2 usage, 78 the script or\n"
        "the configuration does not load.\n"
        "See also: millrace check --help\n";

/* ---- are the options good, each and together? ---- */

static bool is_number(const char *text)
{
	return text[strspn(text, "0123456789")] == '\0' && strlen(text) < 9 && atoi(text) >= 1;
}

static const char *bad_value(const struct enrich *enrich)
{
	int64_t ms;
	if (enrich->timeout && (!text_duration(enrich->timeout, &ms) || ms == 0))
		return "--timeout: expected a duration such as 500ms, 10s or 2m";
	if (enrich->concurrency && !is_number(enrich->concurrency))
		return "--concurrency: expected a number from 1";
	if (enrich->attempts && !is_number(enrich->attempts))
		return "--attempts: expected a number from 1";
	for (size_t i = 0; i < enrich->param_count; i++)
		if (strchr(enrich->params[i], '=') == NULL || enrich->params[i][0] == '=')
			return "--params: expected NAME=VALUE";
	return NULL;
}

static const char *bad_together(const struct enrich *enrich)
{
	if (enrich->record && enrich->replay)
		return "--record asks for real and --replay asks nobody: give one of them";
	if (enrich->record && !enrich->config && enrich->endpoint_count == 0)
		return "--record asks for real: give --endpoint URL, or -c CONFIG";
	if (enrich->other && (enrich->record || enrich->explain || enrich->errors))
		return "--diff shows what differs and nothing else: no --record, --explain or --errors";
	if (enrich->other && !enrich->script && !enrich->config)
		return "--diff compares with a script: give that one first";
	return NULL;
}

static bool same_name(const char *a, const char *b)
{
	size_t size = enrich_endpoint_name(a);
	return size == enrich_endpoint_name(b) && strncmp(a, b, size) == 0;
}

static int check_endpoint(const struct enrich *enrich, size_t i)
{
	const char *given = enrich->endpoints[i], *url = given + enrich_endpoint_name(given);
	url += *url == '=';
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return command_usage("enrich",
		        "--endpoint %s: expected a URL that begins with http:// or https://, or NAME=URL",
		        given);
	if (strpbrk(url, "?#"))
		return command_usage("enrich",
		        "--endpoint %s: a query belongs to the script's request, not to the URL", given);
	for (size_t j = 0; j < i; j++)
		if (same_name(given, enrich->endpoints[j]))
			return command_usage("enrich", "--endpoint %s: there is another for the same: %s",
			        given, enrich->endpoints[j]);
	return EXIT_SUCCESS;
}

static int check(const struct enrich *enrich)
{
	const char *bad = bad_value(enrich);
	bad = bad ? bad : bad_together(enrich);
	if (bad)
		return command_usage("enrich", "%s", bad);
	for (size_t i = 0; i < enrich->endpoint_count; i++)
		if (check_endpoint(enrich, i) != EXIT_SUCCESS)
			return EXIT_USAGE;
	return command_log_good("enrich", &enrich->log) ? EXIT_SUCCESS : EXIT_USAGE;
}

/* ---- options ---- */

static bool add(const char **given, size_t *count)
{
	if (*count == ENRICH_GIVEN_MAX)
		return false;
	given[(*count)++] = optarg;
	return true;
}

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, struct enrich *enrich)
{
	enum {
		ENDPOINT = 256,
		PARAMS,
		RECORD,
		REPLAY,
		EXPLAIN,
		DIFF,
		ERRORS,
		CONCURRENCY,
		TIMEOUT,
		ATTEMPTS
	};
	static const struct option long_options[] = {
	        {"config", required_argument, NULL, 'c'},
	        {"endpoint", required_argument, NULL, ENDPOINT},
	        {"params", required_argument, NULL, PARAMS},
	        {"record", required_argument, NULL, RECORD},
	        {"replay", required_argument, NULL, REPLAY},
	        {"explain", no_argument, NULL, EXPLAIN},
	        {"diff", required_argument, NULL, DIFF},
	        {"watch", no_argument, NULL, 'w'},
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
	while ((option = getopt_long(argc, argv, ":c:wqh", long_options, NULL)) != -1)
		switch (option) {
		case 'c': enrich->config = optarg; break;
		case ENDPOINT:
			if (!add(enrich->endpoints, &enrich->endpoint_count))
				return command_usage("enrich", "--endpoint: at most %d", ENRICH_GIVEN_MAX);
			break;
		case PARAMS:
			if (!add(enrich->params, &enrich->param_count))
				return command_usage("enrich", "--params: at most %d", ENRICH_GIVEN_MAX);
			break;
		case RECORD: enrich->record = optarg; break;
		case REPLAY: enrich->replay = optarg; break;
		case EXPLAIN: enrich->explain = true; break;
		case DIFF: enrich->other = optarg; break;
		case 'w': enrich->watch = true; break;
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

static bool is_script(const char *path)
{
	size_t size = strlen(path);
	return size > 4 && strcmp(path + size - 4, ".lua") == 0;
}

/* SCRIPT and FILE; with a configuration, which names a script, what is no .lua is the FILE. */
static int read_arguments(int argc, char **argv, struct enrich *enrich)
{
	if (optind < argc && (enrich->config == NULL || is_script(argv[optind])))
		enrich->script = argv[optind++];
	if (enrich->script == NULL && enrich->config == NULL)
		return command_usage(
		        "enrich", "no script: give the path of a Lua file, or -c with a job's configuration");
	if (optind < argc)
		enrich->file = argv[optind++];
	if (optind < argc)
		return command_usage("enrich", "unexpected argument '%s'", argv[optind]);
	return EXIT_SUCCESS;
}

/* Where the events come from when no FILE is given; *path is to be freed. */
static int choose_events(struct enrich *enrich, char **path)
{
	if (enrich->file && strcmp(enrich->file, "-") == 0)
		enrich->file = NULL;
	else if (enrich->file == NULL && enrich->replay) {
		*path = mem_printf("%s/" CASSETTE_EVENTS, enrich->replay);
		if (access(*path, F_OK) != 0)
			return command_usage("enrich",
			        "%s holds no " CASSETTE_EVENTS
			        ": give the FILE of the events, or - for standard input",
			        enrich->replay);
		enrich->file = *path;
	}
	return EXIT_SUCCESS;
}

int command_enrich(int argc, char **argv)
{
	struct enrich enrich = {.spool = -1};
	char *path = NULL;
	int code = read_options(argc, argv, &enrich);
	if (code >= 0)
		return code;
	code = read_arguments(argc, argv, &enrich);
	code = code ? code : check(&enrich);
	code = code ? code : choose_events(&enrich, &path);
	if (code == EXIT_SUCCESS) {
		bool told = enrich.explain || enrich.other; /* what goes wrong, and where */
		command_log_init(&enrich.log, LOG_TEXT, told ? LOG_ERROR : LOG_WARN, "enrich");
		if ((enrich.watch || enrich.other) && !enrich_spool(&enrich))
			code = EXIT_FAILURE;
		else
			code = enrich.watch ? enrich_watch(&enrich) : enrich_once(&enrich);
	}
	if (enrich.spool >= 0)
		close(enrich.spool);
	mem_free(path);
	return code;
}
