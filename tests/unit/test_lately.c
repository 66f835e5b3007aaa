/* The last failures: the newest are kept, in bounds, and events only where somebody may see them. */
#include "lately.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void fell(struct lately *lately, int64_t offset, const char *value, size_t size, const char *message)
{
	char topic[] = "pages", reason[] = "HttpStatus";
	struct record record = {.reason = reason};
	record.input.topic = topic;
	record.input.offset = offset;
	record.input.value = (struct bytes){value, size};
	lately_add(lately, &record, message, 1000 + offset);
}

static void the_newest_are_found_by_number_and_the_oldest_are_gone(void **state)
{
	struct lately lately;
	(void)state;
	lately_init(&lately, true);
	assert_null(lately_find(&lately, 0));
	assert_null(lately_find(&lately, 1));
	for (int i = 1; i <= LATELY_MOST + 5; i++)
		fell(&lately, i, "{}", 2, "why");
	assert_null(lately_find(&lately, 5));
	assert_null(lately_find(&lately, LATELY_MOST + 6));
	for (uint64_t n = 6; n <= LATELY_MOST + 5; n++) {
		const struct lately_failure *failure = lately_find(&lately, n);
		assert_non_null(failure);
		assert_int_equal(failure->offset, n);
		assert_memory_equal(failure->event, "{}", 2);
	}
	lately_free(&lately);
}

static void events_are_kept_only_where_they_may_be_shown_and_fit(void **state)
{
	static char large[LATELY_EVENT + 1];
	struct lately closed, open;
	(void)state;
	lately_init(&closed, false);
	lately_init(&open, true);
	fell(&closed, 1, "{}", 2, "why");
	fell(&open, 1, large, LATELY_EVENT + 1, "why");
	fell(&open, 2, large, LATELY_EVENT, "why");
	fell(&open, 3, NULL, 0, "a tombstone");
	assert_null(lately_find(&closed, 1)->event);
	assert_null(lately_find(&open, 1)->event);
	assert_int_equal(lately_find(&open, 1)->size, LATELY_EVENT + 1);
	assert_non_null(lately_find(&open, 2)->event);
	assert_null(lately_find(&open, 3)->event);
	lately_free(&closed);
	lately_free(&open);
}

static void a_long_message_is_cut_between_characters(void **state)
{
	char message[2 * LATELY_MESSAGE + 2];
	struct lately lately;
	(void)state;
	message[0] = 'x';
	for (size_t i = 1; i + 2 < sizeof message; i += 2)
		memcpy(message + i, "\u00e4", 2);
	message[sizeof message - 1] = '\0';
	lately_init(&lately, false);
	fell(&lately, 1, "{}", 2, message);
	assert_int_equal(strlen(lately_find(&lately, 1)->message), LATELY_MESSAGE - 1);
	lately_free(&lately);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_newest_are_found_by_number_and_the_oldest_are_gone),
	        cmocka_unit_test(events_are_kept_only_where_they_may_be_shown_and_fit),
	        cmocka_unit_test(a_long_message_is_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
