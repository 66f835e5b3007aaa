/* What `transform` makes becomes struct output: encoded at once, stamped, with its key, headers and
 * timestamp. */
#include "script_private.h"
#include "clock.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 128, KEPT_ROOM = 4 << 20 };

static const char unset_id[] = "00000000-0000-0000-0000-000000000000";
/* The namespace of all ids that are made of an input, a stream and a number. */
static const char id_namespace[] = "e1049b0b-b5d8-4100-a84b-ccd51884b2d6";

static const char *const fields[] = {"value", "to", "key", "headers", "timestamp"};
enum { FIELDS = sizeof fields / sizeof *fields };

/* Pushes the scalar at "page.page_id" below the value at `index`; false (nothing pushed) when there is none.
 */
static bool push_path(lua_State *L, int index, const char *path)
{
	lua_pushvalue(L, index);
	for (const char *at = path; *at;) {
		size_t size = strcspn(at, ".");
		if (!lua_istable(L, -1)) {
			lua_pop(L, 1);
			return false;
		}
		lua_pushlstring(L, at, size);
		lua_rawget(L, -2);
		lua_remove(L, -2);
		at += size + (at[size] == '.');
	}
	int type = lua_type(L, -1);
	if (type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN ||
	        json_number_text(L, -1, &(size_t){0}))
		return true;
	lua_pop(L, 1);
	return false;
}

bool output_key(lua_State *L, int index, const struct key_field *key, size_t count, struct buf *out)
{
	struct json_error error;
	buf_append_byte(out, '{');
	for (size_t i = 0; i < count; i++) {
		if (!push_path(L, index, key[i].path))
			return false;
		if (i)
			buf_append_byte(out, ',');
		text_json_string(out, key[i].name, strlen(key[i].name));
		buf_append_byte(out, ':');
		bool good = json_encode(L, -1, out, &error);
		lua_pop(L, 1);
		if (!good)
			return false;
	}
	return buf_append_byte(out, '}');
}

static void too_large(lua_State *L, const struct script_sink *sink)
{
	char limit[32];
	text_human_bytes(sink->max_bytes, limit);
	state_raise_here(L, "OutputTooLarge", "the output for sink '%s' is larger than its max_bytes (%s)",
	        sink->name, limit);
}

static void encode(lua_State *L, int index, const struct script_sink *sink, struct output *out)
{
	struct buf *made = &script_of(L)->made;
	struct json_error error;
	char now[CLOCK_TEXT];
	buf_clear(made);
	made->limit = sink->max_bytes;
	clock_format(clock_wall(), now);
	struct json_stamp stamp = {.schema = sink->schema, .stream = sink->stream, .dt = now, .id = unset_id};
	bool good = sink->stream ? json_encode_stamped(L, index, &stamp, made, &out->id_at, &error)
	                         : json_encode(L, index, made, &error);
	if (made->full)
		too_large(L, sink);
	if (!good)
		state_raise_here(L, "OutputInvalid", "the output for sink '%s' cannot be encoded: %s",
		        sink->name, error.message);
	out->value_size = made->size;
	if (made->capacity > KEPT_ROOM)
		out->value = mem_realloc(buf_steal(made, NULL), out->value_size + 1);
	else
		out->value = mem_dup(made->data, made->size);
}

static void set_key(struct output *out, const char *key, size_t size)
{
	out->has_key = true;
	out->key = mem_dup(key, size);
	out->key_size = size;
}

/* The sink's own key, made of the value; without one the lane's is used later. */
static void make_key(lua_State *L, int index, const struct script_sink *sink, struct output *out)
{
	struct buf *text = &script_of(L)->scratch;
	if (sink->key_count == 0)
		return;
	buf_clear(text);
	if (output_key(L, index, sink->key, sink->key_count, text))
		set_key(out, text->data, text->size);
}

void output_fill(
        lua_State *L, int index, size_t sink_index, const struct script_input *input, struct output *out)
{
	const struct script_sink *sink = &script_of(L)->world.sinks[sink_index];
	out->sink = sink_index;
	if (lua_type(L, index) != LUA_TLIGHTUSERDATA) /* null is a tombstone */
		encode(L, index, sink, out);
	make_key(L, index, sink, out);
	out->timestamp = input->timestamp;
	out->headers = output_headers_copy(input->headers, input->header_count);
	out->header_count = input->header_count;
}

/* Before it is copied: Lua does not count what it is copied to. */
static void count_bytes(lua_State *L, size_t size)
{
	struct script *script = script_of(L);
	script->run->output_bytes += size;
	if (script->run->output_bytes > script->heap.limit)
		state_raise_here(L, "OutputTooLarge",
		        "the outputs of one record are larger than script.memory together");
}

static size_t headers_size(const struct script_input *input)
{
	size_t size = 0;
	for (size_t i = 0; i < input->header_count; i++)
		size += strlen(input->headers[i].name) + input->headers[i].size;
	return size;
}

static struct output *make(lua_State *L, size_t sink, int index)
{
	struct script *script = script_of(L);
	struct run *run = script->run;
	if (script->world.sink_count == 0)
		state_raise_here(L, "ScriptError", "no sink is configured");
	if (run->output_count == OUTPUTS_MAX)
		state_raise_here(
		        L, "OutputInvalid", "more than %d outputs were made of one record", OUTPUTS_MAX);
	if (run->output_count == run->output_room) {
		run->output_room = run->output_room ? 2 * run->output_room : 4;
		run->outputs = mem_realloc(run->outputs, run->output_room * sizeof *run->outputs);
	}
	struct output *out = &run->outputs[run->output_count++];
	*out = (struct output){0};
	count_bytes(L, headers_size(&run->input));
	output_fill(L, index, sink, &run->input, out);
	count_bytes(L, out->value_size + out->key_size);
	return out;
}

size_t output_plain(lua_State *L, int index)
{
	make(L, 0, index);
	return script_of(L)->run->output_count - 1;
}

static void check_fields(lua_State *L)
{
	if (!lua_istable(L, 1))
		luaL_error(L,
		        "millrace.output: a table with value, to, key, headers, timestamp expected, got %s",
		        verdict_describe(L, 1));
	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
		const char *name =
		        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
		if (verdict_known(name, fields, FIELDS))
			continue;
		const char *meant = text_did_you_mean(name, fields, FIELDS);
		lua_pushstring(L, name);
		if (meant)
			luaL_error(
			        L, "millrace.output: unknown member '%s'; did you mean '%s'?", name, meant);
		luaL_error(L,
		        "millrace.output: unknown member '%s'; there are value, to, key, headers and "
		        "timestamp (an "
		        "event goes into `value`)",
		        name);
	}
}

static int field(lua_State *L, const char *name)
{
	lua_pushstring(L, name);
	lua_rawget(L, 1);
	return lua_type(L, -1);
}

static size_t read_sink(lua_State *L)
{
	struct script *script = script_of(L);
	struct buf *out = &script->scratch;
	int type = field(L, "to");
	if (type == LUA_TNIL)
		return 0;
	const char *name = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
	buf_clear(out);
	for (size_t i = 0; i < script->world.sink_count; i++) {
		if (strcmp(script->world.sinks[i].name, name) == 0)
			return i;
		buf_printf(out, "%s%s", i ? ", " : "", script->world.sinks[i].name);
	}
	return (size_t)luaL_error(L, "millrace.output: `to` must name a sink; there %s %s, not '%s'",
	        script->world.sink_count == 1 ? "is" : "are", out->data ? out->data : "none", name);
}

static void read_key(lua_State *L, struct output *out)
{
	size_t size;
	int type = field(L, "key");
	if (type == LUA_TNIL)
		return;
	if (type != LUA_TSTRING)
		luaL_error(L, "millrace.output: `key` must be a string, it is %s", verdict_describe(L, -1));
	const char *key = lua_tolstring(L, -1, &size);
	count_bytes(L, size);
	mem_free(out->key);
	set_key(out, key, size);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct output_header *)a)->name, ((const struct output_header *)b)->name);
}

static void add_header(lua_State *L, struct output *out)
{
	size_t size = 0;
	bool null = lua_type(L, -1) == LUA_TLIGHTUSERDATA;
	if (lua_type(L, -2) != LUA_TSTRING || (lua_type(L, -1) != LUA_TSTRING && !null))
		luaL_error(
		        L, "millrace.output: `headers` must be a table of names and strings (or json.null)");
	if (out->header_count == HEADERS_MAX)
		luaL_error(L, "millrace.output: more than %d headers", HEADERS_MAX);
	const char *value = null ? NULL : lua_tolstring(L, -1, &size);
	count_bytes(L, size + lua_objlen(L, -2));
	output_set_header(out, lua_tostring(L, -2), value, size);
}

static void read_headers(lua_State *L, struct output *out)
{
	int type = field(L, "headers");
	if (type == LUA_TNIL)
		return;
	if (type != LUA_TTABLE)
		luaL_error(
		        L, "millrace.output: `headers` must be a table, it is %s", verdict_describe(L, -1));
	output_headers_free(out->headers, out->header_count);
	out->headers = NULL;
	out->header_count = 0;
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		add_header(L, out);
	if (out->header_count)
		qsort(out->headers, out->header_count, sizeof *out->headers, by_name);
}

static void read_timestamp(lua_State *L, struct output *out)
{
	int type = field(L, "timestamp");
	if (type == LUA_TNIL)
		return;
	double seconds = type == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
	if (!(seconds >= 0 && seconds < 1e11))
		luaL_error(L, "millrace.output: `timestamp` must be a number of seconds since 1970, it is %s",
		        type == LUA_TNUMBER ? "out of range" : verdict_describe(L, -1));
	out->timestamp = (int64_t)(seconds * 1000 + 0.5);
}

int output_make(lua_State *L)
{
	struct run *run = script_of(L)->run;
	lua_settop(L, 1);
	check_fields(L);
	size_t sink = read_sink(L);
	if (field(L, "value") == LUA_TNIL)
		return luaL_error(
		        L, "millrace.output: `value` is missing (for a tombstone: millrace.json.null)");
	struct output *out = make(L, sink, lua_gettop(L));
	read_key(L, out);
	read_headers(L, out);
	read_timestamp(L, out);
	verdict_push_output(L, run->serial, &(size_t){run->output_count - 1}, 1);
	return 1;
}

/* The outputs that argument i stands for, appended to `indexes`. */
static size_t gather(lua_State *L, int i, size_t *indexes, size_t count)
{
	struct run *run = script_of(L)->run;
	const struct verdict_data *verdict = verdict_at(L, i);
	if (verdict && verdict->kind == VERDICT_OUTPUT && verdict->serial == run->serial) {
		if (verdict->count > OUTPUTS_MAX - count)
			luaL_error(L, "millrace.outputs: more than %d outputs", OUTPUTS_MAX);
		memcpy(indexes + count, verdict->indexes, verdict->count * sizeof *indexes);
		return count + verdict->count;
	}
	if (count == OUTPUTS_MAX || !lua_istable(L, i) || lua_objlen(L, i) > 0)
		luaL_error(L,
		        "millrace.outputs: argument %d must be an output of this record or an event, it is "
		        "%s",
		        i,
		        verdict && verdict->kind == VERDICT_OUTPUT ? "an output of another record"
		                                                   : verdict_describe(L, i));
	indexes[count] = output_plain(L, i);
	return count + 1;
}

int output_many(lua_State *L)
{
	size_t indexes[OUTPUTS_MAX], count = 0;
	int arguments = lua_gettop(L);
	if (arguments == 0)
		return luaL_error(L,
		        "millrace.outputs: at least one output expected (or answer millrace.drop(reason))");
	for (int i = 1; i <= arguments; i++)
		count = gather(L, i, indexes, count);
	for (size_t i = 1; i < count; i++)
		for (size_t j = 0; j < i; j++)
			if (indexes[i] == indexes[j])
				return luaL_error(
				        L, "millrace.outputs: output %d is there twice", (int)i + 1);
	verdict_push_output(L, script_of(L)->run->serial, indexes, count);
	return 1;
}

void output_take(struct run *run, const size_t *indexes, size_t count, struct script_result *result)
{
	result->outputs = mem_zalloc(count, sizeof *result->outputs);
	result->output_count = count;
	for (size_t i = 0; i < count; i++) {
		result->outputs[i] = run->outputs[indexes[i]];
		run->outputs[indexes[i]] = (struct output){0};
	}
}

void output_drop(struct run *run)
{
	for (size_t i = 0; i < run->output_count; i++)
		output_free(&run->outputs[i]);
	mem_free(run->outputs);
	run->outputs = NULL;
	run->output_count = run->output_room = run->output_bytes = 0;
}

void script_finish_output(
        struct script_event *event, struct output *output, size_t n, const struct script_input *input)
{
	char id[UUID_TEXT];
	struct buf name;
	if (output->id_at == 0)
		return;
	buf_init(&name, 0);
	if (event->id)
		buf_append_text(&name, event->id);
	else
		buf_printf(
		        &name, "%s/%d/%lld", input->topic, (int)input->partition, (long long)input->offset);
	buf_printf(&name, "\n%s\n%zu", event->script->world.sinks[output->sink].stream, n);
	digest_uuid5(id_namespace, name.data, name.size, id);
	memcpy(output->value + output->id_at, id, UUID_TEXT - 1);
	buf_free(&name);
}
