/* A file becomes a state with hooks: opened, sandboxed, loaded, checked, tested by itself. */
#include "script_private.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <string.h>

enum { LOAD_BUDGETS = 10 };

static const char *const known[] = {"api", "request", "transform", "selftest"};
enum { KNOWN = sizeof known / sizeof *known };

static const char shape[] = "a script returns a table with `api = 1` and the hooks `request` and `transform`";

struct loading {
	struct script *script;
	const char *params;
};

static void read_params(lua_State *L, const struct loading *loading)
{
	const char *text = loading->params ? loading->params : "{}";
	struct json_error error;
	if (!json_decode(L, text, strlen(text), &loading->script->limits, &error))
		state_raise(L, "ScriptError", "script.params: %s (byte %zu)", error.message, error.offset);
	if (!lua_istable(L, -1) || json_is_array(L, -1))
		state_raise(L, "ScriptError", "script.params must be an object");
}

static void run_file(lua_State *L, struct script *script)
{
	require_read(L, script->path, script->path, "");
	lua_pushfstring(L, "@%s", script->path);
	if (luaL_loadbufferx(L, script->file.data ? script->file.data : "", script->file.size,
	            lua_tostring(L, -1), "t") != 0)
		lua_error(L);
	lua_call(L, 0, 1);
}

/* A hook with a typing error in its name would never run. */
static void check_names(lua_State *L, const struct script *script, int table)
{
	for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			continue;
		const char *name = lua_tostring(L, -2);
		const char *meant = text_did_you_mean(name, known, KNOWN);
		if (meant == NULL || strcmp(meant, name) == 0)
			continue;
		lua_getfield(L, table, meant);
		if (lua_isnil(L, -1))
			state_raise(L, "ScriptError", "%s: unknown hook '%.60s'; did you mean '%s'?",
			        script->path, name, meant);
		lua_pop(L, 1);
	}
}

static int take_hook(lua_State *L, const struct script *script, int table, const char *name)
{
	lua_getfield(L, table, name);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return LUA_NOREF;
	}
	if (!lua_isfunction(L, -1))
		state_raise(L, "ScriptError", "%s: `%s` must be a function, it is %s", script->path, name,
		        verdict_describe(L, -1));
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void check_api(lua_State *L, const struct script *script, int table)
{
	lua_getfield(L, table, "api");
	if (lua_isnil(L, -1))
		state_raise(L, "ScriptError", "%s: %s; this one has no `api = 1`", script->path, shape);
	if (lua_type(L, -1) != LUA_TNUMBER || lua_tonumber(L, -1) != 1)
		state_raise(L, "ScriptError",
		        "%s: `api` must be 1, the only version of the script API there is", script->path);
	lua_pop(L, 1);
}

static void take_members(lua_State *L, struct script *script)
{
	int table = lua_gettop(L);
	if (!lua_istable(L, table))
		state_raise(L, "ScriptError", "%s: %s; this one returned %s%s", script->path, shape,
		        verdict_describe(L, table),
		        lua_isnil(L, table) ? " (is the `return {...}` at the end missing?)" : "");
	check_api(L, script, table);
	check_names(L, script, table);
	script->request = take_hook(L, script, table, "request");
	script->transform = take_hook(L, script, table, "transform");
	script->selftest = take_hook(L, script, table, "selftest");
	if (script->request == LUA_NOREF && script->transform == LUA_NOREF)
		state_raise(L, "ScriptError", "%s: %s; this one has neither hook", script->path, shape);
	script->members = luaL_ref(L, LUA_REGISTRYINDEX);
}

static int run_loading(lua_State *L)
{
	const struct loading *loading = state_context(L);
	struct script *script = loading->script;
	json_open(L);
	verdict_open(L);
	sandbox_open(L);
	read_params(L, loading);
	scriptlib_open(L);
	require_open(L);
	script->loading = true;
	run_file(L, script);
	script->loading = false;
	script->texts.given = NULL;
	take_members(L, script);
	require_digest(script);
	return 0;
}

static int run_selftest(lua_State *L)
{
	struct script *script = script_of(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, script->selftest);
	lua_call(L, 0, 2);
	if (lua_isboolean(L, -2) && !lua_toboolean(L, -2))
		state_raise(L, "ScriptError", "%s: `selftest` answered false%s%s", script->path,
		        lua_type(L, -1) == LUA_TSTRING ? ": " : "",
		        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
	return 0;
}

static bool call_alone(struct script *script, const struct state_call *call, struct err *err)
{
	struct script_result failure = {0};
	struct run run = {.serial = ++script->runs, .ref = LUA_NOREF, .input = {.topic = ""}};
	struct state_call alone = *call;
	alone.run = &run;
	alone.budgets = LOAD_BUDGETS;
	bool good = state_call(script, &alone, &failure);
	if (!good)
		err_set(err, "%s", failure.message);
	output_drop(&run);
	script_result_free(&failure);
	return good;
}

bool load_selftest(struct script *script, struct err *err)
{
	struct state_call call = {.name = "hook 'selftest'", .function = run_selftest};
	script->rehearses = true;
	bool good = script->selftest == LUA_NOREF || call_alone(script, &call, err);
	script->rehearses = false;
	return good;
}

struct script *script_open(
        const struct script_config *config, const struct script_world *world, struct err *err)
{
	struct script *script = mem_zalloc(1, sizeof *script);
	struct loading loading = {script, config->params_json};
	*script = (struct script){.path = mem_strdup(config->path),
	        .folder = text_folder(config->path),
	        .library = mem_strdup(config->library),
	        .world = *world,
	        .max_event = config->max_event ? config->max_event : SIZE_MAX / 4,
	        .limits = {.depth = config->max_depth, .values = config->memory / 64},
	        .budget_ns = config->budget_ms * 1000000,
	        .holds = 1,
	        .rehearses = true,
	        .base = config->memory, /* until it is known */
	        .texts = {.given = config->sources, .given_count = config->source_count},
	        .request = LUA_NOREF,
	        .transform = LUA_NOREF,
	        .selftest = LUA_NOREF,
	        .members = LUA_NOREF,
	        .encoded = {.limit = config->max_event}};
	struct state_call call = {.name = script->path, .function = run_loading, .context = &loading};
	if (!state_open(script, config->memory, err) || !call_alone(script, &call, err) ||
	        !load_selftest(script, err)) {
		script_release(script);
		return NULL;
	}
	state_collect(script);
	script->base = script->heap.used;
	script->doubted = false;
	return script;
}
