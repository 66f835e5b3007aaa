/* What the tests of scripts share: a script from text, a record, and its walk through the hooks. */
#ifndef MILLRACE_SCRIPT_FIXTURE_H
#define MILLRACE_SCRIPT_FIXTURE_H

#include "mem.h"
#include "script.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Scripts run on a thread with a large stack, as in the process. */
enum { STACK_BYTES = 256 << 20, MEMORY = 32 << 20 };

static int fixture_budget_ms = 30;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
enum { SLOW = 8 };
#else
enum { SLOW = 1 };
#endif

static const struct key_field page_key[] = {{"wiki_id", "wiki_id"}, {"page_id", "page.page_id"}};
static const struct script_sink sinks[] = {
        {.name = "content", .max_bytes = 100000},
        {.name = "stamped", .stream = "mediawiki.page_content_change.v1", .max_bytes = 100000},
        {.name = "keyed", .key = page_key, .key_count = 2, .max_bytes = 1000},
};
static char *wiki_hosts[] = {"*.example.org", "www.wikidata.org"};
static const struct upstream_config upstreams[] = {
        {.name = "mediawiki", .url = "http://localhost:6500/w/api.php"},
        {.name = "open", .url = "https://{host}/w/api.php", .hosts = wiki_hosts, .host_count = 2},
        {.name = "scores", .url = "https://scores.example:30443"},
};
static const struct script_world world = {.upstreams = upstreams,
        .upstream_count = 3,
        .sinks = sinks,
        .sink_count = 3,
        .key = page_key,
        .key_count = 2,
        .engine = "millrace/test"};

/* The same with the stamped sink first. */
static const struct script_world stamping_world = {.upstreams = upstreams,
        .upstream_count = 3,
        .sinks = sinks + 1,
        .sink_count = 1,
        .engine = "millrace/test"};
static const struct script_world *fixture_world = &world;

static const char edit[] =
        "{\"$schema\":\"/mediawiki/page/change/1.2.0\",\"wiki_id\":\"enwiki\","
        "\"page\":{\"page_id\":123,\"tags\":[]},\"dt\":\"2026-11-22T13:26:28Z\","
        "\"big\":9007199254740993,\"meta\":{\"id\":\"d86946db-187d-489b-a4d2-9a9effaf5c22\","
        "\"domain\":\"en.example.org\",\"stream\":\"mediawiki.page_change\",\"uri\":\"u\","
        "\"request_id\":\"r\",\"dt\":\"2026-11-22T13:26:29.5Z\"}}";

static inline char *fixture_write(const char *folder, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return path;
}

static inline struct script *fixture_open_file(const char *path, const char *params, struct err *err)
{
	struct script_config config = {.path = path,
	        .params_json = params,
	        .memory = MEMORY,
	        .budget_ms = fixture_budget_ms * SLOW,
	        .max_event = 1 << 20};
	return script_open(&config, fixture_world, err);
}

/* A script of this text, or NULL and err. */
static inline struct script *fixture_try(const char *text, const char *params, struct err *err)
{
	char folder[] = "/tmp/millrace-script-XXXXXX";
	assert_non_null(mkdtemp(folder));
	char *path = fixture_write(folder, "t.lua", text);
	struct script *script = fixture_open_file(path, params, err);
	unlink(path);
	rmdir(folder);
	mem_free(path);
	return script;
}

static inline struct script *fixture_open(const char *text)
{
	struct err err = {""};
	struct script *script = fixture_try(text, "{\"missing\":\"fail\",\"list\":[1,2]}", &err);
	if (script == NULL)
		fail_msg("the script does not load: %s", err.text);
	return script;
}

/* A module with these hooks; `request` and `transform` are the bodies of the functions. */
static inline struct script *fixture_hooks(const char *request, const char *transform)
{
	char *text = mem_printf("local millrace = require 'millrace'\n"
	                        "local kept = {}\n"
	                        "return {api = 1, request = function(event, meta) %s\nend,\n"
	                        "transform = function(event, response, meta) %s\nend,\n"
	                        "parts = function(json, values, response) return json end}\n",
	        request, transform);
	struct script *script = fixture_open(text);
	mem_free(text);
	return script;
}

static inline struct script_input fixture_input(const char *value)
{
	static const struct output_header headers[] = {
	        {"trace", "first", 5}, {"trace", "last", 4}, {"null", NULL, 0}};
	return (struct script_input){.topic = "eqiad.mediawiki.page_change",
	        .partition = 3,
	        .offset = 9007199254740991,
	        .timestamp = 1763814388123,
	        .key = {"own-key", 7},
	        .value = {value, value ? strlen(value) : 0},
	        .headers = headers,
	        .header_count = 3};
}

static inline void fixture_decode(struct script *script, struct script_event *event, const char *value)
{
	struct script_result result = {0};
	struct script_input input = fixture_input(value);
	if (!script_decode(event, script, &input, &result))
		fail_msg("the event is refused: %s: %s", result.type, result.message);
}

/* Runs `request` alone on the edit. */
static inline struct script_result fixture_request(struct script *script)
{
	struct script_event event;
	struct script_result result;
	fixture_decode(script, &event, edit);
	script_request(&event, 1, &result);
	script_forget(&event);
	return result;
}

/* Runs `transform` on the edit with the answer `body` to a plain request; NULL = without a response. */
static inline struct script_result fixture_transform(struct script *script, const char *body)
{
	struct script_event event;
	struct script_result result;
	struct request request = {0};
	struct response response = {.status = 200, .body = (char *)(uintptr_t)body, .attempts = 1};
	struct script_answer_part answer = {&response, &request, -2};
	response.body_size = body ? strlen(body) : 0;
	fixture_decode(script, &event, edit);
	if (body)
		assert_int_equal(
		        SCRIPT_ANSWER_OK, script_answer(script, &request, &response,
		                                  (const char *const[]){""}, 1, &answer.part, &result));
	script_transform(&event, &answer, body ? 1 : 0, &result);
	script_forget(&event);
	return result;
}

/* The result must be a failure of this type whose message holds these words; frees it. */
static inline void expect_failure(struct script_result *result, const char *type, const char *words)
{
	if (result->verdict != VERDICT_FAIL)
		fail_msg("no failure but verdict %d; expected %s: %s", result->verdict, type, words);
	if (strcmp(result->type, type) != 0 || strstr(result->message, words) == NULL)
		fail_msg("failed with %s: %s\nexpected %s: ...%s...", result->type, result->message, type,
		        words);
	script_result_free(result);
}

static inline void expect_output(struct script_result *result, const char *words)
{
	if (result->verdict == VERDICT_FAIL)
		fail_msg("failed with %s: %s\n%s", result->type, result->message,
		        result->stack ? result->stack : "");
	assert_int_equal(VERDICT_OUTPUT, result->verdict);
	const char *value = result->outputs[0].value ? result->outputs[0].value : "null";
	if (strstr(value, words) == NULL)
		fail_msg("'%s' is not in the output %s", words, value);
	script_result_free(result);
}

/* The state still does its work. */
static inline void expect_sane(struct script *script)
{
	struct script_event event;
	fixture_decode(script, &event, edit);
	script_forget(&event);
}

struct fixture_tests {
	int (*run)(void);
	int failed;
};

static inline void *fixture_thread(void *context)
{
	struct fixture_tests *tests = context;
	tests->failed = tests->run();
	return NULL;
}

static inline int fixture_main(int (*run)(void))
{
	struct fixture_tests tests = {.run = run};
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (pthread_create(&thread, &attributes, fixture_thread, &tests) != 0)
		return 2;
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	return tests.failed;
}

#endif
