/* The verdicts that millrace.pass, drop, fail and retry make: userdata that a script cannot forge. */
#include "script_private.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <string.h>

static const char verdict_key; /* its address is the metatable's key in the registry */

static const char *const kind_names[] = {[VERDICT_OUTPUT] = "output",
        [VERDICT_PASS] = "pass",
        [VERDICT_DROP] = "drop",
        [VERDICT_RETRY] = "retry",
        [VERDICT_FAIL] = "fail"};

const struct verdict_data *verdict_at(lua_State *L, int index)
{
	if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
		return NULL;
	lua_pushlightuserdata(L, (void *)&verdict_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	bool ours = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return ours ? lua_touserdata(L, index) : NULL;
}

static struct verdict_data *push(lua_State *L, enum verdict kind, size_t more)
{
	struct verdict_data *verdict = lua_newuserdata(L, sizeof *verdict + more);
	memset(verdict, 0, sizeof *verdict);
	verdict->kind = kind;
	lua_pushlightuserdata(L, (void *)&verdict_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_setmetatable(L, -2);
	return verdict;
}

void verdict_push_output(lua_State *L, uint64_t serial, const size_t *indexes, size_t count)
{
	struct verdict_data *verdict = push(L, VERDICT_OUTPUT, count * sizeof *indexes);
	verdict->serial = serial;
	verdict->count = count;
	memcpy(verdict->indexes, indexes, count * sizeof *indexes);
}

void verdict_copy(const struct verdict_data *verdict, struct script_result *result)
{
	result->verdict = verdict->kind;
	result->after = verdict->after;
	result->host_scope = verdict->host_scope;
	if (verdict->type[0])
		result->type = mem_strdup(verdict->type);
	if (verdict->kind == VERDICT_FAIL)
		result->message = mem_dup(verdict->message, verdict->message_size);
}

bool verdict_identifier(const char *text, size_t size)
{
	if (size == 0 || size >= LABEL_SIZE ||
	        !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", text[0]))
		return false;
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\0' ||
		        !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", text[i]))
			return false;
	return true;
}

/* Remembers the name, or replaces it by "other" when there are too many: names become labels of metrics. */
static void set_type(lua_State *L, struct verdict_data *verdict, struct labels *labels, const char *name)
{
	size_t i = 0;
	while (i < labels->count && strcmp(labels->names[i], name) != 0)
		i++;
	if (i == labels->count && i == LABELS_MAX) {
		if (!labels->told)
			log_warn("script",
			        "%s: more than %d different names in %s; further ones become \"other\"",
			        script_of(L)->path, LABELS_MAX, kind_names[verdict->kind]);
		labels->told = true;
		name = "other";
	} else if (i == labels->count) {
		snprintf(labels->names[labels->count++], LABEL_SIZE, "%s", name);
	}
	snprintf(verdict->type, sizeof verdict->type, "%s", name);
}

static const char *check_identifier(lua_State *L, int index, const char *what)
{
	size_t size = 0;
	const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &size) : NULL;
	if (text == NULL)
		luaL_error(L, "%s must be a string, got %s", what, verdict_describe(L, index));
	if (!verdict_identifier(text, size))
		luaL_error(L,
		        "%s must be an identifier (a letter, then letters, digits, '_', '.' or '-'; 64 at "
		        "most), got '%s'",
		        what, text);
	return text;
}

static int make_pass(lua_State *L)
{
	push(L, VERDICT_PASS, 0);
	return 1;
}

static int make_drop(lua_State *L)
{
	const char *reason = check_identifier(L, 1, "the reason of millrace.drop");
	set_type(L, push(L, VERDICT_DROP, 0), &script_of(L)->drops, reason);
	return 1;
}

static int make_fail(lua_State *L)
{
	size_t size;
	const char *type = check_identifier(L, 1, "the type of millrace.fail");
	const char *message = luaL_optlstring(L, 2, type, &size);
	if (*message == '\0') { /* nothing said, or nothing that C would see */
		message = type;
		size = strlen(type);
	}
	if (size > MESSAGE_MAX)
		size = text_utf8_valid(message, MESSAGE_MAX);
	struct verdict_data *verdict = push(L, VERDICT_FAIL, size + 1);
	set_type(L, verdict, &script_of(L)->failures, type);
	memcpy(verdict->message, message, size);
	verdict->message[size] = '\0';
	verdict->message_size = size;
	return 1;
}

static void read_retry(lua_State *L, double *after, bool *host)
{
	luaL_checktype(L, 2, LUA_TTABLE);
	for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
		if (strcmp(name, "after") == 0) {
			*after = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
			if (!(*after >= 0 && *after <= 3600))
				luaL_error(L,
				        "millrace.retry: after must be a number of seconds from 0 to 3600");
		} else if (strcmp(name, "scope") == 0) {
			const char *scope = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
			*host = strcmp(scope, "host") == 0;
			if (!*host && strcmp(scope, "lookup") != 0)
				luaL_error(L, "millrace.retry: scope must be \"lookup\" or \"host\"");
		} else {
			luaL_error(
			        L, "millrace.retry: unknown option '%s' (there are after and scope)", name);
		}
	}
}

static int make_retry(lua_State *L)
{
	const char *reason = check_identifier(L, 1, "the reason of millrace.retry");
	double after = 1;
	bool host = false;
	if (!lua_isnoneornil(L, 2))
		read_retry(L, &after, &host);
	struct verdict_data *verdict = push(L, VERDICT_RETRY, 0);
	set_type(L, verdict, &script_of(L)->retries, reason);
	verdict->after = after;
	verdict->host_scope = host;
	return 1;
}

/* For people and self-tests: verdict, type, message, after, scope. */
static int get_member(lua_State *L)
{
	const struct verdict_data *verdict = verdict_at(L, 1);
	const char *name = luaL_checkstring(L, 2);
	if (verdict == NULL)
		return luaL_error(L, "a verdict expected");
	if (strcmp(name, "verdict") == 0)
		lua_pushstring(L, kind_names[verdict->kind]);
	else if (strcmp(name, "type") == 0 && verdict->type[0])
		lua_pushstring(L, verdict->type);
	else if (strcmp(name, "message") == 0 && verdict->kind == VERDICT_FAIL)
		lua_pushlstring(L, verdict->message, verdict->message_size);
	else if (strcmp(name, "after") == 0 && verdict->kind == VERDICT_RETRY)
		lua_pushnumber(L, verdict->after);
	else if (strcmp(name, "scope") == 0 && verdict->kind == VERDICT_RETRY)
		lua_pushstring(L, verdict->host_scope ? "host" : "lookup");
	else
		lua_pushnil(L);
	return 1;
}

static int to_text(lua_State *L)
{
	const struct verdict_data *verdict = verdict_at(L, 1);
	if (verdict == NULL)
		return luaL_error(L, "a verdict expected");
	lua_pushfstring(L, "millrace.%s(%s)", kind_names[verdict->kind], verdict->type);
	return 1;
}

bool verdict_known(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void describe_table(lua_State *L, int index, struct buf *out)
{
	int shown = 0;
	if (json_is_array(L, index) || lua_objlen(L, index) > 0) {
		buf_printf(out, "an array of %d", (int)lua_objlen(L, index));
		return;
	}
	lua_pushvalue(L, index);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (shown++ == 4) {
			buf_append_text(out, ", ...");
			lua_pop(L, 2);
			break;
		}
		buf_append_text(out, shown == 1 ? "a table with " : ", ");
		if (lua_type(L, -2) == LUA_TSTRING)
			buf_printf(out, "'%.40s'", lua_tostring(L, -2));
		else
			buf_printf(out, "a key of type %s", luaL_typename(L, -2));
	}
	lua_pop(L, 1);
	if (shown == 0)
		buf_append_text(out, "an empty table");
}

const char *verdict_describe(lua_State *L, int index)
{
	struct buf *out = &script_of(L)->scratch;
	const struct verdict_data *verdict = verdict_at(L, index);
	buf_clear(out);
	switch (lua_type(L, index)) {
	case LUA_TNONE:
	case LUA_TNIL: buf_append_text(out, "nil"); break;
	case LUA_TSTRING: buf_append_text(out, "a string"); break;
	case LUA_TNUMBER: buf_append_text(out, "a number"); break;
	case LUA_TBOOLEAN: buf_append_text(out, lua_toboolean(L, index) ? "true" : "false"); break;
	case LUA_TFUNCTION: buf_append_text(out, "a function"); break;
	case LUA_TLIGHTUSERDATA: buf_append_text(out, "null"); break;
	case LUA_TTABLE: describe_table(L, index, out); break;
	default:
		if (verdict)
			buf_printf(out, "millrace.%s", kind_names[verdict->kind]);
		else
			buf_printf(out, "a %s", luaL_typename(L, index));
	}
	return out->data;
}

void verdict_open(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&verdict_key);
	lua_createtable(L, 0, 3);
	lua_pushcfunction(L, get_member);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, to_text);
	lua_setfield(L, -2, "__tostring");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_rawset(L, LUA_REGISTRYINDEX);
}

void verdict_library(lua_State *L)
{
	static const luaL_Reg functions[] = {{"pass", make_pass}, {"drop", make_drop}, {"fail", make_fail},
	        {"retry", make_retry}, {NULL, NULL}};
	for (const luaL_Reg *f = functions; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
}
