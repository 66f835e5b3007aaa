/* Heaps: the first comes first, whatever is pushed and removed. */
#include "heap.h"
#include "list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { THINGS = 2000 };

struct thing {
	int rank;
	struct heap_node node;
};

static bool lower(const struct heap_node *a, const struct heap_node *b)
{
	return container_of(a, struct thing, node)->rank < container_of(b, struct thing, node)->rank;
}

static int pop(struct heap *heap)
{
	struct heap_node *node = heap_first(heap);
	heap_remove(heap, node);
	assert_false(heap_holds(node));
	return container_of(node, struct thing, node)->rank;
}

static void an_empty_heap_has_no_first(void **state)
{
	(void)state;
	struct heap heap;
	heap_init(&heap, lower);
	assert_null(heap_first(&heap));
	heap_free(&heap);
}

static void things_come_out_in_order(void **state)
{
	(void)state;
	static struct thing things[THINGS];
	struct heap heap;
	heap_init(&heap, lower);
	srand(7);
	for (int i = 0; i < THINGS; i++) {
		things[i].rank = rand() % 500;
		heap_push(&heap, &things[i].node);
	}
	for (int i = 0, last = -1; i < THINGS; i++) {
		int rank = pop(&heap);
		assert_true(rank >= last);
		last = rank;
	}
	assert_null(heap_first(&heap));
	heap_free(&heap);
}

static void any_thing_may_leave_from_the_middle(void **state)
{
	(void)state;
	static struct thing things[THINGS];
	struct heap heap;
	heap_init(&heap, lower);
	srand(8);
	for (int i = 0; i < THINGS * 10; i++) {
		struct thing *thing = &things[rand() % THINGS];
		if (heap_holds(&thing->node)) {
			heap_remove(&heap, &thing->node);
		} else {
			thing->rank = rand();
			heap_push(&heap, &thing->node);
		}
	}
	size_t held = 0;
	for (int i = 0; i < THINGS; i++)
		held += heap_holds(&things[i].node);
	assert_int_equal(heap.count, held);
	for (int last = -1; heap.count > 0;) {
		int rank = pop(&heap);
		assert_true(rank >= last);
		last = rank;
	}
	heap_free(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_empty_heap_has_no_first),
	        cmocka_unit_test(things_come_out_in_order),
	        cmocka_unit_test(any_thing_may_leave_from_the_middle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
