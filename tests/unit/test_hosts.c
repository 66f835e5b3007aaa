/* Hosts: who is paused, until when, and for how long each stood still; on invented time. */
#include "hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static void a_name_is_one_host_whatever_its_case(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts, NULL);
	struct host *one = hosts_take(&hosts, "de.wikipedia.org", 1000);
	struct host *own = hosts_take(&hosts, NULL, 1000);
	assert_ptr_equal(hosts_take(&hosts, "DE.Wikipedia.ORG", 1000), one);
	assert_ptr_equal(hosts_take(&hosts, NULL, 1000), own);
	assert_ptr_not_equal(one, own);
	assert_int_equal(hosts_count(&hosts), 2);
	for (int i = 0; i < 2; i++) {
		hosts_give(&hosts, one, 2000);
		hosts_give(&hosts, own, 2000);
	}
	assert_int_equal(hosts_count(&hosts), 2);
	hosts_forget(&hosts, 2000 + HOSTS_REMEMBERED_MS - 1);
	assert_int_equal(hosts_count(&hosts), 2);
	hosts_forget(&hosts, 2000 + HOSTS_REMEMBERED_MS);
	assert_int_equal(hosts_count(&hosts), 0);
	hosts_free(&hosts);
}

static void many_hosts_are_told_apart(void **state)
{
	(void)state;
	enum { MANY = 1000 };
	struct hosts hosts;
	struct host *taken[MANY];
	char name[32];
	hosts_init(&hosts, NULL);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "w%d.example.org", i);
		taken[i] = hosts_take(&hosts, name, 1000);
	}
	assert_int_equal(hosts_count(&hosts), MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "w%d.example.org", i);
		assert_ptr_equal(hosts_take(&hosts, name, 1000), taken[i]);
		hosts_give(&hosts, taken[i], 2000);
		hosts_give(&hosts, taken[i], 2000);
	}
	hosts_forget(&hosts, 2000 + HOSTS_REMEMBERED_MS);
	assert_int_equal(hosts_count(&hosts), 0);
	hosts_free(&hosts);
}

static void a_pause_ends_when_it_said(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts, NULL);
	struct host *host = hosts_take(&hosts, "a", 1000);
	assert_int_equal(hosts_due(&hosts), -1);
	assert_int_equal(hosts_pause(&hosts, host, 1500, 1000), 500);
	assert_true(host_is_paused(host));
	assert_int_equal(hosts_due(&hosts), 1500);
	assert_null(hosts_wake(&hosts, 1499));
	assert_ptr_equal(hosts_wake(&hosts, 1500), host);
	assert_false(host_is_paused(host));
	assert_null(hosts_wake(&hosts, 1500));
	hosts_give(&hosts, host, 2000);
	hosts_free(&hosts);
}

static void a_pause_grows_and_never_shrinks(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts, NULL);
	struct host *host = hosts_take(&hosts, "a", 1000);
	assert_int_equal(hosts_pause(&hosts, host, 2000, 1000), 1000);
	assert_int_equal(hosts_pause(&hosts, host, 1800, 1200), 0);
	assert_int_equal(hosts_pause(&hosts, host, 2300, 1900), 300);
	assert_null(hosts_wake(&hosts, 2299));
	assert_int_equal(
	        hosts_pause(&hosts, host, 2600, 2500), 100); /* it was over, only nobody had looked */
	assert_ptr_equal(hosts_wake(&hosts, 2600), host);
	assert_int_equal(hosts_pause(&hosts, host, 10, 2600), 0);
	hosts_give(&hosts, host, 2000);
	hosts_free(&hosts);
}

static void the_time_of_all_pauses_is_known_at_any_time(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts, NULL);
	struct host *host = hosts_take(&hosts, "a", 1000);
	assert_int_equal(hosts_still_ms(&hosts, host, 900), 0);
	hosts_pause(&hosts, host, 1500, 1000);
	assert_int_equal(hosts_still_ms(&hosts, host, 1000), 0);
	assert_int_equal(hosts_still_ms(&hosts, host, 1200), 200);
	assert_int_equal(hosts_still_ms(&hosts, host, 9000), 500);
	assert_ptr_equal(hosts_wake(&hosts, 1600), host);
	assert_int_equal(hosts_still_ms(&hosts, host, 9000), 500);
	hosts_pause(&hosts, host, 9100, 9000);
	assert_int_equal(hosts_still_ms(&hosts, host, 9050), 550);
	hosts_give(&hosts, host, 2000);
	hosts_free(&hosts);
}

static void a_paused_host_is_remembered_without_users(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts, NULL);
	struct host *host = hosts_take(&hosts, "a", 1000);
	hosts_pause(&hosts, host, 100000, 1000);
	hosts_give(&hosts, host, 1000);
	hosts_forget(&hosts, 99999);
	assert_ptr_equal(hosts_take(&hosts, "a", 99999), host);
	assert_true(host_is_paused(host));
	hosts_give(&hosts, host, 99999);
	assert_ptr_equal(hosts_wake(&hosts, 100000), host);
	hosts_forget(&hosts, 99999 + HOSTS_REMEMBERED_MS);
	assert_int_equal(hosts_count(&hosts), 0);
	hosts_free(&hosts);
}

static void a_flood_of_names_does_not_fill_the_memory(void **state)
{
	(void)state;
	struct hosts hosts;
	char name[32];
	hosts_init(&hosts, NULL);
	for (int i = 0; i < 3 * HOSTS_IDLE_MAX; i++) {
		snprintf(name, sizeof name, "w%d.example.org", i);
		struct host *host = hosts_take(&hosts, name, 1000);
		hosts_pause(&hosts, host, 60000, 1000);
		hosts_give(&hosts, host, 1000);
		hosts_forget(&hosts, 1000);
		assert_true(hosts_count(&hosts) <= HOSTS_IDLE_MAX);
	}
	struct host *host = hosts_take(&hosts, name, 1000);
	assert_true(host_is_paused(host)); /* the newest are still known */
	hosts_give(&hosts, host, 1000);
	hosts_free(&hosts);
}

static void what_is_paused_and_held_stands_still_once(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts, NULL);
	struct host *paused = hosts_take(&hosts, "paused", 0), *other = hosts_take(&hosts, "other", 0);
	hosts_pause(&hosts, paused, 1500, 1000);
	hosts_hold(&hosts, 1200);
	struct host *later = hosts_take(&hosts, "later", 1300);
	assert_int_equal(hosts_still_ms(&hosts, paused, 1400), 400);
	assert_int_equal(hosts_still_ms(&hosts, other, 1400), 200);
	assert_int_equal(hosts_still_ms(&hosts, later, 1400), 100);
	assert_ptr_equal(hosts_wake(&hosts, 1500), paused);
	assert_int_equal(hosts_still_ms(&hosts, paused, 1600), 600);
	hosts_pause(&hosts, other, 2500, 1700);
	hosts_let_go(&hosts, 2000);
	assert_int_equal(hosts_still_ms(&hosts, paused, 9000), 1000);
	assert_int_equal(hosts_still_ms(&hosts, later, 9000), 700);
	assert_int_equal(hosts_still_ms(&hosts, other, 9000), 1300);
	hosts_give(&hosts, paused, 9000);
	hosts_give(&hosts, other, 9000);
	hosts_give(&hosts, later, 9000);
	hosts_free(&hosts);
}

static void a_pause_that_ends_unseen_while_all_are_held_lasts_as_long_as_they_are(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts, NULL);
	struct host *host = hosts_take(&hosts, "a", 0);
	hosts_pause(&hosts, host, 1500, 1000);
	hosts_hold(&hosts, 1200);
	hosts_let_go(&hosts, 2000);
	assert_ptr_equal(hosts_wake(&hosts, 2000), host);
	assert_int_equal(hosts_still_ms(&hosts, host, 9000), 1000);
	hosts_give(&hosts, host, 2000);
	hosts_free(&hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_name_is_one_host_whatever_its_case),
	        cmocka_unit_test(many_hosts_are_told_apart),
	        cmocka_unit_test(a_pause_ends_when_it_said),
	        cmocka_unit_test(a_pause_grows_and_never_shrinks),
	        cmocka_unit_test(the_time_of_all_pauses_is_known_at_any_time),
	        cmocka_unit_test(a_paused_host_is_remembered_without_users),
	        cmocka_unit_test(a_flood_of_names_does_not_fill_the_memory),
	        cmocka_unit_test(what_is_paused_and_held_stands_still_once),
	        cmocka_unit_test(a_pause_that_ends_unseen_while_all_are_held_lasts_as_long_as_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
