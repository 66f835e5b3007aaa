/* Where two JSON values first differ, and what is not looked at. */
#include "jsondiff.h"
#include "mem.h"
#include "unit.h"

static void parse(struct jsontree *tree, const char *text)
{
	struct json_error error;
	jsontree_init(tree);
	if (!jsontree_parse(tree, text, strlen(text), NULL, &error))
		fail_msg("%s: %s at %zu", text, error.message, error.offset);
}

/* pointer NULL: they are equal, and their hashes are. */
static void differ(const char *x, const char *y, const char *ignore, const char *pointer)
{
	struct jsondiff_paths ignored;
	struct jsontree a, b;
	struct buf found;
	assert_true(jsondiff_paths_parse(&ignored, ignore));
	buf_init(&found, 0);
	parse(&a, x);
	parse(&b, y);
	assert_int_equal(jsondiff_first(&a, &b, &ignored, &found), pointer != NULL);
	assert_int_equal(jsondiff_hash(&a, &ignored) != jsondiff_hash(&b, &ignored), pointer != NULL);
	if (pointer)
		assert_string_equal(found.data, pointer);
	jsontree_free(&a);
	jsontree_free(&b);
	buf_free(&found);
	jsondiff_paths_free(&ignored);
}

static void equal_values_do_not_differ(void **state)
{
	(void)state;
	differ("{\"a\":1,\"b\":[true,null]}", "{\"b\":[true,null],\"a\":1.0}", "", NULL);
	differ("\"\\u0061\"", "\"a\"", "", NULL);
	differ("[]", "[]", "a", NULL);
}

static void the_first_difference_is_named_as_a_pointer(void **state)
{
	(void)state;
	differ("{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}", "", "/b");
	differ("{\"a\":{\"b/c~d\":1}}", "{\"a\":{\"b/c~d\":\"1\"}}", "", "/a/b~1c~0d");
	differ("{\"a\":1}", "{\"a\":1,\"c\":null}", "", "/c");
	differ("{\"a\":1,\"c\":null}", "{\"a\":1}", "", "/c");
	differ("{\"a\":[1,{\"x\":2}]}", "{\"a\":[1,{\"x\":3}]}", "", "/a/*/x");
	differ("{\"a\":[1,2]}", "{\"a\":[1]}", "", "/a");
	differ("[]", "{}", "", "");
	differ("1", "2", "", "");
}

static void ignored_members_may_differ_or_be_missing(void **state)
{
	static const char old[] = "{\"meta\":{\"id\":1,\"dt\":2,\"uri\":3},\"id\":4}";
	(void)state;
	differ(old, "{\"meta\":{\"dt\":9,\"uri\":3},\"id\":4}", "meta.id,meta.dt", NULL);
	differ(old, "{\"meta\":{\"dt\":9,\"uri\":3},\"id\":4}", "meta.id", "/meta/dt");
	differ(old, "{\"meta\":{\"id\":1,\"dt\":2,\"uri\":3},\"id\":5}", "meta.id", "/id");
	differ(old, "{\"id\":4}", "meta", NULL);
	differ("{\"a\":[{\"meta\":{\"id\":1}}]}", "{\"a\":[{\"meta\":{\"id\":2}}]}", "meta.id",
	        "/a/*/meta/id");
}

static char *many(int count, int left_out, int changed, bool backwards)
{
	struct buf text;
	buf_init(&text, 0);
	buf_append_text(&text, "{\"end\":0");
	for (int i = 0; i < count; i++) {
		int n = backwards ? count - 1 - i : i;
		if (n != left_out)
			buf_printf(&text, ",\"member%d\":%d", n, n == changed ? -1 : n);
	}
	buf_append_byte(&text, '}');
	return buf_steal(&text, NULL);
}

static void large_objects_are_compared_whatever_their_order(void **state)
{
	char *all = many(1000, -1, -1, false), *back = many(1000, -1, -1, true);
	char *fewer = many(1000, 77, -1, true), *other = many(1000, -1, 500, true);
	(void)state;
	differ(all, back, "", NULL);
	differ(all, fewer, "", "/member77");
	differ(fewer, all, "", "/member77");
	differ(fewer, all, "member77", NULL);
	differ(all, other, "", "/member500");
	mem_free(all);
	mem_free(back);
	mem_free(fewer);
	mem_free(other);
}

/* "+a 1" is of the second alone, "-a 1" of the first alone, "~a 1 2" of both. */
struct telling {
	struct jsontree a, b;
	struct buf text;
};

static void append_raw(struct buf *out, const struct jsontree *tree, int64_t index)
{
	struct bytes raw = jsontree_raw(tree, (uint32_t)index);
	buf_append_byte(out, ' ');
	buf_append(out, raw.data, raw.size);
}

static void tell(void *context, const struct jsondiff_difference *difference)
{
	struct telling *telling = context;
	char sign = difference->a < 0 ? '+' : difference->b < 0 ? '-' : '~';
	buf_printf(&telling->text, "%c%s", sign, difference->path);
	if (difference->a >= 0)
		append_raw(&telling->text, &telling->a, difference->a);
	if (difference->b >= 0)
		append_raw(&telling->text, &telling->b, difference->b);
	buf_append_byte(&telling->text, '\n');
}

static void tells(const char *a, const char *b, const char *ignored, size_t count, const char *text)
{
	struct telling telling;
	struct jsondiff_paths paths;
	parse(&telling.a, a);
	parse(&telling.b, b);
	buf_init(&telling.text, 0);
	buf_append_text(&telling.text, "");
	assert_true(jsondiff_paths_parse(&paths, ignored));
	assert_int_equal(jsondiff_each(&telling.a, &telling.b, &paths, tell, &telling), count);
	if (text)
		assert_string_equal(telling.text.data, text);
	jsondiff_paths_free(&paths);
	jsontree_free(&telling.a);
	jsontree_free(&telling.b);
	buf_free(&telling.text);
}

static void every_difference_is_told_with_its_path(void **state)
{
	(void)state;
	tells("{\"a\":1,\"b\":{\"c\":[1,2]}}", "{\"b\":{\"c\":[1.0,2]},\"a\":1}", "", 0, "");
	tells("{\"a\":1,\"b\":{\"c\":[1,{\"d\":2},3]},\"e\":0}",
	        "{\"b\":{\"c\":[1,{\"d\":5}],\"new\":[]},\"a\":\"x\",\"f\":null}", "", 6,
	        "~a 1 \"x\"\n~b.c[1].d 2 5\n-b.c[2] 3\n+b.new []\n-e 0\n+f null\n");
	tells("[1]", "[1,2,[3]]", "", 2, "+[1] 2\n+[2] [3]\n");
	tells("{\"a.b\":1,\"\":2}", "{}", "", 2, "-\"a.b\" 1\n-\"\" 2\n");
	tells("1", "[1]", "", 1, "~ 1 [1]\n");
	tells("{\"meta\":{\"dt\":1,\"id\":2}}", "{\"meta\":{\"id\":3}}", "meta.dt", 1, "~meta.id 2 3\n");
}

static void all_differences_of_large_objects_are_told(void **state)
{
	char *all = many(1000, -1, -1, false), *fewer = many(1000, 77, 500, true);
	(void)state;
	tells(all, fewer, "", 2, NULL);
	tells(fewer, all, "", 2, NULL);
	tells(all, fewer, "member77", 1, "~member500 500 -1\n");
	mem_free(all);
	mem_free(fewer);
}

static void paths_are_found_and_empty_names_refused(void **state)
{
	struct jsondiff_paths paths;
	struct jsontree tree;
	(void)state;
	parse(&tree, "{\"a\":{\"b\":7},\"c\":1}");
	assert_true(jsondiff_paths_parse(&paths, "a.b,c.d,x"));
	assert_int_equal(paths.count, 3);
	assert_int_equal(tree.nodes[jsondiff_find(&tree, &paths.items[0])].integer, 7);
	assert_int_equal(jsondiff_find(&tree, &paths.items[1]), -1);
	assert_int_equal(jsondiff_find(&tree, &paths.items[2]), -1);
	jsondiff_paths_free(&paths);
	static const char *const bad[] = {"a,", ",a", "a..b", ".", "a."};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(jsondiff_paths_parse(&paths, bad[i]));
		jsondiff_paths_free(&paths);
	}
	jsontree_free(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(equal_values_do_not_differ),
	        cmocka_unit_test(the_first_difference_is_named_as_a_pointer),
	        cmocka_unit_test(ignored_members_may_differ_or_be_missing),
	        cmocka_unit_test(large_objects_are_compared_whatever_their_order),
	        cmocka_unit_test(every_difference_is_told_with_its_path),
	        cmocka_unit_test(all_differences_of_large_objects_are_told),
	        cmocka_unit_test(paths_are_found_and_empty_names_refused),
	};
	return cmocka_run_group_tests_name("jsondiff", tests, NULL, NULL);
}
