/* Codes have pages, and are found. */
#include "explain.h"
#include "unit.h"

static void every_code_has_a_whole_page_and_is_found_by_its_name(void **state)
{
	(void)state;
	for (int i = M000_NONE + 1; i < EXPLAIN_COUNT; i++) {
		enum code code = (enum code)i;
		const struct explain_page *page = explain_page(code);
		const char *name = explain_code(code);
		char lower[8];
		snprintf(lower, sizeof lower, "m%s", name + 1);
		assert_int_equal(4, strlen(name));
		if (!page->title || !page->meaning || !page->causes || !page->todo)
			fail_msg("the page of %s lacks something", name);
		if ((page->before == NULL) != (page->after == NULL))
			fail_msg("%s: an example has a before and an after", name);
		if (strlen(page->title) > 66 || page->title[strlen(page->title) - 1] == '.')
			fail_msg("%s: a title is a few words: %s", name, page->title);
		assert_int_equal(code, explain_find(name));
		assert_int_equal(code, explain_find(lower));
		assert_int_equal(code, explain_find(name + 1));
	}
}

static void codes_stand_in_their_order_and_none_twice(void **state)
{
	(void)state;
	for (int i = M000_NONE + 2; i < EXPLAIN_COUNT; i++)
		assert_true(strcmp(explain_code((enum code)(i - 1)), explain_code((enum code)i)) < 0);
}

static void what_is_no_code_is_not_found(void **state)
{
	(void)state;
	static const char *const words[] = {"", "M", "M2", "M2010", "M000", "mm201", "ScriptError", " M201"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		assert_int_equal(M000_NONE, explain_find(words[i]));
	assert_null(explain_page(M000_NONE));
	assert_string_equal("", explain_code(M000_NONE));
}

static void a_type_has_a_code_of_its_own_or_is_the_scripts(void **state)
{
	(void)state;
	assert_int_equal(M501_HTTP_STATUS, explain_type("HttpStatus"));
	assert_int_equal(M200_SCRIPT, explain_type("ScriptError"));
	assert_int_equal(M221_ANSWER, explain_type("ScriptAnswer"));
	assert_int_equal(M604_OUTPUT_INVALID, explain_type("OutputInvalid"));
	assert_int_equal(M240_FAILED, explain_type("MissingRevision"));
	assert_int_equal(SEVERITY_WARNING, explain_severity(M132_USER_AGENT));
	assert_int_equal(SEVERITY_ERROR, explain_severity(M101_UNKNOWN_KEY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_code_has_a_whole_page_and_is_found_by_its_name),
	        cmocka_unit_test(codes_stand_in_their_order_and_none_twice),
	        cmocka_unit_test(what_is_no_code_is_not_found),
	        cmocka_unit_test(a_type_has_a_code_of_its_own_or_is_the_scripts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
