/* A backlog is worked gently until it is gone, and live work never is. */
#include "backfill.h"
#include "unit.h"

static const struct backfill_config usual = {.records = 1000, .freshness_ms = 60000};
static struct backfill state_now;

static bool look(uint64_t records, int64_t behind_ms, int64_t now)
{
	struct backfill_lag lag = {true, records, behind_ms};
	return backfill_look(&state_now, &usual, false, &lag, now);
}

static int begin(void **state)
{
	(void)state;
	state_now = (struct backfill){0};
	return 0;
}

static void either_threshold_begins_it_at_once(void **state)
{
	(void)state;
	assert_false(look(1000, 60000, 1));
	assert_true(look(1001, 0, 2));
	assert_int_equal(state_now.why, BACKFILL_RECORDS);
	assert_int_equal(state_now.since, 2);
	state_now = (struct backfill){0};
	assert_true(look(0, 60001, 3));
	assert_int_equal(state_now.why, BACKFILL_FRESHNESS);
}

static void it_ends_when_half_of_both_has_lasted(void **state)
{
	(void)state;
	look(5000, 90000, 0);
	assert_false(look(900, 0, 10000)); /* below the threshold, not below its half */
	assert_false(look(900, 0, 99000));
	assert_false(look(500, 31000, 100000)); /* the other one is above its half */
	assert_false(look(500, 30000, 101000));
	assert_false(look(0, 0, 101000 + BACKFILL_CALM_MS - 1));
	assert_true(look(0, 0, 101000 + BACKFILL_CALM_MS));
	assert_int_equal(state_now.why, BACKFILL_NONE);
}

static void a_wave_in_the_calm_begins_it_anew(void **state)
{
	(void)state;
	look(5000, 0, 0);
	look(10, 0, 1000);
	assert_false(look(600, 0, 2000));
	assert_false(look(10, 0, 3000));
	assert_false(look(10, 0, 1000 + BACKFILL_CALM_MS));
	assert_true(look(10, 0, 3000 + BACKFILL_CALM_MS));
}

static void the_reason_may_change_and_that_is_no_news(void **state)
{
	(void)state;
	assert_true(look(5000, 0, 0));
	assert_false(look(10, 90000, 1));
	assert_int_equal(state_now.why, BACKFILL_FRESHNESS);
	assert_int_equal(state_now.since, 0);
}

static void what_is_not_known_changes_nothing(void **state)
{
	(void)state;
	struct backfill_lag unknown = {.known = false, .records = 1 << 20};
	assert_false(backfill_look(&state_now, &usual, false, &unknown, 0));
	look(5000, 0, 1);
	assert_false(backfill_look(&state_now, &usual, false, &(struct backfill_lag){0}, 1 << 20));
	assert_int_equal(state_now.why, BACKFILL_RECORDS);
}

static void a_bounded_run_is_one_whatever_its_lag(void **state)
{
	(void)state;
	struct backfill_config none = {0};
	struct backfill_lag lag = {.known = false};
	assert_true(backfill_look(&state_now, &none, true, &lag, 0));
	assert_false(backfill_look(&state_now, &none, true, &lag, 1 << 20));
	assert_int_equal(state_now.why, BACKFILL_BOUNDED);
	assert_string_equal(backfill_why_name(state_now.why), "bounded");
}

static void without_a_threshold_it_never_begins_and_ends_at_once(void **state)
{
	(void)state;
	struct backfill_config none = {0};
	struct backfill_lag lag = {true, 1 << 30, 1 << 30};
	assert_false(backfill_look(&state_now, &none, false, &lag, 0));
	look(5000, 0, 1);
	assert_true(backfill_look(&state_now, &none, false, &lag, 2));
	assert_int_equal(state_now.why, BACKFILL_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(either_threshold_begins_it_at_once, begin),
	        cmocka_unit_test_setup(it_ends_when_half_of_both_has_lasted, begin),
	        cmocka_unit_test_setup(a_wave_in_the_calm_begins_it_anew, begin),
	        cmocka_unit_test_setup(the_reason_may_change_and_that_is_no_news, begin),
	        cmocka_unit_test_setup(what_is_not_known_changes_nothing, begin),
	        cmocka_unit_test_setup(a_bounded_run_is_one_whatever_its_lag, begin),
	        cmocka_unit_test_setup(without_a_threshold_it_never_begins_and_ends_at_once, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
