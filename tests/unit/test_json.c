/* The JSON codec: nothing is changed unasked, nothing wrong passes, nothing breaks it. */
#include "json_fixture.h"
#include "text.h"

#include <locale.h>

/* ---- promise: numbers ---- */

static void integers_of_any_size_come_out_as_they_went_in(void **state)
{
	static const char *const texts[] = {"[0]", "[-0]", "[7]", "[-12]", "[999999999999999]",
	        "[1000000000000000]", "[9007199254740991]", "[9007199254740992]", "[9007199254740993]",
	        "[-9007199254740993]", "[1234567890123456789]", "[9223372036854775807]",
	        "[-9223372036854775808]", "[9223372036854775808]", "[18446744073709549568]",
	        "[18446744073709551615]", "[18446744073709551616]", "[100000000000000000000]",
	        "[1180591620717411303424]", "[123456789012345678901234567890123456789012345678901234567890]"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		keeps(*state, texts[i]);
}

static void a_moved_integer_is_still_exact(void **state)
{
	lua_gives(*state,
	        "local t = json.decode '[9007199254740993, 9223372036854775808, 1180591620717411303424, "
	        "9007199254740994]'"
	        " return json.array {t[4], t[3], t[2], t[1]}",
	        "[9007199254740994,1180591620717411303424,9223372036854775808,9007199254740993]");
}

static void decimals_come_out_digit_for_digit(void **state)
{
	static const char *const texts[] = {"[1.0]", "[-0.0]", "[0.0]", "[3.10]", "[1e21]", "[1E400]",
	        "[-1e400]", "[1e-400]", "[0.1]", "[0.30000000000000004]", "[1e+21]", "[1e2]", "[1E+02]",
	        "[0e0]", "[-0e-0]", "[123456789.123456789123456789]", "[0.000001]", "[0.0000001]", "[1e-7]",
	        "[47.123456789012345]", "[5e-324]", "[2.2250738585072014e-308]", "[1.7976931348623157e308]",
	        "[1.7976931348623159e308]", "[0.4e00669999999999999999999999]", "[100000000000000.5]",
	        "[999999999999999.9]", "{\"a\":{\"b\":[1.50,{\"c\":2.0}]}}"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		keeps(*state, texts[i]);
	keeps(*state, "{\"lat\":47.10}");
	keeps(*state, "[[1.0],[1.00],[1.000]]");
}

static void a_number_keeps_its_text_only_while_it_is_unchanged(void **state)
{
	lua_State *L = *state;
	lua_gives(L, "local t = json.decode '{\"a\":1.0}' t.a = 2 return t", "{\"a\":2}");
	lua_gives(L, "local t = json.decode '{\"a\":1.0}' t.a = t.a + 0 return t", "{\"a\":1.0}");
	lua_gives(L, "local t = json.decode '{\"a\":-0.0}' t.a = 0 return t", "{\"a\":0}");
	lua_gives(L, "local t = json.decode '{\"a\":1.0}' t.a = 'x' return t", "{\"a\":\"x\"}");
	lua_gives(L, "local t = json.decode '{\"a\":1.0}' t.b, t.a = t.a, nil return t", "{\"b\":1}");
	lua_gives(L, "local t = json.decode '[1.0,2.0,3.0]' table.remove(t, 1) return t", "[2,3]");
	lua_gives(L, "local t = json.decode '[1.0,2.0]' t[3] = 2.5 return t", "[1.0,2.0,2.5]");
}

static void numbers_that_scripts_make_are_printed_short(void **state)
{
	lua_gives(*state,
	        "return {1, -1, 2^53, -2^53, 2^63, 1e20, 1e21, 1e22, 0.1, 0.1 + 0.2, 1/3, 1e-6, 1e-7, "
	        "123.456, -0.5, 5e-324,"
	        " 1.7976931348623157e308, 123456789012.5, 1e15 + 0.5}",
	        "[1,-1,9007199254740992,-9007199254740992,9223372036854775808,100000000000000000000,1e+21,1e+"
	        "22,0.1,"
	        "0.30000000000000004,0.3333333333333333,0.000001,1e-7,123.456,-0.5,5e-324,1."
	        "7976931348623157e+308,"
	        "123456789012.5,1000000000000000.5]");
}

static void common_numbers_cost_no_note(void **state)
{
	lua_State *L = *state;
	lua(L, "return json.decode '{\"a\":[0,-7,0.5,47.123,-0.000123,1187654321],\"b\":9007199254740993}'");
	int anchors = json_push_anchors(L, JSON_ANCHOR_NOTES + 1);
	assert_int_equal(lua_type(L, anchors + JSON_ANCHOR_NOTES), LUA_TBOOLEAN);
	lua_settop(L, 0);
}

static void a_big_number_compares_by_value_and_shows_its_digits(void **state)
{
	lua_State *L = *state;
	lua_gives(L,
	        "local t = json.decode "
	        "'[9007199254740993,9007199254740993,9007199254740995,-9007199254740993,1E400,10e399]'"
	        " local a, b, c, d, e, f = unpack(t)"
	        " return {a == b, a == c, a < c, c < a, a <= b, d < a, a < d, d <= d, a < e, e == f, "
	        "tostring(a), 'r' .. a .. 5,"
	        " a .. b, type(a), a ~= c, a > d, a >= b}",
	        "[true,false,true,false,true,true,false,true,true,true,\"9007199254740993\","
	        "\"r90071992547409935\","
	        "\"90071992547409939007199254740993\",\"userdata\",true,true,true]");
	lua_fails(L, "return json.decode '[9007199254740993]'[1] + 1", "arithmetic");
	lua_fails(L, "return json.decode '[9007199254740993]'[1] .. {}", "concatenate a table");
	lua_gives(L, "return json.decode '[9007199254740993]'[1] == 9007199254740993", "false");
	lua_gives(L, "return getmetatable(json.decode '9007199254740993')", "false");
}

static int order(const char *a, const char *b)
{
	return json_number_compare(a, strlen(a), b, strlen(b));
}

static void number_texts_are_ordered_by_value(void **state)
{
	static const char *const rising[] = {"-1e400", "-12.5", "-12", "-0.01", "0", "1e-400", "0.001",
	        "0.01", "0.1", "0.99", "1", "1.0001", "9", "10", "10.5", "11", "1e2", "9007199254740993",
	        "9007199254740994", "1e17", "1e400", "2e400"};
	(void)state;
	int count = (int)(sizeof rising / sizeof *rising);
	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++)
			assert_true(order(rising[i], rising[j]) == (i > j) - (i < j));
	assert_int_equal(order("100", "1e2"), 0);
	assert_int_equal(order("0.00100", "1e-3"), 0);
	assert_int_equal(order("-0.0", "0e9"), 0);
	assert_int_equal(order("12300e-2", "123"), 0);
}

static void a_number_may_be_long_but_not_endless(void **state)
{
	char *text = mem_alloc(5000);
	memset(text, '7', 5000);
	decode_bytes(*state, text, 4096);
	size_t size;
	assert_memory_equal(json_number_text(*state, -1, &size), text, 4096);
	assert_int_equal(size, 4096);
	lua_pop(*state, 1);
	refuses_bytes(*state, text, 4097, "more than 4096 characters", 4097);
	text[1] = '.';
	decode_bytes(*state, text, 4096);
	lua_pop(*state, 1);
	refuses_bytes(*state, text, 5000, "more than 4096 characters", 5000);
	mem_free(text);
}

/* ---- promise: arrays, objects, null ---- */

static void arrays_and_objects_stay_what_they_were(void **state)
{
	keeps(*state, "[]");
	keeps(*state, "{}");
	keeps(*state, "[[],{},[[]],[{}]]");
	keeps(*state, "{\"a\":[]}");
	keeps(*state, "{\"a\":{}}");
	keeps(*state, "[null,null,1,null]");
	keeps(*state, "{\"1\":1}");
	keeps(*state, "{\"\":{\"\":[\"\"]}}");
	keeps(*state, "[true,false,null]");
	assert_string_equal(through(*state, " [ 1 ,\t2\r\n, { \"a\" : 3 } ] "), "[1,2,{\"a\":3}]");
}

static void scalars_are_documents_too(void **state)
{
	static const char *const texts[] = {
	        "null", "true", "false", "0", "-1.5", "\"\"", "\"a\"", "9007199254740993"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		keeps(*state, texts[i]);
}

static void long_containers_keep_all_they_hold(void **state)
{
	struct buf array, object;
	buf_init(&array, 0);
	buf_init(&object, 0);
	for (int count = 1; count <= 140; count++) {
		buf_clear(&array);
		buf_clear(&object);
		for (int i = 1; i <= count; i++) {
			buf_printf(&array, "%c%d%s", i == 1 ? '[' : ',', i, i % 45 ? "" : ".0");
			buf_printf(&object, "%c\"k%d\":[%d]", i == 1 ? '{' : ',', i, i);
		}
		buf_append_text(&array, "]");
		buf_append_text(&object, "}");
		keeps(*state, array.data);
		decode_bytes(*state, object.data, object.size);
		for (int i = 1; i <= count; i++) {
			char key[16];
			snprintf(key, sizeof key, "k%d", i);
			lua_getfield(*state, -1, key);
			lua_rawgeti(*state, -1, 1);
			assert_int_equal(lua_tointeger(*state, -1), i);
			lua_pop(*state, 2);
		}
		lua_pop(*state, 1);
	}
	buf_free(&array);
	buf_free(&object);
}

static void null_is_a_light_userdata_as_in_cjson(void **state)
{
	decode_bytes(*state, "null", 4);
	assert_int_equal(lua_type(*state, -1), LUA_TLIGHTUSERDATA);
	assert_null(lua_touserdata(*state, -1));
	lua_pop(*state, 1);
	lua_gives(*state, "return json.decode 'null' == json.null", "true");
}

static void a_script_cannot_unmake_an_array(void **state)
{
	lua_State *L = *state;
	lua_gives(L, "return getmetatable(json.decode '[]')", "false");
	lua_fails(L, "setmetatable(json.decode '[]', nil)", "protected metatable");
	lua_gives(L, "local t = json.decode '[]' table.insert(t, 1) table.insert(t, 1, 0) return t", "[0,1]");
	lua_gives(L, "local t = json.decode '[1]' t[1] = nil return t", "[]");
	lua_gives(L, "local t = json.decode '[3,1,2]' table.sort(t) return t", "[1,2,3]");
	lua_gives(L, "local n = 0 for _ in pairs(json.decode '[1.0,2]') do n = n + 1 end return n", "2");
}

/* Where a table once had many other keys, its numbers lie in no order. */
static void a_list_comes_out_in_order_however_it_lies(void **state)
{
	static const char disorder[] =
	        "local t = {} for c in ('abcdefgh'):gmatch '.' do t[c] = 1 end for k in pairs(t) do t[k] = "
	        "nil end"
	        " t[3], t[2], t[1] = 3, 2, 1 local keys = '' for k in pairs(t) do keys = keys .. k end";
	char chunk[400];
	snprintf(chunk, sizeof chunk, "%s return keys ~= '123'", disorder);
	lua_gives(*state, chunk, "true");
	snprintf(chunk, sizeof chunk, "%s return {{0, t}}", disorder);
	lua_gives(*state, chunk, "[[0,[1,2,3]]]");
	snprintf(chunk, sizeof chunk, "%s return json.array(t)", disorder);
	lua_gives(*state, chunk, "[1,2,3]");
}

/* A hundred lists in each other, each with 1 and 2 in order, then 4 before 3: no item is written twice. */
static void lists_in_disorder_cost_no_more_the_deeper_they_are(void **state)
{
	static const char list[] = "local function list(inner) local t = {7, a = 1, b = 1, c = 1, d = 1} "
	                           "t.a, t.b, t.c, t.d = nil, nil, nil, nil t[1] = inner t[4] = 4 t[3] = 3 "
	                           "t[2] = 2 return t end";
	char chunk[500];
	snprintf(chunk, sizeof chunk,
	        "%s local keys = '' for k in pairs(list(1)) do keys = keys .. k end return keys == '1243'",
	        list);
	lua_gives(*state, chunk, "true");
	snprintf(chunk, sizeof chunk,
	        "%s local t = 1 for i = 1, 100 do t = list(t) end return #json.encode(t)", list);
	lua_gives(*state, chunk, "801");
}

static void plain_tables_are_what_their_keys_say(void **state)
{
	lua_gives(*state, "return {}", "{}");
	lua_gives(*state, "return {1, 2, {}}", "[1,2,{}]");
	lua_gives(*state, "return {a = 1}", "{\"a\":1}");
	lua_gives(*state, "local t = {} t[3] = 3 t[2] = 2 t[1] = 1 return t", "[1,2,3]");
	lua_gives(*state, "return json.array()", "[]");
	lua_gives(*state, "local t = json.array() t[2] = 2 t[1] = 1 return t", "[1,2]");
	lua_gives(*state, "return setmetatable({1}, {__index = error, __len = error, __tostring = error})",
	        "[1]");
}

/* ---- promise: strings ---- */

static void decodes_to(lua_State *L, const char *text, const char *bytes, size_t size)
{
	size_t got;
	decode_bytes(L, text, strlen(text));
	const char *value = lua_tolstring(L, -1, &got);
	assert_int_equal(got, size);
	assert_memory_equal(value, bytes, size);
	lua_pop(L, 1);
}

static void every_code_point_passes_escaped_and_as_it_is(void **state)
{
	for (unsigned code = 0; code <= 0x10FFFF; code += code < 0x3000 ? 1 : 61) {
		char escaped[32], raw[32], bytes[5];
		if (code >= 0xD800 && code <= 0xDFFF)
			continue;
		size_t size = utf8(bytes, code);
		if (code < 0x10000)
			snprintf(escaped, sizeof escaped, "\"\\u%04x\"", code);
		else
			snprintf(escaped, sizeof escaped, "\"\\u%04X\\u%04X\"",
			        0xD800 + ((code - 0x10000) >> 10), 0xDC00 + (code & 0x3FF));
		decodes_to(*state, escaped, bytes, size);
		if (code < 0x20 || code == '"' || code == '\\')
			continue;
		snprintf(raw, sizeof raw, "\"%s\"", bytes);
		decodes_to(*state, raw, bytes, size);
		keeps(*state, raw);
	}
}

static void escapes_are_written_as_short_as_they_go(void **state)
{
	keeps(*state, "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/\x7f\"");
	assert_string_equal(through(*state, "\"\\/\\u0041\\u000A\""), "\"/A\\n\"");
	keeps(*state, "{\"a\\u0000b\":\"c\\u0000\"}");
}

static void escapes_are_found_wherever_they_lie(void **state)
{
	lua_State *L = *state;
	char text[200], bytes[200];
	for (size_t size = 0; size <= 80; size++) {
		for (size_t at = 0; at <= size; at++) {
			memset(text, 'x', sizeof text);
			text[0] = '"';
			memcpy(text + 1 + at, "\\n", 2);
			text[size + 3] = '"';
			text[size + 4] = '\0';
			memset(bytes, 'x', sizeof bytes);
			bytes[at] = '\n';
			decodes_to(L, text, bytes, size + 1);
			keeps(L, text);
		}
	}
}

static void strings_larger_than_the_scratch_are_unescaped_too(void **state)
{
	for (size_t size = 1000; size < 3000000; size *= 3) {
		char *text = mem_alloc(2 * size + 3), *bytes = mem_alloc(size);
		memset(bytes, '"', size);
		text[0] = text[2 * size + 1] = '"';
		text[2 * size + 2] = '\0';
		for (size_t i = 0; i < size; i++)
			memcpy(text + 1 + 2 * i, "\\\"", 2);
		decodes_to(*state, text, bytes, size);
		mem_free(text);
		mem_free(bytes);
	}
}

static void unescaping_stays_within_the_scratch(void **state)
{
	static const char tail[] = "\\nwxyz\",\"as many bytes again, and more\"]";
	size_t size = 100000;
	char *text = mem_alloc(size + sizeof tail);
	memset(text, 'x', size);
	memcpy(text, "[\"", 2);
	memcpy(text + size, tail, sizeof tail);
	for (size_t i = 0; i < 40; i++) {
		memcpy(text + 2 + i, "\\n", 2);
		keeps(*state, text);
		text[2 + i] = 'x';
		text[3 + i] = 'x';
	}
	mem_free(text);
}

static void lone_surrogates_are_refused(void **state)
{
	lua_State *L = *state;
	refuses(L, "[\"\\ud800\"]", "lone surrogate \\ud800", 2);
	refuses(L, "[\"ab\\uDFFFcdefghijk\"]", "lone surrogate \\udfff", 4);
	refuses(L, "[\"\\ud800\\u0041\"]", "lone surrogate", 2);
	refuses(L, "[\"\\ud800\\ud800\"]", "lone surrogate", 2);
	refuses(L, "[\"\\udc00\\ud800\"]", "lone surrogate", 2);
	refuses(L, "[\"\\ud800x\\udc00\"]", "lone surrogate", 2);
	refuses(L, "[\"\\ud83d\\n     \"]", "lone surrogate", 2);
	refuses(L, "{\"\\ud83d\":1}", "lone surrogate", 2);
	refuses(L, "\"\\ud83d\\ude0", "lone surrogate", 1);
	refuses(L, "\"\\ud83d\\ude0\"", "four hexadecimal digits", 9);
}

static void bare_control_characters_are_refused(void **state)
{
	char text[64];
	for (int c = 0; c < 0x20; c++)
		for (size_t at = 1; at < 40; at++) {
			memset(text, 'x', sizeof text);
			text[0] = text[41] = '"';
			text[at] = (char)c;
			refuses_bytes(*state, text, 42, "control character", at);
		}
}

static void the_portable_scanner_sees_what_the_fast_one_sees(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++)
		for (int at = 0; at < 8; at++) {
			unsigned char bytes[8] = "abcdefg ";
			bytes[at] = (unsigned char)c;
			uint64_t x;
			memcpy(&x, bytes, 8);
			assert_true((json_odd_bytes(x) == 0) == json_is_plain((unsigned char)c));
			assert_true((json_plain_run(bytes, bytes + 8) == bytes + 8) ==
			            json_is_plain((unsigned char)c));
		}
}

static void text_that_is_not_utf8_is_refused_both_ways(void **state)
{
	lua_State *L = *state;
	refuses(L, "\"\xFF\"", "not UTF-8: byte 0xff", 1);
	refuses(L, "[\"abc\xC3\"]", "not UTF-8: byte 0xc3", 5);
	refuses(L, "[\"\\n\xED\xA0\x80\"]", "not UTF-8: byte 0xed", 4);
	refuses(L, "{\"\xE6\x9D\":1}", "not UTF-8", 2);
	unencodable(
	        L, "return {page = {title = 'abc\\255'}}", "page.title: not UTF-8: byte 0xff at offset 3");
	unencodable(L, "return {page = {['a\\128'] = 1}}", "page: a key is not UTF-8");
}

/* ---- promise: nothing wrong passes ---- */

static void duplicate_keys_are_refused_by_name(void **state)
{
	lua_State *L = *state;
	refuses(L, "{\"a\":1,\"a\":2}", "duplicate key \"a\"", 7);
	refuses(L, "{\"x\":{\"a\":1,\"b\":2,\"a\":1}}", "duplicate key \"a\"", 18);
	refuses(L, "{\"a\":1,\"\\u0061\":2}", "duplicate key \"a\"", 7);
	refuses(L, "{\"\":1,\"\":2}", "duplicate key \"\"", 6);
	refuses(L, "{\"a\":null,\"a\":null}", "duplicate key \"a\"", 10);
	refuses(L, "{\"a\":1.0,\"a\":1}", "duplicate key \"a\"", 9);
	refuses(L, "{\"a\\n\":1.0,\"a\\n\":1}", "duplicate key \"a?\"", 11);
	keeps(L, "[{\"a\":1},{\"a\":1}]");
	struct buf text;
	buf_init(&text, 0);
	buf_append_text(&text, "{\"k0\":0");
	for (int i = 1; i < 100; i++)
		buf_printf(&text, ",\"k%d\":%d", i, i);
	size_t size = text.size;
	for (int i = 0; i < 100; i += 9) {
		text.size = size;
		buf_printf(&text, ",\"k%d\":1}", i);
		char why[32];
		snprintf(why, sizeof why, "duplicate key \"k%d\"", i);
		refuses(L, text.data, why, size + 1);
	}
	buf_clear(&text);
	buf_append_text(&text, "{\"");
	for (int i = 0; i < 100; i++)
		buf_append_text(&text, "\xC3\xA9");
	buf_append_text(&text, "\":1,");
	size = text.size;
	buf_append(&text, text.data + 1, size - 2);
	text.data[text.size - 1] = '}';
	struct json_error error;
	assert_false(json_decode(L, text.data, text.size, NULL, &error));
	assert_int_equal(text_utf8_valid(error.message, strlen(error.message)), strlen(error.message));
	buf_free(&text);
}

static void rfc_8259_is_the_judge(void **state)
{
	/* clang-format off */
	static const char *const good[] = {"[]", "[ ]", "{ }", " 1 ", "\t\n\r 1\t\n\r ", "[1,2]", "{\"a\":1,\"b\":[]}", "-0",
		"-0.0e-0", "0.5", "1E1", "1e+1", "1e-01", "[1.5e300]", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\x7f\"", "\"\\u0022\"",
		"\"\xE2\x80\xA8\xE2\x80\xA9\"", "\"\xEF\xBF\xBF\xF4\x8F\xBF\xBF\"", "\"\\uDBFF\\uDFFF\"", "[[[[]]]]",
		"{\"\":0}", "{\"\\u0000\":0}", "[null]", "[-123]", "[20e1]", "[123.456e78]", "[1.0]", "[0e1]", "[0E+1]",
		"\"\\uFFFF\"", "[\"\\uaBcD\"]", "[\"a\",\n4\n,1]", "true", "{\"a\":{\"a\":{\"a\":0}}}"};
	static const char *const bad[] = {"", " ", "[", "]", "{", "}", "[1", "[1,", "[,", "[,1]", "[1,]", "[1,,2]", "[1 2]",
		"[1]]", "[1],", "1 2", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{a:1}",
		"{'a':1}", "{1:1}", "{\"a\":1,,\"b\":2}", "{\"a\"::1}", "{null:1}", "{\"a\":1}x", "[\"a\" \"b\"]", "[:]",
		"01", "-01", "00", "-", "+1", ".5", "-.5", "1.", "1.e1", "1e", "1e+", "1e-", "1E", "0x1", "1_0", "1,0", "0.",
		"-a", "- 1", "1 e1", "1e 1", "1e1.5", "1.2.3", "--1", "NaN", "-NaN", "nan", "Infinity", "-Infinity", "inf",
		"1e1e1", "0e", "2.e3", "[1.]", "[-]", "[0.e1]", "[1ea]", "nul", "nulL", "Null", "TRUE", "tru", "truee", "fals",
		"falsee", "nullx", "undefined", "'a'", "\"", "\"a", "\"\\\"", "\"\\", "\"\\u\"", "\"\\u1\"", "\"\\u12\"",
		"\"\\u123\"", "\"\\u123g\"", "\"\\x41\"", "\"\\a\"", "\"\\'\"", "\"\\ \"", "\"\\U0041\"", "\"\\u-123\"",
		"\"\\0\"", "\"\t\"", "\"\n\"", "\"a\nb\"", "\xEF\xBB\xBF{}", "\xEF\xBB\xBF", "\xC2\xA0[]", "\f[]", "\v1", "[1]\f",
		"/**/1", "1//", "#1", "[1]/**/", "\xE2\x80\xA8[]", "<null>", "*", "\\u0031", "\xFF", "\"\xC0\xAF\"", "\"\xE0\x80\xAF\"",
		"\"\xED\xA0\x80\"", "\"\xED\xBF\xBF\"", "\"\xF4\x90\x80\x80\"", "\"\xF5\x80\x80\x80\"", "\"\xFE\"", "\"\x80\"", "\"\xE9\"",
		"\"\xF0\x9F\x98\"", "[\"\\u00A\"]", "[\"\\ud800\\\"]", "[1\x0b]", "[\"a\",\"b\"", "[[[", "{\"a\":[", "{\"a\":{",
		"{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "[true", "[nul]", "{]", "[}", "[\"a\"}", "{\"a\":1]"};
	/* clang-format on */
	struct json_error error;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		decode_bytes(*state, good[i], strlen(good[i]));
		lua_pop(*state, 1);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char *exact = mem_dup(bad[i], strlen(bad[i]));
		if (json_decode(*state, exact, strlen(bad[i]), NULL, &error))
			fail_msg("accepted: %s", bad[i]);
		assert_true(error.message[0] && error.offset <= strlen(bad[i]));
		assert_int_equal(lua_gettop(*state), 0);
		mem_free(exact);
	}
	refuses_bytes(*state, "[1]\0", 4, "expected the end", 3);
	refuses_bytes(*state, "[1,\0]", 5, "expected a value", 3);
	assert_false(json_decode(*state, NULL, 0, NULL, &error));
}

static void a_refusal_says_what_and_where(void **state)
{
	lua_State *L = *state;
	refuses(L, "{\"a\":1 \"b\":2}", "expected ',' or '}'", 7);
	refuses(L, "[1 2]", "expected ',' or ']'", 3);
	refuses(L, "{\"a\" 1}", "expected ':'", 5);
	refuses(L, "{a:1}", "expected a key in double quotes", 1);
	refuses(L, "[1,]", "expected a value", 3);
	refuses(L, "[01]", "must not begin with 0", 3);
	refuses(L, "[1.]", "a digit after the decimal point", 3);
	refuses(L, "[1e]", "a digit of the exponent", 3);
	refuses(L, "[-]", "expected a digit", 2);
	refuses(L, "{} x", "expected the end of the text", 3);
	refuses(L, "\"abc", "ends inside a string", 4);
	refuses(L, "\"abc\\", "ends inside a string", 5);
	refuses(L, "\"a\\x\"", "unknown escape", 2);
	refuses(L, "\xEF\xBB\xBF{}", "byte order mark", 0);
}

static void nest(struct buf *text, unsigned depth, const char *open, const char *inner, const char *close)
{
	buf_clear(text);
	for (unsigned i = 0; i < depth; i++)
		buf_append_text(text, open);
	buf_append_text(text, inner);
	for (unsigned i = 0; i < depth; i++)
		buf_append_text(text, close);
}

static void depth_has_a_limit(void **state)
{
	struct buf text;
	struct json_error error;
	struct json_limits three = {.depth = 3}, huge = {.depth = 5000};
	buf_init(&text, 0);
	nest(&text, 128, "[", "", "]");
	keeps(*state, text.data);
	nest(&text, 129, "[", "", "]");
	refuses(*state, text.data, "nested deeper than 128 levels", 128);
	nest(&text, 129, "{\"a\":", "1", "}");
	refuses(*state, text.data, "nested deeper than 128 levels", 5 * 128);
	assert_true(json_decode(*state, "[{\"a\":[1]}]", 11, &three, &error));
	assert_false(json_decode(*state, "[{\"a\":[[]]}]", 12, &three, &error));
	nest(&text, JSON_MAX_DEPTH, "[1,2,3,4,5,6,7,8,", "0", "]");
	assert_true(json_decode(*state, text.data, text.size, &huge, &error));
	assert_string_equal(encode_top(*state), text.data);
	nest(&text, JSON_MAX_DEPTH + 1, "[", "", "]");
	assert_false(json_decode(*state, text.data, text.size, &huge, &error));
	lua_pop(*state, 1);
	buf_free(&text);
}

static void values_have_a_limit(void **state)
{
	struct json_limits limits = {.values = 4};
	struct json_error error;
	assert_true(json_decode(*state, "[1,{\"a\":2}]", 11, &limits, &error));
	assert_false(json_decode(*state, "[1,{\"a\":2},3]", 13, &limits, &error));
	assert_string_equal(error.message, "too many values in one document");
	lua_pop(*state, 1);
}

/* ---- promise: the side table is no burden ---- */

static int count_notes(lua_State *L)
{
	int count = 0, notes = json_push_anchors(L, JSON_ANCHOR_NOTES + 1) + JSON_ANCHOR_NOTES;
	if (lua_istable(L, notes))
		for (lua_pushnil(L); lua_next(L, notes); lua_pop(L, 1))
			count++;
	lua_settop(L, notes - JSON_ANCHOR_NOTES - 1);
	return count;
}

static void noted_tables_are_collected(void **state)
{
	lua_State *L = *state;
	lua(L, "return setmetatable({}, {__mode = 'k'})");
	for (int i = 0; i < 1000; i++) {
		decode_bytes(L, "[1.0,{\"a\":2.0,\"b\":[3.0]}]", 25);
		lua_pushboolean(L, true);
		lua_rawset(L, 1);
	}
	lua_gc(L, LUA_GCSTOP, 0);
	decode_bytes(L, "[1.0,{\"a\":2.0,\"b\":[3.0]}]", 25);
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_pushnil(L);
	assert_int_equal(lua_next(L, 1), 0);
	assert_int_equal(count_notes(L), 3);
	assert_string_equal(encode_top(L)[1] == '1' ? "kept" : "lost", "kept");
	lua_settop(L, 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
	assert_int_equal(count_notes(L), 0);
}

static void notes_survive_collection_while_their_table_lives(void **state)
{
	lua_gives(*state,
	        "local t = json.decode '{\"a\":[1.0,1e2,-0.0]}' for i = 1, 3 do collectgarbage() end return "
	        "t.a",
	        "[1.0,1e2,-0.0]");
}

static void coroutines_decode_and_encode_too(void **state)
{
	lua_gives(*state,
	        "return coroutine.wrap(function(text) local t = json.decode(text) coroutine.yield() return t "
	        "end)"
	        " and coroutine.wrap(function() return json.decode(json.encode(json.decode '[1.0,[]]')) "
	        "end)()",
	        "[1.0,[]]");
}

/* Where the machine has such a locale; the C library would print and read 0,5. */
static void a_decimal_comma_changes_nothing(void **state)
{
	if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL)
		skip();
	lua_gives(*state, "local t = json.decode '[0.1234567890123456,1.0]' t[3] = 0.1 + 0.2 return t",
	        "[0.1234567890123456,1.0,0.30000000000000004]");
	setlocale(LC_ALL, "C");
}

static void scripts_see_nothing_of_it(void **state)
{
	lua_gives(*state,
	        "local keys = {} for k in pairs(json.decode '{\"a\":1.0}') do keys[#keys + 1] = k end"
	        " for k in pairs(json.decode '[1.0]') do keys[#keys + 1] = k end"
	        " keys[#keys + 1] = getmetatable(json.decode '{\"a\":1.0}') == nil return keys",
	        "[\"a\",1,true]");
}

/* ---- encoding: what has no JSON form says where ---- */

static void what_has_no_json_form_is_refused_with_its_path(void **state)
{
	lua_State *L = *state;
	unencodable(L, "return {page = {title = print}}", "page.title: a function has no JSON form");
	unencodable(L, "return {items = {1, 2, {x = 0/0}}}", "items[3].x: NaN has no JSON form");
	unencodable(L, "return {a = {1/0}}", "a[1]: infinity has no JSON form");
	unencodable(L, "return {a = -1/0}", "a: infinity has no JSON form");
	unencodable(L, "return {a = coroutine.create(print)}", "a: a thread has no JSON form");
	unencodable(L, "return {a = io.stdout}", "a: a userdata has no JSON form");
	unencodable(L, "return {a = require 'ffi'.new('int64_t', 1)}", "a: a cdata has no JSON form");
	unencodable(L, "return nil", "nil has no JSON form");
	unencodable(L, "return print", "a function has no JSON form");
	unencodable(L, "return {['a b'] = {['c\"'] = print}}",
	        "[\"a b\"][\"c...\"]: a function has no JSON form");
	unencodable(L, "return {a = {1, 2, b = 3}}", "a: a list with the member \"b\" has no JSON form");
	unencodable(L, "return {a = json.array {b = 3}}", "a: a list with the member \"b\" has no JSON form");
	unencodable(L, "return {a = {[1] = 1, [3] = 3}}",
	        "a: a list with a hole has no JSON form: item 2 is nil, item 3 is not");
	unencodable(L, "return {a = json.array {nil, 2}}",
	        "a: a list with a hole has no JSON form: item 1 is nil, item 2 is not");
	unencodable(L, "return {a = {[0] = 1}}",
	        "a: a list with the key 0 has no JSON form: keys are 1, 2, 3, ...");
	unencodable(
	        L, "return {[1.5] = 1}", "a list with the key 1.5 has no JSON form: keys are 1, 2, 3, ...");
	unencodable(L, "return {a = {[true] = 1}}", "a: an object with a boolean as a key has no JSON form");
	unencodable(L, "return {a = json.array {[true] = 1}}",
	        "a: a list with a boolean as a key has no JSON form");
}

static void a_long_path_is_cut_at_its_beginning(void **state)
{
	unencodable(*state, "local t = print for i = 1, 100 do t = {level = t} end return t",
	        "...level.level.level.level.level.level.level.level.level.level.level.level.level.level."
	        "level: "
	        "a function has no JSON form");
}

static void a_table_that_contains_itself_is_refused(void **state)
{
	struct json_error error;
	struct buf out;
	buf_init(&out, 0);
	lua(*state, "local t = {} t.t = t return t");
	assert_false(json_encode(*state, -1, &out, &error));
	assert_non_null(
	        strstr(error.message, "nested deeper than 1000 levels; does a table contain itself?"));
	buf_clear(&out);
	lua(*state, "local t = json.array {1} t[2] = t return t");
	assert_false(json_encode(*state, -1, &out, &error));
	assert_non_null(strstr(error.message, "does a table contain itself?"));
	lua_settop(*state, 0);
	buf_free(&out);
}

static void the_cap_of_the_buffer_holds_to_the_byte(void **state)
{
	static const char text[] =
	        "{\"a\":[1.0,\"x\\ny\",9007199254740993,0.25,true,null,\"\xC3\xA9t\xC3\xA9 long enough for "
	        "more than a block\"]}";
	static const char *const fitting[] = {text, "\"\\n\"", "\"\\u0001\"", "7", "[0.5]", "[1,\"a\\n\"]",
	        "null", "[1.50]", "\"\xC3\xA9\"", "{\"a\":{}}"};
	struct json_error error;
	decode_bytes(*state, text, strlen(text));
	for (size_t limit = 1; limit < strlen(text); limit++) {
		struct buf out;
		buf_init(&out, limit);
		assert_false(json_encode(*state, -1, &out, &error));
		assert_true(out.full && out.size <= limit);
		assert_non_null(strstr(error.message, "larger than"));
		buf_free(&out);
	}
	lua_pop(*state, 1);
	for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++) {
		struct buf out;
		buf_init(&out, strlen(fitting[i]));
		decode_bytes(*state, fitting[i], strlen(fitting[i]));
		assert_true(json_encode(*state, -1, &out, &error));
		assert_false(out.full);
		assert_string_equal(out.data, fitting[i]);
		buf_free(&out);
		lua_pop(*state, 1);
	}
}

static void encoding_appends(void **state)
{
	struct buf out;
	buf_init(&out, 0);
	buf_append_text(&out, "before ");
	lua(*state, "return {}");
	lua_pushinteger(*state, 7);
	assert_true(json_encode(*state, 1, &out, NULL));
	assert_true(json_encode(*state, -1, &out, NULL));
	assert_string_equal(out.data, "before {}7");
	assert_int_equal(lua_gettop(*state), 2);
	lua_settop(*state, 0);
	buf_free(&out);
}

/* ---- stamps ---- */

#define ID "11111111-2222-3333-4444-555555555555"

static const struct json_stamp STAMP = {
        .schema = "/new/2.0.0", .stream = "out.v1", .dt = "2024-03-01T12:00:00Z", .id = ID};

/* The stamped text, read back and asked by a chunk that sees it as `event`. */
static void stamped(lua_State *L, const char *event, const struct json_stamp *stamp, const char *chunk,
        const char *answer)
{
	struct json_error error;
	struct buf out;
	size_t id_at;
	buf_init(&out, 0);
	lua(L, event);
	if (!json_encode_stamped(L, -1, stamp, &out, &id_at, &error))
		fail_msg("%s", error.message);
	assert_memory_equal(out.data + id_at - 1, "\"" ID "\"", 38);
	decode_bytes(L, out.data, out.size);
	lua_setglobal(L, "event");
	buf_free(&out);
	lua_pop(L, 1);
	lua_gives(L, chunk, answer);
}

static void unstampable(lua_State *L, const char *chunk, const struct json_stamp *stamp, const char *message)
{
	struct json_error error;
	struct buf out;
	size_t id_at;
	buf_init(&out, 0);
	lua(L, chunk);
	assert_false(json_encode_stamped(L, -1, stamp, &out, &id_at, &error));
	assert_string_equal(error.message, message);
	lua_pop(L, 1);
	buf_free(&out);
}

static void a_stamp_overrides_and_the_rest_stays(void **state)
{
	lua_State *L = *state;
	const char *event =
	        "original = json.decode [[{\"$schema\":\"/old/1.0.0\",\"n\":3.10,\"meta\":{\"id\":\"old\","
	        "\"stream\":\"in\",\"dt\":\"then\",\"domain\":\"d\",\"weight\":1.0,\"list\":[]}}]] return "
	        "original";
	stamped(L, event, &STAMP,
	        "return {event['$schema'], event.meta.stream, event.meta.dt, event.meta.id, "
	        "event.meta.domain, event.meta.list}",
	        "[\"/new/2.0.0\",\"out.v1\",\"2024-03-01T12:00:00Z\",\"" ID "\",\"d\",[]]");
	lua_gives(L, "event.meta.list = nil event.meta.domain = nil return event.n == 3.1", "true");
	lua_gives(L, "return {original['$schema'], original.meta.id, original.meta.stream, original.meta.dt}",
	        "[\"/old/1.0.0\",\"old\",\"in\",\"then\"]");
}

static void a_stamp_makes_what_is_absent(void **state)
{
	lua_State *L = *state;
	struct json_stamp keep = STAMP;
	keep.schema = NULL;
	const char *names = "local n = 0 for _ in pairs(event) do n = n + 1 end for _ in pairs(event.meta) "
	                    "do n = n + 1 end"
	                    " return {n, event['$schema'] or 'none', event.meta.stream}";
	stamped(L, "return {}", &keep, names, "[4,\"none\",\"out.v1\"]");
	stamped(L, "return {}", &STAMP, names, "[5,\"/new/2.0.0\",\"out.v1\"]");
	stamped(L, "return {['$schema'] = '/old', meta = {}}", &keep, names, "[5,\"/old\",\"out.v1\"]");
	stamped(L, "return {['$schema'] = 7, meta = {stream = 1, x = 2}}", &STAMP, names,
	        "[6,\"/new/2.0.0\",\"out.v1\"]");
}

static void stamped_numbers_keep_their_text(void **state)
{
	struct json_error error;
	struct buf out;
	size_t id_at;
	buf_init(&out, 0);
	decode_bytes(*state, "{\"meta\":{\"w\":1.0},\"n\":2.0}", 26);
	assert_true(json_encode_stamped(*state, -1, &STAMP, &out, &id_at, &error));
	assert_string_equal(out.data,
	        "{\"$schema\":\"/new/2.0.0\",\"meta\":{\"stream\":\"out.v1\",\"dt\":\"2024-03-01T12:00:00Z\","
	        "\"id\":\"" ID "\",\"w\":1.0},\"n\":2.0}");
	assert_memory_equal(out.data + id_at, ID, 36);
	lua_pop(*state, 1);
	buf_free(&out);
}

static void only_objects_are_stamped(void **state)
{
	lua_State *L = *state;
	struct json_stamp wrong = STAMP;
	wrong.stream = "\xFF";
	unstampable(L, "return json.array {}", &STAMP, "the event must be an object");
	unstampable(L, "return {1, 2}", &STAMP, "the event must be an object");
	unstampable(L, "return 'text'", &STAMP, "the event must be an object");
	unstampable(L, "return nil", &STAMP, "the event must be an object");
	unstampable(L, "return {meta = 1}", &STAMP, "meta: expected an object");
	unstampable(L, "return {meta = json.null}", &STAMP, "meta: expected an object");
	unstampable(L, "return {meta = json.array {}}", &STAMP, "meta: expected an object");
	unstampable(L, "return {meta = {1}}", &STAMP, "meta: expected an object");
	unstampable(L, "return {meta = {x = {y = print}}}", &STAMP, "meta.x.y: a function has no JSON form");
	unstampable(L, "return {}", &wrong, "meta.stream: not UTF-8: byte 0xff at offset 0");
}

/* ---- the library ---- */

static void the_library_speaks_in_errors(void **state)
{
	lua_State *L = *state;
	lua_fails(L, "json.decode '[1,]'", "json.decode: expected a value at offset 3");
	lua_fails(L, "json.decode(5)", "string expected");
	lua_fails(L, "json.decode()", "string expected");
	lua_fails(L, "json.encode {a = print}", "json.encode: a: a function has no JSON form");
	lua_fails(L, "json.encode()", "value expected");
	lua_fails(L, "json.encode(nil)", "nil has no JSON form");
	lua_fails(L, "json.array 'x'", "table expected");
	lua_fails(L, "json.array(setmetatable({}, {}))", "has a metatable already");
	lua_fails(L, "json.number '1x'", "json.number: something follows");
	lua_fails(L, "json.number '0x10'", "json.number: something follows");
	lua_fails(L, "json.number ''", "json.number: expected a digit");
	lua_fails(L, "json.number(5)", "string expected");
}

static void the_library_does_what_it_says(void **state)
{
	lua_State *L = *state;
	lua_gives(L, "return json.encode {1, 'a', json.null, {}}", "\"[1,\\\"a\\\",null,{}]\"");
	lua_gives(L, "local t = {} return rawequal(json.array(t), t)", "true");
	lua_gives(L, "return json.array(json.array {1})", "[1]");
	lua_gives(L,
	        "return {json.is_array(json.array()), json.is_array {}, json.is_array {1}, json.is_array {a "
	        "= 1},"
	        " json.is_array 'x', json.is_array(json.decode '[]'), json.is_array(json.null)}",
	        "[true,false,true,false,false,true,false]");
	lua_gives(L,
	        "return {json.number '5', json.number '9007199254740993', json.number '3.10', json.number "
	        "'0.1',"
	        " type(json.number '5'), type(json.number '0.1'), type(json.number '3.10')}",
	        "[5,9007199254740993,3.10,0.1,\"number\",\"number\",\"userdata\"]");
	lua_gives(L, "return json.decode(json.encode {a = {b = 'c'}}).a.b", "\"c\"");
}

static void the_library_has_limits(void **state)
{
	lua_State *L = *state;
	struct json_limits limits = {.depth = 2};
	json_library_limits(L, NULL, 1000000);
	lua_fails(L, "local t = {1} for i = 1, 40 do t = {t, t} end json.encode(t)",
	        "larger than 1000000 bytes");
	json_library_limits(L, &limits, 10);
	lua_gives(L, "return json.decode '[[1]]'", "[[1]]");
	lua_fails(L, "json.decode '[[[1]]]'", "nested deeper than 2 levels");
	lua_fails(L, "json.decode '[1,2,3,4,5]'", "larger than 10 bytes");
	lua_fails(L, "json.encode '123456789'", "larger than 10 bytes");
	lua_gives(L, "return json.encode '12345678'", "\"\\\"12345678\\\"\"");
}

static void c_code_can_ask_and_tag(void **state)
{
	lua_State *L = *state;
	size_t size;
	lua(L, "return {}");
	assert_false(json_is_array(L, -1));
	json_tag_array(L, -1);
	assert_true(json_is_array(L, -1));
	assert_string_equal(encode_top(L), "[]");
	lua_pushinteger(L, 5);
	assert_false(json_is_array(L, -1));
	assert_null(json_number_text(L, -1, &size));
	lua(L, "return io.stdout");
	assert_null(json_number_text(L, -1, &size));
	decode_bytes(L, "123456789012345678901", 21);
	assert_memory_equal(json_number_text(L, -1, &size), "123456789012345678901", 21);
	lua_settop(L, 0);
}

/* ---- promise: want of memory breaks nothing ---- */

struct countdown {
	long left; /* allocations that succeed; negative: all */
	size_t in_use;
};

static void *allocate(void *context, void *old, size_t old_size, size_t size)
{
	struct countdown *countdown = context;
	if (size == 0) {
		countdown->in_use -= old_size;
		free(old);
		return NULL;
	}
	if (size > old_size && countdown->left == 0)
		return NULL;
	if (size > old_size && countdown->left > 0)
		countdown->left--;
	void *fresh = realloc(old, size);
	countdown->in_use += size - old_size;
	return fresh;
}

struct work {
	struct buf out;
	bool done;
};

static int work(lua_State *L)
{
	static const char text[] = "{\"a\":[1.0,2.50,\"x\\ny\",9007199254740993,{\"b\":[[],{},null,1e400]}],"
	                           "\"c\":\"plain\",\"d\":{\"e\":-0.0},"
	                           "\"k\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,"
	                           "26,27,28,29,30,31,32,33,34]}";
	struct work *w = lua_touserdata(L, 1);
	struct json_error error;
	size_t id_at;
	decode_bytes(L, text, strlen(text));
	assert_true(json_encode(L, -1, &w->out, &error));
	assert_true(json_encode_stamped(L, -1, &STAMP, &w->out, &id_at, &error));
	assert_false(json_decode(L, "[1,2,{\"a\":1.0}", 14, NULL, &error));
	json_library(L);
	lua_getfield(L, -1, "encode");
	lua_pushvalue(L, -3);
	lua_call(L, 1, 1);
	lua_getfield(L, -2, "decode");
	lua_pushvalue(L, -2);
	lua_call(L, 1, 1);
	lua_getfield(L, -3, "number");
	lua_pushliteral(L, "123456789012345678901234567890");
	lua_call(L, 1, 1);
	w->done = true;
	return 0;
}

static void a_failed_allocation_anywhere_leaves_a_sound_state(void **state)
{
	struct countdown countdown = {.left = -1};
	struct work w = {.done = false};
	int failures = 0;
	(void)state;
	lua_State *L = lua_newstate(allocate, &countdown);
	assert_non_null(L);
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	json_open(L);
	for (long n = 0; !w.done; n++) {
		buf_init(&w.out, 0);
		countdown.left = n;
		int status = lua_cpcall(L, work, &w);
		countdown.left = -1;
		assert_true(status == (w.done ? 0 : LUA_ERRMEM) || status == LUA_ERRRUN);
		failures += status != 0;
		buf_free(&w.out);
		lua_settop(L, 0);
		lua_gc(L, LUA_GCCOLLECT, 0);
		assert_true(n < 100000);
	}
	assert_true(failures > 50);
	decode_bytes(L, "[1.0]", 5);
	assert_string_equal(encode_top(L), "[1.0]");
	lua_close(L);
	assert_int_equal(countdown.in_use, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        STORY(integers_of_any_size_come_out_as_they_went_in),
	        STORY(a_moved_integer_is_still_exact),
	        STORY(decimals_come_out_digit_for_digit),
	        STORY(a_number_keeps_its_text_only_while_it_is_unchanged),
	        STORY(numbers_that_scripts_make_are_printed_short),
	        STORY(common_numbers_cost_no_note),
	        STORY(a_big_number_compares_by_value_and_shows_its_digits),
	        STORY(number_texts_are_ordered_by_value),
	        STORY(a_number_may_be_long_but_not_endless),
	        STORY(arrays_and_objects_stay_what_they_were),
	        STORY(scalars_are_documents_too),
	        STORY(long_containers_keep_all_they_hold),
	        STORY(null_is_a_light_userdata_as_in_cjson),
	        STORY(a_script_cannot_unmake_an_array),
	        STORY(a_list_comes_out_in_order_however_it_lies),
	        STORY(lists_in_disorder_cost_no_more_the_deeper_they_are),
	        STORY(plain_tables_are_what_their_keys_say),
	        STORY(every_code_point_passes_escaped_and_as_it_is),
	        STORY(escapes_are_written_as_short_as_they_go),
	        STORY(escapes_are_found_wherever_they_lie),
	        STORY(strings_larger_than_the_scratch_are_unescaped_too),
	        STORY(unescaping_stays_within_the_scratch),
	        STORY(lone_surrogates_are_refused),
	        STORY(bare_control_characters_are_refused),
	        STORY(the_portable_scanner_sees_what_the_fast_one_sees),
	        STORY(text_that_is_not_utf8_is_refused_both_ways),
	        STORY(duplicate_keys_are_refused_by_name),
	        STORY(rfc_8259_is_the_judge),
	        STORY(a_refusal_says_what_and_where),
	        STORY(depth_has_a_limit),
	        STORY(values_have_a_limit),
	        STORY(noted_tables_are_collected),
	        STORY(notes_survive_collection_while_their_table_lives),
	        STORY(coroutines_decode_and_encode_too),
	        STORY(a_decimal_comma_changes_nothing),
	        STORY(scripts_see_nothing_of_it),
	        STORY(what_has_no_json_form_is_refused_with_its_path),
	        STORY(a_long_path_is_cut_at_its_beginning),
	        STORY(a_table_that_contains_itself_is_refused),
	        STORY(the_cap_of_the_buffer_holds_to_the_byte),
	        STORY(encoding_appends),
	        STORY(a_stamp_overrides_and_the_rest_stays),
	        STORY(a_stamp_makes_what_is_absent),
	        STORY(stamped_numbers_keep_their_text),
	        STORY(only_objects_are_stamped),
	        STORY(the_library_speaks_in_errors),
	        STORY(the_library_does_what_it_says),
	        STORY(the_library_has_limits),
	        STORY(c_code_can_ask_and_tag),
	        STORY(a_failed_allocation_anywhere_leaves_a_sound_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
