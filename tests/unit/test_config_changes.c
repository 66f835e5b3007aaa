/* What changes in a configuration is named, and taken over where that needs no restart. */
#include "config.h"
#include "mem.h"
#include "unit.h"

#include <unistd.h>

static char home[64];

static struct config *parse(const char *text)
{
	struct config_report report = {0};
	struct config *config = config_parse("job.yaml", text, strlen(text), &report);
	if (config == NULL)
		fail_msg("%s", report.text.data);
	config_report_free(&report);
	return config;
}

static const char usual[] =
        "name: job\n"
        "source: {topics: [in], kafka: {bootstrap.servers: \"localhost:1\"}}\n"
        "script: {path: job.lua, params: {n: 1}}\n"
        "http:\n"
        "  user_agent: t\n"
        "  upstreams: {a: {url: \"http://a/\"}, b: {url: \"http://b/\", retry: {on: [502]}}}\n"
        "sink: {topic: out, kafka: {bootstrap.servers: \"localhost:1\"}}\n"
        "admin: {token: secret}\n"
        "limits: {memory: 900MiB}\n";

/* The usual one with the first text replaced by the second. */
static struct config *with(const char *old, const char *new)
{
	const char *at = strstr(usual, old);
	assert_non_null(at);
	char *text = mem_printf("%.*s%s%s", (int)(at - usual), usual, new, at + strlen(old));
	struct config *config = parse(text);
	mem_free(text);
	return config;
}

static int setup(void **state)
{
	snprintf(home, sizeof home, "/tmp/millrace-changes-XXXXXX");
	if (mkdtemp(home) == NULL || chdir(home) != 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		FILE *file = fopen(i ? "job.lua" : "other.lua", "w");
		if (file)
			fclose(file);
	}
	*state = parse(usual);
	return 0;
}

static int teardown(void **state)
{
	config_free(*state);
	unlink("job.lua");
	unlink("other.lua");
	return chdir("/") || rmdir(home);
}

static void names(struct config *live, struct config *now, enum config_part part, const char *expected)
{
	struct buf found;
	buf_init(&found, 0);
	config_changes(live, now, part, &found);
	assert_string_equal(found.data ? found.data : "", expected);
	buf_free(&found);
}

/* Three lists: of the script, others that take effect, others that do not. */
static void differs(
        struct config *live, struct config *now, const char *script, const char *other, const char *fixed)
{
	names(live, now, CONFIG_PART_SCRIPT, script);
	names(live, now, CONFIG_PART_OTHER, other);
	names(live, now, CONFIG_PART_FIXED, fixed);
	config_free(now);
}

static void what_is_the_same_is_no_change(void **state)
{
	differs(*state, parse(usual), "", "", "");
	differs(*state, with("{topics: [in],", "{topics: [ \"in\" ],"), "", "", "");
}

static void each_change_is_named_where_it_belongs(void **state)
{
	differs(*state, with("params: {n: 1}", "params: {n: 2}"), "script.params", "", "");
	differs(*state, with("path: job.lua", "path: other.lua"), "script.path", "", "");
	differs(*state, with("params: {n: 1}", "tests: false, rollback: {share: off}, memory: 64MiB"),
	        "script.params, script.tests, script.rollback.share", "", "script.memory");
	differs(*state, with("admin:", "drain: 1s\nlog: {level: debug}\nadmin:"), "", "drain, log.level", "");
	differs(*state, with("token: secret", "token: another"), "", "", "admin.token");
	differs(*state, with("{topics: [in],", "{topics: [in, more],"), "", "", "source.topics");
	differs(*state,
	        with("bootstrap.servers: \"localhost:1\"}}\nscript",
	                "bootstrap.servers: x, client.rack: b}}\nscript"),
	        "", "", "source.kafka");
	differs(*state, with("sink: {topic: out", "sink: {topic: other"), "", "", "sink.topic");
	differs(*state, with("admin:", "key: {a: b}\nadmin:"), "", "", "key");
}

static void upstreams_are_compared_by_name(void **state)
{
	differs(*state, with("url: \"http://a/\"", "url: \"http://a/\", rate: 5/s, timeout: 1s, http2: true"),
	        "", "http.upstreams.a.timeout, http.upstreams.a.rate", "http.upstreams.a.http2");
	differs(*state, with("[502]", "[503]"), "", "http.upstreams.b.retry.on", "");
	differs(*state, with("user_agent: t", "user_agent: t\n  rate: 7/s"), "",
	        "http.rate, http.upstreams.a.rate, http.upstreams.b.rate", "");
	differs(*state, with("b: {url", "c: {url"), "", "", "http.upstreams");
	differs(*state, with("a: {url: \"http://a/\"}, ", ""), "", "", "http.upstreams");
}

static void what_may_change_is_taken_over_in_place_and_nothing_else(void **state)
{
	struct config *live = *state;
	const struct upstream_config *upstream = live->upstreams;
	struct config *now =
	        with("url: \"http://a/\"", "url: \"http://else/\", rate: 5/s, retry: {on: [500, 501]}");
	struct buf found;
	buf_init(&found, 0);
	now->log_level = LOG_DEBUG;
	mem_free((char *)(size_t)now->script.params_json);
	now->script.params_json = mem_strdup("{\"n\":9}");
	config_adopt(live, now, CONFIG_PART_OTHER, &found);
	assert_string_equal(found.data, "http.upstreams.a.rate, http.upstreams.a.retry.on, log.level");
	assert_true(upstream->rate == 5 && upstream->retry.on_count == 2 && upstream->retry.on[1] == 501);
	assert_string_equal(upstream->url, "http://a/");
	assert_int_equal(live->log_level, LOG_DEBUG);
	assert_string_equal(live->script.params_json, "{\"n\":1}");
	buf_clear(&found);
	config_adopt(live, now, CONFIG_PART_SCRIPT, &found);
	assert_string_equal(found.data, "script.params");
	assert_string_equal(live->script.params_json, "{\"n\":9}");
	assert_string_equal(now->script.params_json, "{\"n\":1}");
	names(live, now, CONFIG_PART_FIXED, "http.upstreams.a.url");
	buf_free(&found);
	config_free(now);
}

static void a_share_is_a_number_or_off(void **state)
{
	(void)state;
	struct config *config = with("params: {n: 1}", "rollback: {share: 0.25, records: 7, time: 5s}");
	assert_true(config->rollback.share == 0.25 && config->rollback.records == 7 &&
	            config->rollback.time_ms == 5000);
	config_free(config);
	config = with("params: {n: 1}", "rollback: {share: off}");
	assert_true(config->rollback.share == 0 && config->rollback.records == 200);
	config_free(config);
	static const char *const bad[] = {"0", "1.5", "-1", "half", "1e-1", "0.5.5", "50%"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct config_report report = {0};
		const char *at = strstr(usual, "params: {n: 1}");
		char *text =
		        mem_printf("%.*srollback: {share: %s}%s", (int)(at - usual), usual, bad[i], at + 14);
		assert_null(config_parse("job.yaml", text, strlen(text), &report));
		assert_non_null(strstr(report.text.data,
		        ": script.rollback.share: expected from 0.01 to 1, or off, found '"));
		config_report_free(&report);
		mem_free(text);
	}
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        STORY(what_is_the_same_is_no_change),
	        STORY(each_change_is_named_where_it_belongs),
	        STORY(upstreams_are_compared_by_name),
	        STORY(what_may_change_is_taken_over_in_place_and_nothing_else),
	        STORY(a_share_is_a_number_or_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
