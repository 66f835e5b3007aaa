/* What a script may not do, and that the next event works after it tried. */
#include "clock.h"
#include "script_fixture.h"

#include "script_private.h"

static void fails_and_goes_on(const char *transform, const char *type, const char *words)
{
	struct script *script = fixture_hooks("return nil", transform);
	struct script_result result = fixture_transform(script, NULL);
	expect_failure(&result, type, words);
	expect_sane(script);
	result = fixture_request(script);
	expect_failure(&result, "ScriptAnswer", "answered nil");
	script_release(script);
}

/* The body returns a text (or something with a text), which the event carries out. */
static void says(const char *body, const char *words)
{
	char *transform = mem_printf("event = {said = (function() %s end)()} return event", body);
	struct script *script = fixture_hooks("return nil", transform);
	struct script_result result = fixture_transform(script, NULL);
	expect_output(&result, words);
	script_release(script);
	mem_free(transform);
}

static void raises(const char *body, const char *words)
{
	fails_and_goes_on(body, "ScriptError", words);
}

static void an_endless_loop_costs_its_own_record_only(void **state)
{
	static const char *const loops[] = {
	        "while true do end",
	        "for i = 1, math.huge do end",
	        "while true do string.rep('x', 100000) end",
	        "while true do local s = ('x'):rep(100000) end",
	        "repeat until ('a'):rep(1000000):find('a-b')",
	        "local t = {} for i = 1, 200000 do t[i] = i % 7 end while true do table.sort(t) end",
	        "local t = setmetatable({}, {__index = function() while true do end end}) print(t.x)",
	        "local t = setmetatable({}, {__tostring = function() while true do end end}) "
	        "print(tostring(t))",
	        "local t = setmetatable({}, {__tostring = tostring}) print(tostring(t))",
	        "local t = setmetatable({}, {__tostring = function() while true do end end}) "
	        "print(('%s'):format(t))",
	        "while true do event = millrace.json.decode(millrace.json.encode(event)) end",
	        "while true do millrace.hash.sha256(('x'):rep(10000)) end",
	};
	(void)state;
	for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
		char *text = mem_printf("do %s end return event", loops[i]);
		fails_and_goes_on(text, "ScriptTimeout", "script.budget");
		mem_free(text);
	}
}

static void nothing_a_script_wraps_around_a_loop_saves_it(void **state)
{
	static const char *const loops[] = {
	        "while true do pcall(function() while true do end end) end",
	        "local function f() return pcall(f) end while true do f() end",
	        "local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end",
	        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
	        "while true do pcall(string.gsub, ('a'):rep(100), 'a', function() while true do end end) end",
	        "while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
	        "while true do pcall(load, function() while true do end end) end",
	        "pcall(function() while true do end end) while true do pcall(error) end",
	        "pcall(function() while true do end end)", /* swallowed, and then answered as if nothing had
	                                                      been */
	};
	(void)state;
	for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
		char *text = mem_printf("do %s end return event", loops[i]);
		fails_and_goes_on(text, "ScriptTimeout", "script.budget");
		mem_free(text);
	}
}

static void a_timeout_says_where_it_was(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("return nil", "local function spin()\nwhile true do end end\nspin()");
	struct script_result result = fixture_transform(script, NULL);
	assert_string_equal("ScriptTimeout", result.type);
	assert_non_null(strstr(result.message, "hook 'transform'"));
	if (strstr(result.stack, "t.lua:6: in function 'spin'") == NULL)
		fail_msg("%s", result.stack);
	assert_int_equal(1, script_usage(script).timeouts);
	script_result_free(&result);
	script_release(script);
}

static void time_that_the_engine_needs_for_an_answer_counts_too(void **state)
{
	(void)state;
	fixture_budget_ms = 5000;
	struct script *script = fixture_hooks("if not kept[1] then for i = 1, 100000 do kept[i] = i end end "
	                                      "return {path = '/', body = kept}",
	        "");
	struct script_event event;
	struct script_result result = fixture_request(script);
	assert_int_equal(VERDICT_ASK, result.verdict);
	script_result_free(&result);
	fixture_decode(script, &event, edit);
	script->budget_ns = 300000;
	script_request(&event, 1, &result); /* encoding the body is no Lua that a hook could stop */
	expect_failure(&result, "ScriptTimeout", "hook 'request'");
	script_forget(&event);
	script_release(script);
	fixture_budget_ms = 30;
}

static void a_memory_hog_costs_its_own_record_only(void **state)
{
	static const char *const hogs[] = {
	        "local s = ('x'):rep(1e9)", "local s = ('x'):rep(1e6) while true do s = s .. s end",
	        "local t = {} while true do t[#t + 1] = {} end",
	        "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end",
	        "local t = {} for i = 1, 1e9 do t[i] = ('y'):rep(10000) .. i end",
	        "local s = ('x'):rep(1e6):gsub('x', ('y'):rep(100))",
	        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
	        "local t = {} for i = 1, 1e8 do t[i] = i end", "pcall(string.rep, 'x', 1e9)", /* swallowed */
	};
	(void)state;
	fixture_budget_ms = 10000;
	for (size_t i = 0; i < sizeof hogs / sizeof *hogs; i++) {
		char *text = mem_printf("%s return event", hogs[i]);
		fails_and_goes_on(text, "ScriptMemory", "script.memory");
		mem_free(text);
	}
	fixture_budget_ms = 30;
}

static void garbage_does_not_count_against_a_hook(void **state)
{
	(void)state;
	fixture_budget_ms = 10000;
	struct script *script = fixture_hooks(
	        "return nil", "for i = 1, 200 do local s = ('x'):rep(1e6) .. i end return event");
	for (int i = 0; i < 5; i++) {
		struct script_result result = fixture_transform(script, NULL);
		expect_output(&result, "enwiki");
	}
	assert_true(script_usage(script).memory_maximum <= MEMORY);
	assert_int_equal(0, script_usage(script).memory_failures);
	script_release(script);
	fixture_budget_ms = 30;
}

static void what_a_script_hoards_is_seen_as_unsound(void **state)
{
	struct err err = {""};
	(void)state;
	fixture_budget_ms = 10000;
	struct script *script = fixture_hooks(
	        "return nil", "for i = 1, 1e6 do kept[#kept + 1] = ('y'):rep(1000) .. i end return event");
	assert_true(script_sound(script, &err));
	struct script_result result = fixture_transform(script, NULL);
	expect_failure(&result, "ScriptMemory", "in use without it");
	assert_false(script_sound(script, &err));
	assert_non_null(strstr(err.text, "more than a quarter of script.memory"));
	script_release(script);
	fixture_budget_ms = 30;
}

static void recursion_through_the_engine_ends_in_an_error(void **state)
{
	static const char *const bombs[] = {
	        "local function r() return coroutine.wrap(r)() end r()",
	        "local function r() local co = coroutine.create(r) return coroutine.resume(co) end "
	        "error(tostring(select(3, r())))",
	        "local function r() return (('x'):gsub('x', r)) end r()",
	        "local function r() return coroutine.wrap(function() return (('x'):gsub('x', r)) end)() end "
	        "r()",
	        "local function r() table.sort({1, 2, 3}, r) end r()",
	        "local function r() return load(r) end r()",
	        "local t = setmetatable({}, {}) getmetatable(t).__tostring = function(s) return "
	        "('%s'):format(s) end tostring(t)",
	        "local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) return "
	        "(('x'):gsub('x', s)) end print(t.x)",
	        "local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) return os.time(s) "
	        "end os.time(t)",
	        "local m = {} m.__lt = function() table.sort({setmetatable({}, m), setmetatable({}, m)}) end "
	        "m.__lt()",
	};
	static const char *const vm_bombs[] = {
	        "local function r() return r() + 1 end r()",
	        "local t = setmetatable({}, {}) getmetatable(t).__eq = function(a, b) return a == b end "
	        "print(t == setmetatable({}, getmetatable(t)))",
	        "local t = setmetatable({}, {}) getmetatable(t).__concat = function(a, b) return a .. b end "
	        "print(t .. t)",
	        "local t = setmetatable({}, {}) getmetatable(t).__call = function(s) return s() + 1 end t()",
	};
	(void)state;
	fixture_budget_ms = 10000;
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++)
		if (i != 1)
			raises(bombs[i], "more than 100 functions, coroutines or modules");
		else
			raises(bombs[i], "");
	for (size_t i = 0; i < sizeof vm_bombs / sizeof *vm_bombs; i++)
		raises(vm_bombs[i], "stack overflow");
	fixture_budget_ms = 30;
}

static void errors_inside_callbacks_leave_the_nesting_as_it_was(void **state)
{
	(void)state;
	says("for i = 1, 1000 do pcall(string.gsub, 'x', 'x', function() pcall(table.sort, {1, 2}, error) "
	     "error('e') end) "
	     "end return (('x'):gsub('x', function() return 'fine' end))",
	        "fine");
	says("local function deep(n) if n == 0 then return 'deep' end return (('x'):gsub('x', function() "
	     "return deep(n - 1) end)) end deep(90) return deep(90)",
	        "deep");
}

static void the_dangerous_half_of_lua_is_not_there(void **state)
{
	static const char *const names[] = {"io", "debug", "ffi", "jit", "package", "module", "dofile",
	        "loadfile", "xpcall", "newproxy", "getfenv", "setfenv", "gcinfo", "string.dump", "os.execute",
	        "os.remove", "os.rename", "os.getenv", "os.exit", "os.tmpname", "os.setlocale",
	        "table.foreach"};
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *body = mem_printf("return tostring(%s)", names[i]);
		says(body, "\"said\":\"nil\"");
		mem_free(body);
	}
	raises("collectgarbage('collect')", "bad argument");
	raises("require 'ffi'", "hooks read no files");
	says("return tostring(collectgarbage('count') > 10)", "true");
	says("return type(1LL)", "cdata");
}

/* A literal like 1LL loads ffi inside the engine. Collected, it was used nevertheless: by arithmetic, and
 * when the state was closed. */
static void integers_of_64_bits_do_no_harm(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("return nil",
	        "local sum = 0LL for i = 1, 100 do sum = sum + load('return ' .. i .. 'LL')() end "
	        "return {sum = tostring(sum), kind = type(1ULL), meta = tostring(getmetatable(1LL))}");
	for (int i = 0; i < 20; i++) {
		state_collect(script);
		struct script_result result = fixture_transform(script, NULL);
		expect_output(&result, "\"5050LL\"");
	}
	script_release(script);
	raises("return (1LL).x", "");
	raises("return (1LL)(2)", "");
	says("return getmetatable(1LL)", "\"ffi\"");
	fails_and_goes_on("event.n = 5LL return event", "OutputInvalid", "JSON form");
}

static void bytecode_is_refused(void **state)
{
	(void)state;
	says("return select(2, load('\\27LJ\\2'))", "attempt to load chunk with wrong mode");
	says("return select(2, load('\\27LJ\\2', 'x', 'b'))", "attempt to load chunk with wrong mode");
	says("return select(2, loadstring('\\27Lua'))", "attempt to load chunk with wrong mode");
	says("local done return select(2, load(function() if done then return end done = true return "
	     "'\\27LJ' end))",
	        "attempt to load chunk with wrong mode");
}

static void loaded_text_lives_in_the_sandbox_too(void **state)
{
	(void)state;
	says("return load('return 1 + 1')() .. tostring(load('return io')())", "2nil");
	says("local n = 0 return load(function() n = n + 1 return ({'return ', '4', '2'})[n] end)()", "42");
	says("return load('x = 5 return x', 'name', 't', {})()", "5");
	raises("load('stray = 1')()", "'stray' is a global: scripts keep no globals, use `local stray`");
	raises("load(function() return 5 end)", "must return strings");
}

static void globals_and_libraries_are_read_only(void **state)
{
	(void)state;
	raises("stray = 1", "'stray' is a global: scripts keep no globals, use `local stray`");
	raises("pairs = nil", "'pairs' is a global");
	raises("string.format = nil", "'string.format' cannot be set");
	raises("millrace.drop = nil", "'millrace.drop' cannot be set");
	raises("millrace.json.encode = nil", "'millrace.json.encode' cannot be set");
	raises("millrace.params.missing = 'pass'", "'millrace.params.missing' cannot be set");
	raises("rawset(string, 'format', print)", "read-only");
	raises("rawset(_G, 'pairs', print)", "read-only");
	raises("setmetatable(string, {})", "protected metatable");
	raises("setmetatable(_G, {})", "protected metatable");
	raises("getmetatable('').__index = {}", "attempt to index");
	raises("getmetatable('').__index.upper = print", "attempt to index");
	raises("getmetatable(millrace.pass()).__index = 1", "attempt to index");
	says("rawset({}, 'a', 1) return ('x'):upper()", "X");
}

static void libraries_can_be_walked(void **state)
{
	(void)state;
	says("local n = 0 for k, v in pairs(string) do n = n + (type(v) == 'function' and 1 or 0) end return "
	     "n",
	        "13");
	says("for k, v in pairs(math) do if k == 'pi' then return v end end", "3.14159");
	says("local seen = {} for k in pairs(millrace.params) do seen[#seen + 1] = k end table.sort(seen) "
	     "return table.concat(seen, ',')",
	        "list,missing");
	says("local f, t = pairs(string) t.format = nil return string.format('%d', 5)", "5");
	says("for k, v in pairs({a = 1}) do return k .. v end", "a1");
	says("return #millrace.params.list", "2");
}

static void sorting_sorts(void **state)
{
	(void)state;
	says("local t = {5, 3, 9, 1, 1, 7} table.sort(t) return table.concat(t, ' ')", "1 1 3 5 7 9");
	says("local t = {5, 3, 9, 1} table.sort(t, function(a, b) return a > b end) return table.concat(t, ' "
	     "')",
	        "9 5 3 1");
	says("local t = {'b', 'c', 'a'} table.sort(t) return table.concat(t)", "abc");
	says("local t = {} for i = 1, 999 do t[i] = (i * 7919) % 1009 end table.sort(t) "
	     "for i = 2, 999 do if t[i - 1] > t[i] then return 'wrong' end end return 'sorted'",
	        "sorted");
	says("local t = {3, 1, 2} table.sort(t, function() return true end) return #t", "3");
	says("table.sort({}) local t = {1} table.sort(t) return t[1]", "1");
	raises("table.sort({1, 'a'})", "attempt to compare");
}

static void coroutines_work(void **state)
{
	(void)state;
	says("local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) "
	     "return co(1) + co(10)",
	        "22");
	says("local co = coroutine.create(function() error('boom', 0) end) local ok, e = "
	     "coroutine.resume(co) "
	     "return tostring(ok) .. e .. coroutine.status(co) .. select(2, coroutine.resume(co))",
	        "falseboomdeadcannot resume dead coroutine");
	says("local co co = coroutine.create(function() return coroutine.resume(co) end) "
	     "return tostring(select(3, coroutine.resume(co)))",
	        "cannot resume");
	says("local co = coroutine.create(function() return pcall(coroutine.yield, 7) end) "
	     "return select(2, coroutine.resume(co)) + #{coroutine.resume(co, 'x')}",
	        "10");
	says("return tostring(coroutine.running())", "nil");
	says("return coroutine.wrap(function() return type(coroutine.running()) end)()", "thread");
	raises("coroutine.yield(1)", "attempt to yield outside a coroutine");
	raises("coroutine.resume(5)", "coroutine expected");
}

static void patterns_that_explode_are_refused(void **state)
{
	(void)state;
	fixture_budget_ms = 10000;
	raises("return ('a'):rep(400):find('a-a-a-a-b')", "too complex");
	raises("return ('a'):rep(40000):find('a-b')", "too complex");
	raises("return ('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30))", "too complex");
	raises("return ('a'):rep(40000):gsub('a-b', '')", "too complex");
	raises("return ('x'):rep(1000):match(('x-'):rep(300) .. 'y')", "too complex");
	says("return (('x'):rep(100000):gsub('x', 'y')):sub(1, 3)", "yyy");
	says("return #('word '):rep(20000):gsub('%s+', '')", "80000");
	fixture_budget_ms = 30;
}

static void errors_that_are_no_text_do_no_harm(void **state)
{
	(void)state;
	raises("error({})", "value of type table");
	raises("error(nil)", "value of type nil");
	raises("error()", "value of type nil");
	raises("error(setmetatable({}, {__tostring = function() while true do end end}))",
	        "value of type table");
	raises("error(setmetatable({}, {__tostring = error, __index = error}))", "value of type table");
	raises("error(42)", "42");
	raises("error(millrace.pass())", "value of type userdata");
}

static void cjson_is_there_for_the_scripts_own_texts(void **state)
{
	(void)state;
	says("local c = require 'cjson' return c.encode({a = c.null}) .. tostring(c.null == "
	     "millrace.json.null)",
	        "null}true");
	says("local c = require 'cjson' return tostring(c.new) .. tostring(c.encode_keep_buffer)", "nilnil");
	raises("local c = require 'cjson' c.encode = nil", "'cjson.encode' cannot be set");
	raises("local c = require 'cjson' c.decode('[NaN]')", "invalid");
	raises("local c = require 'cjson' local t = {} t.t = t c.encode(t)", "excessive nesting");
}

/* Each of these kept C code busy for minutes, where no hook runs, until the watchdog ended the process. */
static void c_code_that_a_script_keeps_busy_can_be_stopped(void **state)
{
	static const char *const busy[] = {
	        "local b = {} for i = 1, 2e5 do b[i] = 1 end for i = 1, 2e5 do b[i] = nil end "
	        "local o = {} for i = 1, 1e5 do o[i] = b end millrace.json.encode(o)",
	        "local b = {} for i = 1, 2e5 do b[i] = 1 end for i = 1, 2e5 do b[i] = nil end "
	        "local o = {} for i = 1, 1e5 do o[i] = b end require('cjson').encode(o)",
	        "(('a'):rep(1e6)):gsub('(x*)', ('%1'):rep(1e5))",
	        "local s = '\"' .. ('x'):rep(2e6) .. '\"' while true do millrace.json.decode(s) end",
	};
	(void)state;
	for (size_t i = 0; i < sizeof busy / sizeof *busy; i++) {
		char *text = mem_printf("do %s end return event", busy[i]);
		fails_and_goes_on(text, "ScriptTimeout", "script.budget");
		mem_free(text);
	}
}

static void what_could_not_be_stopped_is_refused(void **state)
{
	int usual = fixture_budget_ms;
	(void)state;
	fixture_budget_ms = 1000; /* to build the long texts */
	raises("table.insert({}, -2^31, 1)", "a place from 1 expected");
	raises("table.insert({}, 0/0, 1)", "a place from 1 expected");
	raises("load('return ' .. ('a and '):rep(3e5) .. 'a')", "load: the text is larger than");
	raises("local n = 0 load(function() n = n + 1 return n < 30 and ('x = 1 '):rep(1e3) or nil end)",
	        "load: the text is larger than");
	raises("local t = {} for i = 1, 60 do t = {t, t} end require('cjson').encode(t)", "too large");
	raises("local s, t = ('x'):rep(1e5), {} for i = 1, 5000 do t[i] = s end require('cjson').encode(t)",
	        "too large");
	raises("return (('a'):rep(1e5)):find('[' .. ('b'):rep(2e6) .. ']*x')", "too complex");
	raises("local s, t = ('/x'):rep(1e6), {} for i = 1, 200 do t[i] = s end millrace.path(unpack(t))",
	        "larger than script.memory");
	fixture_budget_ms = usual;
}

static void inserting_inserts(void **state)
{
	(void)state;
	says("local t = {2} table.insert(t, 4) table.insert(t, 1, 1) table.insert(t, 3, 3) "
	     "return table.concat(t, ',')",
	        "1,2,3,4");
	raises("table.insert({}, 1, 2, 3)", "wrong number of arguments");
	raises("table.insert('x', 1)", "table expected");
}

/* Budgets between 0.05 and 1 ms end loops of every kind at every place, and the state lives on. */
static void thousands_of_random_kills_leave_the_state_sane(void **state)
{
	static const char loops[] =
	        "local kind = event.kind "
	        "if kind == 0 then while true do end "
	        "elseif kind == 1 then while true do pcall(function() while true do end end) end "
	        "elseif kind == 2 then while true do local t = {} for i = 1, 50 do t[i] = {i} end end "
	        "elseif kind == 3 then while true do coroutine.wrap(function() for i = 1, 100 do local s = "
	        "'x' .. i end end)() end "
	        "elseif kind == 4 then while true do (('abc'):rep(50)):gsub('%w', function(c) return "
	        "c:upper() end) end "
	        "elseif kind == 5 then while true do millrace.json.decode(millrace.json.encode({a = {1, 2, "
	        "{b = 'c'}}})) end "
	        "elseif kind == 6 then while true do local t = {} for i = 1, 30 do t[i] = -i end "
	        "table.sort(t, function(a, b) return a < b end) end "
	        "elseif kind == 7 then while true do local f = load('return ' .. #tostring({})) f() end "
	        "elseif kind == 8 then while true do local s = ('%d %s'):format(5, 'x') s = s .. tostring(s) "
	        "pcall(error, s) end "
	        "else return event end";
	(void)state;
	unsigned seed = 20261122, kills = 0, rounds = SLOW == 1 ? 20000 : 2000;
	struct script *script = fixture_hooks("return nil", loops);
	int64_t generous = script->budget_ns;
	for (unsigned i = 0; i < rounds; i++) {
		char value[32];
		struct script_event event;
		struct script_result result;
		snprintf(value, sizeof value, "{\"kind\":%u}", (unsigned)rand_r(&seed) % 9);
		script->budget_ns = generous;
		fixture_decode(script, &event, value);
		script->budget_ns = 50000 + rand_r(&seed) % 950000;
		script_transform(&event, NULL, 0, &result);
		kills += result.verdict == VERDICT_FAIL && strcmp(result.type, "ScriptTimeout") == 0;
		script_result_free(&result);
		script_forget(&event);
		script->budget_ns = generous;
		fixture_decode(script, &event, "{\"kind\":9,\"text\":\"sane\"}");
		script_transform(&event, NULL, 0, &result);
		expect_output(&result, "sane");
		script_forget(&event);
	}
	assert_int_equal(rounds, kills);
	script_release(script);
}

static void the_time_of_a_script_is_the_engines(void **state)
{
	(void)state;
	says("return tostring(os.time() - millrace.time.now() <= 0)", "true");
	clock_invent(1893456000999); /* 2030-01-01T00:00:00.999Z */
	says("return ('%.0f'):format(os.time())", "\"1893456000\"");
	says("return os.date('!%Y-%m-%d %H')", "2030-01-01 00");
	says("return tostring(#os.date() > 10)", "true");
	says("return os.date('!%Y', 0)", "1970");
	says("return tostring(os.time({year = 2001, month = 1, day = 1}) < 1e9)", "true");
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_endless_loop_costs_its_own_record_only),
	        cmocka_unit_test(nothing_a_script_wraps_around_a_loop_saves_it),
	        cmocka_unit_test(a_timeout_says_where_it_was),
	        cmocka_unit_test(time_that_the_engine_needs_for_an_answer_counts_too),
	        cmocka_unit_test(a_memory_hog_costs_its_own_record_only),
	        cmocka_unit_test(garbage_does_not_count_against_a_hook),
	        cmocka_unit_test(what_a_script_hoards_is_seen_as_unsound),
	        cmocka_unit_test(recursion_through_the_engine_ends_in_an_error),
	        cmocka_unit_test(errors_inside_callbacks_leave_the_nesting_as_it_was),
	        cmocka_unit_test(the_dangerous_half_of_lua_is_not_there),
	        cmocka_unit_test(integers_of_64_bits_do_no_harm), cmocka_unit_test(bytecode_is_refused),
	        cmocka_unit_test(loaded_text_lives_in_the_sandbox_too),
	        cmocka_unit_test(globals_and_libraries_are_read_only),
	        cmocka_unit_test(libraries_can_be_walked), cmocka_unit_test(sorting_sorts),
	        cmocka_unit_test(coroutines_work), cmocka_unit_test(patterns_that_explode_are_refused),
	        cmocka_unit_test(errors_that_are_no_text_do_no_harm),
	        cmocka_unit_test(cjson_is_there_for_the_scripts_own_texts),
	        cmocka_unit_test(c_code_that_a_script_keeps_busy_can_be_stopped),
	        cmocka_unit_test(what_could_not_be_stopped_is_refused), cmocka_unit_test(inserting_inserts),
	        cmocka_unit_test(thousands_of_random_kills_leave_the_state_sane),
	        cmocka_unit_test(the_time_of_a_script_is_the_engines), /* the last: it stays invented */
	};
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run);
}
