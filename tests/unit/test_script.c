/* The walk of a record through its script. */
#include "script_fixture.h"

static void a_request_reaches_the_engine_with_every_member(void **state)
{
	(void)state;
	struct script *script = fixture_hooks(
	        "return {upstream = 'open', host = 'EN.example.org', path = '/x/1',"
	        "query = {b = 'a b|c', a = 1351079888211148, c = true, d = {1, 'x'}}, method = 'POST',"
	        "headers = {['X-B'] = 'two', ['X-A'] = 1}, body = {a = {1}}, timeout = 1.5, accept = {404, "
	        "410},"
	        "optional = true}",
	        "");
	struct script_result result = fixture_request(script);
	if (result.verdict == VERDICT_FAIL)
		fail_msg("%s", result.message);
	assert_int_equal(VERDICT_ASK, result.verdict);
	assert_int_equal(1, result.request_count);
	const struct request *request = &result.requests[0];
	assert_int_equal(1, request->upstream);
	assert_string_equal("en.example.org", request->host);
	assert_string_equal("/x/1", request->path);
	assert_string_equal("a=1351079888211148&b=a%20b%7Cc&c=true&d=1%7Cx", request->query);
	assert_string_equal("POST", request->method);
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

static void transform_sees_the_event_and_the_answer(void **state)
{
	(void)state;
	struct script *script = fixture_hooks("return {}", "event.text = response.json.text return event");
	struct script_result result = fixture_transform(script, "{\"text\":\"hello\"}");
	expect_output(&result, "\"text\":\"hello\"");
	script_release(script);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_request_reaches_the_engine_with_every_member),
	        cmocka_unit_test(transform_sees_the_event_and_the_answer),
	};
	return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}

int main(void)
{
	return fixture_main(run);
}
