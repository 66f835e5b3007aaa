/* Dates read and written. */
#include "clock.h"
#include <stdbool.h>

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool parse(const char *text, int64_t *wall)
{
	return clock_parse(text, strlen(text), wall);
}

static void a_time_is_written_in_24_characters(void **state)
{
	static const struct {
		int64_t wall;
		const char *text;
	} cases[] = {{0, "1970-01-01T00:00:00.000Z"}, {1795353988123, "2026-11-22T13:26:28.123Z"},
	        {-1, "1969-12-31T23:59:59.999Z"}, {951782400000, "2000-02-29T00:00:00.000Z"},
	        {253402300799999, "9999-12-31T23:59:59.999Z"}, {253402300800000, "0000-00-00T00:00:00.000Z"},
	        {INT64_MAX, "0000-00-00T00:00:00.000Z"}, {INT64_MIN, "0000-00-00T00:00:00.000Z"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[CLOCK_TEXT];
		clock_format(cases[i].wall, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void any_offset_and_fraction_is_read(void **state)
{
	static const struct {
		const char *text;
		int64_t wall;
	} cases[] = {{"1970-01-01T00:00:00Z", 0}, {"2026-11-22T13:26:28.123Z", 1795353988123},
	        {"2026-11-22t13:26:28.123456789z", 1795353988123}, {"2026-11-22 13:26:28.1Z", 1795353988100},
	        {"2026-11-22T14:26:28.123+01:00", 1795353988123},
	        {"2026-11-22T07:56:28.123-05:30", 1795353988123}, {"2000-02-29T00:00:00-00:00", 951782400000},
	        {"1969-12-31T23:59:59.999Z", -1}, {"2016-12-31T23:59:60Z", 1483228800000},
	        {"2024-02-29T12:00:00Z", 1709208000000}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t wall = 7;
		if (!parse(cases[i].text, &wall) || wall != cases[i].wall)
			fail_msg("%s: %lld", cases[i].text, (long long)wall);
	}
}

static void what_is_no_date_is_refused(void **state)
{
	static const char *const texts[] = {"", "now", "2026-11-22", "2026-11-22T13:26:28",
	        "2026-11-22T13:26Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-11-00T00:00:00Z",
	        "2026-11-31T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
	        "2026-04-31T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T13:60:00Z",
	        "2026-11-22T13:00:61Z", "2026-11-22T13:26:28.Z", "2026-11-22T13:26:28Zx",
	        "2026-11-22T13:26:28+1:00", "2026-11-22T13:26:28+24:00", "2026-11-22T13:26:28+01:60",
	        "2026-11-22T13:26:28+0100", " 2026-11-22T13:26:28Z", "+026-11-22T13:26:28Z",
	        "20261122T132628Z"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		int64_t wall;
		if (parse(texts[i], &wall))
			fail_msg("%s", texts[i]);
	}
}

static void only_so_many_bytes_are_looked_at(void **state)
{
	(void)state;
	static const char text[] = "2026-11-22T13:26:28.123Z";
	int64_t wall;
	for (size_t size = 0; size < sizeof text - 1; size++) {
		char *copy = malloc(size + 1); /* its end is guarded where sanitizers are on */
		memcpy(copy, text, size);
		char *exact = realloc(copy, size ? size : 1);
		assert_false(clock_parse(exact, size, &wall));
		free(exact);
	}
	assert_true(clock_parse(text, sizeof text - 1, &wall));
}

static void what_is_written_reads_back(void **state)
{
	(void)state;
	for (int64_t wall = -62167219200000; wall < 253402300800000; wall += 7999999999937 / 13) {
		char text[CLOCK_TEXT];
		int64_t again = 1;
		clock_format(wall, text);
		if (!parse(text, &again) || again != wall)
			fail_msg("%lld is %s is %lld", (long long)wall, text, (long long)again);
	}
}

static void the_steady_clock_does_not_go_back(void **state)
{
	(void)state;
	int64_t before = clock_now_ns();
	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_now_ns();
		assert_true(now >= before);
		before = now;
	}
	assert_true(clock_now() >= before / 1000000);
	assert_true(clock_wall() > 1500000000000);
}

static void an_invented_time_moves_only_when_told(void **state)
{
	(void)state;
	int64_t before = clock_now();
	assert_false(clock_invented());
	clock_invent(1000);
	assert_true(clock_invented());
	int64_t now = clock_now();
	assert_true(now >= before);
	assert_int_equal(clock_wall(), 1000);
	clock_skip(90000);
	assert_int_equal(clock_now(), now + 90000);
	assert_int_equal(clock_now_ns(), (now + 90000) * 1000000);
	assert_int_equal(clock_wall(), 91000);
	clock_invent(5);
	assert_int_equal(clock_wall(), 5);
	assert_int_equal(clock_now(), now + 90000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_time_is_written_in_24_characters),
	        cmocka_unit_test(any_offset_and_fraction_is_read),
	        cmocka_unit_test(what_is_no_date_is_refused),
	        cmocka_unit_test(only_so_many_bytes_are_looked_at),
	        cmocka_unit_test(what_is_written_reads_back),
	        cmocka_unit_test(the_steady_clock_does_not_go_back),
	        cmocka_unit_test(an_invented_time_moves_only_when_told), /* the last: time stays invented */
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
