/* JSON strings, UTF-8, units and near misses. */
#include "mem.h"
#include "text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_json(const char *data, size_t size, const char *expected)
{
	struct buf out;
	buf_init(&out, 0);
	assert_true(text_json_string(&out, data, size));
	assert_string_equal(out.data, expected);
	buf_free(&out);
}

static void a_json_string_escapes_what_it_must(void **state)
{
	(void)state;
	assert_json("", 0, "\"\"");
	assert_json("plain", 5, "\"plain\"");
	assert_json("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
	assert_json("\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\"");
	assert_json("\x01\x1f\0\x7f", 4, "\"\\u0001\\u001f\\u0000\x7f\"");
	assert_json("\xe2\x82\xac\xf0\x9f\x98\x80", 7, "\"\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

static void a_member_of_an_object_has_its_text_or_null(void **state)
{
	struct buf out;
	(void)state;
	buf_init(&out, 0);
	assert_true(text_json_member(&out, "a", "b\"c"));
	assert_true(text_json_member(&out, "none", NULL));
	assert_string_equal(out.data, ",\"a\":\"b\\\"c\",\"none\":null");
	buf_free(&out);
}

static void what_is_not_utf8_becomes_a_replacement(void **state)
{
	(void)state;
	assert_json("a\xff"
	            "b",
	        3,
	        "\"a\xef\xbf\xbd"
	        "b\"");
	assert_json("\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	assert_json("\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	assert_json("\xc3\xa9\xc3", 3, "\"\xc3\xa9\xef\xbf\xbd\"");
}

static void a_json_string_that_does_not_fit_says_so(void **state)
{
	(void)state;
	for (size_t limit = 1; limit < 12; limit++) {
		struct buf out;
		buf_init(&out, limit);
		bool fits = text_json_string(&out, "long \n word", 11);
		assert_false(fits);
		assert_true(out.full);
		buf_free(&out);
	}
}

static void utf8_is_valid_up_to_the_first_mistake(void **state)
{
	static const struct {
		const char *text;
		size_t valid;
	} cases[] = {{"abc", 3}, {"\xc3\xa9", 2}, {"a\xc3", 1}, {"\xe2\x82\xac!", 4}, {"a\xe2\x82", 1},
	        {"\xf0\x9f\x98\x80", 4}, {"\xf4\x8f\xbf\xbf", 4}, {"\xf4\x90\x80\x80", 0},
	        {"\xf5\x80\x80\x80", 0}, {"\xed\x9f\xbf", 3}, {"\xed\xa0\x80", 0}, {"\xe0\xa0\x80", 3},
	        {"\xe0\x9f\xbf", 0}, {"\xc1\xbf", 0}, {"\xc2\x80", 2}, {"\xf0\x8f\xbf\xbf", 0},
	        {"\xf0\x90\x80\x80", 4}, {"\x80", 0}, {"ok\xfe", 2}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(text_utf8_valid(cases[i].text, strlen(cases[i].text)), cases[i].valid);
	assert_int_equal(text_utf8_valid("a\0b", 3), 3);
}

static void durations_carry_units(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {{"250ms", 250}, {"5s", 5000}, {"2m", 120000}, {"1h", 3600000}, {"7d", 604800000},
	        {"0", 0}, {"0s", 0}, {"1.5s", 1500}, {"0.25h", 900000}};
	static const char *const wrong[] = {"", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "5S", "5sec",
	        "5m30s", "1e3s", "0x10s", "1.2.3s", ".5s", "infs", "nans", "99999999999d", "5.s."};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t ms = -1;
		if (!text_duration(cases[i].text, &ms) || ms != cases[i].ms)
			fail_msg("%s", cases[i].text);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		int64_t ms;
		if (text_duration(wrong[i], &ms))
			fail_msg("%s", wrong[i]);
	}
}

static void sizes_carry_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {{"10MiB", 10485760}, {"10MB", 10000000}, {"512KiB", 524288}, {"512kB", 512000},
	        {"512KB", 512000}, {"1048576B", 1048576}, {"1GiB", 1073741824}, {"2GB", 2000000000}, {"0", 0},
	        {"1.5KiB", 1536}};
	static const char *const wrong[] = {
	        "", "10", "10M", "10mb", "MiB", "10 MiB", "-1B", "1e3B", "0x1B", "9e9GiB"};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t bytes = 1;
		if (!text_size(cases[i].text, &bytes) || bytes != cases[i].bytes)
			fail_msg("%s", cases[i].text);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		uint64_t bytes;
		if (text_size(wrong[i], &bytes))
			fail_msg("%s", wrong[i]);
	}
}

static void rates_carry_units(void **state)
{
	static const char *const wrong[] = {"", "200", "200/", "/s", "200/d", "200 /s", "-1/s", "1e2/s"};
	double rate = -1;
	(void)state;
	assert_true(text_rate("200/s", &rate) && rate == 200);
	assert_true(text_rate("12000/m", &rate) && rate > 199.999 && rate < 200.001);
	assert_true(text_rate("36/h", &rate) && rate > 0.00999 && rate < 0.01001);
	assert_true(text_rate("0.5/s", &rate) && rate == 0.5);
	assert_true(text_rate("0", &rate) && rate == 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (text_rate(wrong[i], &rate))
			fail_msg("%s", wrong[i]);
}

static void a_typing_error_finds_its_word(void **state)
{
	static const char *const words[] = {"upstreams", "user_agent", "retry", "concurrency", "rate"};
	char long_word[300];
	(void)state;
	assert_string_equal(text_did_you_mean("upstream", words, 5), "upstreams");
	assert_string_equal(text_did_you_mean("concurency", words, 5), "concurrency");
	assert_string_equal(text_did_you_mean("rety", words, 5), "retry");
	assert_string_equal(text_did_you_mean("rate", words, 5), "rate");
	assert_string_equal(text_did_you_mean("raet", words, 5), "rate");
	assert_null(text_did_you_mean("kafka", words, 5));
	assert_null(text_did_you_mean("checkpoint", words, 5));
	assert_null(text_did_you_mean("retry", words, 0));
	for (size_t size = 60; size < sizeof long_word; size++) {
		memset(long_word, 'x', size);
		long_word[size] = '\0';
		assert_null(text_did_you_mean(long_word, words, 5));
	}
}

static void bytes_are_told_to_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {{0, "0 B"}, {999, "999 B"}, {1000, "1.0 kB"}, {1234567, "1.2 MB"}, {999949, "999.9 kB"},
	        {999950, "1.0 MB"}, {1500000000, "1.5 GB"}, {UINT64_MAX, "18446744.1 TB"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[32];
		text_human_bytes(cases[i].bytes, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void durations_are_told_to_people(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {{0, "0.0 s"}, {449, "0.4 s"}, {9949, "9.9 s"}, {9950, "10 s"}, {59499, "59 s"},
	        {59500, "1 min 0 s"}, {130000, "2 min 10 s"}, {3599499, "59 min 59 s"},
	        {3600000, "1 h 0 min"}, {86399000, "23 h 59 min"}, {187200000, "2 d 4 h"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[32];
		text_human_duration(cases[i].ms, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void a_path_has_a_folder(void **state)
{
	static const char *const cases[][2] = {
	        {"a/b/c.lua", "a/b"}, {"/c.lua", "/"}, {"c.lua", "."}, {"/a/c.lua", "/a"}, {"", "."}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *folder = text_folder(cases[i][0]);
		assert_string_equal(folder, cases[i][1]);
		mem_free(folder);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_json_string_escapes_what_it_must),
	        cmocka_unit_test(a_member_of_an_object_has_its_text_or_null),
	        cmocka_unit_test(what_is_not_utf8_becomes_a_replacement),
	        cmocka_unit_test(a_json_string_that_does_not_fit_says_so),
	        cmocka_unit_test(utf8_is_valid_up_to_the_first_mistake),
	        cmocka_unit_test(durations_carry_units),
	        cmocka_unit_test(sizes_carry_units),
	        cmocka_unit_test(rates_carry_units),
	        cmocka_unit_test(a_typing_error_finds_its_word),
	        cmocka_unit_test(bytes_are_told_to_people),
	        cmocka_unit_test(durations_are_told_to_people),
	        cmocka_unit_test(a_path_has_a_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
