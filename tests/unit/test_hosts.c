/* Hosts: who is paused, until when, and for how long in all; on invented time. */
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
	hosts_init(&hosts);
	struct host *one = hosts_take(&hosts, "de.wikipedia.org");
	struct host *own = hosts_take(&hosts, NULL);
	assert_ptr_equal(hosts_take(&hosts, "DE.Wikipedia.ORG"), one);
	assert_ptr_equal(hosts_take(&hosts, NULL), own);
	assert_ptr_not_equal(one, own);
	assert_int_equal(hosts.count, 2);
	for (int i = 0; i < 2; i++) {
		hosts_give(&hosts, one);
		hosts_give(&hosts, own);
	}
	assert_int_equal(hosts.count, 0);
	hosts_free(&hosts);
}

static void many_hosts_are_told_apart(void **state)
{
	(void)state;
	enum { MANY = 1000 };
	struct hosts hosts;
	struct host *taken[MANY];
	char name[32];
	hosts_init(&hosts);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "w%d.example.org", i);
		taken[i] = hosts_take(&hosts, name);
	}
	assert_int_equal(hosts.count, MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "w%d.example.org", i);
		assert_ptr_equal(hosts_take(&hosts, name), taken[i]);
		hosts_give(&hosts, taken[i]);
		hosts_give(&hosts, taken[i]);
	}
	assert_int_equal(hosts.count, 0);
	hosts_free(&hosts);
}

static void a_pause_ends_when_it_said(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts);
	struct host *host = hosts_take(&hosts, "a");
	assert_int_equal(hosts_due(&hosts), -1);
	assert_int_equal(hosts_pause(&hosts, host, 1500, 1000), 500);
	assert_true(host_is_paused(host));
	assert_int_equal(hosts_due(&hosts), 1500);
	assert_null(hosts_wake(&hosts, 1499));
	assert_ptr_equal(hosts_wake(&hosts, 1500), host);
	assert_false(host_is_paused(host));
	assert_null(hosts_wake(&hosts, 1500));
	hosts_give(&hosts, host);
	hosts_give(&hosts, host);
	hosts_free(&hosts);
}

static void a_pause_grows_and_never_shrinks(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts);
	struct host *host = hosts_take(&hosts, "a");
	assert_int_equal(hosts_pause(&hosts, host, 2000, 1000), 1000);
	assert_int_equal(hosts_pause(&hosts, host, 1800, 1200), 0);
	assert_int_equal(hosts_pause(&hosts, host, 2300, 1900), 300);
	assert_null(hosts_wake(&hosts, 2299));
	assert_int_equal(
	        hosts_pause(&hosts, host, 2600, 2500), 100); /* it was over, only nobody had looked */
	assert_ptr_equal(hosts_wake(&hosts, 2600), host);
	assert_int_equal(hosts_pause(&hosts, host, 10, 2600), 0);
	hosts_give(&hosts, host);
	hosts_give(&hosts, host);
	hosts_free(&hosts);
}

static void the_time_of_all_pauses_is_known_at_any_time(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts);
	struct host *host = hosts_take(&hosts, "a");
	assert_int_equal(host_paused_ms(host, 900), 0);
	hosts_pause(&hosts, host, 1500, 1000);
	assert_int_equal(host_paused_ms(host, 1000), 0);
	assert_int_equal(host_paused_ms(host, 1200), 200);
	assert_int_equal(host_paused_ms(host, 9000), 500);
	hosts_give(&hosts, hosts_wake(&hosts, 1600));
	assert_int_equal(host_paused_ms(host, 9000), 500);
	hosts_pause(&hosts, host, 9100, 9000);
	assert_int_equal(host_paused_ms(host, 9050), 550);
	hosts_give(&hosts, host);
	hosts_free(&hosts);
}

static void a_paused_host_is_remembered_without_users(void **state)
{
	(void)state;
	struct hosts hosts;
	hosts_init(&hosts);
	struct host *host = hosts_take(&hosts, "a");
	hosts_pause(&hosts, host, 2000, 1000);
	hosts_give(&hosts, host);
	host = hosts_take(&hosts, "a");
	assert_true(host_is_paused(host));
	hosts_give(&hosts, host);
	hosts_give(&hosts, hosts_wake(&hosts, 2000));
	assert_int_equal(hosts.count, 0);
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
