/* The flat tree of a JSON text: as strict as the codec, and true to what stands there. */
#include "json.h"
#include "jsontree.h"
#include "mem.h"
#include "unit.h"

#include <lauxlib.h>

static void parse(struct jsontree *tree, const char *text)
{
	struct json_error error;
	if (!jsontree_parse(tree, text, strlen(text), NULL, &error))
		fail_msg("%s: %s at %zu", text, error.message, error.offset);
}

static void refuses(const char *text, const char *why, size_t offset)
{
	struct jsontree tree;
	struct json_error error = {0};
	jsontree_init(&tree);
	assert_false(jsontree_parse(&tree, text, strlen(text), NULL, &error));
	assert_string_equal(error.message, why);
	assert_int_equal(error.offset, offset);
	assert_int_equal(tree.count, 0);
	jsontree_free(&tree);
}

static void values_lie_in_the_order_of_the_text(void **state)
{
	static const char text[] = " {\"a\":[1,-2.50,true,null],\"b\\n\":{\"c\":\"d\"}} ";
	struct jsontree tree;
	struct buf room;
	(void)state;
	jsontree_init(&tree);
	buf_init(&room, 0);
	for (int round = 0; round < 2; round++) {
		parse(&tree, text);
		assert_int_equal(tree.count, 11);
		assert_int_equal(tree.nodes[0].kind, JSONTREE_OBJECT);
		assert_int_equal(tree.nodes[0].count, 2);
		assert_int_equal(tree.nodes[0].next, 11);
		assert_int_equal(tree.nodes[2].kind, JSONTREE_ARRAY);
		assert_int_equal(tree.nodes[2].next, 7);
		assert_true(tree.nodes[3].small && tree.nodes[3].integer == 1);
		assert_true(tree.nodes[4].fractional && !tree.nodes[4].small);
		struct bytes raw = jsontree_raw(&tree, 4);
		assert_memory_equal(raw.data, "-2.50", raw.size);
		raw = jsontree_raw(&tree, 8);
		assert_memory_equal(raw.data, "{\"c\":\"d\"}", raw.size);
		struct bytes key = jsontree_string(&tree, 7, &room);
		assert_int_equal(key.size, 2);
		assert_memory_equal(key.data, "b\n", 2);
		assert_int_equal(jsontree_member(&tree, 0, "b\n", 2), 8);
		assert_int_equal(jsontree_member(&tree, 0, "c", 1), 0);
	}
	buf_free(&room);
	jsontree_free(&tree);
}

static void strings_mean_what_they_say_and_have_characters(void **state)
{
	static const struct {
		const char *text, *meaning;
		size_t length;
	} cases[] = {{"\"\"", "", 0}, {"\"abc\"", "abc", 3}, {"\"\\u0041\\\"\\/\\\\\\t\"", "A\"/\\\t", 5},
	        {"\"\\u00e4\\u20AC\\ud83d\\ude00\"", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 3},
	        {"\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80 \\n\"", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80 \n",
	                5}};
	struct jsontree tree;
	struct buf room;
	(void)state;
	jsontree_init(&tree);
	buf_init(&room, 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		parse(&tree, cases[i].text);
		struct bytes meaning = jsontree_string(&tree, 0, &room);
		assert_int_equal(meaning.size, strlen(cases[i].meaning));
		assert_memory_equal(meaning.data, cases[i].meaning, meaning.size);
		assert_int_equal(jsontree_string_length(&tree, 0), cases[i].length);
		assert_true(jsontree_string_is(&tree, 0, cases[i].meaning, meaning.size));
		assert_false(jsontree_string_is(&tree, 0, "no", 2));
	}
	buf_free(&room);
	jsontree_free(&tree);
}

static void duplicate_keys_are_refused_however_they_are_written(void **state)
{
	struct buf text;
	(void)state;
	refuses("{\"a\":1,\"b\":2,\"a\":3}", "duplicate key \"a\"", 13);
	refuses("{\"a\":1,\"\\u0061\":3}", "duplicate key \"a\"", 7);
	buf_init(&text, 0);
	buf_append_text(&text, "{\"k0\":0");
	for (int i = 1; i < 1000; i++)
		buf_printf(&text, ",\"k%d\":{\"k%d\":[]}", i, i);
	size_t at = text.size + 1;
	buf_append_text(&text, ",\"k\\u00377\":1}");
	refuses(text.data, "duplicate key \"k77\"", at);
	buf_free(&text);
}

static void equal_values_are_equal_and_have_equal_hashes(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {{"1", "1.0", true}, {"1", "10e-1", true}, {"0", "-0.0", true}, {"1", "true", false},
	        {"0", "false", false}, {"null", "false", false},
	        {"9007199254740992", "9007199254740993", false}, {"\"a\"", "\"\\u0061\"", true},
	        {"\"a\"", "\"b\"", false}, {"[1,2]", "[1.0,2]", true}, {"[1,2]", "[2,1]", false},
	        {"[]", "{}", false}, {"[[]]", "[[[]]]", false},
	        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"\\u0061\":1}", true},
	        {"{\"a\":1}", "{\"b\":1}", false}, {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
	        {"{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}", false}};
	struct jsontree a, b;
	(void)state;
	jsontree_init(&a);
	jsontree_init(&b);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		parse(&a, cases[i].a);
		parse(&b, cases[i].b);
		assert_int_equal(jsontree_equal(&a, 0, &b, 0), cases[i].same);
		assert_int_equal(jsontree_equal(&b, 0, &a, 0), cases[i].same);
		assert_int_equal(jsontree_value_hash(&a, 0) == jsontree_value_hash(&b, 0), cases[i].same);
	}
	jsontree_free(&a);
	jsontree_free(&b);
}

static void limits_hold(void **state)
{
	struct jsontree tree;
	struct json_error error;
	struct json_limits limits = {.depth = 3, .values = 4};
	(void)state;
	jsontree_init(&tree);
	assert_true(jsontree_parse(&tree, "[[[1]]]", 7, &limits, &error));
	assert_false(jsontree_parse(&tree, "[[[[]]]]", 8, &limits, &error));
	assert_string_equal(error.message, "nested deeper than 3 levels");
	assert_true(jsontree_parse(&tree, "[1,2,3]", 7, &limits, &error));
	assert_false(jsontree_parse(&tree, "[1,2,3,4]", 9, &limits, &error));
	assert_string_equal(error.message, "too many values in one document");
	jsontree_free(&tree);
}

/* ---- the codec accepts what the tree accepts ---- */

static const char *const SEEDS[] = {"{\"a\":[1,-2.5e+3,true,false,null,\"x\\u00e4\\n\"],\"b\":{\"c\":{}}}",
        "[0,-0,0.0,1E5,12345678901234567890,\"\\ud83d\\ude00\xC3\xA4\xF0\x9F\x98\x80\",[],[[]],{}]",
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":{\"a\":\"\\\\\\\"\\/\"}}", "  \"text\" ", "-17", " [ ] "};

static size_t mutate(char *text, size_t size, size_t room)
{
	static const char bytes[] =
	        "{}[]\",:\\u0123456789abcdefnt .+-eE\n\x01\x7f\x80\xC3\xE2\xED\xF0\xF4\xA4";
	for (int i = rand() % 4; i >= 0; i--) {
		size_t at = size ? (size_t)rand() % size : 0;
		switch (rand() % 4) {
		case 0:
			if (size)
				text[at] = bytes[(size_t)rand() % (sizeof bytes - 1)];
			break;
		case 1:
			if (size)
				memmove(text + at, text + at + 1, --size - at);
			break;
		case 2:
			if (size < room) {
				memmove(text + at + 1, text + at, size++ - at);
				text[at] = bytes[(size_t)rand() % (sizeof bytes - 1)];
			}
			break;
		default: {
			size_t from = size ? (size_t)rand() % size : 0, count = (size_t)rand() % 10;
			if (from + count <= size && at + count <= size)
				memmove(text + at, text + from, count);
		}
		}
	}
	return size;
}

static void it_accepts_and_refuses_what_the_codec_does(void **state)
{
	lua_State *L = luaL_newstate();
	struct jsontree tree;
	unsigned good = 0;
	(void)state;
	srand(unit_seed());
	json_open(L);
	jsontree_init(&tree);
	for (int i = 0; i < 60000; i++) {
		const char *seed = SEEDS[(size_t)rand() % (sizeof SEEDS / sizeof *SEEDS)];
		char text[200];
		size_t size = strlen(seed);
		struct json_error ours = {0}, theirs = {0};
		memcpy(text, seed, size);
		size = mutate(text, size, sizeof text);
		char *exact = mem_alloc(size); /* without a NUL: the sanitizer sees what is read behind it */
		memcpy(exact, text, size);
		bool tree_good = jsontree_parse(&tree, exact, size, NULL, &ours);
		bool codec_good = json_decode(L, exact, size, NULL, &theirs);
		if (tree_good != codec_good || (!tree_good && (strcmp(ours.message, theirs.message) != 0 ||
		                                                      ours.offset != theirs.offset)))
			fail_msg("%.*s: the tree says \"%s\" at %zu, the codec \"%s\" at %zu", (int)size,
			        text, ours.message, ours.offset, theirs.message, theirs.offset);
		good += tree_good;
		mem_free(exact);
		lua_settop(L, 0);
	}
	assert_true(good > 5000);
	jsontree_free(&tree);
	lua_close(L);
}

static void a_line_has_its_members_by_name_and_its_scalars_as_they_stood(void **state)
{
	static const struct {
		const char *text, *line;
	} cases[] = {
	        {" {\"b\": [ 1.0 , {\"z\":1e21,\"a\" : -0.0} ], \"a\": {}, \"aa\": [], \"A\": \"\\u00e4 \"} ",
	                "{\"A\":\"\\u00e4 \",\"a\":{},\"aa\":[],\"b\":[1.0,{\"a\":-0.0,\"z\":1e21}]}"},
	        {"[]", "[]"},
	        {"12345678901234567890", "12345678901234567890"},
	        {"[null,true,false,\"\"]", "[null,true,false,\"\"]"},
	};
	struct jsontree tree;
	(void)state;
	jsontree_init(&tree);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = {0};
		parse(&tree, cases[i].text);
		jsontree_line(&tree, 0, &out);
		assert_int_equal(out.size, strlen(cases[i].line));
		assert_memory_equal(out.data, cases[i].line, out.size);
		buf_free(&out);
	}
	jsontree_free(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(values_lie_in_the_order_of_the_text),
	        cmocka_unit_test(strings_mean_what_they_say_and_have_characters),
	        cmocka_unit_test(duplicate_keys_are_refused_however_they_are_written),
	        cmocka_unit_test(equal_values_are_equal_and_have_equal_hashes),
	        cmocka_unit_test(limits_hold),
	        cmocka_unit_test(a_line_has_its_members_by_name_and_its_scalars_as_they_stood),
	        cmocka_unit_test(it_accepts_and_refuses_what_the_codec_does),
	};
	return cmocka_run_group_tests_name("jsontree", tests, NULL, NULL);
}
