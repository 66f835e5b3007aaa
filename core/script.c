/* What a record does with its script: decode, request, transform, pass, forget.
 *
 * A record's Lua values live in one table (run->ref): the event, meta, and the coroutine of transform. */
#include "script_private.h"
#include "clock.h"
#include "fault.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

static const char request_answers[] =
        "return a request, an array of requests, millrace.pass(), drop(reason) or fail(type, message)";
static const char transform_answers[] = "return the event, millrace.output{...}, outputs(...), pass(), "
                                        "drop(reason), retry(reason) or fail(type, message)";

/* What one protected call works on. */
struct work {
	struct script *script;
	struct script_event *event;
	struct run *run;
	struct script_result *result;
	const struct script_answer_part *answers;
	size_t answer_count;
	enum textdiff_outcome diffed; /* script_resume_diff */
	const struct bytes *text;     /* likewise */
	struct output *output;        /* script_pass */
	bool again;                   /* request: a second try, after the event may have been changed */
};

void script_hold(struct script *script)
{
	script->holds++;
}

void script_release(struct script *script)
{
	if (script == NULL || --script->holds > 0)
		return;
	state_close(script);
	for (size_t i = 0; i < script->file_count; i++)
		mem_free(script->files[i].name);
	mem_free(script->files);
	require_close(script);
	mem_free(script->path);
	mem_free(script->folder);
	mem_free(script->library);
	mem_free(script);
}

const char *script_sha256(const struct script *script)
{
	return script->sha256;
}

const char *script_path(const struct script *script)
{
	return script->path;
}

bool script_has_request(const struct script *script)
{
	return script->request != LUA_NOREF;
}

struct script_usage script_usage(const struct script *script)
{
	struct script_usage usage = {.memory = script->heap.used,
	        .memory_maximum = script->heap.maximum,
	        .memory_limit = script->heap.limit,
	        .events = script->events,
	        .timeouts = script->timeouts,
	        .memory_failures = script->memory_failures,
	        .errors = script->errors,
	        .cpu_seconds = (double)script->cpu_ns / 1e9,
	        .gc_seconds = (double)script->gc_ns / 1e9};
	memcpy(usage.failed, script->failed, sizeof usage.failed);
	return usage;
}

void script_usage_add(struct script_usage *to, const struct script_usage *from)
{
	to->errors += from->errors;
	to->timeouts += from->timeouts;
	to->memory_failures += from->memory_failures;
	to->cpu_seconds += from->cpu_seconds;
	to->gc_seconds += from->gc_seconds;
	for (int hook = 0; hook < SCRIPT_HOOKS; hook++)
		for (int kind = 0; kind < SCRIPT_KINDS; kind++)
			to->failed[hook][kind] += from->failed[hook][kind];
}

void script_result_free(struct script_result *result)
{
	mem_free(result->type);
	mem_free(result->message);
	mem_free(result->stack);
	for (size_t i = 0; i < result->request_count; i++)
		request_free(&result->requests[i]);
	mem_free(result->requests);
	for (size_t i = 0; i < result->output_count; i++)
		output_free(&result->outputs[i]);
	mem_free(result->outputs);
	*result = (struct script_result){0};
}

static void free_texts(struct script_event *event)
{
	mem_free(event->id);
	mem_free(event->domain);
	mem_free(event->request_id);
	mem_free(event->uri);
	mem_free(event->schema);
	mem_free(event->stream);
	mem_free(event->lane_key);
	*event = (struct script_event){.script = event->script, .run = event->run};
}

void script_let_go(struct script_event *event)
{
	struct script *script = event->script;
	if (script == NULL)
		return;
	if (event->run->ref >= 0)
		luaL_unref(script->L, LUA_REGISTRYINDEX, event->run->ref);
	output_drop(event->run);
	sound_let_go(script, event->run);
	mem_free(event->run);
	event->run = NULL;
	event->script = NULL;
	event->bytes = 0;
	script->events--;
	script_release(script);
}

void script_forget(struct script_event *event)
{
	script_let_go(event);
	free_texts(event);
	*event = (struct script_event){0};
}

/* Copies the string member of the table on top; NULL when it is none. */
static char *text_of(lua_State *L, const char *name)
{
	size_t size;
	char *copy = NULL;
	lua_pushstring(L, name);
	lua_rawget(L, -2);
	if (lua_type(L, -1) == LUA_TSTRING) {
		const char *text = lua_tolstring(L, -1, &size);
		copy = mem_dup(text, size);
	}
	lua_pop(L, 1);
	return copy;
}

static int64_t wall_of(lua_State *L, const char *name)
{
	size_t size;
	int64_t wall = 0;
	lua_pushstring(L, name);
	lua_rawget(L, -2);
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
	if (text == NULL || !clock_parse(text, size, &wall))
		wall = 0;
	lua_pop(L, 1);
	return wall;
}

/* From the event on top. */
static void note_texts(lua_State *L, struct script_event *event)
{
	event->schema = text_of(L, "$schema");
	event->event_dt = wall_of(L, "dt");
	lua_pushliteral(L, "meta");
	lua_rawget(L, -2);
	if (lua_istable(L, -1)) {
		event->id = text_of(L, "id");
		event->domain = text_of(L, "domain");
		event->request_id = text_of(L, "request_id");
		event->uri = text_of(L, "uri");
		event->stream = text_of(L, "stream");
		event->dt = wall_of(L, "dt");
	}
	lua_pop(L, 1);
}

static void note_lane_key(lua_State *L, struct script_event *event)
{
	const struct script *script = event->script;
	struct buf *text = &event->script->scratch;
	const struct bytes *own = &event->run->input.key;
	if (script->world.key_count == 0) {
		event->lane_key = mem_dup(own->data, own->size);
		event->lane_key_size = own->data ? own->size : 0;
		return;
	}
	buf_clear(text);
	if (!output_key(L, lua_gettop(L), script->world.key, script->world.key_count, text))
		return;
	event->lane_key = mem_dup(text->data, text->size);
	event->lane_key_size = text->size;
}

/* Pushes the event as the record has it. */
static void push_event(lua_State *L, const struct work *work)
{
	struct json_error error;
	const struct bytes *value = &work->run->input.value;
	if (!json_decode(L, value->data, value->size, &work->script->limits, &error))
		state_raise(L, "PoisonEvent", "the value is not JSON: %s (byte %zu)", error.message,
		        error.offset);
	if (!lua_istable(L, -1) || json_is_array(L, -1))
		state_raise(L, "PoisonEvent", "the value is JSON, but not an object: it is %s",
		        verdict_describe(L, -1));
}

static int run_decode(lua_State *L)
{
	const struct work *work = state_context(L);
	size_t before = work->script->heap.used;
	push_event(L, work);
	size_t after = work->script->heap.used;
	work->event->bytes = after > before ? after - before : work->run->input.value.size;
	sound_hold(work->script, work->run, work->event->bytes);
	note_texts(L, work->event);
	note_lane_key(L, work->event);
	lua_createtable(L, 3, 0);
	lua_insert(L, -2);
	lua_rawseti(L, -2, RUN_EVENT);
	work->run->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static void reset_decode(void *context)
{
	const struct work *work = context;
	free_texts(work->event);
	sound_let_go(work->script, work->run);
}

static const char *refuse_value(const struct script *script, const struct bytes *value)
{
	if (value->data == NULL)
		return "the record has no value";
	return value->size > script->max_event ? "the value is larger than an event may be" : NULL;
}

bool script_decode(struct script_event *event, struct script *script, const struct script_input *input,
        struct script_result *result)
{
	struct run *run = mem_zalloc(1, sizeof *run);
	*run = (struct run){.serial = ++script->runs, .input = *input, .ref = LUA_NOREF, .attempt = 1};
	*event = (struct script_event){.script = script, .run = run};
	script->events++;
	script_hold(script);
	struct work work = {.script = script, .event = event, .run = run, .result = result};
	struct state_call call = {.name = "decoding",
	        .function = run_decode,
	        .context = &work,
	        .run = run,
	        .decodes = input->value.size,
	        .repeatable = true,
	        .reset = reset_decode};
	const char *refused = refuse_value(script, &input->value);
	if (refused)
		state_fail(result, "PoisonEvent", refused, strlen(refused));
	else if (state_call(script, &call, result))
		return true;
	script_forget(event);
	return false;
}

static void set_number(lua_State *L, const char *name, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, name);
}

static void push_meta(lua_State *L, const struct run *run)
{
	const struct script_input *input = &run->input;
	lua_createtable(L, 0, 8);
	lua_pushstring(L, input->topic);
	lua_setfield(L, -2, "topic");
	set_number(L, "partition", input->partition);
	set_number(L, "offset", (double)input->offset);
	set_number(L, "timestamp", (double)input->timestamp / 1000);
	set_number(L, "attempt", run->attempt);
	if (input->key.data) {
		lua_pushlstring(L, input->key.data, input->key.size);
		lua_setfield(L, -2, "key");
	}
	lua_createtable(L, 0, (int)input->header_count);
	for (size_t i = 0; i < input->header_count; i++) {
		const struct output_header *header = &input->headers[i];
		if (header->value)
			lua_pushlstring(L, header->value, header->size);
		else
			lua_pushlightuserdata(L, NULL);
		lua_setfield(L, -2, header->name);
	}
	lua_setfield(L, -2, "headers");
}

/* Pushes the record's table, the event and meta; meta is made once. */
static void push_arguments(lua_State *L, const struct run *run)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, run->ref);
	int table = lua_gettop(L);
	lua_rawgeti(L, table, RUN_EVENT);
	lua_rawgeti(L, table, RUN_META);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		push_meta(L, run);
		lua_pushvalue(L, -1);
		lua_rawseti(L, table, RUN_META);
	}
	set_number(L, "now", (double)clock_wall() / 1000);
}

static void refuse_answer(lua_State *L, const struct work *work, const char *why, const char *instead)
{
	state_raise(L, "ScriptAnswer", "%s in %s answered %s: %s", work->script->call->name,
	        work->script->path, why, instead);
}

static void take_request(lua_State *L, const struct work *work)
{
	char where[200];
	const struct verdict_data *verdict = verdict_at(L, -1);
	bool says = verdict && (verdict->kind == VERDICT_PASS || verdict->kind == VERDICT_DROP ||
	                               verdict->kind == VERDICT_FAIL);
	if (says) {
		verdict_copy(verdict, work->result);
		return;
	}
	if (!lua_istable(L, -1))
		refuse_answer(L, work, verdict_describe(L, -1), request_answers);
	lua_pushnil(L);
	if (!lua_next(L, -2))
		refuse_answer(L, work, "an empty table", request_answers);
	lua_pop(L, 2);
	if (work->script->transform == LUA_NOREF)
		refuse_answer(L, work, "a request", "the script has no hook 'transform' to take the answer");
	snprintf(where, sizeof where, "%s in %.150s", work->script->call->name, work->script->path);
	work->result->verdict = VERDICT_ASK;
	work->script->result = work->result;
	request_read(L, lua_gettop(L), where, false, &work->run->asked_array);
}

static int run_request(lua_State *L)
{
	const struct work *work = state_context(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, work->run->ref);
	if (work->again) {
		push_event(L, work);
		lua_rawseti(L, -2, RUN_EVENT);
		lua_pushnil(L);
		lua_rawseti(L, -2, RUN_META);
	}
	lua_pop(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, work->script->request);
	push_arguments(L, work->run);
	lua_remove(L, -3);
	fault_point("in_hook");
	fault_stuck("stuck_in_hook");
	lua_call(L, 2, 1);
	take_request(L, work);
	return 0;
}

static void reset_request(void *context)
{
	struct work *work = context;
	script_result_free(work->result);
	work->again = true;
}

void script_request(struct script_event *event, unsigned attempt, struct script_result *result)
{
	struct script *script = event->script;
	struct work work = {.script = script, .event = event, .run = event->run, .result = result};
	struct state_call call = {.name = "hook 'request'",
	        .function = run_request,
	        .context = &work,
	        .run = event->run,
	        .repeatable = true,
	        .reset = reset_request};
	*result = (struct script_result){.verdict = VERDICT_ASK};
	event->run->attempt = attempt;
	if (script->request != LUA_NOREF)
		state_call(script, &call, result);
}

static void take_transform(lua_State *L, const struct work *work)
{
	const struct verdict_data *verdict = verdict_at(L, -1);
	if (verdict && verdict->kind != VERDICT_OUTPUT) {
		verdict_copy(verdict, work->result);
		return;
	}
	work->result->verdict = VERDICT_OUTPUT;
	if (verdict) {
		if (verdict->serial != work->run->serial)
			refuse_answer(L, work, "an output of another record", transform_answers);
		output_take(work->run, verdict->indexes, verdict->count, work->result);
		return;
	}
	if (!lua_istable(L, -1))
		refuse_answer(L, work, verdict_describe(L, -1), transform_answers);
	if (json_is_array(L, -1) || lua_objlen(L, -1) > 0)
		refuse_answer(L, work, "an array", "for several outputs return millrace.outputs(a, b, ...)");
	lua_pushnil(L);
	if (!lua_next(L, -2))
		refuse_answer(L, work, "an empty table", transform_answers);
	lua_pop(L, 2);
	output_take(work->run, &(size_t){output_plain(L, lua_gettop(L))}, 1, work->result);
}

/* Lets transform run until it ends or waits; `count` arguments are on its stack. */
static void go_on(lua_State *L, const struct work *work, int count)
{
	struct script *script = work->script;
	lua_State *co = work->run->coroutine;
	script->result = work->result;
	fault_point("in_hook");
	fault_stuck("stuck_in_hook");
	script->running = co;
	int status = lua_resume(co, count);
	script->running = L;
	script->result = NULL;
	if (status == LUA_YIELD) {
		work->result->verdict = VERDICT_WAIT;
		return;
	}
	if (status != LUA_OK) {
		state_note_place(co);
		lua_xmove(co, L, 1);
		lua_error(L);
	}
	lua_settop(co, 1);
	lua_xmove(co, L, 1);
	script_result_free(work->result); /* of a wait that came to nothing */
	take_transform(L, work);
}

static int run_transform(lua_State *L)
{
	const struct work *work = state_context(L);
	struct run *run = work->run;
	push_arguments(L, run);
	lua_State *co = lua_newthread(L);
	lua_rawseti(L, -4, RUN_COROUTINE);
	run->coroutine = co;
	lua_rawgeti(L, LUA_REGISTRYINDEX, work->script->transform);
	lua_insert(L, -3);
	answer_push_all(L, work->answers, work->answer_count, run->asked_array);
	lua_insert(L, -2);
	lua_xmove(L, co, 4);
	go_on(L, work, 3);
	return 0;
}

static int run_resume(lua_State *L)
{
	const struct work *work = state_context(L);
	answer_push_all(L, work->answers, work->answer_count, work->run->asked_array);
	lua_xmove(L, work->run->coroutine, 1);
	go_on(L, work, 1);
	return 0;
}

static int run_resume_diff(lua_State *L)
{
	const struct work *work = state_context(L);
	int count = wait_push_diff(L, work->run, work->diffed, work->text);
	lua_xmove(L, work->run->coroutine, count);
	go_on(L, work, count);
	return 0;
}

static void run_on(struct work *work, lua_CFunction function)
{
	struct state_call call = {
	        .name = "hook 'transform'", .function = function, .context = work, .run = work->run};
	*work->result = (struct script_result){.verdict = VERDICT_OUTPUT};
	size_t held = 0;
	state_call(work->script, &call, work->result);
	for (size_t i = 0; i < work->answer_count; i++)
		held += script_drop_part(work->script, work->answers[i].part);
	if (work->result->verdict == VERDICT_WAIT) {
		sound_hold(work->script, work->run, held);
		return;
	}
	work->run->coroutine = NULL;
	output_drop(work->run);
}

static struct work work_on(struct script_event *event, const struct script_answer_part *answers, size_t count,
        struct script_result *result)
{
	return (struct work){.script = event->script,
	        .event = event,
	        .run = event->run,
	        .result = result,
	        .answers = answers,
	        .answer_count = count};
}

void script_transform(struct script_event *event, const struct script_answer_part *answers, size_t count,
        struct script_result *result)
{
	static const char missing[] = "the script has no hook 'transform'";
	struct work work = work_on(event, answers, count, result);
	if (event->script->transform != LUA_NOREF) {
		run_on(&work, run_transform);
		return;
	}
	for (size_t i = 0; i < count; i++)
		script_drop_part(event->script, answers[i].part);
	*result = (struct script_result){0};
	state_fail(result, "ScriptAnswer", missing, strlen(missing));
}

void script_resume(struct script_event *event, const struct script_answer_part *answers, size_t count,
        struct script_result *result)
{
	struct work work = work_on(event, answers, count, result);
	run_on(&work, run_resume);
}

void script_resume_diff(struct script_event *event, enum textdiff_outcome outcome, const struct bytes *text,
        struct script_result *result)
{
	struct work work = work_on(event, NULL, 0, result);
	work.diffed = outcome;
	work.text = text;
	run_on(&work, run_resume_diff);
}

static int run_pass(lua_State *L)
{
	const struct work *work = state_context(L);
	push_event(L, work); /* as it came: hooks may have changed theirs */
	output_fill(L, lua_gettop(L), 0, &work->run->input, work->output);
	return 0;
}

static void reset_pass(void *context)
{
	output_free(((struct work *)context)->output);
}

/* The bytes that came in, in place of whatever stands there. */
static void use_verbatim(struct output *output, const struct bytes *value)
{
	mem_free(output->value);
	output->value = mem_dup(value->data, value->size);
	output->value_size = value->size;
}

bool script_pass(struct script_event *event, struct output *output, struct script_result *failure)
{
	struct run *run = event->run;
	const struct script_input *input = &run->input;
	const struct script_sink *sink = &event->script->world.sinks[0];
	struct work work = {
	        .script = event->script, .event = event, .run = run, .result = failure, .output = output};
	struct state_call call = {.name = "passing the event on",
	        .function = run_pass,
	        .context = &work,
	        .run = run,
	        .decodes = input->value.size,
	        .repeatable = true,
	        .reset = reset_pass};
	*output = (struct output){.timestamp = input->timestamp};
	if (sink->stream == NULL && sink->key_count == 0) {
		output->headers = output_headers_copy(input->headers, input->header_count);
		output->header_count = input->header_count;
	} else if (!state_call(event->script, &call, failure)) {
		return false;
	}
	if (sink->stream == NULL)
		use_verbatim(output, &input->value);
	return true;
}
