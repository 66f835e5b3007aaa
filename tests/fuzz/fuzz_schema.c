/* libFuzzer: no schema and no event breaks the validator, and what it says holds together.
 *
 * The input is a schema, YAML or JSON, a line of three dashes, and an event.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -std=c11 -D_GNU_SOURCE -Iinclude \
 *       -o build/fuzz_schema tests/fuzz/fuzz_schema.c core/schema*.c core/jsontree*.c core/json_text.c \
 *       core/json_number.c core/yaml_tree.c core/text.c core/buf.c core/err.c core/mem.c -lpcre2-8 -lyaml -lm
 *   build/fuzz_schema -max_len=2000 -max_total_time=60 */
#include "jsontree.h"
#include "mem.h"
#include "schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema_checker *checker;

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static bool load(void *context, const char *uri, struct buf *text, struct err *err)
{
	const struct bytes *schema = context;
	if (strcmp(uri, "/schema") != 0)
		return err_set(err, "there is one schema only");
	return buf_append(text, schema->data, schema->size);
}

static bool is_json(const char *text, size_t size)
{
	struct jsontree tree;
	jsontree_init(&tree);
	bool good = jsontree_parse(&tree, text, size, NULL, NULL);
	if (good) {
		check(jsontree_equal(&tree, 0, &tree, 0), "a value differs from itself");
		for (uint32_t i = 0; i < tree.count; i++)
			check(tree.nodes[i].next > i && tree.nodes[i].next <= tree.count &&
			                (size_t)tree.nodes[i].start + tree.nodes[i].size <= size,
			        "a node lies outside");
	}
	jsontree_free(&tree);
	return good;
}

static void look_at_errors(const struct schema_errors *errors)
{
	struct buf text;
	check(errors->count > 0 && errors->count <= SCHEMA_MAX_ERRORS, "no errors, or too many");
	buf_init(&text, 0);
	for (size_t i = 0; i < errors->count; i++)
		schema_error_print(&errors->list[i], &text);
	check(text.size > 0, "errors without words");
	buf_free(&text);
}

static void look_at_event(const struct schema *schema, const char *event, size_t size)
{
	struct schema_errors errors;
	struct buf out, pointers;
	size_t stripped = 0, unknown = 0;
	bool json = is_json(event, size);
	schema_errors_init(&errors, 0);
	for (unsigned options = 0; options < 4; options++) {
		bool good = schema_check(checker, schema, event, size, options, &errors);
		check(good == schema_check(checker, schema, event, size, options, NULL), "two verdicts");
		check(json || !good, "something else than JSON is valid");
		if (!good)
			look_at_errors(&errors);
	}
	buf_init(&out, 0);
	buf_init(&pointers, 0);
	check(schema_strip(checker, schema, event, size, &out, &stripped, NULL) == json, "strip: not JSON");
	check(schema_unknown(checker, schema, event, size, &pointers, &unknown, NULL) == json,
	        "unknown: not JSON");
	check(stripped == unknown, "more or less was left out than is unknown");
	if (json)
		check(is_json(out.data, out.size), "the rest is no JSON");
	if (json && !stripped)
		check(out.size == size && memcmp(out.data, event, size) == 0, "something else was changed");
	buf_free(&out);
	buf_free(&pointers);
	schema_errors_free(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char dashes[] = "\n---\n";
	const struct schema_source source = {&(struct bytes){NULL, 0}, load};
	struct err err = {""};
	if (checker == NULL)
		checker = schema_checker_new(NULL);
	const uint8_t *end = memmem(data, size, dashes, strlen(dashes));
	size_t schema_size = end ? (size_t)(end - data) : size;
	size_t at = end ? schema_size + strlen(dashes) : size;
	/* in blocks of their own, so that the sanitizer sees what is read beyond them */
	char *schema_text = mem_alloc(schema_size), *event = mem_alloc(size - at);
	memcpy(schema_text, data, schema_size);
	memcpy(event, data + at, size - at);
	*(struct bytes *)source.context = (struct bytes){schema_text, schema_size};
	struct schema *schema = schema_compile("/schema", &source, NULL, &err);
	check(schema || *err.text, "refused without a word");
	if (schema)
		look_at_event(schema, event, size - at);
	schema_free(schema);
	mem_free(schema_text);
	mem_free(event);
	return 0;
}
