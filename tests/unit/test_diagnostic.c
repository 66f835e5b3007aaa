/* What is wrong in a file of the user's, as it is shown. */
#include "diagnostic.h"
#include "script_place.h"
#include "mem.h"
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

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

static void script_at_says(const char *path, const char *text, const char *expected)
{
	struct diagnostics found = {0};
	struct buf source, out;
	buf_init(&source, 0);
	buf_init(&out, 0);
	script_place_diagnose(path, text, &found, &source);
	diagnostics_text(&found, source.data, source.size, false, &out);
	assert_string_equal(out.data, expected);
	diagnostics_free(&found);
	buf_free(&source);
	buf_free(&out);
}

static void script_says(const char *text, const char *expected)
{
	script_at_says("job.lua", text, expected);
}

static void an_error_of_a_script_is_shown_in_its_source(void **state)
{
	(void)state;
	char path[] = "/tmp/millrace-script-XXXXXX.lua", text[200], expected[600];
	int fd = mkstemps(path, 4);
	assert_true(fd >= 0 && write(fd, "local a\n  return revison.x\n", 27) == 27);
	close(fd);
	snprintf(text, sizeof text, "script: %s:2: attempt to index global 'revison' (a nil value)", path);
	snprintf(expected, sizeof expected,
	        "%s:2:10: error: attempt to index global 'revison' (a nil value)\n"
	        "     2 |   return revison.x\n"
	        "       |          ^^^^^^^\n",
	        path);
	script_says(text, expected);
	snprintf(text, sizeof text, "%s:2: oops", path);
	snprintf(expected, sizeof expected,
	        "%s:2:3: error: oops\n"
	        "     2 |   return revison.x\n"
	        "       |   ^^^^^^^^^^^^^^^^\n",
	        path);
	script_says(text, expected);
	snprintf(text, sizeof text, "%s:99: oops", path);
	snprintf(expected, sizeof expected, "%s:99: error: oops\n", path);
	script_says(text, expected);
	snprintf(text, sizeof text, "%s: unknown hook 'revison'", path);
	snprintf(expected, sizeof expected,
	        "%s:2:10: error: unknown hook 'revison'\n"
	        "     2 |   return revison.x\n"
	        "       |          ^^^^^^^\n",
	        path);
	script_at_says(path, text, expected);
	snprintf(text, sizeof text,
	        "selftest took too long; it was stopped at %s:2: in the function of line 1", path);
	snprintf(expected, sizeof expected,
	        "%s:2:3: error: %s\n"
	        "     2 |   return revison.x\n"
	        "       |   ^^^^^^^^^^^^^^^^\n",
	        path, text);
	script_says(text, expected);
	unlink(path);
	script_says("/gone.lua:3: oops", "job.lua: error: /gone.lua:3: oops\n");
	script_says("no place at all: 12", "job.lua: error: no place at all: 12\n");
	script_says("job.lua: unknown hook 'requst'", "job.lua: error: unknown hook 'requst'\n");
	script_says("", "job.lua: error: \n");
}

/* An error's text is the script's: it must not make the engine read a password or wait for a pipe. */
static void a_script_cannot_have_other_files_shown(void **state)
{
	(void)state;
	char secret[] = "/tmp/millrace-secret-XXXXXX", pipe[] = "/tmp/millrace-pipe-XXXXXX.lua";
	char text[200], expected[400];
	int fd = mkstemp(secret);
	assert_true(fd >= 0 && write(fd, "hunter2\n", 8) == 8);
	close(fd);
	snprintf(text, sizeof text, "%s:1: oops", secret);
	snprintf(expected, sizeof expected, "job.lua: error: %s\n", text);
	script_says(text, expected);
	unlink(secret);
	close(mkstemps(pipe, 4));
	unlink(pipe);
	assert_int_equal(0, mkfifo(pipe, 0600));
	snprintf(text, sizeof text, "%s:1: oops", pipe);
	snprintf(expected, sizeof expected, "job.lua: error: %s\n", text);
	script_says(text, expected);
	unlink(pipe);
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
	        cmocka_unit_test(an_error_of_a_script_is_shown_in_its_source),
	        cmocka_unit_test(a_script_cannot_have_other_files_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
