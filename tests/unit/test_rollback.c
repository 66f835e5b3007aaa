/* A new script is given up when it fails too often, and only for what it did itself. */
#include "rollback.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const struct rollback_config usual = {.share = 0.5, .records = 200, .time_ms = 60000};
static struct rollback watched;

static enum rollback_state ended(const char *type, unsigned count, int64_t now)
{
	enum rollback_state state = watched.state;
	while (count-- > 0)
		state = rollback_ended(&watched, rollback_sign_of(type), type ? "x.lua:1: no" : NULL, now);
	return state;
}

static void only_what_the_script_did_itself_is_a_fault(void **state)
{
	(void)state;
	static const char *const faults[] = {
	        "ScriptError", "ScriptTimeout", "ScriptMemory", "ScriptAnswer", "OutputInvalid"};
	static const char *const others[] = {"HttpTimeout", "HttpStatus", "HostUnavailable", "RetryDeadline",
	        "PoisonEvent", "InputInvalid", "OutputTooLarge", "UnknownSchema", "missing"};
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		assert_int_equal(rollback_sign_of(faults[i]), ROLLBACK_FAULT);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_int_equal(rollback_sign_of(others[i]), ROLLBACK_NOTHING);
	assert_int_equal(rollback_sign_of(NULL), ROLLBACK_GOOD);
}

static void one_poisonous_event_proves_nothing(void **state)
{
	(void)state;
	rollback_begin(&watched, &usual, 0);
	assert_int_equal(ended("ScriptError", ROLLBACK_LEAST - 1, 1), ROLLBACK_WATCHING);
	assert_int_equal(ended("ScriptError", 1, 1), ROLLBACK_BAD);
	assert_int_equal(ended(NULL, 1000, 1), ROLLBACK_BAD);
}

static void a_share_below_the_threshold_is_no_reason(void **state)
{
	(void)state;
	rollback_begin(&watched, &usual, 0);
	for (unsigned i = 0; i < 99; i++) {
		assert_int_equal(ended(NULL, 1, 1), ROLLBACK_WATCHING);
		assert_int_equal(ended(i % 10 ? "ScriptError" : NULL, 1, 1), ROLLBACK_WATCHING);
	}
	assert_int_equal(ended(NULL, 2, 1), ROLLBACK_PROVED);
}

static void it_may_turn_bad_until_it_is_proved_and_not_after(void **state)
{
	(void)state;
	rollback_begin(&watched, &usual, 0);
	assert_int_equal(ended(NULL, 99, 1), ROLLBACK_WATCHING);
	assert_int_equal(ended("ScriptTimeout", 98, 1), ROLLBACK_WATCHING);
	assert_int_equal(ended("ScriptTimeout", 1, 1), ROLLBACK_BAD);
	rollback_begin(&watched, &usual, 0);
	assert_int_equal(ended(NULL, 200, 1), ROLLBACK_PROVED);
	assert_int_equal(ended("ScriptError", 1000, 1), ROLLBACK_PROVED);
}

static void trouble_with_an_api_counts_on_neither_side(void **state)
{
	(void)state;
	rollback_begin(&watched, &usual, 0);
	assert_int_equal(ended("HttpTimeout", 5000, 1), ROLLBACK_WATCHING);
	assert_int_equal(ended("ScriptAnswer", 19, 1), ROLLBACK_WATCHING);
	assert_int_equal(ended("missing", 5000, 1), ROLLBACK_WATCHING);
	assert_int_equal(ended("ScriptAnswer", 1, 1), ROLLBACK_BAD);
}

static void time_proves_only_what_was_seen(void **state)
{
	(void)state;
	rollback_begin(&watched, &usual, 1000);
	assert_int_equal(rollback_look(&watched, 1000000), ROLLBACK_WATCHING);
	assert_int_equal(ended(NULL, 19, 1000000), ROLLBACK_WATCHING);
	assert_int_equal(ended(NULL, 1, 1000000), ROLLBACK_PROVED);
	rollback_begin(&watched, &usual, 1000);
	assert_int_equal(ended(NULL, 20, 60999), ROLLBACK_WATCHING);
	assert_int_equal(rollback_look(&watched, 60999), ROLLBACK_WATCHING);
	assert_int_equal(rollback_look(&watched, 61000), ROLLBACK_PROVED);
}

static void fewer_records_than_the_least_are_enough_where_so_few_are_asked_for(void **state)
{
	(void)state;
	struct rollback_config few = {.share = 1, .records = 3, .time_ms = 60000};
	rollback_begin(&watched, &few, 0);
	assert_int_equal(ended("ScriptError", 2, 1), ROLLBACK_WATCHING);
	assert_int_equal(ended("ScriptError", 1, 1), ROLLBACK_BAD);
	rollback_begin(&watched, &few, 0);
	ended("ScriptError", 2, 1);
	assert_int_equal(ended(NULL, 1, 1), ROLLBACK_PROVED);
}

static void without_a_share_nothing_is_bad(void **state)
{
	(void)state;
	struct rollback_config never = usual;
	never.share = 0;
	rollback_begin(&watched, &never, 0);
	assert_int_equal(ended("ScriptError", 200, 1), ROLLBACK_PROVED);
	rollback_end(&watched);
	assert_int_equal(ended("ScriptError", 200, 1), ROLLBACK_IDLE);
}

static void the_most_frequent_error_is_known(void **state)
{
	(void)state;
	char text[64];
	rollback_begin(&watched, &usual, 0);
	assert_null(rollback_worst(&watched));
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "x.lua:%d: number %d\nand more", i % 3 ? i : 7, i % 3 ? i : 7);
		rollback_ended(&watched, ROLLBACK_FAULT, text, 1);
		rollback_ended(&watched, ROLLBACK_GOOD, NULL, 1);
		watched.state = ROLLBACK_WATCHING;
	}
	assert_string_equal(rollback_worst(&watched)->text, "x.lua:7: number 7");
	assert_true(rollback_worst(&watched)->count > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_what_the_script_did_itself_is_a_fault),
	        cmocka_unit_test(one_poisonous_event_proves_nothing),
	        cmocka_unit_test(a_share_below_the_threshold_is_no_reason),
	        cmocka_unit_test(it_may_turn_bad_until_it_is_proved_and_not_after),
	        cmocka_unit_test(trouble_with_an_api_counts_on_neither_side),
	        cmocka_unit_test(time_proves_only_what_was_seen),
	        cmocka_unit_test(fewer_records_than_the_least_are_enough_where_so_few_are_asked_for),
	        cmocka_unit_test(without_a_share_nothing_is_bad),
	        cmocka_unit_test(the_most_frequent_error_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
