/* The configuration file: every key, every refusal with its place, defaults, secrets, what is shown. */
#include "config.h"
#include "config_table.h"
#include "mem.h"
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/millrace-config-XXXXXX";

static void put(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int enter_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL || chdir(folder) != 0)
		return -1;
	put("enrich.lua", "return {}\n");
	put("secret", "hunter2\n");
	put("client.pem", "");
	put("client.key", "");
	put("ca.pem", "");
	put("params.yaml", "");
	unsetenv("MILLRACE_TEST");
	setenv("MILLRACE_EMPTY", "", 1);
	return 0;
}

static int leave_folder(void **state)
{
	(void)state;
	char *command = mem_printf("rm -rf %s", folder);
	int result = chdir("/") == 0 ? system(command) : -1;
	mem_free(command);
	return result;
}

/* The smallest good file; each line is named by the tests below. */
static const char good[] = "name: my-job\n"
                           "source:\n"
                           "  topics: [in]\n"
                           "  kafka: {bootstrap.servers: \"localhost:9092\"}\n"
                           "script: {path: enrich.lua}\n"
                           "http:\n"
                           "  user_agent: test/1.0 (me)\n"
                           "  upstreams:\n"
                           "    api: {url: \"http://localhost/\"}\n"
                           "sink:\n"
                           "  stream: out\n"
                           "  kafka: {bootstrap.servers: \"localhost:9093\"}\n"
                           "limits: {memory: 500MiB}\n";

/* The good file with one part replaced; frees with mem_free. */
static char *changed(const char *from, const char *to)
{
	const char *at = strstr(good, from);
	assert_non_null(at);
	return mem_printf("%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static struct config *load(const char *text, struct config_report *report)
{
	*report = (struct config_report){0};
	return config_parse("t.yaml", text, strlen(text), report);
}

static struct config *load_good(const char *text)
{
	struct config_report report;
	struct config *config = load(text, &report);
	if (config == NULL)
		fail_msg("refused: %s\n%s", report.text.data, text);
	config_report_free(&report);
	return config;
}

static struct config *load_changed(const char *from, const char *to)
{
	char *text = changed(from, to);
	struct config *config = load_good(text);
	mem_free(text);
	return config;
}

static char *shown(const struct config *config)
{
	struct buf out;
	buf_init(&out, 0);
	config_show(config, &out);
	return buf_steal(&out, NULL);
}

/* ---- what is refused ---- */

struct bad {
	const char *from, *to; /* what is replaced in the good file */
	const char *error;     /* the first line of the report */
	const char *hint;      /* its hint, NULL = none wanted */
};

static const struct bad bad_files[] = {
        /* keys */
        {"name:", "nam:", "t.yaml:1:1: error[M103]: 'name' is required", NULL},
        {"limits:", "limit:", "t.yaml:13:1: error[M101]: unknown key 'limit'", "did you mean 'limits'?"},
        {"{memory:", "{memmory:", "t.yaml:13:10: error[M101]: unknown key 'limits.memmory'",
                "did you mean 'memory'?"},
        {"  user_agent:", "  timeout: 5s\n  user_agent:",
                "t.yaml:7:3: error[M101]: unknown key 'http.timeout'",
                "there is 'http.upstreams.NAME.timeout'"},
        {"limits:", "dlq: x\nlimits:", "t.yaml:13:1: error[M101]: unknown key 'dlq'",
                "known at the top: name, topic_prefix, source"},
        {"script: {", "script: {reload: maybe, ",
                "t.yaml:5:18: error[M105]: script.reload: expected watch, signal or off, found 'maybe'",
                NULL},
        {"  topics: [in]\n", "  topics: [in]\n  topics: [in]\n",
                "t.yaml:4:3: error[M102]: duplicate key 'topics'", "it already stands in line 3"},
        {"  topics: [in]\n", "", "t.yaml:2:1: error[M103]: 'source.topics' or 'source.stream' is required",
                "Topics to read, by their full names."},
        {"limits:", "streams: {config_uri: meta}\nlimits:",
                "t.yaml:13:23: error[M105]: streams.config_uri: expected an address that begins with http:// "
                "or "
                "https://, "
                "found 'meta'",
                NULL},
        {"limits:", "streams: {cache: here}\nlimits:",
                "t.yaml:13:18: error[M105]: streams.cache: expected a path that begins with /, found 'here'",
                NULL},
        {"limits:", "routes: {\"https://a/x\": \"http://b\"}\nlimits:",
                "t.yaml:13:1: error[M105]: routes: expected an address up to its host, such as "
                "https://meta.wikimedia.org, "
                "found 'https://a/x'",
                NULL},
        {"limits:", "schemas: {uris: [x]}\nlimits:",
                "t.yaml:13:17: error[M105]: schemas.uris: expected file:///FOLDER, http://HOST/... or "
                "https://HOST/..., found 'x'",
                NULL},
        {"limits:", "schemas: {input: warn}\nlimits:",
                "t.yaml:13:18: error[M105]: schemas.input: expected off where there is no repository, found "
                "'warn'",
                "give the repositories in 'schemas.uris'"},
        {"  stream: out", "  stream: out\n  unknown: strip",
                "t.yaml:12:12: error[M105]: sink.unknown: expected fail where outputs are not held against "
                "their "
                "schemas, found 'strip'",
                "give the repositories in 'schemas.uris'"},
        /* types, units, ranges */
        {"/\"}", "/\", timeout: 60}",
                "t.yaml:9:46: error[M105]: http.upstreams.api.timeout: expected a duration such as 250ms, 5s "
                "or "
                "2m, found '60'",
                "a unit is missing: did you mean '60s'?"},
        {"/\"}", "/\", timeout: 2h}",
                "t.yaml:9:46: error[M105]: http.upstreams.api.timeout: expected from 1ms to 1h, found '2h'",
                NULL},
        {"/\"}", "/\", timeout: [5s]}",
                "t.yaml:9:46: error[M105]: http.upstreams.api.timeout: expected a duration such as 250ms, 5s "
                "or "
                "2m, found a list",
                NULL},
        {"/\"}", "/\", timeout: }",
                "t.yaml:9:46: error[M105]: http.upstreams.api.timeout: expected a duration such as 250ms, 5s "
                "or "
                "2m, found nothing",
                NULL},
        {"/\"}", "/\", concurrency: many}",
                "t.yaml:9:50: error[M105]: http.upstreams.api.concurrency: expected a whole number from 1 to "
                "4096, "
                "or auto, found 'many'",
                NULL},
        {"/\"}", "/\", concurrency: 0}",
                "t.yaml:9:50: error[M105]: http.upstreams.api.concurrency: expected a whole number from 1 to "
                "4096, "
                "or auto, found '0'",
                NULL},
        {"/\"}", "/\", concurrency: 1e2}",
                "t.yaml:9:50: error[M105]: http.upstreams.api.concurrency: expected a whole number from 1 to "
                "4096, "
                "or auto, found '1e2'",
                NULL},
        {"/\"}", "/\", rate: 200}",
                "t.yaml:9:43: error[M105]: http.upstreams.api.rate: expected a rate such as 200/s or "
                "12000/m, or "
                "none, found '200'",
                "a unit is missing: did you mean '200/s'?"},
        {"/\"}", "/\", max_body: 10}",
                "t.yaml:9:47: error[M105]: http.upstreams.api.max_body: expected a size such as 512KiB, "
                "10MiB or "
                "1GB, found '10'",
                "a unit is missing: did you mean '10MiB'?"},
        {"/\"}", "/\", http2: yes}",
                "t.yaml:9:44: error[M105]: http.upstreams.api.http2: expected true or false, found 'yes'",
                "YAML 1.2 has no yes, no, on or off"},
        {"/\"}", "/\", retry: {on: [429, 200]}}",
                "t.yaml:9:55: error[M105]: http.upstreams.api.retry.on: expected an HTTP status from 300 to "
                "599, "
                "found '200'",
                NULL},
        {"/\"}", "/\", retry: {on: []}}",
                "t.yaml:9:49: error[M105]: http.upstreams.api.retry.on: expected a list of HTTP statuses "
                "such as "
                "[429, 503], found an empty list",
                NULL},
        {"/\"}", "/\", retry: {base: 1m}}",
                "t.yaml:9:37: error[M105]: http.upstreams.api.retry.cap: expected at least 'base' (60000 "
                "ms), "
                "found 30000 ms",
                NULL},
        {"limits:", "order: keys\nlimits:",
                "t.yaml:13:8: error[M105]: order: expected key, partition or none, found 'keys'", NULL},
        {"limits:", "log: {level: loud}\nlimits:",
                "t.yaml:13:14: error[M105]: log.level: expected debug, info, warn or error, found 'loud'",
                NULL},
        {"limits:", "log: verbose\nlimits:",
                "t.yaml:13:6: error[M105]: log: expected keys and values, found a text", NULL},
        {"[in]", "in",
                "t.yaml:3:11: error[M105]: source.topics: expected a list such as [a, b], found a text",
                NULL},
        {"[in]", "[]",
                "t.yaml:3:11: error[M105]: source.topics: expected a list such as [a, b], found an empty "
                "list",
                NULL},
        {"[in]", "[[in]]", "t.yaml:3:12: error[M105]: expected a text, found a list", NULL},
        {"limits:", "key: page_id\nlimits:",
                "t.yaml:13:6: error[M105]: key: expected names and paths such as {page_id: page.page_id}, or "
                "record, found a text",
                NULL},
        {"limits:", "key: {a: .b}\nlimits:",
                "t.yaml:13:10: error[M105]: key: expected a path such as page.page_id, found '.b'", NULL},
        {"{path: enrich.lua}", "{path: enrich.lua, params: [1]}",
                "t.yaml:5:36: error[M105]: expected names and values, found a list", NULL},
        {"{path: enrich.lua}", "{path: enrich.lua, params: {x: .nan}}",
                "t.yaml:5:40: error[M105]: .nan has no form in JSON", NULL},
        {"enrich.lua", "gone.lua", "t.yaml:5:16: error[M106]: script.path: there is no file 'gone.lua'",
                "looked for in this file's folder and in the working directory"},
        {"enrich.lua", ".", "t.yaml:5:16: error[M106]: script.path: there is no file '.'", NULL},
        /* values that concern more than one key */
        {"my-job", "my job",
                "t.yaml:1:7: error[M105]: name: expected letters, digits, '.', '_' and '-', at most 128, "
                "found 'my "
                "job'",
                NULL},
        {"[in]", "[in, in]", "t.yaml:3:11: error[M105]: source.topics: expected each topic once, found 'in'",
                NULL},
        {"[in]", "[\"^in.*\"]",
                "t.yaml:3:11: error[M105]: source.topics: expected a topic's name: letters, digits, '.', '_' "
                "and "
                "'-', at most 249, found '^in.*'",
                NULL},
        {"[in]", "[in]\n  start: yesterday",
                "t.yaml:4:10: error[M105]: source.start: expected earliest, latest or a time such as "
                "2025-11-01T00:00:00Z, found 'yesterday'",
                NULL},
        {"http://localhost/", "ftp://localhost/",
                "t.yaml:9:16: error[M105]: http.upstreams.api.url: expected an address that begins with "
                "http:// or "
                "https://, found 'ftp://localhost/'",
                NULL},
        {"http://localhost/", "http:///w/api.php",
                "t.yaml:9:16: error[M105]: http.upstreams.api.url: expected an address with a host, found "
                "'http:///w/api.php'",
                NULL},
        {"http://localhost/", "http://localhost/?a=b",
                "t.yaml:9:16: error[M105]: http.upstreams.api.url: expected an address without '?' and '#' "
                "(the "
                "query belongs to the script's request), found 'http://localhost/?a=b'",
                NULL},
        {"http://localhost/", "http://local host/",
                "t.yaml:9:16: error[M105]: http.upstreams.api.url: expected an address without spaces or "
                "control "
                "characters, found 'http://local host/'",
                NULL},
        {"http://localhost/", "http://{host}/",
                "t.yaml:9:16: error[M110]: http.upstreams.api.url: '{host}' in an address demands "
                "'http.upstreams.api.hosts', the hosts that a request may name",
                "such as hosts: [\"*.example.org\"]"},
        {"/\"}", "/\", hosts: [\"*\", \"a/b\"]}",
                "t.yaml:9:44: error[M105]: http.upstreams.api.hosts: expected hosts such as www.example.org "
                "or "
                "*.example.org, found 'a/b'",
                NULL},
        {"/\"}", "/\", per_record_headers: [\"a b\"]}",
                "t.yaml:9:57: error[M105]: http.upstreams.api.per_record_headers: expected names of headers, "
                "found "
                "'a b'",
                NULL},
        {"/\"}", "/\", tls: {cert: client.pem}}",
                "t.yaml:9:37: error[M105]: http.upstreams.api.tls: 'cert' and 'key' go together", NULL},
        {"limits:", "schemas: {uris: [\"https://a/\"], tls: {key: client.key}}\nlimits:",
                "t.yaml:13:33: error[M105]: schemas.tls: 'cert' and 'key' go together", NULL},
        {"limits:", "streams: {tls: {cert: client.pem}}\nlimits:",
                "t.yaml:13:11: error[M105]: streams.tls: 'cert' and 'key' go together", NULL},
        {"limits:", "streams: {tls: {ca: gone.pem}}\nlimits:",
                "t.yaml:13:21: error[M106]: streams.tls.ca: there is no file 'gone.pem'", NULL},
        {"  upstreams:", "  endpoint: http://localhost/\n  upstreams:",
                "t.yaml:8:3: error[M104]: 'http.upstreams' and 'http.endpoint' exclude each other",
                "keep one of them"},
        {"    api: {url: \"http://localhost/\"}", "    api: {}",
                "t.yaml:9:5: error[M103]: 'http.upstreams.api.url' is required", NULL},
        {"    api:", "    \"a b\":",
                "t.yaml:9:5: error[M108]: http.upstreams: 'a b' cannot be a name: expected letters, digits, "
                "'_' "
                "and '-', and not the word errors",
                NULL},
        {"sink:\n", "sinks: {errors: {stream: x}}\nunused:\n",
                "t.yaml:10:9: error[M108]: sinks: 'errors' cannot be a name: expected letters, digits, '_' "
                "and "
                "'-', and not the word errors",
                NULL},
        {"sink:\n", "sinks: {a: {stream: x, kafka: {bootstrap.servers: x}}}\nsink:\n",
                "t.yaml:10:1: error[M104]: 'sink' and 'sinks' exclude each other", "keep one of them"},
        {"  stream: out", "  stream: out\n  topic: out",
                "t.yaml:12:3: error[M104]: 'sink.stream' and 'sink.topic' exclude each other",
                "keep one of them"},
        {"  stream: out\n", "", "t.yaml:10:1: error[M103]: 'sink.stream' or 'sink.topic' is required", NULL},
        {"stream: out", "topic: out\n  schema: /out/1.0.0",
                "t.yaml:12:11: error[M105]: sink.schema: expected keep for a sink with a 'topic', found "
                "'/out/1.0.0'",
                "events are stamped where the sink has a 'stream'; a 'topic' is plain"},
        {"stream: out", "stream: out\n  schema: out/1.0.0",
                "t.yaml:12:11: error[M105]: sink.schema: expected keep, or a path such as /my/output/1.0.0, "
                "found "
                "'out/1.0.0'",
                NULL},
        {"out\n  kafka: {bootstrap.servers: \"localhost:9093\"}",
                "in\n  kafka: {bootstrap.servers: \"localhost:9092\"}",
                "t.yaml:11:11: error[M105]: sink.stream: expected a topic that is not read by "
                "'source.topics', "
                "found 'in'",
                "every output would come back as an input"},
        {"stream: out", "stream: my_job.error",
                "t.yaml:1:1: error[M105]: errors.stream: expected another topic than the sink's, found "
                "'my_job.error'",
                NULL},
        {"limits:", "admin: {listen: \"9464\"}\nlimits:",
                "t.yaml:13:17: error[M105]: admin.listen: expected an address and a port such as "
                "127.0.0.1:9464, "
                "or off, found '9464'",
                NULL},
        {"limits:", "admin: {listen: \"a:70000\"}\nlimits:",
                "t.yaml:13:17: error[M105]: admin.listen: expected an address and a port such as "
                "127.0.0.1:9464, "
                "or off, found 'a:70000'",
                NULL},
        {"500MiB", "300MiB",
                "t.yaml:13:18: error[M111]: limits.memory: 300 MiB is too little: 400 MiB are needed (the "
                "engine "
                "48, script.memory 128, and four times the largest max_body 224)",
                "raise it, or lower script.memory or the upstreams' max_body"},
        {"500MiB", "0", "t.yaml:13:18: error[M105]: limits.memory: expected from 1MiB to 1024GiB, found '0'",
                NULL},
        /* Kafka's properties */
        {"{bootstrap.servers: \"localhost:9092\"}", "{client.rack: a}",
                "t.yaml:4:3: error[M103]: 'source.kafka.bootstrap.servers' is required",
                "such as bootstrap.servers: \"localhost:9092\""},
        {"{bootstrap.servers: \"localhost:9092\"}", "{bootstrap: {servers: x}}",
                "t.yaml:4:3: error[M103]: 'source.kafka.bootstrap.servers' is required", NULL},
        {"9093\"}", "9093\", compresion.type: gzip}",
                "t.yaml:12:65: error[M109]: sink.kafka: librdkafka has no property \"compresion.type\"; did "
                "you "
                "mean \"compression.type\"?",
                NULL},
        {"9093\"}", "9093\", compression.type: 7zip}",
                "t.yaml:12:66: error[M109]: sink.kafka: \"compression.type\": Invalid value", NULL},
        {"9092\"}", "9092\", group.id: x}",
                "t.yaml:4:58: error[M109]: source.kafka: \"group.id\" cannot be set: ", NULL},
        /* variables and files */
        {"my-job", "${MILLRACE_TEST}", "t.yaml:1:7: error[M107]: the variable MILLRACE_TEST is not set",
                "set it, or give a default: ${MILLRACE_TEST:-...}"},
        {"my-job", "${MILLRACE_TEST:?the name of the job}",
                "t.yaml:1:7: error[M107]: the variable MILLRACE_TEST is not set: the name of the job", NULL},
        {"my-job", "${MILLRACE_EMPTY:?never empty}",
                "t.yaml:1:7: error[M107]: the variable MILLRACE_EMPTY is not set: never empty", NULL},
        {"my-job", "${1x}", "t.yaml:1:7: error[M107]: expected ${NAME}, ${NAME:-default} or ${NAME:?why}",
                "write $$ for a dollar sign"},
        {"my-job", "\"${MILLRACE_TEST\"",
                "t.yaml:1:7: error[M107]: expected ${NAME}, ${NAME:-default} or ${NAME:?why}",
                "write $$ for a dollar sign"},
        {"my-job", "{file: gone}",
                "t.yaml:1:14: error[M106]: the file 'gone' cannot be read: No such file or directory", NULL},
        {"my-job", "{file: /dev/zero}",
                "t.yaml:1:14: error[M106]: the file '/dev/zero' cannot be read: it is not a regular file",
                NULL},
        /* YAML */
        {"name: my-job", "name: &a my-job", "t.yaml:1:7: error[M102]: anchors are not supported", NULL},
        {"name: my-job", "name: [my-job", "t.yaml:2:7: error[M102]: did not find expected ',' or ']'", NULL},
};

/* False after telling what differs. */
static bool as_expected(const struct bad *bad, const struct config_report *report)
{
	const char *text = report->text.data, *hint = report->found.items[0].hint;
	if (strncmp(text, bad->error, strlen(bad->error)) != 0) {
		print_error("expected: %s\n   found: %.*s\n", bad->error, (int)strcspn(text, "\n"), text);
		return false;
	}
	if (bad->hint && (hint == NULL || strncmp(hint, bad->hint, strlen(bad->hint)) != 0)) {
		print_error("expected the hint: %s\n   found: %s\n", bad->hint, hint ? hint : "none");
		return false;
	}
	return true;
}

static void every_bad_file_is_refused_at_its_place(void **state)
{
	(void)state;
	size_t wrong = 0;
	for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
		char *text = changed(bad_files[i].from, bad_files[i].to);
		struct config_report report;
		assert_null(load(text, &report));
		assert_true(report.errors > 0);
		wrong += !as_expected(&bad_files[i], &report);
		config_report_free(&report);
		mem_free(text);
	}
	assert_int_equal(wrong, 0);
}

static void all_problems_are_told_in_one_run_by_line(void **state)
{
	(void)state;
	struct config_report report;
	assert_null(load("sink: {stream: x, kafka: {}}\ndrain: 5\nname: a b\nsource: {}\nzzz: 1\n", &report));
	unsigned line = 0;
	for (size_t i = 0; i < report.found.count; i++) {
		assert_true(report.found.items[i].line >= line);
		line = report.found.items[i].line;
	}
	assert_int_equal(report.errors, 7); /* script, servers, drain, name, topics, kafka, zzz */
	config_report_free(&report);
}

static void the_report_shows_the_line_with_a_caret_and_a_hint(void **state)
{
	(void)state;
	struct config_report report;
	char *text = changed("[in]", "[in]\n  grup: x");
	assert_null(load(text, &report));
	assert_string_equal(report.text.data, "t.yaml:4:3: error[M101]: unknown key 'source.grup'\n"
	                                      "     4 |   grup: x\n"
	                                      "       |   ^^^^\n"
	                                      "   hint: did you mean 'group'?\n");
	config_report_free(&report);
	mem_free(text);
}

static void no_message_shows_a_secret(void **state)
{
	(void)state;
	static const char *const changes[][2] = {
	        {"9092\"}", "9092\", sasl.password: hunter2, bad.one: 1}"},
	        {"9092\"}", "9092\", enable.ssl.certificate.verification: {file: secret}}"},
	        {"http://localhost/", "http://user:hunter2@localhost/"},
	        {"limits:", "streams: {config_uri: \"https://user:hunter2@localhost/\"}\nlimits:"},
	        {"limits:", "schemas: {uris: [\"https://user:hunter2@localhost/\"]}\nlimits:"},
	        {"limits:", "routes: {\"http://user:hunter2@localhost\": \"http://localhost\"}\nlimits:"},
	        {"limits:", "routes: {\"http://localhost\": \"http://user:hunter2@localhost\"}\nlimits:"},
	        {"limits:", "admin: {token: [hunter2]}\nlimits:"},
	        {"500MiB", "{file: secret}"},
	        {"/\"}", "/\", concurrency: {file: secret}}"},
	};
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		struct config_report report;
		char *text = changed(changes[i][0], changes[i][1]);
		assert_null(load(text, &report));
		if (strstr(report.text.data, "hunter2"))
			fail_msg("shown: %s", report.text.data);
		config_report_free(&report);
		mem_free(text);
	}
}

static void a_file_that_is_not_there_is_one_error(void **state)
{
	(void)state;
	struct config_report report = {0};
	assert_null(config_load("gone.yaml", &report));
	assert_string_equal(report.text.data, "gone.yaml: error[M100]: there is no such file\n");
	config_report_free(&report);
	assert_null(config_load(".", &report));
	assert_string_equal(report.text.data, ".: error[M100]: this is a folder; expected a file\n");
	config_report_free(&report);
	assert_null(config_parse("t.yaml", "", 0, &report));
	assert_int_equal(report.errors, 4); /* name, source, script, sink */
	config_report_free(&report);
}

/* ---- what is taken ---- */

static const char full[] =
        "name: mw-enrich\n"
        "topic_prefix: eqiad.\n"
        "source:\n"
        "  topics: [eqiad.a, eqiad.b]\n"
        "  group: other-group\n"
        "  start: 2025-11-01T00:00:00Z\n"
        "  kafka: {bootstrap.servers: \"a:9092,b:9092\", sasl.mechanism: PLAIN, sasl.username: me, "
        "sasl.password: {file: secret}}\n"
        "script: {path: enrich.lua, params: {missing: fail, n: 1.0, list: [1, null, \"1\"], token: x}, "
        "memory: 64MiB, budget: 250ms}\n"
        "http:\n"
        "  user_agent: \"job/1.0 (team@example.org)\"\n"
        "  retry: {attempts: 5, base: 100ms, cap: 10s, deadline: 2m, on: [429, 503]}\n"
        "  upstreams:\n"
        "    wiki:\n"
        "      url: \"https://{host}/w/api.php\"\n"
        "      hosts: [\"*.example.org\", www.example.net]\n"
        "      timeout: 30s\n"
        "      connect_timeout: 2s\n"
        "      concurrency: 32\n"
        "      rate: 12000/m\n"
        "      max_body: 8MiB\n"
        "      max_idle: 1s\n"
        "      http2: true\n"
        "      per_record_headers: [X-Request-Id]\n"
        "      retry: {attempts: 2}\n"
        "      tls: {ca: ca.pem, cert: client.pem, key: client.key}\n"
        "    scores: {url: \"http://scores.example:8080\", concurrency: auto, host_concurrency: 4, retry: "
        "{on: [502]}}\n"
        "key: {wiki_id: wiki_id, page_id: page.page_id}\n"
        "order: partition\n"
        "sinks:\n"
        "  content: {stream: content.v1, schema: /content/1.0.0, max_bytes: 2MiB, kafka: {bootstrap.servers: "
        "c}}\n"
        "  plain: {topic: scores, key: {id: meta.id}, kafka: {bootstrap.servers: d}}\n"
        "errors: {stream: mw.error, emitter_id: me, max_bytes: 1MiB, kafka: {bootstrap.servers: e}}\n"
        "limits: {records: 500, memory: 1GiB}\n"
        "checkpoint: {dir: /srv/positions, interval: 5s, keep: 3}\n"
        "drain: 10s\n"
        "admin: {listen: \"[::1]:9000\", token: {file: secret}}\n"
        "log: {level: debug, format: logfmt}\n";

static void every_key_reaches_its_place(void **state)
{
	(void)state;
	struct config *c = load_good(full);
	assert_string_equal(c->name, "mw-enrich");
	assert_int_equal(c->source.topic_count, 2);
	assert_string_equal(c->source.topics[1], "eqiad.b");
	assert_string_equal(c->source.group, "other-group");
	assert_string_equal(c->source.start, "2025-11-01T00:00:00Z");
	assert_int_equal(c->source.kafka_count, 4);
	assert_string_equal(c->source.kafka[3].name, "sasl.password");
	assert_string_equal(c->source.kafka[3].value, "hunter2");
	assert_string_equal(c->source.kafka[3].where, "t.yaml:7:89");
	assert_string_equal(c->script.path, "enrich.lua");
	assert_string_equal(c->script.params_json,
	        "{\"missing\":\"fail\",\"n\":1.0,\"list\":[1,null,\"1\"],\"token\":\"x\"}");
	assert_int_equal(c->script.memory, 64 << 20);
	assert_int_equal(c->script.budget_ms, 250);
	assert_true(c->script.max_event >= 8 << 20 && c->script.max_depth > 0);
	assert_string_equal(c->user_agent, "job/1.0 (team@example.org)");
	assert_int_equal(c->limit_records, 500);
	assert_int_equal(c->limit_memory, 1 << 30);
	assert_false(c->limit_memory_auto);
	assert_int_equal(c->checkpoint_interval_ms, 5000);
	assert_string_equal(c->checkpoint_dir, "/srv/positions");
	assert_int_equal(c->checkpoint_keep, 3);
	assert_int_equal(c->drain_ms, 10000);
	assert_string_equal(c->admin_listen, "[::1]:9000");
	assert_string_equal(c->admin_token, "hunter2");
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->log_format, LOG_LOGFMT);
	assert_int_equal(c->order, ORDER_PARTITION);
	assert_int_equal(c->key_count, 2);
	assert_string_equal(c->key[1].name, "page_id");
	assert_string_equal(c->key[1].path, "page.page_id");
	config_free(c);
}

static void a_stream_is_read_by_the_topic_of_its_name(void **state)
{
	(void)state;
	struct config *c =
	        load_good("name: job\ntopic_prefix: eqiad.\n"
	                  "streams: {config_uri: \"https://meta.example.org/w/api.php\", tls: {ca: "
	                  "ca.pem}}\n"
	                  "schemas: {uris: [\"https://a/\"], tls: {ca: ca.pem, cert: client.pem, key: "
	                  "client.key}}\n"
	                  "routes: {\"https://meta.example.org\": \"http://localhost:6500\"}\n"
	                  "checkpoint: {dir: /srv/positions}\n"
	                  "source: {stream: page.change.v1, kafka: {bootstrap.servers: b}}\n"
	                  "script: {path: enrich.lua}\n"
	                  "http: {user_agent: u, endpoint: \"http://localhost/\"}\n"
	                  "sink: {stream: out, kafka: {bootstrap.servers: b}}\n"
	                  "limits: {memory: 1GiB}\n");
	assert_int_equal(c->source.topic_count, 1);
	assert_string_equal(c->source.topics[0], "eqiad.page.change.v1");
	assert_string_equal(c->streams_uri, "https://meta.example.org/w/api.php");
	assert_string_equal(c->streams_cache, "/srv/positions/job/streams.json");
	assert_string_equal(c->routes[0].name, "https://meta.example.org");
	assert_string_equal(c->routes[0].value, "http://localhost:6500");
	assert_string_equal(c->streams_tls.ca, "ca.pem");
	assert_null(c->streams_tls.cert);
	assert_string_equal(c->schema_tls.ca, "ca.pem");
	assert_string_equal(c->schema_tls.cert, "client.pem");
	assert_string_equal(c->schema_tls.key, "client.key");
	config_free(c);
}

static void upstreams_take_what_they_leave_out_from_http_retry(void **state)
{
	(void)state;
	struct config *c = load_good(full);
	const struct upstream_config *wiki = &c->upstreams[0], *scores = &c->upstreams[1];
	assert_int_equal(c->upstream_count, 2);
	assert_string_equal(wiki->name, "wiki");
	assert_string_equal(wiki->hosts[0], "*.example.org");
	assert_int_equal(wiki->timeout_ms, 30000);
	assert_int_equal(wiki->connect_timeout_ms, 2000);
	assert_int_equal(wiki->concurrency, 32);
	assert_int_equal(wiki->host_concurrency, 0);
	assert_true(wiki->rate == 200);
	assert_int_equal(wiki->max_body, 8 << 20);
	assert_int_equal(wiki->max_idle_ms, 1000);
	assert_true(wiki->http2);
	assert_string_equal(wiki->per_record_headers[0], "X-Request-Id");
	assert_string_equal(wiki->tls.key, "client.key");
	assert_int_equal(wiki->retry.attempts, 2);
	assert_int_equal(wiki->retry.base_ms, 100);
	assert_int_equal(wiki->retry.on_count, 2);
	assert_int_equal(wiki->retry.on[1], 503);
	assert_int_equal(scores->retry.attempts, 5);
	assert_int_equal(scores->retry.on_count, 1);
	assert_int_equal(scores->retry.on[0], 502);
	assert_int_equal(scores->timeout_ms, 60000);
	assert_true(scores->rate == 0);
	assert_int_equal(scores->concurrency, 0);
	assert_int_equal(scores->host_concurrency, 4);
	config_free(c);
}

static void upstreams_take_their_rate_from_http_rate(void **state)
{
	(void)state;
	char *several = changed("  upstreams:\n",
	             "  rate: 20/s\n  upstreams:\n    own: {url: \"http://a/\", rate: 60/m}\n"
	             "    free: {url: \"http://a/\", rate: none}\n"),
	     *one = changed("  upstreams:\n    api: {url: \"http://localhost/\"}\n",
	             "  endpoint: http://localhost/\n  rate: 20/s\n");
	struct config *c = load_good(several), *short_form = load_good(one);
	struct buf shown;
	assert_true(c->upstreams[0].rate == 1);
	assert_true(c->upstreams[1].rate == 0);
	assert_true(c->upstreams[2].rate == 20);
	assert_true(short_form->upstreams[0].rate == 20);
	buf_init(&shown, 0);
	config_show(c, &shown);
	assert_non_null(strstr(shown.data, "\n      rate: 20/s "));
	buf_free(&shown);
	config_free(c);
	config_free(short_form);
	mem_free(several);
	mem_free(one);
}

static void a_script_that_asks_nothing_needs_no_http(void **state)
{
	(void)state;
	static const char http[] = "http:\n  user_agent: test/1.0 (me)\n  upstreams:\n    api: {url: "
	                           "\"http://localhost/\"}\n";
	char *text = changed(http, "");
	struct config_report report;
	struct config *c = load(text, &report);
	struct buf shown;
	if (c == NULL)
		fail_msg("%s", report.text.data);
	assert_int_equal(report.warnings, 0);
	assert_int_equal(c->upstream_count, 0);
	buf_init(&shown, 0);
	config_show(c, &shown);
	struct config *again = load_good(shown.data);
	buf_free(&shown);
	config_free(again);
	config_free(c);
	config_report_free(&report);
	mem_free(text);
}

static void sinks_are_streams_with_a_prefix_or_plain_topics(void **state)
{
	(void)state;
	struct config *c = load_good(full);
	struct script_world world;
	assert_int_equal(c->sink_count, 2);
	assert_string_equal(c->sinks[0].topic, "eqiad.content.v1");
	assert_string_equal(c->sinks[0].stream, "content.v1");
	assert_string_equal(c->sinks[0].schema, "/content/1.0.0");
	assert_int_equal(c->sinks[0].max_bytes, 2 << 20);
	assert_string_equal(c->sinks[1].topic, "scores");
	assert_null(c->sinks[1].stream);
	assert_null(c->sinks[1].schema);
	assert_string_equal(c->sinks[1].key[0].path, "meta.id");
	assert_string_equal(c->errors.topic, "eqiad.mw.error");
	assert_string_equal(c->errors.name, "errors");
	assert_string_equal(c->errors.kafka[0].value, "e");
	assert_string_equal(c->emitter_id, "me");
	config_world(c, &world);
	assert_int_equal(world.sink_count, 2);
	assert_string_equal(world.sinks[1].name, "plain");
	assert_string_equal(world.engine, "millrace/" MILLRACE_VERSION);
	mem_free((void *)(size_t)world.sinks);
	config_free(c);
}

static void what_is_left_out_has_its_default(void **state)
{
	(void)state;
	struct config *c = load_good(good);
	assert_string_equal(c->source.group, "my-job");
	assert_string_equal(c->source.start, "earliest");
	assert_string_equal(c->errors.stream, "my_job.error");
	assert_string_equal(c->errors.topic, "my_job.error");
	assert_string_equal(c->emitter_id, "my_job");
	assert_int_equal(c->errors.kafka_count, 1);
	assert_string_equal(c->errors.kafka[0].value, "localhost:9093");
	assert_int_equal(c->errors.max_bytes, 10 << 20);
	assert_int_equal(c->sinks[0].max_bytes, 10 << 20);
	assert_string_equal(c->sinks[0].name, "sink");
	assert_int_equal(c->script.memory, 128 << 20);
	assert_int_equal(c->script.budget_ms, 1000);
	assert_null(c->script.params_json);
	assert_int_equal(c->script_reload, SCRIPT_RELOAD_WATCH);
	assert_int_equal(c->upstreams[0].timeout_ms, 60000);
	assert_int_equal(c->upstreams[0].connect_timeout_ms, 5000);
	assert_int_equal(c->upstreams[0].concurrency, 64);
	assert_int_equal(c->upstreams[0].max_body, 56 << 20);
	assert_int_equal(c->upstreams[0].max_idle_ms, 3000);
	assert_int_equal(c->upstreams[0].retry.attempts, 8);
	assert_int_equal(c->upstreams[0].retry.base_ms, 500);
	assert_int_equal(c->upstreams[0].retry.cap_ms, 30000);
	assert_int_equal(c->upstreams[0].retry.deadline_ms, 600000);
	assert_int_equal(c->upstreams[0].retry.on_count, 0);
	assert_int_equal(c->limit_records, 10000);
	assert_int_equal(c->drain_ms, 25000);
	assert_int_equal(c->checkpoint_interval_ms, 1000);
	assert_null(c->checkpoint_dir);
	assert_int_equal(c->checkpoint_keep, 10);
	assert_string_equal(c->admin_listen, "127.0.0.1:9464");
	assert_null(c->admin_token);
	assert_int_equal(c->order, ORDER_KEY);
	assert_int_equal(c->key_count, 0);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->log_format, LOG_AUTO);
	assert_true(c->source.revoke_ms == 1500 && c->source.queue_bytes >= 1 << 20);
	config_free(c);
}

static void an_endpoint_is_short_for_one_upstream(void **state)
{
	(void)state;
	struct config *c = load_changed("  upstreams:\n    api: {url: \"http://localhost/\"}\n",
	        "  endpoint: http://localhost:6500/w/api.php\n  retry: {attempts: 3}\n");
	assert_int_equal(c->upstream_count, 1);
	assert_string_equal(c->upstreams[0].name, "default");
	assert_string_equal(c->upstreams[0].url, "http://localhost:6500/w/api.php");
	assert_int_equal(c->upstreams[0].retry.attempts, 3);
	assert_int_equal(c->upstreams[0].concurrency, 64);
	config_free(c);
}

static void automatic_memory_is_resolved(void **state)
{
	(void)state;
	struct config_report report;
	char *text = changed("500MiB", "auto");
	struct config *c = load(text, &report);
	if (c) { /* else this machine has too little, which the report says */
		assert_true(c->limit_memory_auto);
		assert_true(c->limit_memory >= c->budget.needed);
		config_free(c);
	} else {
		assert_non_null(strstr(report.text.data, "(auto) is too little"));
	}
	config_report_free(&report);
	mem_free(text);
}

static void the_admin_port_can_be_off(void **state)
{
	(void)state;
	struct config *c = load_changed("limits:", "admin: {listen: off}\nlimits:");
	assert_null(c->admin_listen);
	char *text = shown(c);
	assert_non_null(strstr(text, "  listen: \"off\" "));
	mem_free(text);
	config_free(c);
}

static void an_empty_section_has_its_defaults(void **state)
{
	(void)state;
	struct config *c = load_changed("limits:", "errors:\nlog:\nadmin: {}\nlimits:");
	assert_string_equal(c->admin_listen, "127.0.0.1:9464");
	assert_string_equal(c->errors.stream, "my_job.error");
	config_free(c);
}

static void a_missing_user_agent_is_a_warning(void **state)
{
	(void)state;
	struct config_report report;
	char *text = changed("  user_agent: test/1.0 (me)\n", "");
	struct config *c = load(text, &report);
	assert_non_null(c);
	assert_int_equal(report.warnings, 1);
	assert_string_equal(c->user_agent, "millrace/1.0 (no contact given)");
	assert_non_null(strstr(report.text.data, "t.yaml:6:1: warning[M132]: 'http.user_agent' is not set"));
	config_report_free(&report);
	config_free(c);
	mem_free(text);
}

static void outputs_too_large_for_the_memory_are_a_warning(void **state)
{
	(void)state;
	struct config_report report;
	char *text = changed("  stream: out\n", "  stream: out\n  max_bytes: 100MiB\n");
	struct config *c = load(text, &report);
	assert_non_null(c);
	assert_int_equal(report.warnings, 1);
	if (strstr(report.text.data,
	            "warning[M134]: sink.max_bytes: an output of that size needs 300 MiB at one time, and "
	            "limits.memory leaves 274 MiB for records") == NULL)
		fail_msg("%s", report.text.data);
	config_report_free(&report);
	config_free(c);
	mem_free(text);
}

static void variables_are_replaced_in_scalars_after_parsing(void **state)
{
	(void)state;
	setenv("MILLRACE_TEST", "a: [b", 1);
	struct config *c = load_changed("test/1.0 (me)",
	        "\"$$5 ${MILLRACE_TEST} ${MILLRACE_EMPTY}|${MILLRACE_EMPTY:-x}|$ ${NOT_SET_1:-}\"");
	assert_string_equal(c->user_agent, "$5 a: [b |x|$ ");
	config_free(c);
	setenv("MILLRACE_TEST", "7", 1);
	c = load_changed(
	        "{path: enrich.lua}", "{path: enrich.lua, params: {n: \"${MILLRACE_TEST}\", p: $$x}}");
	assert_string_equal(c->script.params_json, "{\"n\":\"7\",\"p\":\"$x\"}");
	config_free(c);
	c = load_changed("{path: enrich.lua}",
	        "\n  path: enrich.lua\n  params:\n    n: ${MILLRACE_TEST}\n  memory: ${MEM:-16MiB}");
	assert_string_equal(c->script.params_json, "{\"n\":7}");
	assert_int_equal(c->script.memory, 16 << 20);
	char *text = shown(c);
	assert_non_null(strstr(text, "# t.yaml:9, $MEM"));
	mem_free(text);
	config_free(c);
	unsetenv("MILLRACE_TEST");
}

static void a_file_gives_its_text_without_the_last_newline(void **state)
{
	(void)state;
	put("two", "a\nb\r\n");
	struct config *c = load_changed("limits:", "admin: {token: {file: two}}\nlimits:");
	assert_string_equal(c->admin_token, "a\nb");
	config_free(c);
	put("unfit", "x");
	FILE *file = fopen("unfit", "w");
	fwrite("a\0b", 1, 3, file);
	fclose(file);
	struct config_report report;
	char *text = changed("limits:", "admin: {token: {file: unfit}}\nlimits:");
	assert_null(load(text, &report));
	assert_non_null(strstr(report.text.data, "the file 'unfit' is not a text: it contains a NUL byte"));
	config_report_free(&report);
	mem_free(text);
}

static void a_pipe_without_a_writer_is_not_waited_for(void **state)
{
	(void)state;
	struct config_report report;
	char *text = changed("limits:", "admin: {token: {file: pipe}}\nlimits:");
	assert_int_equal(0, mkfifo("pipe", 0600));
	assert_null(load(text, &report));
	assert_non_null(strstr(report.text.data, "the file 'pipe' cannot be read: it is not a regular file"));
	config_report_free(&report);
	mem_free(text);
	unlink("pipe");
}

static void paths_are_looked_for_beside_the_file_first(void **state)
{
	(void)state;
	struct config_report report = {0};
	mkdir("sub", 0700);
	put("sub/enrich.lua", "return {}\n");
	struct config *c = config_parse("sub/t.yaml", good, strlen(good), &report);
	assert_string_equal(c->script.path, "sub/enrich.lua");
	config_free(c);
	unlink("sub/enrich.lua");
	c = config_parse("sub/t.yaml", good, strlen(good), &report);
	assert_string_equal(c->script.path, "enrich.lua");
	config_free(c);
	config_report_free(&report);
}

/* ---- what is shown ---- */

static void params_of_a_file_win_over_those_of_the_configuration(void **state)
{
	(void)state;
	static const char both[] = "{path: enrich.lua, params: {a: 1, b: {c: 2}}, params_file: more.yaml}";
	put("more.yaml", "b: [x]\ntoken: t0p\nn: \"${MILLRACE_TEST:-7}\"\n");
	struct config *c = load_changed("{path: enrich.lua}", both);
	assert_string_equal(c->script.params_json, "{\"a\":1,\"b\":[\"x\"],\"token\":\"t0p\",\"n\":\"7\"}");
	char *text = shown(c);
	assert_non_null(strstr(text, "\"token\":\"<redacted>\""));
	assert_non_null(strstr(text, "params_file: more.yaml"));
	assert_null(strstr(text, "t0p"));
	mem_free(text);
	config_free(c);
	put("more.yaml", "{\n\t\"x\": [true, \"1\"],\n\t\"y\": {}\n}\n");
	c = load_changed("{path: enrich.lua}", "{path: enrich.lua, params_file: more.yaml}");
	assert_string_equal(c->script.params_json, "{\"x\":[true,\"1\"],\"y\":{}}");
	config_free(c);
	put("more.yaml", "file: enrich.lua\n"); /* a name like any other, where the whole file is meant */
	c = load_changed("{path: enrich.lua}", "{path: enrich.lua, params_file: more.yaml}");
	assert_string_equal(c->script.params_json, "{\"file\":\"enrich.lua\"}");
	config_free(c);
	put("more.yaml", "# none yet\n");
	c = load_changed("{path: enrich.lua}", both);
	assert_string_equal(c->script.params_json, "{\"a\":1,\"b\":{\"c\":2}}");
	config_free(c);
}

static void a_bad_file_of_params_is_told_with_its_own_line(void **state)
{
	(void)state;
	static const struct {
		const char *text, *error;
	} files[] = {
	        {"a: 1\nb: .nan\n", "more.yaml:2:4: error[M105]: .nan has no form in JSON\n"},
	        {"a: 1\n\nb: [1\n", "more.yaml:"},
	        {"a: 1\na: 2\n", "more.yaml:2:1: error[M102]: "},
	        {"- a\n", "more.yaml:1:1: error[M105]: expected names and values, found a list\n"},
	        {"a: ${MILLRACE_TEST}\n",
	                "more.yaml:1:4: error[M107]: the variable MILLRACE_TEST is not set\n"},
	};
	char *text =
	        changed("{path: enrich.lua}", "{path: enrich.lua, params: {a: 1}, params_file: more.yaml}");
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct config_report report;
		put("more.yaml", files[i].text);
		assert_null(load(text, &report));
		if (strncmp(report.text.data, files[i].error, strlen(files[i].error)) != 0 ||
		        report.errors != 1)
			fail_msg("expected %s, got %s", files[i].error, report.text.data);
		assert_null(strstr(report.text.data, " | ")); /* lines of the configuration would mislead */
		config_report_free(&report);
	}
	mem_free(text);
}

static void a_reload_looks_at_the_section_script_alone(void **state)
{
	(void)state;
	struct config_report report = {0};
	put("more.yaml", "a: 2\n");
	put("reload.yaml", "name: [not, a, name]\nnonsense: 1\n"
	                   "script: {path: enrich.lua, params: {a: 1}, params_file: more.yaml}\n");
	struct config *c = config_load_script("reload.yaml", &report);
	assert_non_null(c);
	assert_string_equal(c->script.params_json, "{\"a\":2}");
	assert_string_equal(
	        c->script_params_file, c->script_params_file[0] == '.' ? "./more.yaml" : "more.yaml");
	config_free(c);
	config_report_free(&report);
	put("reload.yaml", "name: x\nscript: {path: enrich.lua, parms: {}}\n");
	assert_null(config_load_script("reload.yaml", &report));
	assert_non_null(
	        strstr(report.text.data, "reload.yaml:2:28: error[M101]: unknown key 'script.parms'"));
	config_report_free(&report);
	put("reload.yaml", "name: x\n");
	assert_null(config_load_script("reload.yaml", &report));
	assert_non_null(strstr(report.text.data, "'script' is required"));
	config_report_free(&report);
}

static void show_redacts_every_secret(void **state)
{
	(void)state;
	static const char *const secret[] = {"hunter2", "username: me", "\"token\":\"x\""};
	struct config *c = load_good(full);
	char *text = shown(c);
	for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
		if (strstr(text, secret[i]))
			fail_msg("shown: %s", text);
	assert_non_null(strstr(text, "    sasl.password: \"<redacted>\""));
	assert_non_null(strstr(text, "  token: \"<redacted>\""));
	assert_non_null(strstr(text, "\"token\":\"<redacted>\""));
	mem_free(text);
	config_free(c);
}

static void show_tells_where_each_value_came_from(void **state)
{
	(void)state;
	struct config *c = load_good(full);
	char *text = shown(c);
	assert_non_null(strstr(text, "name: mw-enrich                                 # t.yaml:1\n"));
	assert_non_null(strstr(text, "      timeout: 1m                               # default\n"));
	assert_non_null(strstr(text, "        attempts: 5                             # t.yaml:11\n"));
	assert_non_null(strstr(text, "        attempts: 2                             # t.yaml:24\n"));
	assert_non_null(strstr(text, "  plain:\n    topic: scores"));
	assert_non_null(strstr(text, "concurrency: auto"));
	assert_null(strstr(text, "sink:\n"));
	mem_free(text);
	config_free(c);
	c = load_good(good);
	text = shown(c);
	assert_non_null(strstr(text, "  stream: my_job.error                          # from name\n"));
	assert_non_null(
	        strstr(text, "  kafka:                                        # those of the first sink\n"));
	assert_null(strstr(text, "sinks:"));
	mem_free(text);
	config_free(c);
}

static void cut_comments(char *text)
{
	char *to = text;
	for (const char *at = text; *at; at += *at == '\n') {
		size_t size = strcspn(at, "\n");
		const char *mark = memmem(at, size, " #", 2), *end = mark ? mark : at + size;
		while (end > at && end[-1] == ' ')
			end--;
		memmove(to, at, (size_t)(end - at));
		to += end - at;
		*to++ = '\n';
		at += size;
	}
	*to = '\0';
}

static void what_show_prints_is_a_configuration_that_shows_the_same(void **state)
{
	(void)state;
	static const char *const files[] = {good, full};
	for (size_t i = 0; i < 2; i++) {
		struct config *c = load_good(files[i]);
		char *first = shown(c);
		config_free(c);
		c = load_good(first);
		char *second = shown(c);
		config_free(c);
		cut_comments(first);
		cut_comments(second);
		assert_string_equal(first, second);
		mem_free(first);
		mem_free(second);
	}
}

/* "#key: value" -> "key: value", as the file's first lines tell its reader to. */
static char *uncomment(const char *text)
{
	struct buf out;
	buf_init(&out, 0);
	while (*text) {
		size_t blank = strspn(text, " "), size = strcspn(text, "\n") + 1;
		bool setting = text[blank] == '#' && text[blank + 1] != ' ';
		buf_append(&out, text, blank);
		buf_append(&out, text + blank + setting, size - blank - setting);
		text += size;
	}
	return buf_steal(&out, NULL);
}

static char *replaced(char *text, const char *from, const char *to)
{
	char *at = strstr(text, from);
	assert_non_null(at);
	char *result = mem_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	mem_free(text);
	return result;
}

static void the_commented_defaults_load_as_they_are_and_uncommented(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 0);
	config_defaults(&out);
	char *text = replaced(buf_steal(&out, NULL), "#memory: auto", "memory: 1GiB");
	struct config *c = load_good(text);
	assert_int_equal(c->upstreams[0].retry.attempts, 8);
	config_free(c);
	char *all = uncomment(text);
	all = replaced(all, "/etc/ssl/certs/ca-certificates.crt", "ca.pem");
	all = replaced(all, "/run/secrets/token", "secret");
	all = replaced(all, "http://localhost:8080", "https://localhost:8080");
	c = load_good(all);
	assert_string_equal(c->source.group, "my-group");
	assert_int_equal(c->upstreams[0].retry.attempts, 3);
	assert_int_equal(c->limit_records, 10000);
	config_free(c);
	mem_free(all);
	mem_free(text);
}

static void no_key_of_the_table_is_forgotten_by_the_reference(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 0);
	config_reference(&out);
	static const char *const rows[] = {"| `name` | text | required |",
	        "| `http.upstreams.NAME.timeout` | duration, 1ms to 1h | `60s` |",
	        "| `order` | `key`, `partition`, `none` | `key` |", "| `sinks` |",
	        "| `http.upstreams.NAME.retry` |", "| `checkpoint.dir` |", "| `admin.token` |"};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strstr(out.data, rows[i]) == NULL)
			fail_msg("missing: %s\n%s", rows[i], out.data);
	buf_free(&out);
}

/* JSON is YAML: the strict reader finds what is unbalanced, and the keys can be looked up. */
static const struct yaml_node *at_path(const struct yaml_node *node, const char *const *path)
{
	for (; *path; path++) {
		long at = yaml_tree_find(node, *path);
		if (at < 0)
			fail_msg("the schema has no %s", *path);
		node = &node->items[at];
	}
	return node;
}

static void no_problem(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	(void)context;
	(void)hint;
	fail_msg("schema %u:%u: %s", place->line, place->column, text);
}

static void the_schema_is_well_formed_and_has_the_keys(void **state)
{
	(void)state;
	struct buf out;
	struct yaml_listener listener = {NULL, no_problem};
	buf_init(&out, 0);
	config_schema(&out);
	struct yaml_node *root = yaml_tree_parse(out.data, out.size, &listener);
	assert_non_null(root);
	const char *const timeout[] = {"properties", "http", "properties", "upstreams",
	        "additionalProperties", "properties", "timeout", "default", NULL};
	const char *const closed[] = {"properties", "sink", "additionalProperties", NULL};
	assert_string_equal(at_path(root, timeout)->text, "60s");
	assert_string_equal(at_path(root, closed)->text, "false");
	yaml_tree_free(root);
	buf_free(&out);
}

/* ---- whatever is in the file ---- */

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void mutate(char *text, size_t *size, size_t room, unsigned *seed)
{
	static const char bits[][12] = {"{", "}", "[", "]", ":", ": ", "\n", "\n  ", "- ", "#", "'", "\"",
	        "&a ", "*a", "!x ", "<<: ", "${", "${X}", "$$", "\t", "\xff", "\xc3\xa9", "---\n", "? ",
	        "|\n", "null", "true", "1e9", "{file: .}", "%", "@"};
	for (unsigned n = 1 + next_random(seed) % 4; n > 0; n--) {
		size_t at = next_random(seed) % (*size + 1), count = next_random(seed) % 12;
		const char *bit = bits[next_random(seed) % (sizeof bits / sizeof *bits)];
		size_t length = strlen(bit);
		if (next_random(seed) % 3 == 0 && at + count <= *size) { /* cut a piece out */
			memmove(text + at, text + at + count, *size - at - count);
			*size -= count;
		} else if (*size + length <= room) { /* put a piece in */
			memmove(text + at + length, text + at, *size - at);
			memcpy(text + at, bit, length);
			*size += length;
		}
	}
}

static void whatever_is_in_the_file_nothing_crashes(void **state)
{
	(void)state;
	unsigned seed = unit_seed();
	const char *given = getenv("MILLRACE_ROUNDS");
	size_t rounds = given ? strtoul(given, NULL, 10) : 3000, loaded = 0;
	char *text = mem_alloc(sizeof full + 64);
	for (size_t i = 0; i < rounds; i++) {
		struct config_report report = {0};
		size_t size = sizeof full - 1;
		memcpy(text, full, size);
		mutate(text, &size, sizeof full + 64, &seed);
		struct config *c = config_parse("t.yaml", text, size, &report);
		assert_int_equal(c == NULL, report.errors > 0);
		if (c) {
			char *show = shown(c);
			mem_free(show);
			loaded++;
		}
		config_free(c);
		config_report_free(&report);
	}
	mem_free(text);
	assert_true(loaded > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_bad_file_is_refused_at_its_place),
	        cmocka_unit_test(all_problems_are_told_in_one_run_by_line),
	        cmocka_unit_test(the_report_shows_the_line_with_a_caret_and_a_hint),
	        cmocka_unit_test(no_message_shows_a_secret),
	        cmocka_unit_test(a_file_that_is_not_there_is_one_error),
	        cmocka_unit_test(every_key_reaches_its_place),
	        cmocka_unit_test(a_stream_is_read_by_the_topic_of_its_name),
	        cmocka_unit_test(upstreams_take_what_they_leave_out_from_http_retry),
	        cmocka_unit_test(upstreams_take_their_rate_from_http_rate),
	        cmocka_unit_test(a_script_that_asks_nothing_needs_no_http),
	        cmocka_unit_test(sinks_are_streams_with_a_prefix_or_plain_topics),
	        cmocka_unit_test(what_is_left_out_has_its_default),
	        cmocka_unit_test(an_endpoint_is_short_for_one_upstream),
	        cmocka_unit_test(automatic_memory_is_resolved),
	        cmocka_unit_test(the_admin_port_can_be_off),
	        cmocka_unit_test(an_empty_section_has_its_defaults),
	        cmocka_unit_test(a_missing_user_agent_is_a_warning),
	        cmocka_unit_test(outputs_too_large_for_the_memory_are_a_warning),
	        cmocka_unit_test(variables_are_replaced_in_scalars_after_parsing),
	        cmocka_unit_test(a_file_gives_its_text_without_the_last_newline),
	        cmocka_unit_test(a_pipe_without_a_writer_is_not_waited_for),
	        cmocka_unit_test(paths_are_looked_for_beside_the_file_first),
	        cmocka_unit_test(params_of_a_file_win_over_those_of_the_configuration),
	        cmocka_unit_test(a_bad_file_of_params_is_told_with_its_own_line),
	        cmocka_unit_test(a_reload_looks_at_the_section_script_alone),
	        cmocka_unit_test(show_redacts_every_secret),
	        cmocka_unit_test(show_tells_where_each_value_came_from),
	        cmocka_unit_test(what_show_prints_is_a_configuration_that_shows_the_same),
	        cmocka_unit_test(the_commented_defaults_load_as_they_are_and_uncommented),
	        cmocka_unit_test(no_key_of_the_table_is_forgotten_by_the_reference),
	        cmocka_unit_test(the_schema_is_well_formed_and_has_the_keys),
	        cmocka_unit_test(whatever_is_in_the_file_nothing_crashes),
	};
	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
