/* An expression of Lua over items of a tap, in a sandboxed state of its own. */
#include "diagnostic.h"
#include "mem.h"
#include "script_private.h"
#include "script_where.h"
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MEMORY = 256 << 20, BUDGET_MS = 200, DEPTH = 200 };

static const char *const names[] = {"stage", "time", "topic", "partition", "offset", "attempt", "script",
        "bytes", "key", "headers", "event", "value", "upstream", "host", "method", "lookup", "lookups",
        "request", "status", "failure", "elapsed", "answer", "records", "outcome", "reason", "type",
        "message", "outputs", "output", "error"};
enum { NAMES = sizeof names / sizeof *names };

struct where {
	struct script script; /* a state without hooks */
	char *expression;
	int function, metatable;
	const char *item; /* while it is tested */
	size_t item_size;
	bool yes;
};

/* The name is no member of this item, and maybe of none. upvalue 1: the globals of the sandbox. */
static int find_name(lua_State *L)
{
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	lua_pushvalue(L, 2);
	lua_gettable(L, lua_upvalueindex(1));
	if (!lua_isnil(L, -1) || verdict_known(name, names, NAMES))
		return 1;
	const char *near = text_did_you_mean(name, names, NAMES);
	if (near)
		return state_raise(L, "Name", "no item has '%.60s'; did you mean '%s'?", name, near);
	return state_raise(L, "Name",
	        "no item has '%.60s'; there are stage, topic, partition, offset, event, host, status, "
	        "outcome "
	        "and more (millrace tap --help)",
	        name);
}

static int compile(lua_State *L)
{
	struct where *where = state_context(L);
	json_open(L);
	verdict_open(L);
	sandbox_open(L);
	lua_newtable(L); /* params */
	scriptlib_open(L);
	require_open(L);
	lua_createtable(L, 0, 1);
	lua_pushvalue(L, LUA_GLOBALSINDEX);
	lua_pushcclosure(L, find_name, 1);
	lua_setfield(L, -2, "__index");
	where->metatable = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushfstring(L, "return %s\n", where->expression);
	size_t size;
	const char *text = lua_tolstring(L, -1, &size);
	if (luaL_loadbufferx(L, text, size, "=--where", "t") != 0)
		return lua_error(L);
	where->function = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static void push_item(lua_State *L, const struct where *where)
{
	struct json_error error;
	if (!json_decode(L, where->item, where->item_size, &where->script.limits, &error))
		luaL_error(L, "the item is no JSON: %s", error.message);
	lua_getfield(L, -1, "outputs");
	if (lua_istable(L, -1)) {
		lua_rawgeti(L, -1, 1);
		if (lua_istable(L, -1)) {
			lua_getfield(L, -1, "value");
			lua_setfield(L, -4, "output");
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	lua_rawgeti(L, LUA_REGISTRYINDEX, where->metatable);
	lua_setmetatable(L, -2);
}

static int run(lua_State *L)
{
	struct where *where = state_context(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, where->function);
	push_item(L, where);
	lua_setfenv(L, -2);
	lua_call(L, 0, 1);
	where->yes = lua_toboolean(L, -1);
	return 0;
}

enum where_verdict where_test(struct where *where, const char *item, size_t size, struct err *err)
{
	struct script_result failure = {0};
	struct run none = {.serial = 1, .ref = LUA_NOREF, .input = {.topic = ""}};
	struct state_call call = {
	        .name = "--where", .function = run, .context = where, .run = &none, .decodes = size};
	where->item = item;
	where->item_size = size;
	where->yes = false;
	bool good = state_call(&where->script, &call, &failure);
	output_drop(&none);
	if (good)
		return where->yes ? WHERE_YES : WHERE_NO;
	enum where_verdict verdict = strcmp(failure.type, "Name") == 0 ? WHERE_WRONG : WHERE_FAILED;
	err_set(err, "%s", failure.message);
	script_result_free(&failure);
	return verdict;
}

/* ---- what is wrong with an expression ---- */

static bool same_word(char a, char b)
{
	bool word = isalnum((unsigned char)a) || a == '_';
	bool other = isalnum((unsigned char)b) || b == '_';
	return word ? other : a == b && strchr("=<>~.:", a) != NULL;
}

/* Where a token stands in the text as a word of its own, from `from`; -1 = nowhere. */
static long find_token(const char *text, const char *token, size_t size, size_t from)
{
	const char *at = text + from;
	while ((at = strstr(at, token)) != NULL) {
		if ((at == text || !same_word(at[-1], token[0])) && !same_word(at[size], token[size - 1]))
			return at - text;
		at++;
	}
	return -1;
}

static const char *hint_for(const char *token)
{
	if (strcmp(token, "=") == 0)
		return "Lua compares with ==";
	if (token[0] == '!')
		return "Lua writes ~= for \"is not\" and `not` for \"not\"";
	if (token[0] == '&')
		return "Lua writes `and`";
	if (token[0] == '|')
		return "Lua writes `or`";
	return NULL;
}

/* "--where:1: unexpected symbol near '='": the token at the message's end is where the parser stood. */
static void place(const struct where *where, const char *message, struct diagnostic *found)
{
	static char token[80];
	const char *near = strstr(message, " near '");
	size_t size = near ? strlen(near + 7) : 0, width = strlen(where->expression);
	found->line = 1;
	found->column = (unsigned)width + 1;
	found->length = 1;
	if (size < 2 || size >= sizeof token || strcmp(near, " near '<eof>'") == 0)
		return;
	memcpy(token, near + 7, size - 1);
	token[size - 1] = '\0';
	long at = find_token(where->expression, token, size - 1, 0);
	if (at < 0)
		return;
	found->column = (unsigned)at + 1;
	found->length = (unsigned)size - 1;
	found->hint = (char *)(size_t)hint_for(token);
}

static void place_name(const struct where *where, const char *message, struct diagnostic *found)
{
	const char *quote = strchr(message, '\''), *end = quote ? strchr(quote + 1, '\'') : NULL;
	char *name = end ? mem_dup(quote + 1, (size_t)(end - quote - 1)) : NULL;
	long at = name && *name ? find_token(where->expression, name, strlen(name), 0) : -1;
	found->line = 1;
	if (at >= 0) {
		found->column = (unsigned)at + 1;
		found->length = (unsigned)strlen(name);
	}
	mem_free(name);
}

/* What the parser says, without its place; some of it in words for who did not write a parser. */
static const char *sentence(const char *message)
{
	if (strncmp(message, "--where:", 8) == 0 && strstr(message, ": "))
		message = strstr(message, ": ") + 2;
	if (strstr(message, " near '<eof>'"))
		return "the expression ends too early";
	if (strncmp(message, "'<eof>' expected near ", 22) == 0)
		return "the expression has ended here, and something follows";
	return message;
}

static void tell(const struct where *where, const char *message, bool is_name, bool colour, struct buf *told)
{
	struct diagnostics found = {0};
	struct diagnostic one = {.severity = SEVERITY_ERROR, .file = (char *)(size_t) "--where"};
	one.message = (char *)(size_t)sentence(message);
	if (is_name)
		place_name(where, message, &one);
	else
		place(where, message, &one);
	diagnostics_add(&found, &one);
	diagnostics_text(&found, where->expression, strlen(where->expression), colour, told);
	diagnostics_free(&found);
}

/* A name that no item has is found where the evaluation of an empty item gets there. */
static bool names_known(struct where *where, bool colour, struct buf *told)
{
	struct err err = {""};
	if (where_test(where, "{}", 2, &err) != WHERE_WRONG)
		return true;
	tell(where, err.text, true, colour, told);
	return false;
}

struct where *where_open(const char *expression, bool colour, struct buf *told)
{
	struct where *where = mem_zalloc(1, sizeof *where);
	struct err err = {""};
	struct script_result failure = {0};
	struct state_call call = {.name = "--where", .function = compile, .context = where};
	where->expression = mem_strdup(expression);
	where->script.path = mem_strdup("--where");
	where->script.folder = mem_strdup(".");
	where->script.world.engine = "millrace";
	where->script.budget_ns = BUDGET_MS * 1000000LL;
	where->script.limits = (struct json_limits){.depth = DEPTH};
	if (expression[strspn(expression, " \t\r\n")] == '\0') {
		buf_append_text(
		        told, "--where: expected an expression such as \"status ~= 200\", found none\n");
	} else if (!state_open(&where->script, MEMORY, &err)) {
		buf_printf(told, "%s\n", err.text);
	} else if (!state_call(&where->script, &call, &failure)) {
		tell(where, failure.message, false, colour, told);
		script_result_free(&failure);
	} else if (names_known(where, colour, told)) {
		return where;
	}
	where_close(where);
	return NULL;
}

void where_close(struct where *where)
{
	if (where == NULL)
		return;
	state_close(&where->script);
	mem_free(where->script.path);
	mem_free(where->script.folder);
	mem_free(where->expression);
	mem_free(where);
}
