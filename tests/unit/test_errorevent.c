/* What failure.c writes is read back; which events a filter means, and which a replay takes. */
#include "unit.h"

#include "errorpick.h"
#include "failure.h"
#include "mem.h"
#include "source.h"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){text, strlen(text)};
}

/* As the pipeline makes one of a record of `topic`/2/7. */
static struct output failed(
        const char *topic, struct bytes value, const char *type, const char *message, size_t most)
{
	struct failure_config config = {
	        .stream = "job.error", .emitter_id = "job", .max_bytes = most, .sink = 1};
	static char name[] = "trace", note[] = "t-1", domain[] = "en.wikipedia.org";
	struct output_header header = {name, note, 3};
	struct script_input input = {.topic = topic,
	        .partition = 2,
	        .offset = 7,
	        .timestamp = 1700000000123,
	        .key = {"k", 1},
	        .value = value,
	        .headers = &header,
	        .header_count = 1};
	struct script_event event = {.domain = domain};
	struct output output;
	char place[100];
	failure_make(&config, &input, &event, type, message, NULL, 0, &output);
	snprintf(place, sizeof place, "%s/2/7/0", topic);
	output_set_header(&output, "millrace-source", place, strlen(place));
	return output;
}

static bool read_back(struct errorevent_reader *reader, const struct output *output, struct errorevent *event)
{
	return errorevent_read(reader, (struct bytes){output->value, output->value_size}, output->headers,
	        output->header_count, event);
}

static void assert_text(const struct errorevent *event, enum errorevent_text which, const char *expected)
{
	assert_int_equal(event->texts[which].size, strlen(expected));
	assert_memory_equal(event->texts[which].data, expected, strlen(expected));
}

static void what_was_written_is_read_back(void **state)
{
	(void)state;
	struct errorevent_reader reader;
	struct errorevent event;
	const char *original = "{\"a\": \"\\u00e9 \xC3\xA9 \\\\ \\\"\", \"n\":\t1.0}";
	struct output output = failed("in", bytes_of(original), "Odd", "line 1\nline 2", 100000);
	errorevent_reader_init(&reader);
	assert_true(read_back(&reader, &output, &event));
	assert_true(event.placed);
	assert_memory_equal(event.origin.topic, "in", event.origin.topic_size);
	assert_int_equal(event.origin.partition, 2);
	assert_int_equal(event.origin.offset, 7);
	assert_int_equal(event.timestamp, 1700000000123);
	assert_false(event.partial);
	assert_text(&event, ERROREVENT_TYPE, "Odd");
	assert_text(&event, ERROREVENT_MESSAGE, "line 1\nline 2");
	assert_text(&event, ERROREVENT_DOMAIN, "en.wikipedia.org");
	assert_text(&event, ERROREVENT_RAW, original);
	size_t count;
	struct output_header *own = errorevent_original_headers(output.headers, output.header_count, &count);
	assert_int_equal(count, 1);
	assert_string_equal(own[0].name, "trace");
	mem_free(own);
	output_free(&output);
	errorevent_reader_free(&reader);
}

static void a_null_value_is_not_an_empty_one(void **state)
{
	(void)state;
	struct errorevent_reader reader;
	struct errorevent event;
	struct output null = failed("in", (struct bytes){NULL, 0}, "A", "m", 100000);
	struct output empty = failed("in", bytes_of(""), "A", "m", 100000);
	errorevent_reader_init(&reader);
	assert_true(read_back(&reader, &null, &event));
	assert_true(event.texts[ERROREVENT_RAW].data == NULL && !event.partial);
	assert_true(read_back(&reader, &empty, &event));
	assert_true(event.texts[ERROREVENT_RAW].data != NULL && !event.partial);
	assert_int_equal(event.texts[ERROREVENT_RAW].size, 0);
	output_free(&null);
	output_free(&empty);
	errorevent_reader_free(&reader);
}

/* A record is the original of a partial event exactly when it begins as the readable part does. */
static void a_part_agrees_with_its_whole_and_with_no_other(void **state)
{
	(void)state;
	static const char *const fillings[] = {"a", "\"", "\x01", "\xE6\xBC\xA2", "\xff", "\xE6\xBC"};
	struct errorevent_reader reader;
	errorevent_reader_init(&reader);
	for (size_t f = 0; f < sizeof fillings / sizeof *fillings; f++)
		for (size_t most = 1200; most < 1216; most++) {
			struct errorevent event;
			char value[8000], other[8000];
			size_t size = strlen(fillings[f]);
			for (size_t i = 0; i < sizeof value; i++)
				value[i] = fillings[f][i % size];
			memcpy(other, value, sizeof value);
			other[20] = 'x';
			struct output output =
			        failed("in", (struct bytes){value, sizeof value}, "A", "m", most);
			assert_true(read_back(&reader, &output, &event));
			assert_true(event.partial);
			assert_true(errorevent_agrees(&event, (struct bytes){value, sizeof value}));
			assert_false(errorevent_agrees(&event, (struct bytes){other, sizeof other}));
			assert_false(errorevent_agrees(&event, bytes_of("{}")));
			assert_false(errorevent_agrees(&event, (struct bytes){NULL, 0}));
			output_free(&output);
		}
	errorevent_reader_free(&reader);
}

static void what_is_no_error_event_is_no_trouble(void **state)
{
	(void)state;
	static const char *const values[] = {
	        "", "no JSON", "[]", "null", "{\"a\":1,\"a\":2}", "{\"message\":"};
	static char source[] = "millrace-source", stamp[] = "millrace-timestamp", bad[] = "x/y",
	            odd[] = "12a";
	struct output_header headers[] = {{source, bad, 3}, {stamp, odd, 3}, {source, NULL, 0}};
	struct errorevent_reader reader;
	struct errorevent event;
	errorevent_reader_init(&reader);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		assert_false(errorevent_read(&reader, bytes_of(values[i]), NULL, 0, &event));
	assert_false(errorevent_read(&reader, (struct bytes){NULL, 0}, NULL, 0, &event));
	assert_true(errorevent_read(
	        &reader, bytes_of("{\"error_type\":5,\"meta\":[],\"message\":null}"), headers, 3, &event));
	assert_false(event.placed);
	assert_int_equal(event.timestamp, -1);
	assert_null(event.texts[ERROREVENT_TYPE].data);
	assert_null(event.texts[ERROREVENT_DOMAIN].data);
	errorevent_reader_free(&reader);
}

static struct errorevent an_event(const char *type, const char *domain, const char *message)
{
	struct errorevent event = {.placed = true};
	event.texts[ERROREVENT_TYPE] = bytes_of(type);
	event.texts[ERROREVENT_MESSAGE] = bytes_of(message);
	if (domain)
		event.texts[ERROREVENT_DOMAIN] = bytes_of(domain);
	return event;
}

static void a_filter_means_what_all_of_it_says(void **state)
{
	(void)state;
	char why[256];
	struct errorfilter none = {0}, filter = {.types = {"Http*", "ScriptError"}, .type_count = 2};
	struct errorevent http = an_event("HttpStatus", "en.wikipedia.org", "the API answered 503 (busy)");
	struct errorevent script = an_event("ScriptError", NULL, "request: x.lua:3: nil");
	struct errorevent poison = an_event("PoisonEvent", "en.wikipedia.org", "no JSON");
	assert_false(errorfilter_any(&none));
	assert_true(errorfilter_takes(&none, &poison));
	assert_true(errorfilter_any(&filter));
	assert_true(errorfilter_takes(&filter, &http));
	assert_true(errorfilter_takes(&filter, &script));
	assert_false(errorfilter_takes(&filter, &poison));
	filter.domain = "*.wikipedia.org";
	assert_true(errorfilter_takes(&filter, &http));
	assert_false(errorfilter_takes(&filter, &script));
	assert_true(errorfilter_set_message(&filter, "answered 50[23]", why));
	assert_true(errorfilter_takes(&filter, &http));
	assert_true(errorfilter_set_message(&filter, "answered 50[24]", why));
	assert_false(errorfilter_takes(&filter, &http));
	assert_false(errorfilter_set_message(&filter, "(", why));
	assert_true(why[0] != '\0');
	errorfilter_free(&filter);
	errorfilter_free(&filter);
}

static enum errorpick judge(struct errorpicker *picker, int64_t offset, const struct output *output)
{
	struct errorevent event;
	const char *topic = NULL;
	struct errorpick_message message = {.partition = 0,
	        .offset = offset,
	        .value = {output->value, output->value_size},
	        .headers = output->headers,
	        .header_count = output->header_count};
	enum errorpick pick = errorpicker_judge(picker, &message, &event, &topic);
	assert_int_equal(pick == ERRORPICK_TAKEN, topic != NULL);
	return pick;
}

static void a_replay_takes_each_record_of_the_job_once(void **state)
{
	(void)state;
	static char in[] = "in.v1", in2[] = "in.v2";
	char *topics[] = {in, in2};
	struct source_config source = {.topics = topics, .topic_count = 2};
	struct errorfilter filter = {.types = {"A"}, .type_count = 1};
	struct errorpicker picker;
	struct output a = failed("in.v1", bytes_of("{}"), "A", "m", 100000);
	struct output a2 = failed("in.v2", bytes_of("{}"), "A", "m", 100000);
	struct output b = failed("in.v1", bytes_of("{}"), "B", "m", 100000);
	struct output theirs = failed("in.v", bytes_of("{}"), "A", "m", 100000);
	struct output nothing = {0};
	errorpicker_init(&picker, &filter, &source);
	assert_int_equal(judge(&picker, 0, &b), ERRORPICK_FILTERED);
	assert_int_equal(judge(&picker, 1, &a), ERRORPICK_TAKEN);
	assert_int_equal(judge(&picker, 2, &a2), ERRORPICK_TAKEN);
	assert_int_equal(judge(&picker, 3, &a), ERRORPICK_REPEATED);
	assert_int_equal(judge(&picker, 1, &a), ERRORPICK_TAKEN); /* the same message, read again */
	assert_int_equal(judge(&picker, 4, &theirs), ERRORPICK_FOREIGN);
	assert_int_equal(judge(&picker, 5, &nothing), ERRORPICK_UNREADABLE);
	assert_int_equal(picker.counts[ERRORPICK_TAKEN], 3);
	errorpicker_free(&picker);
	output_free(&a);
	output_free(&a2);
	output_free(&b);
	output_free(&theirs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_written_is_read_back),
	        cmocka_unit_test(a_null_value_is_not_an_empty_one),
	        cmocka_unit_test(a_part_agrees_with_its_whole_and_with_no_other),
	        cmocka_unit_test(what_is_no_error_event_is_no_trouble),
	        cmocka_unit_test(a_filter_means_what_all_of_it_says),
	        cmocka_unit_test(a_replay_takes_each_record_of_the_job_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
