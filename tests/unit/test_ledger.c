/* The one budget of bytes. */
#include "ledger.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void the_sum_is_that_of_all_kinds(void **state)
{
	(void)state;
	struct ledger ledger;
	ledger_init(&ledger, 1000);
	ledger_charge(&ledger, LEDGER_INPUT, 300);
	ledger_charge(&ledger, LEDGER_ANSWER, 200);
	ledger_return(&ledger, LEDGER_INPUT, 100);
	assert_int_equal(ledger.used[LEDGER_INPUT], 200);
	assert_int_equal(ledger.used[LEDGER_ANSWER], 200);
	assert_int_equal(ledger.total, 400);
	assert_int_equal(ledger_room(&ledger), 600);
}

static void the_maximum_seen_stays(void **state)
{
	(void)state;
	struct ledger ledger;
	ledger_init(&ledger, 1000);
	ledger_charge(&ledger, LEDGER_OUTPUT, 700);
	ledger_return(&ledger, LEDGER_OUTPUT, 700);
	ledger_charge(&ledger, LEDGER_SINK, 600);
	assert_int_equal(ledger.maximum[LEDGER_OUTPUT], 700);
	assert_int_equal(ledger.maximum[LEDGER_SINK], 600);
	assert_int_equal(ledger.total_maximum, 700);
}

static void over_the_limit_there_is_no_room_and_nothing_is_refused(void **state)
{
	(void)state;
	struct ledger ledger;
	ledger_init(&ledger, 100);
	ledger_charge(&ledger, LEDGER_INPUT, 100);
	assert_int_equal(ledger_room(&ledger), 0);
	ledger_charge(&ledger, LEDGER_INPUT, 50);
	assert_int_equal(ledger.total, 150);
	assert_int_equal(ledger_room(&ledger), 0);
	ledger_return(&ledger, LEDGER_INPUT, 51);
	assert_int_equal(ledger_room(&ledger), 1);
}

static void a_set_kind_replaces_what_it_was(void **state)
{
	(void)state;
	struct ledger ledger;
	ledger_init(&ledger, 1000);
	ledger_charge(&ledger, LEDGER_INPUT, 10);
	ledger_set(&ledger, LEDGER_LUA, 500);
	ledger_set(&ledger, LEDGER_LUA, 300);
	assert_int_equal(ledger.used[LEDGER_LUA], 300);
	assert_int_equal(ledger.maximum[LEDGER_LUA], 500);
	assert_int_equal(ledger.total, 310);
	assert_int_equal(ledger.total_maximum, 510);
}

static void every_kind_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < LEDGER_KINDS; i++) {
		assert_non_null(ledger_kind_name((enum ledger_kind)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(
			        ledger_kind_name((enum ledger_kind)i), ledger_kind_name((enum ledger_kind)j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_sum_is_that_of_all_kinds),
	        cmocka_unit_test(the_maximum_seen_stays),
	        cmocka_unit_test(over_the_limit_there_is_no_room_and_nothing_is_refused),
	        cmocka_unit_test(a_set_kind_replaces_what_it_was),
	        cmocka_unit_test(every_kind_has_a_name_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
