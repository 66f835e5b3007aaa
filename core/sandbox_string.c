/* string.find, match, gmatch and gsub on patterns that cannot run for ever (luapattern.h); char, lower,
 * reverse, sub, upper and tostring in C.
 *
 * LuaJIT has the latter as fast functions, in assembler. One of those that is refused memory leaves the top
 * of its stack where some earlier call had it: the error's text overwrites what stands there, frames
 * included, and the next collection walks into the weeds. A C function's stack is always true. */
#include "luapattern.h"
#include "script_private.h"
#include "watchdog.h"

#include <stdio.h>
#include <string.h>

/* A result that grows: small ones on the C stack, larger ones in a userdata, so that they count as Lua's. */
struct grow {
	lua_State *L;
	char *data;
	size_t size, room;
	int slot; /* stack index of the userdata */
	char small[512];
};

static void grow_open(struct grow *grow, lua_State *L)
{
	lua_pushnil(L);
	*grow = (struct grow){.L = L, .room = sizeof grow->small, .slot = lua_gettop(L)};
	grow->data = grow->small;
}

static void grow_add(struct grow *grow, const char *data, size_t size)
{
	if (size > grow->room - grow->size) {
		size_t room = grow->room * 2;
		while (size > room - grow->size)
			room *= 2;
		char *more = lua_newuserdata(grow->L, room);
		memcpy(more, grow->data, grow->size);
		lua_replace(grow->L, grow->slot);
		grow->data = more;
		grow->room = room;
	}
	if (size)
		memcpy(grow->data + grow->size, data, size);
	grow->size += size;
}

static void prepare(struct pattern *match, const char *text, size_t size, const char *pattern_end)
{
	*match = (struct pattern){.text = text,
	        .text_end = text + size,
	        .pattern_end = pattern_end,
	        .stop = watchdog_flag(),
	        .steps = pattern_steps(size)};
}

static void refuse(lua_State *L, const struct pattern *match, const char *pattern)
{
	char message[256];
	if (match->error != PATTERN_TOO_COMPLEX)
		luaL_error(L, "%s", match->error);
	snprintf(message, sizeof message, "%s (\"%.80s\" on %zu bytes): make it simpler, or anchor it",
	        match->error, pattern, (size_t)(match->text_end - match->text));
	luaL_error(L, "%s", message);
}

static const char *match_at(lua_State *L, struct pattern *match, const char *at, const char *pattern)
{
	const char *end = pattern_match(match, at, pattern);
	if (end == NULL && match->error)
		refuse(L, match, pattern);
	return end;
}

/* Pushes capture i; without any captures the first one is the whole match. */
static void push_capture(
        lua_State *L, const struct pattern *match, unsigned i, const char *at, const char *end)
{
	if (i >= match->level) {
		if (i != 0)
			luaL_error(L, "invalid capture index");
		lua_pushlstring(L, at, (size_t)(end - at));
		return;
	}
	const struct pattern_capture *capture = &match->captures[i];
	if (capture->size == CAPTURE_POSITION)
		lua_pushnumber(L, (lua_Number)(capture->start - match->text + 1));
	else if (capture->size < 0)
		luaL_error(L, "unfinished capture");
	else
		lua_pushlstring(L, capture->start, (size_t)capture->size);
}

static int push_captures(lua_State *L, const struct pattern *match, const char *at, const char *end)
{
	unsigned count = match->level == 0 && at ? 1 : match->level;
	luaL_checkstack(L, (int)count, "too many captures");
	for (unsigned i = 0; i < count; i++)
		push_capture(L, match, i, at, end);
	return (int)count;
}

/* Where a search begins: the optional argument counts from 1, or from the end when negative. */
static size_t search_start(lua_State *L, int index, size_t size)
{
	ptrdiff_t start = luaL_optinteger(L, index, 1);
	if (start < 0)
		start += (ptrdiff_t)size + 1;
	if (start < 1)
		start = 1;
	return (size_t)(start - 1) > size ? size : (size_t)(start - 1);
}

static int find_plain(
        lua_State *L, const char *text, size_t size, size_t start, const char *word, size_t length)
{
	const char *found = length ? memmem(text + start, size - start, word, length) : text + start;
	if (found == NULL) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushnumber(L, (lua_Number)(found - text + 1));
	lua_pushnumber(L, (lua_Number)(found - text) + (lua_Number)length);
	return 2;
}

static int search(lua_State *L, bool find)
{
	size_t size, length;
	const char *text = luaL_checklstring(L, 1, &size);
	const char *pattern = luaL_checklstring(L, 2, &length);
	size_t start = search_start(L, 3, size);
	if (find && (lua_toboolean(L, 4) || pattern_is_plain(pattern, length)))
		return find_plain(L, text, size, start, pattern, length);
	struct pattern match;
	prepare(&match, text, size, pattern + length);
	bool anchored = length && *pattern == '^';
	const char *at = text + start;
	do {
		const char *end = match_at(L, &match, at, pattern + anchored);
		if (end == NULL)
			continue;
		if (!find)
			return push_captures(L, &match, at, end);
		lua_pushnumber(L, (lua_Number)(at - text + 1));
		lua_pushnumber(L, (lua_Number)(end - text));
		return 2 + push_captures(L, &match, NULL, NULL);
	} while (at++ < match.text_end && !anchored);
	lua_pushnil(L);
	return 1;
}

static int string_find(lua_State *L)
{
	return search(L, true);
}

static int string_match(lua_State *L)
{
	return search(L, false);
}

/* upvalues: text, pattern, offset where the next search begins */
static int next_match(lua_State *L)
{
	size_t size, length;
	const char *text = lua_tolstring(L, lua_upvalueindex(1), &size);
	const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &length);
	struct pattern match;
	prepare(&match, text, size, pattern + length);
	for (const char *at = text + (size_t)lua_tonumber(L, lua_upvalueindex(3)); at <= match.text_end;
	        at++) {
		const char *end = match_at(L, &match, at, pattern);
		if (end == NULL)
			continue;
		lua_pushnumber(L, (lua_Number)((end == at ? end + 1 : end) - text));
		lua_replace(L, lua_upvalueindex(3));
		return push_captures(L, &match, at, end);
	}
	return 0;
}

static int string_gmatch(lua_State *L)
{
	luaL_checkstring(L, 1);
	luaL_checkstring(L, 2);
	lua_settop(L, 2);
	lua_pushnumber(L, 0);
	lua_pushcclosure(L, next_match, 3);
	return 1;
}

/* The replacement text with its %0 to %9 filled in. */
static void add_text(struct grow *out, const struct pattern *match, const char *at, const char *end)
{
	lua_State *L = out->L;
	size_t size, length;
	const char *text = lua_tolstring(L, 3, &size);
	for (size_t i = 0; i < size; i++) {
		if (text[i] != '%') {
			const char *percent = memchr(text + i, '%', size - i);
			size_t plain = percent ? (size_t)(percent - text) - i : size - i;
			grow_add(out, text + i, plain);
			i += plain - 1;
			continue;
		}
		char next = ++i < size ? text[i] : '\0';
		if (next < '0' || next > '9') {
			grow_add(out, text + i, i < size ? 1 : 0);
		} else if (next == '0') {
			grow_add(out, at, (size_t)(end - at));
		} else {
			push_capture(L, match, (unsigned)(next - '1'), at, end);
			const char *capture = lua_tolstring(L, -1, &length);
			grow_add(out, capture, length);
			lua_pop(L, 1);
		}
	}
}

/* What a table or function says about the match; false and nil keep the text as it was. */
static void add_lookup(struct grow *out, const struct pattern *match, const char *at, const char *end)
{
	lua_State *L = out->L;
	size_t size;
	unsigned mark = nest_enter(L);
	if (lua_isfunction(L, 3)) {
		lua_pushvalue(L, 3);
		int count = push_captures(L, match, at, end);
		lua_call(L, count, 1);
	} else {
		push_capture(L, match, 0, at, end);
		lua_gettable(L, 3);
	}
	nest_leave(L, mark);
	if (!lua_toboolean(L, -1)) {
		grow_add(out, at, (size_t)(end - at));
	} else {
		if (!lua_isstring(L, -1))
			luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
		const char *text = lua_tolstring(L, -1, &size);
		grow_add(out, text, size);
	}
	lua_pop(L, 1);
}

static int string_gsub(lua_State *L)
{
	size_t size, length;
	const char *text = luaL_checklstring(L, 1, &size);
	const char *pattern = luaL_checklstring(L, 2, &length);
	int type = lua_type(L, 3);
	luaL_argcheck(L,
	        type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
	        "string/function/table expected");
	lua_Number most = luaL_optnumber(L, 4, (lua_Number)size + 1), count = 0;
	lua_settop(L, 3);
	struct pattern match;
	struct grow out;
	prepare(&match, text, size, pattern + length);
	grow_open(&out, L);
	bool anchored = length && *pattern == '^';
	const char *at = text;
	while (count < most) {
		const char *end = match_at(L, &match, at, pattern + anchored);
		if (end) {
			count++;
			if (*match.stop)
				luaL_error(L, "stopped");
			if (type == LUA_TFUNCTION || type == LUA_TTABLE)
				add_lookup(&out, &match, at, end);
			else
				add_text(&out, &match, at, end);
		}
		if (end && end > at)
			at = end;
		else if (at < match.text_end)
			grow_add(&out, at++, 1);
		else
			break;
		if (anchored)
			break;
	}
	grow_add(&out, at, (size_t)(match.text_end - at));
	lua_pushlstring(L, out.data, out.size);
	lua_pushnumber(L, count);
	return 2;
}

/* ---- what LuaJIT has as fast functions ---- */

/* A place in a text, from its end when negative; 0 where there is none before the first. */
static ptrdiff_t place_in(lua_State *L, int index, size_t size, lua_Number otherwise)
{
	lua_Number place = luaL_optnumber(L, index, otherwise);
	if (place < 0)
		place += (lua_Number)size + 1;
	if (!(place > 0))
		return 0;
	return place > (lua_Number)size ? (ptrdiff_t)size + 1 : (ptrdiff_t)place;
}

static int string_sub(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	luaL_checknumber(L, 2);
	ptrdiff_t first = place_in(L, 2, size, 1), last = place_in(L, 3, size, -1);
	first = first < 1 ? 1 : first;
	last = last > (ptrdiff_t)size ? (ptrdiff_t)size : last;
	lua_pushlstring(L, text + first - 1, first <= last ? (size_t)(last - first + 1) : 0);
	return 1;
}

enum { SMALL_TEXT = 512 };

/* The text once more, to be changed; a large one counts as Lua's while it is made. */
static char *copy_text(lua_State *L, size_t *size, char small[SMALL_TEXT])
{
	const char *text = luaL_checklstring(L, 1, size);
	char *copy = *size <= SMALL_TEXT ? small : lua_newuserdata(L, *size);
	if (*size)
		memcpy(copy, text, *size);
	return copy;
}

static int string_lower(lua_State *L)
{
	size_t size;
	char small[SMALL_TEXT], *text = copy_text(L, &size, small);
	for (size_t i = 0; i < size; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] + 32);
	lua_pushlstring(L, text, size);
	return 1;
}

static int string_upper(lua_State *L)
{
	size_t size;
	char small[SMALL_TEXT], *text = copy_text(L, &size, small);
	for (size_t i = 0; i < size; i++)
		if (text[i] >= 'a' && text[i] <= 'z')
			text[i] = (char)(text[i] - 32);
	lua_pushlstring(L, text, size);
	return 1;
}

static int string_reverse(lua_State *L)
{
	size_t size;
	char small[SMALL_TEXT], *text = copy_text(L, &size, small);
	for (size_t i = 0; i < size / 2; i++) {
		char other = text[size - 1 - i];
		text[size - 1 - i] = text[i];
		text[i] = other;
	}
	lua_pushlstring(L, text, size);
	return 1;
}

static int string_char(lua_State *L)
{
	int count = lua_gettop(L);
	char small[SMALL_TEXT], *text = count <= SMALL_TEXT ? small : lua_newuserdata(L, (size_t)count);
	for (int i = 0; i < count; i++) {
		lua_Number byte = luaL_checknumber(L, i + 1);
		luaL_argcheck(L, byte > -1 && byte < 256, i + 1, "invalid value");
		text[i] = (char)(unsigned char)byte;
	}
	lua_pushlstring(L, text, (size_t)count);
	return 1;
}

int sandbox_tostring(lua_State *L)
{
	luaL_checkany(L, 1);
	unsigned mark = nest_enter(L);
	bool asked = luaL_callmeta(L, 1, "__tostring");
	nest_leave(L, mark);
	if (asked)
		return 1;
	lua_settop(L, 1);
	switch (lua_type(L, 1)) {
	case LUA_TNUMBER: lua_tolstring(L, 1, NULL); break; /* in its place */
	case LUA_TSTRING: break;
	case LUA_TNIL: lua_pushliteral(L, "nil"); break;
	case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, 1) ? "true" : "false"); break;
	default: lua_pushfstring(L, "%s: %p", luaL_typename(L, 1), lua_topointer(L, 1)); break;
	}
	return 1;
}

void sandbox_string(lua_State *L)
{
	static const luaL_Reg functions[] = {{"find", string_find}, {"match", string_match},
	        {"gmatch", string_gmatch}, {"gsub", string_gsub}, {"char", string_char},
	        {"lower", string_lower}, {"reverse", string_reverse}, {"sub", string_sub},
	        {"upper", string_upper}, {NULL, NULL}};
	for (const luaL_Reg *f = functions; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
}
