/* What the engine registers, what the lists of names say and what the types for editors describe are the
 * same. */
#include "script_api.h"
#include "script_fixture.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define STUB "scripts/types/millrace.lua"

/* All that can be reached from a table: "name" or "group.name", sorted, each with a blank behind it. */
static const char walk[] =
        "local function list(t, prefix, out)\n"
        "  for name, value in pairs(t) do\n"
        "    if type(value) == 'table' and name ~= '_G' and name ~= 'params' and prefix == '' then\n"
        "      list(value, name .. '.', out)\n"
        "    elseif prefix .. name ~= 'params' then\n"
        "      out[#out + 1] = prefix .. name .. (type(value) == 'function' and '()' or '')\n"
        "    end\n"
        "  end\n"
        "  return out\n"
        "end\n"
        "local function joined(t) local out = list(t, '', {}) table.sort(out) return table.concat(out, ' ') "
        "end\n";

/* What this expression is inside the engine's sandbox. */
static char *in_the_sandbox(const char *expression)
{
	char *text =
	        mem_printf("local millrace = require 'millrace'\n%s"
	                   "return {api = 1, transform = function() return millrace.fail('T', %s) end}\n",
	                walk, expression);
	struct script *script = fixture_open(text);
	struct script_result result = fixture_transform(script, NULL);
	assert_int_equal(VERDICT_FAIL, result.verdict);
	assert_string_equal("T", result.type);
	char *said = mem_strdup(result.message);
	script_result_free(&result);
	script_release(script);
	mem_free(text);
	return said;
}

static void what_the_engine_registers_is_what_the_list_says(void **state)
{
	(void)state;
	char *there = in_the_sandbox("joined(millrace)");
	struct buf listed;
	buf_init(&listed, 0);
	for (size_t i = 0; i < script_function_count; i++) {
		const struct script_function *f = &script_functions[i];
		if (strcmp(f->name, "params") != 0)
			buf_printf(&listed, "%s%s%s", listed.size ? " " : "", f->name,
			        f->parameters ? "()" : "");
	}
	assert_string_equal(there, listed.data);
	buf_free(&listed);
	mem_free(there);
}

static bool is_group(const char *name)
{
	for (size_t i = 0; i < script_function_count; i++)
		if (strncmp(script_functions[i].name, name, strlen(name)) == 0 &&
		        script_functions[i].name[strlen(name)] == '.')
			return true;
	return false;
}

static void the_members_of_millrace_are_those_of_the_list(void **state)
{
	(void)state;
	size_t members = 0;
	for (size_t i = 0; i < script_function_count; i++) {
		char *full = mem_printf("millrace.%s", script_functions[i].name), *dot = strrchr(full, '.');
		*dot = '\0';
		const char *const *names = script_members(full);
		assert_non_null(names);
		while (*names && strcmp(*names, dot + 1) != 0)
			names++;
		if (*names == NULL)
			fail_msg("%s is no member of %s", dot + 1, full);
		mem_free(full);
	}
	for (const char *const *name = script_members("millrace"); *name; name++) {
		char *full = mem_printf("millrace.%s", *name);
		const char *const *inner = is_group(*name) ? script_members(full) : NULL;
		members += inner == NULL;
		for (; inner && *inner; inner++)
			members++;
		mem_free(full);
	}
	assert_int_equal(members, script_function_count);
}

/* Is the word one of the list's, with or without its parentheses? */
static bool has_word(const char *list, const char *word)
{
	size_t size = strlen(word);
	for (const char *at = list; (at = strstr(at, word)) != NULL; at++)
		if ((at == list || at[-1] == ' ') && strchr("( ", at[size]))
			return true;
	return false;
}

static void the_names_of_the_sandbox_are_those_of_the_lists(void **state)
{
	(void)state;
	char *there = in_the_sandbox("joined(_G)");
	struct buf listed;
	buf_init(&listed, 0);
	for (const char *const *name = script_members(""); *name; name++) {
		const char *const itself[] = {*name, NULL}, *const *inner = script_members(*name);
		for (const char *const *one = inner ? inner : itself; *one; one++) {
			char *word = inner ? mem_printf("%s.%s", *name, *one) : mem_strdup(*one);
			if (!has_word(there, word))
				fail_msg("the sandbox has no %s", word);
			buf_printf(&listed, "%s ", word);
			mem_free(word);
		}
	}
	for (char *word = strtok(there, " "); word; word = strtok(NULL, " ")) {
		word[strcspn(word, "(")] = '\0';
		if (!has_word(listed.data, word))
			fail_msg("the lists lack %s", word);
	}
	buf_free(&listed);
	mem_free(there);
}

static void what_is_said_to_be_absent_is_absent(void **state)
{
	(void)state;
	for (size_t i = 0; i < script_absent_count; i++) {
		char *quoted = mem_printf("tostring(_G.%s)", script_absents[i].name);
		bool local = strcmp(script_absents[i].name, "millrace") == 0;
		char *said = local ? NULL : in_the_sandbox(quoted);
		if (said && strcmp(said, "nil") != 0)
			fail_msg("%s is there: %s", script_absents[i].name, said);
		mem_free(quoted);
		mem_free(said);
	}
}

/* Loads the stub into a Lua of its own; the table of the module is on top. */
static lua_State *load_stub(void)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	if (luaL_dofile(L, STUB) != 0)
		fail_msg("%s", lua_tostring(L, -1));
	assert_true(lua_istable(L, -1));
	return L;
}

/* "reason, options?" without the question marks. */
static void names_of(const char *parameters, struct buf *out)
{
	buf_clear(out);
	buf_append_text(out, "");
	for (const char *at = parameters; *at; at++)
		if (*at != '?')
			buf_append_byte(out, *at);
}

/* What the function on top is declared with, in the same form. */
static void declared(lua_State *L, struct buf *out)
{
	buf_clear(out);
	buf_append_text(out, "");
	lua_getglobal(L, "debug");
	lua_getfield(L, -1, "getinfo");
	lua_pushvalue(L, -3);
	lua_pushstring(L, "u");
	lua_call(L, 2, 1);
	lua_getfield(L, -1, "nparams");
	lua_getfield(L, -2, "isvararg");
	int count = (int)lua_tointeger(L, -2);
	bool more = lua_toboolean(L, -1);
	lua_pop(L, 4);
	for (int i = 1; i <= count; i++) {
		lua_pushvalue(L, -1);
		buf_printf(out, "%s%s", i > 1 ? ", " : "", lua_getlocal(L, NULL, i));
	}
	if (more)
		buf_append_text(out, count ? ", ..." : "...");
}

static void the_types_describe_each_function_with_its_parameters(void **state)
{
	(void)state;
	lua_State *L = load_stub();
	struct buf wanted, found;
	buf_init(&wanted, 0);
	buf_init(&found, 0);
	for (size_t i = 0; i < script_function_count; i++) {
		const struct script_function *f = &script_functions[i];
		char *name = mem_strdup(f->name), *dot = strchr(name, '.');
		lua_settop(L, 1);
		if (dot)
			*dot = '\0';
		lua_getfield(L, 1, name);
		if (dot && lua_istable(L, -1))
			lua_getfield(L, -1, dot + 1);
		if (f->parameters && !lua_isfunction(L, -1))
			fail_msg("%s does not describe millrace.%s", STUB, f->name);
		if (f->parameters) {
			names_of(f->parameters, &wanted);
			declared(L, &found);
			if (strcmp(wanted.data, found.data) != 0)
				fail_msg("%s describes millrace.%s(%s); the engine has (%s)", STUB, f->name,
				        found.data, wanted.data);
		}
		mem_free(name);
	}
	buf_free(&wanted);
	buf_free(&found);
	lua_close(L);
}

static void the_types_describe_nothing_else(void **state)
{
	(void)state;
	lua_State *L = load_stub();
	char *text = mem_printf("%s return joined", walk);
	assert_int_equal(0, luaL_dostring(L, text));
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	char *described = mem_strdup(lua_tostring(L, -1));
	for (char *word = strtok(described, " "); word; word = strtok(NULL, " ")) {
		size_t i = 0;
		word[strcspn(word, "(")] = '\0';
		while (i < script_function_count && strcmp(script_functions[i].name, word) != 0)
			i++;
		if (i == script_function_count)
			fail_msg("%s describes millrace.%s, which the engine does not have", STUB, word);
	}
	mem_free(described);
	mem_free(text);
	lua_close(L);
}

/* Without what must be given a function refuses; what is said to be optional may be left out. */
static void functions_take_what_the_list_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < script_function_count; i++) {
		const struct script_function *f = &script_functions[i];
		if (f->parameters == NULL || strcmp(f->parameters, "...") == 0 ||
		        strcmp(f->name, "time.parse") == 0)
			continue; /* parse answers nil to whatever is no time */
		bool needs = *f->parameters && !strstr(f->parameters, "?")
		                     ? true
		                     : strchr(f->parameters, ',') != NULL;
		char *call = mem_printf("tostring((pcall(millrace.%s)))", f->name),
		     *said = in_the_sandbox(call);
		if (strcmp(said, needs ? "false" : "true") != 0)
			fail_msg("millrace.%s() without arguments: good is %s", f->name, said);
		mem_free(call);
		mem_free(said);
	}
	static const char *const fewest[] = {"drop('a')", "fail('a')", "retry('a')",
	        "retry('a', {after = 2})", "fail('a', 'b')", "json.array({1})",
	        "uuid.v5('d86946db-187d-489b-a4d2-9a9effaf5c22', 'a')"};
	for (size_t i = 0; i < sizeof fewest / sizeof *fewest; i++) {
		char *call = mem_printf("type(millrace.%s)", fewest[i]), *said = in_the_sandbox(call);
		assert_true(strcmp(said, "nil") != 0);
		mem_free(call);
		mem_free(said);
	}
}

static void near_names_are_found(void **state)
{
	(void)state;
	assert_string_equal("format", script_nearest("string", "fromat"));
	assert_string_equal("json", script_nearest("response", "jsn"));
	assert_null(script_nearest("string", "zzzzzz"));
	assert_null(script_nearest("no such library", "x"));
	assert_non_null(script_instead("io"));
	assert_null(script_instead("string.format"));
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_the_engine_registers_is_what_the_list_says),
	        cmocka_unit_test(the_members_of_millrace_are_those_of_the_list),
	        cmocka_unit_test(the_names_of_the_sandbox_are_those_of_the_lists),
	        cmocka_unit_test(what_is_said_to_be_absent_is_absent),
	        cmocka_unit_test(the_types_describe_each_function_with_its_parameters),
	        cmocka_unit_test(the_types_describe_nothing_else),
	        cmocka_unit_test(functions_take_what_the_list_says),
	        cmocka_unit_test(near_names_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run);
}
