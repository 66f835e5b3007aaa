/* What checking an event against its schema costs, beside what the codec takes to decode it. Runs in the
 * repository's root: the schemas are in tests/system/schemas. */
#include "json.h"
#include "jsontree.h"
#include "row.h"
#include "sample.h"
#include "schema.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char LATIN[] = "The '''system''' is [[binary star|a pair]] of \\\"close\\\" stars,<ref name=\\\"a\\\"/> seen "
			    "from the south.{{cite|title=On stars|year=1987}}\\n";
/* clang-format on */

static bool load(void *context, const char *uri, struct buf *text, struct err *err)
{
	char path[300], bytes[4096];
	(void)context;
	snprintf(path, sizeof path, "tests/system/schemas/jsonschema%s.yaml", uri);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return err_set(err, "there is no file %s", path);
	for (size_t size; (size = fread(bytes, 1, sizeof bytes, file)) > 0;)
		buf_append(text, bytes, size);
	fclose(file);
	return true;
}

struct bench {
	struct schema *schema;
	struct schema_checker *checker;
	struct schema_errors errors;
	struct jsontree tree;
	struct buf text, out;
	lua_State *L;
};

static void run_tree(struct bench *b)
{
	if (!jsontree_parse(&b->tree, b->text.data, b->text.size, NULL, NULL))
		abort();
}

static void run_check(struct bench *b)
{
	if (!schema_check(b->checker, b->schema, b->text.data, b->text.size, 0, &b->errors)) {
		buf_clear(&b->out);
		schema_error_print(&b->errors.list[0], &b->out);
		fprintf(stderr, "%s\n", b->out.data);
		abort();
	}
}

static void run_strip(struct bench *b)
{
	size_t stripped;
	buf_clear(&b->out);
	if (!schema_strip(b->checker, b->schema, b->text.data, b->text.size, &b->out, &stripped, NULL))
		abort();
}

static void run_decode(struct bench *b)
{
	struct json_error error;
	if (!json_decode(b->L, b->text.data, b->text.size, NULL, &error))
		abort();
	lua_settop(b->L, 0);
}

/* Microseconds each. */
static double measure(struct bench *b, void (*run)(struct bench *))
{
	int count = (int)(5000000 / (b->text.size + 6000) + 1);
	lua_gc(b->L, LUA_GCCOLLECT, 0);
	double start = cpu_ns();
	for (int i = 0; i < count; i++)
		run(b);
	return (cpu_ns() - start) / count / 1000;
}

static void compare(struct bench *b)
{
	double decode[ROUNDS], tree[ROUNDS], check[ROUNDS], strip[ROUNDS];
	char what[100];
	for (int i = 0; i < ROUNDS; i++) {
		decode[i] = measure(b, run_decode);
		tree[i] = measure(b, run_tree);
		check[i] = measure(b, run_check);
		strip[i] = measure(b, run_strip);
	}
	snprintf(what, sizeof what, "a flat tree of %zu bytes", b->text.size);
	row(what, "us", tree, "decoding", decode, 0);
	snprintf(what, sizeof what, "check of %zu bytes", b->text.size);
	row(what, "us", check, "decoding", decode, 0);
	snprintf(what, sizeof what, "strip of %zu bytes", b->text.size);
	row(what, "us", strip, "decoding", decode, 0);
}

int main(void)
{
	static const size_t bodies[] = {0, 10000, 100000, 1000000};
	struct schema_source source = {NULL, load};
	struct err err;
	struct bench b = {.checker = schema_checker_new(NULL), .L = luaL_newstate()};
	luaJIT_setmode(b.L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	json_open(b.L);
	b.schema = schema_compile("/mediawiki/page/change/1.2.0", &source, NULL, &err);
	if (b.schema == NULL) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	group("Schemas", "an event against /mediawiki/page/change/1.2.0, one thread, CPU time");
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		sample_event(&b.text, LATIN, bodies[i]);
		compare(&b);
	}
	lua_close(b.L);
	jsontree_free(&b.tree);
	buf_free(&b.text);
	buf_free(&b.out);
	schema_errors_free(&b.errors);
	schema_checker_free(b.checker);
	schema_free(b.schema);
	return 0;
}
