/* The walk of a record through its script: what hooks are given, and what their answers become. */
#include "script_fixture.h"

#include "script_private.h"

/* ---- request ---- */

static void a_request_reaches_the_engine_with_every_member(void **state)
{
	(void)state;
	struct script *script = fixture_hooks(
	        "return {upstream = 'open', host = 'EN.example.org', path = '/x/1',"
	        "query = {b = 'a b|c', a = 1351079888211148, c = true, d = {1, 'x'}}, method = 'PUT',"
	        "headers = {['X-B'] = 'two', ['X-A'] = 1}, body = {a = {1}}, timeout = 1.5, accept = {404, "
	        "410},"
	        "optional = true}",
	        "");
	struct script_result result = fixture_request(script);
	assert_int_equal(VERDICT_ASK, result.verdict);
	assert_int_equal(1, result.request_count);
	const struct request *request = &result.requests[0];
	assert_int_equal(1, request->upstream);
	assert_string_equal("en.example.org", request->host);
	assert_string_equal("/x/1", request->path);
	assert_string_equal("a=1351079888211148&b=a%20b%7Cc&c=true&d=1%7Cx", request->query);
	assert_string_equal("PUT", request->method);
	assert_int_equal(3, request->header_count);
	assert_string_equal("X-A", request->headers[0].name);
	assert_string_equal("1", request->headers[0].value);
	assert_string_equal("application/json", headers_get(request->headers, 3, "content-type"));
	assert_string_equal("{\"a\":[1]}", request->body);
	assert_int_equal(1500, request->timeout_ms);
	assert_int_equal(2, request->accept_count);
	assert_int_equal(410, request->accept[1]);
	assert_true(request->optional);
	assert_int_equal(EXPECT_JSON, request->expect);
	script_result_free(&result);
	script_release(script);
}

static void a_small_request_gets_the_defaults(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("return {query = {titles = 'A'}}", "");
	struct script_result result = fixture_request(script);
	const struct request *request = &result.requests[0];
	assert_int_equal(0, request->upstream);
	assert_null(request->host);
	assert_string_equal("", request->path);
	assert_string_equal("GET", request->method);
	assert_null(request->body);
	assert_int_equal(0, request->timeout_ms);
	assert_false(request->optional);
	script_result_free(&result);
	script_release(script);
}

static void a_request_with_a_body_is_a_post(void **state)
{
	(void)state;
	struct script *script = fixture_hooks(
	        "return {body = 'a\\0b', headers = {['content-type'] = 'text/plain'}, expect = 'bytes'}", "");
	struct script_result result = fixture_request(script);
	assert_string_equal("POST", result.requests[0].method);
	assert_int_equal(3, result.requests[0].body_size);
	assert_int_equal(1, result.requests[0].header_count);
	assert_int_equal(EXPECT_BYTES, result.requests[0].expect);
	script_result_free(&result);
	script_release(script);
}

static void a_mergeable_value_stands_apart_from_the_query(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("return {query = {revids = 1351079888211148, action = 'query'},"
	                      "merge = {param = 'revids', max = 20, bytes = 65536, split = 'parts'}}",
	                "");
	struct script_result result = fixture_request(script);
	const struct request *request = &result.requests[0];
	assert_string_equal("action=query", request->query);
	assert_string_equal("revids", request->merge_param);
	assert_string_equal("1351079888211148", request->merge_value);
	assert_int_equal(20, request->merge_max);
	assert_int_equal(65536, request->merge_bytes);
	assert_string_equal("parts", request->split);
	script_result_free(&result);
	script_release(script);
}

static void integers_of_events_are_asked_digit_for_digit(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("return {path = millrace.path('/revision/', event.big, '/', "
	                                      "event.page.page_id, '/', 'a/b c'),"
	                                      "query = {big = event.big}}",
	        "");
	struct script_result result = fixture_request(script);
	assert_string_equal("/revision/9007199254740993/123/a%2Fb%20c", result.requests[0].path);
	assert_string_equal("big=9007199254740993", result.requests[0].query);
	script_result_free(&result);
	script_release(script);
}

static void several_requests_come_in_their_order(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("return {{path = '/1'}, {path = '/2'}, {path = '/3'}}", "");
	struct script_result result = fixture_request(script);
	assert_int_equal(3, result.request_count);
	assert_string_equal("/3", result.requests[2].path);
	script_result_free(&result);
	script_release(script);
}

static void a_request_that_cannot_be_sent_says_why(void **state)
{
	static const char *const cases[][2] = {
	        {"{qurey = {}}", "unknown member `qurey`; did you mean `query`?"},
	        {"{something = 1}", "unknown member `something`; a request has upstream, host"},
	        {"event", "unknown member"},
	        {"{path = '/', [5] = 1}", "key of type number"},
	        {"{upstream = 'wiki'}",
	                "there is no upstream 'wiki'; http.upstreams has mediawiki, open, scores"},
	        {"{upstream = 1}", "`upstream` must be a string, it is a number"},
	        {"{upstream = 'open', path = '/'}", "`host` is missing: the url of upstream 'open' needs it"},
	        {"{upstream = 'open', host = 'evil.org'}",
	                "none of the hosts of upstream 'open': *.example.org, www.wikidata.org"},
	        {"{upstream = 'open', host = 'evilexample.org'}", "none of the hosts"},
	        {"{upstream = 'open', host = 'example.org'}", "none of the hosts"},
	        {"{upstream = 'open', host = 'a.example.org:22'}", "none of the hosts"},
	        {"{host = 'a b'}", "`host` must be a host name"},
	        {"{host = 'a/b'}", "`host` must be a host name"},
	        {"{host = 'user@b'}", "`host` must be a host name"},
	        {"{host = 'a\\r\\nX: y'}", "control character"},
	        {"{host = ''}", "`host` must be a host name"},
	        {"{path = 'x'}", "`path` must begin with '/'"},
	        {"{path = '/a b'}", "byte 0x20"},
	        {"{path = '/a?b=c'}", "parameters go into `query`"},
	        {"{path = '/a\\0b'}", "control character"},
	        {"{path = '/a/../b'}", "a segment '.' or '..'"},
	        {"{path = '/a/%2E%2e'}", "a segment '.' or '..'"},
	        {"{path = {}}", "`path` must be a string, it is an empty table"},
	        {"{query = 'a=b'}", "`query` must be a table of names and values, it is a string"},
	        {"{query = {a = {}}}", "query.a must be"},
	        {"{query = {a = {{}}}}", "query.a[1] must be"},
	        {"{query = {a = millrace.json.null}}",
	                "query.a must be a string, a number, a boolean or an array of them, it is null"},
	        {"{query = {'a'}}", "key of type number"},
	        {"{query = {a = 0/0}}", "query.a must be"},
	        {"{method = 'get'}", "`method` must be GET"},
	        {"{headers = {Host = 'x'}}", "the header Host is set by `host`"},
	        {"{headers = {['content-length'] = '1'}}", "the header Content-Length is the engine's"},
	        {"{headers = {['X-A'] = '1', ['x-a'] = '2'}}", "is there twice"},
	        {"{headers = {['X A'] = '1'}}", "no name of a header"},
	        {"{headers = {X = 'a\\nb'}}", "headers['X'] holds a line break"},
	        {"{headers = {X = {}}}", "headers['X'] must be a string"},
	        {"{body = print}", "`body` must be a string, or a table"},
	        {"{body = {f = print}}", "`body` cannot be JSON: "},
	        {"{timeout = 0}", "`timeout` must be a number from 0.001 to 3600"},
	        {"{timeout = '1s'}", "it is a string"},
	        {"{accept = 404}", "`accept` must be an array"},
	        {"{accept = {'404'}}", "statuses from 200 to 599"},
	        {"{accept = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}}", "more than 16"},
	        {"{optional = 1}", "`optional` must be true or false"},
	        {"{expect = 'xml'}", "`expect` must be \"json\" or \"bytes\""},
	        {"{merge = {param = 'a', split = 'parts'}}",
	                "merge.param names 'a', which `query` does not have"},
	        {"{query = {a = 1}, merge = {param = 'a'}}", "merge.split must name the function"},
	        {"{query = {a = 1}, merge = {param = 'a', split = 'other'}}",
	                "merge.split names 'other', which is no function"},
	        {"{query = {a = 1}, merge = {param = 'a', split = 'api'}}", "no function"},
	        {"{query = {a = {1}}, merge = {param = 'a', split = 'parts'}}", "one value"},
	        {"{query = {a = '1|2'}, merge = {param = 'a', split = 'parts'}}",
	                "must not be empty or hold a '|'"},
	        {"{query = {a = ''}, merge = {param = 'a', split = 'parts'}}", "must not be empty"},
	        {"{query = {a = 1}, merge = {param = 'a', split = 'parts', max = 0}}",
	                "`merge.max` must be a number from 1"},
	        {"{query = {a = 1}, merge = {param = 'a', split = 'parts', most = 5}}",
	                "unknown member `merge.most`"},
	        {"{query = {a = 1}, expect = 'bytes', merge = {param = 'a', split = 'parts'}}",
	                "`merge` needs expect"},
	        {"{{path = '/'}, {path = 'x'}}", "(number 2): `path`"},
	        {"{{path = '/'}, 5}", "(number 2): a request is a table, this is a number"},
	        {"millrace.json.array{}", "an empty table"},
	        {"setmetatable({}, {__index = function() while true do end end})", "an empty table"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *hook = mem_printf("return %s", cases[i][0]);
		struct script *script = fixture_hooks(hook, "");
		struct script_result result = fixture_request(script);
		if (result.verdict == VERDICT_ASK)
			fail_msg("%s is sent", cases[i][0]);
		expect_failure(&result, "ScriptAnswer", "hook 'request' in ");
		result = fixture_request(script);
		expect_failure(&result, "ScriptAnswer", cases[i][1]);
		expect_sane(script);
		script_release(script);
		mem_free(hook);
	}
}

static void request_answers_by_verdicts(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("if event.page.page_id == 123 then return millrace.drop('canary') end", "");
	struct script_result result = fixture_request(script);
	assert_int_equal(VERDICT_DROP, result.verdict);
	assert_string_equal("canary", result.type);
	script_result_free(&result);
	script_release(script);

	script = fixture_hooks("return millrace.pass()", "");
	result = fixture_request(script);
	assert_int_equal(VERDICT_PASS, result.verdict);
	script_result_free(&result);
	script_release(script);

	script = fixture_hooks("return millrace.fail('InvalidEvent', 'no page')", "");
	result = fixture_request(script);
	assert_null(result.stack);
	expect_failure(&result, "InvalidEvent", "no page");
	script_release(script);
}

static void nonsense_of_request_is_a_failure_that_names_the_hook(void **state)
{
	static const char *const cases[][2] = {
	        {"", "answered nil: return a request, an array of requests, millrace.pass()"},
	        {"return nil", "answered nil"}, {"return {}", "answered an empty table"},
	        {"return 5", "answered a number"}, {"return 'x'", "answered a string"},
	        {"return true", "answered true"}, {"return print", "answered a function"},
	        {"return millrace.json.null", "answered null"},
	        {"return millrace.retry('later')", "answered millrace.retry"},
	        {"return millrace.output{value = {}}", "answered millrace.output"},
	        {"return millrace.pass", "answered a function"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct script *script = fixture_hooks(cases[i][0], "");
		struct script_result result = fixture_request(script);
		assert_non_null(strstr(result.message, "hook 'request' in "));
		expect_failure(&result, "ScriptAnswer", cases[i][1]);
		script_release(script);
	}
}

static void a_script_without_request_goes_straight_to_transform(void **state)
{
	(void)state;
	struct script *script = fixture_open("return {api = 1, transform = function(event, response) "
	                                     "event.response = tostring(response) return event end}");
	assert_false(script_has_request(script));
	struct script_result result = fixture_request(script);
	assert_int_equal(VERDICT_ASK, result.verdict);
	assert_int_equal(0, result.request_count);
	result = fixture_transform(script, NULL);
	expect_output(&result, "\"response\":\"nil\"");
	script_release(script);
}

static void a_script_without_transform_may_not_ask(void **state)
{
	(void)state;
	struct script *script =
	        fixture_open("return {api = 1, request = function() return {path = '/'} end}");
	struct script_result result = fixture_request(script);
	expect_failure(&result, "ScriptAnswer", "no hook 'transform'");
	result = fixture_transform(script, "{}");
	expect_failure(&result, "ScriptAnswer", "no hook 'transform'");
	script_release(script);
}

static void an_error_tells_hook_file_line_and_the_way_there(void **state)
{
	(void)state;
	struct script *script = fixture_hooks(
	        "local function inner()\nreturn event.revision.rev_id\nend\nreturn {inner()}", "");
	struct script_result result = fixture_request(script);
	assert_non_null(strstr(result.stack, "t.lua:4: in function 'inner'"));
	assert_non_null(strstr(result.stack, "t.lua:6: in the function of line 3"));
	expect_failure(&result, "ScriptError", "hook 'request': /tmp/");
	result = fixture_request(script);
	expect_failure(&result, "ScriptError", "t.lua:4: attempt to index field 'revision' (a nil value)");
	assert_int_equal(2, script_usage(script).errors);
	script_release(script);
}

/* ---- what hooks are given ---- */

static void hooks_see_where_the_record_came_from(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("kept[1] = event return {path = '/'}",
	        "local m = meta return {topic = m.topic, partition = m.partition, offset = m.offset, "
	        "timestamp = m.timestamp,"
	        "key = m.key, trace = m.headers.trace, null = m.headers.null == millrace.json.null, attempt "
	        "= m.attempt,"
	        "now = type(m.now), same = kept[1] == event}");
	struct script_event event;
	struct script_result result;
	fixture_decode(script, &event, edit);
	script_request(&event, 3, &result);
	assert_int_equal(VERDICT_ASK, result.verdict);
	script_result_free(&result);
	script_transform(&event, NULL, 0, &result);
	static const char *const words[] = {"\"topic\":\"eqiad.mediawiki.page_change\"", "\"partition\":3",
	        "\"offset\":9007199254740991", "\"timestamp\":1763814388.123", "\"key\":\"own-key\"",
	        "\"trace\":\"last\"", "\"null\":true", "\"attempt\":3", "\"now\":\"number\"",
	        "\"same\":true"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		assert_non_null(strstr(result.outputs[0].value, words[i]));
	script_result_free(&result);
	script_forget(&event);
	script_release(script);
}

static void an_event_that_lets_go_keeps_its_texts_and_later_frees_them(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("", "");
	struct script_event event;
	fixture_decode(script, &event, edit);
	script_let_go(&event);
	assert_int_equal(0, script_usage(script).events);
	assert_null(event.script);
	assert_string_equal("en.example.org", event.domain);
	script_forget(&event); /* the leak checker sees what stays */
	assert_null(event.domain);
	script_release(script);
}

static void the_engine_reads_what_it_needs_of_an_event(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("", "");
	struct script_event event;
	fixture_decode(script, &event, edit);
	assert_string_equal("d86946db-187d-489b-a4d2-9a9effaf5c22", event.id);
	assert_string_equal("en.example.org", event.domain);
	assert_string_equal("r", event.request_id);
	assert_string_equal("u", event.uri);
	assert_string_equal("/mediawiki/page/change/1.2.0", event.schema);
	assert_string_equal("mediawiki.page_change", event.stream);
	assert_int_equal(1795353989500, event.dt);
	assert_int_equal(1795353988000, event.event_dt);
	assert_string_equal("{\"wiki_id\":\"enwiki\",\"page_id\":123}", event.lane_key);
	assert_int_equal(strlen(event.lane_key), event.lane_key_size);
	assert_true(event.bytes > 500);
	assert_int_equal(1, script_usage(script).events);
	script_forget(&event);
	assert_int_equal(0, script_usage(script).events);
	script_forget(&event);

	fixture_decode(script, &event, "{\"meta\":[],\"dt\":\"yesterday\",\"$schema\":5}");
	assert_null(event.id);
	assert_null(event.schema);
	assert_int_equal(0, event.event_dt);
	script_forget(&event);
	script_release(script);
}

static void an_event_without_its_key_has_no_lane(void **state)
{
	static const char *const values[] = {"{\"wiki_id\":\"enwiki\"}",
	        "{\"wiki_id\":\"enwiki\",\"page\":{\"page_id\":null}}", "{\"wiki_id\":\"enwiki\",\"page\":5}",
	        "{\"wiki_id\":\"enwiki\",\"page\":{\"page_id\":{}}}"};
	struct script *script = fixture_hooks("", "");
	struct script_event event;
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		fixture_decode(script, &event, values[i]);
		assert_null(event.lane_key);
		script_forget(&event);
	}
	fixture_decode(script, &event, "{\"page\":{\"page_id\":9007199254740993},\"wiki_id\":\"a\\\"b\"}");
	assert_string_equal("{\"wiki_id\":\"a\\\"b\",\"page_id\":9007199254740993}", event.lane_key);
	script_forget(&event);
	script_release(script);

	fixture_world = &stamping_world; /* its lane's key is the record's own */
	script = fixture_hooks("", "");
	fixture_world = &world;
	fixture_decode(script, &event, "{}");
	assert_string_equal("own-key", event.lane_key);
	script_forget(&event);
	script_release(script);
}

static void what_is_no_event_is_poison(void **state)
{
	static const char *const cases[][2] = {{"{\"a\":}", "not JSON"}, {"", "not JSON"},
	        {"[1]", "not an object: it is an array of 1"}, {"[]", "not an object"},
	        {"5", "not an object: it is a number"}, {"null", "not an object: it is null"},
	        {"{\"a\":1,\"a\":2}", "not JSON: duplicate key"}, {"{} x", "not JSON"}, {NULL, "no value"}};
	struct script *script = fixture_hooks("", "");
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct script_event event;
		struct script_result result = {0};
		struct script_input input = fixture_input(cases[i][0]);
		assert_false(script_decode(&event, script, &input, &result));
		expect_failure(&result, "PoisonEvent", cases[i][1]);
		script_forget(&event);
	}
	char *large = mem_alloc((2 << 20) + 1);
	memset(large, '[', 2 << 20);
	large[2 << 20] = '\0';
	struct script_event event;
	struct script_result result = {0};
	struct script_input input = fixture_input(large);
	assert_false(script_decode(&event, script, &input, &result));
	expect_failure(&result, "PoisonEvent", "larger");
	mem_free(large);
	assert_int_equal(0, script_usage(script).events);
	script_release(script);
}

static void params_are_there_and_read_only(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("", "return {missing = millrace.params.missing, list = millrace.params.list, "
	                          "none = tostring(millrace.params.none)}");
	struct script_result result = fixture_transform(script, NULL);
	assert_non_null(strstr(result.outputs[0].value, "\"missing\":\"fail\""));
	assert_non_null(strstr(result.outputs[0].value, "\"list\":[1,2]"));
	assert_non_null(strstr(result.outputs[0].value, "\"none\":\"nil\""));
	script_result_free(&result);
	script_release(script);
}

static void the_small_tools_do_what_they_say(void **state)
{
	static const char *const cases[][2] = {
	        {"millrace.path('/a/', 5, '/', 'x y/z', '/', 1e15)", "/a/5/x%20y%2Fz/1000000000000000"},
	        {"millrace.escape('/\\0é~')", "%2F%00%C3%A9~"},
	        {"millrace.hash.sha1('abc')", "a9993e364706816aba3e25717850c26c9cd0d89d"},
	        {"millrace.uuid.v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'www.example.com')",
	                "2ed6657d-e927-568b-95e1-2665a8aea6a2"},
	        {"millrace.time.format(millrace.time.parse('2026-11-22T14:26:28.5+01:00'))",
	                "2026-11-22T13:26:28.500Z"},
	        {"tostring(millrace.time.parse('yesterday')) .. tostring(millrace.time.parse(nil))",
	                "nilnil"},
	        {"tostring(millrace.time.now() > 1.7e9)", "true"},
	        {"tostring(millrace.json.decode('[]'))", "table"},
	        {"tostring(millrace.drop('canary'))", "millrace.drop(canary)"},
	        {"millrace.fail('A', 'why').message .. millrace.retry('b', {after = 2}).after", "why2"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *hook = mem_printf("return {said = %s}", cases[i][0]);
		struct script *script = fixture_hooks("", hook);
		struct script_result result = fixture_transform(script, NULL);
		expect_output(&result, cases[i][1]);
		script_release(script);
		mem_free(hook);
	}
}

/* ---- transform ---- */

static void transform_sees_the_event_and_the_answer(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("", "event.text = response.json.text event.body = response.body "
	                          "event.status = response.status return event");
	struct script_result result = fixture_transform(script, "{\"text\":\"hello\"}");
	assert_int_equal(0, result.outputs[0].sink);
	assert_false(result.outputs[0].has_key);
	assert_int_equal(1763814388123, result.outputs[0].timestamp);
	assert_int_equal(3, result.outputs[0].header_count);
	assert_non_null(strstr(result.outputs[0].value, "\"tags\":[]"));
	assert_non_null(strstr(result.outputs[0].value, "\"big\":9007199254740993"));
	assert_non_null(strstr(result.outputs[0].value, "\"status\":200"));
	assert_null(strstr(result.outputs[0].value, "body"));
	expect_output(&result, "\"text\":\"hello\"");
	script_release(script);
}

static void a_response_has_headers_body_error_and_counts(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("",
	        "return {status = response.status, type = response.error.type, why = response.error.message,"
	        "header = response.headers['retry-after'], list = response.headers.vary, attempts = "
	        "response.attempts,"
	        "elapsed = response.elapsed, body = response.body, json = tostring(response.json)}");
	struct header headers[] = {{"retry-after", "5"}, {"vary", "a"}, {"vary", "b"}};
	struct response response = {.status = 503,
	        .headers = headers,
	        .header_count = 3,
	        .body = "sorry",
	        .body_size = 5,
	        .error_type = "HttpStatus",
	        .error_message = "503",
	        .attempts = 8,
	        .elapsed = 1.25};
	struct request request = {.optional = true};
	struct script_answer_part answer = {&response, &request, -2};
	struct script_event event;
	struct script_result result;
	fixture_decode(script, &event, edit);
	script_transform(&event, &answer, 1, &result);
	static const char *const words[] = {"\"status\":503", "\"type\":\"HttpStatus\"", "\"why\":\"503\"",
	        "\"header\":\"5\"", "\"list\":\"a, b\"", "\"attempts\":8", "\"elapsed\":1.25",
	        "\"body\":\"sorry\"", "\"json\":\"nil\""};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		assert_non_null(strstr(result.outputs[0].value, words[i]));
	script_result_free(&result);
	script_forget(&event);
	script_release(script);
}

static void several_questions_get_several_answers(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("return {{path = '/1'}, {path = '/2'}}",
	        "return {n = #response, first = response[1].json.n, second = response[2].body}");
	struct response responses[] = {{.status = 200, .body = "{\"n\":1}", .body_size = 7},
	        {.status = 200, .body = "two", .body_size = 3}};
	struct script_event event;
	struct script_result result, detail;
	fixture_decode(script, &event, edit);
	script_request(&event, 1, &result);
	result.requests[1].expect = EXPECT_BYTES;
	struct script_answer_part answers[2];
	for (int i = 0; i < 2; i++) {
		answers[i] = (struct script_answer_part){&responses[i], &result.requests[i], -2};
		assert_int_equal(
		        SCRIPT_ANSWER_OK, script_answer(script, &result.requests[i], &responses[i],
		                                  (const char *const[]){""}, 1, &answers[i].part, &detail));
	}
	struct script_result made;
	script_transform(&event, answers, 2, &made);
	assert_non_null(strstr(made.outputs[0].value, "\"n\":2"));
	assert_non_null(strstr(made.outputs[0].value, "\"first\":1"));
	expect_output(&made, "\"second\":\"two\"");
	script_result_free(&result);
	script_forget(&event);
	script_release(script);
}

static void transform_answers_by_verdicts(void **state)
{
	static const struct {
		const char *hook;
		enum verdict verdict;
		const char *type;
		double after;
		bool host_scope;
	} cases[] = {{"return millrace.pass()", VERDICT_PASS, NULL, 0, false},
	        {"return millrace.drop('hidden')", VERDICT_DROP, "hidden", 0, false},
	        {"return millrace.retry('lag')", VERDICT_RETRY, "lag", 1, false},
	        {"return millrace.retry('lag', {after = 2.5})", VERDICT_RETRY, "lag", 2.5, false},
	        {"return millrace.retry('maxlag', {after = 0, scope = 'host'})", VERDICT_RETRY, "maxlag", 0,
	                true},
	        {"return millrace.fail('Missing')", VERDICT_FAIL, "Missing", 0, false},
	        {"return millrace.fail('Missing', '')", VERDICT_FAIL, "Missing", 0, false},
	        {"return millrace.fail('Missing', '\\0x')", VERDICT_FAIL, "Missing", 0, false}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct script *script = fixture_hooks("", cases[i].hook);
		struct script_result result = fixture_transform(script, NULL);
		assert_int_equal(cases[i].verdict, result.verdict);
		if (cases[i].type)
			assert_string_equal(cases[i].type, result.type);
		assert_true(cases[i].after == result.after);
		assert_int_equal(cases[i].host_scope, result.host_scope);
		if (cases[i].verdict == VERDICT_FAIL)
			assert_string_equal(cases[i].type, result.message);
		script_result_free(&result);
		script_release(script);
	}
}

static void nonsense_of_transform_is_a_failure_that_names_the_hook(void **state)
{
	static const char *const cases[][3] = {
	        {"", "ScriptAnswer", "hook 'transform' in "},
	        {"", "ScriptAnswer", "answered nil: return the event"},
	        {"return {}", "ScriptAnswer", "answered an empty table"},
	        {"return 5", "ScriptAnswer", "answered a number"},
	        {"return 'x'", "ScriptAnswer", "answered a string"},
	        {"return millrace.json.null", "ScriptAnswer", "answered null"},
	        {"return {{a = 1}}", "ScriptAnswer", "millrace.outputs(a, b, ...)"},
	        {"return event, millrace.pass()", "", ""},
	        {"return {f = print}", "OutputInvalid",
	                "the output for sink 'content' cannot be encoded: f: a function"},
	        {"return {a = 0/0}", "OutputInvalid", "cannot be encoded"},
	        {"return {a = '\\255'}", "OutputInvalid", "UTF-8"},
	        {"return {a = ('x'):rep(200000)}", "OutputTooLarge", "larger than its max_bytes (100.0 kB)"},
	        {"local t = {} t.t = t return t", "OutputInvalid", "cannot be encoded"},
	        {"millrace.drop('two words')", "ScriptError", "must be an identifier"},
	        {"millrace.drop()", "ScriptError", "the reason of millrace.drop must be a string, got nil"},
	        {"millrace.drop('1st')", "ScriptError", "identifier"},
	        {"millrace.fail('x\\n')", "ScriptError", "identifier"},
	        {"millrace.drop(('x'):rep(65))", "ScriptError", "identifier"},
	        {"millrace.retry('a', {afer = 1})", "ScriptError", "unknown option 'afer'"},
	        {"millrace.retry('a', {after = -1})", "ScriptError", "0 to 3600"},
	        {"millrace.retry('a', {scope = 'all'})", "ScriptError", "\"lookup\" or \"host\""},
	        {"millrace.output(event)", "ScriptError", "millrace.output: unknown member"},
	        {"millrace.output(5)", "ScriptError", "a table with value"},
	        {"millrace.output{}", "ScriptError", "`value` is missing"},
	        {"millrace.output{vlaue = {}}", "ScriptError", "did you mean 'value'?"},
	        {"millrace.output{value = {}, to = 'other'}", "ScriptError",
	                "there are content, stamped, keyed, not 'other'"},
	        {"millrace.output{value = {}, key = 5}", "ScriptError",
	                "`key` must be a string, it is a number"},
	        {"millrace.output{value = {}, headers = 5}", "ScriptError", "`headers` must be a table"},
	        {"millrace.output{value = {}, headers = {5}}", "ScriptError", "names and strings"},
	        {"millrace.output{value = {}, timestamp = 'now'}", "ScriptError",
	                "`timestamp` must be a number of seconds"},
	        {"millrace.output{value = {a = print}}", "OutputInvalid", "t.lua:5: the output for sink"},
	        {"millrace.output{value = 5, to = 'stamped'}", "OutputInvalid",
	                "the output for sink 'stamped'"},
	        {"millrace.outputs()", "ScriptError", "at least one output"},
	        {"millrace.outputs(5)", "ScriptError", "argument 1"},
	        {"local a = millrace.output{value = {}} millrace.outputs(a, a)", "ScriptError",
	                "output 2 is there twice"},
	        {"for i = 1, 1001 do millrace.output{value = {}} end", "OutputInvalid",
	                "more than 1000 outputs"},
	        {"kept[1] = kept[1] or millrace.output{value = {}} return kept[1]", "", ""},
	        {"pcall(millrace.output, {value = {a = print}}) error('other')", "ScriptError", "other"},
	};
	(void)state;
	fixture_budget_ms = 1000;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct script *script = fixture_hooks("", cases[i][0]);
		struct script_result result = fixture_transform(script, NULL);
		if (cases[i][1][0])
			expect_failure(&result, cases[i][1], cases[i][2]);
		else
			expect_output(&result, "");
		expect_sane(script);
		script_release(script);
	}
	fixture_budget_ms = 30;
}

/* ---- outputs ---- */

static void an_output_is_what_it_was_when_it_was_made(void **state)
{
	(void)state;
	struct script *script = fixture_hooks(
	        "", "local out = millrace.output{value = event} event.wiki_id = 'changed' return out");
	struct script_result result = fixture_transform(script, NULL);
	expect_output(&result, "\"wiki_id\":\"enwiki\"");
	script_release(script);
}

static void an_output_has_its_sink_key_headers_and_time(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("",
	        "return millrace.outputs(millrace.output{value = {1, 2}, to = 'content', key = 'k\\0y', "
	        "timestamp = 1.5,"
	        "headers = {b = '2', a = millrace.json.null}},"
	        "millrace.output{value = {wiki_id = 'w', page = {page_id = 5}}, to = 'keyed'},"
	        "millrace.output{value = {wiki_id = 'w'}, to = 'keyed'}, {plain = true},"
	        "millrace.output{value = millrace.json.null, key = 'tombstone'})");
	struct script_result result = fixture_transform(script, NULL);
	assert_int_equal(VERDICT_OUTPUT, result.verdict);
	assert_int_equal(5, result.output_count);
	const struct output *out = result.outputs;
	assert_string_equal("[1,2]", out[0].value);
	assert_int_equal(3, out[0].key_size);
	assert_memory_equal("k\0y", out[0].key, 3);
	assert_int_equal(1500, out[0].timestamp);
	assert_int_equal(2, out[0].header_count);
	assert_string_equal("a", out[0].headers[0].name);
	assert_null(out[0].headers[0].value);
	assert_string_equal("2", out[0].headers[1].value);
	assert_int_equal(2, out[1].sink);
	assert_true(out[1].has_key);
	assert_string_equal("{\"wiki_id\":\"w\",\"page_id\":5}", out[1].key);
	assert_false(out[2].has_key);
	assert_string_equal("{\"plain\":true}", out[3].value);
	assert_int_equal(0, out[3].sink);
	assert_null(out[4].value);
	assert_true(out[4].has_key);
	script_result_free(&result);
	script_release(script);
}

static void an_output_of_another_record_is_refused(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("", "kept[1] = kept[1] or millrace.output{value = {}} return kept[1]");
	struct script_result result = fixture_transform(script, NULL);
	expect_output(&result, "{}");
	result = fixture_transform(script, NULL);
	expect_failure(&result, "ScriptAnswer", "an output of another record");
	script_release(script);
}

static struct output stamped_output(struct script *script, size_t n)
{
	struct script_event event;
	struct script_result result;
	struct script_input input = fixture_input(edit);
	fixture_decode(script, &event, edit);
	script_transform(&event, NULL, 0, &result);
	assert_int_equal(VERDICT_OUTPUT, result.verdict);
	struct output output = result.outputs[0];
	result.output_count = 0;
	script_finish_output(&event, &output, n, &input);
	script_result_free(&result);
	script_forget(&event);
	return output;
}

static void a_sink_with_a_stream_stamps_and_repeats_the_same_id(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("", "return millrace.output{value = event, to = 'stamped'}");
	struct output first = stamped_output(script, 0), again = stamped_output(script, 0),
	              second = stamped_output(script, 1);
	assert_non_null(strstr(first.value, "\"stream\":\"mediawiki.page_content_change.v1\""));
	assert_non_null(strstr(first.value, "\"$schema\":\"/mediawiki/page/change/1.2.0\""));
	assert_non_null(strstr(first.value, "\"domain\":\"en.example.org\""));
	assert_null(strstr(first.value, "d86946db-187d-489b-a4d2-9a9effaf5c22"));
	assert_null(strstr(first.value, "00000000-0000"));
	assert_null(strstr(first.value, "13:26:29.5Z"));
	assert_memory_equal(first.value + first.id_at, again.value + again.id_at, 36);
	assert_memory_not_equal(first.value + first.id_at, second.value + second.id_at, 36);
	assert_int_equal('5', first.value[first.id_at + 14]);
	output_free(&first);
	output_free(&again);
	output_free(&second);
	script_release(script);
}

static void pass_publishes_the_very_bytes_that_came(void **state)
{
	static const char odd[] = " { \"b\" : 1.0, \"a\":[ ] , \"wiki_id\":\"x\"}\n";
	struct script *script = fixture_hooks("event.b = nil return millrace.pass()", "");
	struct script_event event;
	struct script_result result;
	struct output output;
	(void)state;
	fixture_decode(script, &event, odd);
	script_request(&event, 1, &result);
	assert_true(script_pass(&event, &output, &result));
	assert_string_equal(odd, output.value);
	assert_int_equal(strlen(odd), output.value_size);
	assert_false(output.has_key);
	assert_int_equal(3, output.header_count);
	assert_int_equal(1763814388123, output.timestamp);
	output_free(&output);
	script_forget(&event);
	script_release(script);
}

static void pass_to_a_stream_stamps_what_came_not_what_hooks_made_of_it(void **state)
{
	(void)state;
	fixture_world = &stamping_world;
	struct script *script = fixture_hooks("event.page = nil event.meta = 5 return millrace.pass()", "");
	fixture_world = &world;
	struct script_event event;
	struct script_result result = {0};
	struct output output;
	struct script_input input = fixture_input(edit);
	fixture_decode(script, &event, edit);
	script_request(&event, 1, &result);
	assert_int_equal(VERDICT_PASS, result.verdict);
	assert_true(script_pass(&event, &output, &result));
	script_finish_output(&event, &output, 0, &input);
	assert_non_null(strstr(output.value, "\"page_id\":123"));
	assert_non_null(strstr(output.value, "\"big\":9007199254740993"));
	assert_non_null(strstr(output.value, "\"stream\":\"mediawiki.page_content_change.v1\""));
	assert_null(strstr(output.value, "00000000-0000"));
	output_free(&output);
	script_forget(&event);

	fixture_decode(script, &event, "{\"meta\":7}");
	assert_false(script_pass(&event, &output, &result));
	expect_failure(&result, "OutputInvalid", "cannot be encoded");
	script_forget(&event);
	script_release(script);
}

/* ---- answers ---- */

struct answered {
	struct script *script;
	int parts[4];
	struct script_result detail;
	enum script_answer outcome;
};

static struct answered answer(
        const char *split, int status, const char *body, const char *const *values, size_t count)
{
	char *text = mem_printf("local millrace = require 'millrace' "
	                        "return {api = 1, transform = function(event, response) "
	                        "event.part = response.json event.body = response.body return event end, "
	                        "parts = function(json, values, response) %s end}",
	        split ? split : "");
	struct answered answered = {.script = fixture_open(text)};
	struct request request = {.split = split ? "parts" : NULL};
	struct response response = {
	        .status = status, .body = (char *)(uintptr_t)body, .body_size = strlen(body), .attempts = 2};
	answered.outcome = script_answer(
	        answered.script, &request, &response, values, count, answered.parts, &answered.detail);
	mem_free(text);
	return answered;
}

static void expect_part(struct answered *answered, size_t i, const char *words)
{
	struct script_event event;
	struct script_result result;
	struct request request = {.split = "parts"};
	struct response response = {.status = 200, .body = "whole", .body_size = 5};
	struct script_answer_part part = {&response, &request, answered->parts[i]};
	fixture_decode(answered->script, &event, "{\"event\":true}");
	script_transform(&event, &part, 1, &result);
	expect_output(&result, words);
	script_forget(&event);
}

static void split_gives_each_value_its_part(void **state)
{
	static const char *const values[] = {"7", "8", "9007199254740993", "x"};
	struct answered answered =
	        answer("local t = {} for _, p in ipairs(json.pages) do t[p.id] = p end "
	               "t.x = {seen = values[4] .. #values .. response.status .. response.attempts} return t",
	                200, "{\"pages\":[{\"id\":7,\"tags\":[]},{\"id\":\"9007199254740993\"}]}", values, 4);
	(void)state;
	assert_int_equal(SCRIPT_ANSWER_OK, answered.outcome);
	assert_int_equal(-2, answered.parts[1]);
	expect_part(&answered, 0, "\"tags\":[]");
	expect_part(&answered, 1, "{\"event\":true}");
	expect_part(&answered, 2, "\"id\":\"9007199254740993\"");
	expect_part(&answered, 3, "\"seen\":\"x42002\"");
	script_release(answered.script);
}

static void split_may_judge_the_whole_call(void **state)
{
	static const char *const values[] = {"7"};
	struct answered answered =
	        answer("return millrace.retry('maxlag', {after = 5, scope = 'host'})", 200, "{}", values, 1);
	(void)state;
	assert_int_equal(SCRIPT_ANSWER_RETRY, answered.outcome);
	assert_string_equal("maxlag", answered.detail.type);
	assert_true(answered.detail.after == 5 && answered.detail.host_scope);
	script_result_free(&answered.detail);
	script_release(answered.script);
	answered = answer("return millrace.fail('ApiError', 'no')", 200, "{}", values, 1);
	assert_int_equal(SCRIPT_ANSWER_FAIL, answered.outcome);
	expect_failure(&answered.detail, "ApiError", "no");
	script_release(answered.script);
}

static void a_split_that_fails_fails_the_call(void **state)
{
	static const char *const values[] = {"7"};
	static const char *const cases[][3] = {{"return json.a.b", "ScriptError", "function 'parts': "},
	        {"", "ScriptAnswer", "function 'parts' in "},
	        {"", "ScriptAnswer", "answered nil: answer a table {[value] = part}"},
	        {"return millrace.pass()", "ScriptAnswer", "answered millrace.pass"},
	        {"while true do end", "ScriptTimeout", "function 'parts' took more CPU time"},
	        {"return ('x'):rep(1e9)", "ScriptMemory", "function 'parts' needs more memory"},
	        {"millrace.fetch{path = '/'}", "ScriptError", "millrace.fetch works in transform only"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct answered answered = answer(cases[i][0], 200, "{}", values, 1);
		assert_int_equal(SCRIPT_ANSWER_FAIL, answered.outcome);
		assert_int_equal(-2, answered.parts[0]);
		expect_failure(&answered.detail, cases[i][1], cases[i][2]);
		script_release(answered.script);
	}
}

static void an_answer_that_is_no_json_is_unparsable_unless_that_is_fine(void **state)
{
	static const char *const values[] = {"7", "8"};
	struct answered answered = answer("return {}", 200, "<html>", values, 1);
	(void)state;
	assert_int_equal(SCRIPT_ANSWER_UNPARSABLE, answered.outcome);
	script_release(answered.script);
	answered = answer(NULL, 200, "", values, 1);
	assert_int_equal(SCRIPT_ANSWER_UNPARSABLE, answered.outcome);
	script_release(answered.script);
	answered = answer(NULL, 204, "", values, 1);
	assert_int_equal(SCRIPT_ANSWER_OK, answered.outcome);
	script_release(answered.script);
	answered =
	        answer("error('not asked')", 404, "<html>", values, 2); /* accepted: else nobody would ask */
	assert_int_equal(SCRIPT_ANSWER_OK, answered.outcome);
	assert_int_equal(-2, answered.parts[1]);
	script_release(answered.script);
	answered = answer("error('not asked')", 404, "{\"a\":[1]}", values, 2);
	assert_int_equal(SCRIPT_ANSWER_OK, answered.outcome);
	expect_part(&answered, 0, "\"part\":{\"a\":[1]}");
	expect_part(&answered, 1, "\"part\":{\"a\":[1]}");
	script_release(answered.script);
}

static void a_part_that_nobody_takes_is_given_back(void **state)
{
	static const char *const values[] = {"7"};
	(void)state;
	struct answered answered = answer("return {['7'] = ('x'):rep(1e6) .. '7'}", 200, "{}", values, 1);
	state_collect(answered.script);
	assert_true(script_usage(answered.script).memory > 1000000);
	script_drop_part(answered.script, answered.parts[0]);
	script_drop_part(answered.script, -2);
	state_collect(answered.script);
	assert_true(script_usage(answered.script).memory < 1000000);
	script_release(answered.script);
}

/* ---- fetch ---- */

static void resume_with(
        struct script_event *event, int status, const char *body, struct script_result *result)
{
	struct request request = {.expect = EXPECT_BYTES};
	struct response response = {
	        .status = status, .body = (char *)(uintptr_t)body, .body_size = strlen(body)};
	struct script_answer_part answer = {&response, &request, -2};
	script_resume(event, &answer, 1, result);
}

static void fetch_waits_for_its_answer_while_others_go_on(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("", "local ok, r = pcall(millrace.fetch, {path = '/' .. event.n}) "
	                          "local s = millrace.fetch{path = '/again'} "
	                          "return {n = event.n, ok = ok, first = r.body, second = s.body}");
	struct script_event a, b;
	struct script_result result_a, result_b;
	fixture_decode(script, &a, "{\"n\":1}");
	fixture_decode(script, &b, "{\"n\":2}");
	script_transform(&a, NULL, 0, &result_a);
	script_transform(&b, NULL, 0, &result_b);
	assert_int_equal(VERDICT_WAIT, result_a.verdict);
	assert_int_equal(1, result_a.request_count);
	assert_string_equal("/1", result_a.requests[0].path);
	assert_string_equal("/2", result_b.requests[0].path);
	script_result_free(&result_a);
	script_result_free(&result_b);
	resume_with(&b, 200, "b1", &result_b);
	resume_with(&a, 200, "a1", &result_a);
	assert_int_equal(VERDICT_WAIT, result_a.verdict);
	assert_string_equal("/again", result_a.requests[0].path);
	script_result_free(&result_a);
	script_result_free(&result_b);
	resume_with(&a, 200, "a2", &result_a);
	assert_non_null(strstr(result_a.outputs[0].value, "\"first\":\"a1\""));
	expect_output(&result_a, "\"second\":\"a2\"");
	script_forget(&b); /* gives up while it waits */
	script_forget(&a);
	assert_int_equal(0, script_usage(script).events);
	script_release(script);
}

static void fetch_of_several_is_answered_by_several(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("return {path = '/'}",
	        "local r = millrace.fetch{{path = '/1'}, {path = '/2'}} return {n = #r, last = r[2].body}");
	struct script_event event;
	struct script_result result;
	struct request request = {.expect = EXPECT_BYTES};
	struct response responses[] = {
	        {.status = 200, .body = "x", .body_size = 1}, {.status = 200, .body = "y", .body_size = 1}};
	struct script_answer_part answers[] = {{&responses[0], &request, -2}, {&responses[1], &request, -2}};
	fixture_decode(script, &event, edit);
	script_transform(&event, NULL, 0, &result);
	assert_int_equal(2, result.request_count);
	script_result_free(&result);
	script_resume(&event, answers, 2, &result);
	assert_non_null(strstr(result.outputs[0].value, "\"n\":2"));
	expect_output(&result, "\"last\":\"y\"");
	script_forget(&event);
	script_release(script);
}

/* Each {transform's body, the error it raises}; and what may stand in `transform` raises in `request`. */
static void expect_waits_only_in_transform(const char *const cases[][2], size_t count, const char *call)
{
	for (size_t i = 0; i < count; i++) {
		struct script *script = fixture_hooks("", cases[i][0]);
		struct script_result result = fixture_transform(script, NULL);
		expect_failure(&result, "ScriptError", cases[i][1]);
		script_release(script);
	}
	struct script *script = fixture_hooks(call, "");
	struct script_result result = fixture_request(script);
	expect_failure(&result, "ScriptError", "works in transform only");
	script_release(script);
}

static void fetch_where_it_cannot_wait_is_an_error(void **state)
{
	static const char *const cases[][2] = {{"coroutine.wrap(function() millrace.fetch{path = '/'} end)()",
	                                               "not inside a coroutine of the script's own"},
	        {"('x'):gsub('x', function() millrace.fetch{path = '/'} end)", "C-call boundary"},
	        {"millrace.fetch()", "a request or an array of them expected, got nil"},
	        {"millrace.fetch{path = 'x'}",
	                "t.lua:5: millrace.fetch: this request cannot be sent: `path` must begin"},
	        {"millrace.fetch{{path = '/'}, {}, 5}", "(number 3)"},
	        {"millrace.fetch(event)", "unknown member"}};
	(void)state;
	expect_waits_only_in_transform(cases, sizeof cases / sizeof *cases, "millrace.fetch{path = '/'}");
}

/* A short script that names one long text many times must not fill the machine. */
static void what_a_record_asks_and_makes_fits_the_memory_of_scripts(void **state)
{
	static const char text[] =
	        "local s, t, h = ('x'):rep(1e6), {}, {} for i = 1, 100 do h['h' .. i] = s ";
	static const char *const asking[] = {"end return {headers = h}", "t[i] = {body = s} end return t",
	        "t[i] = {path = '/' .. s} end return t", "t[i] = s end return {query = {q = t}}"};
	static const char *const making[] = {"millrace.output{value = event, key = s} end return event",
	        "end return millrace.output{value = event, headers = h}"};
	int usual = fixture_budget_ms;
	(void)state;
	fixture_budget_ms = 1000;
	for (size_t i = 0; i < sizeof asking / sizeof *asking; i++) {
		char *hook = mem_printf("%s %s", text, asking[i]);
		struct script *script = fixture_hooks(hook, "return event");
		struct script_result result = fixture_request(script);
		expect_failure(&result, "ScriptAnswer", "larger than script.memory");
		script_release(script);
		mem_free(hook);
	}
	for (size_t i = 0; i < sizeof making / sizeof *making; i++) {
		char *hook = mem_printf("%s %s", text, making[i]);
		struct script *script = fixture_hooks("return nil", hook);
		struct script_result result = fixture_transform(script, NULL);
		expect_failure(&result, "OutputTooLarge", "larger than script.memory");
		script_release(script);
		mem_free(hook);
	}
	fixture_budget_ms = usual;
}

static void a_refused_fetch_leaves_nothing_behind(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("", "pcall(millrace.fetch, {path = 'x'}) return event");
	struct script_result result = fixture_transform(script, NULL);
	assert_int_equal(0, result.request_count);
	expect_output(&result, "enwiki");
	script_release(script);
}

static void a_transform_cannot_fetch_for_ever(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("", "while true do millrace.fetch{path = '/'} end");
	struct script_event event;
	struct script_result result;
	int waits = 0;
	fixture_decode(script, &event, edit);
	script_transform(&event, NULL, 0, &result);
	for (; result.verdict == VERDICT_WAIT; waits++) {
		script_result_free(&result);
		resume_with(&event, 200, "x", &result);
	}
	assert_int_equal(FETCHES_MAX, waits);
	expect_failure(&result, "ScriptError", "more than 100 times");
	script_forget(&event);
	script_release(script);
}

static void a_loop_after_a_fetch_is_stopped_too(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("", "millrace.fetch{path = '/'} while true do end");
	struct script_event event;
	struct script_result result;
	fixture_decode(script, &event, edit);
	script_transform(&event, NULL, 0, &result);
	script_result_free(&result);
	resume_with(&event, 200, "x", &result);
	assert_non_null(strstr(result.stack, "t.lua:5"));
	expect_failure(&result, "ScriptTimeout", "hook 'transform'");
	script_forget(&event);
	expect_sane(script);
	script_release(script);
}

/* ---- diff ---- */

static void a_diff_is_waited_for_with_its_texts(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("",
	        "local a, b = 'one' .. event.n, 'two' .. event.n "
	        "local diff = millrace.diff(a .. '\\n', b .. '\\n', {context = 1, max = 1000}) a, b = nil, "
	        "nil "
	        "local none, why = millrace.diff(diff, '') "
	        "return {diff = diff, none = none == nil, why = why, same = millrace.diff('x', 'x')}");
	struct script_event event;
	struct script_result result;
	fixture_decode(script, &event, "{\"n\":1}");
	script_transform(&event, NULL, 0, &result);
	assert_int_equal(VERDICT_WAIT, result.verdict);
	assert_int_equal(0, result.request_count);
	assert_int_equal(1, result.diff.context);
	assert_int_equal(1000, result.diff.max);
	script_relieve(script); /* nobody but the record holds the texts */
	assert_int_equal(5, result.diff.from.size);
	assert_memory_equal("one1\n", result.diff.from.data, 5);
	assert_memory_equal("two1\n", result.diff.to.data, 5);
	script_resume_diff(&event, TEXTDIFF_MADE, &(struct bytes){"the diff", 8}, &result);
	assert_int_equal(VERDICT_WAIT, result.verdict);
	assert_int_equal(TEXTDIFF_CONTEXT, result.diff.context);
	assert_int_equal(2 << 20, result.diff.max);
	script_resume_diff(&event, TEXTDIFF_TIMEOUT, &(struct bytes){NULL, 0}, &result);
	assert_non_null(strstr(result.outputs[0].value, "\"diff\":\"the diff\""));
	assert_non_null(strstr(result.outputs[0].value, "\"none\":true"));
	assert_non_null(strstr(result.outputs[0].value, "\"same\":\"\""));
	expect_output(&result, "\"why\":\"timeout\"");
	script_forget(&event);
	script_release(script);
}

static void texts_that_are_too_large_are_not_waited_for(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("", "local diff, why = millrace.diff(('x'):rep(11), 'y', {max = 10}) "
	                          "return {diff = diff == nil, why = why}");
	struct script_result result = fixture_transform(script, NULL);
	assert_non_null(strstr(result.outputs[0].value, "\"diff\":true"));
	expect_output(&result, "\"why\":\"too_large\"");
	script_release(script);
}

static void a_record_that_waits_for_a_diff_may_go(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("", "millrace.diff('a', 'b')");
	struct script_event event;
	struct script_result result;
	fixture_decode(script, &event, edit);
	script_transform(&event, NULL, 0, &result);
	assert_int_equal(VERDICT_WAIT, result.verdict);
	script_result_free(&result);
	script_forget(&event);
	assert_int_equal(0, script_usage(script).events);
	script_release(script);
}

static void a_diff_that_cannot_be_is_an_error(void **state)
{
	static const char *const cases[][2] = {
	        {"coroutine.wrap(function() millrace.diff('a', 'b') end)()", "works in transform only"},
	        {"millrace.diff('a')", "argument 2 must be a string, it is nil"},
	        {"millrace.diff({}, 'b')", "argument 1 must be a string, it is an empty table"},
	        {"millrace.diff('a', 'b', 3)", "argument 3 must be a table with context and max"},
	        {"millrace.diff('a', 'b', {contxt = 3})",
	                "unknown member 'contxt'; there are context and max"},
	        {"millrace.diff('a', 'b', {max = 0})", "`max` must be a number from 1 to 67108864, it is 0"},
	        {"millrace.diff('a', 'b', {context = 'x'})", "`context` must be a number from 0 to 1000000"},
	        {"millrace.diff('a', 'b', {context = 0/0})", "`context` must be a number"},
	        {"for i = 1, 101 do millrace.diff('a', 'a') end", "was called more than 100 times"}};
	(void)state;
	expect_waits_only_in_transform(cases, sizeof cases / sizeof *cases, "millrace.diff('a', 'b')");
}

/* ---- labels, memory ---- */

static void the_forty_first_name_becomes_other(void **state)
{
	(void)state;
	struct script *script =
	        fixture_hooks("kept.n = (kept.n or 0) + 1 return millrace.drop('r' .. kept.n)", "");
	struct script_result result;
	for (int i = 1; i <= 45; i++) {
		char expected[16];
		snprintf(expected, sizeof expected, "r%d", i);
		result = fixture_request(script);
		assert_string_equal(i <= 40 ? expected : "other", result.type);
		script_result_free(&result);
	}
	script_release(script);
}

static void garbage_of_others_is_cleared_away_before_a_hook_is_too_large(void **state)
{
	(void)state;
	fixture_budget_ms = 5000;
	struct script *script = fixture_hooks("event.seen = (event.seen or 0) + 1 local t = {} "
	                                      "for i = 1, 20000 do t[i] = ('x'):rep(1000) .. i end "
	                                      "return {path = '/' .. event.seen}",
	        "local t = {} for i = 1, 12000 do t[i] = ('y'):rep(1000) .. i end return event");
	lua_gc(script->L, LUA_GCSTOP, 0);
	struct script_result result = fixture_transform(script, NULL);
	expect_output(&result, "enwiki");
	result = fixture_request(script);
	if (result.verdict != VERDICT_ASK)
		fail_msg("%s", result.message);
	assert_string_equal("/1", result.requests[0].path); /* the second try saw a fresh event */
	script_result_free(&result);
	script_release(script);
	fixture_budget_ms = 30;
}

/* One record's whole walk; whatever fails, fails as ScriptMemory. */
static void walk(struct script *script, unsigned *failures)
{
	struct script_event event;
	struct script_result asked = {0}, made = {0};
	struct script_input input = fixture_input(edit);
	struct response response = {.status = 200, .body = "{\"7\":{\"text\":\"x\"}}", .body_size = 20};
	struct output output;
	const char *values[] = {"7"};
	bool decoded = script_decode(&event, script, &input, &made);
	if (decoded)
		script_request(&event, 1, &asked);
	if (decoded && asked.verdict == VERDICT_ASK) {
		struct script_answer_part part = {&response, &asked.requests[0], -2};
		if (script_answer(script, &asked.requests[0], &response, values, 1, &part.part, &made) ==
		        SCRIPT_ANSWER_OK)
			script_transform(&event, &part, 1, &made);
		for (struct script_result *r = &made; r->verdict == VERDICT_WAIT;) {
			script_result_free(r);
			resume_with(&event, 200, "more", r);
		}
		if (made.verdict == VERDICT_OUTPUT && script_pass(&event, &output, &made))
			output_free(&output);
	}
	const struct script_result *failed = asked.verdict == VERDICT_FAIL ? &asked : &made;
	if (failed->verdict == VERDICT_FAIL) {
		assert_string_equal("ScriptMemory", failed->type);
		++*failures;
	}
	script_result_free(&asked);
	script_result_free(&made);
	script_forget(&event);
}

static void memory_may_end_at_every_single_place(void **state)
{
	(void)state;
	fixture_budget_ms = 5000;
	fixture_world = &stamping_world;
	struct script *script = fixture_hooks("return {path = millrace.path('/', event.page.page_id), query "
	                                      "= {id = 7, a = {1, 2}}, headers = {X = 'y'}, body = {1},"
	                                      "merge = {param = 'id', split = 'parts'}}",
	        "local r = millrace.fetch{path = '/' .. #event.wiki_id, expect = 'bytes'} event.text = "
	        "response.json.text .. r.body "
	        "local s = ('%s-%d'):format(('abc'):gsub('%w', function(c) return c:upper() end), 5) "
	        "local t = {3, 1, 2} table.sort(t, function(a, b) return a < b end) "
	        "event.json = millrace.json.decode(millrace.json.encode({s, t})) "
	        "coroutine.wrap(function() coroutine.yield(load('return 1')()) end)() "
	        "return millrace.outputs(millrace.output{value = event, key = 'k', headers = {a = 'b'}}, "
	        "event)");
	fixture_world = &world;
	unsigned failures = 0;
	walk(script, &failures);
	assert_int_equal(0, failures);
	for (size_t room = 0; room < 24000; room += SLOW == 1 ? 8 : 64) {
		state_collect(script);
		script->heap.limit = script->heap.used + room;
		walk(script, &failures);
		script->heap.limit = MEMORY;
	}
	assert_true(failures > 50);
	unsigned before = failures;
	walk(script, &failures);
	assert_int_equal(before, failures);
	assert_int_equal(0, script_usage(script).events);
	script_release(script);
	fixture_budget_ms = 30;
}

static void a_record_holds_the_state_it_began_on(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("", "return event");
	struct script_event event;
	struct script_result result;
	fixture_decode(script, &event, edit);
	script_release(script); /* a reload lets go of it */
	script_transform(&event, NULL, 0, &result);
	expect_output(&result, "enwiki");
	script_forget(&event);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_request_reaches_the_engine_with_every_member),
	        cmocka_unit_test(a_small_request_gets_the_defaults),
	        cmocka_unit_test(a_request_with_a_body_is_a_post),
	        cmocka_unit_test(a_mergeable_value_stands_apart_from_the_query),
	        cmocka_unit_test(integers_of_events_are_asked_digit_for_digit),
	        cmocka_unit_test(several_requests_come_in_their_order),
	        cmocka_unit_test(a_request_that_cannot_be_sent_says_why),
	        cmocka_unit_test(request_answers_by_verdicts),
	        cmocka_unit_test(nonsense_of_request_is_a_failure_that_names_the_hook),
	        cmocka_unit_test(a_script_without_request_goes_straight_to_transform),
	        cmocka_unit_test(a_script_without_transform_may_not_ask),
	        cmocka_unit_test(an_error_tells_hook_file_line_and_the_way_there),
	        cmocka_unit_test(hooks_see_where_the_record_came_from),
	        cmocka_unit_test(an_event_that_lets_go_keeps_its_texts_and_later_frees_them),
	        cmocka_unit_test(the_engine_reads_what_it_needs_of_an_event),
	        cmocka_unit_test(an_event_without_its_key_has_no_lane),
	        cmocka_unit_test(what_is_no_event_is_poison),
	        cmocka_unit_test(params_are_there_and_read_only),
	        cmocka_unit_test(the_small_tools_do_what_they_say),
	        cmocka_unit_test(transform_sees_the_event_and_the_answer),
	        cmocka_unit_test(a_response_has_headers_body_error_and_counts),
	        cmocka_unit_test(several_questions_get_several_answers),
	        cmocka_unit_test(transform_answers_by_verdicts),
	        cmocka_unit_test(nonsense_of_transform_is_a_failure_that_names_the_hook),
	        cmocka_unit_test(an_output_is_what_it_was_when_it_was_made),
	        cmocka_unit_test(an_output_has_its_sink_key_headers_and_time),
	        cmocka_unit_test(an_output_of_another_record_is_refused),
	        cmocka_unit_test(a_sink_with_a_stream_stamps_and_repeats_the_same_id),
	        cmocka_unit_test(pass_publishes_the_very_bytes_that_came),
	        cmocka_unit_test(pass_to_a_stream_stamps_what_came_not_what_hooks_made_of_it),
	        cmocka_unit_test(split_gives_each_value_its_part),
	        cmocka_unit_test(split_may_judge_the_whole_call),
	        cmocka_unit_test(a_split_that_fails_fails_the_call),
	        cmocka_unit_test(an_answer_that_is_no_json_is_unparsable_unless_that_is_fine),
	        cmocka_unit_test(a_part_that_nobody_takes_is_given_back),
	        cmocka_unit_test(fetch_waits_for_its_answer_while_others_go_on),
	        cmocka_unit_test(a_diff_is_waited_for_with_its_texts),
	        cmocka_unit_test(texts_that_are_too_large_are_not_waited_for),
	        cmocka_unit_test(a_record_that_waits_for_a_diff_may_go),
	        cmocka_unit_test(a_diff_that_cannot_be_is_an_error),
	        cmocka_unit_test(fetch_of_several_is_answered_by_several),
	        cmocka_unit_test(fetch_where_it_cannot_wait_is_an_error),
	        cmocka_unit_test(what_a_record_asks_and_makes_fits_the_memory_of_scripts),
	        cmocka_unit_test(a_refused_fetch_leaves_nothing_behind),
	        cmocka_unit_test(a_transform_cannot_fetch_for_ever),
	        cmocka_unit_test(a_loop_after_a_fetch_is_stopped_too),
	        cmocka_unit_test(the_forty_first_name_becomes_other),
	        cmocka_unit_test(garbage_of_others_is_cleared_away_before_a_hook_is_too_large),
	        cmocka_unit_test(memory_may_end_at_every_single_place),
	        cmocka_unit_test(a_record_holds_the_state_it_began_on),
	};
	return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run);
}
