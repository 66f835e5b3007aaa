/* The breaker, on invented time: when it opens, when it does not, and how it is probed. */
#include "breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { HOSTS = 60 };

static struct breaker breaker;
static struct breaker_window hosts[HOSTS];
static int64_t now;

static int set_up(void **state)
{
	(void)state;
	breaker_init(&breaker);
	memset(hosts, 0, sizeof hosts);
	now = 1000000;
	return 0;
}

static void asked(size_t host, size_t count, enum breaker_result result)
{
	while (count-- > 0) {
		struct breaker_mark mark = {0};
		breaker_count(&breaker, &hosts[host], &mark, result, now);
	}
}

static bool opens(bool shared)
{
	size_t all = 0, failing = 0;
	for (size_t i = 0; i < HOSTS; i++) {
		all += breaker_asked(&breaker, &hosts[i], now);
		failing += breaker_failing(&breaker, &hosts[i], now);
	}
	return breaker_should_open(&breaker, all, failing, shared, now);
}

static void the_only_host_opens_it_with_twenty_lookups(void **state)
{
	(void)state;
	asked(0, 19, BREAKER_FAILED);
	assert_false(opens(true));
	asked(0, 1, BREAKER_FAILED);
	assert_true(opens(true));
}

static void half_is_not_most(void **state)
{
	(void)state;
	asked(0, 20, BREAKER_GOOD);
	asked(0, 20, BREAKER_FAILED);
	assert_false(opens(true));
	asked(0, 1, BREAKER_FAILED);
	assert_true(opens(true));
}

static void one_host_of_many_never_opens_it(void **state)
{
	(void)state;
	asked(0, 10000, BREAKER_FAILED);
	for (size_t i = 1; i < 50; i++)
		asked(i, 5, BREAKER_GOOD);
	assert_true(breaker_suspects(&breaker, now));
	assert_false(opens(true));
	for (size_t i = 1; i < 50; i++) /* the odd error elsewhere does not make them fail */
		asked(i, 1, BREAKER_FAILED);
	assert_false(opens(true));
	asked(1, 10, BREAKER_FAILED);
	assert_false(opens(true)); /* two */
	asked(2, 10, BREAKER_FAILED);
	assert_true(opens(true)); /* three */
}

static void both_of_two_hosts_open_it(void **state)
{
	(void)state;
	asked(0, 30, BREAKER_FAILED);
	asked(1, 1, BREAKER_GOOD);
	assert_false(opens(true));
	asked(1, 2, BREAKER_FAILED);
	assert_true(opens(true));
}

static void failures_to_connect_count_whatever_host_they_were_for(void **state)
{
	(void)state;
	asked(0, 30, BREAKER_UNREACHED);
	for (size_t i = 1; i < 10; i++)
		asked(i, 2, BREAKER_GOOD);
	assert_true(opens(true));
	assert_false(opens(false)); /* each host has an address of its own */
}

static void what_is_older_than_thirty_seconds_is_forgotten(void **state)
{
	(void)state;
	asked(0, 100, BREAKER_FAILED);
	now += BREAKER_WINDOW_MS + BREAKER_SLOT_MS;
	asked(0, 19, BREAKER_FAILED);
	assert_false(opens(true));
	assert_true(breaker_failing(&breaker, &hosts[0], now));
	now += BREAKER_WINDOW_MS + BREAKER_SLOT_MS;
	assert_false(breaker_asked(&breaker, &hosts[0], now));
	assert_false(breaker_failing(&breaker, &hosts[0], now));
	now += 1000LL * BREAKER_WINDOW_MS;
	assert_false(opens(true));
}

static void a_lookup_counts_once_by_its_latest_result(void **state)
{
	(void)state;
	struct breaker_mark marks[15] = {0};
	for (int attempt = 0; attempt < 8; attempt++)
		for (size_t i = 0; i < 15; i++)
			breaker_count(&breaker, &hosts[i % 3], &marks[i], BREAKER_FAILED, now);
	assert_false(opens(true)); /* 120 calls, 15 lookups */
	asked(3, 5, BREAKER_FAILED);
	assert_true(opens(true));
	assert_true(breaker_marked(&breaker, &marks[0]));
	for (size_t i = 0; i < 15; i++)
		breaker_count(&breaker, &hosts[i % 3], &marks[i], BREAKER_GOOD, now + 10000);
	assert_false(breaker_marked(&breaker, &marks[0]));
	assert_false(opens(true));
	breaker_count(
	        &breaker, &hosts[0], &marks[0], BREAKER_UNREACHED, now + 1000000); /* its slot is long gone */
	now += 1000000;
	assert_false(breaker_asked(&breaker, &hosts[0], now));
}

static void probes_come_after_five_seconds_doubling_to_sixty(void **state)
{
	(void)state;
	static const int64_t waits[] = {5000, 10000, 20000, 40000, 60000, 60000, 60000};
	breaker_open(&breaker, now);
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		assert_int_equal(breaker.probe_at - now, waits[i]);
		now = breaker.probe_at;
		breaker_probe(&breaker);
		assert_string_equal(breaker_state_name(breaker.state), "probing");
		breaker_probed(&breaker, false, now);
		assert_string_equal(breaker_state_name(breaker.state), "open");
	}
	now = breaker.probe_at;
	breaker_probe(&breaker);
	breaker_probed(&breaker, true, now);
	assert_string_equal(breaker_state_name(breaker.state), "closed");
}

static void a_good_probe_forgets_all_that_was_counted(void **state)
{
	(void)state;
	struct breaker_mark mark = {0};
	breaker_count(&breaker, &hosts[0], &mark, BREAKER_FAILED, now);
	asked(0, 50, BREAKER_FAILED);
	breaker_open(&breaker, now);
	breaker_count(&breaker, &hosts[0], &mark, BREAKER_FAILED, now); /* nothing counts while it is open */
	breaker_probe(&breaker);
	breaker_probed(&breaker, true, now);
	assert_false(breaker_asked(&breaker, &hosts[0], now));
	assert_false(breaker_marked(&breaker, &mark));
	breaker_count(
	        &breaker, &hosts[0], &mark, BREAKER_FAILED, now); /* an old lookup tells of the new time */
	assert_true(breaker_marked(&breaker, &mark));
	asked(0, 18, BREAKER_FAILED);
	assert_false(opens(true));
	asked(0, 1, BREAKER_FAILED);
	assert_true(opens(true));
}

static void one_that_opens_again_at_once_waits_longer(void **state)
{
	(void)state;
	for (int64_t wait = BREAKER_PROBE_MS; wait < BREAKER_PROBE_MAX_MS; wait *= 2) {
		breaker_open(&breaker, now);
		assert_int_equal(breaker.probe_at - now, wait);
		now = breaker.probe_at;
		breaker_probe(&breaker);
		breaker_probed(&breaker, true, now);
		now += 1000;
	}
	now += BREAKER_WINDOW_MS;
	breaker_open(&breaker, now);
	assert_int_equal(breaker.probe_at - now, BREAKER_PROBE_MS);
}

static void a_lost_probe_is_sent_again_at_once(void **state)
{
	(void)state;
	breaker_open(&breaker, now);
	breaker_probe(&breaker);
	breaker_probe_lost(&breaker, now + 5500);
	assert_int_equal(breaker.probe_at, now + 5500);
	breaker_probe(&breaker);
	breaker_probed(&breaker, false, now + 6000);
	assert_int_equal(breaker.probe_at, now + 6000 + 10000);
}

#define promise(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        promise(the_only_host_opens_it_with_twenty_lookups),
	        promise(half_is_not_most),
	        promise(one_host_of_many_never_opens_it),
	        promise(both_of_two_hosts_open_it),
	        promise(failures_to_connect_count_whatever_host_they_were_for),
	        promise(what_is_older_than_thirty_seconds_is_forgotten),
	        promise(a_lookup_counts_once_by_its_latest_result),
	        promise(probes_come_after_five_seconds_doubling_to_sixty),
	        promise(a_good_probe_forgets_all_that_was_counted),
	        promise(one_that_opens_again_at_once_waits_longer),
	        promise(a_lost_probe_is_sent_again_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
