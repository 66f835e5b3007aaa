/* What people are told when a script fails: by the real words of the engine, about real scripts. */
#include "script_trouble.h"
#include "script_fixture.h"
#include "text.h"

static const char event[] = "{\"$schema\":\"/mediawiki/page/change/"
                            "1.2.0\",\"page_change_kind\":\"delete\",\"page\":{\"page_id\":12,"
                            "\"page_title\":\"Earth\",\"redirect\":null},\"revision\":{\"rev_id\":977,\"rev_"
                            "size\":9007199254740993},"
                            "\"prior_state\":{\"page\":{\"namespace_id\":4}},\"tags\":[\"a\"],\"count\":"
                            "\"many\",\"password\":\"hunter2\"}";

/* A script that is there while it is run and told of. */
struct place {
	char folder[40];
	char *path;
};

static void put(struct place *place, const char *text)
{
	strcpy(place->folder, "/tmp/millrace-trouble-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	place->path = fixture_write(place->folder, "t.lua", text);
}

static void take_away(struct place *place)
{
	unlink(place->path);
	rmdir(place->folder);
	mem_free(place->path);
}

/* What the script fails with, whatever it fails at: loading, request or transform. The caller frees. */
static struct script_result run_script(const char *path)
{
	struct err err = {""};
	struct script_event e = {0};
	struct script_result result = {0};
	struct script *script = fixture_open_file(path, "{}", &err);
	if (script == NULL) {
		result.message = mem_strdup(err.text);
		return result;
	}
	fixture_decode(script, &e, event);
	script_request(&e, 1, &result);
	if (result.verdict == VERDICT_ASK) {
		script_result_free(&result);
		script_transform(&e, NULL, 0, &result);
	}
	script_forget(&e);
	script_release(script);
	return result;
}

static void diagnose(const struct place *place, struct diagnostics *found)
{
	struct script_result result = run_script(place->path);
	if (result.message == NULL)
		fail_msg("the script does not fail");
	struct script_trouble trouble = {.type = result.type,
	        .message = result.message,
	        .stack = result.stack,
	        .script = place->path,
	        .where = "events.jsonl:3",
	        .event = {event, strlen(event)}};
	script_trouble_diagnose(&trouble, found);
	script_result_free(&result);
}

/* The part of the last line of the excerpt that is underlined. */
static char *underlined(const struct diagnostic *item)
{
	const char *line = item->excerpt ? strrchr(item->excerpt, '\n') : NULL;
	line = line ? line + 1 : item->excerpt;
	if (line == NULL || item->column == 0)
		return mem_strdup("");
	assert_true(item->column - 1 + item->length <= strlen(line) + 1);
	return mem_printf("%.*s", (int)item->length, line + item->column - 1);
}

static void script_tells(const char *text, const char *code, const char *under, const char *hint)
{
	struct place place;
	struct diagnostics found = {0};
	put(&place, text);
	diagnose(&place, &found);
	assert_int_equal(1, found.count);
	const struct diagnostic *item = &found.items[0];
	char *part = underlined(item);
	if (strcmp(explain_code(item->code), code) != 0 || strcmp(part, under) != 0 ||
	        strcmp(item->hint ? item->hint : "", hint) != 0)
		fail_msg("of\n%s\nit says %s: %s\nunderlined: %s\nhint: %s\nexpected %s\nunderlined: "
		         "%s\nhint: %s",
		        text, explain_code(item->code), item->message, part, item->hint ? item->hint : "",
		        code, under, hint);
	mem_free(part);
	diagnostics_free(&found);
	take_away(&place);
}

/* `statement` stands in transform. */
static void tells(const char *statement, const char *code, const char *under, const char *hint)
{
	char *text = mem_printf("local millrace = require 'millrace'\n"
	                        "return {api = 1, transform = function(event, response, meta)\n"
	                        "  %s\n"
	                        "end}\n",
	        statement);
	script_tells(text, code, under, hint);
	mem_free(text);
}

static void asked_tells(const char *statement, const char *code, const char *under, const char *hint)
{
	char *text = mem_printf("local millrace = require 'millrace'\n"
	                        "return {api = 1, request = function(event, meta)\n"
	                        "  %s\n"
	                        "end, transform = function(event) return event end}\n",
	        statement);
	script_tells(text, code, under, hint);
	mem_free(text);
}

static void does_not_parse(const char *text, const char *under, const char *hint)
{
	script_tells(text, "M210", under, hint);
}

static void a_field_that_the_event_lacks_is_compared_with_it(void **state)
{
	(void)state;
	tells("return event.revison.rev_id", "M201", "event.revison",
	        "this event has no 'revison'; did you mean 'revision'?");
	tells("return event.page.revision.rev_id", "M201", "event.page.revision",
	        "this event has 'revision' at top level, not under 'page'");
	tells("return event.page.revison.rev_id", "M201", "event.page.revison",
	        "this event has no 'page.revison'; did you mean 'revision', at top level?");
	tells("return event.page.namespace_id.x", "M201", "event.page.namespace_id",
	        "this event has 'namespace_id' under 'prior_state.page', not under 'page'");
	tells("return event.page_id.x", "M201", "event.page_id",
	        "this event has 'page_id' under 'page', not at top level");
	tells("return event.page.editor.name", "M201", "event.page.editor",
	        "this event has no 'page.editor' ('page' has page_id, page_title, redirect): test for it "
	        "first");
	tells("return event.x.y", "M201", "event.x",
	        "this event has no 'x' (it has $schema, page_change_kind, page, revision, prior_state, tags, "
	        "...): test "
	        "for it first");
	tells("return event.tags[2].name", "M201", "event.tags[2]",
	        "'tags' is an array of 1 in this event: there is no 'tags.2'");
	tells("return event.revision.rev_id.x.y", "M201", "event.revision.rev_id",
	        "'revision.rev_id' is 977 in this event, which has no members");
	tells("return event['page']['page_tile'].x", "M201", "event['page']['page_tile']",
	        "this event has no 'page.page_tile'; did you mean 'page.page_title'?");
}

static void null_is_told_from_absent(void **state)
{
	(void)state;
	const char hint[] =
	        "'page.redirect' is null in this event: compare it with millrace.json.null first (null is "
	        "true in a condition)";
	tells("return event.page.redirect.title", "M201", "event.page.redirect", hint);
	tells("return {a = 'x' .. event.page.redirect}", "M204", "event.page.redirect", hint);
	tells("if event.page.redirect < 5 then return event end", "M205", "event.page.redirect", hint);
	tells("return {a = ('x'):rep(event.page.redirect)}", "M206", "event.page.redirect", hint);
}

static void variables_are_followed_to_what_they_were_set_from(void **state)
{
	(void)state;
	tells("local page = event.page\n  local from = page.editor\n  return from.name", "M201", "from",
	        "this event has no 'page.editor' ('page' has page_id, page_title, redirect): test for it "
	        "first");
	script_tells("local function size(e)\n"
	             "  local page = e.page\n"
	             "  return page.revision.rev_size\n"
	             "end\n"
	             "return {api = 1, transform = function(event) return {size(event)} end}\n",
	        "M201", "page.revision", "this event has 'revision' at top level");
	script_tells("local function size(event)\n"
	             "  return event.page.revision.rev_size\n"
	             "end\n"
	             "local script = {api = 1}\n"
	             "function script.transform(event) return {size(event)} end\n"
	             "return script\n",
	        "M201", "event.page.revision", "this event has 'revision' at top level, not under 'page'");
	script_tells("local script = {api = 1}\n"
	             "function script.transform(e)\n"
	             "  e = e or {}\n"
	             "  return e.revison.x\n"
	             "end\n"
	             "return script\n",
	        "M201", "e.revison", "this event has no 'revison'; did you mean 'revision'?");
}

static void what_hooks_are_given_is_known(void **state)
{
	(void)state;
	tells("return response.json.query", "M201", "response",
	        "the response is nil: without a hook 'request', or with an empty list, nothing was asked");
	tells("response = {} return response.jsn.x", "M201", "response.jsn",
	        "a response has no 'jsn'; did you mean 'json'?");
	tells("return meta.timstamp.x", "M201", "meta.timstamp",
	        "meta has no 'timstamp'; did you mean 'meta.timestamp'?");
}

static void names_that_scripts_do_not_have_are_told_with_what_there_is(void **state)
{
	(void)state;
	tells("return string.fromat('x')", "M202", "string.fromat",
	        "there is no 'string.fromat'; did you mean 'string.format'?");
	tells("return event.count:fromat()", "M202", "event.count:fromat",
	        "strings have no 'fromat'; did you mean 'format'?");
	tells("return event.count:split(',')", "M202", "event.count:split",
	        "strings have no 'split': Lua has none: for word in text:gmatch(\"[^,]+\") do");
	tells("return millrace.jsn.null", "M201", "millrace.jsn",
	        "there is no 'millrace.jsn'; did you mean 'millrace.json'?");
	tells("return millrace.json.decod('1')", "M202", "millrace.json.decod",
	        "there is no 'millrace.json.decod'; did you mean 'millrace.json.decode'?");
	tells("local f = io.open('/etc/passwd')", "M201", "io",
	        "scripts have no 'io': give what is needed by script.params, or ask for it over HTTP");
	tells("os.execute('ls')", "M202", "os.execute",
	        "scripts have no 'os.execute': nothing of the machine can be reached; script.params can say "
	        "what is needed");
	tells("return table.unpack(event.tags)", "M202", "table.unpack",
	        "scripts have no 'table.unpack': that is of Lua 5.2; here it is unpack(list)");
	tells("return tostrng(event.page)", "M202", "tostrng",
	        "there is no 'tostrng'; did you mean 'tostring'?");
	tells("return evnt.page", "M201", "evnt", "'evnt' is set nowhere; did you mean 'event'?");
	tells("return helper(event)", "M202", "helper",
	        "'helper' is set nowhere: a module has to be required, a variable to be made by local");
	script_tells("return {api = 1, transform = function(event) return millrace.pass() end}\n", "M201",
	        "millrace",
	        "scripts have no 'millrace': it has to be required: local millrace = require \"millrace\"");
	script_tells("local script = {api = 1, transform = function(event) return later(event) end}\n"
	             "local function later(event) return event end\n"
	             "return script\n",
	        "M202", "later", "'later' is declared in line 2, below its use: move it up");
}

static void globals_are_not_set(void **state)
{
	(void)state;
	script_tells("function helper(event) return event end\nreturn {api = 1, transform = helper}\n",
	        "M207", "helper", "write: local function helper");
	tells("local seen = 0\n  sen = 1\n  return event", "M207", "sen", "did you mean the local 'seen'?");
	tells("millrace.params.x = 1", "M207", "millrace.params.x",
	        "params are the configuration's; copy what you want to change into a local");
}

static void values_that_do_not_fit_are_told_with_what_they_are(void **state)
{
	(void)state;
	const char large[] =
	        "'revision.rev_size' is 9007199254740993, which a Lua number cannot hold: a millrace.number "
	        "can be moved, printed and compared with its like; tonumber(tostring(x)) rounds it";
	tells("event.n = event.revision.rev_size + 1", "M203", "event.revision.rev_size", large);
	tells("return event.revision.rev_size > 5 and event", "M205", "event.revision.rev_size", large);
	tells("return {a = ('%d'):format(event.revision.rev_size)}", "M206", "event.revision.rev_size",
	        large);
	tells("event.n = event.total + 1", "M203", "event.total",
	        "this event has no 'total' (it has $schema, page_change_kind, page, revision, prior_state, "
	        "tags, ...): test "
	        "for it first");
	tells("return {a = 'x' .. event.titel}", "M204", "event.titel",
	        "this event has no 'titel' (it has $schema, page_change_kind, page, revision, prior_state, "
	        "tags, ...): test "
	        "for it first");
	tells("return {a = 'x' .. event.page}", "M204", "event.page",
	        "a table has no text: millrace.json.encode(x) makes one");
	tells("return {a = 'x' .. (event.page == nil)}", "M204", "return {a = 'x' .. (event.page == nil)}",
	        "tostring(x) makes a text of it");
	tells("return event.revision.rev_id < event.revision.rev_len", "M205", "event.revision.rev_len",
	        "this event has no 'revision.rev_len'; did you mean 'revision.rev_id'?");
	tells("for _, tag in ipairs(event.tgs) do return tag end", "M206", "event.tgs",
	        "this event has no 'tgs'; did you mean 'tags'?");
	tells("local t\n  for _, tag in ipairs(t) do return tag end", "M206", "ipairs",
	        "give an empty table where there is none: ipairs(x or {})");
	tells("return {a = ('%d'):format(event.count)}", "M206", "format",
	        "%d and %f want a number; %s prints anything");
	tells("return {a = #event.tagz}", "M206", "event.tagz",
	        "this event has no 'tagz'; did you mean 'tags'?");
}

static void an_answer_that_is_lost_is_found(void **state)
{
	(void)state;
	tells("if event.page then millrace.drop('deleted') end", "M220", "millrace.drop",
	        "millrace.drop makes a verdict, and it is lost here: write return millrace.drop(...)");
	tells("millrace.pass()", "M220", "millrace.pass",
	        "millrace.pass makes a verdict, and it is lost here: write return millrace.pass(...)");
	tells("if event.page then return end\n  return event", "M220", "return",
	        "this `return` answers nothing: to publish the event as it came write return "
	        "millrace.pass()");
	tells("event.seen = true", "M220", "transform",
	        "one way through the function (lines 2 to 4) ends without `return`");
	tells("return {}", "M220", "transform",
	        "to publish the event as it came return millrace.pass(), to publish nothing "
	        "millrace.drop(reason)");
	tells("local verdict = millrace.pass()\n  local also =\n    millrace.pass()", "M220", "transform",
	        "one way through the function (lines 2 to 6) ends without `return`");
	asked_tells("event.seen = true", "M220", "request",
	        "one way through the function (lines 2 to 4) ends without `return`");
}

static void a_wrong_verdict_is_told_with_the_right_one(void **state)
{
	(void)state;
	tells("return millrace.pass", "M221", "transform",
	        "a verdict is made by a call: millrace.pass(), with its parentheses");
	tells("return 'deleted'", "M221", "transform",
	        "a reason alone is no verdict: return millrace.drop(reason) or millrace.fail(type, message)");
	tells("return false", "M221", "transform",
	        "to publish the event as it came return millrace.pass(), to publish nothing "
	        "millrace.drop(reason)");
	tells("return millrace.json.null", "M221", "transform",
	        "to publish nothing return millrace.drop(reason), for a tombstone millrace.output { value = "
	        "millrace.json.null }");
	asked_tells("return millrace.output{value = event}", "M221", "request",
	        "outputs are transform's to answer: leave out the hook 'request' where nothing is to be "
	        "asked");
	asked_tells("return millrace.retry('later')", "M221", "request",
	        "`request` runs before anything was asked, so there is nothing to retry: answer a request, "
	        "pass, drop or "
	        "fail");
	asked_tells("return event", "M222", "request",
	        "that is a member of the event: `request` answers what to ask, transform answers the event; "
	        "to publish it "
	        "as it came return millrace.pass()");
	asked_tells("return millrace.fetch{path = '/'}", "M225", "millrace.fetch",
	        "return the request instead: `request` answers what to ask, and transform gets the answer");
	tells("return {f = print}", "M604", "transform", "");
	tells("return millrace.output(event)", "M224", "millrace.output",
	        "the event goes into value: millrace.output { value = event }");
}

static void a_reason_becomes_an_identifier(void **state)
{
	(void)state;
	tells("return millrace.drop('no such page!')", "M223", "'no such page!'",
	        "write \"no_such_page\"; a sentence goes into the message of millrace.fail(type, message)");
	tells("local v = millrace.fail('404 found')\n  return v", "M223", "'404 found'",
	        "write \"found\"; a sentence goes into the message of millrace.fail(type, message)");
	tells("return millrace.drop()", "M223", "millrace.drop",
	        "give a word: it becomes a label of metrics");
}

static void errors_without_a_hint_are_told_plainly(void **state)
{
	(void)state;
	tells("error('own words')", "M200", "error('own words')", "");
	tells("error({})", "M200", "error({})", "");
	tells("while true do end", "M230", "while true do end", "");
	tells("return millrace.fail('Own', 'words')", "M240", "", "");
}

static void syntax_is_underlined_at_the_word_that_lua_met(void **state)
{
	(void)state;
	does_not_parse("local x = = 1\n", "=", "");
	does_not_parse("local x = 1 y 2\n", "2", "");
	does_not_parse("if x = 1 then end\n", "=", "a comparison is written ==");
	does_not_parse("if a != b then end\n", "!", "unequal is written ~=");
	does_not_parse("if a && b then end\n", "&", "write and for &&");
	does_not_parse("if a || b then end\n", "|", "write or for ||");
	does_not_parse("x += 1\n", "+", "there is no +=: write x = x + 1");
	does_not_parse("x++\n", "+", "there is no ++: write x = x + 1");
	does_not_parse(
	        "// comment\n", "/", "a comment begins with --, and a whole quotient is math.floor(a / b)");
	does_not_parse("local x = a ? 1 : 2\n", "?", "there is no ?: write condition and a or b");
	does_not_parse("const x = 1\n", "x", "a variable is made by local");
	does_not_parse("return {\"a\": 1}\n", ":",
	        "a member of a table is written name = value, or [\"name\"] = value");
	does_not_parse("local s = \"abc\n", "\"abc",
	        "the text has no closing quote in this line; [[...]] may span lines");
}

static void what_is_missing_is_named_with_its_line(void **state)
{
	(void)state;
	does_not_parse("return {\n  api = 1\n  transform = 2,\n}\n", "transform",
	        "a comma is missing at the end of line 2");
	does_not_parse(
	        "return {api = 1 transform = 2}\n", "transform", "a comma is missing before 'transform'");
	does_not_parse("local function f()\n  return 1\n", "function",
	        "the `function` of line 1, or a block inside it, has no `end`");
	does_not_parse("if a then\n  b()\nelse if c then\n  d()\nend\n", "if",
	        "`else if` in line 3 opens a second block: write elseif, or one more `end`");
	does_not_parse(
	        "return {\n  api = 1,\n  request = function(e)\n    if e then\n      return 1\n  end,\n}\n",
	        ",", "a block above has no `end`: `end` closes the innermost one that is open");
	does_not_parse("local x = 1\nend\n", "end", "there is one `end` too many above, or here");
	does_not_parse(
	        "return 1\nlocal x = 2\n", "local", "`return` ends a block: nothing may follow it but `end`");
}

static void a_script_that_is_no_script_has_a_code(void **state)
{
	(void)state;
	script_tells("local x = 1\n", "M212", "", "");
	script_tells("return {api = 1}\n", "M212", "", "");
	script_tells("return {api = 1, requst = function() end, transform = function() end}\n", "M212",
	        "requst", "");
	script_tells("return {api = 1, transform = print, selftest = function() return false, 'no' end}\n",
	        "M213", "", "");
	script_tells("local x = require 'gone'\n", "M211", "", "");
	script_tells(
	        "return {api = 1, transform = function() end, selftest = function() local x = nil + 1 end}\n",
	        "M203",
	        "return {api = 1, transform = function() end, selftest = function() local x = nil + 1 end}",
	        "");
}

static void the_whole_is_one_text(void **state)
{
	(void)state;
	struct place place;
	struct buf out;
	put(&place, "local function revision(ev)\n"
	            "  local page = ev.page\n"
	            "  local id = ev.page.revision.rev_id\n"
	            "  return id\n"
	            "end\n"
	            "return {api = 1, transform = function(event)\n"
	            "  local id = revision(event)\n"
	            "  return id\n"
	            "end}\n");
	struct script_result result = run_script(place.path);
	struct script_trouble trouble = {result.type, result.message, result.stack, place.path, NULL,
	        "events.jsonl:3", {event, strlen(event)}};
	buf_init(&out, 0);
	script_trouble_text(&trouble, false, &out);
	char *expected = mem_printf(
	        "%s:3:14: error[M201]: attempt to index field 'revision' (a nil value)\n"
	        "     2 |   local page = ev.page\n"
	        "     3 |   local id = ev.page.revision.rev_id\n"
	        "       |              ^^^^^^^^^^^^^^^^\n"
	        "   in hook 'transform', event events.jsonl:3\n"
	        "   called from %s:7: in the function of line 6\n"
	        "   event: "
	        "{\"page\":{\"page_id\":12,\"page_title\":\"Earth\",\"redirect\":null},\"revision\":"
	        "{\"rev_id\":977,\"rev_size\":9007199254740993},\"page_change_kind\":\"delete\",\"tags\":[..."
	        "],...}\n"
	        "   hint: this event has 'revision' at top level, not under 'page'\n"
	        "   more: millrace explain M201\n",
	        place.path, place.path);
	assert_string_equal(out.data, expected);
	mem_free(expected);
	script_result_free(&result);
	buf_free(&out);
	take_away(&place);
}

/* Lua cuts the name of a file at its front when it is long. */
static void a_long_path_is_found_again(void **state)
{
	(void)state;
	char folder[] = "/tmp/millrace-trouble-XXXXXX";
	assert_non_null(mkdtemp(folder));
	char *deep = mem_printf("%s/a-folder-with-a-name-that-is-longer-than-what-Lua-shows-of-it", folder);
	char *lib = mem_printf("%s/lib", deep);
	assert_int_equal(0, mkdir(deep, 0700) + mkdir(lib, 0700));
	char *module = fixture_write(
	        lib, "m.lua", "return function(event) return {event.page.revision.rev_id} end\n");
	char *path = fixture_write(deep, "t.lua",
	        "local m = require 'lib.m'\n"
	        "return {api = 1, transform = function(event)\n"
	        "  local x = m(event)\n"
	        "  return {a = x}\n"
	        "end}\n");
	struct place place = {.path = path};
	struct diagnostics found = {0};
	diagnose(&place, &found);
	assert_string_equal(module, found.items[0].file);
	assert_int_equal(32, found.items[0].column);
	diagnostics_free(&found);
	mem_free(fixture_write(lib, "m.lua", "return function(event) error('here', 2) end\n"));
	diagnose(&place, &found);
	assert_string_equal(path, found.items[0].file);
	assert_int_equal(3, found.items[0].line);
	diagnostics_free(&found);
	unlink(module);
	unlink(path);
	rmdir(lib);
	rmdir(deep);
	rmdir(folder);
	mem_free(module);
	mem_free(path);
	mem_free(lib);
	mem_free(deep);
}

static void told(
        const char *type, const char *message, const char *where, const char *value, const char *expected)
{
	struct buf out;
	struct script_trouble trouble = {.type = type,
	        .message = message,
	        .script = "job.lua",
	        .where = where,
	        .event = {value, value ? strlen(value) : 0}};
	buf_init(&out, 0);
	script_trouble_text(&trouble, false, &out);
	assert_string_equal(out.data, expected);
	buf_free(&out);
}

static void what_is_no_fault_of_the_script_stands_at_the_event(void **state)
{
	(void)state;
	told("PoisonEvent", "the value is not JSON: expected a value (byte 14)", "e.jsonl:2",
	        "{\"a\": 1, \"b\": tru }",
	        "e.jsonl:2:15: error[M601]: PoisonEvent: the value is not JSON: expected a value (byte 14)\n"
	        "     2 | {\"a\": 1, \"b\": tru }\n"
	        "       |               ^\n"
	        "   more: millrace explain M601\n");
	told("HttpStatus", "GET http://localhost/x answered 404", "e.jsonl:2", "{\"id\":7}",
	        "e.jsonl:2: error[M501]: HttpStatus: GET http://localhost/x answered 404\n"
	        "   event: {\"id\":7}\n"
	        "   hint: accept = { 404 } in the request makes it an answer; optional = true hands any "
	        "refusal to "
	        "transform\n"
	        "   more: millrace explain M501\n");
	told("OutputInvalid", "the output is not what /x/1.0.0 says: /a: expected a string, found 1",
	        "e.jsonl:2", "{}",
	        "e.jsonl:2: error[M302]: OutputInvalid: the output is not what /x/1.0.0 says: /a: expected a "
	        "string, found "
	        "1\n"
	        "   event: {}\n"
	        "   more: millrace explain M302\n");
	told("MissingRevision", "no such revision", "topic/0/17", "{}",
	        "topic/0/17: error[M240]: MissingRevision: no such revision\n"
	        "   event: {}\n"
	        "   more: millrace explain M240\n");
}

static void secrets_are_not_shown(void **state)
{
	(void)state;
	struct buf out;
	static const char *const first[] = {"password"};
	buf_init(&out, 0);
	script_trouble_shorten((struct bytes){event, strlen(event)}, first, 1, &out);
	assert_non_null(strstr(out.data, "{\"password\":\"(redacted)\",\"page_change_kind\""));
	assert_null(strstr(out.data, "hunter2"));
	buf_clear(&out);
	const char odd[] = "password: hunter2";
	script_trouble_shorten((struct bytes){odd, strlen(odd)}, NULL, 0, &out);
	assert_int_equal(0, out.size);
	buf_free(&out);
}

static void an_event_is_shortened_to_about_a_line(void **state)
{
	(void)state;
	struct buf out, text;
	buf_init(&out, 0);
	buf_init(&text, 0);
	buf_append_byte(&text, '{');
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "%s\"member%d\":{\"a\":[1,{\"b\":\"%0100d\"}]}", i ? "," : "", i, i);
	buf_append_byte(&text, '}');
	script_trouble_shorten((struct bytes){text.data, text.size}, NULL, 0, &out);
	assert_true(out.size < 200);
	assert_non_null(strstr(out.data, "\"member0\":{\"a\":[...]},"));
	assert_string_equal(out.data + out.size - 5, ",...}");
	buf_clear(&out);
	const char other[] = "{\"s\":"
	                     "\"\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3"
	                     "\xA4\xC3\xA4\xC3\xA4"
	                     "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\"}";
	script_trouble_shorten((struct bytes){other, strlen(other)}, NULL, 0, &out);
	assert_int_equal(text_utf8_valid(out.data, out.size), out.size);
	buf_free(&out);
	buf_free(&text);
}

static void an_error_event_says_all_that_is_needed(void **state)
{
	(void)state;
	struct buf out;
	const char value[] =
	        "{\"$schema\":\"/error/2.1.0\",\"error_type\":\"HttpStatus\",\"message\":\"x answered 400\","
	        "\"raw_event\":\"{\\\"id\\\":7}\"}";
	buf_init(&out, 0);
	assert_true(
	        script_trouble_event((struct bytes){value, strlen(value)}, "job.lua", "in/0/1", false, &out));
	assert_string_equal(out.data,
	        "in/0/1: error[M501]: HttpStatus: x answered 400\n"
	        "   event: {\"id\":7}\n"
	        "   hint: the service does not take this question: look at `path` and `query` of the "
	        "request\n"
	        "   more: millrace explain M501\n");
	assert_false(script_trouble_event((struct bytes){"{}", 2}, "job.lua", NULL, false, &out));
	assert_false(script_trouble_event((struct bytes){"[", 1}, "job.lua", NULL, false, &out));
	buf_free(&out);
}

/* Nothing that a script says may make the tool read another file, wait for a pipe, or write to the terminal.
 */
static void a_script_cannot_have_other_files_shown(void **state)
{
	(void)state;
	char secret[] = "/tmp/millrace-secret-XXXXXX", fifo[] = "/tmp/millrace-pipe-XXXXXX.lua";
	char text[200], expected[400];
	int fd = mkstemp(secret);
	assert_true(fd >= 0 && write(fd, "hunter2\n", 8) == 8);
	close(fd);
	snprintf(text, sizeof text, "%s:1: oops", secret);
	snprintf(expected, sizeof expected, "job.lua: error[M200]: %s\n   more: millrace explain M200\n",
	        text);
	told(NULL, text, NULL, NULL, expected);
	unlink(secret);
	close(mkstemps(fifo, 4));
	unlink(fifo);
	assert_int_equal(0, mkfifo(fifo, 0600));
	snprintf(text, sizeof text, "%s:1: oops", fifo);
	snprintf(expected, sizeof expected, "job.lua: error[M200]: %s\n   more: millrace explain M200\n",
	        text);
	told(NULL, text, NULL, NULL, expected);
	unlink(fifo);
	told(NULL, "\033[2Joops\n", NULL, NULL,
	        "job.lua: error[M200]:  [2Joops \n   more: millrace explain M200\n");
	told(NULL, "", NULL, NULL, "job.lua: error[M200]: \n   more: millrace explain M200\n");
	told(NULL, "/gone.lua:3: oops", NULL, NULL,
	        "job.lua: error[M200]: /gone.lua:3: oops\n   more: millrace explain M200\n");
	told(NULL, "no place at all: 12", NULL, NULL,
	        "job.lua: error[M200]: no place at all: 12\n   more: millrace explain M200\n");
}

/* Whatever stands in the source or in the message, it is told and nothing breaks. */
static void odd_sources_and_messages_break_nothing(void **state)
{
	(void)state;
	static const char *const sources[] = {"\n\n\n", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.x.y", "'", "\"\\",
	        "][", "x[", "x[\"", ".x.", "function(", "local function", "local = ", "for in", "return",
	        "--", "\xFF\xFE.x.y", "x.y.x.y.x.y", "function f(x, x) x = x.x end", "x = x\nx = x",
	        "local x = x.x", "((((((((((x"};
	static const char *const messages[] = {"attempt to index field 'x' (a nil value)",
	        "attempt to index field '' (a nil value)", "attempt to index field 'x",
	        "attempt to call global 'x' (a nil value)", "attempt to compare nil with number",
	        "bad argument #1 to 'x' (table expected, got nil)", "bad argument #1 to '",
	        "'end' expected near '<eof>'", "'end' expected (to close 'function' at line 99) near '<eof>'",
	        "unexpected symbol near 'x'", "unexpected symbol near '", "hook 'x' answered nil",
	        "hook 'transform' answered nil", "'x' is a global: scripts keep no globals",
	        "the reason of millrace.drop must be an identifier, got 'x"};
	static const char *const types[] = {
	        NULL, "ScriptError", "ScriptAnswer", "OutputInvalid", "PoisonEvent"};
	struct buf out;
	buf_init(&out, 0);
	for (size_t s = 0; s < sizeof sources / sizeof *sources; s++) {
		struct place place;
		put(&place, sources[s]);
		for (size_t m = 0; m < sizeof messages / sizeof *messages; m++)
			for (size_t t = 0; t < sizeof types / sizeof *types; t++)
				for (int line = 0; line < 3; line++) {
					char *message =
					        mem_printf("%s:%d: %s", place.path, line, messages[m]);
					struct script_trouble trouble = {types[t],
					        line ? message : messages[m], message, place.path,
					        "transform", "e:1", {event, strlen(event)}};
					buf_clear(&out);
					script_trouble_text(&trouble, true, &out);
					assert_true(out.size > 0);
					mem_free(message);
				}
		take_away(&place);
	}
	buf_free(&out);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_field_that_the_event_lacks_is_compared_with_it),
	        cmocka_unit_test(null_is_told_from_absent),
	        cmocka_unit_test(variables_are_followed_to_what_they_were_set_from),
	        cmocka_unit_test(what_hooks_are_given_is_known),
	        cmocka_unit_test(names_that_scripts_do_not_have_are_told_with_what_there_is),
	        cmocka_unit_test(globals_are_not_set),
	        cmocka_unit_test(values_that_do_not_fit_are_told_with_what_they_are),
	        cmocka_unit_test(an_answer_that_is_lost_is_found),
	        cmocka_unit_test(a_wrong_verdict_is_told_with_the_right_one),
	        cmocka_unit_test(a_reason_becomes_an_identifier),
	        cmocka_unit_test(errors_without_a_hint_are_told_plainly),
	        cmocka_unit_test(syntax_is_underlined_at_the_word_that_lua_met),
	        cmocka_unit_test(what_is_missing_is_named_with_its_line),
	        cmocka_unit_test(a_script_that_is_no_script_has_a_code),
	        cmocka_unit_test(the_whole_is_one_text),
	        cmocka_unit_test(a_long_path_is_found_again),
	        cmocka_unit_test(what_is_no_fault_of_the_script_stands_at_the_event),
	        cmocka_unit_test(secrets_are_not_shown),
	        cmocka_unit_test(an_event_is_shortened_to_about_a_line),
	        cmocka_unit_test(an_error_event_says_all_that_is_needed),
	        cmocka_unit_test(a_script_cannot_have_other_files_shown),
	        cmocka_unit_test(odd_sources_and_messages_break_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run);
}
