/* What the process really takes. */
#include "unit.h"

#include "resident.h"

static size_t taken, free_of_it;
static int looks, gifts;

static size_t look(void)
{
	looks++;
	return taken;
}

static void give_back(void)
{
	gifts++;
	taken -= free_of_it;
	free_of_it = 0;
}

static struct resident with(size_t limit)
{
	struct resident resident;
	resident_init(&resident, limit);
	resident.look = look;
	resident.give_back = give_back;
	looks = gifts = 0;
	return resident;
}

static void over_the_limit_it_says_so_until_it_is_not(void **state)
{
	(void)state;
	struct resident resident = with(1000);
	taken = 900;
	assert_false(resident_over(&resident, 1000));
	taken = 1001;
	assert_true(resident_over(&resident, 1100));
	taken = 1000;
	assert_false(resident_over(&resident, 1200));
}

static void it_looks_now_and_then(void **state)
{
	(void)state;
	struct resident resident = with(1000);
	taken = 100;
	for (int64_t now = 0; now < 1000; now++)
		resident_over(&resident, now);
	assert_int_equal(looks, 10);
	assert_int_equal(gifts, 0);
}

static void what_is_free_goes_back_above_half_once_a_second(void **state)
{
	(void)state;
	struct resident resident = with(1000);
	taken = 1200;
	free_of_it = 400;
	assert_false(resident_over(&resident, 0));
	assert_int_equal(gifts, 1);
	for (int64_t now = 0; now < 3000; now += 10)
		resident_over(&resident, now);
	assert_int_equal(gifts, 3);
	taken = 500;
	resident_over(&resident, 4000);
	assert_int_equal(gifts, 3);
}

static void without_a_limit_nobody_looks(void **state)
{
	(void)state;
	struct resident resident = with(0);
	taken = 1000000;
	assert_false(resident_over(&resident, 0));
	assert_int_equal(looks, 0);
}

static void the_kernel_tells_it_but_for_a_sanitizer(void **state)
{
	(void)state;
	size_t size = 64 << 20, before = resident_bytes();
	char *block = malloc(size);
	assert_non_null(block);
	for (size_t i = 0; i < size; i += 512)
		((volatile char *)block)[i] = 1;
	size_t after = resident_bytes();
	assert_true(before == 0 ? after == 0 : after > before + size / 2);
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(over_the_limit_it_says_so_until_it_is_not),
	        cmocka_unit_test(it_looks_now_and_then),
	        cmocka_unit_test(what_is_free_goes_back_above_half_once_a_second),
	        cmocka_unit_test(without_a_limit_nobody_looks),
	        cmocka_unit_test(the_kernel_tells_it_but_for_a_sanitizer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
