/* Where a record stands, read from a header or from what a person types; each record is met once. */
#include "unit.h"

#include "origin.h"

static void a_topics_name_is_free(void **state)
{
	(void)state;
	struct origin origin;
	const char *text = "a/7/b/3/81236/0";
	assert_true(origin_read(text, strlen(text), &origin));
	assert_int_equal(origin.topic_size, 5);
	assert_memory_equal(origin.topic, "a/7/b", 5);
	assert_int_equal(origin.partition, 3);
	assert_int_equal(origin.offset, 81236);
	struct origin typed;
	assert_true(origin_read_place("a/7/b/3/81236", 13, &typed));
	assert_true(origin_same(&origin, &typed));
	assert_true(origin_read_place("a/7/b/3/81237", 13, &typed));
	assert_false(origin_same(&origin, &typed));
	assert_true(origin_read_place("a/7/c/3/81236", 13, &typed));
	assert_false(origin_same(&origin, &typed));
}

static void nonsense_is_no_place(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "/", "t", "t/1", "/1/2", "t//2", "t/1/", "t/1/-2", "t/x/2",
	        "1/2", "t/99999999999/1", "t/1/9999999999999999999999"};
	struct origin origin;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_false(origin_read_place(texts[i], strlen(texts[i]), &origin));
		assert_false(origin_read(texts[i], strlen(texts[i]), &origin));
	}
	assert_false(origin_read("t/1/2", 5, &origin)); /* that is without n */
}

static void a_record_is_met_once_but_by_the_same_message_again(void **state)
{
	(void)state;
	struct origins *origins = origins_open(100000);
	for (int round = 0; round < 2; round++)
		for (int64_t i = 0; i < 20000; i++) {
			struct origins_note note = {(int32_t)(i % 3), (int32_t)(i % 5), i, 0, i * 2};
			assert_true(origins_first(origins, &note)); /* read again after a rebalance */
			note.by_offset++;
			assert_false(origins_first(origins, &note));
			note.by_offset--;
			note.by_partition++;
			assert_false(origins_first(origins, &note));
		}
	origins_close(origins);
}

static void beyond_what_it_may_know_everything_is_new(void **state)
{
	(void)state;
	struct origins *origins = origins_open(10);
	for (int64_t i = 0; i < 1000; i++) {
		struct origins_note first = {0, 0, i, 0, i}, again = {0, 0, i, 0, i + 5000};
		assert_true(origins_first(origins, &first));
		assert_int_equal(origins_first(origins, &again), i >= 10);
	}
	origins_close(origins);
	origins_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_topics_name_is_free),
	        cmocka_unit_test(nonsense_is_no_place),
	        cmocka_unit_test(a_record_is_met_once_but_by_the_same_message_again),
	        cmocka_unit_test(beyond_what_it_may_know_everything_is_new),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
