/* lua-cjson for scripts: an instance that takes no nonsense, and encodes nothing that it could not bear.
 *
 * Its encoder is C code that no hook interrupts, keeps its text outside of Lua's heap, counts in ints and
 * ends the process where those do not suffice. So a value is weighed first: a table that stands in many
 * places, or one that is large in memory and empty, costs what it will cost the encoder, and here it can be
 * stopped. */
#include "script_private.h"
#include "watchdog.h"

enum { WEIGHT_MAX = 256 << 20, SCALAR_BYTES = 32, CJSON_DEPTH = 128 };

int luaopen_cjson(lua_State *L);

static void take(lua_State *L, size_t *left, size_t size)
{
	if (size > *left)
		luaL_error(L, "cjson.encode: the text would be too large for script.memory");
	*left -= size;
}

/* The most bytes that the value at `index` may become: six for each of a string. */
static void weigh(lua_State *L, int index, size_t *left, int depth)
{
	int type = lua_type(L, index);
	if (type == LUA_TSTRING)
		take(L, left, 6 * lua_objlen(L, index) + 4);
	else
		take(L, left, SCALAR_BYTES);
	if (type != LUA_TTABLE || depth > CJSON_DEPTH)
		return;
	if (*watchdog_flag())
		luaL_error(L, "out of CPU time");
	luaL_checkstack(L, 4, "cjson.encode: nested too deeply");
	int table = index < 0 ? lua_gettop(L) + index + 1 : index;
	for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
		weigh(L, -2, left, depth);
		weigh(L, -1, left, depth + 1);
	}
}

/* The library's encode is upvalue 1. An error of memory inside of it would lose its text, so there is none.
 */
static int encode(lua_State *L)
{
	struct script *script = script_of(L);
	size_t left = script->heap.limit < WEIGHT_MAX ? script->heap.limit : WEIGHT_MAX;
	luaL_checkany(L, 1);
	lua_settop(L, 1);
	weigh(L, 1, &left, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	bool armed = script->heap.armed;
	script->heap.armed = false;
	int status = lua_pcall(L, 1, 1, 0);
	script->heap.armed = armed;
	return status == 0 ? 1 : lua_error(L);
}

static void set_option(lua_State *L, const char *setter, int value)
{
	lua_getfield(L, -1, setter);
	if (value < 0)
		lua_pushboolean(L, false);
	else
		lua_pushinteger(L, value);
	lua_call(L, 1, 0);
}

/* Without the functions that would change the settings. */
void cjson_push(lua_State *L)
{
	static const char *const kept[] = {"decode", "null", "_NAME", "_VERSION"};
	lua_pushcfunction(L, luaopen_cjson);
	lua_call(L, 0, 1);
	lua_getfield(L, -1, "new");
	lua_call(L, 0, 1);
	set_option(L, "decode_invalid_numbers", -1);
	set_option(L, "encode_invalid_numbers", -1);
	set_option(L, "encode_keep_buffer", -1);
	set_option(L, "decode_max_depth", CJSON_DEPTH);
	set_option(L, "encode_max_depth", CJSON_DEPTH);
	lua_newtable(L);
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		lua_getfield(L, -2, kept[i]);
		lua_setfield(L, -2, kept[i]);
	}
	lua_getfield(L, -2, "encode");
	lua_pushcclosure(L, encode, 1);
	lua_setfield(L, -2, "encode");
	sandbox_readonly(L, "cjson");
}
