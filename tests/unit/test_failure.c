/* What an error event says, whatever the input was. */
#include "unit.h"

#include "clock.h"
#include "failure.h"
#include "mem.h"
#include "schema_fixture.h"
#include "text.h"

static struct failure_config config = {
        .stream = "job.error", .emitter_id = "job", .max_bytes = 100000, .sink = 1};

static struct output make(const char *value, size_t size, const struct script_event *event)
{
	struct output output;
	struct script_input input = {.topic = "in",
	        .partition = 2,
	        .offset = 7,
	        .timestamp = 1700000000123,
	        .key = {"k", 1},
	        .value = {value, size}};
	failure_make(&config, &input, event, "PoisonEvent", "not JSON", NULL, 0, &output);
	return output;
}

static const char *header(const struct output *output, const char *name)
{
	for (size_t i = 0; i < output->header_count; i++)
		if (strcmp(output->headers[i].name, name) == 0)
			return output->headers[i].value;
	return NULL;
}

static const char *partial(const struct output *output)
{
	return header(output, "millrace-raw");
}

static void it_carries_the_original_verbatim(void **state)
{
	(void)state;
	struct script_event event = {0};
	struct output output = make("{\"a\": \"\\u00e9 \xC3\xA9\"", 16, &event);
	assert_non_null(strstr(output.value, "\"raw_event\":\"{\\\"a\\\": \\\"\\\\u00e9 \xC3\xA9"));
	assert_null(partial(&output));
	assert_string_equal(header(&output, "millrace-timestamp"), "1700000000123");
	assert_memory_equal(output.key, "k", 1);
	assert_int_equal(output.sink, 1);
	output_free(&output);
}

static void it_says_what_the_schema_asks_for(void **state)
{
	(void)state;
	static char domain[] = "en.wikipedia.org", stream[] = "in.v1", schema[] = "/in/1.0.0",
	            id[] = "some-id";
	struct script_event event = {.domain = domain, .stream = stream, .schema = schema, .id = id};
	struct output output = make("{}", 2, &event);
	assert_true(strncmp(output.value,
	                    "{\"$schema\":\"/error/"
	                    "2.1.0\",\"dt\":\"1970-01-01T00:00:00.000Z\",\"emitter_id\":\"job\","
	                    "\"error_type\":\"PoisonEvent\",\"message\":\"not JSON\"",
	                    100) == 0);
	assert_non_null(strstr(output.value, "\"errored_schema_uri\":\"/in/1.0.0\""));
	assert_non_null(strstr(output.value, "\"errored_stream_name\":\"in.v1\""));
	assert_non_null(strstr(output.value, "\"meta\":{\"stream\":\"job.error\",\"id\":\""));
	assert_non_null(strstr(output.value, "\"domain\":\"en.wikipedia.org\""));
	output_free(&output);
}

static void bytes_that_are_not_text_become_readable_and_are_marked(void **state)
{
	(void)state;
	struct script_event event = {0};
	struct output output = make("ab\xff\xfe", 4, &event);
	assert_non_null(strstr(output.value, "ab\xEF\xBF\xBD\xEF\xBF\xBD"));
	assert_string_equal(partial(&output), "partial");
	assert_int_equal(text_utf8_valid(output.value, output.value_size), output.value_size);
	output_free(&output);
}

static void it_is_never_larger_than_its_sink_takes(void **state)
{
	(void)state;
	struct script_event event = {0};
	size_t size = 300000;
	char *value = mem_alloc(size);
	const char *const fillings[] = {"a", "\"", "\x01", "\xE6\xBC\xA2", "\xff"};
	for (size_t f = 0; f < sizeof fillings / sizeof *fillings; f++)
		for (size_t limit = 2000; limit < 2010; limit++) {
			size_t step = strlen(fillings[f]);
			for (size_t i = 0; i < size; i++)
				value[i] = fillings[f][i % step];
			config.max_bytes = limit;
			struct output output = make(value, size, &event);
			assert_true(output_bytes(&output) <= limit);
			assert_string_equal(partial(&output), "partial");
			assert_non_null(strstr(output.value, "\"raw_event\":"));
			assert_int_equal(text_utf8_valid(output.value, output.value_size), output.value_size);
			output_free(&output);
		}
	config.max_bytes = 100000;
	mem_free(value);
}

static void even_a_tiny_sink_takes_it_whatever_surrounds_the_input(void **state)
{
	(void)state;
	enum { LONG = 9000 };
	char *text = mem_zalloc(1, LONG + 1);
	memset(text, 'x', LONG);
	struct output_header header = {.name = text, .value = text, .size = LONG};
	struct script_event event = {
	        .domain = text, .stream = text, .schema = text, .request_id = text, .uri = text};
	struct script_input input = {.topic = "in",
	        .key = {text, LONG},
	        .value = {text, LONG},
	        .headers = &header,
	        .header_count = 1};
	for (size_t limit = 1024; limit < 60000; limit += 997) {
		struct output output;
		config.max_bytes = limit;
		failure_make(&config, &input, &event, "ScriptError", text, text, 0, &output);
		output_set_header(&output, "millrace-source", "in/0/0/0", 8);
		assert_true(output_bytes(&output) <= limit);
		assert_non_null(
		        strstr(output.value, "\"error_type\":\"ScriptError\",\"message\":\"xxxxxxxx"));
		assert_true(limit > 50000 || partial(&output));
		output_free(&output);
	}
	config.max_bytes = 100000;
	mem_free(text);
}

static void a_repeat_carries_the_id_of_the_first(void **state)
{
	(void)state;
	struct script_event event = {0};
	struct output one = make("{}", 2, &event), two = make("{}", 2, &event);
	assert_string_equal(one.value, two.value);
	output_free(&one);
	output_free(&two);
}

/* Whatever the input was, and whatever it was cut to. */
static void it_is_what_the_schema_of_error_events_says(void **state)
{
	static const char *const odd[] = {"", "x", "https://de.wikipedia.org/wiki/\xC3\x84pfel", "%4", "a b",
	        "\x01\x7F", "https://en.wikipedia.org/wiki/Q%C3%A4?a=b#c", "\xF0\x9F\x98\x80", "http://[",
	        "\"\\"};
	static const char *const values[] = {"", "{}", "\xFF\xFE\x00", "{\"a\": \"\\ud800\"}", "\xC3"};
	static const size_t room[] = {1000, 1100, 2000, 30000};
	struct schema *schema = fixture_repository_schema("/error/2.1.0");
	char *long_uri = mem_zalloc(1, 20000);
	size_t before = config.max_bytes;
	(void)state;
	memset(long_uri, 'a', 9000);
	for (size_t i = 0; i <= sizeof odd / sizeof *odd; i++)
		for (size_t j = 0; j < sizeof values / sizeof *values; j++)
			for (size_t k = 0; k < sizeof room / sizeof *room; k++) {
				char *text = i < sizeof odd / sizeof *odd ? mem_strdup(odd[i])
				                                          : mem_strdup(long_uri);
				struct script_event event = {.domain = text,
				        .request_id = text,
				        .uri = text,
				        .schema = text,
				        .stream = text,
				        .id = text};
				config.max_bytes = room[k];
				struct output output =
				        make(values[j], j == 2 ? 3 : strlen(values[j]), &event);
				assert_true(output_bytes(&output) <= room[k]);
				char *wrong = fixture_errors(schema, output.value, 0);
				if (*wrong)
					fail_msg("%s\n%s", wrong, output.value);
				mem_free(wrong);
				output_free(&output);
				mem_free(text);
			}
	config.max_bytes = before;
	mem_free(long_uri);
	schema_free(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_carries_the_original_verbatim),
	        cmocka_unit_test(it_says_what_the_schema_asks_for),
	        cmocka_unit_test(bytes_that_are_not_text_become_readable_and_are_marked),
	        cmocka_unit_test(it_is_never_larger_than_its_sink_takes),
	        cmocka_unit_test(even_a_tiny_sink_takes_it_whatever_surrounds_the_input),
	        cmocka_unit_test(a_repeat_carries_the_id_of_the_first),
	        cmocka_unit_test(it_is_what_the_schema_of_error_events_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
