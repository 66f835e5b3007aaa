/* What the tests of the JSON codec share: a state, short words for what they do with it, and chance. */
#ifndef MILLRACE_JSON_FIXTURE_H
#define MILLRACE_JSON_FIXTURE_H

#include "buf.h"
#include "json.h"
#include "json_private.h"
#include "mem.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Every object in a block of its own, so that a sanitizer sees reads and writes beyond it. */
static inline void *allocate_block(void *context, void *old, size_t old_size, size_t size)
{
	(void)context;
	(void)old_size;
	if (size)
		return realloc(old, size);
	free(old);
	return NULL;
}

static inline int setup(void **state)
{
	lua_State *L = lua_newstate(allocate_block, NULL);
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	luaL_openlibs(L);
	json_open(L);
	json_library(L);
	lua_setglobal(L, "json");
	*state = L;
	return 0;
}

static inline int teardown(void **state)
{
	assert_int_equal(lua_gettop(*state), 0);
	lua_close(*state);
	return 0;
}

static inline void decode_bytes(lua_State *L, const char *data, size_t size)
{
	struct json_error error;
	if (!json_decode(L, data, size, NULL, &error))
		fail_msg("%.*s: %s at %zu", (int)size, data, error.message, error.offset);
}

/* The text of the value on top, which goes; valid until the next call. */
static inline const char *encode_top(lua_State *L)
{
	static char text[1 << 18];
	struct json_error error;
	struct buf out;
	buf_init(&out, 0);
	if (!json_encode(L, -1, &out, &error))
		fail_msg("%s", error.message);
	assert_true(out.size < sizeof text);
	memcpy(text, out.data, out.size + 1);
	buf_free(&out);
	lua_pop(L, 1);
	return text;
}

static inline const char *through(lua_State *L, const char *text)
{
	decode_bytes(L, text, strlen(text));
	return encode_top(L);
}

static inline void keeps(lua_State *L, const char *text)
{
	assert_string_equal(through(L, text), text);
}

static inline void refuses_bytes(lua_State *L, const char *data, size_t size, const char *why, size_t offset)
{
	struct json_error error = {.offset = SIZE_MAX};
	int top = lua_gettop(L);
	if (json_decode(L, data, size, NULL, &error))
		fail_msg("accepted: %.*s", (int)size, data);
	assert_int_equal(lua_gettop(L), top);
	if (strstr(error.message, why) == NULL || error.offset != offset)
		fail_msg("%.*s: %s at %zu, not %s at %zu", (int)size, data, error.message, error.offset, why,
		        offset);
}

static inline void refuses(lua_State *L, const char *text, const char *why, size_t offset)
{
	refuses_bytes(L, text, strlen(text), why, offset);
}

/* Runs a chunk that answers one value, which stays on top. */
static inline void lua(lua_State *L, const char *chunk)
{
	int top = lua_gettop(L);
	if (luaL_dostring(L, chunk))
		fail_msg("%s", lua_tostring(L, -1));
	lua_settop(L, top + 1);
}

static inline void lua_gives(lua_State *L, const char *chunk, const char *text)
{
	lua(L, chunk);
	assert_string_equal(encode_top(L), text);
}

/* A chunk whose value has no JSON form. */
static inline void unencodable(lua_State *L, const char *chunk, const char *message)
{
	struct json_error error;
	struct buf out;
	buf_init(&out, 0);
	lua(L, chunk);
	assert_false(json_encode(L, -1, &out, &error));
	assert_string_equal(error.message, message);
	lua_pop(L, 1);
	buf_free(&out);
}

static inline void lua_fails(lua_State *L, const char *chunk, const char *why)
{
	assert_int_not_equal(luaL_dostring(L, chunk), 0);
	if (strstr(lua_tostring(L, -1), why) == NULL)
		fail_msg("%s: %s", chunk, lua_tostring(L, -1));
	lua_pop(L, 1);
}

/* ---- chance, repeatable by MILLRACE_SEED ---- */

static uint64_t chance_state;

static inline void chance_begin(const char *what)
{
	const char *seed = getenv("MILLRACE_SEED");
	chance_state = seed ? strtoull(seed, NULL, 10) : 20240301;
	print_message("%s: MILLRACE_SEED=%llu\n", what, (unsigned long long)chance_state);
}

static inline uint64_t chance(void)
{
	uint64_t z = chance_state += 0x9E3779B97F4A7C15;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
	z = (z ^ z >> 27) * 0x94D049BB133111EB;
	return z ^ z >> 31;
}

static inline unsigned below(unsigned bound)
{
	return (unsigned)(chance() % bound);
}

/* The code point in UTF-8, with a NUL behind it: how many bytes. */
static inline size_t utf8(char *to, unsigned code)
{
	if (code < 0x80)
		return (size_t)snprintf(to, 5, "%c", (int)code);
	if (code < 0x800)
		return (size_t)snprintf(to, 5, "%c%c", 0xC0 | code >> 6, 0x80 | (code & 63));
	if (code < 0x10000)
		return (size_t)snprintf(
		        to, 5, "%c%c%c", 0xE0 | code >> 12, 0x80 | (code >> 6 & 63), 0x80 | (code & 63));
	return (size_t)snprintf(to, 5, "%c%c%c%c", 0xF0 | code >> 18, 0x80 | (code >> 12 & 63),
	        0x80 | (code >> 6 & 63), 0x80 | (code & 63));
}

#endif
