/* Progress is told from what was done lately. */
#include "progress.h"
#include "unit.h"

static const char *told(const struct progress *progress, uint64_t done, uint64_t left)
{
	static char text[200];
	struct buf out;
	buf_init(&out, 0);
	progress_text(progress, done, left, &out);
	snprintf(text, sizeof text, "%s", out.data);
	buf_free(&out);
	return text;
}

static void nothing_is_said_of_a_rate_that_is_not_known(void **state)
{
	(void)state;
	struct progress progress = {0};
	assert_string_equal(told(&progress, 0, 0), "0 of 0 records (100 %)");
	progress_note(&progress, 0, 5000);
	progress_note(&progress, 10, 5999); /* too soon after the last to say anything */
	assert_string_equal(told(&progress, 10, 90), "10 of 100 records (10 %)");
	assert_true(progress_rate(&progress) == 0);
}

static void the_rest_takes_as_long_as_the_rate_says(void **state)
{
	(void)state;
	struct progress progress = {0};
	for (int64_t second = 0; second <= 10; second++)
		progress_note(&progress, (uint64_t)second * 120, second * 1000);
	assert_true(progress_rate(&progress) == 120);
	assert_string_equal(
	        told(&progress, 1200, 1800), "1200 of 3000 records (40 %), 120/s, about 15 s left");
	assert_string_equal(told(&progress, 3000, 0), "3000 of 3000 records (100 %), 120/s");
}

static void the_rate_is_that_of_the_last_half_minute(void **state)
{
	(void)state;
	struct progress progress = {0};
	uint64_t done = 0;
	for (int64_t second = 0; second < 300; second++)
		progress_note(&progress, done += second < 200 ? 1000 : 4, second * 1000);
	assert_true(progress_rate(&progress) == 4);
}

static void what_stands_still_has_no_end_in_sight(void **state)
{
	(void)state;
	struct progress progress = {0};
	for (int64_t second = 0; second < 60; second++)
		progress_note(&progress, 7, second * 1000);
	assert_string_equal(told(&progress, 7, 3), "7 of 10 records (70 %), 0.0/s");
}

static void a_hundred_percent_is_said_when_nothing_is_left(void **state)
{
	(void)state;
	struct progress progress = {0};
	assert_string_equal(told(&progress, 99999, 1), "99999 of 100000 records (99 %)");
}

static const char *line(uint64_t done, uint64_t left, unsigned columns)
{
	static struct buf out;
	struct progress progress = {0};
	for (int64_t second = 0; second <= 10; second++)
		progress_note(&progress, (uint64_t)second * 120, second * 1000);
	buf_free(&out);
	buf_init(&out, 0);
	progress_line(&progress, done, left, (struct progress_partitions){1, 3}, columns, &out);
	return out.data;
}

static void a_bar_stands_before_what_fits_on_the_line(void **state)
{
	(void)state;
	assert_string_equal(line(1200, 1800, 120),
	        "[############------------------] 1200 of 3000 records (40 %), 120/s, about 15 s left, 1/3 "
	        "partitions");
	assert_string_equal(line(1200, 1800, 80),
	        "[###------] 1200 of 3000 records (40 %), 120/s, about 15 s left, 1/3 partitions");
	assert_string_equal(
	        line(1200, 1800, 74), "1200 of 3000 records (40 %), 120/s, about 15 s left, 1/3 partitions");
	assert_string_equal(line(1200, 1800, 20), "1200 of 3000 record");
}

static void a_bar_is_never_longer_than_it_is(void **state)
{
	(void)state;
	struct buf bar;
	buf_init(&bar, 0);
	progress_bar(7, 3, 4, &bar);
	progress_bar(0, 0, 2, &bar);
	progress_bar(0, 9, 2, &bar);
	assert_string_equal(bar.data, "[####] [##] [--] ");
	buf_free(&bar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_is_said_of_a_rate_that_is_not_known),
	        cmocka_unit_test(the_rest_takes_as_long_as_the_rate_says),
	        cmocka_unit_test(the_rate_is_that_of_the_last_half_minute),
	        cmocka_unit_test(what_stands_still_has_no_end_in_sight),
	        cmocka_unit_test(a_bar_stands_before_what_fits_on_the_line),
	        cmocka_unit_test(a_bar_is_never_longer_than_it_is),
	        cmocka_unit_test(a_hundred_percent_is_said_when_nothing_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
