/* `millrace reload --expect`: what an engine's status must say to be what was expected, and how it is told
 * that it is not. */
#include "command_reload.h"
#include "mem.h"
#include "unit.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static const char two_files[] =
        "{\"name\":\"x\",\"script\":{\"path\":\"/s/job.lua\",\"sha256\":\"" C "\",\"files\":["
        "{\"name\":\"job.lua\",\"sha256\":\"" A "\"},{\"name\":\"lib/shared.lua\",\"sha256\":\"" B "\"}],"
        "\"last_error\":null}}";

static void check(const char *status, const char *first, const char *second, const char *fault)
{
	struct reload_expected expected[2];
	assert_true(reload_expected_read(first, &expected[0]));
	assert_true(second == NULL || reload_expected_read(second, &expected[1]));
	char *got = reload_live_fault(status, strlen(status), expected, second ? 2 : 1);
	if (fault)
		assert_string_equal(got, fault);
	else
		assert_null(got);
	mem_free(got);
}

static void the_files_that_both_name_must_be_the_same(void **state)
{
	(void)state;
	check(two_files, "job.lua=" A, NULL, NULL);
	check(two_files, "job.lua=" A, "lib/shared.lua=" B, NULL);
	check(two_files, "lib/shared.lua=" B, "job.lua=" A, NULL);
	check(two_files, "job.lua=" A, "lib/unused.lua=" C, NULL);
	check(two_files, "job.lua=" B, "lib/shared.lua=" B, "it runs job.lua aaaaaaaaaaaa");
	check(two_files, "job.lua=" A, "lib/shared.lua=" C, "it runs lib/shared.lua bbbbbbbbbbbb");
}

static void the_sum_of_all_may_be_expected_too(void **state)
{
	(void)state;
	check(two_files, C, NULL, NULL);
	check(two_files, C, "job.lua=" A, NULL);
	check(two_files, B, NULL, "it runs cccccccccccc");
}

static void a_script_of_another_name_is_another_script(void **state)
{
	(void)state;
	check(two_files, "other.lua=" A, NULL, "it runs another script: job.lua");
	check(two_files, "lib/shared.lua=" B, NULL, "it runs another script: job.lua");
}

static void why_the_last_reload_failed_is_told(void **state)
{
	(void)state;
	check("{\"script\":{\"sha256\":\"" A "\",\"files\":[{\"name\":\"j.lua\",\"sha256\":\"" A "\"}],"
	      "\"last_error\":\"j.lua:3: a \\\"quoted\\\" word\"}}",
	        "j.lua=" B, NULL,
	        "it runs j.lua aaaaaaaaaaaa; its last reload failed: j.lua:3: a \"quoted\" word");
}

static void what_is_no_engine_or_an_old_one_is_told(void **state)
{
	(void)state;
	check("hello", A, NULL, "what answers there tells of no script");
	check("[]", A, NULL, "what answers there tells of no script");
	check("{\"script\":7}", A, NULL, "what answers there tells of no script");
	check("{\"script\":{\"sha256\":\"" A "\"}}", "j.lua=" A, NULL,
	        "its status does not name the script's files: it is another version");
	check("{\"script\":{\"sha256\":7}}", A, NULL, "it runs ");
}

static void only_sums_are_expectations(void **state)
{
	static const char *const wrong[] = {"", "job.lua", "=" A, "job.lua=", "job.lua=abc", A "a", "AAAA"};
	struct reload_expected expected;
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(reload_expected_read(wrong[i], &expected));
	assert_true(reload_expected_read("a=b.lua=" A, &expected));
	assert_int_equal(expected.name_size, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_files_that_both_name_must_be_the_same),
	        cmocka_unit_test(the_sum_of_all_may_be_expected_too),
	        cmocka_unit_test(a_script_of_another_name_is_another_script),
	        cmocka_unit_test(why_the_last_reload_failed_is_told),
	        cmocka_unit_test(what_is_no_engine_or_an_old_one_is_told),
	        cmocka_unit_test(only_sums_are_expectations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
