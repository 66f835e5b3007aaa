/* Retries: attempts, deadline, jitter and Retry-After, on invented time. */
#include "retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct retry_config usual = {
        .attempts = 8, .base_ms = 500, .cap_ms = 30000, .deadline_ms = 600000};

static void without_a_list_throttling_and_server_errors_are_asked_again(void **state)
{
	(void)state;
	static const int again[] = {408, 425, 429, 500, 502, 503, 504, 599};
	static const int never[] = {200, 301, 400, 401, 403, 404, 410, 413, 418, 499, 600, 0};
	for (size_t i = 0; i < sizeof again / sizeof *again; i++)
		assert_true(retry_status(&usual, again[i]));
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		assert_false(retry_status(&usual, never[i]));
}

static void a_list_of_statuses_stands_alone(void **state)
{
	(void)state;
	struct retry_config config = {.on = {502, 404}, .on_count = 2};
	assert_true(retry_status(&config, 502));
	assert_true(retry_status(&config, 404));
	assert_false(retry_status(&config, 503));
}

static void the_last_attempt_is_the_last(void **state)
{
	(void)state;
	int64_t wait;
	assert_true(retry_next(&usual, 7, 0, 0, -1, 0.5, &wait));
	assert_false(retry_next(&usual, 8, 0, 0, -1, 0.5, &wait));
	struct retry_config once = {.attempts = 1, .base_ms = 1, .cap_ms = 1};
	assert_false(retry_next(&once, 1, 0, 0, -1, 0, &wait));
}

static void jitter_stays_between_nothing_and_the_doubled_base(void **state)
{
	(void)state;
	srand(42);
	struct retry_config config = usual;
	config.attempts = 1000;
	for (int i = 0; i < 100000; i++) {
		unsigned attempts = 1 + (unsigned)rand() % 80;
		int64_t wait, most = 500;
		for (unsigned n = 1; n < attempts && most < 30000; n++)
			most *= 2;
		if (most > 30000)
			most = 30000;
		assert_true(retry_next(&config, attempts, 0, 0, -1, rand() / (RAND_MAX + 1.0), &wait));
		assert_in_range(wait, 0, most - 1);
	}
}

static void jitter_uses_its_whole_room(void **state)
{
	(void)state;
	int64_t wait;
	assert_true(retry_next(&usual, 1, 0, 0, -1, 0, &wait));
	assert_int_equal(wait, 0);
	assert_true(retry_next(&usual, 1, 0, 0, -1, 0.999999, &wait));
	assert_int_equal(wait, 499);
	assert_true(retry_next(&usual, 7, 0, 0, -1, 0.999999, &wait));
	assert_int_equal(wait, 29999);
}

static void absurd_numbers_do_not_overflow(void **state)
{
	(void)state;
	struct retry_config config = {.attempts = 1000000, .base_ms = INT64_MAX / 3, .cap_ms = INT64_MAX / 2};
	int64_t wait;
	assert_true(retry_next(&config, 999999, 0, 0, -1, 0.25, &wait));
	assert_true(wait >= 0);
}

static void no_retry_is_due_after_the_deadline(void **state)
{
	(void)state;
	int64_t wait;
	assert_true(retry_next(&usual, 1, 1000, 601000, -1, 0, &wait));
	assert_false(retry_next(&usual, 1, 1000, 601001, -1, 0, &wait));
	assert_false(retry_next(&usual, 1, 1000, 600900, -1, 0.5, &wait));
	assert_false(retry_next(&usual, 1, 1000, 1000, 600001, 0, &wait) && wait > 600000);
	struct retry_config endless = usual;
	endless.deadline_ms = 0;
	assert_true(retry_next(&endless, 1, 0, INT64_MAX / 2, -1, 0, &wait));
}

static void retry_after_is_the_least_wait(void **state)
{
	(void)state;
	int64_t wait;
	assert_true(retry_next(&usual, 1, 0, 0, 7000, 0.9, &wait));
	assert_int_equal(wait, 7000);
	assert_true(retry_next(&usual, 7, 0, 0, 7000, 0.9, &wait));
	assert_int_equal(wait, 27000);
}

static void an_absurd_retry_after_is_cut_to_ten_minutes(void **state)
{
	(void)state;
	struct retry_config config = usual;
	int64_t wait;
	config.deadline_ms = 0;
	assert_true(retry_next(&config, 1, 0, 0, INT64_MAX, 0.9, &wait));
	assert_int_equal(wait, 600000);
}

static void retry_after_in_seconds_is_read(void **state)
{
	(void)state;
	assert_int_equal(retry_after("0", 1000), 0);
	assert_int_equal(retry_after("5", 1000), 5000);
	assert_int_equal(retry_after(" 120\t", 1000), 120000);
	assert_true(retry_after("99999999999999999999999999999999", 1000) > 1000000000);
}

static void retry_after_as_a_date_is_read_in_all_three_forms(void **state)
{
	(void)state;
	int64_t wall = 784111777000 - 30000; /* half a minute before Sun, 06 Nov 1994 08:49:37 GMT */
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", wall), 30000);
	assert_int_equal(retry_after("Sunday, 06-Nov-94 08:49:37 GMT", wall), 30000);
	assert_int_equal(retry_after("Sun Nov  6 08:49:37 1994", wall), 30000);
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", wall + 40000), 0);
}

static void a_nonsense_retry_after_is_none(void **state)
{
	(void)state;
	static const char *const nonsense[] = {"", " ", "-5", "+5", "1.5", "5s", "soon", "0x10", "5,6",
	        "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37 GMT trailing", "Sun, 06 Nov 1994",
	        "Sun, 99 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z",
	        "a text that is much longer than any date or number could be: it fits no buffer of theirs"};
	assert_int_equal(retry_after(NULL, 0), -1);
	for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
		assert_int_equal(retry_after(nonsense[i], 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(without_a_list_throttling_and_server_errors_are_asked_again),
	        cmocka_unit_test(a_list_of_statuses_stands_alone),
	        cmocka_unit_test(the_last_attempt_is_the_last),
	        cmocka_unit_test(jitter_stays_between_nothing_and_the_doubled_base),
	        cmocka_unit_test(jitter_uses_its_whole_room),
	        cmocka_unit_test(absurd_numbers_do_not_overflow),
	        cmocka_unit_test(no_retry_is_due_after_the_deadline),
	        cmocka_unit_test(retry_after_is_the_least_wait),
	        cmocka_unit_test(an_absurd_retry_after_is_cut_to_ten_minutes),
	        cmocka_unit_test(retry_after_in_seconds_is_read),
	        cmocka_unit_test(retry_after_as_a_date_is_read_in_all_three_forms),
	        cmocka_unit_test(a_nonsense_retry_after_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
