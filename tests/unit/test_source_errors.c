/* Between the error stream and the pipeline: originals go on in the stream's order and at its rate; what is
 * not taken ends at once, and nothing else does. */
#include "unit.h"

#include "clock.h"
#include "mem.h"
#include "source_errors.h"

#include <event2/event.h>

enum { MOST = 64 };

/* A pipeline that takes tickets and ends nothing. */
struct taker {
	bool room;
	size_t count;
	int64_t offsets[MOST]; /* of the originals */
	uint64_t tickets[MOST];
	char *topic, *value;
	int64_t timestamp;
	size_t header_count;
	unsigned released;
};

static bool has_room(void *context)
{
	return ((struct taker *)context)->room;
}

static void take(void *context, const struct source_message *message)
{
	struct taker *taker = context;
	assert_true(taker->count < MOST);
	taker->offsets[taker->count] = message->origin.offset;
	taker->tickets[taker->count++] =
	        message->ticket ? *message->ticket
	                        : offsets_begin(message->partition->offsets, message->offset);
	mem_free(taker->topic);
	mem_free(taker->value);
	taker->topic = mem_strdup(message->origin.topic);
	taker->value = mem_dup(message->value.data, message->value.size);
	taker->timestamp = message->timestamp;
	taker->header_count = message->header_count;
}

static void ignore(void *context, struct partition *partition)
{
	(void)context, (void)partition;
}

static void note_released(void *context, struct partition *partition, bool lost)
{
	(void)partition, (void)lost;
	((struct taker *)context)->released++;
}

struct stage {
	struct event_base *base;
	struct taker taker;
	struct errorfilter filter;
	struct source_config source;
	struct source_errors *errors;
	struct source_handlers handlers;
	struct partition partition;
};

static struct stage *set_up(double rate)
{
	static char in[] = "in.v1", *topics[] = {in}, errors[] = "job.error";
	struct stage *stage = mem_zalloc(1, sizeof *stage);
	stage->base = event_base_new();
	stage->taker.room = true;
	stage->source = (struct source_config){.topics = topics, .topic_count = 1};
	stage->partition = (struct partition){
	        .topic = errors, .state = PARTITION_READING, .offsets = offsets_open(0, NULL, 0)};
	struct source_errors_config config = {
	        .filter = &stage->filter, .source = &stage->source, .client_id = "test", .rate = rate};
	struct source_handlers next = {.context = &stage->taker,
	        .room = has_room,
	        .message = take,
	        .taken = ignore,
	        .draining = ignore,
	        .cut_short = ignore,
	        .released = note_released};
	stage->errors = source_errors_open(stage->base, &config, NULL, &next);
	source_errors_handlers(stage->errors, &stage->handlers);
	return stage;
}

static void tear_down(struct stage *stage)
{
	source_errors_close(stage->errors);
	offsets_close(stage->partition.offsets);
	mem_free(stage->taker.topic);
	mem_free(stage->taker.value);
	event_base_free(stage->base);
	mem_free(stage);
}

static bool room(struct stage *stage)
{
	return stage->handlers.room(stage->handlers.context);
}

/* The error event at `offset` about the record at `original`. */
static void speak(struct stage *stage, int64_t offset, int64_t original, const char *type)
{
	static char source[] = "millrace-source", stamp[] = "millrace-timestamp", when[] = "1234",
	            trace[] = "trace", note[] = "t";
	char place[64], value[200];
	snprintf(place, sizeof place, "in.v1/3/%lld/0", (long long)original);
	snprintf(value, sizeof value,
	        "{\"error_type\":\"%s\",\"message\":\"m\",\"raw_event\":\"{\\\"n\\\":%lld}\"}", type,
	        (long long)original);
	struct output_header headers[] = {{source, place, strlen(place)}, {trace, note, 1}, {stamp, when, 4}};
	struct source_message message = {.partition = &stage->partition,
	        .offset = offset,
	        .timestamp = 99,
	        .key = {"k", 1},
	        .value = {value, strlen(value)},
	        .headers = headers,
	        .header_count = 3};
	stage->handlers.message(stage->handlers.context, &message);
}

static void an_original_goes_on_as_it_was_at_its_source(void **state)
{
	(void)state;
	struct stage *stage = set_up(0);
	assert_true(room(stage));
	speak(stage, 5, 70, "A");
	assert_int_equal(stage->taker.count, 1);
	assert_string_equal(stage->taker.topic, "in.v1");
	assert_int_equal(stage->taker.offsets[0], 70);
	assert_string_equal(stage->taker.value, "{\"n\":70}");
	assert_int_equal(stage->taker.timestamp, 1234);
	assert_int_equal(stage->taker.header_count, 1);
	assert_int_equal(offsets_safe(stage->partition.offsets), 5);
	offsets_end(stage->partition.offsets, stage->taker.tickets[0]);
	assert_int_equal(offsets_safe(stage->partition.offsets), 6);
	tear_down(stage);
}

static void what_is_not_taken_ends_at_once(void **state)
{
	(void)state;
	struct stage *stage = set_up(0);
	stage->filter.types[stage->filter.type_count++] = "A";
	speak(stage, 0, 70, "B");
	assert_int_equal(offsets_safe(stage->partition.offsets), 1);
	speak(stage, 1, 71, "A");
	speak(stage, 2, 71, "A"); /* of the same record */
	speak(stage, 3, 72, "B");
	assert_int_equal(stage->taker.count, 1);
	assert_int_equal(offsets_safe(stage->partition.offsets), 1);
	offsets_end(stage->partition.offsets, stage->taker.tickets[0]);
	assert_int_equal(offsets_safe(stage->partition.offsets), 4);
	struct source_errors_counts counts = source_errors_counts(stage->errors);
	assert_int_equal(counts.handed, 1);
	assert_int_equal(counts.picks[ERRORPICK_FILTERED], 2);
	assert_int_equal(counts.picks[ERRORPICK_REPEATED], 1);
	tear_down(stage);
}

/* One event of librdkafka's may bring several messages after room was asked for once. */
static void what_finds_no_room_waits_in_order_and_holds_the_door(void **state)
{
	(void)state;
	struct stage *stage = set_up(0);
	assert_true(room(stage));
	speak(stage, 0, 70, "A");
	stage->taker.room = false;
	for (int64_t i = 1; i < 5; i++)
		speak(stage, i, 70 + i, "A");
	assert_int_equal(stage->taker.count, 1);
	assert_false(room(stage));
	assert_false(source_errors_idle(stage->errors));
	assert_int_equal(offsets_open_count(stage->partition.offsets), 5);
	stage->taker.room = true;
	assert_true(room(stage));
	assert_true(source_errors_idle(stage->errors));
	assert_int_equal(stage->taker.count, 5);
	for (int64_t i = 0; i < 5; i++)
		assert_int_equal(stage->taker.offsets[i], 70 + i);
	for (size_t i = 0; i < 5; i++)
		offsets_end(stage->partition.offsets, stage->taker.tickets[i]);
	assert_int_equal(offsets_safe(stage->partition.offsets), 5);
	tear_down(stage);
}

static void the_rate_is_kept_and_what_is_filtered_out_costs_nothing(void **state)
{
	(void)state;
	clock_invent(1700000000000);
	struct stage *stage = set_up(10);
	stage->filter.types[stage->filter.type_count++] = "A";
	int64_t offset = 0;
	size_t after[4];
	for (int second = 0; second < 4; second++) {
		while (room(stage) && offset < 1000) {
			speak(stage, offset, offset, "B");
			speak(stage, offset + 1, offset + 1, "A");
			offset += 2;
		}
		after[second] = stage->taker.count;
		clock_skip(1000);
	}
	assert_int_equal(after[0], 10); /* the bucket begins full */
	assert_int_equal(after[1], 20);
	assert_int_equal(after[3], 40);
	tear_down(stage);
}

static void a_partition_that_goes_takes_what_waits_of_it_along(void **state)
{
	(void)state;
	struct stage *stage = set_up(0);
	stage->taker.room = false;
	speak(stage, 0, 70, "A");
	assert_false(source_errors_idle(stage->errors));
	stage->handlers.released(stage->handlers.context, &stage->partition, false);
	assert_true(source_errors_idle(stage->errors));
	assert_int_equal(stage->taker.released, 1);
	assert_int_equal(offsets_safe(stage->partition.offsets), 0); /* it is to be done yet */
	offsets_close(stage->partition.offsets);
	stage->partition.offsets = offsets_open(0, NULL, 0);
	stage->taker.room = true;
	assert_true(room(stage));
	speak(stage, 0, 70, "A"); /* the same event comes again with the partition */
	assert_int_equal(stage->taker.count, 1);
	tear_down(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_original_goes_on_as_it_was_at_its_source),
	        cmocka_unit_test(what_is_not_taken_ends_at_once),
	        cmocka_unit_test(what_finds_no_room_waits_in_order_and_holds_the_door),
	        cmocka_unit_test(a_partition_that_goes_takes_what_waits_of_it_along),
	        cmocka_unit_test(the_rate_is_kept_and_what_is_filtered_out_costs_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
