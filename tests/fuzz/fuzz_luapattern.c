/* libFuzzer: the bounded patterns find what Lua's own find, or say that the pattern is too complex. */
#include "fuzz.h"
#include "luapattern.h"
#include "script_private.h"

#include <lualib.h>

enum { LONGEST = 20 }; /* Lua's own have no bound: what explodes must do so in bearable time */

/* Both functions with the same arguments; both fail, or both answer the same. */
static const char comparison[] =
        "local unpack, pcall, select, tostring, concat = unpack, pcall, select, tostring, table.concat\n"
        "local function pack(...) return {n = select('#', ...), ...} end\n"
        "local function show(t) local s = {} for i = 1, t.n do s[i] = tostring(t[i]) end return concat(s, "
        "'|') end\n"
        "local function all(f, s, p) local t = {n = 0} for a, b, c in f(s, p) do\n"
        "  t.n = t.n + 1 t[t.n] = show(pack(a, b, c)) if t.n > 100 then break end end return unpack(t, 1, "
        "t.n) end\n"
        "function compare(name, ...)\n"
        "  local f, g = string[name], ours[name]\n"
        "  if name == 'gmatch' then\n"
        "    local their, our = f, g\n"
        "    f = function(s, p) return all(their, s, p) end\n"
        "    g = function(s, p) return all(our, s, p) end\n"
        "  end\n"
        "  local our = pack(pcall(g, ...))\n"
        "  if not our[1] and tostring(our[2]):find('make it simpler', 1, true) then return end\n"
        "  local their = pack(pcall(f, ...))\n"
        "  if their[1] ~= our[1] or their[1] and show(their) ~= show(our) then\n"
        "    return show(their) .. ' but ' .. show(our)\n"
        "  end\n"
        "end\n";

static lua_State *both(void)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_newtable(L);
	sandbox_string(L);
	lua_setglobal(L, "ours");
	fuzz_require(luaL_dostring(L, comparison) == 0, "%s", lua_tostring(L, -1));
	return L;
}

static void agree(lua_State *L, const char *name, const char *text, size_t size, const char *pattern,
        size_t length, const char *third, size_t third_size)
{
	lua_getglobal(L, "compare");
	lua_pushstring(L, name);
	lua_pushlstring(L, text, size);
	lua_pushlstring(L, pattern, length);
	if (third)
		lua_pushlstring(L, third, third_size);
	fuzz_require(lua_pcall(L, third ? 4 : 3, 1, 0) == 0, "%s", lua_tostring(L, -1));
	fuzz_require(lua_isnil(L, -1), "%s('%.*s', '%.*s'): Lua says %s", name, (int)size, text, (int)length,
	        pattern, lua_tostring(L, -1));
	lua_pop(L, 1);
}

/* Pattern, replacement and text stand in lines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static lua_State *L;
	struct fuzz fuzz = {data, data + size};
	size_t pattern_size, by_size, text_size;
	const char *pattern = fuzz_until(&fuzz, '\n', &pattern_size), *by = fuzz_until(&fuzz, '\n', &by_size);
	const char *text = (const char *)fuzz.at;
	text_size = fuzz_left(&fuzz) < LONGEST ? fuzz_left(&fuzz) : LONGEST;
	/* Lua 5.1 ends a pattern at a NUL byte, and makes a NUL byte of a lone '%' at a replacement's end. */
	if (pattern_size > LONGEST || memchr(pattern, '\0', pattern_size) || by_size > LONGEST ||
	        (by_size && by[by_size - 1] == '%'))
		return -1;
	if (L == NULL)
		L = both();
	agree(L, "find", text, text_size, pattern, pattern_size, NULL, 0);
	agree(L, "match", text, text_size, pattern, pattern_size, NULL, 0);
	agree(L, "gmatch", text, text_size, pattern, pattern_size, NULL, 0);
	agree(L, "gsub", text, text_size, pattern, pattern_size, by, by_size);
	return 0;
}
