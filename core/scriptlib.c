/* The module `millrace`: what a script may call. */
#include "script_private.h"
#include "clock.h"
#include "log.h"
#include "text.h"

#include <string.h>

enum { LOG_WINDOW_MS = 10000, LOG_WINDOW_LINES = 100, LOG_LINE_MAX = 4096 };

/* The text of any value without running the script's code. */
static void add_text(lua_State *L, int index, struct buf *out)
{
	char digits[JSON_NUMBER_TEXT];
	size_t size;
	const char *text = json_number_text(L, index, &size);
	if (text == NULL && lua_type(L, index) == LUA_TSTRING)
		text = lua_tolstring(L, index, &size);
	if (text == NULL && lua_type(L, index) == LUA_TNUMBER &&
	        (size = json_print_number(lua_tonumber(L, index), digits)))
		text = digits;
	if (text)
		buf_append(out, text, size);
	else if (lua_isboolean(L, index))
		buf_append_text(out, lua_toboolean(L, index) ? "true" : "false");
	else
		buf_append_text(out, luaL_typename(L, index));
}

/* A script that tells the same of every record must not drown everything else. */
static bool may_speak(struct script *script)
{
	int64_t now = clock_now();
	if (script->log_window == 0 || now - script->log_window >= LOG_WINDOW_MS) {
		if (script->log_lines > LOG_WINDOW_LINES)
			log_warn("script", "%s: %u of its lines were left out", script->path,
			        script->log_lines - LOG_WINDOW_LINES);
		script->log_window = now ? now : 1;
		script->log_lines = 0;
	}
	return ++script->log_lines <= LOG_WINDOW_LINES;
}

static int write_log(lua_State *L, enum log_level level)
{
	struct script *script = script_of(L);
	struct buf *out = &script->scratch;
	if (!may_speak(script))
		return 0;
	buf_clear(out);
	for (int i = 1, count = lua_gettop(L); i <= count && out->size < LOG_LINE_MAX; i++) {
		if (i > 1)
			buf_append_byte(out, ' ');
		add_text(L, i, out);
	}
	size_t size = out->size > LOG_LINE_MAX ? text_utf8_valid(out->data, LOG_LINE_MAX) : out->size;
	log_write(level, NULL, "script", "%.*s", (int)size, out->data ? out->data : "");
	return 0;
}

static int log_debug_line(lua_State *L)
{
	return write_log(L, LOG_DEBUG);
}

static int log_info_line(lua_State *L)
{
	return write_log(L, LOG_INFO);
}

static int log_warn_line(lua_State *L)
{
	return write_log(L, LOG_WARN);
}

static int log_error_line(lua_State *L)
{
	return write_log(L, LOG_ERROR);
}

int scriptlib_print(lua_State *L)
{
	return write_log(L, LOG_INFO);
}

static int hash(lua_State *L, enum digest_kind kind)
{
	char hex[DIGEST_HEX];
	struct bytes bytes;
	bytes.data = luaL_checklstring(L, 1, &bytes.size);
	if (!digest_hex(kind, &bytes, 1, hex))
		return luaL_error(L, "this machine's libcrypto refuses that digest");
	lua_pushstring(L, hex);
	return 1;
}

static int hash_md5(lua_State *L)
{
	return hash(L, DIGEST_MD5);
}

static int hash_sha1(lua_State *L)
{
	return hash(L, DIGEST_SHA1);
}

static int hash_sha256(lua_State *L)
{
	return hash(L, DIGEST_SHA256);
}

static int uuid_v4(lua_State *L)
{
	char text[UUID_TEXT];
	digest_uuid4(text);
	lua_pushstring(L, text);
	return 1;
}

static int uuid_v5(lua_State *L)
{
	char text[UUID_TEXT];
	size_t size;
	const char *namespace = luaL_checkstring(L, 1), *name = luaL_checklstring(L, 2, &size);
	if (!digest_uuid5(namespace, name, size, text))
		return luaL_error(L, "millrace.uuid.v5: the namespace must be a UUID, it is '%s'", namespace);
	lua_pushstring(L, text);
	return 1;
}

static int time_now(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)clock_wall() / 1000);
	return 1;
}

static int time_parse(lua_State *L)
{
	size_t size;
	int64_t wall;
	const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &size) : NULL;
	if (text && clock_parse(text, size, &wall))
		lua_pushnumber(L, (lua_Number)wall / 1000);
	else
		lua_pushnil(L);
	return 1;
}

static int time_format(lua_State *L)
{
	char text[CLOCK_TEXT];
	lua_Number seconds = luaL_checknumber(L, 1);
	luaL_argcheck(L, seconds > -62167219200.0 && seconds < 253402300800.0, 1,
	        "a time between years 0 and 9999");
	double ms = seconds * 1000;
	clock_format((int64_t)(ms < 0 ? ms - 0.5 : ms + 0.5), text);
	lua_pushstring(L, text);
	return 1;
}

/* json.decode with more CPU time for long texts; the real one is upvalue 1. */
static int decode(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING)
		state_decoding(L, lua_objlen(L, 1));
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static void push_json(lua_State *L)
{
	const struct script *script = script_of(L);
	json_library(L);
	json_library_limits(L, &script->limits, script->heap.limit);
	lua_getfield(L, -1, "decode");
	lua_pushcclosure(L, decode, 1);
	lua_setfield(L, -2, "decode");
}

static void push_functions(lua_State *L, const luaL_Reg *functions)
{
	lua_newtable(L);
	for (const luaL_Reg *f = functions; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
}

static void add_group(lua_State *L, const char *name, const char *full_name, const luaL_Reg *functions)
{
	if (functions)
		push_functions(L, functions);
	sandbox_readonly(L, full_name);
	lua_setfield(L, -2, name);
}

void scriptlib_open(lua_State *L)
{
	static const luaL_Reg top[] = {{"counter", counter_make}, {"output", output_make},
	        {"outputs", output_many}, {"fetch", wait_fetch}, {"diff", wait_diff}, {"path", request_path},
	        {"escape", request_escape}, {NULL, NULL}};
	static const luaL_Reg logs[] = {{"debug", log_debug_line}, {"info", log_info_line},
	        {"warn", log_warn_line}, {"error", log_error_line}, {NULL, NULL}};
	static const luaL_Reg hashes[] = {
	        {"md5", hash_md5}, {"sha1", hash_sha1}, {"sha256", hash_sha256}, {NULL, NULL}};
	static const luaL_Reg uuids[] = {{"v4", uuid_v4}, {"v5", uuid_v5}, {NULL, NULL}};
	static const luaL_Reg times[] = {
	        {"now", time_now}, {"parse", time_parse}, {"format", time_format}, {NULL, NULL}};
	push_functions(L, top);
	verdict_library(L);
	push_json(L);
	add_group(L, "json", "millrace.json", NULL);
	add_group(L, "log", "millrace.log", logs);
	add_group(L, "hash", "millrace.hash", hashes);
	add_group(L, "uuid", "millrace.uuid", uuids);
	add_group(L, "time", "millrace.time", times);
	lua_pushvalue(L, -2);
	add_group(L, "params", "millrace.params", NULL);
	lua_remove(L, -2);
	sandbox_readonly(L, "millrace");
}
