/* `millrace demo`: the whole pipeline on an embedded broker and an embedded Action API. */
#include "clock.h"
#include "command.h"
#include "config.h"
#include "demoapi.h"
#include "demodata.h"
#include "embedded.h"
#include "log.h"
#include "mem.h"
#include "mockbroker.h"
#include "progress.h"
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
        "usage: millrace demo [OPTION...]\n"
        "\n"
        "Runs the whole pipeline in this one process: page changes out of an embedded Kafka\n"
        "broker, through the shipped script and an embedded Action API, into page content\n"
        "changes. Nothing is installed, nothing leaves this machine, nothing is kept.\n"
        "\n"
        "examples:\n"
        "  millrace demo\n"
        "  millrace demo --events 5000\n"
        "  millrace demo --hold        then look at http://127.0.0.1:9464/metrics\n"
        "\n"
        "options:\n"
        "      --events N          how many page changes [300]\n"
        "      --hold              stay until Ctrl-C, with /metrics, /livez and /readyz\n"
        "      --listen ADDRESS    where [127.0.0.1:9464 with --hold, else any free port]\n"
        "      --log-level LEVEL   debug, info, warn or error [error]\n"
        "      --log-format FORMAT auto, text, json or logfmt [text]\n"
        "  -h, --help              this text\n"
        "\n"
        "exit codes: 0 all events ended and the counters add up, 1 not.\n";

#define SOURCE_TOPIC "eqiad.mediawiki.page_change.v1"
#define SINK_TOPIC "eqiad.mediawiki.page_content_change.v1"
#define ERROR_TOPIC "eqiad.mw_page_content_change_enrich.error"

enum { PARTITIONS = 3, SHOWN_OUTPUTS = 8, SHOWN_ERRORS = 3, PATIENCE_MS = 60000, WATCH_MS = 100 };

struct demo {
	size_t events;
	bool hold;
	const char *listen;
	struct command_log log;
	char folder[64];
	struct mockbroker *broker;
	struct demoapi *api;
	struct worker *worker;
	size_t outputs, errors, enriched_shown, errors_shown;
	size_t output_bytes;
	char last_error[40]; /* one of a kind is enough */
	bool bar;
	int64_t bar_drawn; /* steady ms */
};

/* ---- looking into JSON without reading it ---- */

/* A member's value as it stands in the text, without quotes, cut to fit; "" when it is not there. */
static size_t peek(const char *json, size_t size, const char *name, char *out, size_t room)
{
	char needle[64];
	int length = snprintf(needle, sizeof needle, "\"%s\":", name);
	const char *at = memmem(json, size, needle, (size_t)length), *end = json + size;
	size_t n = 0, whole = 0;
	out[0] = '\0';
	if (at == NULL)
		return 0;
	at += length;
	bool quoted = at < end && *at == '"';
	for (at += quoted; at < end; at++, whole++) {
		if (quoted ? *at == '"' : *at == ',' || *at == '}')
			break;
		bool escaped = *at == '\\';
		at += escaped;
		if (n + 1 < room)
			out[n++] = escaped && (*at == 'n' || *at == 't') ? ' ' : *at;
	}
	n = text_utf8_valid(out, n);
	out[n] = '\0';
	return whole;
}

/* ---- set-up: scripts, broker, API, events ---- */

static bool write_file(const char *folder, const struct embedded_file *file)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, file->name);
	for (char *at = path + strlen(folder) + 1; (at = strchr(at, '/')) != NULL; *at++ = '/') {
		*at = '\0';
		mkdir(path, 0700);
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	bool written = write(fd, file->data, file->size) == (ssize_t)file->size;
	return close(fd) == 0 && written;
}

static bool unpack_scripts(struct demo *demo)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(demo->folder, sizeof demo->folder, "%.40s/millrace-demo-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (mkdtemp(demo->folder) == NULL) {
		fprintf(stderr, "millrace demo: no folder could be made at %s: %s\n", demo->folder,
		        strerror(errno));
		demo->folder[0] = '\0';
		return false;
	}
	for (size_t i = 0; i < embedded_count; i++)
		if (!write_file(demo->folder, &embedded_files[i])) {
			fprintf(stderr, "millrace demo: %s/%s cannot be written: %s\n", demo->folder,
			        embedded_files[i].name, strerror(errno));
			return false;
		}
	return true;
}

static void remove_scripts(struct demo *demo)
{
	char path[256];
	if (demo->folder[0] == '\0')
		return;
	for (size_t i = 0; i < embedded_count; i++) {
		snprintf(path, sizeof path, "%s/%s", demo->folder, embedded_files[i].name);
		unlink(path);
	}
	for (size_t i = 0; i < embedded_count; i++) {
		snprintf(path, sizeof path, "%s/%s", demo->folder, embedded_files[i].name);
		for (char *slash;
		        strlen(path) > strlen(demo->folder) && (slash = strrchr(path, '/')) != NULL;) {
			*slash = '\0';
			rmdir(path);
		}
	}
	rmdir(demo->folder);
}

/* As the source's producer would: the events of one page share a key, and so a partition. */
static void key_of(const char *event, size_t size, char *key, size_t room)
{
	char wiki[48], page[24];
	peek(event, size, "wiki_id", wiki, sizeof wiki);
	peek(event, size, "page_id", page, sizeof page);
	snprintf(key, room, "{\"wiki_id\":\"%s\",\"page_id\":%s}", wiki, *page ? page : "0");
}

static bool put_events(struct demo *demo, struct err *err)
{
	struct buf event;
	char key[128];
	bool put = true;
	buf_init(&event, 0);
	for (size_t n = 0; n < demo->events && put; n++) {
		buf_clear(&event);
		demodata_event(n, &event);
		key_of(event.data, event.size, key, sizeof key);
		put = mockbroker_put(demo->broker, SOURCE_TOPIC, key, event.data, event.size, err);
	}
	buf_free(&event);
	return put && mockbroker_flush(demo->broker, err);
}

static bool set_up(struct demo *demo)
{
	static const char *const topics[] = {SOURCE_TOPIC, SINK_TOPIC, ERROR_TOPIC, NULL};
	struct demoapi_config api = demoapi_defaults();
	struct err err = {""};
	api.missing = DEMODATA_MISSING;
	api.hidden = DEMODATA_HIDDEN;
	api.page = demodata_page;
	if (!unpack_scripts(demo))
		return false;
	demo->broker = mockbroker_start(topics, PARTITIONS, &err);
	demo->api = demo->broker ? demoapi_start(&api, &err) : NULL;
	if (demo->api == NULL || !put_events(demo, &err)) {
		fprintf(stderr, "millrace demo: %s\n", err.text);
		return false;
	}
	return true;
}

static struct config *configure(const struct demo *demo)
{
	struct config_report report = {0};
	char *yaml = mem_printf(
	        "name: mw-page-content-change-enrich\n"
	        "topic_prefix: eqiad.\n"
	        "source:\n"
	        "  topics: [" SOURCE_TOPIC "]\n"
	        "  start: earliest\n"
	        "  kafka: {bootstrap.servers: \"%s\"}\n"
	        "script: {path: %s/page_content_change.lua, params: {missing: fail}, memory: 64MiB, reload: "
	        "off}\n"
	        "http:\n"
	        "  user_agent: \"millrace/" MILLRACE_VERSION " (demo)\"\n"
	        "  upstreams:\n"
	        "    mediawiki: {url: \"http://127.0.0.1:%d/w/api.php\", timeout: 10s, concurrency: 64, "
	        "max_body: 8MiB}\n"
	        "key: {wiki_id: wiki_id, page_id: page.page_id}\n"
	        "sink: {stream: mediawiki.page_content_change.v1, kafka: {bootstrap.servers: \"%s\"}}\n"
	        "errors: {stream: mw_page_content_change_enrich.error}\n"
	        "limits: {memory: 192MiB}\n"
	        "admin: {listen: \"%s\"}\n",
	        mockbroker_servers(demo->broker), demo->folder, demoapi_port(demo->api),
	        mockbroker_servers(demo->broker), demo->listen);
	struct config *config = config_parse("(the demo's configuration)", yaml, strlen(yaml), &report);
	if (report.errors)
		fputs(report.text.data, stderr);
	config_report_free(&report);
	mem_free(yaml);
	return config;
}

/* ---- showing what comes out ---- */

static void clear_bar(const struct demo *demo)
{
	if (demo->bar)
		fputs("\r\033[K", stdout);
}

static void show_output(struct demo *demo, const char *value, size_t size)
{
	char wiki[24], kind[24], title[40], body[40];
	size_t content = peek(value, size, "content_body", body, sizeof body);
	demo->outputs++;
	demo->output_bytes += size;
	if (content == 0 || demo->enriched_shown >= SHOWN_OUTPUTS)
		return;
	demo->enriched_shown++;
	peek(value, size, "wiki_id", wiki, sizeof wiki);
	peek(value, size, "page_change_kind", kind, sizeof kind);
	peek(value, size, "page_title", title, sizeof title);
	clear_bar(demo);
	printf("  %-12s %-17s + %5zu bytes of content  %s: %s...\n", wiki, kind, content, title, body);
}

static void show_error(struct demo *demo, const char *value, size_t size)
{
	char type[40], message[100];
	demo->errors++;
	peek(value, size, "error_type", type, sizeof type);
	peek(value, size, "message", message, sizeof message);
	if (demo->errors_shown >= SHOWN_ERRORS || strcmp(type, demo->last_error) == 0)
		return;
	demo->errors_shown++;
	snprintf(demo->last_error, sizeof demo->last_error, "%s", type);
	clear_bar(demo);
	printf("  %-30s %s: %s\n", "error event", type, message);
}

static void seen(void *context, const char *topic, const char *value, size_t size)
{
	struct demo *demo = context;
	if (value == NULL)
		demo->outputs++;
	else if (strcmp(topic, SINK_TOPIC) == 0)
		show_output(demo, value, size);
	else
		show_error(demo, value, size);
}

static uint64_t ended(const struct pipeline_counts *counts)
{
	uint64_t sum = 0;
	for (int i = 0; i < OUTCOMES; i++)
		sum += counts->outcomes[i];
	return sum;
}

static void show_bar(struct demo *demo, uint64_t done)
{
	enum { WIDTH = 40 };
	int64_t now = clock_now();
	struct buf bar;
	if (!demo->bar || now - demo->bar_drawn < PROGRESS_DRAW_MS)
		return;
	demo->bar_drawn = now;
	buf_init(&bar, 0);
	progress_bar(done, demo->events, WIDTH, &bar);
	printf("\r\033[K  %s%llu of %zu events", bar.data, (unsigned long long)done, demo->events);
	fflush(stdout);
	buf_free(&bar);
}

/* Until every event has ended and what came out was seen, the worker stopped, or nothing moves any more. */
static void watch(struct demo *demo)
{
	static const char *const topics[] = {SINK_TOPIC, ERROR_TOPIC, NULL};
	struct pipeline_counts counts = {0};
	uint64_t last = 0;
	int64_t moved = clock_now();
	while (!worker_ended(demo->worker) && clock_now() - moved < PATIENCE_MS) {
		mockbroker_watch(demo->broker, topics, WATCH_MS, seen, demo);
		worker_counts(demo->worker, &counts);
		uint64_t now = ended(&counts) + demo->outputs + demo->errors;
		if (now != last)
			moved = clock_now();
		last = now;
		show_bar(demo, ended(&counts));
		if (ended(&counts) >= demo->events && demo->errors >= counts.outcomes[OUTCOME_FAILED] &&
		        demo->outputs >= counts.outcomes[OUTCOME_ENRICHED] + counts.outcomes[OUTCOME_PASSED])
			break;
	}
	clear_bar(demo);
}

static bool summary(const struct demo *demo, const struct pipeline_counts *c, double seconds)
{
	char bytes[32];
	unsigned long long enriched = c->outcomes[OUTCOME_ENRICHED], passed = c->outcomes[OUTCOME_PASSED],
	                   dropped = c->outcomes[OUTCOME_DROPPED], failed = c->outcomes[OUTCOME_FAILED];
	bool adds_up = c->taken == enriched + passed + dropped + failed + c->given_back + c->open;
	bool all = c->taken == demo->events && demo->outputs == enriched + passed && demo->errors == failed;
	text_human_bytes(demo->output_bytes, bytes);
	printf("\n  taken %llu = enriched %llu + passed %llu + dropped %llu + failed %llu + given back %llu "
	       "+ open %llu%s\n",
	        (unsigned long long)c->taken, enriched, passed, dropped, failed,
	        (unsigned long long)c->given_back, (unsigned long long)c->open,
	        adds_up ? "" : "   <- does not add up");
	printf("  %zu outputs (%s) in %s\n  %zu error events in %s\n", demo->outputs, bytes, SINK_TOPIC,
	        demo->errors, ERROR_TOPIC);
	printf("  %llu API calls, %.1f s\n", (unsigned long long)demoapi_calls(demo->api), seconds);
	if (!all)
		printf("  not all %zu events came through: this is a bug\n", demo->events);
	return adds_up && all;
}

/* ---- the story ---- */

static int play(struct demo *demo, const struct config *config)
{
	struct worker_config worker_config = {.config = config};
	struct pipeline_counts counts = {0};
	int64_t began = clock_now();
	printf("\nmillrace demo: page changes become page content changes\n\n"
	       "  broker   %s, librdkafka's mock cluster, %d partitions a topic\n"
	       "  API      http://127.0.0.1:%d/w/api.php, answers after 20 to 120 ms, some with 503 or 429\n"
	       "  script   scripts/page_content_change.lua, as shipped\n"
	       "  events   %zu in %s\n\n",
	        mockbroker_servers(demo->broker), PARTITIONS, demoapi_port(demo->api), demo->events,
	        SOURCE_TOPIC);
	fflush(stdout);
	demo->worker = worker_start(&worker_config);
	if (demo->worker == NULL)
		return EXIT_FAILURE;
	signals_install(demo->worker, false);
	watch(demo);
	double seconds = (double)(clock_now() - began) / 1000;
	if (demo->hold && !worker_ended(demo->worker)) {
		worker_counts(demo->worker, &counts);
		summary(demo, &counts, seconds);
		printf("\n  http://127.0.0.1:%d/metrics (also /livez, /readyz); Ctrl-C ends\n",
		        worker_admin_port(demo->worker));
		fflush(stdout);
	} else {
		worker_stop(demo->worker);
	}
	int code = worker_join(demo->worker, &counts);
	signals_forget();
	worker_free(demo->worker);
	bool good = demo->hold || summary(demo, &counts, seconds);
	return code ? code : good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(struct demo *demo)
{
	int code = EXIT_FAILURE;
	struct config *config = set_up(demo) ? configure(demo) : NULL;
	if (config) {
		code = play(demo, config);
		config_free(config);
	}
	if (demo->api)
		demoapi_stop(demo->api);
	if (demo->broker)
		mockbroker_stop(demo->broker);
	remove_scripts(demo);
	return code;
}

int command_demo(int argc, char **argv)
{
	enum { EVENTS = 256, HOLD, LISTEN };
	static const struct option long_options[] = {
	        {"events", required_argument, NULL, EVENTS},
	        {"hold", no_argument, NULL, HOLD},
	        {"listen", required_argument, NULL, LISTEN},
	        COMMAND_LOG,
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	struct demo demo = {.events = 300};
	int option;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		switch (option) {
		case EVENTS:
			demo.events = strtoul(optarg, NULL, 10);
			if (demo.events < 1 || demo.events > 100000 || optarg[strspn(optarg, "0123456789")])
				return command_usage("demo",
				        "--events: expected a number from 1 to 100000, found '%s'", optarg);
			break;
		case HOLD: demo.hold = true; break;
		case LISTEN: demo.listen = optarg; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default:
			if (!command_log_option(&demo.log, option))
				return command_bad_option(argv, option, long_options);
		}
	if (optind < argc)
		return command_usage("demo", "unexpected argument '%s'", argv[optind]);
	if (!command_log_good("demo", &demo.log))
		return EXIT_USAGE;
	if (demo.listen == NULL)
		demo.listen = demo.hold ? "127.0.0.1:9464" : "127.0.0.1:0";
	demo.bar = command_colour(STDOUT_FILENO) && getenv("CI") == NULL;
	command_log_init(&demo.log, LOG_TEXT, LOG_ERROR, "demo");
	return run(&demo);
}
