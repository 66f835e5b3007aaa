/* The limiter: concurrency and rate, on invented time. */
#include "limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void as_many_calls_as_concurrency_and_no_more(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t wait = 0;
	limiter_init(&limiter, 3, 0, 0);
	for (int i = 0; i < 3; i++)
		assert_true(limiter_take(&limiter, 1, 0, &wait));
	assert_false(limiter_take(&limiter, 1, 1000000, &wait));
	assert_int_equal(wait, -1);
	limiter_end(&limiter);
	assert_true(limiter_take(&limiter, 1, 1000000, &wait));
	assert_int_equal(limiter.in_flight, 3);
}

static void a_rate_is_kept_over_any_stretch_of_time(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t wait;
	unsigned started = 0;
	limiter_init(&limiter, 1000, 200, 0);
	for (int64_t now = 0; now <= 10000; now++)
		while (limiter_take(&limiter, 1, now, &wait)) {
			started++;
			limiter_end(&limiter);
		}
	assert_in_range(started, 200 + 1990, 200 + 2000); /* one full bucket, then the rate */
}

static void the_named_wait_is_enough_and_not_too_long(void **state)
{
	(void)state;
	static const double rates[] = {0.01, 0.5, 1, 3, 7, 200, 999, 12345.6};
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		struct limiter limiter;
		int64_t wait, now = 77;
		limiter_init(&limiter, 1000, rates[i], now);
		while (limiter_take(&limiter, 1, now, &wait))
			limiter_end(&limiter);
		assert_true(wait >= 1);
		assert_true(wait <= 1000 / rates[i] + 1);
		now += wait;
		assert_true(limiter_take(&limiter, 1, now, &wait));
	}
}

static void a_slow_rate_still_starts_something(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t wait;
	limiter_init(&limiter, 8, 0.1, 0);
	assert_true(limiter_take(&limiter, 1, 0, &wait));
	assert_false(limiter_take(&limiter, 1, 0, &wait));
	assert_int_equal(wait, 10000);
	assert_false(limiter_take(&limiter, 1, 9999, &wait));
	assert_true(limiter_take(&limiter, 1, 10000, &wait));
}

static void a_quiet_hour_saves_up_one_second_only(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t wait;
	unsigned started = 0;
	limiter_init(&limiter, 1000, 10, 0);
	while (limiter_take(&limiter, 1, 3600000, &wait))
		started++;
	assert_int_equal(started, 10);
}

static void a_large_call_starts_and_the_next_ones_wait_for_it(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t wait;
	limiter_init(&limiter, 8, 10, 0);
	assert_true(limiter_take(&limiter, 50, 0, &wait));
	assert_false(limiter_take(&limiter, 1, 0, &wait));
	assert_int_equal(wait, 4100);
	assert_true(limiter_take(&limiter, 1, 4100, &wait));
}

static void time_that_stands_still_or_jumps_back_gives_nothing(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t wait;
	limiter_init(&limiter, 8, 1, 5000);
	assert_true(limiter_take(&limiter, 1, 5000, &wait));
	assert_false(limiter_take(&limiter, 1, 5000, &wait));
	assert_false(limiter_take(&limiter, 1, 10, &wait));
	assert_true(limiter_take(&limiter, 1, 6000, &wait));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(as_many_calls_as_concurrency_and_no_more),
	        cmocka_unit_test(a_rate_is_kept_over_any_stretch_of_time),
	        cmocka_unit_test(the_named_wait_is_enough_and_not_too_long),
	        cmocka_unit_test(a_slow_rate_still_starts_something),
	        cmocka_unit_test(a_quiet_hour_saves_up_one_second_only),
	        cmocka_unit_test(a_large_call_starts_and_the_next_ones_wait_for_it),
	        cmocka_unit_test(time_that_stands_still_or_jumps_back_gives_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
