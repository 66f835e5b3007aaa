/* libFuzzer: whatever the codec accepts comes out again, and then stays the same for good.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -std=c11 -D_GNU_SOURCE -Iinclude \
 *       $(pkg-config --cflags luajit) -o build/fuzz_json tests/fuzz/fuzz_json.c \
 *       core/json*.c core/buf.c core/mem.c $(pkg-config --libs luajit) -lm
 *   build/fuzz_json -max_len=4096 -max_total_time=60 */
#include "buf.h"
#include "json.h"

#include <lauxlib.h>
#include <luajit.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *L;

static void check(bool good, const char *what, const struct json_error *error)
{
	if (good)
		return;
	fprintf(stderr, "%s: %s at %zu\n", what, error->message, error->offset);
	abort();
}

/* Every object in a block of its own, so that the sanitizer sees reads and writes beyond it. */
static void *allocate_block(void *context, void *old, size_t old_size, size_t size)
{
	(void)context;
	(void)old_size;
	if (size)
		return realloc(old, size);
	free(old);
	return NULL;
}

static void open_state(void)
{
	L = lua_newstate(allocate_block, NULL);
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	json_open(L);
}

static bool same(int a, int b);

static bool same_table(int a, int b)
{
	int more = 0;
	if (json_is_array(L, a) != json_is_array(L, b))
		return false;
	for (lua_pushnil(L); lua_next(L, a); lua_pop(L, 1), more++) {
		lua_pushvalue(L, -2);
		lua_rawget(L, b);
		int value = lua_gettop(L);
		if (!same(value - 1, value))
			return false;
		lua_pop(L, 1);
	}
	for (lua_pushnil(L); lua_next(L, b); lua_pop(L, 1))
		more--;
	return more == 0;
}

static bool same(int a, int b)
{
	size_t a_size, b_size;
	const char *a_text = json_number_text(L, a, &a_size), *b_text = json_number_text(L, b, &b_size);
	if (a_text && b_text)
		return a_size == b_size && memcmp(a_text, b_text, a_size) == 0;
	luaL_checkstack(L, 16, "nested");
	return lua_rawequal(L, a, b) || (lua_istable(L, a) && lua_istable(L, b) && same_table(a, b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_error error;
	struct buf first, second;
	if (L == NULL)
		open_state();
	if (!json_decode(L, (const char *)data, size, NULL, &error)) {
		check(lua_gettop(L) == 0 && error.message[0] && error.offset <= size, "refused", &error);
		return 0;
	}
	buf_init(&first, 0);
	buf_init(&second, 0);
	check(json_encode(L, 1, &first, &error), "encoding", &error);
	check(json_decode(L, first.data, first.size, NULL, &error), "decoding again", &error);
	check(same(1, 2), "another value", &error);
	/* The order of members is the tables' own, so only the same table must give the same text. */
	check(json_encode(L, 1, &second, &error), "encoding again", &error);
	check(first.size == second.size && memcmp(first.data, second.data, first.size) == 0, "another text",
	        &error);
	buf_clear(&second);
	check(json_encode(L, 2, &second, &error), "encoding what was decoded again", &error);
	check(first.size == second.size, "a longer text", &error);
	lua_settop(L, 0);
	buf_free(&first);
	buf_free(&second);
	return 0;
}
