/* Lists that know their length. */
#include "list.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct item {
	int number;
	struct list_node node;
};

/* The numbers on the list as text, walked forwards, after a look at the way back. */
static const char *numbers(const struct list *list)
{
	static char text[100];
	size_t count = 0;
	text[0] = '\0';
	for (struct list_node *node = list_first(list); node; node = list_next(list, node), count++) {
		assert_ptr_equal(node->next->prev, node);
		assert_ptr_equal(node->prev->next, node);
		snprintf(text + strlen(text), sizeof text - strlen(text), "%d ",
		        container_of(node, struct item, node)->number);
	}
	assert_int_equal(count, list->count);
	return text;
}

static void a_new_list_is_empty(void **state)
{
	(void)state;
	struct list list;
	list_init(&list, "waiting");
	assert_true(list_empty(&list));
	assert_null(list_first(&list));
	assert_null(list_last(&list));
	assert_string_equal(list.name, "waiting");
}

static void what_is_put_at_the_ends_stays_in_order(void **state)
{
	(void)state;
	struct list list;
	struct item items[4] = {{1, {0}}, {2, {0}}, {3, {0}}, {4, {0}}};
	list_init(&list, "waiting");
	list_append(&list, &items[1].node);
	list_append(&list, &items[3].node);
	list_prepend(&list, &items[0].node);
	list_insert_before(&list, &items[3].node, &items[2].node);
	assert_string_equal(numbers(&list), "1 2 3 4 ");
	assert_ptr_equal(list_first(&list), &items[0].node);
	assert_ptr_equal(list_last(&list), &items[3].node);
	assert_null(list_next(&list, &items[3].node));
}

static void a_removed_node_knows_that_it_is_on_no_list(void **state)
{
	(void)state;
	struct list list;
	struct item items[3] = {{1, {0}}, {2, {0}}, {3, {0}}};
	list_init(&list, "waiting");
	for (int i = 0; i < 3; i++)
		list_append(&list, &items[i].node);
	assert_true(list_linked(&items[1].node));
	list_remove(&list, &items[1].node);
	assert_false(list_linked(&items[1].node));
	assert_string_equal(numbers(&list), "1 3 ");
	list_append(&list, &items[1].node);
	assert_string_equal(numbers(&list), "1 3 2 ");
}

static void a_walk_may_remove_where_it_stands(void **state)
{
	(void)state;
	struct list list;
	struct item items[5] = {{1, {0}}, {2, {0}}, {3, {0}}, {4, {0}}, {5, {0}}};
	int sum = 0;
	list_init(&list, "waiting");
	for (int i = 0; i < 5; i++)
		list_append(&list, &items[i].node);
	list_each (&list, node, after) {
		int number = container_of(node, struct item, node)->number;
		sum += number;
		if (number % 2)
			list_remove(&list, node);
	}
	assert_int_equal(sum, 15);
	assert_string_equal(numbers(&list), "2 4 ");
	list_each (&list, node, after) {
		list_remove(&list, node);
	}
	assert_true(list_empty(&list));
	list_each (&list, node, after) {
		fail();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_new_list_is_empty),
	        cmocka_unit_test(what_is_put_at_the_ends_stays_in_order),
	        cmocka_unit_test(a_removed_node_knows_that_it_is_on_no_list),
	        cmocka_unit_test(a_walk_may_remove_where_it_stands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
