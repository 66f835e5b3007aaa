/* The codec beside lua-cjson: CPU time per document, decoding and encoding. `bench_json WORD`: only documents
 * whose name holds the word.
 *
 *   cc -O2 -std=c11 -D_GNU_SOURCE -Iinclude $(pkg-config --cflags luajit) -o build/bench_json \
 *       tests/bench/bench_json.c core/json*.c core/buf.c core/mem.c $(pkg-config --libs luajit) \
 *       -llua5.1-cjson -lm */
#include "buf.h"
#include "json.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int luaopen_cjson(lua_State *L);

#define ROUNDS 30 /* the best counts: others use the machine too */

enum verb { DECODE, ENCODE, BOTH };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- documents ---- */

/* clang-format off */
static const char EVENT[] =
	"{\"$schema\":\"/mediawiki/page/change/1.2.0\",\"changelog_kind\":\"update\",\"comment\":\"/* History */ typo\","
	"\"dt\":\"2024-03-01T12:00:00Z\",\"meta\":{\"domain\":\"en.example.org\",\"dt\":\"2024-03-01T12:00:00.123Z\","
	"\"id\":\"0d0d6a3c-3a5e-4bb1-9b5a-111111111111\",\"request_id\":\"7d1a6a3c-3a5e-4bb1-9b5a-222222222222\","
	"\"stream\":\"mediawiki.page_change.v1\",\"uri\":\"https://en.example.org/wiki/Alpha_Centauri\"},"
	"\"page\":{\"is_redirect\":false,\"namespace_id\":0,\"page_id\":4321987,\"page_title\":\"Alpha_Centauri\"},"
	"\"page_change_kind\":\"edit\",\"performer\":{\"edit_count\":12345,\"groups\":[\"extendedconfirmed\",\"*\","
	"\"user\",\"autoconfirmed\"],\"is_bot\":false,\"is_registered\":true,\"is_system\":false,\"is_temp\":false,"
	"\"registration_dt\":\"2010-01-01T00:00:00Z\",\"user_id\":987654,\"user_text\":\"Jos\xC3\xA9 Example\"},"
	"\"revision\":{\"comment\":\"typo\",\"content_slots\":{\"main\":{\"content_format\":\"text/x-wiki\","
	"\"content_model\":\"wikitext\",\"content_sha1\":\"5g2rbk3hu47jydbxkl4n7597248pjg5\",\"content_size\":10234,"
	"\"origin_rev_id\":1187654321,\"slot_role\":\"main\"}},\"is_comment_visible\":true,\"is_content_visible\":true,"
	"\"is_editor_visible\":true,\"is_minor_edit\":false,\"rev_dt\":\"2024-03-01T12:00:00Z\","
	"\"rev_id\":1187654321,\"rev_parent_id\":1187650000,\"rev_sha1\":\"5g2rbk3hu47jydbxkl4n7597248pjg5\","
	"\"rev_size\":10234},\"wiki_id\":\"enwiki\",\"content_body\":\"";

static const char LATIN[] = "The '''system''' is [[binary star|a pair]] of \\\"close\\\" stars,<ref name=\\\"a\\\"/> seen "
			    "from the south.{{cite|title=On stars|year=1987}}\\n";
static const char CYRILLIC[] =
	"\xD0\x9C\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0 \xE2\x80\x94 "
	"\xD1\x81\xD1\x82\xD0\xBE\xD0\xBB\xD0\xB8\xD1\x86\xD0\xB0 \xD0\xB8 "
	"\xD0\xB3\xD0\xBE\xD1\x80\xD0\xBE\xD0\xB4 [[\xD0\xA0\xD0\xA4]].\\n";
static const char CJK[] = "\xE6\x9D\xB1\xE4\xBA\xAC\xE9\x83\xBD\xE3\x81\xAF\xE3\x80\x81\xE6\x97\xA5\xE6\x9C\xAC\xE3\x81\xAE"
			  "\xE9\xA6\x96\xE9\x83\xBD\xE3\x81\xA7\xE3\x81\x82\xE3\x82\x8B\xE3\x80\x82[[\xE9\x83\xBD]]\\n";
static const char ESCAPED[] = "\\u041c\\u043e\\u0441\\u043a\\u0432\\u0430 \\u2014 \\u0441\\u0442\\u043e<br \\/>\\n";
/* clang-format on */

static void make_page(struct buf *out, const char *line, size_t size)
{
	buf_append_text(out, EVENT);
	for (size_t start = out->size; out->size < start + size;)
		buf_append_text(out, line);
	buf_append_text(out, "\"}");
}

static void make_numbers(struct buf *out, int digits, double first, double step)
{
	buf_append_text(out, "{\"n\":[0");
	for (int i = 1; i < 500; i++)
		buf_printf(out, ",%.*g", digits, first + i * step);
	buf_append_text(out, "]}");
}

/* ---- measuring ---- */

static void run_ours(lua_State *L, const struct buf *text, enum verb verb, int value)
{
	static struct buf out;
	struct json_error error;
	if (verb != ENCODE && !json_decode(L, text->data, text->size, NULL, &error)) {
		fprintf(stderr, "%s at %zu\n", error.message, error.offset);
		abort();
	}
	if (verb != DECODE) {
		buf_clear(&out);
		if (!json_encode(L, verb == BOTH ? -1 : value, &out, &error)) {
			fprintf(stderr, "%s\n", error.message);
			abort();
		}
	}
	if (verb != ENCODE)
		lua_pop(L, 1);
}

/* decode and encode of lua-cjson lie at 1 and 2. */
static void run_cjson(lua_State *L, const struct buf *text, enum verb verb, int value)
{
	lua_pushvalue(L, 2);
	if (verb == ENCODE) {
		lua_pushvalue(L, value);
	} else {
		lua_pushvalue(L, 1);
		lua_pushlstring(L, text->data, text->size);
		lua_call(L, 1, 1);
	}
	if (verb != DECODE)
		lua_call(L, 1, 1);
	lua_settop(L, value);
}

typedef void runner(lua_State *L, const struct buf *text, enum verb verb, int value);

static double measure(runner *run, lua_State *L, const struct buf *text, enum verb verb, int value)
{
	double best = 1e18;
	int count = (int)(5000000 / (text->size * 2 + 6000) + 1);
	for (int round = 0; round < ROUNDS; round++) {
		lua_gc(L, LUA_GCCOLLECT, 0);
		double start = now();
		for (int i = 0; i < count; i++)
			run(L, text, verb, value);
		double each = (now() - start) / count;
		best = each < best ? each : best;
	}
	return best;
}

static const char *only = "";

static void compare(lua_State *L, const char *name, struct buf *text)
{
	if (strstr(name, only) == NULL) {
		buf_clear(text);
		return;
	}
	static const char *const verbs[] = {"decode", "encode", "both"};
	struct json_error error;
	if (!json_decode(L, text->data, text->size, NULL, &error)) {
		fprintf(stderr, "%s: %s at %zu\n", name, error.message, error.offset);
		exit(1);
	}
	int value = lua_gettop(L);
	for (enum verb verb = DECODE; verb <= BOTH; verb++) {
		double ours = measure(run_ours, L, text, verb, value);
		double theirs = measure(run_cjson, L, text, verb, value);
		printf("%-30s %7zu  %-6s %10.0f %10.0f %7.1fx\n", name, text->size, verbs[verb], ours, theirs,
		        theirs / ours);
	}
	lua_settop(L, value - 1);
	buf_clear(text);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		only = argv[1];
	lua_State *L = luaL_newstate();
	struct buf text;
	luaL_openlibs(L);
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	json_open(L);
	luaopen_cjson(L);
	lua_getfield(L, -1, "decode");
	lua_replace(L, 1);
	lua_settop(L, 1);
	luaopen_cjson(L);
	lua_getfield(L, -1, "encode");
	lua_replace(L, 2);
	lua_settop(L, 2);
	buf_init(&text, 0);
	printf("%-30s %7s  %-6s %10s %10s %8s\n", "document", "bytes", "verb", "ns", "cjson ns", "faster");
	make_page(&text, LATIN, 0);
	compare(L, "page_change event", &text);
	make_page(&text, LATIN, 10000);
	compare(L, "event with a page, English", &text);
	make_page(&text, CYRILLIC, 10000);
	compare(L, "event with a page, Russian", &text);
	make_page(&text, CJK, 10000);
	compare(L, "event with a page, Japanese", &text);
	make_page(&text, ESCAPED, 10000);
	compare(L, "event with a page, \\u escapes", &text);
	make_page(&text, LATIN, 1000000);
	compare(L, "event with a large page", &text);
	make_numbers(&text, 17, 40, 7);
	compare(L, "500 integers", &text);
	make_numbers(&text, 6, 47.5, 0.0625);
	compare(L, "500 short decimals", &text);
	make_numbers(&text, 17, 47.5, 0.1);
	compare(L, "500 long decimals", &text);
	buf_free(&text);
	lua_close(L);
	return 0;
}
