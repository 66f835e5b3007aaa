/* The Lua module `millrace.engine`: hooks run by the engine's own code inside a plain LuaJIT, for specs.
 *
 * Built as a shared object and not part of the binary; scripts/millrace/testing.lua makes it pleasant. The
 * spec's Lua state never meets the script's: what goes between them are JSON texts and C structs, so a script
 * is under the same sandbox, codec, limits and verdicts as in production. */
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "script_private.h"
#include "text.h"
#include "url.h"

#include <stdio.h>
#include <string.h>

#define SCRIPT_TYPE "millrace.engine.script"
#define EVENT_TYPE "millrace.engine.event"

enum { NAMES_MAX = 32, VALUES_MAX = 16, MAX_BODY = 56 << 20, MAX_OUTPUT = 100 << 20, MAX_DEPTH = 128 };

/* What a spec calls a script. */
struct testing_script {
	struct script *script;
	struct script_world world;
	struct upstream_config upstreams[NAMES_MAX];
	struct script_sink sinks[NAMES_MAX];
	struct key_field key[NAMES_MAX];
};

/* One record's life, with what was asked last and answered so far. */
struct testing_event {
	struct script_event event;
	struct script_input input; /* owned */
	struct script_result result;
	struct response responses[REQUESTS_MAX];
	int parts[REQUESTS_MAX];
	size_t asked;
};

/* ---- what the spec's Lua gives ---- */

static const char *text_field(lua_State *L, int table, const char *name, const char *otherwise)
{
	lua_getfield(L, table, name);
	const char *text = lua_isnil(L, -1) ? otherwise : luaL_checkstring(L, -1);
	return text; /* stays on the stack, and so alive */
}

static double number_field(lua_State *L, int table, const char *name, double otherwise)
{
	lua_getfield(L, table, name);
	double number = lua_isnil(L, -1) ? otherwise : luaL_checknumber(L, -1);
	lua_pop(L, 1);
	return number;
}

static char *copied_field(lua_State *L, int table, const char *name, size_t *size)
{
	size_t length = 0;
	lua_getfield(L, table, name);
	const char *text = lua_isstring(L, -1) ? lua_tolstring(L, -1, &length) : NULL;
	char *copy = text ? mem_dup(text, length) : NULL;
	if (size)
		*size = length;
	lua_pop(L, 1);
	return copy;
}

/* Copies {name = value} as headers. */
static struct header *copied_headers(lua_State *L, int table, size_t *count)
{
	struct header *headers = NULL;
	*count = 0;
	lua_getfield(L, table, "headers");
	if (lua_istable(L, -1))
		for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
			if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
				continue;
			headers = mem_realloc(headers, (*count + 1) * sizeof *headers);
			headers[(*count)++] = (struct header){
			        mem_strdup(lua_tostring(L, -2)), mem_strdup(lua_tostring(L, -1))};
		}
	lua_pop(L, 1);
	return headers;
}

/* ---- what the spec's Lua gets ---- */

static void set_text(lua_State *L, const char *name, const char *text)
{
	if (text == NULL)
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

static void set_bytes(lua_State *L, const char *name, const char *data, size_t size)
{
	if (data == NULL)
		return;
	lua_pushlstring(L, data, size);
	lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double number)
{
	lua_pushnumber(L, number);
	lua_setfield(L, -2, name);
}

static void push_decoded(lua_State *L, const char *text, size_t size)
{
	struct buf out = {0};
	url_append_decoded(&out, text, size);
	lua_pushlstring(L, out.data ? out.data : "", out.size);
	buf_free(&out);
}

/* The query as a table of decoded texts, the merge parameter among them. */
static void push_query(lua_State *L, const struct request *request)
{
	lua_newtable(L);
	for (const char *at = request->query; at && *at;) {
		size_t size = strcspn(at, "&"), name = strcspn(at, "=&");
		push_decoded(L, at, name);
		push_decoded(L, at + name + (name < size), size - name - (name < size));
		lua_rawset(L, -3);
		at += size + (at[size] == '&');
	}
	if (request->merge_param)
		set_text(L, request->merge_param, request->merge_value);
}

static void push_request(lua_State *L, const struct request *request, const struct script_world *world)
{
	lua_newtable(L);
	set_text(L, "upstream", world->upstreams[request->upstream].name);
	set_text(L, "method", request->method);
	set_text(L, "host", request->host);
	set_text(L, "path", request->path);
	push_query(L, request);
	lua_setfield(L, -2, "query");
	lua_newtable(L);
	for (size_t i = 0; i < request->header_count; i++)
		set_text(L, request->headers[i].name, request->headers[i].value);
	lua_setfield(L, -2, "headers");
	set_bytes(L, "body", request->body, request->body_size);
	if (request->timeout_ms)
		set_number(L, "timeout", (double)request->timeout_ms / 1000);
	lua_newtable(L);
	for (size_t i = 0; i < request->accept_count; i++) {
		lua_pushinteger(L, request->accept[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "accept");
	lua_pushboolean(L, request->optional);
	lua_setfield(L, -2, "optional");
	set_text(L, "expect", request->expect == EXPECT_JSON ? "json" : "bytes");
	if (request->merge_param == NULL)
		return;
	lua_newtable(L);
	set_text(L, "param", request->merge_param);
	set_text(L, "value", request->merge_value);
	set_number(L, "max", request->merge_max);
	set_number(L, "bytes", (double)request->merge_bytes);
	set_text(L, "split", request->split);
	lua_setfield(L, -2, "merge");
}

static void push_output(lua_State *L, const struct output *output, const struct testing_event *held,
        const struct script_world *world)
{
	lua_newtable(L);
	set_text(L, "to", world->sinks[output->sink].name);
	set_bytes(L, "json", output->value, output->value_size);
	if (output->has_key)
		set_bytes(L, "key", output->key, output->key_size);
	else
		set_bytes(L, "key", held->event.lane_key, held->event.lane_key_size);
	set_number(L, "timestamp", (double)output->timestamp / 1000);
	lua_newtable(L);
	for (size_t i = 0; i < output->header_count; i++)
		set_bytes(L, output->headers[i].name, output->headers[i].value, output->headers[i].size);
	lua_setfield(L, -2, "headers");
}

static const char *const verdict_names[] = {[VERDICT_ASK] = "ask",
        [VERDICT_WAIT] = "wait",
        [VERDICT_OUTPUT] = "output",
        [VERDICT_PASS] = "pass",
        [VERDICT_DROP] = "drop",
        [VERDICT_RETRY] = "retry",
        [VERDICT_FAIL] = "fail"};

static void push_result(lua_State *L, struct testing_event *held, const struct script_world *world)
{
	const struct script_result *result = &held->result;
	lua_newtable(L);
	set_text(L, "verdict", verdict_names[result->verdict]);
	set_text(L, "type", result->type);
	set_text(L, "message", result->message);
	set_text(L, "stack", result->stack);
	if (result->verdict == VERDICT_RETRY) {
		set_number(L, "after", result->after);
		set_text(L, "scope", result->host_scope ? "host" : "lookup");
	}
	lua_newtable(L);
	for (size_t i = 0; i < result->request_count; i++) {
		push_request(L, &result->requests[i], world);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "requests");
	lua_newtable(L);
	for (size_t i = 0; i < result->output_count; i++) {
		script_finish_output(&held->event, &result->outputs[i], i, &held->input);
		push_output(L, &result->outputs[i], held, world);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "outputs");
}

/* ---- a script ---- */

static struct testing_script *check_script(lua_State *L, int index)
{
	struct testing_script *held = luaL_checkudata(L, index, SCRIPT_TYPE);
	luaL_argcheck(L, held->script, index, "this script was closed");
	return held;
}

static int script_gc(lua_State *L)
{
	struct testing_script *held = luaL_checkudata(L, 1, SCRIPT_TYPE);
	script_release(held->script);
	for (size_t i = 0; i < NAMES_MAX; i++) {
		mem_free(held->upstreams[i].name);
		mem_free((char *)held->sinks[i].name);
		mem_free((char *)held->sinks[i].stream);
		mem_free((char *)held->sinks[i].schema);
		mem_free(held->key[i].name);
		mem_free(held->key[i].path);
	}
	*held = (struct testing_script){0};
	return 0;
}

static size_t list_size(lua_State *L, int options, const char *name)
{
	lua_getfield(L, options, name);
	luaL_argcheck(L, lua_istable(L, -1), options, "a list is missing");
	size_t count = lua_objlen(L, -1);
	if (count > NAMES_MAX)
		luaL_error(L, "%s: at most %d", name, NAMES_MAX);
	return count;
}

static void read_world(lua_State *L, int options, struct testing_script *held)
{
	size_t count = list_size(L, options, "upstreams");
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		held->upstreams[i] = (struct upstream_config){.name = mem_strdup(luaL_checkstring(L, -1)),
		        .url = "http://upstream.invalid",
		        .max_body = MAX_BODY,
		        .merge = true};
		lua_pop(L, 1);
	}
	held->world.upstreams = held->upstreams;
	held->world.upstream_count = count;
	count = list_size(L, options, "sinks");
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		int sink = lua_gettop(L);
		held->sinks[i] = (struct script_sink){.name = copied_field(L, sink, "name", NULL),
		        .stream = copied_field(L, sink, "stream", NULL),
		        .schema = copied_field(L, sink, "schema", NULL),
		        .max_bytes = (size_t)number_field(L, sink, "max_bytes", MAX_OUTPUT)};
		lua_pop(L, 1);
	}
	held->world.sinks = held->sinks;
	held->world.sink_count = count;
	count = list_size(L, options, "key");
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		int field = lua_gettop(L);
		held->key[i] = (struct key_field){
		        copied_field(L, field, "name", NULL), copied_field(L, field, "path", NULL)};
		lua_pop(L, 1);
	}
	held->world.key = held->key;
	held->world.key_count = count;
	held->world.engine = "millrace/" MILLRACE_VERSION;
}

/* open{path, library, params, upstreams = {name}, sinks = {{name, stream, schema, max_bytes}},
 * key = {{name, path}}, memory, budget}: a script, or nil and why it does not load. */
static int engine_open(lua_State *L)
{
	struct err err;
	luaL_checktype(L, 1, LUA_TTABLE);
	struct testing_script *held = lua_newuserdata(L, sizeof *held);
	*held = (struct testing_script){0};
	luaL_getmetatable(L, SCRIPT_TYPE);
	lua_setmetatable(L, -2);
	int self = lua_gettop(L);
	read_world(L, 1, held);
	struct script_config config = {.path = text_field(L, 1, "path", NULL),
	        .library = text_field(L, 1, "library", NULL),
	        .params_json = text_field(L, 1, "params", "{}"),
	        .memory = (size_t)number_field(L, 1, "memory", 128 << 20),
	        .budget_ms = (int64_t)(number_field(L, 1, "budget", 1) * 1000),
	        .max_event = MAX_BODY,
	        .max_depth = MAX_DEPTH};
	luaL_argcheck(L, config.path, 1, "path is missing");
	held->script = script_open(&config, &held->world, &err);
	if (held->script == NULL) {
		lua_pushnil(L);
		lua_pushstring(L, err.text);
		return 2;
	}
	lua_pushvalue(L, self);
	return 1;
}

static int script_digest(lua_State *L)
{
	lua_pushstring(L, script_sha256(check_script(L, 1)->script));
	return 1;
}

/* ---- functions of modules ---- */

struct calling {
	const char *module, *function;
	const char *arguments[VALUES_MAX]; /* JSON; NULL = nil */
	size_t argument_sizes[VALUES_MAX];
	size_t argument_count;
	struct {
		struct buf text;              /* JSON */
		struct script_result verdict; /* where it is one */
		bool says, nothing;
	} answers[VALUES_MAX];
	size_t answer_count;
};

static void take_answer(lua_State *L, struct calling *calling, int index)
{
	struct json_error error;
	const struct verdict_data *verdict = verdict_at(L, index);
	size_t n = calling->answer_count++;
	calling->answers[n].nothing = lua_isnil(L, index);
	if (verdict) {
		calling->answers[n].says = true;
		verdict_copy(verdict, &calling->answers[n].verdict);
	} else if (!lua_isnil(L, index) && !json_encode(L, index, &calling->answers[n].text, &error)) {
		luaL_error(L, "%s.%s answered what has no JSON form: %s", calling->module, calling->function,
		        error.message);
	}
}

static int run_calling(lua_State *L)
{
	struct calling *calling = state_context(L);
	struct script *script = script_of(L);
	struct json_error error;
	script->loading = true;
	lua_pushcfunction(L, require_module);
	lua_pushstring(L, calling->module);
	lua_call(L, 1, 1);
	script->loading = false;
	if (!lua_istable(L, -1))
		return luaL_error(L, "module '%s' is no table", calling->module);
	lua_getfield(L, -1, calling->function);
	if (!lua_isfunction(L, -1))
		return luaL_error(L, "module '%s' has no function '%s'", calling->module, calling->function);
	int base = lua_gettop(L);
	for (size_t i = 0; i < calling->argument_count; i++)
		if (calling->arguments[i] == NULL)
			lua_pushnil(L);
		else if (!json_decode(L, calling->arguments[i], calling->argument_sizes[i], &script->limits,
		                 &error))
			return luaL_error(L, "argument %d: %s", (int)i + 1, error.message);
	lua_call(L, (int)calling->argument_count, LUA_MULTRET);
	for (int i = base; i <= lua_gettop(L) && calling->answer_count < VALUES_MAX; i++)
		take_answer(L, calling, i);
	return 0;
}

static void push_verdict(lua_State *L, const struct script_result *verdict)
{
	lua_newtable(L);
	set_text(L, "verdict", verdict_names[verdict->verdict]);
	set_text(L, "type", verdict->type);
	set_text(L, "message", verdict->message);
	if (verdict->verdict == VERDICT_RETRY) {
		set_number(L, "after", verdict->after);
		set_text(L, "scope", verdict->host_scope ? "host" : "lookup");
	}
}

static int give_answers(lua_State *L, struct calling *calling)
{
	struct json_limits limits = {.depth = MAX_DEPTH};
	luaL_checkstack(L, VALUES_MAX, NULL);
	for (size_t i = 0; i < calling->answer_count; i++) {
		if (calling->answers[i].says)
			push_verdict(L, &calling->answers[i].verdict);
		else if (calling->answers[i].nothing || !json_decode(L, calling->answers[i].text.data,
		                                                calling->answers[i].text.size, &limits, NULL))
			lua_pushnil(L);
		buf_free(&calling->answers[i].text);
		script_result_free(&calling->answers[i].verdict);
	}
	return (int)calling->answer_count;
}

/* script:call(module, function, ...): JSON texts (or nil) in, values out; what the function raises is raised.
 */
static int script_call(lua_State *L)
{
	struct testing_script *held = check_script(L, 1);
	struct calling calling = {.module = luaL_checkstring(L, 2), .function = luaL_checkstring(L, 3)};
	struct run run = {.ref = LUA_NOREF, .input = {.topic = ""}};
	struct script_result failure = {0};
	calling.argument_count = (size_t)(lua_gettop(L) - 3);
	luaL_argcheck(L, calling.argument_count <= VALUES_MAX, 3, "too many arguments");
	for (size_t i = 0; i < calling.argument_count; i++)
		calling.arguments[i] = luaL_optlstring(L, (int)i + 4, NULL, &calling.argument_sizes[i]);
	struct state_call call = {
	        .name = calling.function, .function = run_calling, .context = &calling, .run = &run};
	run.serial = ++held->script->runs;
	bool good = state_call(held->script, &call, &failure);
	held->script->loading = false;
	output_drop(&run);
	if (good)
		return give_answers(L, &calling);
	lua_pushstring(L, failure.message);
	calling.answer_count = VALUES_MAX;
	for (size_t i = 0; i < VALUES_MAX; i++) {
		buf_free(&calling.answers[i].text);
		script_result_free(&calling.answers[i].verdict);
	}
	script_result_free(&failure);
	return lua_error(L);
}

/* ---- one record ---- */

static struct testing_event *check_event(lua_State *L)
{
	return luaL_checkudata(L, 1, EVENT_TYPE);
}

/* The world of the script that the event was begun on, which its environment keeps alive. */
static const struct script_world *world_of(lua_State *L)
{
	lua_getfenv(L, 1);
	lua_rawgeti(L, -1, 1);
	const struct testing_script *held = lua_touserdata(L, -1);
	lua_pop(L, 2);
	return &held->world;
}

static void forget_answers(struct testing_event *held)
{
	for (size_t i = 0; i < held->asked; i++) {
		if (held->event.script)
			script_drop_part(held->event.script, held->parts[i]);
		response_free(&held->responses[i]);
	}
	held->asked = 0;
}

static int event_gc(lua_State *L)
{
	struct testing_event *held = check_event(L);
	forget_answers(held);
	script_result_free(&held->result);
	script_forget(&held->event);
	mem_free((char *)held->input.topic);
	mem_free((char *)held->input.key.data);
	mem_free((char *)held->input.value.data);
	output_headers_free((struct output_header *)held->input.headers, held->input.header_count);
	held->input = (struct script_input){0};
	return 0;
}

static void read_input(lua_State *L, int meta, struct script_input *input)
{
	size_t count;
	struct output carrier = {0};
	input->topic = copied_field(L, meta, "topic", NULL);
	input->partition = (int32_t)number_field(L, meta, "partition", 0);
	input->offset = (int64_t)number_field(L, meta, "offset", 0);
	input->timestamp = (int64_t)(number_field(L, meta, "timestamp", 0) * 1000);
	input->key.data = copied_field(L, meta, "key", &input->key.size);
	struct header *headers = copied_headers(L, meta, &count);
	for (size_t i = 0; i < count; i++)
		output_set_header(&carrier, headers[i].name, headers[i].value, strlen(headers[i].value));
	headers_free(headers, count);
	input->headers = carrier.headers;
	input->header_count = carrier.header_count;
}

/* script:begin(text, meta): an event, and the failure when it cannot be decoded. */
static int script_begin(lua_State *L)
{
	struct testing_script *script = check_script(L, 1);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);
	luaL_checktype(L, 3, LUA_TTABLE);
	struct testing_event *held = lua_newuserdata(L, sizeof *held);
	*held = (struct testing_event){0};
	luaL_getmetatable(L, EVENT_TYPE);
	lua_setmetatable(L, -2);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_setfenv(L, -2);
	read_input(L, 3, &held->input);
	held->input.value = (struct bytes){mem_dup(text, size), size};
	if (script_decode(&held->event, script->script, &held->input, &held->result))
		return 1;
	push_result(L, held, &script->world);
	return 2;
}

static int give_result(lua_State *L, struct testing_event *held)
{
	const struct script_result *result = &held->result;
	forget_answers(held);
	held->asked =
	        result->verdict == VERDICT_ASK || result->verdict == VERDICT_WAIT ? result->request_count : 0;
	for (size_t i = 0; i < held->asked; i++)
		held->parts[i] = LUA_NOREF;
	push_result(L, held, world_of(L));
	return 1;
}

static int event_request(lua_State *L)
{
	struct testing_event *held = check_event(L);
	script_result_free(&held->result);
	script_request(&held->event, (unsigned)luaL_optinteger(L, 2, 1), &held->result);
	return give_result(L, held);
}

static void read_response(lua_State *L, int table, struct response *response)
{
	response_free(response);
	response->status = (int)number_field(L, table, "status", 0);
	response->headers = copied_headers(L, table, &response->header_count);
	for (size_t i = 0; i < response->header_count; i++)
		for (char *at = response->headers[i].name; *at; at++)
			*at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
	response->body = copied_field(L, table, "body", &response->body_size);
	response->attempts = (unsigned)number_field(L, table, "attempts", 1);
	response->elapsed = number_field(L, table, "elapsed", 0);
	response->error_type = copied_field(L, table, "error_type", NULL);
	response->error_message = copied_field(L, table, "error_message", NULL);
}
/* event:answer(n, response): "ok", "unparsable", or "retry" or "fail" with what split said of the n-th
 * request. */
static int event_answer(lua_State *L)
{
	static const char *const names[] = {[SCRIPT_ANSWER_OK] = "ok",
	        [SCRIPT_ANSWER_UNPARSABLE] = "unparsable",
	        [SCRIPT_ANSWER_RETRY] = "retry",
	        [SCRIPT_ANSWER_FAIL] = "fail"};
	struct testing_event *held = check_event(L);
	size_t n = (size_t)luaL_checkinteger(L, 2) - 1;
	luaL_argcheck(L, n < held->asked, 2, "there is no such request");
	luaL_checktype(L, 3, LUA_TTABLE);
	const struct request *request = &held->result.requests[n];
	struct script_result detail = {0};
	read_response(L, 3, &held->responses[n]);
	if (held->responses[n].error_type) {
		lua_pushliteral(L, "ok");
		return 1;
	}
	const char *value = request->merge_param ? request->merge_value : "";
	enum script_answer outcome = script_answer(
	        held->event.script, request, &held->responses[n], &value, 1, &held->parts[n], &detail);
	lua_pushstring(L, names[outcome]);
	push_verdict(L, &detail);
	script_result_free(&detail);
	return 2;
}

/* There is no loop to keep turning: the diff is made right here. */
static void resume_diff(struct script_event *event, struct script_result *result)
{
	struct buf text;
	buf_init(&text, 0);
	enum textdiff_outcome outcome = textdiff(&result->diff, &text);
	script_resume_diff(event, outcome, &(struct bytes){text.data, text.size}, result);
	buf_free(&text);
}

static int go_on(lua_State *L,
        void (*run)(struct script_event *, const struct script_answer_part *, size_t, struct script_result *))
{
	struct testing_event *held = check_event(L);
	struct script_answer_part answers[REQUESTS_MAX];
	struct script_result next = {0};
	for (size_t i = 0; i < held->asked; i++) {
		answers[i] = (struct script_answer_part){
		        &held->responses[i], &held->result.requests[i], held->parts[i]};
		held->parts[i] = LUA_NOREF;
	}
	run(&held->event, answers, held->asked, &next);
	while (next.verdict == VERDICT_WAIT && next.diff.from.data)
		resume_diff(&held->event, &next);
	script_result_free(&held->result);
	held->result = next;
	return give_result(L, held);
}

static int event_transform(lua_State *L)
{
	return go_on(L, script_transform);
}

static int event_resume(lua_State *L)
{
	return go_on(L, script_resume);
}

/* event:pass(): the result, as an output of the first sink. */
static int event_pass(lua_State *L)
{
	struct testing_event *held = check_event(L);
	struct script_result next = {.verdict = VERDICT_PASS};
	struct output output;
	if (script_pass(&held->event, &output, &next)) {
		next.verdict = VERDICT_PASS;
		next.outputs = mem_zalloc(1, sizeof output);
		next.outputs[0] = output;
		next.output_count = 1;
	}
	script_result_free(&held->result);
	held->result = next;
	return give_result(L, held);
}

/* ---- the module ---- */

static int engine_clock(lua_State *L)
{
	size_t size;
	int64_t wall;
	if (lua_type(L, 1) == LUA_TNUMBER) {
		wall = (int64_t)(lua_tonumber(L, 1) * 1000);
	} else {
		const char *text = luaL_checklstring(L, 1, &size);
		luaL_argcheck(L, clock_parse(text, size, &wall), 1,
		        "a time such as 2026-11-22T13:26:28Z, or a number of seconds");
	}
	clock_invent(wall);
	return 0;
}

/* skip(seconds): an invented clock goes on by so much; the real one minds nothing. */
static int engine_skip(lua_State *L)
{
	if (clock_invented())
		clock_skip((int64_t)(luaL_checknumber(L, 1) * 1000));
	return 0;
}

static lua_State *listener; /* where log lines are kept, under this key of its registry */
static const char lines_key;

static void hear(enum log_level level, const char *module, const char *message)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	lua_State *L = listener;
	if (strcmp(module, "script") != 0)
		return;
	lua_pushlightuserdata(L, (void *)&lines_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_pushfstring(L, "%s %s", names[level], message);
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_pop(L, 1);
}

/* log(): the lines that scripts wrote since the last call. */
static int engine_log(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&lines_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_pushlightuserdata(L, (void *)&lines_key);
	lua_newtable(L);
	lua_rawset(L, LUA_REGISTRYINDEX);
	return 1;
}

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

static bool is_luajit(lua_State *L)
{
	lua_getglobal(L, "jit");
	bool found = lua_istable(L, -1);
	lua_pop(L, 1);
	return found;
}

__attribute__((visibility("default"))) int luaopen_millrace_engine(lua_State *L);

int luaopen_millrace_engine(lua_State *L)
{
	static const luaL_Reg functions[] = {{"open", engine_open}, {"clock", engine_clock},
	        {"skip", engine_skip}, {"log", engine_log}, {NULL, NULL}};
	static const luaL_Reg scripts[] = {
	        {"begin", script_begin}, {"call", script_call}, {"sha256", script_digest}, {NULL, NULL}};
	static const luaL_Reg events[] = {{"request", event_request}, {"answer", event_answer},
	        {"transform", event_transform}, {"resume", event_resume}, {"pass", event_pass}, {NULL, NULL}};
	if (!is_luajit(L))
		return luaL_error(L, "millrace.testing needs LuaJIT: busted --lua=/usr/bin/luajit");
	listener = L;
	lua_settop(L, 0);
	engine_log(L);
	log_listen(hear);
	json_open(L);
	make_type(L, SCRIPT_TYPE, scripts, script_gc);
	make_type(L, EVENT_TYPE, events, event_gc);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	json_library(L);
	lua_setfield(L, -2, "json");
	return 1;
}
