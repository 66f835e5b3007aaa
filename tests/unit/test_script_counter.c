/* Numbers of the script's own among the engine's metrics. */
#include "metrics_user.h"
#include "script_fixture.h"

static struct script_world counting_world;
static struct metrics_user *counters;

static int open_counters(void **state)
{
	(void)state;
	counters = metrics_user_open();
	counting_world = world;
	counting_world.counters = counters;
	fixture_world = &counting_world;
	return 0;
}

static int close_counters(void **state)
{
	(void)state;
	fixture_world = &world;
	metrics_user_close(counters);
	return 0;
}

static void add_line(void *context, const char *name, const char *labels, double value)
{
	buf_printf(context, "%s{%s}=%g ", name, labels, value);
}

static void assert_counted(const char *expected)
{
	struct buf said;
	buf_init(&said, 0);
	metrics_user_each(counters, add_line, &said);
	buf_append_byte(&said, '\0');
	assert_string_equal(expected, said.data);
	buf_free(&said);
}

/* Loads a script with this head, runs this as its transform; answers the failure's message, or NULL. */
static char *walk(const char *head, const char *body)
{
	char *text = mem_printf("local millrace = require 'millrace'\n%s\n"
	                        "return {api = 1, transform = function(event) %s return event end}\n",
	        head, body);
	struct script *script = fixture_open(text);
	struct script_result result = fixture_transform(script, NULL);
	char *said = result.verdict == VERDICT_FAIL ? mem_strdup(result.message) : NULL;
	script_result_free(&result);
	script_release(script);
	mem_free(text);
	return said;
}

static void a_hook_counts(void **state)
{
	(void)state;
	assert_null(walk("local c = millrace.counter('skipped_slots', 'Slots.', {'role', 'why'})\n"
	                 "local all = millrace.counter('all_slots', 'All.')",
	        "c('main', true) c('main', true, 2.5) c(12345678901234567, nil, 0) c('x') all()"));
	assert_counted("all_slots{}=1 skipped_slots{role=\"main\",why=\"true\"}=3.5 "
	               "skipped_slots{role=\"12345678901234568\",why=\"none\"}=0 "
	               "skipped_slots{role=\"x\",why=\"none\"}=1 ");
}

static void without_labels_it_is_there_from_the_start(void **state)
{
	(void)state;
	assert_null(walk(
	        "local c = millrace.counter('a', 'A.') local d = millrace.counter('d', 'D.', {'x'})", ""));
	assert_counted("a{}=0 ");
}

static void loading_and_selftest_count_nothing(void **state)
{
	(void)state;
	struct script *script = fixture_open("local c = require('millrace').counter('a', 'A.')\n"
	                                     "c()\n"
	                                     "return {api = 1, selftest = function() c() end,\n"
	                                     "  transform = function(event) return event end}\n");
	struct err err = {""};
	script_sound(script, &err);
	script_release(script);
	assert_counted("a{}=0 ");
}

static void what_cannot_be_a_metric_is_refused(void **state)
{
	(void)state;
	static const char *const cases[][2] = {{"millrace.counter('A', 'A.')", "the name must be"},
	        {"millrace.counter('', 'A.')", "the name must be"},
	        {"millrace.counter('1a', 'A.')", "the name must be"},
	        {"millrace.counter('a-b', 'A.')", "the name must be"},
	        {"millrace.counter('a\\0b', 'A.')", "the name must be"},
	        {"millrace.counter(('a'):rep(49), 'A.')", "the name must be"},
	        {"millrace.counter('a_total', 'A.')", "adds _total"},
	        {"millrace.counter('a')", "string expected"}, {"millrace.counter('a', '')", "help"},
	        {"millrace.counter('a', '\\255')", "help"}, {"millrace.counter('a', ('x'):rep(301))", "help"},
	        {"millrace.counter('a', 'A.', 'code')", "table expected"},
	        {"millrace.counter('a', 'A.', {'le'})", "a label must be"},
	        {"millrace.counter('a', 'A.', {'a b'})", "a label must be"},
	        {"millrace.counter('a', 'A.', {'b', 'b'})", "two labels"},
	        {"millrace.counter('a', 'A.', {1})", "list of names"},
	        {"millrace.counter('a', 'A.', {'a', 'b', 'c', 'd', 'e'})", "at most 4"},
	        {"millrace.counter('a', 'A.')(-1)", "only grows"},
	        {"millrace.counter('a', 'A.')(0/0)", "only grows"},
	        {"millrace.counter('a', 'A.')(math.huge)", "only grows"},
	        {"millrace.counter('a', 'A.')('x')", "number expected"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *said = walk("", cases[i][0]);
		if (said == NULL || strstr(said, cases[i][1]) == NULL)
			fail_msg("%s: %s", cases[i][0], said ? said : "nothing was said");
		mem_free(said);
	}
}

static void values_are_cut_and_nothing_else_runs(void **state)
{
	(void)state;
	assert_null(walk("local c = millrace.counter('a', 'A.', {'x'})",
	        "c(('\xe2\x82\xac'):rep(30)) c(setmetatable({}, {__tostring = error})) c(c)"));
	assert_counted(
	        "a{x=\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
	        "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82"
	        "\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\"}=1 "
	        "a{x=\"table\"}=1 a{x=\"function\"}=1 ");
}

static void without_a_page_it_only_runs(void **state)
{
	(void)state;
	fixture_world = &world;
	assert_null(walk("local c = millrace.counter('a', 'A.', {'x'}) local d = millrace.counter('d', 'D.')",
	        "c('y') d()"));
}

static int run(void)
{
#define story(name) cmocka_unit_test_setup_teardown(name, open_counters, close_counters)
	const struct CMUnitTest tests[] = {
	        story(a_hook_counts),
	        story(without_labels_it_is_there_from_the_start),
	        story(loading_and_selftest_count_nothing),
	        story(what_cannot_be_a_metric_is_refused),
	        story(values_are_cut_and_nothing_else_runs),
	        story(without_a_page_it_only_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run);
}
