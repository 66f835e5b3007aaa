/* What a Lua state keeps for the JSON codec, and the library that scripts see. */
#include "json_private.h"

#include <lauxlib.h>

#define SCRATCH_SIZE (16 * 1024)
#define MAX_TEXT ((size_t)64 * 1024 * 1024)

struct library_limits {
	struct json_limits document;
	size_t max_text;
};

/* ---- anchors ---- */

static char anchors_key; /* its address is their key in the registry */

static void push_anchor_table(lua_State *L)
{
	lua_pushlightuserdata(L, &anchors_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
}

int json_push_anchors(lua_State *L, int count)
{
	push_anchor_table(L);
	int first = lua_gettop(L);
	for (int i = 0; i < count; i++)
		lua_rawgeti(L, first, i + 1);
	lua_remove(L, first);
	return first;
}

void json_set_anchor(lua_State *L, enum json_anchor which)
{
	push_anchor_table(L);
	lua_insert(L, -2);
	lua_rawseti(L, -2, which + 1);
	lua_pop(L, 1);
}

static void push_anchor(lua_State *L, enum json_anchor which)
{
	push_anchor_table(L);
	lua_rawgeti(L, -1, which + 1);
	lua_remove(L, -2);
}

/* ---- arrays ---- */

bool json_is_array(lua_State *L, int index)
{
	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return false;
	push_anchor(L, JSON_ANCHOR_ARRAY);
	bool same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
}

void json_tag_array(lua_State *L, int index)
{
	lua_pushvalue(L, index);
	push_anchor(L, JSON_ANCHOR_ARRAY);
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

/* ---- millrace.number ---- */

void json_push_number(lua_State *L, const char *text, size_t size, int metatable)
{
	memcpy(lua_newuserdata(L, size), text, size);
	lua_pushvalue(L, metatable);
	lua_setmetatable(L, -2);
}

const char *json_number_of(lua_State *L, int index, const void *metatable, size_t *size)
{
	const char *text = lua_touserdata(L, index);
	if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
		return NULL;
	bool same = lua_topointer(L, -1) == metatable;
	lua_pop(L, 1);
	*size = lua_objlen(L, index);
	return same ? text : NULL;
}

const char *json_number_text(lua_State *L, int index, size_t *size)
{
	push_anchor(L, JSON_ANCHOR_NUMBER);
	const void *metatable = lua_topointer(L, -1);
	lua_pop(L, 1);
	return json_number_of(L, index, metatable, size);
}

static const char *check_number(lua_State *L, int index, size_t *size)
{
	const char *text = json_number_text(L, index, size);
	if (text == NULL)
		luaL_error(L, "attempt to compare a millrace.number with a %s: only two of them compare",
		        luaL_typename(L, index));
	return text;
}

static int number_order(lua_State *L)
{
	size_t a_size, b_size;
	const char *a = check_number(L, 1, &a_size), *b = check_number(L, 2, &b_size);
	return json_number_compare(a, a_size, b, b_size);
}

static int number_eq(lua_State *L)
{
	lua_pushboolean(L, number_order(L) == 0);
	return 1;
}

static int number_lt(lua_State *L)
{
	lua_pushboolean(L, number_order(L) < 0);
	return 1;
}

static int number_le(lua_State *L)
{
	lua_pushboolean(L, number_order(L) <= 0);
	return 1;
}

static int number_tostring(lua_State *L)
{
	size_t size;
	const char *text = check_number(L, 1, &size);
	lua_pushlstring(L, text, size);
	return 1;
}

static int number_concat(lua_State *L)
{
	lua_settop(L, 2);
	for (int i = 1; i <= 2; i++) {
		size_t size;
		const char *text = json_number_text(L, i, &size);
		if (text)
			lua_pushlstring(L, text, size);
		else if (lua_isstring(L, i))
			lua_pushvalue(L, i);
		else
			return luaL_error(L, "attempt to concatenate a %s value", luaL_typename(L, i));
	}
	lua_concat(L, 2);
	return 1;
}

/* ---- the library ---- */

static void push_limits(lua_State *L, struct library_limits *limits)
{
	push_anchor(L, JSON_ANCHOR_LIBRARY);
	*limits = *(const struct library_limits *)lua_touserdata(L, -1);
	lua_pop(L, 1);
}

static int library_decode(lua_State *L)
{
	struct library_limits limits;
	struct json_error error;
	size_t size;
	luaL_checktype(L, 1, LUA_TSTRING);
	const char *text = lua_tolstring(L, 1, &size);
	push_limits(L, &limits);
	if (size > limits.max_text)
		return luaL_error(
		        L, "json.decode: the text is larger than %f bytes", (lua_Number)limits.max_text);
	if (!json_decode(L, text, size, &limits.document, &error))
		return luaL_error(L, "json.decode: %s at offset %f", error.message, (lua_Number)error.offset);
	return 1;
}

/* Answers the text, or nil and what is wrong. Runs under lua_pcall, so that the buffer is always freed. */
static int encode_protected(lua_State *L)
{
	struct buf *out = lua_touserdata(L, 1);
	struct json_error error;
	if (json_encode(L, 2, out, &error)) {
		lua_pushlstring(L, out->data, out->size);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, error.message);
	return 2;
}

static int library_encode(lua_State *L)
{
	struct library_limits limits;
	luaL_checkany(L, 1);
	lua_settop(L, 1);
	push_limits(L, &limits);
	lua_pushcfunction(L, encode_protected);
	struct buf out;
	buf_init(&out, limits.max_text);
	lua_pushlightuserdata(L, &out);
	lua_pushvalue(L, 1);
	int status = lua_pcall(L, 2, 2, 0);
	buf_free(&out);
	if (status)
		return lua_error(L);
	if (lua_isnil(L, -2))
		return luaL_error(L, "json.encode: %s", lua_tostring(L, -1));
	lua_pop(L, 1);
	return 1;
}

static int library_array(lua_State *L)
{
	lua_settop(L, 1);
	if (lua_isnil(L, 1)) {
		lua_newtable(L);
		lua_replace(L, 1);
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	if (lua_getmetatable(L, 1) && !json_is_array(L, 1))
		return luaL_error(L, "json.array: the table has a metatable already");
	json_tag_array(L, 1);
	lua_settop(L, 1);
	return 1;
}

static int library_is_array(lua_State *L)
{
	luaL_checkany(L, 1);
	bool array = json_is_array(L, 1);
	if (!array && lua_istable(L, 1)) {
		lua_rawgeti(L, 1, 1);
		array = !lua_isnil(L, -1);
	}
	lua_pushboolean(L, array);
	return 1;
}

static int library_number(lua_State *L)
{
	struct json_number number;
	char printed[JSON_NUMBER_TEXT];
	size_t size;
	luaL_checktype(L, 1, LUA_TSTRING);
	const char *text = lua_tolstring(L, 1, &size);
	const unsigned char *at = (const unsigned char *)text;
	const char *problem = json_number_scan(at, at + size, &number);
	if (problem || number.size != size)
		return luaL_error(L, "json.number: %s", problem ? problem : "something follows the number");
	if (json_print_number(number.value, printed) == size && memcmp(printed, text, size) == 0) {
		lua_pushnumber(L, number.value);
		return 1;
	}
	push_anchor(L, JSON_ANCHOR_NUMBER);
	json_push_number(L, text, size, lua_gettop(L));
	return 1;
}

void json_library(lua_State *L)
{
	static const luaL_Reg functions[] = {{"decode", library_decode}, {"encode", library_encode},
	        {"array", library_array}, {"is_array", library_is_array}, {"number", library_number},
	        {NULL, NULL}};
	lua_newtable(L);
	luaL_setfuncs(L, functions, 0);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
}

void json_library_limits(lua_State *L, const struct json_limits *limits, size_t max_text)
{
	struct library_limits *set = lua_newuserdata(L, sizeof *set);
	*set = (struct library_limits){.max_text = max_text ? max_text : MAX_TEXT};
	if (limits)
		set->document = *limits;
	json_set_anchor(L, JSON_ANCHOR_LIBRARY);
}

/* ---- opening ---- */

/* A metatable that scripts can neither read nor replace: getmetatable answers false. */
static void push_locked_metatable(lua_State *L, const luaL_Reg *functions)
{
	lua_newtable(L);
	luaL_setfuncs(L, functions, 0);
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
}

void json_open(lua_State *L)
{
	static const luaL_Reg array[] = {{NULL, NULL}};
	static const luaL_Reg number[] = {{"__eq", number_eq}, {"__lt", number_lt}, {"__le", number_le},
	        {"__tostring", number_tostring}, {"__concat", number_concat}, {NULL, NULL}};
	lua_pushlightuserdata(L, &anchors_key);
	lua_createtable(L, JSON_ANCHORS, 0);
	lua_rawset(L, LUA_REGISTRYINDEX);
	push_locked_metatable(L, array);
	json_set_anchor(L, JSON_ANCHOR_ARRAY);
	push_locked_metatable(L, number);
	json_set_anchor(L, JSON_ANCHOR_NUMBER);
	lua_pushboolean(L, false);
	json_set_anchor(L, JSON_ANCHOR_NOTES);
	lua_newuserdata(L, SCRATCH_SIZE);
	json_set_anchor(L, JSON_ANCHOR_SCRATCH);
	json_library_limits(L, NULL, 0);
}
