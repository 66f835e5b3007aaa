/* The codec beside lua-cjson, and beside a memcpy of the same bytes. `bench_json WORD`: only documents whose
 * name holds the word. */
#include "buf.h"
#include "json.h"
#include "row.h"
#include "sample.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

int luaopen_cjson(lua_State *L);

enum verb { DECODE, ENCODE, VERBS };

/* ---- documents ---- */

/* clang-format off */
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

static void make_numbers(struct buf *out, int digits, double first, double step)
{
	buf_clear(out);
	buf_append_text(out, "{\"n\":[0");
	for (int i = 1; i < 500; i++)
		buf_printf(out, ",%.*g", digits, first + i * step);
	buf_append_text(out, "]}");
}

/* ---- measuring ---- */

/* A runner works once on the text, or on its value, which lies at 3. */
typedef void runner(lua_State *L, const struct buf *text);

static void ours_decode(lua_State *L, const struct buf *text)
{
	struct json_error error;
	if (!json_decode(L, text->data, text->size, NULL, &error)) {
		fprintf(stderr, "%s at %zu\n", error.message, error.offset);
		exit(1);
	}
	lua_settop(L, 3);
}

static void ours_encode(lua_State *L, const struct buf *text)
{
	static struct buf out;
	struct json_error error;
	(void)text;
	buf_clear(&out);
	if (!json_encode(L, 3, &out, &error)) {
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
}

/* decode and encode of lua-cjson lie at 1 and 2. */
static void cjson_decode(lua_State *L, const struct buf *text)
{
	lua_pushvalue(L, 1);
	lua_pushlstring(L, text->data, text->size);
	lua_call(L, 1, 0);
}

static void cjson_encode(lua_State *L, const struct buf *text)
{
	(void)text;
	lua_pushvalue(L, 2);
	lua_pushvalue(L, 3);
	lua_call(L, 1, 0);
}

static void copy(lua_State *L, const struct buf *text)
{
	static char *to;
	static size_t room;
	(void)L;
	if (room < text->size) {
		room = text->size;
		to = realloc(to, room);
	}
	memcpy(to, text->data, text->size);
	__asm__ volatile("" : : "r"(to) : "memory"); /* it is not left out for nobody reads it */
}

/* Microseconds each. */
static double measure(lua_State *L, const struct buf *text, runner *run, size_t bytes)
{
	int count = (int)(bytes / (text->size * 2 + 6000) + 1);
	lua_gc(L, LUA_GCCOLLECT, 0);
	double start = cpu_ns();
	for (int i = 0; i < count; i++)
		run(L, text);
	return (cpu_ns() - start) / count / 1000;
}

static const char *only = "";

/* at_most: what the ratio to lua-cjson should be; 0 = nothing in particular. */
static void compare(lua_State *L, const char *name, const struct buf *text, bool with_copy, double at_most)
{
	static const char *const verbs[VERBS] = {"decode", "encode"};
	static runner *const ours[VERBS] = {ours_decode, ours_encode}, *const theirs[VERBS] = {
	                                                                       cjson_decode, cjson_encode};
	struct json_error error;
	if (strstr(name, only) == NULL)
		return;
	lua_settop(L, 2);
	if (!json_decode(L, text->data, text->size, NULL, &error))
		exit(1);
	for (int verb = 0; verb < VERBS; verb++) {
		double mine[ROUNDS], cjson[ROUNDS], copied[ROUNDS];
		char what[100];
		for (int i = 0; i < ROUNDS; i++) {
			mine[i] = measure(L, text, ours[verb], 5000000);
			cjson[i] = measure(L, text, theirs[verb], 5000000);
			copied[i] = measure(L, text, copy, 50000000);
		}
		snprintf(what, sizeof what, "%s %s, %zu bytes", verbs[verb], name, text->size);
		row(what, "us", mine, "lua-cjson", cjson, at_most);
		if (with_copy)
			row(what, "us", mine, "memcpy", copied, 0);
	}
}

static lua_State *open_state(void)
{
	static const char *const names[] = {"decode", "encode"};
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	json_open(L);
	lua_settop(L, 2);
	for (int i = 0; i < 2; i++) {
		luaopen_cjson(L);
		lua_getfield(L, -1, names[i]);
		lua_replace(L, i + 1);
		lua_settop(L, 2);
	}
	return L;
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {10000, 100000, 1000000};
	if (argc > 1)
		only = argv[1];
	lua_State *L = open_state();
	struct buf text;
	buf_init(&text, 0);
	group("JSON", "one thread, CPU time, medians of rounds in turn");
	sample_event(&text, LATIN, 0);
	compare(L, "an event", &text, true, 1);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		sample_event(&text, LATIN, sizes[i]);
		compare(L, "an event with a page", &text, true, 1);
	}
	sample_event(&text, CYRILLIC, 10000);
	compare(L, "a Russian page", &text, false, 1);
	sample_event(&text, CJK, 10000);
	compare(L, "a Japanese page", &text, false, 1);
	sample_event(&text, ESCAPED, 10000);
	compare(L, "a page of \\\\u escapes", &text, false, 1);
	make_numbers(&text, 17, 40, 7);
	compare(L, "500 integers", &text, false, 0);
	make_numbers(&text, 6, 47.5, 0.0625);
	compare(L, "500 short decimals", &text, false, 0);
	make_numbers(&text, 17, 47.5, 0.1);
	compare(L, "500 long decimals", &text, false, 0);
	buf_free(&text);
	lua_close(L);
	return 0;
}
