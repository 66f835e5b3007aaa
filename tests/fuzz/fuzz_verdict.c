/* libFuzzer: whatever Lua value a hook answers, and whatever it gives to the engine's functions, becomes a
 * verdict that the engine can act on, or a failure that says what is wrong; and the state goes on. */
#include "script.h"
#include "text.h"

enum { DEPTH = 5, LIVES = 2000 /* inputs until a fresh state, so that a find is easily told again */ };

/* `event.call` is a path into `millrace`, or nothing; `event.made` are the answer or the arguments. */
static const char text[] = "local millrace = require 'millrace'\n"
                           "local function answer(event)\n"
                           "  local made, f = event.made, event.call and millrace[event.call]\n"
                           "  if event.library then f = millrace[event.library][event.call] end\n"
                           "  if not f then return made[1] end\n"
                           "  return f(made[1], made[2], made[3])\n"
                           "end\n"
                           "return {api = 1, request = answer, transform = answer,\n"
                           "  parts = function(json, values) return json.made end}\n";

static const char *const words[] = {"upstream", "host", "path", "query", "method", "headers", "body",
        "timeout", "accept", "optional", "expect", "merge", "param", "max", "bytes", "split", "value", "to",
        "key", "timestamp", "after", "scope", "lookup", "json", "first", "hosts", "root", "plain", "stamped",
        "parts", "GET", "POST", "/a", "/../b", "a.example.org", "Accept", "meta", "id", "dt", "stream",
        "$schema", "name", "d86946db-187d", "2026-11-22T13:26:29Z", "1e400", "-0", "a|b", "\r\nX: y", ""};
static const struct {
	const char *library, *name;
} calls[] = {{NULL, "pass"}, {NULL, "drop"}, {NULL, "fail"}, {NULL, "retry"}, {NULL, "output"},
        {NULL, "outputs"}, {NULL, "fetch"}, {NULL, "path"}, {NULL, "escape"}, {"json", "encode"},
        {"json", "decode"}, {"json", "array"}, {"json", "number"}, {"json", "is_array"}, {"hash", "sha1"},
        {"uuid", "v5"}, {"time", "parse"}, {"time", "format"}, {"log", "debug"}, {NULL, "diff"}};

/* ---- a Lua value from bytes ---- */

static int raise_error(lua_State *L)
{
	return luaL_error(L, "asked too far");
}

static void make(lua_State *L, struct fuzz *fuzz, int depth, int outer);

static void make_text(lua_State *L, struct fuzz *fuzz)
{
	size_t size = fuzz_byte(fuzz);
	if (size >= 128) {
		lua_pushstring(L, words[size % (sizeof words / sizeof *words)]);
		return;
	}
	if (size > fuzz_left(fuzz))
		size = fuzz_left(fuzz);
	lua_pushlstring(L, (const char *)fuzz->at, size);
	fuzz->at += size;
}

static void make_table(lua_State *L, struct fuzz *fuzz, int depth, int outer)
{
	unsigned shape = fuzz_byte(fuzz), count = shape % 8;
	lua_newtable(L);
	int table = lua_gettop(L);
	for (unsigned i = 1; i <= count && fuzz_left(fuzz); i++) {
		if (shape & 64)
			lua_pushinteger(L, (lua_Integer)i);
		else if (shape & 32)
			make(L, fuzz, depth - 1, table);
		else
			make_text(L, fuzz);
		make(L, fuzz, depth - 1, shape & 128 ? table : outer);
		if (lua_isnil(L, -2) ||
		        (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) != lua_tonumber(L, -2)))
			lua_pop(L, 2);
		else
			lua_rawset(L, table);
	}
	if (shape & 16 && shape & 64)
		json_tag_array(L, table);
	if ((shape & 48) == 48) { /* a metatable that nothing may ask */
		lua_newtable(L);
		lua_pushcfunction(L, raise_error);
		lua_setfield(L, -2, "__index");
		lua_setmetatable(L, table);
	}
}

static void make_number(lua_State *L, struct fuzz *fuzz)
{
	double number;
	uint64_t bits = fuzz_number(fuzz, 8);
	memcpy(&number, &bits, sizeof number);
	lua_pushnumber(L, number);
}

/* `outer`: a table that this value will be in, so that it can hold itself; 0 = none. */
static void make(lua_State *L, struct fuzz *fuzz, int depth, int outer)
{
	static const char digits[] = "123456789012345678901234567890";
	fuzz_require(lua_checkstack(L, 20), "stack");
	switch (fuzz_byte(fuzz) % 16) {
	case 0: lua_pushnil(L); break;
	case 1: lua_pushboolean(L, true); break;
	case 2: lua_pushboolean(L, false); break;
	case 3: lua_pushnumber(L, (lua_Number)(int8_t)fuzz_byte(fuzz)); break;
	case 4: lua_pushnumber(L, (lua_Number)fuzz_number(fuzz, 2) / 4); break;
	case 5: make_number(L, fuzz); break;
	case 6: lua_pushlightuserdata(L, NULL); break;
	case 7: fuzz_require(json_decode(L, digits, 17 + fuzz_byte(fuzz) % 13, NULL, NULL), "number"); break;
	case 8: lua_pushcfunction(L, raise_error); break;
	case 9: lua_newthread(L); break;
	case 10:
		if (outer)
			lua_pushvalue(L, outer);
		else
			lua_newuserdata(L, 8);
		break;
	case 11:
	case 12: make_text(L, fuzz); break;
	default:
		if (depth > 0)
			make_table(L, fuzz, depth, outer);
		else
			lua_pushnil(L);
	}
}

static void set_text(lua_State *L, int table, const char *name, const char *value)
{
	lua_pushstring(L, name);
	if (value)
		lua_pushstring(L, value);
	else
		lua_pushnil(L);
	lua_rawset(L, table);
}

/* What the hooks answer this time. */
static void instruct(const struct script_event *event, struct fuzz *fuzz)
{
	lua_State *L = fuzz_push_event(event);
	int table = lua_gettop(L);
	unsigned call = fuzz_byte(fuzz);
	bool any = call < 2 * sizeof calls / sizeof *calls;
	call %= sizeof calls / sizeof *calls;
	set_text(L, table, "call", any ? calls[call].name : NULL);
	set_text(L, table, "library", any ? calls[call].library : NULL);
	lua_pushliteral(L, "made");
	lua_newtable(L);
	for (int i = 1; i <= 3; i++) {
		make(L, fuzz, DEPTH, 0);
		lua_rawseti(L, -2, i);
	}
	lua_rawset(L, table);
	lua_settop(L, table - 1);
}

/* ---- what must hold of every verdict ---- */

static void check_identifier(const char *name)
{
	fuzz_require(name && verdict_identifier(name, strlen(name)), "'%s'", name ? name : "(none)");
}

static void check_header(const struct header *header)
{
	fuzz_require(header->name[0] && strpbrk(header->name, "\r\n: ") == NULL, "'%s'", header->name);
	fuzz_require(strpbrk(header->value, "\r\n") == NULL, "'%s'", header->value);
}

static void check_request(const struct request *request)
{
	fuzz_require(request->upstream < FUZZ_UPSTREAMS, "%zu", request->upstream);
	fuzz_require(request->method && request->method[0] && request->path, "method and path");
	for (size_t i = 0; i < request->header_count; i++)
		check_header(&request->headers[i]);
	for (size_t i = 0; i < request->accept_count; i++)
		fuzz_require(
		        request->accept[i] >= 100 && request->accept[i] <= 599, "%d", request->accept[i]);
	fuzz_require(request->timeout_ms >= 0, "%lld", (long long)request->timeout_ms);
	fuzz_require((request->merge_param == NULL) == (request->merge_value == NULL), "merge");
	fuzz_require(request->merge_param == NULL || request->merge_max >= 1, "%u", request->merge_max);
}

static void check_output(const struct output *output)
{
	fuzz_require(output->sink < 2, "%zu", output->sink);
	fuzz_require(output->id_at == 0 || output->id_at + 36 <= output->value_size, "%zu", output->id_at);
	fuzz_require(
	        text_utf8_valid(output->value ? output->value : "", output->value_size) == output->value_size,
	        "UTF-8");
	fuzz_require(output->timestamp >= 0, "%lld", (long long)output->timestamp);
}

static void check(const struct script_result *result, bool transformed)
{
	switch (result->verdict) {
	case VERDICT_ASK: fuzz_require(!transformed, "transform asks"); break;
	case VERDICT_WAIT:
		fuzz_require(transformed && (result->request_count > 0) != (result->diff.from.data != NULL),
		        "%zu requests", result->request_count);
		break;
	case VERDICT_OUTPUT:
		fuzz_require(transformed && result->output_count > 0, "%zu", result->output_count);
		break;
	case VERDICT_DROP: check_identifier(result->type); break;
	case VERDICT_RETRY:
		fuzz_require(transformed && result->after >= 0 && result->after <= 3600, "%g", result->after);
		check_identifier(result->type);
		break;
	case VERDICT_FAIL:
		check_identifier(result->type);
		fuzz_require(result->message && result->message[0], "no message for %s", result->type);
		break;
	default: fuzz_require(result->verdict == VERDICT_PASS, "%d", result->verdict);
	}
	for (size_t i = 0; i < result->request_count; i++)
		check_request(&result->requests[i]);
	for (size_t i = 0; i < result->output_count; i++)
		check_output(&result->outputs[i]);
}

/* ---- one record ---- */

static void finish(struct script_event *event, struct script_result *result, const struct script_input *input)
{
	for (size_t i = 0; i < result->output_count; i++)
		script_finish_output(event, &result->outputs[i], i, input);
}

static void resume_diff(
        struct script_event *event, const struct textdiff *question, struct script_result *next)
{
	struct buf made;
	buf_init(&made, 0);
	enum textdiff_outcome outcome = textdiff(question, &made);
	script_resume_diff(event, outcome, &(struct bytes){made.data, made.size}, next);
	buf_free(&made);
}

/* As long as transform waits, answers and diffs come. */
static void transform(struct script_event *event, struct fuzz *fuzz, const struct script_input *input)
{
	static char body[] = "{}";
	struct response response = {.status = 200, .body = body, .body_size = 2, .attempts = 1};
	struct request request = {0};
	struct script_answer_part answer = {&response, &request, -2};
	struct script_result result = {0};
	script_transform(event, &answer, fuzz_byte(fuzz) & 1, &result);
	check(&result, true);
	for (int i = 0; i < 3 && result.verdict == VERDICT_WAIT; i++) {
		struct script_answer_part *answers = calloc(result.request_count, sizeof *answers);
		for (size_t n = 0; n < result.request_count; n++)
			answers[n] = (struct script_answer_part){&response, &result.requests[n], -2};
		struct script_result next = {0};
		if (result.diff.from.data)
			resume_diff(event, &result.diff, &next);
		else
			script_resume(event, answers, result.request_count, &next);
		free(answers);
		script_result_free(&result);
		result = next;
		check(&result, true);
	}
	finish(event, &result, input);
	script_result_free(&result);
}

/* What the script's split function answers. */
static void split(struct script *script, struct fuzz *fuzz)
{
	static char body[] = "{\"made\":{\"a\":{\"x\":1},\"b\":2}}", function[] = "parts";
	struct response response = {.status = 200, .body = body, .body_size = sizeof body - 1, .attempts = 1};
	struct request request = {.split = function};
	const char *const values[] = {"a", "b", "c"};
	int parts[3] = {-2, -2, -2};
	struct script_result result = {0};
	response.status = fuzz_byte(fuzz) & 1 ? 200 : 404;
	enum script_answer answer = script_answer(script, &request, &response, values, 3, parts, &result);
	fuzz_require(answer != SCRIPT_ANSWER_FAIL || result.type, "no type");
	for (int i = 0; i < 3 && answer == SCRIPT_ANSWER_OK; i++)
		if (parts[i] != -2)
			script_drop_part(script, parts[i]);
	script_result_free(&result);
}

static void one(struct script *script, struct fuzz *fuzz)
{
	struct script_event event;
	struct script_input input;
	struct script_result result = {0};
	fuzz_event(script, &event, &input);
	instruct(&event, fuzz);
	script_request(&event, 1, &result);
	check(&result, false);
	script_result_free(&result);
	instruct(&event, fuzz);
	transform(&event, fuzz, &input);
	if (fuzz_left(fuzz))
		split(script, fuzz);
	struct output output = {0};
	if (script_pass(&event, &output, &result))
		check_output(&output);
	output_free(&output);
	script_result_free(&result);
	script_forget(&event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct script *script;
	static unsigned lives;
	static int top;
	struct fuzz fuzz = {data, data + size};
	if (script && ++lives % LIVES == 0) {
		script_release(script);
		script = NULL;
	}
	if (script == NULL) {
		script = fuzz_script(text);
		top = lua_gettop(script->L);
	}
	one(script, &fuzz);
	fuzz_require(script->holds == 1 && script->nested == 0, "%u holds, %u nested", script->holds,
	        script->nested);
	fuzz_require(lua_gettop(script->L) == top, "%d left on the stack", lua_gettop(script->L) - top);
	script_collect(script);
	return 0;
}
