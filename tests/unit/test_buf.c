/* Growing bytes and their cap. */
#include "buf.h"
#include "mem.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void what_is_appended_is_there_and_ends_in_nul(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 0);
	assert_null(buf.data);
	assert_true(buf_append(&buf, "a\0b", 3));
	assert_true(buf_append_text(&buf, "cd"));
	assert_true(buf_append_byte(&buf, 'e'));
	assert_true(buf_printf(&buf, "%03d", 7));
	assert_int_equal(buf.size, 9);
	assert_memory_equal(buf.data, "a\0bcde007", 10);
	buf_free(&buf);
}

static void it_grows_as_needed(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 0);
	for (int i = 0; i < 100000; i++)
		assert_true(buf_append_byte(&buf, (char)('a' + i % 26)));
	assert_int_equal(buf.size, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf.data[i], 'a' + i % 26);
	assert_int_equal(strlen(buf.data), 100000);
	buf_free(&buf);
}

static void beyond_the_cap_only_full_changes(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 5);
	assert_true(buf_append_text(&buf, "abc"));
	assert_false(buf_append_text(&buf, "def"));
	assert_true(buf.full);
	assert_string_equal(buf.data, "abc");
	assert_true(buf_append_text(&buf, "de"));
	assert_true(buf.full);
	assert_string_equal(buf.data, "abcde");
	assert_false(buf_printf(&buf, "%d", 1));
	assert_false(buf_append_byte(&buf, 'f'));
	assert_null(buf_reserve(&buf, 1));
	assert_int_equal(buf.size, 5);
	assert_true(buf.capacity <= 6);
	buf_clear(&buf);
	assert_false(buf.full);
	assert_int_equal(buf.size, 0);
	assert_string_equal(buf.data, "");
	assert_true(buf_append_text(&buf, "vwxyz"));
	buf_free(&buf);
}

static void an_absurd_size_is_refused_even_without_a_cap(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 0);
	assert_null(buf_reserve(&buf, SIZE_MAX));
	assert_null(buf_reserve(&buf, SIZE_MAX / 2));
	assert_true(buf.full);
	buf_free(&buf);
}

static void what_is_reserved_may_be_written_in_place(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 0);
	buf_append_text(&buf, "n=");
	char *place = buf_reserve(&buf, 100);
	memcpy(place, "12345", 5);
	buf_commit(&buf, 3);
	assert_string_equal(buf.data, "n=123");
	buf_free(&buf);
}

static void freed_it_may_be_used_again_with_the_same_cap(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 3);
	buf_append_text(&buf, "abc");
	buf_free(&buf);
	assert_null(buf.data);
	assert_false(buf_append_text(&buf, "abcd"));
	assert_true(buf_append_text(&buf, "abc"));
	buf_free(&buf);
}

static void stolen_bytes_belong_to_the_thief(void **state)
{
	(void)state;
	struct buf buf;
	size_t size = 99;
	buf_init(&buf, 10);
	char *nothing = buf_steal(&buf, &size);
	assert_string_equal(nothing, "");
	assert_int_equal(size, 0);
	buf_append_text(&buf, "abc");
	char *text = buf_steal(&buf, &size);
	assert_string_equal(text, "abc");
	assert_int_equal(size, 3);
	assert_int_equal(buf.size, 0);
	assert_null(buf.data);
	assert_int_equal(buf.limit, 10);
	mem_free(nothing);
	mem_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_appended_is_there_and_ends_in_nul),
	        cmocka_unit_test(it_grows_as_needed),
	        cmocka_unit_test(beyond_the_cap_only_full_changes),
	        cmocka_unit_test(an_absurd_size_is_refused_even_without_a_cap),
	        cmocka_unit_test(what_is_reserved_may_be_written_in_place),
	        cmocka_unit_test(freed_it_may_be_used_again_with_the_same_cap),
	        cmocka_unit_test(stolen_bytes_belong_to_the_thief),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
