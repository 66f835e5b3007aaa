/* What transform may wait for without blocking anybody: answers (millrace.fetch) and diffs (millrace.diff).
 *
 * Both yield through transform's coroutine; the engine goes on by script_resume or script_resume_diff. */
#include "script_private.h"

static const char *const options[] = {"context", "max"};
enum { OPTIONS = sizeof options / sizeof *options, CONTEXT_MAX = 1000000, DIFF_MAX = 2 << 20 };

static struct run *waiting_run(lua_State *L, const char *function)
{
	struct run *run = script_of(L)->run;
	if (run == NULL || run->coroutine != L)
		luaL_error(L, "%s works in transform only, and not inside a coroutine of the script's own",
		        function);
	return run;
}

static void count_wait(lua_State *L, unsigned *count, const char *function)
{
	if (++*count > FETCHES_MAX)
		luaL_error(L, "%s was called more than %d times for one record", function, FETCHES_MAX);
}

int wait_fetch(lua_State *L)
{
	struct script *script = script_of(L);
	struct run *run = waiting_run(L, "millrace.fetch");
	count_wait(L, &run->fetches, "millrace.fetch");
	lua_settop(L, 1);
	if (!lua_istable(L, 1))
		return luaL_error(L, "millrace.fetch: a request or an array of them expected, got %s",
		        verdict_describe(L, 1));
	script_result_free(script->result);
	request_read(L, 1, "millrace.fetch: this request cannot be sent", true, &run->asked_array);
	return lua_yield(L, 0);
}

/* ---- diffs ---- */

static struct bytes text_argument(lua_State *L, int index)
{
	struct bytes text;
	if (lua_type(L, index) != LUA_TSTRING)
		luaL_error(L, "millrace.diff: argument %d must be a string, it is %s", index,
		        verdict_describe(L, index));
	text.data = lua_tolstring(L, index, &text.size);
	return text;
}

static size_t option(lua_State *L, const char *name, size_t least, size_t most, size_t otherwise)
{
	lua_pushstring(L, name);
	lua_rawget(L, 3);
	lua_Number value = lua_tonumber(L, -1);
	if (lua_isnil(L, -1))
		return otherwise;
	if (lua_type(L, -1) != LUA_TNUMBER || !(value >= (lua_Number)least && value <= (lua_Number)most))
		luaL_error(L, "millrace.diff: `%s` must be a number from %d to %d, it is %s", name,
		        (int)least, (int)most,
		        lua_type(L, -1) == LUA_TNUMBER ? lua_tostring(L, -1) : verdict_describe(L, -1));
	return (size_t)value;
}

static void check_options(lua_State *L)
{
	if (!lua_istable(L, 3))
		luaL_error(L, "millrace.diff: argument 3 must be a table with context and max, it is %s",
		        verdict_describe(L, 3));
	for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
		const char *name =
		        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
		if (!verdict_known(name, options, OPTIONS))
			luaL_error(L, "millrace.diff: unknown member '%s'; there are context and max", name);
	}
}

static struct textdiff read_diff(lua_State *L)
{
	struct textdiff asked = {.from = text_argument(L, 1),
	        .to = text_argument(L, 2),
	        .context = TEXTDIFF_CONTEXT,
	        .max = DIFF_MAX};
	lua_settop(L, 3);
	if (lua_isnil(L, 3))
		return asked;
	check_options(L);
	asked.context = option(L, "context", 0, CONTEXT_MAX, asked.context);
	asked.max = option(L, "max", 1, TEXTDIFF_MAX, asked.max);
	return asked;
}

/* The texts stay where they are until the diff begins: the record's table holds them meanwhile. */
static void hold_texts(lua_State *L, const struct run *run)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, run->ref);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, RUN_FROM);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, RUN_TO);
	lua_pop(L, 1);
}

static void let_texts_go(lua_State *L, const struct run *run)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, run->ref);
	lua_pushnil(L);
	lua_rawseti(L, -2, RUN_FROM);
	lua_pushnil(L);
	lua_rawseti(L, -2, RUN_TO);
	lua_pop(L, 1);
}

static int push_refusal(lua_State *L, enum textdiff_outcome outcome)
{
	lua_pushnil(L);
	lua_pushstring(L, textdiff_outcome_name(outcome));
	return 2;
}

int wait_diff(lua_State *L)
{
	struct script *script = script_of(L);
	struct run *run = waiting_run(L, "millrace.diff");
	struct textdiff asked = read_diff(L);
	count_wait(L, &run->diffs, "millrace.diff");
	if (!textdiff_fits(&asked))
		return push_refusal(L, TEXTDIFF_TOO_LARGE);
	if (lua_rawequal(L, 1, 2)) {
		lua_pushliteral(L, "");
		return 1;
	}
	hold_texts(L, run);
	script_result_free(script->result);
	script->result->diff = asked;
	return lua_yield(L, 0);
}

int wait_push_diff(
        lua_State *L, const struct run *run, enum textdiff_outcome outcome, const struct bytes *text)
{
	let_texts_go(L, run);
	if (outcome != TEXTDIFF_MADE)
		return push_refusal(L, outcome);
	lua_pushlstring(L, text->data ? text->data : "", text->size);
	return 1;
}
