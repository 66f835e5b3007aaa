/* The walk of records with an invented script, invented calls and invented sinks: order, accounts, giving
 * back. */
#include "unit.h"

/* Names the walk calls are invented here; everything else is real. */
#define script_decode fake_script_decode
#define script_request fake_script_request
#define script_transform fake_script_transform
#define script_resume fake_script_resume
#define script_resume_diff fake_script_resume_diff
#define script_pass fake_script_pass
#define script_finish_output fake_script_finish_output
#define script_answer fake_script_answer
#define script_collect fake_script_collect
#define script_relieve fake_script_relieve
#define script_usage fake_script_usage
#define script_hold fake_script_hold
#define script_release fake_script_release
#define script_forget fake_script_forget
#define script_let_go fake_script_let_go
#define script_result_free fake_script_result_free
#define script_drop_part fake_script_drop_part
#define script_doubtful fake_script_doubtful
#define script_sound fake_script_sound
#define script_part_out fake_script_part_out
#define script_part_in fake_script_part_in
#define dispatch_hand_over fake_dispatch_hand_over
#define dispatch_open fake_dispatch_open
#define dispatch_close fake_dispatch_close
#define dispatch_submit fake_dispatch_submit
#define dispatch_cancel fake_dispatch_cancel
#define dispatch_tick fake_dispatch_tick
#define dispatch_pause_host fake_dispatch_pause_host
#define dispatch_takes fake_dispatch_takes
#define dispatch_stands fake_dispatch_stands
#define dispatch_held fake_dispatch_held
#define dispatch_relieve fake_dispatch_relieve
#define dispatch_retune fake_dispatch_retune
#define dispatch_occupied fake_dispatch_occupied
#define dispatch_in_flight fake_dispatch_in_flight
#define dispatch_waiting fake_dispatch_waiting
#define conform_input fake_conform_input
#define conform_outputs fake_conform_outputs
#include "../../core/record.c"
#include "../../core/carry.c"
#include "../../core/gate.c"
#include "../../core/delivery.c"
#include "../../core/pipeline.c"
#include "script_fakes.h"
#include "helper_fakes.h"

/* An event's value is "KIND KEY NUMBER": what the script does with it, its lane, its place in it. */
enum { SINKS = 2, PARTITIONS = 3, TOPIC_MAX = 64 };

static struct lookup *asked[20000];
static size_t asked_count, taken_back; /* taken_back: final, and taken back before done was called */
static struct dispatch_hooks hooks;
static size_t pauses;

static bool kind_is(const struct script_event *event, const char *kind)
{
	return strncmp(event->id, kind, strlen(kind)) == 0;
}

bool script_decode(struct script_event *event, struct script *script, const struct script_input *input,
        struct script_result *result)
{
	*event = (struct script_event){.script = script, .id = mem_dup(input->value.data, input->value.size)};
	if (kind_is(event, "poison")) {
		mem_free(event->id);
		*event = (struct script_event){0};
		*result = (struct script_result){.verdict = VERDICT_FAIL,
		        .type = mem_strdup("PoisonEvent"),
		        .message = mem_strdup("not JSON")};
		return false;
	}
	(*fake_events(script))++;
	const char *key = strchr(event->id, ' ') + 1;
	event->lane_key_size = strcspn(key, " ");
	event->lane_key = mem_dup(key, event->lane_key_size);
	return true;
}

static const char *asked_path; /* of the first request */
static bool changed_mind;      /* passes whatever comes */

static void answer_requests(struct script_result *result, enum verdict verdict, size_t count)
{
	*result = (struct script_result){.verdict = verdict,
	        .request_count = count,
	        .requests = mem_zalloc(count, sizeof *result->requests)};
	if (count)
		result->requests[0].path = mem_strdup(asked_path);
}

void script_request(struct script_event *event, unsigned attempt, struct script_result *result)
{
	(void)attempt;
	if (changed_mind)
		*result = (struct script_result){.verdict = VERDICT_PASS};
	else if (kind_is(event, "drop"))
		*result = (struct script_result){.verdict = VERDICT_DROP, .type = mem_strdup("canary")};
	else if (kind_is(event, "pass"))
		*result = (struct script_result){.verdict = VERDICT_PASS};
	else
		answer_requests(result, VERDICT_ASK,
		        kind_is(event, "alone")  ? 0
		        : kind_is(event, "pair") ? 2
		                                 : 1);
}

static void output_of(struct script_event *event, struct script_result *result)
{
	bool large = kind_is(event, "large");
	size_t count = kind_is(event, "both") ? 2 : 1;
	*result = (struct script_result){.verdict = VERDICT_OUTPUT,
	        .output_count = count,
	        .outputs = mem_zalloc(count, sizeof *result->outputs)};
	for (size_t i = 0; i < count; i++) {
		result->outputs[i].sink = kind_is(event, "second") ? 1 : i;
		result->outputs[i].value = large ? mem_zalloc(1, 5000) : mem_strdup(event->id);
		result->outputs[i].value_size = large ? 5000 : strlen(event->id);
	}
}

static void compare_texts(const struct script_event *event, struct script_result *result)
{
	*result = (struct script_result){.verdict = VERDICT_WAIT,
	        .diff = {.from = {event->id, strlen(event->id)},
	                .to = {"other", 5},
	                .context = 3,
	                .max = 1000}};
}

void script_transform(struct script_event *event, const struct script_answer_part *answers, size_t count,
        struct script_result *result)
{
	(void)answers;
	(void)count;
	if (kind_is(event, "again") || kind_is(event, "lag") || kind_is(event, "alone"))
		*result = (struct script_result){.verdict = VERDICT_RETRY,
		        .type = mem_strdup("lag"),
		        .after = 1,
		        .host_scope = (kind_is(event, "lag") || kind_is(event, "alone"))};
	else if (kind_is(event, "fetch"))
		answer_requests(result, VERDICT_WAIT, 1);
	else if (kind_is(event, "diff"))
		compare_texts(event, result);
	else
		output_of(event, result);
}

void script_resume(struct script_event *event, const struct script_answer_part *answers, size_t count,
        struct script_result *result)
{
	(void)answers;
	(void)count;
	output_of(event, result);
}

void script_resume_diff(struct script_event *event, enum textdiff_outcome outcome, const struct bytes *text,
        struct script_result *result)
{
	assert_true((outcome == TEXTDIFF_MADE) == (text->size > 0));
	output_of(event, result);
}

bool script_pass(struct script_event *event, struct output *output, struct script_result *failure)
{
	(void)failure;
	output->value = mem_strdup(event->id);
	output->value_size = strlen(event->id);
	return true;
}

void script_finish_output(
        struct script_event *event, struct output *output, size_t n, const struct script_input *input)
{
	(void)event;
	(void)output;
	(void)n;
	(void)input;
}

enum script_answer script_answer(struct script *script, const struct request *request,
        const struct response *response, const char *const *values, size_t count, int *parts,
        struct script_result *detail)
{
	(void)script;
	(void)request;
	(void)response;
	(void)values;
	(void)count;
	(void)parts;
	(void)detail;
	return SCRIPT_ANSWER_OK;
}

static size_t lua_heap;

struct script_usage script_usage(const struct script *script)
{
	return (struct script_usage){
	        .memory = lua_heap, .memory_limit = 1000, .events = *fake_events(script)};
}

struct dispatch *dispatch_open(struct http *http, const struct dispatch_config *config,
        const struct dispatch_hooks *given, struct metrics *metrics)
{
	(void)http;
	(void)config;
	(void)metrics;
	hooks = *given;
	return NULL;
}

size_t dispatch_in_flight(const struct dispatch *dispatch)
{
	(void)dispatch;
	return 0;
}

size_t dispatch_waiting(const struct dispatch *dispatch)
{
	(void)dispatch;
	return 0;
}

double dispatch_occupied(const struct dispatch *dispatch)
{
	(void)dispatch;
	return 0;
}

void dispatch_retune(struct dispatch *dispatch, int64_t now)
{
	(void)dispatch;
	(void)now;
}

void dispatch_close(struct dispatch *dispatch)
{
	(void)dispatch;
}

void dispatch_submit(struct dispatch *dispatch, struct lookup *lookup, int64_t now)
{
	(void)dispatch;
	(void)now;
	lookup->state = LOOKUP_IN_FLIGHT;
	asked[asked_count++] = lookup;
}

void dispatch_cancel(struct dispatch *dispatch, struct lookup *lookup)
{
	(void)dispatch;
	for (size_t i = 0; i < asked_count; i++)
		if (asked[i] == lookup) {
			taken_back += lookup->state == LOOKUP_DONE;
			asked[i] = asked[--asked_count];
			lookup->state = LOOKUP_IDLE;
			return;
		}
	if (lookup->state == LOOKUP_DONE || lookup->state == LOOKUP_IDLE)
		return;
	fail_msg("a lookup was cancelled that was not asked");
}

static size_t handed_over;

void dispatch_hand_over(struct dispatch *dispatch, struct lookup *lookup, void *script)
{
	(void)dispatch;
	lookup->script = script;
	handed_over++;
}

int64_t dispatch_tick(struct dispatch *dispatch, int64_t now)
{
	(void)dispatch;
	(void)now;
	return -1;
}

void dispatch_pause_host(struct dispatch *dispatch, size_t upstream, const char *host, int64_t until,
        int64_t now, const char *reason)
{
	(void)dispatch;
	(void)upstream;
	(void)host;
	(void)until;
	(void)now;
	(void)reason;
	pauses++;
}

static struct {
	bool open; /* a breaker is */
	bool wants_one;
	size_t relieved; /* how often it was asked for */
	uint64_t line, late, span;
} trouble;

bool dispatch_takes(const struct dispatch *dispatch)
{
	(void)dispatch;
	return !trouble.open || trouble.wants_one;
}

bool dispatch_stands(const struct dispatch *dispatch)
{
	(void)dispatch;
	return trouble.open;
}

bool dispatch_held(const struct dispatch *dispatch, const struct lookup *lookup)
{
	(void)dispatch;
	return trouble.open && lookup->state == LOOKUP_WAITING;
}

size_t dispatch_relieve(struct dispatch *dispatch, uint64_t line, uint64_t late, uint64_t span, int64_t now)
{
	(void)dispatch;
	(void)now;
	trouble.relieved++;
	trouble.line = line;
	trouble.late = late;
	trouble.span = span;
	return 0;
}

/* ---- schemas: what is said of each event that has "odd" for its kind, and of each output of one ---- */

static enum conform_verdict input_verdict, output_verdict;

static enum conform_verdict say(const struct record *record, enum conform_verdict verdict,
        struct conform_failure *failure, const char *type)
{
	if (!kind_is(&record->event, "odd"))
		return CONFORM_GOOD;
	failure->type = type;
	buf_init(&failure->message, 0);
	if (verdict == CONFORM_BAD)
		buf_append_text(&failure->message, "as told");
	return verdict;
}

enum conform_verdict conform_input(
        struct conform *conform, const struct record *record, int64_t now, struct conform_failure *failure)
{
	(void)now;
	return conform ? say(record, input_verdict, failure, "InputInvalid") : CONFORM_GOOD;
}

enum conform_verdict conform_outputs(
        struct conform *conform, struct record *record, int64_t now, struct conform_failure *failure)
{
	(void)now;
	return conform ? say(record, output_verdict, failure, "OutputInvalid") : CONFORM_GOOD;
}

/* ---- a sink that keeps what it is given until the test settles it, and remembers what was stored ---- */

struct fake_sink {
	struct sink sink;
	struct output *held[20000];
	size_t held_count;
	char *stored[40000];
	size_t stored_count;
	size_t room;     /* how many it may hold */
	int64_t waiting; /* since when it holds outputs without a word; 0 = it does not wait */
};

static enum sink_sent fake_send(struct sink *sink, struct output *output)
{
	struct fake_sink *fake = (struct fake_sink *)sink;
	if (fake->held_count == fake->room)
		return SINK_NO_ROOM;
	fake->held[fake->held_count++] = output;
	return SINK_TAKEN;
}

static size_t serves; /* until one of them brings a refusal of the first output; 0 = none does */
static void settle_first(struct fake_sink *fake, enum output_state state);

static void fake_serve(struct sink *sink)
{
	struct fake_sink *fake = (struct fake_sink *)sink;
	if (serves && fake->held_count && --serves == 0)
		settle_first(fake, OUTPUT_REFUSED);
}

static size_t fake_held_bytes(const struct sink *sink)
{
	(void)sink;
	return 0;
}

static size_t fake_outstanding(const struct sink *sink)
{
	return ((const struct fake_sink *)sink)->held_count;
}

static int64_t fake_waiting(const struct sink *sink)
{
	int64_t since = ((const struct fake_sink *)sink)->waiting;
	return since ? since : -1;
}

static const struct sink_verbs fake_verbs = {.send = fake_send,
        .waiting = fake_waiting,
        .serve = fake_serve,
        .outstanding = fake_outstanding,
        .held_bytes = fake_held_bytes};

/* The oldest output comes back: stored and acknowledged, or not stored. */
static void settle_first(struct fake_sink *fake, enum output_state state)
{
	struct output *output = fake->held[0];
	memmove(fake->held, fake->held + 1, --fake->held_count * sizeof *fake->held);
	if (state == OUTPUT_ACKED)
		fake->stored[fake->stored_count++] = mem_dup(output->value, output->value_size);
	output->state = state;
	fake->sink.handlers.settled(fake->sink.handlers.context, output);
}

/* ---- the story's stage ---- */

struct stage {
	struct differ *differ;
	struct pipeline *pipeline;
	struct ledger ledger;
	struct fake_sink *sinks[SINKS];
	struct sink *pointers[SINKS];
	struct sink_config configs[SINKS];
	struct upstream_config upstream;
	struct source source;
	struct source_handlers door;
	struct partition partitions[PARTITIONS];
	int64_t now;
};

static size_t told;

static char decisions[400];

static void note_decided(void *context, uint64_t script, const char *type, const char *message)
{
	size_t size = strlen(decisions);
	(void)context;
	assert_true((type == NULL) == (message == NULL));
	snprintf(
	        decisions + size, sizeof decisions - size, "%u %s, ", (unsigned)script, type ? type : "good");
}

static void hear(void *context, const struct record *record, const char *message)
{
	(void)context;
	if (message && record->outcome == OUTCOME_FAILED && strcmp(record->reason, "PoisonEvent") == 0)
		told++;
}

static size_t limit_bytes = 1 << 28, upstream_count = 1;
static struct script *(*renewal)(void *context);

static struct stage *raise_curtain(size_t limit, enum pipeline_order order)
{
	static char sink_name[] = "sink", errors_name[] = "errors", topic[] = "in", upstream[] = "api";
	struct stage *s = mem_zalloc(1, sizeof *s);
	struct sink_handlers handlers;
	asked_count = pauses = 0;
	memset(&trouble, 0, sizeof trouble);
	s->now = 1000;
	s->upstream = (struct upstream_config){.name = upstream, .retry = {.deadline_ms = 5000}};
	s->configs[0] = (struct sink_config){.name = sink_name, .topic = sink_name, .max_bytes = 2000};
	s->configs[1] = (struct sink_config){.name = errors_name, .topic = errors_name, .max_bytes = 2000};
	ledger_init(&s->ledger, limit_bytes);
	s->differ = differ_open(NULL, NULL, NULL);
	struct pipeline_config config = {.order = order,
	        .differ = s->differ,
	        .key_from_event = true,
	        .limit_records = limit,
	        .limit_bytes = limit_bytes,
	        .upstreams = &s->upstream,
	        .upstream_count = upstream_count,
	        .retry_deadline_ms = 3000,
	        .sinks = s->configs,
	        .sink_count = SINKS,
	        .emitter_id = "test",
	        .renew = renewal,
	        .ended = hear,
	        .decided = note_decided};
	s->pipeline = pipeline_open(&config, NULL, NULL, &s->ledger);
	pipeline_sink_handlers(s->pipeline, &handlers);
	for (int i = 0; i < SINKS; i++) {
		s->sinks[i] = mem_zalloc(1, sizeof *s->sinks[i]);
		s->sinks[i]->sink = (struct sink){&fake_verbs, &s->configs[i], handlers};
		s->sinks[i]->room = 20000;
		s->pointers[i] = &s->sinks[i]->sink;
	}
	list_init(&s->source.partitions, "partitions");
	for (int i = 0; i < PARTITIONS; i++) {
		s->partitions[i] = (struct partition){.topic = topic,
		        .id = i,
		        .state = PARTITION_READING,
		        .offsets = offsets_open(0, NULL, 0),
		        .high = -1};
		list_append(&s->source.partitions, &s->partitions[i].node);
	}
	pipeline_source_handlers(s->pipeline, &s->door);
	pipeline_attach(s->pipeline, &s->source, s->pointers);
	pipeline_use_script(s->pipeline, (struct script *)&s->source);
	pipeline_turn(s->pipeline, s->now);
	return s;
}

static int64_t turn_once(struct stage *s)
{
	s->now += 10;
	return pipeline_turn(s->pipeline, s->now);
}

static void drop_curtain(struct stage *s)
{
	pipeline_give_back(s->pipeline, "stopped");
	for (int i = 0; i < SINKS; i++)
		while (s->sinks[i]->held_count)
			settle_first(s->sinks[i], OUTPUT_FAILED);
	differ_close(s->differ, 0);
	pipeline_close(s->pipeline);
	assert_int_equal(
	        s->ledger.total, s->ledger.used[LEDGER_LUA]); /* a gauge, of which the last look stays */
	for (int i = 0; i < PARTITIONS; i++) {
		assert_int_equal(s->partitions[i].records, 0);
		offsets_close(s->partitions[i].offsets);
	}
	for (int i = 0; i < SINKS; i++) {
		for (size_t n = 0; n < s->sinks[i]->stored_count; n++)
			mem_free(s->sinks[i]->stored[n]);
		mem_free(s->sinks[i]);
	}
	mem_free(s);
}

static bool take(struct stage *s, int partition, const char *value)
{
	struct partition *p = &s->partitions[partition];
	if (!s->door.room(s->door.context))
		return false;
	struct source_message message = {.partition = p,
	        .offset = offsets_next(p->offsets),
	        .value = {value, value ? strlen(value) : 0},
	        .key = {"k", 1}};
	s->door.message(s->door.context, &message);
	return true;
}

static void answer(size_t i, bool refused)
{
	struct lookup *lookup = asked[i];
	memmove(asked + i, asked + i + 1, (--asked_count - i) * sizeof *asked);
	lookup->state = LOOKUP_DONE;
	lookup->response.status = refused ? 0 : 200;
	if (refused) {
		lookup->response.error_type = mem_strdup("HttpStatus");
		lookup->response.error_message = mem_strdup("answered 404");
	}
	hooks.done(hooks.context, lookup);
}

static void assert_accounts(const struct stage *s)
{
	struct pipeline_counts c;
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.taken,
	        c.outcomes[0] + c.outcomes[1] + c.outcomes[2] + c.outcomes[3] + c.given_back + c.open);
}

/* Among the last appearances of each key's numbers none is smaller than the one before it. */
static void assert_last_in_order(const struct fake_sink *fake, int keys, size_t expected)
{
	int *last = mem_zalloc((size_t)keys, sizeof *last);
	char seen[20000] = {0};
	size_t distinct = 0;
	for (int k = 0; k < keys; k++)
		last[k] = 1 << 30;
	for (size_t n = fake->stored_count; n-- > 0;) {
		int key, number;
		assert_int_equal(sscanf(fake->stored[n], "%*s key%d %d", &key, &number), 2);
		if (seen[number])
			continue;
		seen[number] = 1;
		distinct++;
		assert_true(number < last[key]);
		last[key] = number;
	}
	assert_int_equal(distinct, expected);
	mem_free(last);
}

/* ---- promises ---- */

enum { EVENTS = 4000, KEYS = 40 };

/* Takes EVENTS events; calls are answered in random order; outputs settle in order, one in `spoil` badly. */
static void random_history(struct stage *s, int spoil)
{
	char value[64];
	int taken = 0;
	for (int idle = 0; idle < 300000; idle++) {
		snprintf(value, sizeof value, "event key%d %d", rand() % KEYS, taken);
		if (taken < EVENTS && rand() % 2 && take(s, 0, value))
			taken++;
		if (asked_count && rand() % 2)
			answer((size_t)rand() % asked_count, false);
		if (rand() % 3 == 0)
			turn_once(s);
		if (s->sinks[0]->held_count && rand() % 2)
			settle_first(
			        s->sinks[0], spoil && rand() % spoil == 0 ? OUTPUT_FAILED : OUTPUT_ACKED);
		assert_accounts(s);
		if (taken == EVENTS && pipeline_drained(s->pipeline))
			return;
	}
	fail_msg("the events did not come to an end");
}

static void outputs_of_one_key_leave_in_the_order_of_their_inputs(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(200, PIPELINE_ORDER_KEY);
	random_history(s, 0);
	assert_int_equal(s->sinks[0]->stored_count, EVENTS);
	assert_last_in_order(s->sinks[0], KEYS, EVENTS);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), EVENTS);
	drop_curtain(s);
}

static void what_was_not_delivered_is_sent_again_with_its_lane_behind_it(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(200, PIPELINE_ORDER_KEY);
	random_history(s, 50);
	assert_true(s->sinks[0]->stored_count > EVENTS);
	assert_last_in_order(s->sinks[0], KEYS, EVENTS);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), EVENTS);
	drop_curtain(s);
}

static void a_sink_with_little_room_delays_and_loses_nothing(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(200, PIPELINE_ORDER_KEY);
	s->sinks[0]->room = 3;
	random_history(s, 0);
	assert_last_in_order(s->sinks[0], KEYS, EVENTS);
	drop_curtain(s);
}

static void an_acknowledged_record_waits_for_its_elder_to_settle(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	take(s, 0, "event key1 2");
	take(s, 0, "event key2 3");
	while (asked_count)
		answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_FAILED); /* 1 */
	settle_first(s->sinks[0], OUTPUT_ACKED);  /* 2: its elder is not settled */
	turn_once(s);
	struct range ranges[4];
	assert_int_equal(offsets_ranges(s->partitions[0].offsets, ranges, 4), 0);
	settle_first(s->sinks[0], OUTPUT_ACKED); /* 3 */
	turn_once(s);
	assert_int_equal(offsets_ranges(s->partitions[0].offsets, ranges, 4), 1);
	assert_int_equal(ranges[0].from, 2);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 0);
	for (int i = 0; i < 100; i++)
		turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 2); /* 1 and 2 again */
	settle_first(s->sinks[0], OUTPUT_ACKED);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 3);
	drop_curtain(s);
}

/* Records for one sink, for the other, and for both, in the same lanes; both sinks fail now and then. */
static void each_topic_keeps_its_order_whatever_the_other_suffers(void **state)
{
	static const char *const kinds[] = {"event", "second", "both"};
	struct stage *s = raise_curtain(1000, PIPELINE_ORDER_KEY);
	char value[64];
	int taken = 0, sent[SINKS] = {0};
	(void)state;
	s->sinks[0]->room = 7;
	s->sinks[1]->room = 3;
	for (int idle = 0; taken < EVENTS || !pipeline_drained(s->pipeline); idle++) {
		int kind = rand() % 3;
		assert_true(idle < 600000);
		snprintf(value, sizeof value, "%s key%d %d", kinds[kind], rand() % KEYS, taken);
		if (taken < EVENTS && rand() % 2 && take(s, 0, value)) {
			taken++;
			sent[0] += kind != 1;
			sent[1] += kind != 0;
		}
		if (asked_count && rand() % 2)
			answer((size_t)rand() % asked_count, false);
		if (rand() % 3 == 0)
			turn_once(s);
		for (int i = 0; i < SINKS; i++)
			if (s->sinks[i]->held_count && rand() % 2)
				settle_first(s->sinks[i], rand() % 50 == 0 ? OUTPUT_FAILED : OUTPUT_ACKED);
		assert_accounts(s);
	}
	for (int i = 0; i < SINKS; i++)
		assert_last_in_order(s->sinks[i], KEYS, (size_t)sent[i]);
	drop_curtain(s);
}

static void what_failed_is_sent_again_while_another_topic_is_away(void **state)
{
	struct stage *s = raise_curtain(1000, PIPELINE_ORDER_KEY);
	(void)state;
	assert_true(take(s, 0, "second key1 0"));
	assert_true(take(s, 0, "event key2 1"));
	assert_true(take(s, 0, "event key3 2"));
	assert_true(take(s, 0, "event key4 3"));
	while (asked_count > 1)
		answer(0, false);
	turn_once(s);
	assert_int_equal(s->sinks[1]->held_count, 1); /* and stays there: it is away */
	settle_first(s->sinks[0], OUTPUT_FAILED);
	answer(0, false);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 0); /* nothing new before what failed */
	s->now += 1000;
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 2);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_null(pipeline_paused(s->pipeline));
	drop_curtain(s);
}

static void a_topic_without_room_stands_only_in_the_way_of_its_own_lanes(void **state)
{
	struct stage *s = raise_curtain(1000, PIPELINE_ORDER_KEY);
	(void)state;
	s->sinks[0]->room = 0;
	assert_true(take(s, 0, "event key1 0"));
	assert_true(take(s, 0, "second key1 1"));
	assert_true(take(s, 0, "second key2 2"));
	while (asked_count)
		answer(0, false);
	turn_once(s);
	assert_int_equal(s->sinks[1]->held_count, 1); /* key2's; key1's waits for its elder */
	settle_first(s->sinks[1], OUTPUT_ACKED);
	s->sinks[0]->room = 10;
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 1);
	assert_int_equal(s->sinks[1]->held_count, 1);
	drop_curtain(s);
}

static void a_sink_that_says_nothing_for_long_closes_the_door_and_pauses(void **state)
{
	struct stage *s = raise_curtain(1000, PIPELINE_ORDER_KEY);
	(void)state;
	s->sinks[0]->waiting = s->now;
	s->now += 4000;
	turn_once(s);
	assert_null(pipeline_paused(s->pipeline));
	s->now += 2000;
	turn_once(s);
	assert_string_equal(pipeline_paused(s->pipeline), "sink");
	assert_false(take(s, 0, "event key1 0"));
	s->sinks[0]->waiting = 0;
	turn_once(s);
	assert_null(pipeline_paused(s->pipeline));
	assert_true(take(s, 0, "event key1 0"));
	drop_curtain(s);
}

static void a_failed_delivery_closes_the_door_until_it_is_sent_again(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_FAILED);
	assert_false(take(s, 0, "event key2 2"));
	assert_string_equal(pipeline_paused(s->pipeline), "sink");
	for (int i = 0; i < 100; i++)
		turn_once(s);
	assert_true(take(s, 0, "event key2 2"));
	drop_curtain(s);
}

static void the_door_closes_at_the_limit_of_records(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(3, PIPELINE_ORDER_KEY);
	assert_true(take(s, 0, "event key1 1"));
	assert_true(take(s, 0, "event key2 2"));
	assert_true(take(s, 0, "event key3 3"));
	assert_false(take(s, 0, "event key4 4"));
	drop_curtain(s);
}

static void leave(struct stage *s)
{
	turn_once(s);
	while (s->sinks[0]->held_count)
		settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
}

static void the_limit_of_records_counts_from_the_oldest_open_one(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(4, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	for (int i = 2; i <= 4; i++) {
		assert_true(take(s, i % 3, "event key2 2"));
		answer(1, false); /* all but the first end */
		leave(s);
	}
	assert_int_equal(records_open(&s->pipeline->records), 1);
	assert_false(take(s, 0, "event key3 5"));
	answer(0, false);
	leave(s);
	for (int i = 0; i < 4; i++)
		assert_true(take(s, 0, "event key3 6"));
	assert_false(take(s, 0, "event key3 7"));
	drop_curtain(s);
}

static void an_open_breaker_closes_the_door_and_the_time_is_told(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	trouble.open = true;
	assert_false(take(s, 0, "event key1 1")); /* not even the first */
	assert_string_equal(pipeline_paused(s->pipeline), "upstream");
	trouble.wants_one = true;
	assert_true(turn_once(s) <= s->now); /* whoever was turned away is asked to come again */
	assert_true(take(s, 0, "event key1 1"));
	trouble.wants_one = false;
	assert_false(take(s, 0, "event key2 2"));
	trouble.open = false;
	assert_null(pipeline_paused(s->pipeline));
	assert_true(take(s, 0, "event key2 2"));
	drop_curtain(s);
}

static void a_stop_does_not_wait_for_an_upstream_in_trouble(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	pipeline_drain(s->pipeline, s->now);
	asked[0]->state = LOOKUP_WAITING; /* it came back from the air */
	turn_once(s);
	assert_false(pipeline_drained(s->pipeline)); /* it may be asked again */
	trouble.open = true;
	turn_once(s);
	assert_true(pipeline_drained(s->pipeline));
	drop_curtain(s);
}

static void whoever_holds_up_half_of_the_limit_is_looked_for(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	for (int i = 1; i <= 50; i++)
		take(s, 0, "event key1 1");
	turn_once(s);
	assert_int_equal(trouble.relieved, 0);
	take(s, 0, "event key1 1");
	turn_once(s);
	assert_int_equal(trouble.relieved, 1);
	assert_int_equal(trouble.line, 1); /* fifty are newer than the first */
	assert_int_equal(trouble.late, 0);
	for (int i = 52; i <= 100; i++)
		take(s, 0, "event key1 1");
	turn_once(s);
	assert_int_equal(trouble.line, 50);
	assert_int_equal(trouble.late, 25);
	assert_int_equal(trouble.span, 100);
	drop_curtain(s);
}

static void for_want_of_memory_the_older_half_is_looked_at_once_each_time(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(1000, PIPELINE_ORDER_KEY);
	for (int i = 1; i <= 20; i++)
		take(s, 0, "event key1 1");
	lua_heap = 400;
	turn_once(s);
	assert_int_equal(trouble.relieved, 0); /* nobody was turned away */
	assert_false(take(s, 0, "event key1 21"));
	turn_once(s);
	assert_int_equal(trouble.relieved, 1);
	assert_int_equal(trouble.line, 10);
	answer(0, true); /* one of them ends */
	turn_once(s);
	assert_int_equal(trouble.relieved, 1); /* its memory is not free yet */
	settle_first(s->sinks[1], OUTPUT_ACKED);
	turn_once(s);
	turn_once(s);
	assert_true(trouble.relieved > 1);
	assert_int_equal(trouble.line, 20 - 19 / 2);
	lua_heap = 100;
	drop_curtain(s);
}

static void the_door_closes_before_the_lua_heap_is_half_full(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(3, PIPELINE_ORDER_KEY);
	lua_heap = 400;
	assert_true(take(s, 0, "event key1 1")); /* the first is never refused */
	assert_false(take(s, 0, "event key2 2"));
	lua_heap = 100;
	assert_true(take(s, 0, "event key2 2"));
	drop_curtain(s);
}

static bool may_be_asked(size_t i)
{
	return hooks.room(hooks.context, asked[i]);
}

static void the_oldest_record_is_asked_about_whatever_is_held(void **state)
{
	(void)state;
	limit_bytes = 8000;
	struct stage *s = raise_curtain(9, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	take(s, 0, "event key2 2");
	asked[0]->request.merge_bytes = asked[1]->request.merge_bytes = 1 << 20;
	assert_true(may_be_asked(0));
	assert_false(may_be_asked(1));
	answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	assert_int_equal(pipeline_turn(s->pipeline, s->now), -1);
	assert_true(may_be_asked(0)); /* now it is the oldest */
	drop_curtain(s);
	limit_bytes = 1 << 28;
}

static size_t asked_at_once(size_t body_size, size_t answers)
{
	size_t sent = 0;
	struct stage *s = raise_curtain(1000, PIPELINE_ORDER_NONE);
	for (size_t i = 0; i < answers; i++) {
		take(s, 0, "event key1 1");
		assert_true(may_be_asked(0));
		asked[0]->came = body_size;
		answer(0, false);
		turn_once(s);
		settle_first(s->sinks[0], OUTPUT_ACKED);
		turn_once(s);
	}
	for (int i = 0; i < 200; i++)
		take(s, 0, "event key1 1");
	while (sent < 200 && may_be_asked(sent))
		assert_true(may_be_asked(sent++)); /* asked again after a back-off, it takes no more */
	assert_true(s->ledger.total <= limit_bytes);
	drop_curtain(s);
	return sent;
}

static void as_much_is_asked_at_once_as_there_is_room_for_the_answers(void **state)
{
	(void)state;
	limit_bytes = 16 << 20;
	assert_in_range(asked_at_once(0, 0), 5, 7); /* nothing is known yet */
	assert_in_range(
	        asked_at_once(100000, 1000), 24, 30); /* 14 MiB less the records, four times 100 kB each */
	assert_in_range(asked_at_once(1000000, 1000), 3, 4);
	assert_in_range(asked_at_once(2000000, 1000), 1, 2);
	limit_bytes = 64 << 20;
	assert_int_equal(asked_at_once(1000, 1000), 200);
	limit_bytes = 1 << 28;
}

static void every_verdict_ends_in_its_outcome(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	struct pipeline_counts c;
	take(s, 0, "event key1 1");
	take(s, 0, "drop key1 2");
	take(s, 0, "pass key1 3");
	take(s, 0, "poison key1 4");
	take(s, 0, "large key1 5");
	take(s, 0, "fetch key1 6");
	take(s, 0, NULL);
	while (asked_count)
		answer(asked_count - 1, false);
	turn_once(s);
	for (int i = 0; i < SINKS; i++)
		while (s->sinks[i]->held_count)
			settle_first(s->sinks[i], OUTPUT_ACKED);
	turn_once(s);
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.outcomes[OUTCOME_ENRICHED], 2);
	assert_int_equal(c.outcomes[OUTCOME_PASSED], 2);
	assert_int_equal(c.outcomes[OUTCOME_DROPPED], 1);
	assert_int_equal(c.outcomes[OUTCOME_FAILED], 2);
	assert_int_equal(c.open, 0);
	assert_int_equal(s->sinks[1]->stored_count, 2);
	assert_non_null(strstr(s->sinks[1]->stored[0], "\"error_type\":\"PoisonEvent\""));
	assert_non_null(strstr(s->sinks[1]->stored[1], "\"error_type\":\"OutputTooLarge\""));
	drop_curtain(s);
}

/* A record that waits for a diff is in the air: others go on, a stop waits for it, a revoke does not. */
static void a_diff_is_waited_for_without_holding_others_up(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	struct pipeline_counts c;
	take(s, 0, "diff key1 1");
	answer(0, false);
	take(s, 0, "event key2 2");
	answer(0, false);
	take(s, 0, "diff key3 3");
	answer(0, false);
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 1);
	assert_true(s->ledger.used[LEDGER_ANSWER] > 1000);
	pipeline_drain(s->pipeline, s->now);
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.given_back, 0);
	assert_true(helper_answer(false));
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 2);
	assert_true(helper_answer(true)); /* too late: transform hears of it */
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 3);
	assert_false(helper_answer(false));
	drop_curtain(s);
}

static void a_record_may_be_given_back_while_its_diff_is_made(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	take(s, 0, "diff key1 1");
	take(s, 1, "diff key2 2");
	answer(0, false);
	answer(0, false);
	s->door.released(s->door.context, &s->partitions[0], true);
	assert_true(helper_answer(false)); /* nobody's */
	assert_true(helper_answer(false));
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 1);
	drop_curtain(s);
}

/* What a diff takes has to be there, but for the oldest record. */
static void a_diff_begins_when_there_is_memory_for_it(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	take(s, 0, "diff key2 2");
	size_t room = ledger_room(&s->ledger);
	ledger_charge(&s->ledger, LEDGER_OUTPUT, room - 500);
	answer(1, false);
	turn_once(s);
	assert_null(held_job.run);
	answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	turn_once(s);
	assert_true(helper_answer(false)); /* the oldest now */
	ledger_return(&s->ledger, LEDGER_OUTPUT, room - 500);
	drop_curtain(s);
}

static void each_outcome_is_told_once_with_the_script_it_is_of(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	uint64_t first = pipeline_script_number(s->pipeline);
	decisions[0] = '\0';
	take(s, 0, "event key1 1"); /* is asked about, and ends last */
	take(s, 0, "drop key2 2");
	take(s, 0, "pass key1 3");
	take(s, 0, "poison key3 4");
	take(s, 0, NULL);
	assert_true(pipeline_use_script(s->pipeline, (struct script *)&s->partitions));
	assert_int_equal(pipeline_script_number(s->pipeline), first + 1);
	take(s, 0, "large key4 6");
	answer(1, false);
	answer(0, false);
	turn_once(s);
	for (int i = 0; i < SINKS; i++)
		while (s->sinks[i]->held_count)
			settle_first(s->sinks[i], OUTPUT_ACKED);
	turn_once(s);
	char expected[400];
	snprintf(expected, sizeof expected,
	        "%u good, %u good, %u PoisonEvent, 0 good, %u OutputTooLarge, %u good, ", (unsigned)first,
	        (unsigned)first, (unsigned)first, (unsigned)first + 1, (unsigned)first);
	assert_string_equal(decisions, expected);
	drop_curtain(s);
}

static void a_refused_lookup_fails_only_its_own_record(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	take(s, 0, "event key1 2");
	answer(0, true);
	answer(0, false);
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 1);
	assert_int_equal(s->sinks[1]->held_count, 1);
	assert_non_null(strstr(s->sinks[1]->held[0]->value, "answered 404"));
	drop_curtain(s);
}

static void an_output_that_no_broker_takes_becomes_an_error_event(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	struct pipeline_counts c;
	take(s, 0, "event key1 1");
	take(s, 0, "event key1 2");
	answer(0, false);
	answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_REFUSED);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 0);
	settle_first(s->sinks[1], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 2);
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.outcomes[OUTCOME_FAILED], 1);
	assert_int_equal(c.outcomes[OUTCOME_ENRICHED], 1);
	drop_curtain(s);
}

static void an_error_event_in_place_of_a_refused_output_leaves_without_delay(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	assert_true(take(s, 0, "event key1 0"));
	answer(0, false);
	serves = 1; /* the one at the end of the turn, after all was sent */
	int64_t next = turn_once(s);
	assert_int_equal(serves, 0);
	assert_int_equal(s->sinks[1]->held_count, 0);
	assert_int_equal(next, s->now); /* nothing else wakes the loop for it */
	turn_once(s);
	assert_int_equal(s->sinks[1]->held_count, 1);
	drop_curtain(s);
}

static void a_refused_error_event_waits_and_is_never_dropped(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	take(s, 0, "poison key1 1");
	turn_once(s);
	for (int round = 0; round < 3; round++) {
		settle_first(s->sinks[1], OUTPUT_REFUSED);
		for (int i = 0; i < 5000 && s->sinks[1]->held_count == 0; i++)
			turn_once(s);
		assert_int_equal(s->sinks[1]->held_count, 1);
		assert_int_equal(offsets_safe(s->partitions[0].offsets), 0);
	}
	settle_first(s->sinks[1], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 1);
	drop_curtain(s);
}

static void an_error_event_too_large_for_its_broker_is_cut_until_it_fits(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	struct pipeline_counts c;
	char *value = mem_zalloc(1, 20001);
	memset(value, 'x', 20000);
	memcpy(value, "poison key1 1", 13);
	s->pipeline->failure.max_bytes = 100000; /* but the broker takes 3000 */
	told = 0;
	take(s, 0, value);
	take(s, 0, "event key1 2");
	answer(0, false);
	turn_once(s);
	for (int i = 0; i < 10 && s->sinks[1]->held[0]->value_size > 3000; i++) {
		settle_first(s->sinks[1], OUTPUT_REFUSED);
		assert_null(pipeline_paused(s->pipeline));
		turn_once(s);
		assert_int_equal(s->sinks[1]->held_count, 1);
	}
	assert_true(s->sinks[1]->held[0]->value_size > 1000);
	assert_non_null(strstr(s->sinks[1]->held[0]->value, "\"error_type\":\"PoisonEvent\""));
	assert_non_null(strstr(s->sinks[1]->held[0]->value, "\"message\":\"not JSON\""));
	settle_first(s->sinks[1], OUTPUT_ACKED);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.outcomes[OUTCOME_FAILED], 1);
	assert_int_equal(told, 1);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 2);
	mem_free(value);
	drop_curtain(s);
}

static void a_script_that_says_retry_starts_again_until_the_deadline(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	struct pipeline_counts c;
	size_t rounds = 0;
	take(s, 0, "again key1 1");
	for (int i = 0; i < 1000 && s->sinks[1]->held_count == 0; i++) {
		if (asked_count) {
			answer(0, false);
			rounds++;
		}
		turn_once(s);
	}
	assert_int_equal(rounds, 6); /* at 0 to 5 s; the deadline is 5 s */
	assert_int_equal(pauses, 0);
	assert_non_null(strstr(s->sinks[1]->held[0]->value, "RetryDeadline"));
	settle_first(s->sinks[1], OUTPUT_ACKED);
	turn_once(s);
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.outcomes[OUTCOME_FAILED], 1);
	drop_curtain(s);
}

static void a_deadline_does_not_run_while_a_host_is_paused(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	size_t rounds = 0;
	take(s, 0, "lag key1 1");   /* its script pauses the host each time */
	take(s, 0, "again key2 2"); /* its lookups find the host paused, 700 ms each time */
	for (int i = 0; i < 4000; i++) {
		while (asked_count) {
			struct record *r = asked[0]->record;
			if (strncmp(r->event.id, "again", 5) == 0) {
				asked[0]->paused_ms = 700;
				rounds++;
			}
			answer(0, false);
		}
		turn_once(s);
	}
	assert_int_equal(s->sinks[1]->held_count, 1); /* the other one still waits, after 40 s */
	assert_non_null(strstr(s->sinks[1]->held[0]->value, "RetryDeadline"));
	assert_in_range(rounds, 15, 18); /* each round is a second, of which 300 ms count, of five */
	assert_true(pauses > 30);
	drop_curtain(s);
}

static void a_script_that_asks_nobody_may_not_retry_for_ever_either(void **state)
{
	(void)state;
	upstream_count = 0;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	upstream_count = 1;
	take(s, 0, "alone key1 1");
	for (int i = 0; i < 1000 && s->sinks[1]->held_count == 0; i++)
		turn_once(s);
	assert_int_equal(s->sinks[1]->held_count, 1);
	assert_non_null(strstr(s->sinks[1]->held[0]->value, "RetryDeadline"));
	settle_first(s->sinks[1], OUTPUT_ACKED);
	turn_once(s);
	drop_curtain(s);
}

static void a_lost_partition_gives_its_records_back_and_the_others_go_on(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(1000, PIPELINE_ORDER_KEY);
	struct pipeline_counts c;
	char value[64];
	for (int i = 0; i < 90; i++) {
		snprintf(value, sizeof value, "event key%d %d", rand() % 5, i);
		take(s, i % 3, value);
	}
	for (int i = 0; i < 45; i++)
		answer((size_t)rand() % asked_count, false);
	turn_once(s);
	s->partitions[1].state = PARTITION_GONE;
	s->door.released(s->door.context, &s->partitions[1], true);
	assert_accounts(s);
	while (asked_count)
		answer(0, false);
	for (int i = 0; i < 10; i++) {
		turn_once(s);
		while (s->sinks[0]->held_count)
			settle_first(s->sinks[0], OUTPUT_ACKED);
	}
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.given_back, 30);
	assert_int_equal(c.outcomes[OUTCOME_ENRICHED], 60);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 30);
	assert_int_equal(offsets_safe(s->partitions[1].offsets), 0);
	drop_curtain(s);
}

static void a_drain_cut_short_gives_back_what_was_not_sent_and_lets_the_rest_end(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	struct pipeline_counts c;
	take(s, 0, "event key1 1");
	take(s, 0, "event key1 2");
	take(s, 0, "event key2 3");
	take(s, 0, "event key2 4");
	take(s, 1, "event key3 5");
	answer(3, false); /* 4 is made and waits for 3 */
	answer(0, false); /* 1 is sent */
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 1);
	s->partitions[0].state = PARTITION_DRAINING;
	s->door.cut_short(s->door.context, &s->partitions[0]);
	assert_accounts(s);
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.given_back, 3);
	assert_int_equal(asked_count, 1); /* of the other partition */
	assert_int_equal(offsets_open_count(s->partitions[0].offsets), 4);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 1); /* it counts */
	s->door.released(s->door.context, &s->partitions[0], false);
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.given_back, 3);
	assert_int_equal(s->partitions[0].records, 0);
	answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(offsets_safe(s->partitions[1].offsets), 1);
	drop_curtain(s);
}

static void a_drain_gives_back_what_waits_with_its_followers_and_ends_the_rest(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	struct pipeline_counts c;
	take(s, 0, "event key1 1");
	take(s, 0, "event key1 2");
	take(s, 0, "event key2 3");
	asked[0]->state = LOOKUP_BACKING_OFF; /* 1 waits: 2 must not leave before it */
	pipeline_drain(s->pipeline, s->now);
	pipeline_counts(s->pipeline, &c);
	assert_int_equal(c.given_back, 2);
	assert_int_equal(asked_count, 1);
	assert_false(take(s, 0, "event key3 4"));
	answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_true(pipeline_drained(s->pipeline));
	assert_int_equal(offsets_safe(s->partitions[0].offsets), 0);
	struct range ranges[2];
	assert_int_equal(offsets_ranges(s->partitions[0].offsets, ranges, 2), 1);
	assert_int_equal(ranges[0].from, 2);
	drop_curtain(s);
}

static void order_none_lets_answers_leave_as_they_come(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_NONE);
	take(s, 0, "event key1 1");
	take(s, 0, "event key1 2");
	answer(1, false);
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 1);
	drop_curtain(s);
}

static void order_partition_keeps_the_whole_partition_in_order(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_PARTITION);
	take(s, 0, "event key1 1");
	take(s, 0, "event key2 2");
	take(s, 1, "event key3 3");
	answer(1, false);
	answer(1, false);
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 1); /* 3 is of another partition */
	answer(0, false);
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 3);
	assert_string_equal(s->sinks[0]->held[1]->value, "event key1 1");
	drop_curtain(s);
}

static void whoever_asks_is_told_of_each_failure_with_its_reason(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	told = 0;
	take(s, 0, "poison key1 1");
	take(s, 0, "pass key1 2");
	assert_int_equal(told, 1);
	drop_curtain(s);
}

static void every_output_says_where_it_came_from_and_has_its_lanes_key(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	take(s, 2, "pass key7 1");
	turn_once(s);
	struct output *output = s->sinks[0]->held[0];
	assert_string_equal(output->headers[0].name, "millrace-source");
	assert_string_equal(output->headers[0].value, "in/2/0/0");
	assert_string_equal(output->key, "key7");
	drop_curtain(s);
}

static void room_made_by_a_turn_is_used_at_once(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(1, PIPELINE_ORDER_KEY);
	take(s, 0, "drop key1 1");
	assert_false(take(s, 0, "drop key1 2"));
	int64_t next = turn_once(s);
	assert_int_equal(next, s->now); /* the source is asked again without waiting */
	assert_true(take(s, 0, "drop key1 2"));
	assert_int_equal(turn_once(s), -1); /* nobody was turned away */
	drop_curtain(s);
}

static void a_full_house_does_not_keep_the_loop_turning(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(1, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	assert_false(take(s, 0, "event key1 2"));
	assert_int_equal(turn_once(s), -1);
	drop_curtain(s);
}

static void waiting_for_the_producers_to_be_empty_is_not_a_busy_loop(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	take(s, 0, "event key2 2");
	answer(0, false);
	answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_FAILED);
	int64_t next = turn_once(s);
	assert_true(next > s->now);
	s->now += 100000; /* 2 is with a broker that is away */
	assert_int_equal(turn_once(s), -1);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(s->sinks[0]->held_count, 1);
	drop_curtain(s);
}

static void a_refused_lookup_takes_back_one_that_is_final_too(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	take(s, 0, "pair key1 1");
	assert_int_equal(asked_count, 2);
	asked[1]->state = LOOKUP_DONE; /* its done is due after that of the first */
	taken_back = 0;
	answer(0, true);
	assert_int_equal(taken_back, 1);
	assert_int_equal(asked_count, 0);
	drop_curtain(s);
}

static int64_t clock_hand;

static int64_t invented_clock(void)
{
	return clock_hand;
}

static void times_are_those_of_what_happens_not_of_the_turn_before(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	s->pipeline->config.clock = invented_clock;
	clock_hand = s->now + 900; /* the loop slept */
	take(s, 0, "again key1 1");
	assert_int_equal(((struct record *)asked[0]->record)->taken, clock_hand);
	turn_once(s);
	clock_hand = s->now + 900;
	answer(0, false);
	assert_int_equal(s->pipeline->wake, clock_hand + 1000); /* retry after 1 s */
	drop_curtain(s);
}

static struct stage *raise_with_schemas(enum conform_verdict input, enum conform_verdict output)
{
	struct stage *s = raise_curtain(10, PIPELINE_ORDER_KEY);
	s->pipeline->config.conform = (struct conform *)s;
	input_verdict = input;
	output_verdict = output;
	return s;
}

static void schemas_are_there(struct stage *s)
{
	input_verdict = output_verdict = CONFORM_GOOD;
	pipeline_schemas_changed(s->pipeline);
	turn_once(s);
}

static void a_record_waits_for_its_schema_and_its_lane_behind_it(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct stage *s = raise_with_schemas(side == 0 ? CONFORM_LOADING : CONFORM_GOOD,
		        side == 1 ? CONFORM_LOADING : CONFORM_GOOD);
		assert_true(take(s, 0, "odd key1 1"));
		assert_true(take(s, 0, "event key1 2"));
		assert_true(take(s, 0, "event key2 3")); /* the door stays open while one is loading */
		assert_int_equal(asked_count, side == 0 ? 2 : 3);
		while (asked_count)
			answer(0, false);
		turn_once(s);
		assert_int_equal(s->sinks[0]->held_count, 1); /* that of key2 */
		assert_null(pipeline_paused(s->pipeline));
		schemas_are_there(s);
		while (asked_count) /* nothing was asked twice */
			answer(0, false);
		turn_once(s);
		assert_int_equal(s->sinks[0]->held_count, 3);
		while (s->sinks[0]->held_count)
			settle_first(s->sinks[0], OUTPUT_ACKED);
		turn_once(s);
		assert_string_equal(s->sinks[0]->stored[1], "odd key1 1");
		assert_string_equal(s->sinks[0]->stored[2], "event key1 2");
		assert_true(pipeline_drained(s->pipeline));
		assert_accounts(s);
		drop_curtain(s);
	}
}

static void a_repository_that_is_away_closes_the_door_and_no_deadline_runs(void **state)
{
	(void)state;
	struct stage *s = raise_with_schemas(CONFORM_AWAY, CONFORM_GOOD);
	assert_true(take(s, 0, "odd key1 1"));
	assert_false(take(s, 0, "event key2 2"));
	assert_string_equal(pipeline_paused(s->pipeline), "schema");
	struct record *record = container_of(list_first(&s->pipeline->records.open), struct record, order);
	int64_t before = s->now;
	s->now += 1000000;
	schemas_are_there(s);
	assert_null(pipeline_paused(s->pipeline));
	assert_int_equal(record->paused_ms, s->now - before);
	assert_true(take(s, 0, "event key2 2"));
	drop_curtain(s);
}

static void a_stop_gives_back_what_waits_for_a_schema(void **state)
{
	(void)state;
	struct stage *s = raise_with_schemas(CONFORM_GOOD, CONFORM_AWAY);
	assert_true(take(s, 0, "odd key1 1"));
	answer(0, false);
	assert_string_equal(pipeline_paused(s->pipeline), "schema");
	pipeline_drain(s->pipeline, s->now);
	assert_true(pipeline_drained(s->pipeline));
	assert_null(pipeline_paused(s->pipeline));
	assert_accounts(s);
	drop_curtain(s);
}

static void what_is_not_what_its_schema_says_becomes_an_error_event(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct stage *s = raise_with_schemas(
		        side == 0 ? CONFORM_BAD : CONFORM_GOOD, side == 1 ? CONFORM_BAD : CONFORM_GOOD);
		decisions[0] = '\0';
		assert_true(take(s, 0, "odd key1 1"));
		assert_int_equal(asked_count, side); /* of a bad input nobody is asked */
		while (asked_count)
			answer(0, false);
		turn_once(s);
		assert_int_equal(s->sinks[0]->held_count, 0);
		assert_int_equal(s->sinks[1]->held_count, 1);
		assert_non_null(strstr(decisions, side == 0 ? "InputInvalid, " : "OutputInvalid, "));
		assert_null(strstr(decisions, "good"));
		settle_first(s->sinks[1], OUTPUT_ACKED);
		turn_once(s);
		assert_non_null(strstr(s->sinks[1]->stored[0],
		        side == 0 ? "\"error_type\":\"InputInvalid\",\"message\":\"as told\""
		                  : "\"error_type\":\"OutputInvalid\",\"message\":\"as told\""));
		assert_true(pipeline_drained(s->pipeline));
		assert_accounts(s);
		drop_curtain(s);
	}
}

/* ---- an observer that writes down what it is told, and counts the records it still knows ---- */

static char told_story[1000];
static size_t known;

static void write_down(const char *word)
{
	snprintf(told_story + strlen(told_story), sizeof told_story - strlen(told_story), "%s ", word);
}

static void see_taken(void *context, struct record *record)
{
	record->observed = context;
	known++;
	write_down("taken");
}

static void see_hooked(void *context, struct record *record, const struct observe_hook *hook)
{
	(void)record;
	(void)context;
	write_down(hook->name);
}

static void see_asked(void *context, struct record *record)
{
	char text[30];
	(void)context;
	snprintf(text, sizeof text, "asked:%zu", record->lookup_count);
	write_down(text);
}

static void see_answered(void *context, const struct lookup *lookup)
{
	assert_ptr_equal(((struct record *)lookup->record)->observed, context);
	write_down(lookup->response.error_type ? "refused" : "answered");
}

static void see_made(void *context, struct record *record)
{
	(void)context;
	write_down("made");
	write_down(outcome_name(record->outcome));
}

static void see_ended(void *context, struct record *record)
{
	assert_ptr_equal(record->observed, context);
	assert_true(record->outcome == OUTCOME_DROPPED || record->output_count > 0);
	known--;
	write_down("ended");
}

static void see_left(void *context, struct record *record)
{
	assert_ptr_equal(record->observed, context);
	known--;
	write_down("left");
}

static const struct observe watcher = {.context = &known,
        .taken = see_taken,
        .hooked = see_hooked,
        .asked = see_asked,
        .answered = see_answered,
        .made = see_made,
        .ended = see_ended,
        .left = see_left};

static void an_observer_is_told_of_each_stage_of_a_record(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	pipeline_observe(s->pipeline, &watcher);
	told_story[0] = '\0';
	take(s, 0, "fetch key1 1");
	answer(0, false);
	answer(0, false);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_string_equal(told_story,
	        "taken request asked:1 answered transform asked:1 answered transform made enriched ended ");
	told_story[0] = '\0';
	take(s, 0, "pair key1 2");
	answer(1, true);
	turn_once(s);
	settle_first(s->sinks[1], OUTPUT_ACKED);
	turn_once(s);
	assert_string_equal(told_story, "taken request asked:2 refused made failed ended ");
	told_story[0] = '\0';
	take(s, 0, "drop key1 3");
	turn_once(s);
	assert_string_equal(told_story, "taken request made dropped ended ");
	assert_int_equal(known, 0);
	told_story[0] = '\0';
	take(s, 0, "event key1 4");
	drop_curtain(s);
	assert_string_equal(told_story, "taken request asked:1 left ");
	assert_int_equal(known, 0);
}

static void a_record_of_which_an_observer_missed_the_beginning_has_nothing_of_it(void **state)
{
	(void)state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	take(s, 0, "event key1 1");
	pipeline_observe(s->pipeline, &(struct observe){.hooked = see_hooked});
	told_story[0] = '\0';
	answer(0, false);
	pipeline_observe(s->pipeline, NULL);
	turn_once(s);
	settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_string_equal(told_story, "transform ");
	drop_curtain(s);
}

/* ---- states that are given up ---- */

static char fresh_states[16];
static size_t renewed;
static bool no_fresh;

static struct script *renew_state(void *context)
{
	(void)context;
	return no_fresh ? NULL : (struct script *)&fresh_states[renewed++];
}

static struct stage *raise_curtain_with_renewal(void)
{
	renewed = handed_over = 0;
	memset(fake_states, 0, sizeof fake_states);
	renewal = renew_state;
	struct stage *s = raise_curtain(100, PIPELINE_ORDER_KEY);
	renewal = NULL;
	return s;
}

/* A hook was stopped, and selftest failed. */
static void spoil(struct stage *s)
{
	fake_doubt = fake_unsound = true;
	turn_once(s);
	fake_unsound = false;
}

static const void *state_of_lookup(size_t i)
{
	return asked[i]->script;
}

static void while_a_state_is_in_doubt_no_record_begins_on_it(void **state)
{
	(void)state;
	struct stage *s = raise_curtain_with_renewal();
	take(s, 0, "event key1 1");
	fake_doubt = true;
	assert_false(take(s, 0, "event key1 2"));
	int64_t next = turn_once(s);
	assert_int_equal(next, s->now); /* whoever waits outside may look again */
	assert_true(take(s, 0, "event key1 2"));
	assert_int_equal(renewed, 0);
	assert_ptr_equal(state_of_lookup(0), state_of_lookup(1));
	drop_curtain(s);
}

static void new_records_begin_on_a_fresh_state_and_those_in_flight_finish_where_they_began(void **state)
{
	(void)state;
	struct stage *s = raise_curtain_with_renewal();
	take(s, 0, "event key1 1");
	spoil(s);
	take(s, 0, "event key1 2");
	assert_ptr_equal(state_of_lookup(0), &s->source);
	assert_ptr_equal(state_of_lookup(1), &fresh_states[0]);
	assert_int_equal(pipeline_scripts(s->pipeline), 2);
	answer(0, false);
	assert_int_equal(pipeline_scripts(s->pipeline), 1);
	assert_int_equal(handed_over, 0);
	drop_curtain(s);
}

static void a_script_that_does_not_load_any_more_goes_on_where_it_is(void **state)
{
	(void)state;
	struct stage *s = raise_curtain_with_renewal();
	no_fresh = true;
	spoil(s);
	no_fresh = false;
	assert_true(take(s, 0, "event key1 1"));
	assert_ptr_equal(state_of_lookup(0), &s->source);
	spoil(s);
	assert_int_equal(renewed, 0); /* not tried again right away */
	s->now += 10000;
	spoil(s);
	assert_int_equal(renewed, 1);
	drop_curtain(s);
}

/* With a record on each of four states. */
static void fill_states(struct stage *s, const char *first)
{
	take(s, 0, first);
	for (int i = 1; i < PIPELINE_SCRIPTS; i++) {
		spoil(s);
		take(s, 0, "event key2 9");
	}
	assert_int_equal(pipeline_scripts(s->pipeline), PIPELINE_SCRIPTS);
}

static void end_with_outputs(struct stage *s, size_t count)
{
	while (asked_count)
		answer(0, false);
	turn_once(s);
	while (s->sinks[0]->held_count)
		settle_first(s->sinks[0], OUTPUT_ACKED);
	turn_once(s);
	assert_int_equal(s->sinks[0]->stored_count, count);
	assert_accounts(s);
	drop_curtain(s);
}

static void for_a_fifth_state_the_records_of_the_oldest_begin_again_with_their_answers(void **state)
{
	(void)state;
	struct stage *s = raise_curtain_with_renewal();
	fill_states(s, "pair key1 1");
	struct lookup *answered = asked[0], *in_the_air = asked[1];
	answered->part = 7;
	answer(0, false);
	size_t before = asked_count;
	spoil(s);
	assert_int_equal(pipeline_scripts(s->pipeline), PIPELINE_SCRIPTS);
	assert_int_equal(asked_count, before); /* nobody was asked again */
	assert_int_equal(handed_over, 1);
	assert_ptr_equal(in_the_air->script, &fresh_states[PIPELINE_SCRIPTS - 1]);
	assert_ptr_equal(answered->script, in_the_air->script);
	assert_int_equal(answered->part, 1); /* of the fresh state */
	end_with_outputs(s, PIPELINE_SCRIPTS);
}

static void an_answer_that_cannot_be_carried_is_asked_for_again(void **state)
{
	(void)state;
	struct stage *s = raise_curtain_with_renewal();
	fill_states(s, "pair key1 1");
	asked[0]->part = 7;
	answer(0, false);
	size_t before = asked_count;
	fake_no_form = true;
	spoil(s);
	fake_no_form = false;
	assert_int_equal(asked_count, before + 1);
	end_with_outputs(s, PIPELINE_SCRIPTS);
}

static void who_asks_otherwise_the_second_time_keeps_what_still_fits(void **state)
{
	(void)state;
	struct stage *s = raise_curtain_with_renewal();
	asked_path = "/before";
	fill_states(s, "pair key1 1");
	asked[1]->part = 7;
	answer(1, false);
	size_t before = asked_count;
	asked_path = "/after";
	spoil(s);
	asked_path = NULL;
	assert_int_equal(asked_count, before); /* one was taken back, its like asked in its place */
	assert_string_equal(asked[asked_count - 1]->request.path, "/after");
	end_with_outputs(s, PIPELINE_SCRIPTS);
}

static void a_hook_that_waits_has_used_its_answers_up_and_asks_anew(void **state)
{
	(void)state;
	struct stage *s = raise_curtain_with_renewal();
	take(s, 0, "fetch key1 1");
	answer(0, false); /* it fetches now */
	for (int i = 1; i < PIPELINE_SCRIPTS; i++) {
		spoil(s);
		take(s, 0, "event key2 9");
	}
	size_t before = asked_count;
	spoil(s);
	assert_int_equal(asked_count, before);
	assert_ptr_equal(state_of_lookup(asked_count - 1), &fresh_states[PIPELINE_SCRIPTS - 1]);
	end_with_outputs(s, PIPELINE_SCRIPTS);
}

static void what_begins_again_may_come_to_something_else(void **state)
{
	(void)state;
	struct stage *s = raise_curtain_with_renewal();
	fill_states(s, "pair key1 1");
	size_t before = asked_count;
	changed_mind = true;
	spoil(s);
	changed_mind = false;
	assert_int_equal(asked_count, before - 2);
	end_with_outputs(s, PIPELINE_SCRIPTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(outputs_of_one_key_leave_in_the_order_of_their_inputs),
	        cmocka_unit_test(what_was_not_delivered_is_sent_again_with_its_lane_behind_it),
	        cmocka_unit_test(a_sink_with_little_room_delays_and_loses_nothing),
	        cmocka_unit_test(an_acknowledged_record_waits_for_its_elder_to_settle),
	        cmocka_unit_test(each_topic_keeps_its_order_whatever_the_other_suffers),
	        cmocka_unit_test(what_failed_is_sent_again_while_another_topic_is_away),
	        cmocka_unit_test(a_topic_without_room_stands_only_in_the_way_of_its_own_lanes),
	        cmocka_unit_test(a_sink_that_says_nothing_for_long_closes_the_door_and_pauses),
	        cmocka_unit_test(a_failed_delivery_closes_the_door_until_it_is_sent_again),
	        cmocka_unit_test(the_door_closes_at_the_limit_of_records),
	        cmocka_unit_test(the_limit_of_records_counts_from_the_oldest_open_one),
	        cmocka_unit_test(an_open_breaker_closes_the_door_and_the_time_is_told),
	        cmocka_unit_test(a_stop_does_not_wait_for_an_upstream_in_trouble),
	        cmocka_unit_test(whoever_holds_up_half_of_the_limit_is_looked_for),
	        cmocka_unit_test(for_want_of_memory_the_older_half_is_looked_at_once_each_time),
	        cmocka_unit_test(the_door_closes_before_the_lua_heap_is_half_full),
	        cmocka_unit_test(the_oldest_record_is_asked_about_whatever_is_held),
	        cmocka_unit_test(as_much_is_asked_at_once_as_there_is_room_for_the_answers),
	        cmocka_unit_test(every_verdict_ends_in_its_outcome),
	        cmocka_unit_test(a_diff_is_waited_for_without_holding_others_up),
	        cmocka_unit_test(a_record_may_be_given_back_while_its_diff_is_made),
	        cmocka_unit_test(a_diff_begins_when_there_is_memory_for_it),
	        cmocka_unit_test(each_outcome_is_told_once_with_the_script_it_is_of),
	        cmocka_unit_test(a_refused_lookup_fails_only_its_own_record),
	        cmocka_unit_test(an_output_that_no_broker_takes_becomes_an_error_event),
	        cmocka_unit_test(an_error_event_in_place_of_a_refused_output_leaves_without_delay),
	        cmocka_unit_test(a_refused_error_event_waits_and_is_never_dropped),
	        cmocka_unit_test(an_error_event_too_large_for_its_broker_is_cut_until_it_fits),
	        cmocka_unit_test(a_script_that_says_retry_starts_again_until_the_deadline),
	        cmocka_unit_test(a_deadline_does_not_run_while_a_host_is_paused),
	        cmocka_unit_test(a_script_that_asks_nobody_may_not_retry_for_ever_either),
	        cmocka_unit_test(a_lost_partition_gives_its_records_back_and_the_others_go_on),
	        cmocka_unit_test(a_drain_cut_short_gives_back_what_was_not_sent_and_lets_the_rest_end),
	        cmocka_unit_test(a_drain_gives_back_what_waits_with_its_followers_and_ends_the_rest),
	        cmocka_unit_test(order_none_lets_answers_leave_as_they_come),
	        cmocka_unit_test(order_partition_keeps_the_whole_partition_in_order),
	        cmocka_unit_test(whoever_asks_is_told_of_each_failure_with_its_reason),
	        cmocka_unit_test(every_output_says_where_it_came_from_and_has_its_lanes_key),
	        cmocka_unit_test(room_made_by_a_turn_is_used_at_once),
	        cmocka_unit_test(a_full_house_does_not_keep_the_loop_turning),
	        cmocka_unit_test(waiting_for_the_producers_to_be_empty_is_not_a_busy_loop),
	        cmocka_unit_test(a_refused_lookup_takes_back_one_that_is_final_too),
	        cmocka_unit_test(times_are_those_of_what_happens_not_of_the_turn_before),
	        cmocka_unit_test(a_record_waits_for_its_schema_and_its_lane_behind_it),
	        cmocka_unit_test(a_repository_that_is_away_closes_the_door_and_no_deadline_runs),
	        cmocka_unit_test(a_stop_gives_back_what_waits_for_a_schema),
	        cmocka_unit_test(what_is_not_what_its_schema_says_becomes_an_error_event),
	        cmocka_unit_test(an_observer_is_told_of_each_stage_of_a_record),
	        cmocka_unit_test(a_record_of_which_an_observer_missed_the_beginning_has_nothing_of_it),
	        cmocka_unit_test(while_a_state_is_in_doubt_no_record_begins_on_it),
	        cmocka_unit_test(
	                new_records_begin_on_a_fresh_state_and_those_in_flight_finish_where_they_began),
	        cmocka_unit_test(a_script_that_does_not_load_any_more_goes_on_where_it_is),
	        cmocka_unit_test(for_a_fifth_state_the_records_of_the_oldest_begin_again_with_their_answers),
	        cmocka_unit_test(an_answer_that_cannot_be_carried_is_asked_for_again),
	        cmocka_unit_test(who_asks_otherwise_the_second_time_keeps_what_still_fits),
	        cmocka_unit_test(a_hook_that_waits_has_used_its_answers_up_and_asks_anew),
	        cmocka_unit_test(what_begins_again_may_come_to_something_else),
	};
	srand(unit_seed());
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
