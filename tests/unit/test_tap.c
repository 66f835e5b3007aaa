/* A tap shows what passes, within its bounds, and nothing waits for whoever looks on. */
#include "clock.h"
#include "jsontree.h"
#include "mem.h"
#include "tap.h"
#include "unit.h"

enum { NOON = 1800000000 };

static struct upstream_config upstream = {.name = "mediawiki", .url = "http://api.invalid/w/api.php"};
static struct sink_config sinks[] = {
        {.name = "sink", .topic = "out", .max_bytes = 1 << 20}, {.name = "errors", .topic = "errors"}};

struct fixture {
	struct ledger ledger;
	struct records records;
	struct tap *tap;
	const struct observe *observe; /* whom the pipeline would tell */
	struct partition partition;
	struct buf got;
	int64_t offset;
	struct jsontree tree;
};

static void watch(void *context, const struct observe *observe)
{
	((struct fixture *)context)->observe = observe;
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(1, sizeof *f);
	clock_invent(NOON * 1000LL);
	ledger_init(&f->ledger, 1 << 30);
	records_init(&f->records, &f->ledger);
	struct tap_config config = {.sinks = sinks,
	        .sink_count = 2,
	        .upstreams = &upstream,
	        .upstream_count = 1,
	        .script_sha256 = "0123456789abcdef0123456789abcdef",
	        .name = "job",
	        .ledger = &f->ledger,
	        .watch = watch,
	        .context = f};
	f->tap = tap_open(&config);
	f->partition = (struct partition){.topic = (char *)(size_t) "in", .id = 3};
	buf_init(&f->got, 0);
	jsontree_init(&f->tree);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	size_t left = f->ledger.total;
	bool watched = f->observe != NULL;
	tap_close(f->tap);
	buf_free(&f->got);
	jsontree_free(&f->tree);
	mem_free(f);
	return left || watched; /* nothing is held, nobody looks any more */
}

static struct tap_reader *look(struct fixture *f, struct tap_wish wish)
{
	wish.stages = wish.stages ? wish.stages : TAP_ALL;
	wish.rate = wish.rate ? wish.rate : 1000;
	wish.buffer = wish.buffer ? wish.buffer : 1 << 20;
	wish.ms = wish.ms ? wish.ms : 3600000;
	return tap_begin(f->tap, &wish, clock_now());
}

/* Everything there is, as one text; false: it was the last. */
static bool take(struct fixture *f, struct tap_reader *reader)
{
	size_t before;
	bool more;
	do {
		before = f->got.size;
		more = tap_take(reader, 1000, clock_now(), &f->got);
	} while (more && f->got.size > before);
	return more;
}

static bool got(const struct fixture *f, const char *text)
{
	return f->got.size && memmem(f->got.data, f->got.size, text, strlen(text)) != NULL;
}

static size_t count(const struct fixture *f, const char *text)
{
	size_t found = 0;
	for (const char *at = f->got.size ? f->got.data : ""; (at = strstr(at, text)) != NULL; at++)
		found++;
	return found;
}

static void require_lines(struct fixture *f)
{
	for (const char *at = f->got.data, *end; at && *at; at = end + 1) {
		end = strchr(at, '\n');
		assert_non_null(end);
		if (!jsontree_parse(&f->tree, at, (size_t)(end - at), NULL, NULL))
			fail_msg("no JSON: %.*s", (int)(end - at), at);
	}
}

static struct record *take_record(struct fixture *f, const char *value, size_t size)
{
	static const struct output_header headers[] = {
	        {(char *)(size_t) "x-name", (char *)(size_t) "v\xff", 2}};
	struct source_message message = {.partition = &f->partition,
	        .offset = f->offset++,
	        .key = {"{\"id\":1}", 8},
	        .value = {value, size},
	        .headers = headers,
	        .header_count = 1};
	struct record *record = record_new(&f->records, &message, clock_now());
	f->partition.records++;
	if (f->observe)
		f->observe->taken(f->observe->context, record);
	return record;
}

static void ask(struct fixture *f, struct record *record, const char *query, const char *merge)
{
	record->lookups = mem_zalloc(1, sizeof *record->lookups);
	record->lookup_count = 1;
	struct header *headers = mem_zalloc(1, sizeof *headers);
	*headers = (struct header){mem_strdup("Authorization"), mem_strdup("Bearer hush")};
	record->lookups[0].record = record;
	record->lookups[0].part = -2;
	record->lookups[0].request = (struct request){.method = mem_strdup("GET"),
	        .host = mem_strdup("en.wikipedia.org"),
	        .path = mem_strdup("/path"),
	        .query = mem_strdup(query),
	        .headers = headers,
	        .header_count = 1,
	        .merge_param = merge ? mem_strdup("revids") : NULL,
	        .merge_value = merge ? mem_strdup(merge) : NULL};
	if (f->observe)
		f->observe->asked(f->observe->context, record);
}

static void answer(struct fixture *f, struct record **records, size_t how_many, const char *body)
{
	struct call call = {.lookup_count = how_many,
	        .transfer = {.failure = body ? HTTP_ANSWERED : HTTP_TIMEOUT,
	                .status = body ? 200 : 0,
	                .elapsed = 0.25,
	                .came = body ? strlen(body) : 0}};
	list_init(&call.lookups, "call");
	for (size_t i = 0; i < how_many; i++)
		list_append(&call.lookups, &records[i]->lookups[0].node);
	buf_init(&call.transfer.answer, 0);
	if (body)
		buf_append_text(&call.transfer.answer, body);
	if (f->observe)
		f->observe->came(f->observe->context, &call);
	for (size_t i = 0; i < how_many; i++)
		list_remove(&call.lookups, &records[i]->lookups[0].node);
	buf_free(&call.transfer.answer);
}

static void end(struct fixture *f, struct record *record, enum outcome outcome, const char *value)
{
	record->outcome = outcome;
	if (outcome == OUTCOME_FAILED) {
		record->reason = mem_strdup("HttpStatus");
		record->message = mem_strdup("it answered 500 to a secret");
	}
	if (value) {
		record->outputs = mem_zalloc(1, sizeof *record->outputs);
		record->output_count = 1;
		record->outputs[0] = (struct output){.sink = outcome == OUTCOME_FAILED,
		        .value = mem_strdup(value),
		        .value_size = strlen(value)};
	}
	if (f->observe)
		f->observe->ended(f->observe->context, record);
}

static void forget(struct fixture *f, struct record *record)
{
	f->partition.records--;
	record_forget_lookups(&f->records, record);
	record_move(&f->records, record, RECORD_GIVEN_BACK);
	record_free(&f->records, record);
}

/* From the door to its end. */
static void pass(struct fixture *f, const char *value)
{
	struct record *record = take_record(f, value, strlen(value));
	ask(f, record, "action=query&token=hush&titles=A%20B", "977");
	answer(f, &record, 1, "{\"answered\":1.0}");
	end(f, record, OUTCOME_ENRICHED, "{\"made\":1e0}");
	forget(f, record);
}

/* ---- stories ---- */

static void while_nobody_looks_nobody_is_told(void **state)
{
	struct fixture *f = *state;
	assert_null(f->observe);
	struct tap_reader *one = look(f, (struct tap_wish){0}), *two = look(f, (struct tap_wish){0});
	assert_non_null(f->observe);
	tap_end(one);
	assert_non_null(f->observe);
	tap_end(two);
	assert_null(f->observe);
}

static void every_stage_is_shown_as_it_comes(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.content = true});
	pass(f, "{\"n\": 1e0,\n \"big\":123456789012345678}");
	assert_true(take(f, reader));
	require_lines(f);
	assert_true(got(f, "{\"tap\":\"start\",\"name\":\"job\""));
	assert_true(got(f, "\"stage\":\"in\""));
	assert_true(got(f, "\"topic\":\"in\",\"partition\":3,\"offset\":0"));
	assert_true(got(f, "\"event\":{\"n\": 1e0,  \"big\":123456789012345678}"));
	assert_true(got(f, "\"script\":\"0123456789ab\""));
	assert_true(got(f, "\"x-name_base64\":\"dv8=\""));
	assert_true(got(f, "\"titles\":\"A B\",\"revids\":\"977\""));
	assert_true(got(f, "\"answer\":{\"status\":200,\"headers\":{},\"json\":{\"answered\":1.0}"));
	assert_true(got(f, "\"outputs\":[{\"sink\":\"sink\",\"topic\":\"out\""));
	assert_true(got(f, "\"value\":{\"made\":1e0}"));
	tap_end(reader);
}

static void secrets_are_left_out(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.content = true});
	pass(f, "{}");
	take(f, reader);
	assert_false(got(f, "hush"));
	assert_int_equal(count(f, "\"Authorization\":\"(redacted)\""), 2);
	assert_int_equal(count(f, "\"token\":\"(redacted)\""), 2);
	tap_end(reader);
}

static void without_leave_no_content_is_shown(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.content = false});
	pass(f, "{\"secret\":1}");
	struct record *record = take_record(f, "{\"secret\":2}", 12);
	ask(f, record, "q=secret", NULL);
	answer(f, &record, 1, NULL);
	end(f, record, OUTCOME_FAILED, "{\"secret\":3}");
	forget(f, record);
	take(f, reader);
	require_lines(f);
	static const char *const hidden[] = {
	        "secret", "977", "A B", "made", "answered", "x-name", "\"key\"", "/path"};
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		if (got(f, hidden[i]))
			fail_msg("%s is shown: %s", hidden[i], f->got.data);
	static const char *const shown[] = {"\"stage\":\"in\"", "\"stage\":\"request\"",
	        "\"stage\":\"response\"", "\"stage\":\"out\"", "\"stage\":\"error\"", "\"status\":200",
	        "\"failure\":\"timeout\"", "\"host\":\"en.wikipedia.org\"", "\"type\":\"HttpStatus\"",
	        "\"bytes\":20", "\"content\":false"};
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		if (!got(f, shown[i]))
			fail_msg("%s is not shown: %s", shown[i], f->got.data);
	tap_end(reader);
}

static void poison_is_shown_as_a_text(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.content = true, .stages = TAP_IN});
	forget(f, take_record(f, "{\"a\":\n", 6));
	forget(f, take_record(f, "\xff\x00\x01", 3));
	forget(f, take_record(f, NULL, 0));
	take(f, reader);
	require_lines(f);
	assert_true(got(f, "\"value\":\"{\\\"a\\\":\\n\""));
	assert_true(got(f, "\"value_base64\":\"/wAB\""));
	assert_true(got(f, "\"value\":null"));
	tap_end(reader);
}

static void a_reader_that_takes_nothing_costs_a_queue_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader =
	        look(f, (struct tap_wish){.content = true, .stages = TAP_IN, .buffer = 64 << 10});
	char value[1000];
	memset(value, '1', sizeof value);
	size_t most = 0;
	for (int i = 0; i < 5000; i++) {
		clock_skip(10);
		forget(f, take_record(f, value, sizeof value));
		most = f->ledger.used[LEDGER_TAP] > most ? f->ledger.used[LEDGER_TAP] : most;
	}
	assert_in_range(most, 60 << 10, 96 << 10);
	assert_true(take(f, reader));
	require_lines(f);
	size_t shown = count(f, "\"stage\"");
	assert_in_range(shown, 40, 64);
	char note[80];
	snprintf(note, sizeof note, "{\"tap\":\"left out\",\"full\":%zu,\"rate\":0}", 5000 - shown);
	assert_true(got(f, note));
	forget(f, take_record(f, "{\"again\":1}", 11)); /* there is room again */
	take(f, reader);
	assert_true(got(f, "again"));
	assert_int_equal(count(f, "left out"), 1);
	tap_end(reader);
}

static void no_more_items_a_second_than_wished_for(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.stages = TAP_IN, .rate = 5});
	for (int second = 0; second < 3; second++) {
		for (int i = 0; i < 20; i++)
			forget(f, take_record(f, "{}", 2));
		clock_skip(1000);
	}
	take(f, reader);
	assert_int_equal(count(f, "\"stage\""), 15);
	assert_true(got(f, "{\"tap\":\"left out\",\"full\":0,\"rate\":45}"));
	tap_end(reader);
}

static void no_more_bytes_a_second_than_the_engine_can_spare(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader =
	        look(f, (struct tap_wish){.content = true, .stages = TAP_IN, .buffer = TAP_BUFFER_MAX});
	size_t size = 1 << 20;
	char *value = mem_alloc(size);
	memset(value, '1', size);
	for (int i = 0; i < 20; i++) {
		forget(f, take_record(f, value, size));
		take(f, reader);
	}
	assert_int_equal(count(f, "\"stage\""), TAP_BYTES_A_SECOND / (1 << 20));
	clock_skip(1000);
	forget(f, take_record(f, value, size));
	take(f, reader);
	assert_int_equal(count(f, "\"stage\""), TAP_BYTES_A_SECOND / (1 << 20) + 1);
	mem_free(value);
	tap_end(reader);
}

static void what_is_larger_than_the_queue_comes_without_content(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader =
	        look(f, (struct tap_wish){.content = true, .stages = TAP_IN, .buffer = 16 << 10});
	char value[20000];
	memset(value, '1', sizeof value);
	forget(f, take_record(f, value, sizeof value));
	take(f, reader);
	require_lines(f);
	assert_true(got(f, "\"bytes\":20008"));
	assert_true(got(f, "\"left_out\":\"content\""));
	assert_false(got(f, "1111"));
	tap_end(reader);
}

static void after_so_many_items_it_ends(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.stages = TAP_IN | TAP_OUT, .count = 3});
	for (int i = 0; i < 5; i++)
		pass(f, "{}");
	assert_false(take(f, reader));
	assert_int_equal(count(f, "\"stage\""), 3);
	assert_true(got(f, "{\"tap\":\"end\",\"why\":\"count\",\"shown\":3,\"full\":0,\"rate\":0}\n"));
	tap_end(reader);
}

static void after_so_long_it_ends(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.ms = 5000});
	clock_skip(4999);
	assert_true(take(f, reader));
	clock_skip(1);
	assert_false(take(f, reader));
	assert_true(got(f, "\"why\":\"time\""));
	tap_end(reader);
}

static void a_record_that_is_followed_is_shown_from_stage_to_stage(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.follow = true, .count = 1});
	struct record *first = take_record(f, "{}", 2), *second = take_record(f, "{}", 2);
	ask(f, second, "", "2");
	ask(f, first, "", "1");
	struct record *both[] = {second, first};
	answer(f, both, 2, "{}");
	end(f, second, OUTCOME_ENRICHED, "{}");
	end(f, first, OUTCOME_ENRICHED, "{}");
	assert_false(take(f, reader));
	assert_int_equal(count(f, "\"stage\""), 4); /* one record's */
	assert_int_equal(count(f, "\"stage\":\"response\""), 1);
	assert_true(got(f, "\"lookups\":2"));
	assert_true(got(f, "\"records\":[{\"topic\":\"in\",\"partition\":3,\"offset\":1},{\"topic\":\"in\","
	                   "\"partition\":3,\"offset\":0}]"));
	assert_true(got(f, "\"why\":\"count\",\"shown\":4"));
	forget(f, first);
	forget(f, second);
	tap_end(reader);
}

static void a_record_that_cannot_be_shown_whole_is_let_go(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader =
	        look(f, (struct tap_wish){.follow = true, .count = 1, .content = true, .buffer = 16 << 10});
	char value[9000];
	memset(value, '1', sizeof value);
	struct record *first = take_record(f, value, sizeof value);
	ask(f, first, "", NULL); /* the event again: there is no room for it */
	end(f, first, OUTCOME_ENRICHED, "{}");
	take(f, reader);
	assert_int_equal(count(f, "\"stage\""), 1);
	forget(f, first);
	pass(f, "{}"); /* another one in its place */
	assert_false(take(f, reader));
	assert_int_equal(count(f, "\"stage\""), 5);
	tap_end(reader);
}

static void a_record_that_is_given_back_is_let_go(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *reader = look(f, (struct tap_wish){.follow = true, .count = 1});
	struct record *first = take_record(f, "{}", 2);
	f->observe->left(f->observe->context, first);
	forget(f, first);
	pass(f, "{}");
	assert_false(take(f, reader));
	tap_end(reader);
}

static void there_is_room_for_four_readers(void **state)
{
	struct fixture *f = *state;
	struct tap_reader *readers[TAP_READERS];
	for (int i = 0; i < TAP_READERS; i++)
		assert_non_null(readers[i] = look(f, (struct tap_wish){.follow = true}));
	assert_null(look(f, (struct tap_wish){0}));
	struct record *record = take_record(f, "{}", 2);
	tap_end(readers[2]);
	readers[2] = look(f, (struct tap_wish){.follow = true});
	assert_non_null(readers[2]);
	end(f, record, OUTCOME_DROPPED, NULL);
	take(f, readers[2]); /* it came later: that record is none of its own */
	assert_int_equal(count(f, "\"stage\""), 0);
	take(f, readers[3]);
	assert_int_equal(count(f, "\"stage\""), 2);
	assert_true(got(f, "\"outcome\":\"dropped\""));
	forget(f, record);
	for (int i = 0; i < TAP_READERS; i++)
		tap_end(readers[i]);
}

static void stages_have_names(void **state)
{
	unsigned stages;
	struct err err = {""};
	(void)state;
	assert_true(tap_stages("in,error", &stages, &err));
	assert_int_equal(stages, TAP_IN | TAP_ERROR);
	assert_true(tap_stages("all", &stages, &err));
	assert_int_equal(stages, TAP_ALL);
	static const char *const wrong[] = {"", "in,", ",in", "ins", "In", "out error"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(tap_stages(wrong[i], &stages, &err));
	assert_false(tap_stages("eror", &stages, &err));
	assert_string_equal(err.text, "there is no stage 'eror'; expected 'error'");
}

int main(void)
{
#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        story(while_nobody_looks_nobody_is_told),
	        story(every_stage_is_shown_as_it_comes),
	        story(secrets_are_left_out),
	        story(without_leave_no_content_is_shown),
	        story(poison_is_shown_as_a_text),
	        story(a_reader_that_takes_nothing_costs_a_queue_and_no_more),
	        story(no_more_items_a_second_than_wished_for),
	        story(no_more_bytes_a_second_than_the_engine_can_spare),
	        story(what_is_larger_than_the_queue_comes_without_content),
	        story(after_so_many_items_it_ends),
	        story(after_so_long_it_ends),
	        story(a_record_that_is_followed_is_shown_from_stage_to_stage),
	        story(a_record_that_cannot_be_shown_whole_is_let_go),
	        story(a_record_that_is_given_back_is_let_go),
	        story(there_is_room_for_four_readers),
	        story(stages_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
