/* `millrace check`: configurations and scripts, checked without running them. */
#include "command.h"
#include "config.h"
#include "config_table.h"
#include "fetch.h"
#include "kafka_ask.h"
#include "mem.h"
#include "reach.h"
#include "script_trouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char help[] =
        "usage: millrace check [OPTION...] FILE...\n"
        "\n"
        "Checks configurations, with their scripts, and scripts (FILE.lua) without running\n"
        "them on events. Every problem is told with file, line and column.\n"
        "\n"
        "examples:\n"
        "  millrace check millrace.yaml\n"
        "  millrace check --connect millrace.yaml    are brokers, topics and upstreams there, too?\n"
        "  millrace check --schemas millrace.yaml    are the schemas of its sinks in the repositories?\n"
        "  millrace check scripts/*.lua\n"
        "\n"
        "options:\n"
        "      --connect           log in to the brokers and ask for the topics, reach the upstreams (of\n"
        "                          https by a HEAD request: certificates are looked at),\n"
        "                          ask for what is known of the streams\n"
        "      --schemas           look for the schemas of sinks and of error events in 'schemas.uris'\n"
        "      --deny-warnings     a warning is as bad as an error\n"
        "      --format FORMAT     text, or json: one object a line for each problem [text]\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 all good, 2 usage, 69 good, but something is not there or lets nobody in,\n"
        "78 errors.\n"
        "See also: millrace config --help, millrace run --help\n";

enum { CONNECT_MS = 5000 };

#define MIB ((size_t)1024 * 1024)

struct check {
	bool connect, schemas, deny_warnings, json;
	unsigned errors, warnings, unreachable;
};

/* Tells what was found: text on stderr, or JSON on stdout. */
static void tell(struct check *check, const struct diagnostics *found, const char *text)
{
	check->errors += found->errors;
	check->warnings += found->warnings;
	if (!check->json) {
		fflush(stdout);
		fputs(text ? text : "", stderr);
		return;
	}
	struct buf lines;
	buf_init(&lines, 0);
	diagnostics_json(found, &lines);
	fputs(lines.data ? lines.data : "", stdout);
	buf_free(&lines);
}

/* ---- scripts ---- */

/* A request hook may do without asking; hence no error. */
static void check_upstreams(
        struct check *check, const struct script *script, const struct script_world *world)
{
	if (world->upstream_count > 0 || !script_has_request(script))
		return;
	struct diagnostics found = {0};
	struct buf text;
	char *path = mem_strdup(script_path(script));
	diagnostics_add(&found,
	        &(struct diagnostic){.severity = SEVERITY_WARNING,
	                .code = M135_NO_UPSTREAM,
	                .file = path,
	                .message = "the script has a hook 'request', but the configuration has no upstream: "
	                           "every event about which it asks will fail",
	                .hint = "name the service in http.upstreams"});
	buf_init(&text, 0);
	diagnostics_text(&found, NULL, 0, command_colour(STDERR_FILENO), &text);
	tell(check, &found, text.data);
	diagnostics_free(&found);
	buf_free(&text);
	mem_free(path);
}

static bool check_script(
        struct check *check, const struct script_config *config, const struct script_world *world)
{
	struct err err = {""};
	struct script *script = script_open(config, world, &err);
	if (script) {
		check_upstreams(check, script, world);
		script_release(script);
		return true;
	}
	struct diagnostics found = {0};
	struct buf text;
	struct script_trouble trouble = {.message = err.text, .script = config->path};
	buf_init(&text, 0);
	script_trouble_diagnose(&trouble, &found);
	diagnostics_text(&found, NULL, 0, command_colour(STDERR_FILENO), &text);
	tell(check, &found, text.data);
	diagnostics_free(&found);
	buf_free(&text);
	return false;
}

/* A script alone: one upstream and one sink, as `millrace enrich` has them. */
static void check_script_file(struct check *check, const char *path)
{
	struct upstream_config upstream = {.name = (char[]){"default"},
	        .url = (char[]){"http://localhost/"},
	        .concurrency = 1,
	        .max_body = 56 * MIB,
	        .retry = {.attempts = 1}};
	struct script_sink sink = {.name = "sink", .max_bytes = 10 * MIB};
	struct script_world world = {.upstreams = &upstream,
	        .upstream_count = 1,
	        .sinks = &sink,
	        .sink_count = 1,
	        .engine = "millrace/" MILLRACE_VERSION};
	struct script_config config = {.path = path,
	        .memory = 128 * MIB,
	        .budget_ms = 1000,
	        .max_event = 56 * MIB,
	        .max_depth = 128};
	if (check_script(check, &config, &world) && !check->json)
		printf("ok %s: the script loads\n", path);
}

/* ---- connections ---- */

/* `good` says what is true of it when it is there. */
static void reached(
        struct check *check, bool there, const char *what, const char *good, const struct err *err)
{
	if (!there) {
		check->unreachable++;
		fflush(stdout);
		fprintf(stderr, "unreachable: %s: %s\n", what, err->text);
	} else if (!check->json) {
		printf("ok %s %s\n", what, good);
	}
}

/* What is said of a topic that cannot be used; `key` is the configuration's. */
static void tell_topic(struct check *check, const char *what, const char *key, const char *name,
        const struct kafka_topic *topic)
{
	struct err err = {""};
	char *named = mem_printf("%s: topic %s", what, name);
	if (topic->state == KAFKA_TOPIC_ABSENT)
		err_set(&err, "it does not exist: create it, or correct %s", key);
	else if (topic->state == KAFKA_TOPIC_DENIED)
		err_set(&err, "this client may not see it: allow DESCRIBE on it, and %s",
		        strcmp(what, "source") == 0 ? "READ" : "WRITE");
	else if (topic->state == KAFKA_TOPIC_UNKNOWN)
		err_set(&err, "the brokers did not say whether it exists: try again");
	reached(check, topic->state == KAFKA_TOPIC_THERE, named, "is there", &err);
	mem_free(named);
}

static const char *servers_of(const struct kafka_settings *settings)
{
	for (size_t i = 0; i < settings->property_count; i++)
		if (strcmp(settings->properties[i].name, "bootstrap.servers") == 0)
			return settings->properties[i].value;
	return "";
}

static void connect_brokers(struct check *check, const char *what, const char *key,
        const struct kafka_settings *settings, const char *const *names, size_t count)
{
	struct err err = {""};
	struct kafka_topic *topics = mem_zalloc(count, sizeof *topics);
	char *brokers = mem_printf("%s: brokers %s", what, servers_of(settings));
	bool there = kafka_ping(settings, names, topics, count, CONNECT_MS, &err);
	reached(check, there, brokers, "answer", &err);
	for (size_t i = 0; there && i < count; i++)
		tell_topic(check, what, key, names[i], &topics[i]);
	mem_free(brokers);
	mem_free(topics);
}

static void connect_source(struct check *check, const struct config *config)
{
	struct kafka_settings settings = {.client_id = config->name,
	        .properties = config->source.kafka,
	        .property_count = config->source.kafka_count};
	connect_brokers(check, "source", "source.topics", &settings,
	        (const char *const *)config->source.topics, config->source.topic_count);
}

static void connect_sink(
        struct check *check, const struct config *config, const struct sink_config *sink, bool errors)
{
	struct kafka_settings settings = {
	        .client_id = config->name, .properties = sink->kafka, .property_count = sink->kafka_count};
	char *what = mem_printf("%s%s", errors ? "" : "sink ", errors ? "errors" : sink->name);
	connect_brokers(check, what, errors ? "errors.stream" : "the sink's stream or topic", &settings,
	        (const char *const[]){sink->topic}, 1);
	mem_free(what);
}

/* Of https it is asked, too: whether certificates are good shows only then. */
static bool upstream_there(
        const struct config *config, const struct upstream_config *upstream, const char *url, struct err *err)
{
	if (strncasecmp(url, "https://", 8) != 0)
		return reach_url(url, CONNECT_MS, err);
	char *section = mem_printf("http.upstreams.%s.tls", upstream->name);
	struct fetch_config asking = {.user_agent = config->user_agent,
	        .timeout_ms = CONNECT_MS,
	        .tls = upstream->tls,
	        .tls_section = section};
	bool there = fetch_answers(&asking, url, err);
	mem_free(section);
	return there;
}

/* An address with {host} stands for the hosts that are named in full. */
static void connect_upstream(
        struct check *check, const struct config *config, const struct upstream_config *upstream)
{
	struct err err = {""};
	char *what = mem_printf("upstream %s", upstream->name), *template = strstr(upstream->url, "{host}");
	if (template == NULL)
		reached(check, upstream_there(config, upstream, upstream->url, &err), what, "can be reached",
		        &err);
	for (size_t i = 0; template && i < upstream->host_count; i++) {
		if (upstream->hosts[i][0] == '*')
			continue;
		char *url = mem_printf("%.*s%s%s", (int)(template - upstream->url), upstream->url,
		        upstream->hosts[i], template + strlen("{host}"));
		reached(check, upstream_there(config, upstream, url, &err), what, "can be reached", &err);
		mem_free(url);
	}
	mem_free(what);
}

static void connect_all(struct check *check, const struct config *config)
{
	connect_source(check, config);
	for (size_t i = 0; i < config->sink_count; i++)
		connect_sink(check, config, &config->sinks[i], false);
	connect_sink(check, config, &config->errors, true);
	for (size_t i = 0; i < config->upstream_count; i++)
		connect_upstream(check, config, &config->upstreams[i]);
}

/* ---- configurations ---- */

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

static void print_summary(const char *path, const struct config *config)
{
	printf("ok %s: %zu source topic%s, %zu upstream%s, ", path, config->source.topic_count,
	        plural(config->source.topic_count), config->upstream_count, plural(config->upstream_count));
	for (size_t i = 0; i < config->sink_count; i++)
		printf("%s%s",
		        i                        ? ", "
		        : config->sink_count > 1 ? "sinks "
		                                 : "sink ",
		        config->sinks[i].topic);
	const struct config_origin *automatic = config_origin_find(config, "limits.memory.auto");
	printf(", memory %zu MiB", config->limit_memory / MIB);
	printf(automatic ? " (%s)\n" : "\n", automatic ? automatic->where : "");
	struct buf parts;
	buf_init(&parts, 0);
	budget_print(&config->budget, &parts);
	printf("   of which: %s\n", parts.data);
	buf_free(&parts);
}

/* What the EventStreamConfig API says of the configuration's streams. */
static bool check_streams(struct check *check, struct config *config)
{
	struct config_report report = {.colour = command_colour(STDERR_FILENO)};
	enum config_streams outcome = config_resolve_streams(config, &report);
	if (outcome == CONFIG_STREAMS_AWAY) {
		check->unreachable++;
		report.found.errors = 0; /* it is not the configuration's fault */
	}
	tell(check, &report.found, report.text.data);
	config_report_free(&report);
	return outcome != CONFIG_STREAMS_BAD;
}

static void reached_schema(
        void *context, bool there, const char *what, const char *good, const struct err *err)
{
	reached(context, there, what, good, err);
}

static void check_schemas(struct check *check, struct config *config)
{
	struct config_report report = {.colour = command_colour(STDERR_FILENO)};
	struct config_schemas_listener listener = {check, reached_schema};
	config_check_schemas(config, &listener, &report);
	tell(check, &report.found, report.text.data);
	config_report_free(&report);
}

static void check_config_file(struct check *check, const char *path)
{
	struct config_report report = {.colour = command_colour(STDERR_FILENO)};
	struct config *config = config_load(path, &report);
	tell(check, &report.found, report.text.data);
	config_report_free(&report);
	if (config == NULL)
		return;
	struct script_world world;
	config_world(config, &world);
	bool good = check_script(check, &config->script, &world);
	mem_free((void *)(size_t)world.sinks);
	if (good && check->connect)
		good = check_streams(check, config);
	if (good && !check->json)
		print_summary(path, config);
	if (good && check->connect)
		connect_all(check, config);
	if (good && check->schemas)
		check_schemas(check, config);
	config_free(config);
}

static bool is_script(const char *path)
{
	size_t size = strlen(path);
	return size > 4 && strcmp(path + size - 4, ".lua") == 0;
}

static int finish(const struct check *check)
{
	if (!check->json)
		printf("%u error%s, %u warning%s\n", check->errors, plural(check->errors), check->warnings,
		        plural(check->warnings));
	if (check->errors || (check->deny_warnings && check->warnings))
		return EXIT_CONFIG;
	return check->unreachable ? EXIT_UNREACHABLE : EXIT_SUCCESS;
}

int command_check(int argc, char **argv)
{
	enum { CONNECT = 256, SCHEMAS, DENY_WARNINGS, FORMAT };
	static const struct option long_options[] = {{"connect", no_argument, NULL, CONNECT},
	        {"schemas", no_argument, NULL, SCHEMAS}, {"deny-warnings", no_argument, NULL, DENY_WARNINGS},
	        {"format", required_argument, NULL, FORMAT}, {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0}};
	struct check check = {0};
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case CONNECT: check.connect = true; break;
		case SCHEMAS: check.schemas = true; break;
		case DENY_WARNINGS: check.deny_warnings = true; break;
		case FORMAT:
			check.json = strcmp(optarg, "json") == 0;
			if (!check.json && strcmp(optarg, "text") != 0)
				return command_usage(
				        "check", "--format: expected text or json, found '%s'", optarg);
			break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: return command_bad_option(argv, option, long_options);
		}
	if (optind >= argc)
		return command_usage("check", "no file: give a configuration or a script");
	for (; optind < argc; optind++) {
		if (is_script(argv[optind]))
			check_script_file(&check, argv[optind]);
		else
			check_config_file(&check, argv[optind]);
	}
	return finish(&check);
}
