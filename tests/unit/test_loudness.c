/* How much the log says while the process runs, on invented time. */
#include "loudness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void debug_ends_by_itself(void **state)
{
	(void)state;
	struct loudness loudness = {.until = 0};
	enum log_level level = loudness_toggle(&loudness, LOG_WARN, 1000);
	assert_int_equal(LOG_DEBUG, level);
	assert_int_equal(LOG_DEBUG, loudness_turn(&loudness, level, 1000 + LOUDNESS_DEBUG_MS - 1));
	level = loudness_turn(&loudness, level, 1000 + LOUDNESS_DEBUG_MS);
	assert_int_equal(LOG_WARN, level);
	assert_int_equal(LOG_WARN, loudness_turn(&loudness, level, 10LL * LOUDNESS_DEBUG_MS));
}

static void a_second_signal_ends_it_at_once_and_a_third_begins_anew(void **state)
{
	(void)state;
	struct loudness loudness = {.until = 0};
	enum log_level level = loudness_toggle(&loudness, LOG_ERROR, 1);
	level = loudness_toggle(&loudness, level, 2);
	assert_int_equal(LOG_ERROR, level);
	level = loudness_toggle(&loudness, level, LOUDNESS_DEBUG_MS);
	assert_int_equal(LOG_DEBUG, loudness_turn(&loudness, level, 2LL * LOUDNESS_DEBUG_MS - 1));
}

static void another_level_asked_for_meanwhile_stays(void **state)
{
	(void)state;
	struct loudness loudness = {.until = 0};
	loudness_toggle(&loudness, LOG_INFO, 1);
	assert_int_equal(LOG_ERROR, loudness_turn(&loudness, LOG_ERROR, 2LL * LOUDNESS_DEBUG_MS));
	loudness_toggle(&loudness, LOG_INFO, 1);
	loudness_set(&loudness); /* debug, by somebody who means it */
	assert_int_equal(LOG_DEBUG, loudness_turn(&loudness, LOG_DEBUG, 2LL * LOUDNESS_DEBUG_MS));
}

static void who_was_at_debug_comes_back_to_info(void **state)
{
	(void)state;
	struct loudness loudness = {.until = 0};
	enum log_level level = loudness_toggle(&loudness, LOG_DEBUG, 1);
	assert_int_equal(LOG_DEBUG, level);
	assert_int_equal(LOG_INFO, loudness_toggle(&loudness, level, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(debug_ends_by_itself),
	        cmocka_unit_test(a_second_signal_ends_it_at_once_and_a_third_begins_anew),
	        cmocka_unit_test(another_level_asked_for_meanwhile_stays),
	        cmocka_unit_test(who_was_at_debug_comes_back_to_info),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
