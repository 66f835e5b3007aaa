/* The bounded patterns say what Lua's own say, and stop where those would not. */
#include "luapattern.h"

#include "script_private.h"

#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A plain state with Lua's own functions in `string` and ours in `ours`. */
static lua_State *both(void)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_newtable(L);
	sandbox_string(L);
	lua_setglobal(L, "ours");
	return L;
}

/* compare(function, ...) answers nil when both say the same, else what they say. */
static const char comparison[] =
        "local function show(...) local t = {...} for i = 1, select('#', ...) do t[i] = tostring(t[i]) end "
        "return table.concat(t, '|') end "
        "local function all(f, s, p) local t = {} for a, b, c in f(s, p) do t[#t + 1] = show(a, b, c) "
        "if #t > 100 then break end end return table.concat(t, ';') end "
        "function compare(name, ...) "
        "local f, g = string[name], ours[name] "
        "if name == 'gmatch' then local a, b = f, g f = function(s, p) return all(a, s, p) end "
        "g = function(s, p) return all(b, s, p) end end "
        "local their, our = {pcall(f, ...)}, {pcall(g, ...)} "
        "if their[1] ~= our[1] then return show(unpack(their, 1, 4)) .. ' but ' .. show(unpack(our, 1, 4)) "
        "end "
        "if their[1] and show(unpack(their, 1, 8)) ~= show(unpack(our, 1, 8)) then "
        "return show(unpack(their, 1, 8)) .. ' but ' .. show(unpack(our, 1, 8)) end end";

static void agree(lua_State *L, const char *name, const char *text, const char *pattern, const char *third)
{
	int count = 3;
	lua_getglobal(L, "compare");
	lua_pushstring(L, name);
	lua_pushstring(L, text);
	lua_pushstring(L, pattern);
	if (third) {
		lua_pushstring(L, third);
		count++;
	}
	if (lua_pcall(L, count, 1, 0) != 0)
		fail_msg("%s", lua_tostring(L, -1));
	if (!lua_isnil(L, -1))
		fail_msg("%s('%s', '%s', '%s'): Lua says %s", name, text, pattern, third ? third : "",
		        lua_tostring(L, -1));
	lua_pop(L, 1);
}

static void the_manuals_patterns_match_as_in_lua(void **state)
{
	static const char *const cases[][2] = {{"hello world", "o"}, {"hello world", "l+"}, {"hello", "l*"},
	        {"hello", "(l)(l)"}, {"hello", "()ll()"}, {"key = value", "(%w+)%s*=%s*(%w+)"},
	        {"x(a(b)c)y", "%b()"}, {"THE (quick) fox", "%f[%a]%a+"}, {"2026-11-22", "(%d+)-(%d+)-(%d+)"},
	        {"\"quoted\" 'too'", "(['\"])(.-)%1"}, {"[[]]", "[]]+"}, {"a-b", "[a-]+"}, {"a^b", "[%^]"},
	        {"a^b", "[b^]"}, {"abc", "[^a]"}, {"abc", "[^%l]"}, {"", ""}, {"", "x*"}, {"abc", "$"},
	        {"a$", "a$$"}, {"a$b", "a$b"}, {"^a", "^^a"}, {"abc", "a?b?c?d?"}, {"abc", "-"},
	        {"a.b", "%."}, {"abc", "%"}, {"abc", "[a"}, {"abc", "[a%"}, {"abc", "(a"}, {"abc", "a)"},
	        {"abc", "%1"}, {"abc", "(a%1)"}, {"abc", "%b"}, {"abc", "%bx"}, {"abc", "%f"}, {"abc", "%fa"},
	        {"a\tb\n", "%c"}, {"\x7f\x80\xff", "%w*"}, {"ab12", "%x+"}, {"abc", "[%a-z]"},
	        {"a-z", "[%a-z]+"}, {"abc", "[c-a]"}, {"abc", "a[b]c"}, {"a]c", "a[]]c"}, {"abc", "(()a())"},
	        {"aaa", "a-$"}, {"aaab", "^a-b"}, {"x", ".-b"}, {"foo.bar", "^(.-)%.(.*)$"},
	        {"  trim  ", "^%s*(.-)%s*$"}, {"%d", "%%d"}, {"abc", "[]"}, {"abc", "[^]"}, {"a\nb", "a.b"},
	        {"aXb", "%u"}, {"aXb", "%U+"}, {"a b", "%S+"}};
	lua_State *L = both();
	(void)state;
	assert_int_equal(0, luaL_dostring(L, comparison));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		agree(L, "find", cases[i][0], cases[i][1], NULL);
		agree(L, "match", cases[i][0], cases[i][1], NULL);
		agree(L, "gmatch", cases[i][0], cases[i][1], NULL);
		agree(L, "gsub", cases[i][0], cases[i][1], "<%0>");
		agree(L, "gsub", cases[i][0], cases[i][1], "<%1>");
	}
	lua_close(L);
}

static void random_patterns_match_as_in_lua(void **state)
{
	static const char letters[] = "ab.()%[]^$*+-?1d wf%b";
	lua_State *L = both();
	unsigned seed = 7;
	(void)state;
	assert_int_equal(0, luaL_dostring(L, comparison));
	for (int round = 0; round < 40000; round++) {
		char text[12], pattern[10];
		size_t size = (size_t)rand_r(&seed) % sizeof text,
		       length = (size_t)rand_r(&seed) % sizeof pattern;
		for (size_t i = 0; i < size; i++)
			text[i] = "aab1 ()"[rand_r(&seed) % 7];
		for (size_t i = 0; i < length; i++)
			pattern[i] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
		text[size] = pattern[length] = '\0';
		if (size == sizeof text || length == sizeof pattern)
			continue;
		static const char *const functions[] = {"find", "match", "gmatch", "gsub"};
		agree(L, functions[round % 4], text, pattern, round % 4 == 3 ? "[%0]" : NULL);
	}
	lua_close(L);
}

static void searches_begin_where_they_are_told(void **state)
{
	static const char *const starts[] = {"1", "2", "-1", "-2", "0", "99", "-99", "6", "5"};
	lua_State *L = both();
	(void)state;
	assert_int_equal(0, luaL_dostring(L, comparison));
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		agree(L, "find", "hello", "l", starts[i]);
		agree(L, "find", "hello", "l.", starts[i]);
		agree(L, "find", "hello", "", starts[i]);
		agree(L, "match", "hello", "^l", starts[i]);
	}
	lua_close(L);
}

static const char *match(const char *text, const char *pattern, uint64_t steps, struct pattern *found)
{
	*found = (struct pattern){.text = text,
	        .text_end = text + strlen(text),
	        .pattern_end = pattern + strlen(pattern),
	        .steps = steps};
	return pattern_match(found, text, pattern);
}

static void a_match_without_steps_left_says_so(void **state)
{
	struct pattern found;
	(void)state;
	assert_null(match("aaaaaaaaaa", "a-a-a-b", 100, &found));
	assert_ptr_equal(PATTERN_TOO_COMPLEX, found.error);
	assert_null(match("aaaaaaaaaa", "a-a-a-b", 100000, &found));
	assert_null(found.error);
}

/* A set of thousands of characters, or a long capture, is looked at in every step. */
static void long_items_cost_more_steps(void **state)
{
	char set[2000], text[] = "xxxxxxxxxxxxxxxxxxxxxxxx";
	struct pattern found;
	(void)state;
	memset(set, 'b', sizeof set);
	set[0] = '[';
	memcpy(set + sizeof set - 4, "x]*", 4);
	assert_non_null(match(text, "[x]*", 200, &found));
	assert_null(match(text, set, 200, &found));
	assert_ptr_equal(PATTERN_TOO_COMPLEX, found.error);
	assert_non_null(match(text, set, 8000, &found));
}

static void a_match_stops_when_it_is_told_to(void **state)
{
	static const volatile sig_atomic_t stop = 1;
	struct pattern found;
	char text[20001];
	static const char pattern[] = "a-a-b";
	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	found = (struct pattern){.text = text,
	        .text_end = text + sizeof text - 1,
	        .stop = &stop,
	        .pattern_end = pattern + sizeof pattern - 1,
	        .steps = 1000000000};
	assert_null(pattern_match(&found, text, pattern));
	assert_string_equal("stopped", found.error);
	assert_true(found.steps > 1000000000 - 10000);
}

static void bytes_of_value_zero_are_bytes(void **state)
{
	static const char text[] = "a\0b\0c";
	static const char pattern[] = "%z(.)\0";
	struct pattern found = {
	        .text = text, .text_end = text + 5, .pattern_end = pattern + 6, .steps = 1000};
	(void)state;
	assert_ptr_equal(text + 4, pattern_match(&found, text + 1, pattern));
	assert_int_equal(1, found.level);
	assert_int_equal('b', *found.captures[0].start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_manuals_patterns_match_as_in_lua),
	        cmocka_unit_test(random_patterns_match_as_in_lua),
	        cmocka_unit_test(searches_begin_where_they_are_told),
	        cmocka_unit_test(a_match_without_steps_left_says_so),
	        cmocka_unit_test(long_items_cost_more_steps),
	        cmocka_unit_test(a_match_stops_when_it_is_told_to),
	        cmocka_unit_test(bytes_of_value_zero_are_bytes),
	};
	return cmocka_run_group_tests_name("luapattern", tests, NULL, NULL);
}
