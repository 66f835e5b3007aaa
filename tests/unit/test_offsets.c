/* The safe offset never passes an unfinished record, whatever order the records end in. */
#include "mem.h"
#include "offsets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void the_safe_offset_is_the_lowest_unfinished_one(void **state)
{
	(void)state;
	struct offsets *offsets = offsets_open(100, NULL, 0);
	assert_int_equal(offsets_safe(offsets), 100);
	uint64_t a = offsets_begin(offsets, 100), b = offsets_begin(offsets, 101),
	         c = offsets_begin(offsets, 102);
	offsets_end(offsets, b);
	offsets_end(offsets, c);
	assert_int_equal(offsets_safe(offsets), 100);
	assert_int_equal(offsets_open_count(offsets), 1);
	struct range ranges[4];
	assert_int_equal(offsets_ranges(offsets, ranges, 4), 1);
	assert_int_equal(ranges[0].from, 101);
	assert_int_equal(ranges[0].to, 103);
	offsets_end(offsets, a);
	assert_int_equal(offsets_safe(offsets), 103);
	assert_int_equal(offsets_ranges(offsets, ranges, 4), 0);
	offsets_close(offsets);
}

static void a_gap_in_the_offsets_holds_nothing_up(void **state)
{
	(void)state;
	struct offsets *offsets = offsets_open(0, NULL, 0);
	uint64_t a = offsets_begin(offsets, 5), b = offsets_begin(offsets, 90);
	assert_int_equal(offsets_safe(offsets), 5);
	struct range ranges[4];
	assert_int_equal(offsets_ranges(offsets, ranges, 4), 0);
	offsets_end(offsets, a);
	assert_int_equal(offsets_safe(offsets), 90);
	offsets_end(offsets, b);
	assert_int_equal(offsets_safe(offsets), 91);
	offsets_close(offsets);
}

static void an_offset_that_comes_again_is_not_expected(void **state)
{
	(void)state;
	struct offsets *offsets = offsets_open(10, NULL, 0);
	assert_false(offsets_expected(offsets, 9));
	offsets_begin(offsets, 10);
	assert_false(offsets_expected(offsets, 10));
	assert_true(offsets_expected(offsets, 11));
	offsets_close(offsets);
}

static void what_an_earlier_life_finished_is_skipped_and_stays_noted(void **state)
{
	(void)state;
	struct range earlier[] = {{12, 14}, {20, 30}};
	struct offsets *offsets = offsets_open(10, earlier, 2);
	uint64_t a = offsets_begin(offsets, 10);
	struct range ranges[4];
	assert_int_equal(offsets_ranges(offsets, ranges, 4), 2); /* not reached yet, still known */
	assert_false(offsets_skip(offsets, 11));
	uint64_t b = offsets_begin(offsets, 11);
	assert_true(offsets_skip(offsets, 12));
	assert_true(offsets_skip(offsets, 13));
	assert_false(offsets_skip(offsets, 14));
	uint64_t c = offsets_begin(offsets, 14);
	assert_int_equal(offsets_ranges(offsets, ranges, 4), 2);
	assert_int_equal(ranges[0].from, 12);
	assert_int_equal(ranges[0].to, 14);
	offsets_end(offsets, a);
	offsets_end(offsets, b);
	assert_int_equal(offsets_safe(offsets), 14);
	offsets_end(offsets, c);
	assert_int_equal(offsets_safe(offsets), 15);
	assert_true(offsets_skip(offsets, 20));
	assert_int_equal(offsets_safe(offsets), 30); /* the rest of the range is finished as well */
	assert_int_equal(offsets_ranges(offsets, ranges, 4), 0);
	offsets_close(offsets);
}

static void a_hundred_thousand_may_be_open(void **state)
{
	(void)state;
	enum { N = 100000 };
	struct offsets *offsets = offsets_open(0, NULL, 0);
	uint64_t *tickets = mem_alloc(N * sizeof *tickets);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++)
			tickets[i] = offsets_begin(offsets, offsets_next(offsets));
		for (size_t i = N; i-- > 1;)
			offsets_end(offsets, tickets[i]);
		assert_int_equal(offsets_safe(offsets), (int64_t)round * N);
		offsets_end(offsets, tickets[0]);
		assert_int_equal(offsets_safe(offsets), (int64_t)(round + 1) * N);
	}
	mem_free(tickets);
	offsets_close(offsets);
}

/* The model: one byte per offset. */
enum { WORLD = 3000 };
enum fate { UNSEEN, OPEN, ENDED, ABSENT, EARLIER };

struct model {
	unsigned char fate[WORLD];
	uint64_t ticket[WORLD];
	size_t open[WORLD], open_count;
	int64_t next;
};

static bool done_in(const struct model *model, int64_t offset)
{
	unsigned char fate = model->fate[offset];
	return fate == ENDED || fate == EARLIER || (fate == ABSENT && offset < model->next);
}

static void check_against(const struct model *model, const struct offsets *offsets)
{
	static struct range ranges[WORLD];
	int64_t safe = offsets_safe(offsets);
	for (int64_t i = 0; i < safe; i++)
		assert_true(done_in(model, i));
	if (safe < WORLD && model->open_count)
		assert_int_equal(model->fate[safe], OPEN);
	assert_int_equal(offsets_open_count(offsets), model->open_count);
	size_t count = offsets_ranges(offsets, ranges, WORLD);
	static bool covered[WORLD];
	memset(covered, 0, sizeof covered);
	for (size_t i = 0; i < count; i++) {
		assert_true(ranges[i].from >= (i ? ranges[i - 1].to + 1 : safe));
		assert_true(ranges[i].to > ranges[i].from);
		for (int64_t at = ranges[i].from; at < ranges[i].to; at++) {
			assert_true(done_in(model, at));
			covered[at] = true;
		}
	}
	for (int64_t at = safe; at < WORLD; at++)
		if (model->fate[at] == ENDED || model->fate[at] == EARLIER)
			assert_true(covered[at]);
}

static void take_one(struct model *model, struct offsets *offsets)
{
	int64_t at = model->next;
	while (at < WORLD && model->fate[at] == ABSENT)
		at++;
	if (at == WORLD)
		return;
	model->next = at + 1;
	assert_true(offsets_expected(offsets, at));
	bool skipped = offsets_skip(offsets, at);
	assert_int_equal(skipped, model->fate[at] == EARLIER);
	if (skipped)
		return;
	model->ticket[at] = offsets_begin(offsets, at);
	model->fate[at] = OPEN;
	model->open[model->open_count++] = (size_t)at;
}

static void end_one(struct model *model, struct offsets *offsets)
{
	if (model->open_count == 0)
		return;
	size_t which = (size_t)rand() % model->open_count;
	size_t at = model->open[which];
	model->open[which] = model->open[--model->open_count];
	model->fate[at] = ENDED;
	offsets_end(offsets, model->ticket[at]);
}

static size_t lay_out(struct model *model, struct range *earlier)
{
	size_t count = 0;
	*model = (struct model){0};
	for (int64_t at = 1; at < WORLD - 40;) {
		at += 1 + rand() % 60;
		int64_t to = at + 1 + rand() % 20;
		enum fate fate = rand() % 2 ? ABSENT : EARLIER;
		if (fate == EARLIER && (count == 0 || earlier[count - 1].to < at))
			earlier[count++] = (struct range){at, to};
		else
			fate = ABSENT;
		for (; at < to && at < WORLD; at++)
			model->fate[at] = (unsigned char)fate;
	}
	while (count && earlier[count - 1].to > WORLD)
		earlier[count - 1].to = WORLD;
	return count;
}

static void any_order_of_ends_agrees_with_a_naive_model(void **state)
{
	(void)state;
	const char *seed = getenv("MILLRACE_SEED");
	for (unsigned round = 0; round < 30; round++) {
		unsigned number = seed ? (unsigned)atoi(seed) : 7000 + round;
		srand(number);
		print_message("seed %u\n", number);
		static struct model model;
		static struct range earlier[WORLD];
		size_t count = lay_out(&model, earlier);
		struct offsets *offsets = offsets_open(0, earlier, count);
		for (int step = 0; step < 2 * WORLD; step++) {
			if (rand() % 100 < (step < WORLD ? 60 : 40))
				take_one(&model, offsets);
			else
				end_one(&model, offsets);
			if (step % 50 == 0)
				check_against(&model, offsets);
		}
		check_against(&model, offsets);
		offsets_close(offsets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_safe_offset_is_the_lowest_unfinished_one),
	        cmocka_unit_test(a_gap_in_the_offsets_holds_nothing_up),
	        cmocka_unit_test(an_offset_that_comes_again_is_not_expected),
	        cmocka_unit_test(what_an_earlier_life_finished_is_skipped_and_stays_noted),
	        cmocka_unit_test(a_hundred_thousand_may_be_open),
	        cmocka_unit_test(any_order_of_ends_agrees_with_a_naive_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
