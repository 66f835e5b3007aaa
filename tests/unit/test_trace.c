/* Which trace headers of a record its requests get. */
#include "trace.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const char parent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

static struct output_header header(const char *name, const char *value)
{
	return (struct output_header){(char *)(size_t)name, (char *)(size_t)value, strlen(value)};
}

static void a_request_goes_on_with_its_records_trace(void **state)
{
	struct output_header headers[] = {
	        header("x", "y"), header("traceparent", parent), header("tracestate", "a=1,b=2")};
	struct request request = {0};
	(void)state;
	trace_pass(headers, 3, &request);
	assert_int_equal(request.header_count, 2);
	assert_string_equal(headers_get(request.headers, 2, "traceparent"), parent);
	assert_string_equal(headers_get(request.headers, 2, "tracestate"), "a=1,b=2");
	request_free(&request);
}

static void a_script_that_sets_its_own_keeps_it(void **state)
{
	struct output_header headers[] = {header("traceparent", parent), header("tracestate", "a=1")};
	struct request request = {.headers = mem_zalloc(1, sizeof(struct header)), .header_count = 1};
	(void)state;
	request.headers[0] = (struct header){mem_strdup("Traceparent"), mem_strdup("mine")};
	trace_pass(headers, 2, &request);
	assert_int_equal(request.header_count, 1);
	request_free(&request);
}

static void what_is_not_well_formed_is_left_out(void **state)
{
	static const char *const wrong[] = {"", "00",
	        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
	        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r",
	        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
	        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
	        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
	        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
	        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\r\nX: y"};
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct output_header headers[] = {
		        header("traceparent", wrong[i]), header("tracestate", "a=1")};
		struct request request = {0};
		trace_pass(headers, 2, &request);
		assert_int_equal(request.header_count, 0);
	}
	struct output_header headers[] = {header("traceparent", parent), header("tracestate", "a=1\r\nX: y")};
	struct request request = {0};
	trace_pass(headers, 2, &request);
	assert_int_equal(request.header_count, 1);
	request_free(&request);
	struct output_header null = {(char *)(size_t) "traceparent", NULL, 0};
	struct request none = {0};
	trace_pass(&null, 1, &none);
	trace_pass(NULL, 0, &none);
	assert_int_equal(none.header_count, 0);
}

/* A version that is not known yet begins as this one does, and may go on. */
static void a_later_version_is_passed_on_as_it_is(void **state)
{
	static const char *const later[] = {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings"};
	(void)state;
	for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
		struct output_header headers[] = {header("traceparent", later[i])};
		struct request request = {0};
		trace_pass(headers, 1, &request);
		assert_int_equal(request.header_count, 1);
		assert_string_equal(headers_get(request.headers, 1, "traceparent"), later[i]);
		request_free(&request);
	}
	char *endless = mem_alloc(4096);
	memset(endless, 'x', 4096);
	memcpy(endless, "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", 56);
	struct output_header headers[] = {{(char *)(size_t) "traceparent", endless, 4096}};
	struct request request = {0};
	trace_pass(headers, 1, &request);
	assert_int_equal(request.header_count, 0);
	mem_free(endless);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_request_goes_on_with_its_records_trace),
	        cmocka_unit_test(a_script_that_sets_its_own_keeps_it),
	        cmocka_unit_test(what_is_not_well_formed_is_left_out),
	        cmocka_unit_test(a_later_version_is_passed_on_as_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
