/* Formats and patterns: what the RFCs and ECMA-262 call one, and nothing else. */
#include "mem.h"
#include "schema_format.h"
#include "schema_regex.h"
#include "unit.h"

static void has_format(const char *name, const char *text, bool expected)
{
	schema_format *format = schema_format_find(name);
	assert_non_null(format);
	char *exact = mem_alloc(strlen(text)); /* without a NUL: the sanitizer sees what is read behind it */
	memcpy(exact, text, strlen(text));
	if (format(exact, strlen(text)) != expected)
		fail_msg("%s: %s", name, text);
	mem_free(exact);
}

static void formats_are_those_of_their_rfcs(void **state)
{
	static const struct {
		const char *name;
		const char *good[12], *bad[14];
	} formats[] = {
	        {"date-time",
	                {"2024-02-29T12:00:00Z", "2024-03-01t12:00:00.123456789z",
	                        "1990-12-31T15:59:60-08:00", "1998-12-31T23:59:60Z", "2021-01-01T00:00:00.0Z",
	                        "0000-01-01T00:00:00+23:59"},
	                {"", "2023-02-29T12:00:00Z", "2024-03-01 12:00:00Z", "2024-03-01T12:00:00",
	                        "2024-03-01T24:00:00Z", "2024-03-01T12:00:60Z", "2024-03-01T12:00:00.Z",
	                        "2024-3-01T12:00:00Z", "2024-03-01T12:00:00+0100", "2024-03-01T12:00:00Z ",
	                        "2024-13-01T12:00:00Z", "1998-12-31T23:59:60+01:00",
	                        "2024-03-01T12:00:00+24:00"}},
	        {"date", {"2024-02-29", "1900-02-28"},
	                {"1900-02-29", "2024-04-31", "2024-00-01", "2024-1-1", "20240101"}},
	        {"time", {"12:00:00Z", "23:59:60Z", "22:59:60-01:00"},
	                {"12:00:00", "24:00:00Z", "12:60:00Z", "12:00:61Z"}},
	        {"email", {"a@b", "a.b+c@example.org", "\"a b\\\"\"@x.org", "a@[127.0.0.1]", "a@[IPv6:::1]"},
	                {"", "@b", "a@", "a", ".a@b", "a.@b", "a..b@c", "a@b..c", "a@[1.2.3]", "a b@c",
	                        "a@-b", "\"a@b"}},
	        {"hostname", {"a", "www.example.org", "1-2.3", "xn--4gbwdl.xn--wgbh1c"},
	                {"", "-a", "a-", "a..b", ".a", "a.", "a_b", "\xC3\xA4",
	                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
	        {"ipv4", {"127.0.0.1", "0.0.0.0", "255.255.255.255"},
	                {"", "256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5", "1.2.3.4 ", "0x7f.0.0.1"}},
	        {"ipv6", {"::", "::1", "2001:db8::1", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8"},
	                {"", ":", "1:2:3:4:5:6:7", "::1::", "12345::", "fe80::1%eth0", "::ffff:1.2.3.400"}},
	        {"uri",
	                {"http://example.org/a?b=c#d", "urn:oasis:names", "mailto:a@b.org", "tel:+1",
	                        "http://[::1]:80/", "ldap://[2001:db8::7]/c=GB?one", "http://a%20b/",
	                        "x:", "file:///a", "http://u:p@h:1/", "http://[v1.a:b]/"},
	                {"", "/a", "a", "http://a b", "http://a/%4", "http://a/\\b", ":a", "1a:b",
	                        "http://[::1", "http://[a]/", "http://a:b/", "http://a/<b>",
	                        "http://a/\xC3\xA4", "http://a#b#c"}},
	        {"uri-reference", {"", "/a/b", "a", "../x", "?q", "#f", "//h/p", "a/b:c", "http://a"},
	                {"a b", "a:b c", "1:2", "#a#b", "\\\\a\\b", "//[x]", "%", "\xC3\xA4"}},
	        {"json-pointer", {"", "/", "/a~0b~1c/0"}, {"a", "/~", "/~2", "#/a"}},
	        {"relative-json-pointer", {"0", "1#", "12/a"}, {"", "01", "-1", "/a", "1##", "1a"}},
	        {"regex", {"", "^a+$", "\\d{2,}", "[^\\]]"}, {"(", "[", "a**", "\\Z", "(?i)a", "\\"}},
	};
	(void)state;
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		for (size_t j = 0; formats[i].good[j]; j++)
			has_format(formats[i].name, formats[i].good[j], true);
		for (size_t j = 0; j < 14 && formats[i].bad[j]; j++)
			has_format(formats[i].name, formats[i].bad[j], false);
	}
	assert_null(schema_format_find("idn-email"));
	assert_null(schema_format_find("uuid"));
}

static void a_nul_character_ends_no_text(void **state)
{
	(void)state;
	assert_false(schema_format_find("ipv4")("1.2.3.4\0x", 9));
	assert_false(schema_format_find("hostname")("a\0b", 3));
	assert_false(schema_format_find("uri-reference")("a\0b", 3));
	assert_false(schema_format_find("email")("a\0@b", 4));
}

/* ---- patterns ---- */

static enum schema_match match(const char *pattern, const char *text, size_t size)
{
	struct err err;
	struct schema_regex *regex = schema_regex_compile(pattern, strlen(pattern), &err);
	struct schema_regex_scratch *scratch = schema_regex_scratch_new();
	if (regex == NULL)
		fail_msg("%s: %s", pattern, err.text);
	enum schema_match found = schema_regex_match(regex, scratch, text, size);
	schema_regex_scratch_free(scratch);
	schema_regex_free(regex);
	return found;
}

static void patterns_are_those_of_ecma_262(void **state)
{
	static const struct {
		const char *pattern, *yes, *no;
	} cases[] = {
	        {"b", "abc", "ac"},
	        {"^a$", "a", "a\n"},
	        {"^.$", "x", "\n"},
	        {"^.$", "\xC3\xA4", "\xE2\x80\xA8"},
	        {"^\\d$", "1", "\xD9\xA1"},
	        {"^\\w$", "_", "\xC3\xA4"},
	        {"^\\s$", "\xC2\xA0", "\xE2\x80\x8B"},
	        {"^\\S$", "\xE2\x80\x8B", "\xEF\xBB\xBF"},
	        {"^[\\s]$", "\xE3\x80\x80", "x"},
	        {"^[^\\s]$", "x", "\xE2\x80\xA8"},
	        {"^[\\S]$", "x", "\t"},
	        {"^\\cC$", "\x03", "C"},
	        {"^\\u00e4$", "\xC3\xA4", "u00e4"},
	        {"^\\u{1F600}$", "\xF0\x9F\x98\x80", "u"},
	        {"^\\ud83d\\ude00$", "\xF0\x9F\x98\x80", "x"},
	        {"^\\x41\\/\\-\\_$", "A/-_", "A"},
	        {"^[a-c\\]x-]+$", "b]x-", "d"},
	        {"^[\\d-z]+$", "1-z", "a"},
	        {"^[[:a]+$", "[:a", "b"},
	        {"^a{2}$", "aa", "a"},
	        {"^a{,2}$", "a{,2}", "aa"},
	        {"^{}]$", "{}]", "{"},
	        {"^a{x$", "a{x", "a"},
	        {"^(a)|b\\1$", "b", "c"},
	        {"^(?<n>a)\\k<n>$", "aa", "ab"},
	        {"^a(?=b)", "ab", "ac"},
	        {"^a(?!b)", "ac", "ab"},
	        {"(?<=a)b", "ab", "cb"},
	        {"(?<!a)b", "cb", "ab"},
	        {"^a+?b*?c?$", "aabc", "d"},
	        {"^(?:a|bc)+$", "abca", "b"},
	        {"^[^]$", "\n", ""},
	        {"^(?:[]|a)$", "a", "b"},
	        {"\\bfoo\\b", "a foo.", "afoo"},
	        {"^\\p{L}+$", "\xC3\xA4x", "1"},
	        {"^\\p{Letter}$", "\xD0\x96", "1"},
	        {"^\\P{Lu}$", "a", "A"},
	        {"^\\p{Script=Greek}$", "\xCE\xB1", "a"},
	        {"^[\\p{Nd}_]$", "\xD9\xA1", "a"},
	        {"^#\\ a$", "# a", "#a"},
	        {"^[\\b]$", "\b", "b"},
	        {"^\\0$", "", "0"},
	        {"^[\\w.-]+$", "a-b.c", "a b"},
	        {"^[\xC3\xA4-\xC3\xBC]$", "\xC3\xB6", "o"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool nul = strcmp(cases[i].pattern, "^\\0$") == 0;
		size_t size = nul ? 1 : strlen(cases[i].yes);
		if (match(cases[i].pattern, cases[i].yes, size) != SCHEMA_MATCH_YES)
			fail_msg("%s does not match %s", cases[i].pattern, cases[i].yes);
		if (match(cases[i].pattern, cases[i].no, strlen(cases[i].no)) != SCHEMA_MATCH_NO)
			fail_msg("%s matches %s", cases[i].pattern, cases[i].no);
	}
}

static void what_is_no_pattern_of_ecma_262_is_refused(void **state)
{
	static const char *const patterns[] = {"(", ")", "(?", "(?i)a", "(?#x)", "(?>a)", "(?|a)", "(?P<n>a)",
	        "(*ACCEPT)", "[", "[z-a]", "[a-\\d]", "*", "a**", "a++", "^*", "a{2}{3}", "\\", "\\A", "\\Z",
	        "\\z", "\\a", "\\e", "\\G", "\\K", "\\Q.\\E", "\\R", "\\X", "\\h", "\\N", "\\o{101}", "\\x4",
	        "\\u12", "\\ud800", "\\u{110000}", "\\c1", "\\p{Foo}", "\\pL", "\\1", "\\k<a>", "a{3,2}",
	        "\\07", "(?<1>a)", "(?<a>b)(?<a>c)"};
	(void)state;
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
		struct err err = {""};
		if (schema_regex_compile(patterns[i], strlen(patterns[i]), &err))
			fail_msg("%s was taken", patterns[i]);
		assert_true(*err.text);
	}
}

static void a_pattern_is_given_up_when_it_takes_too_many_steps(void **state)
{
	size_t size = 1000000;
	char *text = mem_alloc(size);
	(void)state;
	memset(text, 'a', size);
	assert_int_equal(match("^(a+)+$", text, 40), SCHEMA_MATCH_YES);
	text[40] = '!';
	assert_int_equal(match("^(a+)+$", text, 41), SCHEMA_MATCH_GAVE_UP);
	assert_int_equal(match("a+[^a]", text + 41, size - 41), SCHEMA_MATCH_GAVE_UP);
	assert_int_equal(match("(a*)*\\1[^a]", text + 41, size - 41), SCHEMA_MATCH_GAVE_UP);
	/* while what is long and no riddle is matched */
	assert_int_equal(match("^a*$", text + 41, size - 41), SCHEMA_MATCH_YES);
	assert_int_equal(match("^[a-z]*!", text, size), SCHEMA_MATCH_YES);
	assert_int_equal(match("b|c|d!", text + 41, size - 41), SCHEMA_MATCH_NO);
	assert_int_equal(match("^(?:a{4})*(?:a{2})?$", text + 41, 100001), SCHEMA_MATCH_NO);
	assert_int_equal(match("\\S", text, size), SCHEMA_MATCH_YES);
	mem_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(formats_are_those_of_their_rfcs),
	        cmocka_unit_test(a_nul_character_ends_no_text),
	        cmocka_unit_test(patterns_are_those_of_ecma_262),
	        cmocka_unit_test(what_is_no_pattern_of_ecma_262_is_refused),
	        cmocka_unit_test(a_pattern_is_given_up_when_it_takes_too_many_steps),
	};
	return cmocka_run_group_tests_name("schema formats", tests, NULL, NULL);
}
