/* The parts of limits.memory. */
#include "unit.h"

#include "budget.h"

#define MIB ((size_t)1024 * 1024)

static struct budget divide(size_t memory, size_t script, size_t body, size_t message)
{
	return budget_of(&(struct budget_needs){memory * MIB, script * MIB, body * MIB, message * MIB});
}

static void the_parts_are_the_whole(void **state)
{
	(void)state;
	for (size_t memory = 112; memory < 20000; memory = memory * 5 / 4) {
		struct budget b = divide(memory, 32, 8, 10);
		assert_int_equal(b.engine + b.prefetch + b.script + b.records, b.total);
		assert_int_equal(b.total, memory * MIB);
		assert_true(b.fetch_queue + b.fetch_answer <= b.prefetch);
	}
}

static void what_is_just_enough_leaves_room_for_the_largest_answer(void **state)
{
	(void)state;
	size_t least = divide(0, 128, 56, 10).needed / MIB;
	assert_int_equal(least, 400);
	assert_true(divide(least, 128, 56, 10).records >= BUDGET_PER_BODY * 56 * MIB);
	for (size_t memory = least; memory < 4 * least; memory++)
		assert_true(divide(memory, 128, 56, 10).records >= BUDGET_PER_BODY * 56 * MIB);
}

static void more_memory_is_never_less_for_any_part(void **state)
{
	(void)state;
	struct budget before = divide(100, 64, 24, 24);
	for (size_t memory = 101; memory < 3000; memory++) {
		struct budget now = divide(memory, 64, 24, 24);
		assert_true(now.records >= before.records && now.prefetch >= before.prefetch);
		before = now;
	}
}

static void too_little_is_no_room_at_all_and_no_underflow(void **state)
{
	(void)state;
	assert_int_equal(divide(0, 128, 56, 10).records, 0);
	assert_int_equal(divide(100, 128, 56, 10).records, 0);
	assert_true(divide(100, 128, 56, 10).needed > 100 * MIB);
}

static void a_producer_has_room_for_the_largest_message(void **state)
{
	(void)state;
	assert_true(divide(512, 64, 8, 100).produce_queue >= 100 * MIB);
	assert_true(divide(512, 64, 8, 1).produce_queue >= 4 * MIB);
	assert_true(divide(512, 64, 8, 1).produce_queue <= divide(512, 64, 8, 1).records / 4);
}

static void the_parts_are_told_in_words(void **state)
{
	(void)state;
	struct buf out;
	struct budget b = divide(512, 128, 56, 10);
	buf_init(&out, 0);
	budget_print(&b, &out);
	assert_string_equal(out.data, "engine 40 MiB, prefetch 64 MiB, script 128 MiB, records 280 MiB");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_parts_are_the_whole),
	        cmocka_unit_test(what_is_just_enough_leaves_room_for_the_largest_answer),
	        cmocka_unit_test(more_memory_is_never_less_for_any_part),
	        cmocka_unit_test(too_little_is_no_room_at_all_and_no_underflow),
	        cmocka_unit_test(a_producer_has_room_for_the_largest_message),
	        cmocka_unit_test(the_parts_are_told_in_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
