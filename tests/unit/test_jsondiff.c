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
	        cmocka_unit_test(paths_are_found_and_empty_names_refused),
	};
	return cmocka_run_group_tests_name("jsondiff", tests, NULL, NULL);
}
