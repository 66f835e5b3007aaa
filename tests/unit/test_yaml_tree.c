/* YAML as a tree of nodes that know their place. */
#include "yaml_tree.h"
#include "buf.h"
#include "mem.h"
#include "unit.h"

static struct buf problems;

static void hear(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	(void)context;
	buf_printf(&problems, "%u:%u: %s%s%s\n", place->line, place->column, text, hint ? "; " : "",
	        hint ? hint : "");
}

static struct yaml_node *parse(const char *text)
{
	struct yaml_listener listener = {NULL, hear};
	buf_free(&problems);
	return yaml_tree_parse(text, strlen(text), &listener);
}

static void refused(const char *text, const char *expected)
{
	struct yaml_node *root = parse(text);
	assert_string_equal(problems.data ? problems.data : "", expected);
	yaml_tree_free(root);
	buf_free(&problems);
}

static const struct yaml_node *get(const struct yaml_node *map, const char *name)
{
	long at = yaml_tree_find(map, name);
	assert_true(at >= 0);
	return &map->items[at];
}

static void every_node_knows_its_line_and_column(void **state)
{
	(void)state;
	struct yaml_node *root = parse("a: 1\nb:\n  c: [x, 'y z']\n  d: {e: f}\n");
	assert_null(problems.data);
	const struct yaml_node *c = get(get(root, "b"), "c"), *f = get(get(get(root, "b"), "d"), "e");
	assert_int_equal(c->kind, YAML_LIST);
	assert_int_equal(c->count, 2);
	assert_int_equal(c->items[1].place.line, 3);
	assert_int_equal(c->items[1].place.column, 10);
	assert_int_equal(c->items[1].place.length, 5);
	assert_false(c->items[1].plain);
	assert_true(c->items[0].plain);
	assert_int_equal(f->place.line, 4);
	assert_int_equal(f->place.column, 10);
	assert_string_equal(f->text, "f");
	yaml_tree_free(root);
}

static void columns_count_characters_not_bytes(void **state)
{
	(void)state;
	struct yaml_node *root = parse("{\"h\xC3\xA4\xC3\xA4\": x}\n");
	assert_int_equal(root->items[0].place.column, 9);
	yaml_tree_free(root);
}

static void what_is_not_supported_is_told_with_its_place(void **state)
{
	(void)state;
	refused("a: !!str x\n", "1:4: tags are not supported; leave out the '!...' word\n");
	refused("a: &x 1\nb: *x\n", "1:4: anchors are not supported; leave out the '&...' word\n"
	                            "2:4: aliases are not supported; write the value out\n");
	refused("a: {<<: {b: 1}}\n", "1:5: merge keys ('<<') are not supported; write the keys out\n");
	refused("? [x]\n: y\n", "1:3: a key must be a text\n");
	refused("a: 1\n---\nb: 2\n",
	        "2:1: a second document begins here; a file holds one; leave out the line '---'\n");
	refused("a: \"x\\0y\"\n", "1:4: a NUL character is not supported in a text\n");
	refused("a: 1\nb: 2\na: 3\na: 4\n", "3:1: duplicate key 'a'; it already stands in line 1\n"
	                                    "4:1: duplicate key 'a'; it already stands in line 1\n");
	refused("a: \xff\n", "1:1: the file is not UTF-8\n");
}

static void syntax_errors_come_with_their_place_and_a_hint(void **state)
{
	(void)state;
	assert_null(parse("a: 1\n\tb: 2\n"));
	assert_string_equal(problems.data, "2:1: found a tab character that violates indentation (while "
	                                   "scanning a plain scalar that began in line 1); "
	                                   "YAML is indented with spaces, not tabs\n");
	assert_null(parse("a:\n\tb: 2\n"));
	assert_non_null(strstr(problems.data,
	        "2:1: found character that cannot start any token (while scanning for the "
	        "next token that began in line 2); YAML is indented with spaces, not tabs; "));
	assert_null(parse("a: b: c\n"));
	assert_non_null(
	        strstr(problems.data, "1:5: mapping values are not allowed in this context; a text that "
	                              "contains ': ' needs quotes"));
	assert_null(parse("a: [1, 2\nb: 3\n"));
	assert_non_null(strstr(problems.data, "2:2: did not find expected ',' or ']'"));
	assert_null(parse("a: [${B:-c}]\n"));
	assert_non_null(strstr(problems.data,
	        "; within [ ] and { } a text with ':', '{' or '}' needs quotes, so does "
	        "\"${NAME}\""));
	assert_null(parse("a: {b: ${B}}\n"));
	assert_non_null(strstr(problems.data, "needs quotes, so does"));
	buf_free(&problems);
}

static void depth_size_and_number_of_values_are_bounded(void **state)
{
	(void)state;
	char *deep = mem_zalloc(1, 100001);
	memset(deep, '[', 100000);
	assert_null(parse(deep));
	assert_string_equal(problems.data, "1:34: nested too deeply; the limit is 32 levels\n");
	memset(deep, ' ', 100000);
	for (size_t i = 0; i < 30000; i++)
		memcpy(deep + 3 * i, "- \n", 3);
	assert_null(parse(deep));
	assert_non_null(strstr(problems.data, "too many values"));
	mem_free(deep);
	char *large = mem_zalloc(1, YAML_TREE_BYTES + 2);
	memset(large, '#', YAML_TREE_BYTES + 1);
	assert_null(parse(large));
	assert_string_equal(problems.data, "1:1: the file is larger than 1 MiB\n");
	mem_free(large);
	buf_free(&problems);
}

static void an_empty_document_is_nothing(void **state)
{
	(void)state;
	struct yaml_node *root = parse("# only a comment\n");
	assert_non_null(root);
	assert_int_equal(root->kind, YAML_NOTHING);
	yaml_tree_free(root);
	root = parse("");
	assert_int_equal(root->kind, YAML_NOTHING);
	yaml_tree_free(root);
}

static void plain_scalars_become_json_by_the_core_schema(void **state)
{
	(void)state;
	static const struct {
		const char *text, *json;
	} cases[] = {{"null", "null"}, {"~", "null"}, {"", "null"}, {"true", "true"}, {"False", "false"},
	        {"yes", "\"yes\""}, {"off", "\"off\""}, {"12", "12"}, {"-0", "-0"}, {"+7", "7"}, {"007", "7"},
	        {"12345678901234567890123", "12345678901234567890123"}, {"0x1F", "31"}, {"0o17", "15"},
	        {"0x", "\"0x\""}, {"1.50", "1.50"}, {".5", "0.5"}, {"5.", "5.0"}, {"-.5e3", "-0.5e3"},
	        {"1e21", "1e21"}, {"00.5", "0.5"}, {"1e", "\"1e\""}, {".", "\".\""}, {"-", "\"-\""},
	        {"1.2.3", "\"1.2.3\""}, {"2025-11-01", "\"2025-11-01\""}, {"a\"b", "\"a\\\"b\""}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 0);
		assert_true(yaml_tree_json_scalar(cases[i].text, true, &out));
		assert_string_equal(out.data, cases[i].json);
		buf_clear(&out);
		assert_true(yaml_tree_json_scalar(cases[i].text, false, &out));
		assert_int_equal(out.data[0], '"');
		assert_false(yaml_tree_json_scalar(".inf", true, &out));
		assert_false(yaml_tree_json_scalar("-.INF", true, &out));
		assert_false(yaml_tree_json_scalar(".nan", true, &out));
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_node_knows_its_line_and_column),
	        cmocka_unit_test(columns_count_characters_not_bytes),
	        cmocka_unit_test(what_is_not_supported_is_told_with_its_place),
	        cmocka_unit_test(syntax_errors_come_with_their_place_and_a_hint),
	        cmocka_unit_test(depth_size_and_number_of_values_are_bounded),
	        cmocka_unit_test(an_empty_document_is_nothing),
	        cmocka_unit_test(plain_scalars_become_json_by_the_core_schema),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
