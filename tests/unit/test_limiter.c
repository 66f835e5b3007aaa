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

static void other_limits_hold_from_the_next_call_on(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t wait;
	limiter_init(&limiter, 2, 0, 0);
	assert_true(limiter_take(&limiter, 1, 0, &wait) && limiter_take(&limiter, 1, 0, &wait));
	limiter_use(&limiter, 1, 10, 1000);
	limiter_end(&limiter);
	assert_false(limiter_take(&limiter, 1, 1000, &wait)); /* one is still in flight */
	limiter_end(&limiter);
	unsigned started = 0;
	for (int64_t now = 1000; now <= 3000; now++)
		while (limiter_take(&limiter, 1, now, &wait)) {
			started++;
			limiter_end(&limiter);
		}
	assert_in_range(started, 19, 30); /* at most one full bucket, then the rate */
	limiter_use(&limiter, 0, 0, 3000);
	assert_true(limiter.automatic && limiter.concurrency == LIMITER_AUTO_FIRST);
	limiter.concurrency = 40;
	limiter_use(&limiter, 0, 5, 3000);
	assert_int_equal(limiter.concurrency, 40);
	limiter_use(&limiter, 3, 0, 3000);
	assert_true(!limiter.automatic && limiter.concurrency == 3);
	for (int i = 0; i < 3; i++)
		assert_true(limiter_take(&limiter, 1, 3000, &wait));
	assert_false(limiter_take(&limiter, 1, 3000, &wait));
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

/* A service that answers so many calls a round well and refuses the rest; a round is one trip of all that is
 * in flight. Answers the mean limit over the rounds. */
static double rounds(struct limiter *limiter, unsigned capacity, unsigned demand, int count, int64_t *now)
{
	double sum = 0;
	for (int i = 0; i < count; i++) {
		int64_t wait, started = *now += 1;
		unsigned sent = 0;
		while (sent < demand && limiter_take(limiter, 1, started, &wait))
			sent++;
		*now += 99;
		for (unsigned n = 0; n < sent; n++) {
			limiter_hear(limiter, n >= capacity, started, *now);
			limiter_end(limiter);
		}
		assert_int_equal(limiter->in_flight, 0);
		sum += limiter->concurrency;
	}
	return sum / count;
}

static void auto_finds_the_capacity_and_follows_its_steps(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t now = 0;
	static const unsigned steps[] = {100, 25, 200, 3, 60};
	limiter_init(&limiter, 0, 0, now);
	assert_int_equal(limiter.concurrency, LIMITER_AUTO_FIRST);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		rounds(&limiter, steps[i], 1000, 300, &now); /* to get there */
		double mean = rounds(&limiter, steps[i], 1000, 300, &now);
		/* A saw between half of what is one too many and that: three quarters in the mean. */
		assert_in_range((int)mean, steps[i] / 2, steps[i] + 1);
		assert_true(mean > steps[i] * 0.6);
	}
}

static void auto_rises_by_one_a_round_trip_and_falls_by_half(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t now = 0;
	limiter_init(&limiter, 0, 0, now);
	rounds(&limiter, 1000, 1000, 10, &now);
	assert_in_range(limiter.concurrency, LIMITER_AUTO_FIRST + 9, LIMITER_AUTO_FIRST + 10);
	unsigned before = limiter.concurrency;
	rounds(&limiter, 0, 1000, 1, &now); /* a whole round of 429 */
	assert_int_equal(limiter.concurrency, before / 2);
}

static void auto_never_ends_below_one_nor_above_its_most(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t now = 0;
	limiter_init(&limiter, 0, 0, now);
	rounds(&limiter, 0, 1000, 100, &now);
	assert_int_equal(limiter.concurrency, 1);
	rounds(&limiter, 100000, 100000, 2000, &now);
	assert_int_equal(limiter.concurrency, LIMITER_AUTO_MAX);
}

static void auto_does_not_try_what_nobody_needs(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t now = 0;
	limiter_init(&limiter, 0, 0, now);
	rounds(&limiter, 1000, 3, 1000, &now);
	assert_in_range(limiter.concurrency, LIMITER_AUTO_FIRST, LIMITER_AUTO_FIRST);
}

static void a_number_stays_what_it_is(void **state)
{
	(void)state;
	struct limiter limiter;
	int64_t now = 0;
	limiter_init(&limiter, 20, 0, now);
	rounds(&limiter, 3, 1000, 50, &now);
	rounds(&limiter, 1000, 1000, 50, &now);
	assert_int_equal(limiter.concurrency, 20);
}

static void a_host_has_its_share(void **state)
{
	(void)state;
	struct limiter limiter;
	limiter_init(&limiter, 64, 0, 0);
	assert_int_equal(limiter_of_host(&limiter, 0, true, false), 64);
	assert_int_equal(limiter_of_host(&limiter, 0, false, false), 32);
	assert_int_equal(limiter_of_host(&limiter, 0, false, true), 4);
	assert_int_equal(limiter_of_host(&limiter, 0, true, true), 64);
	assert_int_equal(limiter_of_host(&limiter, 5, true, false), 5); /* who says a number gets it */
	assert_int_equal(limiter_of_host(&limiter, 5, false, true), 1);
	limiter_init(&limiter, 1, 0, 0);
	assert_int_equal(limiter_of_host(&limiter, 0, false, false), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(as_many_calls_as_concurrency_and_no_more),
	        cmocka_unit_test(a_rate_is_kept_over_any_stretch_of_time),
	        cmocka_unit_test(other_limits_hold_from_the_next_call_on),
	        cmocka_unit_test(the_named_wait_is_enough_and_not_too_long),
	        cmocka_unit_test(a_slow_rate_still_starts_something),
	        cmocka_unit_test(a_quiet_hour_saves_up_one_second_only),
	        cmocka_unit_test(a_large_call_starts_and_the_next_ones_wait_for_it),
	        cmocka_unit_test(time_that_stands_still_or_jumps_back_gives_nothing),
	        cmocka_unit_test(auto_finds_the_capacity_and_follows_its_steps),
	        cmocka_unit_test(auto_rises_by_one_a_round_trip_and_falls_by_half),
	        cmocka_unit_test(auto_never_ends_below_one_nor_above_its_most),
	        cmocka_unit_test(auto_does_not_try_what_nobody_needs),
	        cmocka_unit_test(a_number_stays_what_it_is),
	        cmocka_unit_test(a_host_has_its_share),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
