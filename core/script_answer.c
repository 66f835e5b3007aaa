/* A call's answer becomes Lua values: parsed once, split into parts, given to transform as responses. */
#include "script_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One answer on its way through the split function. */
struct splitting {
	struct script *script;
	const struct request *request;
	const struct response *response;
	const char *const *values;
	size_t count;
	int *parts;
	struct script_result *detail;
	enum script_answer outcome;
};

static void push_headers(lua_State *L, const struct response *response)
{
	lua_createtable(L, 0, (int)response->header_count);
	for (size_t i = 0; i < response->header_count; i++) {
		const struct header *header = &response->headers[i];
		lua_pushstring(L, header->name);
		lua_pushvalue(L, -1);
		lua_rawget(L, -3);
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			lua_pushstring(L, header->value);
		} else { /* RFC 9110 §5.2: one list */
			lua_pushliteral(L, ", ");
			lua_pushstring(L, header->value);
			lua_concat(L, 3);
		}
		lua_rawset(L, -3);
	}
}

static void set_number(lua_State *L, const char *name, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, name);
}

static void push_frame(lua_State *L, const struct response *response)
{
	lua_createtable(L, 0, 8);
	set_number(L, "status", response->status);
	set_number(L, "attempts", response->attempts);
	set_number(L, "elapsed", response->elapsed);
	push_headers(L, response);
	lua_setfield(L, -2, "headers");
	if (response->error_type == NULL)
		return;
	lua_createtable(L, 0, 2);
	lua_pushstring(L, response->error_type);
	lua_setfield(L, -2, "type");
	lua_pushstring(L, response->error_message ? response->error_message : "");
	lua_setfield(L, -2, "message");
	lua_setfield(L, -2, "error");
}

void answer_push(lua_State *L, const struct script_answer_part *answer)
{
	const struct response *response = answer->response;
	push_frame(L, response);
	if (answer->part >= 0) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, answer->part);
		lua_setfield(L, -2, "json");
	} else if (response->body &&
	           !(answer->request && answer->request->split && response->status / 100 == 2)) {
		lua_pushlstring(L, response->body, response->body_size);
		lua_setfield(L, -2, "body");
	}
}

void answer_push_all(lua_State *L, const struct script_answer_part *answers, size_t count, bool array)
{
	if (!array) {
		if (count)
			answer_push(L, &answers[0]);
		else
			lua_pushnil(L);
		return;
	}
	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		answer_push(L, &answers[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
}

static bool decode(lua_State *L, const struct splitting *splitting)
{
	struct json_error error;
	const struct response *response = splitting->response;
	return response->body &&
	       json_decode(L, response->body, response->body_size, &splitting->script->limits, &error);
}

/* Every value gets the whole answer, a table of its own. */
static void give_whole(lua_State *L, struct splitting *splitting)
{
	for (size_t i = 0; i < splitting->count; i++) {
		if (i == 0)
			lua_pushvalue(L, 1);
		else if (!decode(L, splitting))
			continue;
		splitting->parts[i] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
}

/* Pushes the part of a value; its key may have become a number. */
static void push_part(lua_State *L, int table, const char *value)
{
	char text[JSON_NUMBER_TEXT], *end;
	lua_pushstring(L, value);
	lua_rawget(L, table);
	if (!lua_isnil(L, -1))
		return;
	double number = strtod(value, &end);
	if (*value && *end == '\0' && json_print_number(number, text) && strcmp(text, value) == 0) {
		lua_pop(L, 1);
		lua_pushnumber(L, number);
		lua_rawget(L, table);
	}
}

static void take_parts(lua_State *L, struct splitting *splitting)
{
	int table = lua_gettop(L);
	for (size_t i = 0; i < splitting->count; i++) {
		push_part(L, table, splitting->values[i]);
		if (lua_isnil(L, -1))
			lua_pop(L, 1);
		else
			splitting->parts[i] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
}

static void call_split(lua_State *L, const struct splitting *splitting)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, splitting->script->members);
	lua_pushstring(L, splitting->request->split);
	lua_rawget(L, -2);
	lua_remove(L, -2);
	lua_pushvalue(L, 1);
	lua_createtable(L, (int)splitting->count, 0);
	for (size_t i = 0; i < splitting->count; i++) {
		lua_pushstring(L, splitting->values[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	push_frame(L, splitting->response);
	lua_call(L, 3, 1);
}

static void split(lua_State *L, struct splitting *splitting)
{
	call_split(L, splitting);
	const struct verdict_data *verdict = verdict_at(L, -1);
	if (verdict && (verdict->kind == VERDICT_RETRY || verdict->kind == VERDICT_FAIL)) {
		splitting->outcome =
		        verdict->kind == VERDICT_RETRY ? SCRIPT_ANSWER_RETRY : SCRIPT_ANSWER_FAIL;
		verdict_copy(verdict, splitting->detail);
	} else if (lua_istable(L, -1)) {
		take_parts(L, splitting);
	} else {
		state_raise(L, "ScriptAnswer",
		        "%s in %s answered %s: answer a table {[value] = part}, millrace.retry(reason) or "
		        "millrace.fail(type, message)",
		        splitting->script->call->name, splitting->script->path, verdict_describe(L, -1));
	}
}

static int run_splitting(lua_State *L)
{
	struct splitting *splitting = state_context(L);
	const struct response *response = splitting->response;
	bool success = response->status / 100 == 2;
	splitting->outcome = SCRIPT_ANSWER_OK;
	if (!decode(L, splitting)) {
		bool nothing =
		        response->body_size == 0 && (response->status == 204 || response->status == 205);
		if (success && !nothing)
			splitting->outcome = SCRIPT_ANSWER_UNPARSABLE;
		return 0;
	}
	if (success && splitting->request->split)
		split(L, splitting);
	else
		give_whole(L, splitting);
	return 0;
}

static void reset_splitting(void *context)
{
	struct splitting *splitting = context;
	for (size_t i = 0; i < splitting->count; i++) {
		luaL_unref(splitting->script->L, LUA_REGISTRYINDEX, splitting->parts[i]);
		splitting->parts[i] = LUA_NOREF;
	}
}

enum script_answer script_answer(struct script *script, const struct request *request,
        const struct response *response, const char *const *values, size_t count, int *parts,
        struct script_result *detail)
{
	char name[120] = "reading an answer";
	struct splitting splitting = {
	        script, request, response, values, count, parts, detail, SCRIPT_ANSWER_OK};
	struct run run = {.serial = ++script->runs, .ref = LUA_NOREF};
	for (size_t i = 0; i < count; i++)
		parts[i] = LUA_NOREF;
	if (request->expect == EXPECT_BYTES)
		return SCRIPT_ANSWER_OK;
	if (request->split)
		snprintf(name, sizeof name, "function '%.80s'", request->split);
	struct state_call call = {.name = name,
	        .function = run_splitting,
	        .context = &splitting,
	        .run = &run,
	        .decodes = response->body_size,
	        .repeatable = true,
	        .reset = reset_splitting};
	size_t before = script->heap.used, made = 0;
	bool good = state_call(script, &call, detail);
	output_drop(&run);
	for (size_t i = 0; i < count; i++)
		made += parts[i] >= 0;
	sound_add_parts(
	        script, made, script->heap.used > before ? script->heap.used - before : response->body_size);
	return good ? splitting.outcome : SCRIPT_ANSWER_FAIL;
}

size_t script_drop_part(struct script *script, int part)
{
	if (part < 0)
		return 0;
	luaL_unref(script->L, LUA_REGISTRYINDEX, part);
	return sound_drop_part(script);
}
