/* Promises of standstill.h, on invented time. */
#include "standstill.h"

#include "unit.h"

static void what_is_slow_while_the_beat_goes_on_was_no_standstill(void **state)
{
	struct standstill s = {0};
	(void)state;
	standstill_begin(&s, 1000);
	for (int64_t now = 2000; now < 60000; now += 1000)
		standstill_beat(&s, now);
	assert_false(standstill_hit(&s, 1000, 60000));
	assert_false(standstill_hit(&s, 1000, 59000 + STANDSTILL_MS - 1));
}

static void what_is_over_before_the_late_beat_is_known_for_it(void **state)
{
	struct standstill s = {0};
	(void)state;
	standstill_begin(&s, 1000);
	assert_true(standstill_hit(&s, 900, 1000 + STANDSTILL_MS));
}

static void what_is_over_right_behind_the_late_beat_is_known_for_it(void **state)
{
	struct standstill s = {0};
	(void)state;
	standstill_begin(&s, 1000);
	standstill_beat(&s, 9000);
	assert_true(standstill_hit(&s, 900, 9000));
	assert_true(standstill_hit(&s, 8999, 9000 + STANDSTILL_AFTER_MS - 1));
	assert_false(standstill_hit(&s, 900, 9000 + STANDSTILL_AFTER_MS));
}

static void what_began_after_it_did_not_run_into_it(void **state)
{
	struct standstill s = {0};
	(void)state;
	standstill_begin(&s, 1000);
	standstill_beat(&s, 9000);
	assert_false(standstill_hit(&s, 9000, 9001));
}

static void a_pause_between_two_rows_of_beats_is_none(void **state)
{
	struct standstill s = {0};
	(void)state;
	standstill_begin(&s, 1000);
	standstill_begin(&s, 90000);
	assert_false(standstill_hit(&s, 90000, 90500));
	assert_false(standstill_hit(&s, 90000, 90000 + STANDSTILL_MS - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_slow_while_the_beat_goes_on_was_no_standstill),
	        cmocka_unit_test(what_is_over_before_the_late_beat_is_known_for_it),
	        cmocka_unit_test(what_is_over_right_behind_the_late_beat_is_known_for_it),
	        cmocka_unit_test(what_began_after_it_did_not_run_into_it),
	        cmocka_unit_test(a_pause_between_two_rows_of_beats_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
