/* What checking an event against its schema costs, beside what the codec takes to decode it.
 *
 *   build/bench/bench_schema       from the repository's root: the schemas are in tests/system/schemas */
#include "jsontree.h"
#include "json.h"
#include "schema.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 30 /* the best counts: others use the machine too */

/* clang-format off */
static const char EVENT[] =
	"{\"$schema\":\"/mediawiki/page/change/1.2.0\",\"changelog_kind\":\"update\",\"comment\":\"/* History */ typo\","
	"\"dt\":\"2024-03-01T12:00:00Z\",\"meta\":{\"domain\":\"en.example.org\",\"dt\":\"2024-03-01T12:00:00.123Z\","
	"\"id\":\"0d0d6a3c-3a5e-4bb1-9b5a-111111111111\",\"request_id\":\"7d1a6a3c-3a5e-4bb1-9b5a-222222222222\","
	"\"stream\":\"mediawiki.page_change.v1\",\"uri\":\"https://en.example.org/wiki/Alpha_Centauri\"},"
	"\"page\":{\"is_redirect\":false,\"namespace_id\":0,\"page_id\":4321987,\"page_title\":\"Alpha_Centauri\"},"
	"\"page_change_kind\":\"edit\",\"performer\":{\"edit_count\":12345,\"groups\":[\"extendedconfirmed\",\"*\","
	"\"user\",\"autoconfirmed\"],\"is_bot\":false,\"is_system\":false,\"is_temp\":false,"
	"\"registration_dt\":\"2010-01-01T00:00:00Z\",\"user_id\":987654,\"user_text\":\"Jos\xC3\xA9 Example\"},"
	"\"revision\":{\"comment\":\"typo\",\"is_comment_visible\":true,\"is_content_visible\":true,"
	"\"is_editor_visible\":true,\"is_minor_edit\":false,\"rev_dt\":\"2024-03-01T12:00:00Z\","
	"\"rev_id\":1187654321,\"rev_parent_id\":1187650000,\"rev_sha1\":\"5g2rbk3hu47jydbxkl4n7597248pjg5\","
	"\"rev_size\":10234,\"content_slots\":{\"main\":{\"content_format\":\"text/x-wiki\","
	"\"content_model\":\"wikitext\",\"content_sha1\":\"5g2rbk3hu47jydbxkl4n7597248pjg5\",\"content_size\":10234,"
	"\"origin_rev_id\":1187654321,\"slot_role\":\"main\"";
static const char LATIN[] = "The '''system''' is [[binary star|a pair]] of \\\"close\\\" stars,<ref name=\\\"a\\\"/> seen "
			    "from the south.{{cite|title=On stars|year=1987}}\\n";
/* clang-format on */

static void make_event(struct buf *out, size_t body)
{
	buf_clear(out);
	buf_append_text(out, EVENT);
	if (body) {
		buf_append_text(out, ",\"content_body\":\"");
		for (size_t start = out->size; out->size < start + body;)
			buf_append_text(out, LATIN);
		buf_append_byte(out, '"');
	}
	buf_append_text(out, "}}},\"wiki_id\":\"enwiki\"}");
}

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

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(struct bench *b, void (*run)(struct bench *))
{
	double best = 1e18;
	int count = (int)(5000000 / (b->text.size + 6000) + 1);
	for (int round = 0; round < ROUNDS; round++) {
		lua_gc(b->L, LUA_GCCOLLECT, 0);
		double start = now();
		for (int i = 0; i < count; i++)
			run(b);
		double each = (now() - start) / count;
		best = each < best ? each : best;
	}
	return best;
}

int main(void)
{
	static const size_t bodies[] = {0, 10000, 100000, 1000000};
	struct schema_source source = {NULL, load};
	struct err err;
	struct bench b = {.checker = schema_checker_new(NULL), .L = luaL_newstate()};
	luaJIT_setmode(b.L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	json_open(b.L);
	double start = now();
	b.schema = schema_compile("/mediawiki/page/change/1.2.0", &source, NULL, &err);
	if (b.schema == NULL) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	printf("compiling /mediawiki/page/change/1.2.0: %.0f us\n", (now() - start) / 1000);
	printf("%-24s %10s %10s %10s %10s %10s\n", "page_change, body of", "bytes", "decode ns", "tree ns",
	        "check ns", "strip ns");
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		make_event(&b.text, bodies[i]);
		printf("%-24zu %10zu %10.0f %10.0f %10.0f %10.0f\n", bodies[i], b.text.size,
		        measure(&b, run_decode), measure(&b, run_tree), measure(&b, run_check),
		        measure(&b, run_strip));
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
