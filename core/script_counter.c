/* millrace.counter: numbers of the script's own among the engine's metrics. */
#include "metrics_user.h"
#include "script_private.h"
#include "text.h"

#include <math.h>
#include <string.h>

/* Upvalues of the function that counts. */
enum { UP_NAME = 1, UP_HELP, UP_LABELS };

static bool is_plain(const char *text, size_t size)
{
	return size > 0 && size <= METRICS_USER_NAME && strlen(text) == size && *text >= 'a' &&
	       *text <= 'z' && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == size;
}

static const char *check_name(lua_State *L)
{
	size_t size;
	const char *name = luaL_checklstring(L, 1, &size);
	if (!is_plain(name, size))
		luaL_error(L,
		        "millrace.counter: the name must be a lower case letter, then lower case letters, "
		        "digits "
		        "and '_', %d at most; got '%s'",
		        METRICS_USER_NAME, name);
	if (size >= 6 && strcmp(name + size - 6, "_total") == 0)
		luaL_error(
		        L, "millrace.counter: the engine adds _total to the name, take it from '%s'", name);
	return name;
}

static void check_help(lua_State *L)
{
	size_t size;
	const char *help = luaL_checklstring(L, 2, &size);
	if (size == 0 || size > 300 || text_utf8_valid(help, size) != size || strlen(help) != size)
		luaL_error(L, "millrace.counter: the help must be a sentence, of 300 bytes at most");
}

static void check_label(lua_State *L, const char *label, size_t size)
{
	if (!is_plain(label, size) || strcmp(label, "le") == 0)
		luaL_error(L,
		        "millrace.counter: a label must be a lower case letter, then lower case letters, "
		        "digits "
		        "and '_', got '%s'",
		        label);
}

/* Pushes the names; answers how many. */
static int push_labels(lua_State *L)
{
	if (lua_isnoneornil(L, 3))
		return 0;
	luaL_checktype(L, 3, LUA_TTABLE);
	size_t count = lua_objlen(L, 3);
	if (count > METRICS_USER_LABELS)
		return luaL_error(L, "millrace.counter: at most %d labels", METRICS_USER_LABELS);
	for (size_t i = 1; i <= count; i++) {
		size_t size;
		lua_rawgeti(L, 3, (int)i);
		const char *label = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
		if (label == NULL)
			return luaL_error(L, "millrace.counter: labels is a list of names");
		check_label(L, label, size);
		for (size_t k = 1; k < i; k++)
			if (lua_rawequal(L, -1, -1 - (int)k))
				return luaL_error(L, "millrace.counter: two labels are called '%s'", label);
	}
	return (int)count;
}

/* What stands for it on the page, cut between two characters. */
static void spell_value(lua_State *L, int index, char *value)
{
	char digits[JSON_NUMBER_TEXT];
	size_t size = 0;
	const char *text = json_number_text(L, index, &size);
	if (text == NULL && lua_type(L, index) == LUA_TSTRING) {
		text = lua_tolstring(L, index, &size);
	} else if (text == NULL && lua_type(L, index) == LUA_TNUMBER) {
		size = json_print_number(lua_tonumber(L, index), digits);
		text = size ? digits : "nan";
		size = size ? size : strlen(text);
	} else if (text == NULL) {
		text = lua_isnil(L, index) || lua_isnone(L, index) ? "none"
		       : !lua_isboolean(L, index)                  ? luaL_typename(L, index)
		       : lua_toboolean(L, index)                   ? "true"
		                                                   : "false";
		size = strlen(text);
	}
	if (size > METRICS_USER_VALUE)
		size = text_utf8_valid(text, METRICS_USER_VALUE);
	memcpy(value, text, size);
	value[size] = '\0';
}

/* count(value of each label..., by) */
static int count(lua_State *L)
{
	const char *labels[METRICS_USER_LABELS], *values[METRICS_USER_LABELS];
	char texts[METRICS_USER_LABELS][METRICS_USER_VALUE + 1];
	const struct script *script = script_of(L);
	int label_count = 0;
	while (label_count < METRICS_USER_LABELS &&
	        lua_type(L, lua_upvalueindex(UP_LABELS + label_count)) == LUA_TSTRING) {
		labels[label_count] = lua_tostring(L, lua_upvalueindex(UP_LABELS + label_count));
		spell_value(L, label_count + 1, texts[label_count]);
		values[label_count] = texts[label_count];
		label_count++;
	}
	lua_Number by = luaL_optnumber(L, label_count + 1, 1);
	if (!(by >= 0) || isinf(by))
		return luaL_error(L, "the counter '%s' only grows: by a number from 0 on, not by %f",
		        lua_tostring(L, lua_upvalueindex(UP_NAME)), by);
	if (script->world.counters && !script->rehearses)
		metrics_user_add(script->world.counters, lua_tostring(L, lua_upvalueindex(UP_NAME)),
		        lua_tostring(L, lua_upvalueindex(UP_HELP)), labels, values, (size_t)label_count, by);
	return 0;
}

/* millrace.counter(name, help, labels?): a function that counts. One without labels is on the page at once.
 */
int counter_make(lua_State *L)
{
	const struct script *script = script_of(L);
	const char *name = check_name(L);
	check_help(L);
	lua_settop(L, 3);
	int label_count = push_labels(L);
	if (label_count == 0 && script->world.counters)
		metrics_user_add(script->world.counters, name, lua_tostring(L, 2), NULL, NULL, 0, 0);
	lua_pushvalue(L, 1);
	lua_insert(L, 4);
	lua_pushvalue(L, 2);
	lua_insert(L, 5);
	lua_pushcclosure(L, count, 2 + label_count);
	return 1;
}
