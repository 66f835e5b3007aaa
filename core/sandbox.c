/* The globals that a script sees: an allow-list, read-only, with a count of the ways from C into Lua.
 *
 * Left out on purpose: io, debug, ffi, jit, package, the rest of os, dofile, loadfile, string.dump (files,
 * native code, bytecode); xpcall and newproxy (code that runs where no hook reaches it); getfenv, setfenv,
 * module (the real globals); collectgarbage but "count" (somebody else's business). */
#include "clock.h"
#include "script_private.h"
#include "watchdog.h"

#include <lualib.h>
#include <string.h>

enum { LOAD_MAX = 128 << 10 };

static const char read_only_mark; /* its address marks the metatables of read-only views */

/* Frames are known by their address: every frame that is alive lies above the present one on the C stack, so
 * what errors left behind falls off by itself. */
unsigned nest_enter(lua_State *L)
{
	struct script *script = script_of(L);
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	while (script->nested && script->nest[script->nested - 1] <= frame)
		script->nested--;
	if (script->nested == NEST_MAX)
		luaL_error(L,
		        "more than %d functions, coroutines or modules call each other through the engine",
		        NEST_MAX);
	script->nest[script->nested] = frame;
	return script->nested++;
}

void nest_leave(lua_State *L, unsigned mark)
{
	script_of(L)->nested = mark;
}

/* Calls the library's own function, upvalue 1, which may call into Lua. */
static int counted(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	unsigned mark = nest_enter(L);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	nest_leave(L, mark);
	return lua_gettop(L);
}

/* upvalue 1: the name of the table */
static int refuse_write(lua_State *L)
{
	const char *name = lua_tostring(L, lua_upvalueindex(1));
	const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
	if (strcmp(name, "_G") == 0)
		return luaL_error(L, "'%s' is a global: scripts keep no globals, use `local %s`", key, key);
	return luaL_error(L, "'%s.%s' cannot be set: %s is read-only", name, key, name);
}

void sandbox_readonly(lua_State *L, const char *name)
{
	lua_newtable(L);
	lua_createtable(L, 0, 4);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushstring(L, name);
	lua_pushcclosure(L, refuse_write, 1);
	lua_setfield(L, -2, "__newindex");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pushlightuserdata(L, (void *)&read_only_mark);
	lua_pushboolean(L, true);
	lua_rawset(L, -3);
	lua_setmetatable(L, -2);
	lua_replace(L, -2);
}

/* Leaves the metatable of a read-only view on the stack, or nothing. */
static bool read_only(lua_State *L, int index)
{
	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return false;
	lua_pushlightuserdata(L, (void *)&read_only_mark);
	lua_rawget(L, -2);
	bool marked = lua_toboolean(L, -1);
	lua_pop(L, marked ? 1 : 2);
	return marked;
}

static int safe_rawset(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkany(L, 3);
	if (read_only(L, 1))
		return luaL_error(L, "rawset: this table is read-only");
	lua_settop(L, 3);
	lua_rawset(L, 1);
	return 1;
}

/* `next` is upvalue 1. A view is walked as a copy of what is behind it. */
static int safe_pairs(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	if (read_only(L, 1)) {
		lua_getfield(L, 2, "__index");
		lua_newtable(L);
		for (lua_pushnil(L); lua_next(L, 3);) {
			lua_pushvalue(L, -2);
			lua_insert(L, -2);
			lua_rawset(L, 4);
		}
		lua_replace(L, 1);
		lua_settop(L, 1);
	}
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_pushnil(L);
	return 3;
}

static int count_garbage(lua_State *L)
{
	static const char *const options[] = {"count", NULL};
	luaL_checkoption(L, 1, "collect", options);
	lua_pushnumber(L, (lua_Number)script_of(L)->heap.used / 1024);
	return 1;
}

/* No hook interrupts the parser, and a chain of `and`s takes time by the square of its length. */
static void check_text(lua_State *L, size_t size)
{
	if (size > LOAD_MAX)
		luaL_error(L, "load: the text is larger than %d bytes", LOAD_MAX);
}

/* Pieces from a reader function, joined on the stack. */
static void read_pieces(lua_State *L)
{
	luaL_Buffer text;
	luaL_buffinit(L, &text);
	for (;;) {
		lua_pushvalue(L, 1);
		unsigned mark = nest_enter(L);
		lua_call(L, 0, 1);
		nest_leave(L, mark);
		if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TSTRING && lua_objlen(L, -1) == 0))
			break;
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "load: the reader function must return strings");
		luaL_addvalue(&text);
	}
	lua_pop(L, 1);
	luaL_pushresult(&text);
	lua_replace(L, 1);
}

/* load(text or function, name, mode, environment): mode is always "t". */
static int safe_load(lua_State *L)
{
	lua_settop(L, 4);
	const char *name = luaL_optstring(L, 2, NULL);
	if (lua_isfunction(L, 1))
		read_pieces(L);
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	check_text(L, size);
	if (luaL_loadbufferx(L, text, size, name ? name : "=(load)", "t") != 0) {
		lua_pushnil(L);
		lua_insert(L, -2);
		return 2;
	}
	bool own = lua_istable(L, lua_gettop(L) - 1);
	lua_pushvalue(L, own ? -2 : LUA_GLOBALSINDEX);
	lua_setfenv(L, -2);
	return 1;
}

static bool hook_runs_in(lua_State *L)
{
	const struct run *run = script_of(L)->run;
	return run && run->coroutine == L;
}

/* Resumes co with `count` values from the top of L: how many it gave back (on L's top), or -1 and the error.
 */
static int resume(lua_State *L, lua_State *co, int count)
{
	bool failed = lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD;
	if (failed || (lua_status(co) == LUA_OK && lua_gettop(co) == 0)) {
		lua_pushliteral(L, "cannot resume dead coroutine");
		return -1;
	}
	if (!lua_checkstack(co, count))
		luaL_error(L, "too many arguments to resume");
	lua_xmove(L, co, count);
	unsigned mark = nest_enter(L);
	script_of(L)->running = co;
	int status = lua_resume(co, count);
	script_of(L)->running = L;
	nest_leave(L, mark);
	if (status != LUA_OK && status != LUA_YIELD) {
		lua_xmove(co, L, 1);
		return -1;
	}
	int results = lua_gettop(co);
	if (!lua_checkstack(L, results + 1))
		luaL_error(L, "too many results to resume");
	lua_xmove(co, L, results);
	return results;
}

static int coroutine_resume(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1);
	luaL_argcheck(L, co, 1, "coroutine expected");
	int results = resume(L, co, lua_gettop(L) - 1);
	lua_pushboolean(L, results >= 0);
	lua_insert(L, results >= 0 ? -results - 1 : -2);
	return results >= 0 ? results + 1 : 2;
}

static int coroutine_wrapped(lua_State *L)
{
	int results = resume(L, lua_tothread(L, lua_upvalueindex(1)), lua_gettop(L));
	return results >= 0 ? results : lua_error(L);
}

static int coroutine_create(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_State *co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	return 1;
}

static int coroutine_wrap(lua_State *L)
{
	coroutine_create(L);
	lua_pushcclosure(L, coroutine_wrapped, 1);
	return 1;
}

static int coroutine_yield(lua_State *L)
{
	if (hook_runs_in(L))
		return luaL_error(L, "attempt to yield outside a coroutine");
	return lua_yield(L, lua_gettop(L));
}

/* The coroutine that transform itself runs in is nobody's to resume. */
static int coroutine_running(lua_State *L)
{
	if (hook_runs_in(L) || lua_pushthread(L))
		lua_pushnil(L);
	return 1;
}

/* A heap sort: bounded even where the order contradicts itself. */
static bool sorts_before(lua_State *L, bool by_function, int a, int b)
{
	if (!by_function)
		return lua_lessthan(L, a, b);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, a < 0 ? a - 1 : a);
	lua_pushvalue(L, b < 0 ? b - 2 : b);
	lua_call(L, 2, 1);
	bool before = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return before;
}

/* Stack: 3 = what sinks; moves it down from `root` to its place among the first `count`. */
static void sift(lua_State *L, bool by_function, int root, int count)
{
	for (int child; (child = 2 * root) <= count; root = child) {
		lua_rawgeti(L, 1, child);
		if (child < count) {
			lua_rawgeti(L, 1, child + 1);
			bool right = sorts_before(L, by_function, -2, -1);
			lua_remove(L, right ? -2 : -1);
			child += right;
		}
		if (!sorts_before(L, by_function, 3, -1)) {
			lua_pop(L, 1);
			break;
		}
		lua_rawseti(L, 1, root);
	}
	lua_pushvalue(L, 3);
	lua_rawseti(L, 1, root);
	if (*watchdog_flag())
		luaL_error(L, "out of CPU time");
}

static int table_sort(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	bool by_function = !lua_isnil(L, 2);
	if (by_function)
		luaL_checktype(L, 2, LUA_TFUNCTION);
	size_t size = lua_objlen(L, 1);
	luaL_argcheck(L, size < INT32_MAX / 2, 1, "too many elements to sort");
	int count = (int)size;
	unsigned mark = nest_enter(L);
	for (int root = count / 2; root >= 1; root--) {
		lua_rawgeti(L, 1, root);
		sift(L, by_function, root, count);
		lua_settop(L, 2);
	}
	for (int last = count; last > 1; last--) {
		lua_rawgeti(L, 1, last);
		lua_rawgeti(L, 1, 1);
		lua_rawseti(L, 1, last);
		sift(L, by_function, 1, last - 1);
		lua_settop(L, 2);
	}
	nest_leave(L, mark);
	return 0;
}

/* Copies names (ended by NULL) from the table at `from` to the one on top. */
static void copy(lua_State *L, int from, const char *const *names)
{
	for (; *names; names++) {
		lua_getfield(L, from, *names);
		lua_setfield(L, -2, *names);
	}
}

static void count_calls(lua_State *L, int from, const char *name)
{
	lua_getfield(L, from, name);
	lua_pushcclosure(L, counted, 1);
	lua_setfield(L, -2, name);
}

static void set(lua_State *L, const char *name, lua_CFunction function)
{
	lua_pushcfunction(L, function);
	lua_setfield(L, -2, name);
}

/* Strings find their methods here, whatever a script does to its own `string`. */
static void lock_strings(lua_State *L)
{
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
}

static void open_string(lua_State *L, int real)
{
	static const char *const names[] = {"byte", "len", "rep", NULL};
	lua_getfield(L, real, "string");
	lua_newtable(L);
	copy(L, lua_gettop(L) - 1, names);
	count_calls(L, lua_gettop(L) - 1, "format"); /* %s calls __tostring */
	sandbox_string(L);
	lua_replace(L, -2);
	lock_strings(L);
	sandbox_readonly(L, "string");
}

/* table.insert, upvalue 1: it moves by one whatever lies behind a place, from as far as -2^31. */
static int table_insert(lua_State *L)
{
	int count = lua_gettop(L);
	luaL_checktype(L, 1, LUA_TTABLE);
	if (count == 2) {
		lua_rawseti(L, 1, (int)lua_objlen(L, 1) + 1);
		return 0;
	}
	if (count > 2) {
		lua_Number place = luaL_checknumber(L, 2);
		luaL_argcheck(L, place >= 1 && place <= INT32_MAX, 2, "a place from 1 expected");
	}
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, count, 0);
	return 0;
}

static void open_table(lua_State *L, int real)
{
	static const char *const names[] = {"concat", "maxn", "remove", NULL};
	lua_getfield(L, real, "table");
	lua_newtable(L);
	copy(L, lua_gettop(L) - 1, names);
	lua_getfield(L, -2, "insert");
	lua_pushcclosure(L, table_insert, 1);
	lua_setfield(L, -2, "insert");
	set(L, "sort", table_sort);
	lua_replace(L, -2);
	sandbox_readonly(L, "table");
}

/* os.time and os.date: the present is the engine's, which tests of scripts invent. */
static void push_present(lua_State *L)
{
	int64_t seconds = clock_wall() / 1000;
	lua_pushnumber(L, (lua_Number)seconds);
}

static int os_time(lua_State *L)
{
	if (!lua_isnoneornil(L, 1))
		return counted(L);
	push_present(L);
	return 1;
}

static int os_date(lua_State *L)
{
	lua_settop(L, 2);
	if (lua_isnil(L, 1)) {
		lua_pushliteral(L, "%c");
		lua_replace(L, 1);
	}
	if (lua_isnil(L, 2)) {
		push_present(L);
		lua_replace(L, 2);
	}
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 2, 1);
	return 1;
}

static void open_os(lua_State *L, int real)
{
	static const char *const names[] = {"clock", NULL};
	lua_getfield(L, real, "os");
	lua_newtable(L);
	copy(L, lua_gettop(L) - 1, names);
	lua_getfield(L, -2, "time"); /* counted: it reads its table with metamethods */
	lua_pushcclosure(L, os_time, 1);
	lua_setfield(L, -2, "time");
	lua_getfield(L, -2, "date");
	lua_pushcclosure(L, os_date, 1);
	lua_setfield(L, -2, "date");
	lua_replace(L, -2);
	sandbox_readonly(L, "os");
}

static void open_coroutine(lua_State *L, int real)
{
	lua_getfield(L, real, "coroutine");
	lua_newtable(L);
	lua_getfield(L, -2, "status");
	lua_setfield(L, -2, "status");
	set(L, "create", coroutine_create);
	set(L, "resume", coroutine_resume);
	set(L, "running", coroutine_running);
	set(L, "wrap", coroutine_wrap);
	set(L, "yield", coroutine_yield);
	lua_replace(L, -2);
	sandbox_readonly(L, "coroutine");
}

/* A whole library, behind a read-only view. */
static void open_whole(lua_State *L, int real, const char *name)
{
	lua_getfield(L, real, name);
	sandbox_readonly(L, name);
}

static void open_base(lua_State *L, int real)
{
	static const char *const names[] = {"_VERSION", "assert", "error", "getmetatable", "ipairs", "next",
	        "pcall", "rawequal", "rawget", "select", "setmetatable", "tonumber", "type", "unpack", NULL};
	copy(L, real, names);
	lua_getfield(L, real, "next");
	lua_pushcclosure(L, safe_pairs, 1);
	lua_setfield(L, -2, "pairs");
	set(L, "rawset", safe_rawset);
	set(L, "tostring", sandbox_tostring);
	set(L, "collectgarbage", count_garbage);
	set(L, "load", safe_load);
	set(L, "loadstring", safe_load);
	set(L, "print", scriptlib_print);
	set(L, "require", require_module);
}

static void open_library(lua_State *L, lua_CFunction open, const char *name)
{
	lua_pushcfunction(L, open);
	lua_pushstring(L, name);
	lua_call(L, 1, 0);
}

/* The registry forgets the real libraries, but holds ffi: a literal like 1LL loads it where it is not, and
 * then the engine uses what a collection has freed, or what a lack of memory has left half made. No script
 * reaches the registry. https://github.com/LuaJIT/LuaJIT/issues/1168, which Debian 12's LuaJIT has. */
static void hide_libraries(lua_State *L)
{
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, "_LOADED");
	open_library(L, luaopen_ffi, LUA_FFILIBNAME);
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, LUA_FFILIBNAME);
	if (lua_isnil(L, -1))
		luaL_error(L, "the engine keeps ffi elsewhere");
	lua_pop(L, 2);
}

void sandbox_open(lua_State *L)
{
	static void (*const parts[])(lua_State *, int) = {open_string, open_table, open_os, open_coroutine};
	static const char *const part_names[] = {"string", "table", "os", "coroutine"};
	open_library(L, luaopen_base, "");
	open_library(L, luaopen_string, LUA_STRLIBNAME);
	open_library(L, luaopen_table, LUA_TABLIBNAME);
	open_library(L, luaopen_math, LUA_MATHLIBNAME);
	open_library(L, luaopen_bit, LUA_BITLIBNAME);
	open_library(L, luaopen_os, LUA_OSLIBNAME);
	lua_pushvalue(L, LUA_GLOBALSINDEX);
	int real = lua_gettop(L);
	lua_newtable(L);
	open_base(L, real);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		parts[i](L, real);
		lua_setfield(L, -2, part_names[i]);
	}
	open_whole(L, real, "math");
	lua_setfield(L, -2, "math");
	open_whole(L, real, "bit");
	lua_setfield(L, -2, "bit");
	lua_pushvalue(L, -1);
	sandbox_readonly(L, "_G");
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "_G");
	lua_replace(L, LUA_GLOBALSINDEX);
	lua_settop(L, real - 1);
	hide_libraries(L);
}
