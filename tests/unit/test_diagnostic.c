/* What is wrong in a file of the user's, as it is shown. */
#include "diagnostic.h"
#include "unit.h"

static void add(
        struct diagnostics *found, unsigned line, unsigned column, unsigned length, const char *message)
{
	struct diagnostic item = {.file = (char[]){"f"}, .line = line, .column = column, .length = length};
	item.message = (char *)(size_t)message;
	diagnostics_add(found, &item);
}

static void shows(const char *source, unsigned line, unsigned column, unsigned length, const char *expected)
{
	struct diagnostics found = {0};
	struct buf out;
	buf_init(&out, 0);
	add(&found, line, column, length, "m");
	diagnostics_text(&found, source, strlen(source), false, &out);
	assert_string_equal(out.data, expected);
	diagnostics_free(&found);
	buf_free(&out);
}

static void the_caret_stands_below_the_characters_it_means(void **state)
{
	(void)state;
	shows("a: b\nc: de\n", 2, 4, 2, "f:2:4: error: m\n     2 | c: de\n       |    ^^\n");
	shows("\tx: y", 1, 5, 1, "f:1:5: error: m\n     1 | \tx: y\n       | \t   ^\n");
	shows("\xC3\xA4\xC3\xA4: y", 1, 5, 1,
	        "f:1:5: error: m\n     1 | \xC3\xA4\xC3\xA4: y\n       |     ^\n");
	shows("ab\r\n", 1, 1, 99, "f:1:1: error: m\n     1 | ab\n       | ^^\n");
	shows("ab", 1, 3, 1, "f:1:3: error: m\n     1 | ab\n       |   ^\n");
}

static void no_line_is_shown_where_there_is_none(void **state)
{
	(void)state;
	shows("ab", 0, 0, 0, "f: error: m\n");
	shows("ab", 7, 1, 1, "f:7:1: error: m\n");
	shows("ab", 1, 1, 0, "f:1:1: error: m\n");
	shows("", 1, 1, 1, "f:1:1: error: m\n");
}

static void a_line_that_may_hold_a_secret_is_not_shown(void **state)
{
	(void)state;
	shows("sasl.password: x", 1, 1, 4, "f:1:1: error: m\n");
	shows("Token: x", 1, 1, 4, "f:1:1: error: m\n");
	shows("-----BEGIN PRIVATE KEY-----", 1, 1, 4, "f:1:1: error: m\n");
}

static void a_line_of_any_length_and_content_leaves_the_terminal_alone(void **state)
{
	(void)state;
	char source[1000], expected[400];
	memset(source, 'x', sizeof source);
	memcpy(source, "\033[2J", 4);
	source[sizeof source - 1] = '\0';
	snprintf(expected, sizeof expected,
	        "f:1:9: error: m\n     1 | ?[2J%.156s...\n       |         ^^^^^\n", source + 4);
	shows(source, 1, 9, 5, expected);
}

static void of_a_long_line_what_stands_around_the_caret_is_shown(void **state)
{
	(void)state;
	char source[1000], expected[500];
	memset(source, 'x', sizeof source);
	source[sizeof source - 1] = '\0';
	snprintf(expected, sizeof expected,
	        "f:1:900: error: m\n     1 | ...%.160s...\n       |    %80s^^^^^\n", source, "");
	shows(source, 1, 900, 5, expected);
	snprintf(expected, sizeof expected, "f:1:990: error: m\n     1 | ...%.90s\n       |    %80s^^^^^\n",
	        source, "");
	shows(source, 1, 990, 5, expected);
}

static void an_excerpt_of_its_own_shows_lines_above_and_details_below(void **state)
{
	(void)state;
	struct diagnostics found = {0};
	struct buf out;
	struct diagnostic item = {.file = (char[]){"f"},
	        .code = M201_INDEX,
	        .line = 12,
	        .column = 3,
	        .length = 2,
	        .excerpt = (char[]){"above\n  it"},
	        .message = (char[]){"m"},
	        .details = (char[]){"   in a hook\n"},
	        .hint = (char[]){"h"}};
	buf_init(&out, 0);
	diagnostics_add(&found, &item);
	diagnostics_text(&found, "another text", 12, false, &out);
	assert_string_equal(out.data, "f:12:3: error[M201]: m\n    11 | above\n    12 |   it\n"
	                              "       |   ^^\n   in a hook\n   hint: h\n");
	diagnostics_free(&found);
	buf_free(&out);
}

static void problems_are_sorted_by_place_and_counted_beyond_the_limit(void **state)
{
	(void)state;
	struct diagnostics found = {0};
	struct buf out;
	buf_init(&out, 0);
	for (unsigned i = 0; i < DIAGNOSTICS_MAX + 5; i++)
		add(&found, 1000 - i % 3, 1, 0, "m");
	diagnostics_sort(&found);
	for (size_t i = 1; i < found.count; i++)
		assert_true(found.items[i - 1].line <= found.items[i].line);
	assert_int_equal(found.count, DIAGNOSTICS_MAX);
	assert_int_equal(found.errors, DIAGNOSTICS_MAX + 5);
	diagnostics_text(&found, NULL, 0, true, &out);
	assert_non_null(strstr(out.data, "and 5 more\n"));
	diagnostics_free(&found);
	buf_free(&out);
}

static void json_has_one_object_a_line(void **state)
{
	(void)state;
	struct diagnostics found = {0};
	struct buf out;
	struct diagnostic item = {.severity = SEVERITY_WARNING,
	        .code = M131_KAFKA_DOUBT,
	        .file = (char[]){"a\"b"},
	        .line = 3,
	        .column = 4,
	        .message = (char[]){"m"},
	        .hint = (char[]){"h"}};
	buf_init(&out, 0);
	diagnostics_add(&found, &item);
	diagnostics_json(&found, &out);
	assert_string_equal(out.data, "{\"file\":\"a\\\"b\",\"line\":3,\"column\":4,\"severity\":\"warning\","
	                              "\"code\":\"M131\",\"message\":\"m\",\"hint\":\"h\"}\n");
	diagnostics_free(&found);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_caret_stands_below_the_characters_it_means),
	        cmocka_unit_test(no_line_is_shown_where_there_is_none),
	        cmocka_unit_test(a_line_that_may_hold_a_secret_is_not_shown),
	        cmocka_unit_test(a_line_of_any_length_and_content_leaves_the_terminal_alone),
	        cmocka_unit_test(of_a_long_line_what_stands_around_the_caret_is_shown),
	        cmocka_unit_test(an_excerpt_of_its_own_shows_lines_above_and_details_below),
	        cmocka_unit_test(problems_are_sorted_by_place_and_counted_beyond_the_limit),
	        cmocka_unit_test(json_has_one_object_a_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
