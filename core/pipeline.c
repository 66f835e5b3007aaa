/* The walk of every record, from the door to its end.
 *
 * librdkafka ~~> source_pump          only while the door has room
 *                pipeline_take        copy key, value, headers; take a ticket                     TAKEN
 *                decode               bytes -> Lua; enter the lane                                DECODED
 *                input_judged         is it what its schema says? waits for schemas
 *                request              hook: ask | pass | drop | fail                              ASKING
 *                dispatch_submit      limit, send; retry, back off
 * libcurl   ~~>  dispatch_done        the answer, or the final refusal                            ANSWERED
 *                transform            hook: output | pass | drop | retry | fail | wait            MADE
 *     thread ~~> diff_done            ... | wait for a diff that another thread makes
 *                outputs_judged       are they what their schemas say? wait for schemas
 *                lanes_made           when every earlier record of its lane has left              RELEASED
 *                send                 all outputs, or one error event                             SENDING
 * librdkafka ~~> sink_settled         delivery reports: acknowledged, or back to MADE
 *                lanes_acked          when its lane's elders have settled too                     SETTLED
 *                settle               the safe offset may move, credit is returned, the record freed
 *
 * `~~>` marks where the loop runs in between. walk() below tells the same story; `suspend` marks each place
 * where a record can wait. Callbacks only store what came and call walk() again. */
#include "pipeline.h"
#include "carry.h"
#include "clock.h"
#include "delivery.h"
#include "failure.h"
#include "fault.h"
#include "gate.h"
#include "hookpage.h"
#include "http.h"
#include "log.h"
#include "mem.h"
#include "random.h"
#include "resident.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define suspend return

enum {
	REST_MIN_MS = 50,
	RENEW_MS = 10000, /* between two tries to load a script that is loaded already */
	SINK_COPIES = 2,  /* of what a sink holds: librdkafka's, and the same compressed on its way */
};

enum { STAGE_SOURCE, STAGE_REQUEST, STAGE_HTTP, STAGE_TRANSFORM, STAGE_SINK, STAGES };

/* Counted in seconds; what it was doing when the last turn ended goes on until the next. */
struct busy_stage {
	double *busy_seconds, *blocked_seconds; /* NULL: not counted */
	double busy;                            /* share */
	bool blocked;
};

struct pipeline {
	struct pipeline_config config;
	struct failure_config failure;
	struct records records;
	struct lanes *lanes;
	struct dispatch *dispatch;
	struct gate gate;
	struct delivery delivery;
	struct script *scripts[PIPELINE_SCRIPTS]; /* the first is the one that new records begin on */
	size_t script_count;
	uint64_t script_number;   /* of the first */
	struct script_usage gone; /* of states that are gone: what counters must not forget */
	struct source *source;
	struct ledger *ledger;
	struct resident resident;
	int64_t now, wall; /* of what happens now, and of the turn */
	int64_t turned;    /* when the last turn began */
	int64_t wake;      /* earliest due of a resting record, INT64_MAX = none */
	int64_t renew_at;  /* not before */
	bool draining;
	bool held;        /* an operator wants intake to stand still */
	bool turned_away; /* the source found no room since the last turn that made some */
	bool schemas_changed;
	size_t schemas_away; /* records that wait for a schema whose repository does not answer */
	bool replaced;       /* an error event took a refused output's place: it is to be sent */
	struct pipeline_counts counts;
	struct metrics *metrics;
	double *taken_bytes, *ended[OUTCOMES];
	struct busy_stage stages[STAGES];
	struct histogram *processing[OUTCOMES], *age, *hook_request, *hook_transform;
};

static void walk(struct pipeline *p, struct record *r);
static bool settle_all(struct pipeline *p);

/* The loop may have slept since the last turn. */
static void look_at_clock(struct pipeline *p)
{
	if (p->config.clock)
		p->now = p->config.clock();
}

/* ---- told to an observer ---- */

/* `observe(p, ended, r)`: where somebody watches and cares. */
#define observe(p, what, ...)                                                                                \
	do {                                                                                                 \
		const struct observe *observer = (p)->config.observe;                                        \
		if (observer && observer->what)                                                              \
			observer->what(observer->context, __VA_ARGS__);                                      \
	} while (0)

static void call_came(void *context, const struct call *call)
{
	struct pipeline *p = context;
	observe(p, came, call);
}

static void asked_again(
        void *context, const struct lookup *lookup, const char *reason, int64_t wait_ms, bool counts)
{
	struct pipeline *p = context;
	observe(p, again, lookup,
	        &(struct observe_again){.reason = reason, .wait_ms = wait_ms, .counts = counts});
}

void pipeline_observe(struct pipeline *p, const struct observe *observe)
{
	p->config.observe = observe;
}

/* ---- told to whoever comes after a death in a hook ---- */

static struct hookpage_record coordinates(const struct record *r)
{
	return (struct hookpage_record){r->input.topic, r->input.partition, r->input.offset};
}

static void enter_hook(const struct pipeline *p, const char *hook, const struct record *r)
{
	struct hookpage_record record = coordinates(r);
	hookpage_enter(p->config.hookpage, hook, &record);
}

static void leave_hook(const struct pipeline *p)
{
	hookpage_leave(p->config.hookpage);
}

static unsigned deaths_in(const struct pipeline *p, const struct record *r, const char **hook)
{
	struct hookpage_record record = coordinates(r);
	return hookpage_deaths(p->config.hookpage, &record, hook);
}

/* ---- making: outcomes, outputs, error events ---- */

static void forget_calls(struct pipeline *p, struct record *r)
{
	for (size_t i = 0; i < r->lookup_count; i++)
		dispatch_cancel(p->dispatch, &r->lookups[i]);
	if (r->diff.state != DIFF_IDLE)
		differ_cancel(p->config.differ, &r->diff);
	record_forget_lookups(&p->records, r);
}

/* It began again, and came to something else than to ask. */
static void forget_carried(struct pipeline *p, struct record *r)
{
	if (r->carries)
		forget_calls(p, r);
	r->carries = false;
}

static void made(struct pipeline *p, struct record *r, enum outcome outcome)
{
	size_t bytes = 0;
	for (size_t i = 0; i < r->output_count; i++) {
		r->outputs[i].record = r;
		bytes += sizeof r->outputs[i] + output_bytes(&r->outputs[i]);
	}
	record_charge(&p->records, r, LEDGER_OUTPUT, bytes);
	r->outcome = outcome;
	forget_carried(p, r);
	record_forget_lookups(&p->records, r);
	script_let_go(&r->event); /* the texts stay, for an error event that may come yet */
	if (r->state != RECORD_MADE)
		record_move(&p->records, r, RECORD_MADE);
	observe(p, made, r);
}

static void name_source(const struct record *r, struct output *output, size_t n)
{
	char text[300];
	int size = snprintf(text, sizeof text, "%s/%d/%lld/%zu", r->input.topic, (int)r->input.partition,
	        (long long)r->input.offset, n);
	output_set_header(output, "millrace-source", text, (size_t)size);
}

static void reject(
        struct pipeline *p, struct record *r, const char *type, const char *message, const char *stack)
{
	char *reason = mem_strdup(type), *words = mem_strdup(message ? message : type);
	record_forget_outputs(&p->records, r);
	r->outputs = mem_zalloc(1, sizeof *r->outputs);
	r->output_count = 1;
	failure_make(&p->failure, &r->input, &r->event, reason, words, stack, p->wall, &r->outputs[0]);
	name_source(r, &r->outputs[0], 0);
	bool again = r->message != NULL;
	r->unchecked = false;
	mem_free(r->reason);
	mem_free(r->message);
	r->reason = reason;
	r->message = words;
	r->outcome = OUTCOME_FAILED;
	if (p->config.ended && !again)
		p->config.ended(p->config.ended_context, r, words);
	made(p, r, OUTCOME_FAILED);
}

static void reject_by(struct pipeline *p, struct record *r, const struct script_result *result)
{
	reject(p, r, result->type, result->message, result->stack);
}

/* The key of an output: the script's or the sink's own, else the lane's, else the input's. */
static void choose_key(struct record *r, struct output *output)
{
	if (output->has_key)
		return;
	mem_free(output->key);
	bool of_lane = r->event.lane_key != NULL;
	output->key = of_lane ? mem_dup(r->event.lane_key, r->event.lane_key_size)
	                      : mem_dup(r->key, r->input.key.size);
	output->key_size = of_lane ? r->event.lane_key_size : r->input.key.size;
}

/* Takes the outputs. All of them are checked before the first is sent: all of them, or one error event. */
static void publish(
        struct pipeline *p, struct record *r, struct output *outputs, size_t count, enum outcome outcome)
{
	r->outputs = outputs;
	r->output_count = count;
	for (size_t i = 0; i < count; i++) {
		struct output *output = &outputs[i];
		const struct sink_config *sink = &p->config.sinks[output->sink];
		choose_key(r, output);
		name_source(r, output, i);
		if (r->event.script)
			script_finish_output(&r->event, output, i, &r->input);
		if (output_bytes(output) > sink->max_bytes) {
			char message[400];
			snprintf(message, sizeof message,
			        "output %zu has %zu bytes with key and headers, sink %.64s (topic %.128s) "
			        "takes %zu "
			        "at most (max_bytes)",
			        i + 1, output_bytes(output), sink->name, sink->topic, sink->max_bytes);
			reject(p, r, "OutputTooLarge", message, NULL);
			return;
		}
	}
	r->unchecked = p->config.conform != NULL;
	made(p, r, outcome);
}

static void pass(struct pipeline *p, struct record *r)
{
	struct script_result failure = {0};
	struct output *output = mem_zalloc(1, sizeof *output);
	enter_hook(p, "pass", r);
	bool good = r->event.script == NULL || script_pass(&r->event, output, &failure);
	leave_hook(p);
	if (!good) {
		mem_free(output);
		reject_by(p, r, &failure);
		script_result_free(&failure);
		return;
	}
	if (r->event.script == NULL) { /* a tombstone was never decoded */
		output->headers = output_headers_copy(r->headers, r->input.header_count);
		output->header_count = r->input.header_count;
		output->timestamp = r->input.timestamp;
	}
	publish(p, r, output, 1, OUTCOME_PASSED);
}

static void drop(struct pipeline *p, struct record *r, const char *reason)
{
	mem_free(r->reason);
	r->reason = mem_strdup(reason);
	made(p, r, OUTCOME_DROPPED);
}

/* ---- asking ---- */

/* What nobody charges: the heaps of the Lua states, and what the sinks hold. */
static void look_at_holders(const struct pipeline *p)
{
	size_t lua = 0;
	for (size_t i = 0; i < p->script_count; i++)
		lua += script_usage(p->scripts[i]).memory;
	ledger_set(p->ledger, LEDGER_LUA, lua);
	ledger_set(p->ledger, LEDGER_SINK, SINK_COPIES * delivery_held_bytes(&p->delivery));
}

static bool gate_has_room(void *context, struct lookup *lookup)
{
	struct pipeline *p = context;
	look_at_holders(p);
	return gate_admit(&p->gate, lookup);
}

static bool answer_may_grow(void *context, struct call *call, size_t size, size_t announced)
{
	struct pipeline *p = context;
	return gate_grow(&p->gate, call, size, announced);
}

static void answer_yields(void *context, struct lookup *lookup)
{
	struct pipeline *p = context;
	gate_yield(&p->gate, lookup);
}

/* What it had asked on another state is not asked again. */
static void ask_on(struct pipeline *p, struct record *r, struct script_result *result)
{
	r->carries = false;
	record_move(&p->records, r, RECORD_ASKING);
	for (size_t i = 0; i < result->request_count; i++)
		trace_pass(r->headers, r->input.header_count, &result->requests[i]);
	size_t bytes = carry_in(r, result->requests, result->request_count, p->dispatch, p->now);
	if (bytes == 0)
		return;
	record_promise(&p->records, r, 0);
	record_charge(&p->records, r, LEDGER_ANSWER, bytes);
}

/* Takes the requests out of a hook's result and submits them as lookups. */
static void ask(struct pipeline *p, struct record *r, struct script_result *result)
{
	size_t bytes = result->request_count * sizeof *r->lookups;
	if (r->carries) {
		ask_on(p, r, result);
		return;
	}
	record_forget_lookups(&p->records, r);
	r->lookups = mem_zalloc(result->request_count, sizeof *r->lookups);
	r->lookup_count = r->lookups_open = result->request_count;
	record_move(&p->records, r, RECORD_ASKING);
	for (size_t i = 0; i < r->lookup_count; i++) {
		struct lookup *lookup = &r->lookups[i];
		lookup->request = result->requests[i];
		result->requests[i] = (struct request){0};
		trace_pass(r->headers, r->input.header_count, &lookup->request);
		lookup->record = r;
		lookup->suspect = r->suspect;
		lookup->script = r->event.script;
		lookup->part = -2;
		lookup->age = r->age;
		bytes += request_bytes(&lookup->request);
		dispatch_submit(p->dispatch, lookup, p->now);
	}
	record_charge(&p->records, r, LEDGER_ANSWER, bytes);
	observe(p, asked, r);
}

/* Whether all that a script will see of an answer is in its state: `body` is for what is no JSON. */
static bool is_decoded(const struct request *asked, const int *parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (parts[i] < 0 && asked->split == NULL)
			return false;
	return true;
}

/* All of them: when the answer is at fault nobody knows whose part of it. */
static void enter_split(const struct pipeline *p, const struct call *call)
{
	const struct lookup *first = container_of(list_first(&call->lookups), struct lookup, node);
	enter_hook(p, "split", first->record);
	list_each (&call->lookups, node, after) {
		struct hookpage_record record = coordinates(container_of(node, struct lookup, node)->record);
		hookpage_add(p->config.hookpage, &record);
	}
}

/* What an answered call means: parsed and split on the state of the records that asked. */
static enum answer answer_of_call(void *context, struct call *call, struct answer_detail *detail)
{
	const struct pipeline *p = context;
	struct lookup *first = container_of(list_first(&call->lookups), struct lookup, node);
	struct request asked = first->request; /* a view: frees nothing */
	struct response response = {
	        .status = call->transfer.status,
	        .attempts = first->calls,
	        .headers = call->transfer.answer_headers,
	        .header_count = call->transfer.answer_header_count,
	        .body = call->transfer.answer.data,
	        .body_size = call->transfer.answer.size,
	};
	bool success = response.status >= 200 && response.status < 300;
	if (asked.expect != EXPECT_JSON)
		return ANSWER_OK;
	if (!success)
		asked.split = NULL;
	const char **values = mem_zalloc(call->lookup_count, sizeof *values);
	int *parts = mem_zalloc(call->lookup_count, sizeof *parts);
	struct script_result result = {0};
	size_t n = 0;
	list_each (&call->lookups, node, after)
		values[n++] = container_of(node, struct lookup, node)->request.merge_value;
	enter_split(p, call);
	enum script_answer answer =
	        script_answer(first->script, &asked, &response, values, n, parts, &result);
	leave_hook(p);
	n = 0;
	if (answer == SCRIPT_ANSWER_OK)
		list_each (&call->lookups, node, after)
			container_of(node, struct lookup, node)->part = parts[n++];
	if (answer == SCRIPT_ANSWER_UNPARSABLE && !success)
		answer = SCRIPT_ANSWER_OK; /* an accepted refusal need not speak JSON */
	detail->after = result.after;
	detail->host_scope = result.host_scope;
	snprintf(detail->reason, sizeof detail->reason, "%s", result.type ? result.type : "");
	snprintf(detail->message, sizeof detail->message, "%s", result.message ? result.message : "");
	script_result_free(&result);
	if (answer == SCRIPT_ANSWER_OK && is_decoded(&asked, parts, n))
		buf_free(&call->transfer.answer);
	mem_free(values);
	mem_free(parts);
	static const enum answer answers[] = {
	        [SCRIPT_ANSWER_OK] = ANSWER_OK,
	        [SCRIPT_ANSWER_UNPARSABLE] = ANSWER_UNPARSABLE,
	        [SCRIPT_ANSWER_RETRY] = ANSWER_RETRY,
	        [SCRIPT_ANSWER_FAIL] = ANSWER_FAIL,
	};
	return answers[answer];
}

static void dispatch_done(void *context, struct lookup *lookup)
{
	struct pipeline *p = context;
	struct record *r = lookup->record;
	look_at_clock(p);
	r->lookups_open--;
	gate_settle(&p->gate, lookup);
	observe(p, answered, lookup);
	if (lookup->response.error_type && !lookup->request.optional) {
		char *type = lookup->response.error_type, *message = lookup->response.error_message;
		lookup->response.error_type = lookup->response.error_message = NULL;
		forget_calls(p, r);
		reject(p, r, type, message, NULL);
		mem_free(type);
		mem_free(message);
	}
	walk(p, r);
}

/* ---- diffs ---- */

/* The answers are in Lua; the requests stay for a retry. */
static void compare(struct pipeline *p, struct record *r, const struct textdiff *question)
{
	record_forget_answers(&p->records, r);
	r->diff = (struct diff_task){.question = *question, .age = r->age};
	r->diffed = true;
	record_move(&p->records, r, RECORD_ASKING);
	differ_submit(p->config.differ, &r->diff);
}

static bool diff_has_room(void *context, struct diff_task *task, size_t bytes)
{
	struct pipeline *p = context;
	struct record *r = container_of(task, struct record, diff);
	look_at_holders(p);
	if (bytes > ledger_room(p->ledger) && !records_oldest(&p->records, r)) {
		p->gate.closed = true;
		return false;
	}
	record_charge_lookups(&p->records, r, bytes);
	return true;
}

static void diff_done(void *context, struct diff_task *task)
{
	struct pipeline *p = context;
	struct record *r = container_of(task, struct record, diff);
	look_at_clock(p);
	record_charge_lookups(&p->records, r, task->text.size);
	walk(p, r);
}

static void resume_diff(struct record *r, struct script_result *result)
{
	struct bytes text = {r->diff.text.data, r->diff.text.size};
	r->diffed = false;
	script_resume_diff(&r->event, r->diff.outcome, &text, result);
	buf_free(&r->diff.text);
}

/* ---- again ---- */

/* The record starts again from its bytes; bounded by the upstream's retry.deadline. */
static void rest(struct pipeline *p, struct record *r, const struct script_result *result)
{
	const struct request *asked = r->lookup_count ? &r->lookups[0].request : NULL;
	const struct upstream_config *upstream =
	        p->config.upstream_count ? &p->config.upstreams[asked ? asked->upstream : 0] : NULL;
	int64_t deadline = upstream ? upstream->retry.deadline_ms : p->config.retry_deadline_ms;
	int64_t wait = (int64_t)(result->after * 1000);
	if (wait < REST_MIN_MS)
		wait = REST_MIN_MS;
	if (asked && result->host_scope)
		dispatch_pause_host(
		        p->dispatch, asked->upstream, asked->host, p->now + wait, p->now, result->type);
	if (asked && result->host_scope) /* a pause like those that dispatch knows of */
		r->paused_ms += wait < DISPATCH_PAUSE_MAX_MS ? wait : DISPATCH_PAUSE_MAX_MS;
	if (deadline > 0 && p->now + wait - r->taken - r->paused_ms > deadline) {
		char message[200];
		snprintf(message, sizeof message,
		        "the script still asked to retry (%.64s) after %lld s and %u attempts "
		        "(retry.deadline)",
		        result->type, (long long)((p->now - r->taken) / 1000), r->attempt);
		reject(p, r, "RetryDeadline", message, NULL);
		return;
	}
	if (upstream)
		*metrics_value(p->metrics, METRIC_HTTP_RETRIES, upstream->name, result->type) += 1;
	r->due = p->now + wait;
	if (r->due < p->wake)
		p->wake = r->due;
	record_forget_lookups(&p->records, r);
	script_forget(&r->event);
	record_move(&p->records, r, RECORD_RESTING);
}

/* ---- schemas ---- */

/* The time for which it waits counts for no deadline. */
static void wait_for_schema(struct pipeline *p, struct record *r, enum record_schemas what)
{
	p->schemas_away += (what == RECORD_SCHEMAS_AWAY) - (size_t)(r->schemas == RECORD_SCHEMAS_AWAY);
	if (r->schemas == RECORD_SCHEMAS_THERE)
		r->schemas_since = p->now;
	else if (what == RECORD_SCHEMAS_THERE)
		r->paused_ms += p->now - r->schemas_since;
	r->schemas = what;
}

/* True when the record goes on: as it is, or as an error event. */
static bool judged(
        struct pipeline *p, struct record *r, enum conform_verdict verdict, struct conform_failure *failure)
{
	if (verdict == CONFORM_LOADING || verdict == CONFORM_AWAY) {
		wait_for_schema(p, r, verdict == CONFORM_AWAY ? RECORD_SCHEMAS_AWAY : RECORD_SCHEMAS_LOADING);
		return false;
	}
	wait_for_schema(p, r, RECORD_SCHEMAS_THERE);
	if (verdict == CONFORM_BAD) {
		reject(p, r, failure->type, failure->message.data, NULL);
		buf_free(&failure->message);
	}
	return true;
}

static bool input_judged(struct pipeline *p, struct record *r)
{
	struct conform_failure failure;
	return judged(p, r, conform_input(p->config.conform, r, p->now, &failure), &failure);
}

static bool outputs_judged(struct pipeline *p, struct record *r)
{
	struct conform_failure failure;
	enum conform_verdict verdict = CONFORM_GOOD;
	if (!r->unchecked)
		return true;
	if (r->outcome != OUTCOME_DROPPED)
		verdict = conform_outputs(p->config.conform, r, p->now, &failure);
	if (!judged(p, r, verdict, &failure))
		return false;
	r->unchecked = false;
	return true;
}

/* ---- the steps of the walk, in time order ---- */

static void enter_lane(struct pipeline *p, struct record *r)
{
	const char *key = NULL;
	size_t size = 0;
	if (r->place.state != PLACE_NONE)
		return;
	if (p->config.order == PIPELINE_ORDER_PARTITION) {
		key = "";
	} else if (p->config.order == PIPELINE_ORDER_KEY) {
		/* A tombstone stands in its key's lane where the source is keyed as the lanes are. */
		bool own = !p->config.key_from_event || r->input.value.data == NULL;
		key = own ? r->key : r->event.lane_key;
		size = own ? r->input.key.size : r->event.lane_key_size;
	}
	lanes_enter(p->lanes, &r->place, r->partition, key, size);
}

/* What has killed process after process is not tried again. */
static bool refuse_killer(struct pipeline *p, struct record *r)
{
	const char *hook = "";
	unsigned deaths = deaths_in(p, r, &hook);
	r->suspect = deaths > 0;
	if (deaths < HOOKPAGE_DEATHS)
		return false;
	enter_lane(p, r);
	char *why = mem_printf("the process died %u times while %s worked on this record, which is not run "
	                       "again: a crash, memory that ran out, or code that no budget stops",
	        deaths, hook);
	reject(p, r, "ScriptCrash", why, NULL);
	mem_free(why);
	return true;
}

static void decode(struct pipeline *p, struct record *r)
{
	struct script_result failure = {0};
	r->attempt++;
	r->began_on = 0;
	if (r->input.value.data == NULL) {
		enter_lane(p, r);
		pass(p, r);
		return;
	}
	if (refuse_killer(p, r))
		return;
	r->began_on = p->script_number;
	enter_hook(p, "decoding", r);
	bool decoded = script_decode(&r->event, p->scripts[0], &r->input, &failure);
	leave_hook(p);
	enter_lane(p, r);
	if (decoded) {
		record_move(&p->records, r, RECORD_DECODED);
	} else {
		reject_by(p, r, &failure);
		script_result_free(&failure);
	}
}

static void request(struct pipeline *p, struct record *r)
{
	struct script_result result = {0};
	double before = script_usage(r->event.script).cpu_seconds;
	enter_hook(p, "request", r);
	script_request(&r->event, r->attempt, &result);
	leave_hook(p);
	struct observe_hook hook = {"request", script_usage(r->event.script).cpu_seconds - before, &result};
	metrics_observe(p->hook_request, hook.cpu_seconds);
	*p->stages[STAGE_REQUEST].busy_seconds += hook.cpu_seconds;
	observe(p, hooked, r, &hook);
	switch (result.verdict) {
	case VERDICT_ASK: ask(p, r, &result); break;
	case VERDICT_PASS: pass(p, r); break;
	case VERDICT_DROP: drop(p, r, result.type); break;
	default: reject_by(p, r, &result); break;
	}
	script_result_free(&result);
}

/* Its lookups waited side by side: what the longest stood still, the record did. */
static void count_pauses(struct record *r)
{
	int64_t longest = 0;
	for (size_t i = 0; i < r->lookup_count; i++) {
		if (r->lookups[i].paused_ms > longest)
			longest = r->lookups[i].paused_ms;
		r->lookups[i].paused_ms = 0;
	}
	r->paused_ms += longest;
}

static void transform(struct pipeline *p, struct record *r)
{
	count_pauses(r);
	struct script_result result = {0};
	struct script_answer_part *answers = mem_zalloc(r->lookup_count, sizeof *answers);
	for (size_t i = 0; i < r->lookup_count; i++) {
		struct lookup *lookup = &r->lookups[i];
		answers[i] = (struct script_answer_part){&lookup->response, &lookup->request, lookup->part};
		lookup->part = -2;
	}
	double before = script_usage(r->event.script).cpu_seconds;
	enter_hook(p, "transform", r);
	if (r->diffed)
		resume_diff(r, &result);
	else if (r->hook_waits)
		script_resume(&r->event, answers, r->lookup_count, &result);
	else
		script_transform(&r->event, answers, r->lookup_count, &result);
	leave_hook(p);
	struct observe_hook hook = {"transform", script_usage(r->event.script).cpu_seconds - before, &result};
	metrics_observe(p->hook_transform, hook.cpu_seconds);
	*p->stages[STAGE_TRANSFORM].busy_seconds += hook.cpu_seconds;
	observe(p, hooked, r, &hook);
	mem_free(answers);
	r->hook_waits = result.verdict == VERDICT_WAIT;
	switch (result.verdict) {
	case VERDICT_WAIT:
		if (result.diff.from.data)
			compare(p, r, &result.diff);
		else
			ask(p, r, &result);
		break;
	case VERDICT_PASS: pass(p, r); break;
	case VERDICT_DROP: drop(p, r, result.type); break;
	case VERDICT_RETRY: rest(p, r, &result); break;
	case VERDICT_OUTPUT: {
		struct output *outputs = result.outputs;
		size_t count = result.output_count;
		result.outputs = NULL;
		result.output_count = 0;
		publish(p, r, outputs, count, OUTCOME_ENRICHED);
		break;
	}
	default: reject_by(p, r, &result); break;
	}
	script_result_free(&result);
}

/* A broker may take less than `max_bytes` says: half of what it refused is tried next. */
static void shrink_error(struct pipeline *p, struct record *r)
{
	size_t before = p->failure.max_bytes;
	p->failure.max_bytes = output_bytes(&r->outputs[0]) / 2;
	reject(p, r, r->reason, r->message, NULL);
	p->failure.max_bytes = before;
}

/* An output that no broker will ever take: an error event goes in its place. */
static void replace_refused(struct pipeline *p, struct record *r)
{
	size_t index = 0;
	const struct output *output = delivery_first_refused(r, &index);
	const struct sink_config *sink = &p->config.sinks[output->sink];
	if (r->outcome == OUTCOME_FAILED) {
		shrink_error(p, r);
		return;
	}
	char *why = mem_printf("sink %s (topic %s) refused output %zu: %s", sink->name, sink->topic,
	        index + 1, output->error ? output->error : "no reason given");
	reject(p, r, "OutputRefused", why, NULL);
	mem_free(why);
}

static void settle(struct pipeline *p, struct record *r)
{
	enum outcome outcome = r->outcome;
	offsets_end(r->partition->offsets, r->ticket);
	p->counts.outcomes[outcome]++;
	*p->ended[outcome] += 1;
	if (outcome == OUTCOME_FAILED)
		*metrics_value(p->metrics, METRIC_FAILURES, r->reason) += 1;
	if (outcome == OUTCOME_DROPPED)
		*metrics_value(p->metrics, METRIC_DROPS, r->reason) += 1;
	metrics_observe(p->processing[outcome], (double)(p->now - r->taken) / 1000);
	if (r->event.dt)
		metrics_observe(p->age, (double)(p->wall - r->event.dt) / 1000);
	if (p->config.ended && outcome != OUTCOME_FAILED)
		p->config.ended(p->config.ended_context, r, NULL);
	observe(p, ended, r);
	struct hookpage_record record = coordinates(r);
	hookpage_settled(p->config.hookpage, &record);
	r->partition->records--;
	record_free(&p->records, r);
}

static void decided(struct pipeline *p, const struct record *r)
{
	bool failed = r->outcome == OUTCOME_FAILED;
	if (p->config.decided)
		p->config.decided(p->config.decided_context, r->began_on, failed ? r->reason : NULL,
		        failed ? r->message : NULL);
}

static void walk(struct pipeline *p, struct record *r)
{
	for (;;)
		switch (r->state) {
		case RECORD_TAKEN: decode(p, r); continue;
		case RECORD_DECODED:
			if (!input_judged(p, r)) {
				forget_carried(p, r);
				suspend; /* until its schema is there; go_on_with_schemas calls again */
			}
			if (r->state == RECORD_DECODED)
				request(p, r);
			continue;
		case RECORD_ASKING:
			if (r->lookups_open > 0 || r->diff.state != DIFF_IDLE)
				suspend; /* dispatch_done or diff_done calls again */
			record_move(&p->records, r, RECORD_ANSWERED);
			continue;
		case RECORD_ANSWERED: transform(p, r); continue;
		case RECORD_RESTING: suspend; /* wake_resting calls again */
		case RECORD_MADE:
			if (!outputs_judged(p, r))
				suspend;                    /* the same */
			if (r->place.state == PLACE_LEFT) { /* an error event in place of a refused output */
				p->replaced = true;
				record_move(&p->records, r, RECORD_RELEASED);
				suspend;
			}
			if (r->place.state == PLACE_OPEN) {
				decided(p, r);
				lanes_made(p->lanes, &r->place);
			}
			suspend; /* until released: by its elders, or right now; send_released goes on */
		case RECORD_RELEASED:
			look_at_clock(p);
			if (!delivery_may_leave(r) || !delivery_send(&p->delivery, r, p->now))
				suspend; /* until there is room; send_released calls again */
			continue;
		case RECORD_SENDING:
			if (r->outputs_unsettled > 0 || r->undelivered || r->place.state != PLACE_LEFT)
				suspend; /* sink_settled calls again, or it is sent again */
			if (delivery_refused(r))
				replace_refused(p, r);
			else {
				lanes_acked(p->lanes, &r->place);
				suspend; /* until its elders have settled; settle_all goes on */
			}
			continue;
		case RECORD_SETTLED: settle(p, r); return;
		default: return;
		}
}

/* ---- the door ---- */

/* Decoded events live in the state's heap: a full one would fail records that did nothing wrong, and above
 * half of it every few megabytes cost a collection of everything. */
static bool lua_has_room(const struct pipeline *p)
{
	struct script_usage usage = script_usage(p->scripts[0]);
	return usage.memory_limit == 0 || usage.memory < usage.memory_limit / 8 * 3;
}

/* A quarter is the gate's alone: records that only wait would else keep each other from being asked about. */
static bool memory_has_room(const struct pipeline *p)
{
	look_at_holders(p);
	return ledger_room(p->ledger) > p->config.limit_bytes / 4 && lua_has_room(p);
}

/* limits.records bounds what stands between the oldest open record and the newest, over all partitions: not
 * only the records that are open, but how far the safe offset of any of them can lag behind. */
static bool has_room(const struct pipeline *p)
{
	if (p->draining || p->held || !delivery_open(&p->delivery) || !dispatch_takes(p->dispatch) ||
	        p->schemas_away || hookpage_reading(p->config.hookpage) || script_doubtful(p->scripts[0]))
		return false;
	return records_open(&p->records) == 0 || (records_span(&p->records) < p->config.limit_records &&
	                                                 !p->resident.over && memory_has_room(p));
}

static bool door_has_room(void *context)
{
	struct pipeline *p = context;
	bool room = has_room(p);
	p->turned_away = p->turned_away || !room;
	return room;
}

static bool nothing_leaves(const struct pipeline *p)
{
	for (int state = RECORD_MADE; state <= RECORD_SETTLED; state++)
		if (!list_empty(&p->records.states[state]))
			return false;
	return true;
}

/* Records of a host in trouble go when they hold up half of limits.records. */
static void relieve(struct pipeline *p)
{
	uint64_t span = records_span(&p->records), newest = p->records.next_age;
	uint64_t most = p->config.limit_records > 1 ? p->config.limit_records / 2 : 1, late = most + most / 2;
	if (span > most)
		dispatch_relieve(p->dispatch, newest - most, span > late ? newest - late : 0, span, p->now);
}

/* Or for want of memory that no collection gives: the older half of what is open, and after that has left
 * half of the rest. True when some go. */
static bool relieve_memory(struct pipeline *p)
{
	uint64_t span = records_span(&p->records);
	if (!p->turned_away || span < 2 || memory_has_room(p) || !nothing_leaves(p))
		return false;
	return dispatch_relieve(p->dispatch, p->records.next_age - span / 2, 0, span, p->now) > 0;
}

static void pipeline_take(void *context, const struct source_message *message)
{
	struct pipeline *p = context;
	look_at_clock(p);
	struct record *r = record_new(&p->records, message, p->now);
	r->ticket = message->ticket ? *message->ticket
	                            : offsets_begin(message->partition->offsets, message->offset);
	p->counts.taken++;
	*metrics_value(p->metrics, METRIC_SOURCE_RECORDS, message->partition->topic) += 1;
	*metrics_value(p->metrics, METRIC_SOURCE_BYTES, message->partition->topic) +=
	        (double)(message->key.size + message->value.size);
	message->partition->taken_dt = message->timestamp;
	observe(p, taken, r);
	walk(p, r);
}

/* ---- lanes say when ---- */

static void released(void *context, struct place *place)
{
	struct pipeline *p = context;
	record_move(&p->records, container_of(place, struct record, place), RECORD_RELEASED);
}

static void settled(void *context, struct place *place)
{
	struct pipeline *p = context;
	record_move(&p->records, container_of(place, struct record, place), RECORD_SETTLED);
}

/* ---- delivery, and what to do when it fails ---- */

static void free_given_back(struct pipeline *p, struct record *r)
{
	observe(p, left, r);
	r->partition->records--;
	record_free(&p->records, r);
}

static void sink_settled(void *context, struct output *output)
{
	struct pipeline *p = context;
	struct record *r = output->record;
	r->outputs_unsettled--;
	if (output->state == OUTPUT_ACKED)
		fault_point("after_ack");
	look_at_clock(p);
	delivery_settled(&p->delivery, r, output, p->now);
	if (r->state == RECORD_GIVEN_BACK) {
		if (r->outputs_unsettled == 0)
			free_given_back(p, r);
		return;
	}
	if (r->state == RECORD_SENDING)
		walk(p, r);
}

static void sink_room(void *context)
{
	delivery_room(&((struct pipeline *)context)->delivery);
}

/* ---- giving back ---- */

static void give_back_one(struct pipeline *p, struct record *r, const char *reason)
{
	forget_calls(p, r);
	wait_for_schema(p, r, RECORD_SCHEMAS_THERE);
	script_forget(&r->event);
	if (r->place.state != PLACE_NONE)
		lanes_leave(p->lanes, &r->place);
	record_move(&p->records, r, RECORD_GIVEN_BACK);
	p->counts.given_back++;
	*metrics_value(p->metrics, METRIC_GIVEN_BACK, reason) += 1;
	if (r->outputs_unsettled == 0)
		free_given_back(p, r);
}

/* With a record go all later ones of its lane, the youngest first: none may leave before its elder has. */
static void give_back(struct pipeline *p, struct record *r, const char *reason)
{
	while (r->place.state != PLACE_NONE && lanes_youngest(&r->place) != &r->place)
		give_back_one(p, container_of(lanes_youngest(&r->place), struct record, place), reason);
	give_back_one(p, r, reason);
}

static bool of_partition(const struct record *r, const void *with)
{
	return r->partition == with;
}

/* With no output on its way yet: whoever owns the partition next sends the first one. */
static bool unsent_of_partition(const struct record *r, const void *with)
{
	if (r->partition != with || r->state == RECORD_SENDING)
		return false;
	for (size_t i = 0; i < r->output_count; i++)
		if (r->outputs[i].state == OUTPUT_SENT || r->outputs[i].state == OUTPUT_ACKED)
			return false;
	return true;
}

static bool any_record(const struct record *r, const void *with)
{
	(void)r;
	(void)with;
	return true;
}

struct stop {
	const struct dispatch *dispatch;
	bool just_began;
};

/* Has nothing in the air and nothing made: a stop need not wait for it. */
static bool only_waits(const struct record *r, const void *with)
{
	const struct stop *stop = with;
	if (r->state == RECORD_RESTING || r->schemas != RECORD_SCHEMAS_THERE)
		return true;
	if (r->state != RECORD_ASKING || r->diff.state != DIFF_IDLE)
		return false;
	for (size_t i = 0; i < r->lookup_count; i++) {
		const struct lookup *lookup = &r->lookups[i];
		bool held = stop->just_began || dispatch_held(stop->dispatch, lookup);
		if (lookup->state == LOOKUP_IN_FLIGHT || (lookup->state == LOOKUP_WAITING && !held))
			return false;
	}
	return true;
}

static void give_back_matching(struct pipeline *p, bool (*match)(const struct record *, const void *),
        const void *with, const char *reason)
{
	size_t count;
	struct record **found = records_collect(&p->records, match, with, &count);
	/* Youngest first, so that what goes with its elder is still alive when its own turn comes. */
	for (size_t i = count; i-- > 0;)
		give_back(p, found[i], reason);
	mem_free(found);
}

static void partition_taken(void *context, struct partition *partition)
{
	(void)context;
	(void)partition;
}

static void partition_cut_short(void *context, struct partition *partition)
{
	give_back_matching(context, unsent_of_partition, partition, "revoked");
}

static void partition_released(void *context, struct partition *partition, bool lost)
{
	give_back_matching(context, of_partition, partition, lost ? "lost" : "revoked");
}

void pipeline_give_back(struct pipeline *p, const char *reason)
{
	settle_all(p); /* what a delivery report has ended since the last turn */
	give_back_matching(p, any_record, NULL, reason);
}

/* ---- the turn ---- */

static void wake_resting(struct pipeline *p)
{
	if (p->now < p->wake)
		return;
	p->wake = INT64_MAX;
	list_each (&p->records.states[RECORD_RESTING], node, after) {
		struct record *r = container_of(node, struct record, node);
		if (r->due <= p->now) {
			record_move(&p->records, r, RECORD_TAKEN);
			walk(p, r);
		} else if (r->due < p->wake) {
			p->wake = r->due;
		}
	}
}

static bool waits_for_schema(const struct record *r, const void *with)
{
	(void)with;
	return r->schemas != RECORD_SCHEMAS_THERE;
}

static void go_on_with_schemas(struct pipeline *p)
{
	size_t count;
	if (!p->schemas_changed)
		return;
	p->schemas_changed = false;
	struct record **found = records_collect(&p->records, waits_for_schema, NULL, &count);
	for (size_t i = 0; i < count; i++)
		walk(p, found[i]);
	mem_free(found);
}

void pipeline_schemas_changed(struct pipeline *p)
{
	p->schemas_changed = true;
}

/* What one topic has no room for stands in nobody's way but its own lane's. */
static void send_released(struct pipeline *p)
{
	do {
		p->replaced = false;
		list_each (&p->records.states[RECORD_RELEASED], node, after)
			walk(p, container_of(node, struct record, node));
	} while (p->replaced);
}

/* True when there were any. */
static bool settle_all(struct pipeline *p)
{
	struct list_node *first;
	bool any = !list_empty(&p->records.states[RECORD_SETTLED]);
	while ((first = list_first(&p->records.states[RECORD_SETTLED])) != NULL)
		walk(p, container_of(first, struct record, node));
	return any;
}

static void forget_script(struct pipeline *p, size_t i)
{
	struct script_usage usage = script_usage(p->scripts[i]);
	script_usage_add(&p->gone, &usage);
	script_release(p->scripts[i]);
	memmove(p->scripts + i, p->scripts + i + 1, (--p->script_count - i) * sizeof(struct script *));
}

/* Older states end with their last record. */
static void forget_idle_scripts(struct pipeline *p)
{
	for (size_t i = p->script_count; i-- > 1;)
		if (script_usage(p->scripts[i]).events == 0)
			forget_script(p, i);
}

/* ---- a state that cannot be trusted any more ---- */

static bool is_on(const struct record *r, const void *script)
{
	return r->event.script == script;
}

/* A hook that waits in transform has used its answers up: it asks anew. */
static void leave_state(struct pipeline *p, struct record *r)
{
	if (r->hook_waits)
		forget_calls(p, r);
	else
		carry_out(r);
	r->hook_waits = r->diffed = false;
	r->carries = r->lookup_count > 0;
	r->attempt--; /* it is no new attempt */
	script_forget(&r->event);
	record_move(&p->records, r, RECORD_TAKEN);
}

/* The records of the oldest state leave it, with the answers they have, and it ends. */
static struct record **vacate_oldest(struct pipeline *p, size_t *count)
{
	struct record **found = records_collect(&p->records, is_on, p->scripts[p->script_count - 1], count);
	for (size_t i = 0; i < *count; i++)
		leave_state(p, found[i]);
	forget_idle_scripts(p);
	*metrics_value_at(p->metrics, METRIC_LUA_MOVED, NULL) += (double)*count;
	return found;
}

/* True when new records begin on a fresh state. */
static bool renew(struct pipeline *p)
{
	size_t count = 0;
	struct record **moved = pipeline_scripts(p) == PIPELINE_SCRIPTS ? vacate_oldest(p, &count) : NULL;
	struct script *fresh = p->config.renew(p->config.renew_context);
	bool renewed = fresh && pipeline_use_script(p, fresh);
	for (size_t i = 0; i < count; i++)
		walk(p, moved[i]);
	mem_free(moved);
	return renewed;
}

/* After a hook that was stopped, before another record begins. */
static void look_at_state(struct pipeline *p)
{
	struct err err = {""};
	if (!script_doubtful(p->scripts[0]) || script_sound(p->scripts[0], &err) || p->config.renew == NULL ||
	        p->now < p->renew_at)
		return;
	if (renew(p)) {
		*metrics_value_at(p->metrics, METRIC_LUA_RETIRED, NULL) += 1;
		log_throttled(LOG_WARN, "script",
		        "new records begin on a fresh Lua state; those of the old one finish there: %s",
		        err.text);
		return;
	}
	p->renew_at = p->now + RENEW_MS;
	log_throttled(LOG_ERROR, "script",
	        "this Lua state should be replaced, but the script does not load; it goes on: %s", err.text);
}

/* True when somebody who found no room in Lua may look again. Older states keep no garbage: only one has a
 * share of its own. */
static bool collect(struct pipeline *p)
{
	bool pressed = p->gate.lua_full || (p->turned_away && !lua_has_room(p));
	bool relieved = pressed && script_relieve(p->scripts[0]);
	if (!relieved)
		script_collect(p->scripts[0]);
	forget_idle_scripts(p);
	for (size_t i = 1; i < p->script_count; i++)
		script_relieve(p->scripts[i]);
	return relieved;
}

/* ---- how busy the stages are ---- */

static void count_stages(struct pipeline *p, double seconds)
{
	for (int i = 0; i < STAGES; i++) {
		struct busy_stage *stage = &p->stages[i];
		if (stage->busy > 0)
			*stage->busy_seconds += stage->busy * seconds;
		if (stage->blocked)
			*stage->blocked_seconds += seconds;
	}
}

static void look_at_stages(struct pipeline *p)
{
	p->stages[STAGE_SOURCE].blocked = p->turned_away && !p->draining;
	p->stages[STAGE_HTTP].busy = dispatch_occupied(p->dispatch);
	p->stages[STAGE_HTTP].blocked =
	        dispatch_in_flight(p->dispatch) == 0 && dispatch_waiting(p->dispatch) > 0;
	p->stages[STAGE_SINK].blocked = !delivery_open(&p->delivery);
}

static void open_stages(struct pipeline *p)
{
	static const char *const names[STAGES] = {"source", "request", "http", "transform", "sink"};
	static const bool busy[STAGES] = {
	        [STAGE_REQUEST] = true, [STAGE_HTTP] = true, [STAGE_TRANSFORM] = true};
	static const bool blocked[STAGES] = {[STAGE_SOURCE] = true, [STAGE_HTTP] = true, [STAGE_SINK] = true};
	for (int i = 0; i < STAGES; i++) {
		if (busy[i])
			p->stages[i].busy_seconds = metrics_value(p->metrics, METRIC_STAGE_BUSY, names[i]);
		if (blocked[i])
			p->stages[i].blocked_seconds =
			        metrics_value(p->metrics, METRIC_STAGE_BLOCKED, names[i]);
	}
}

int64_t pipeline_turn(struct pipeline *p, int64_t now)
{
	const char *paused = pipeline_paused(p);
	if (p->turned)
		count_stages(p, (double)(now - p->turned) / 1000);
	if (paused)
		*metrics_value(p->metrics, METRIC_PAUSED, paused) += (double)(now - p->turned) / 1000;
	p->now = p->turned = now;
	p->wall = clock_wall();
	resident_over(&p->resident, now);
	p->gate.closed = p->gate.lua_full = false;
	delivery_room(&p->delivery);
	delivery_serve(&p->delivery);
	delivery_again(&p->delivery, now);
	wake_resting(p);
	go_on_with_schemas(p);
	if (p->draining)
		give_back_matching(p, only_waits, &(struct stop){p->dispatch, false}, "stopped");
	relieve(p);
	if (p->config.differ)
		differ_go_on(p->config.differ); /* there may be room now */
	int64_t next = dispatch_tick(p->dispatch, now);
	send_released(p);
	delivery_serve(&p->delivery); /* a file has settled them already */
	if (settle_all(p) && p->gate.closed)
		next = now; /* there is room that the gate has not seen */
	look_at_state(p);
	if (collect(p) || relieve_memory(p) || p->replaced) /* the last serve may bring refusals */
		next = now;
	if (p->wake < INT64_MAX && (next < 0 || p->wake < next))
		next = p->wake;
	int64_t resend_at = delivery_due(&p->delivery, now);
	if (resend_at >= 0 && (next < 0 || resend_at < next))
		next = resend_at;
	if (p->turned_away && has_room(p)) { /* nothing else may wake the loop for what waits outside */
		p->turned_away = false;
		next = now;
	}
	look_at_stages(p);
	return next;
}

void pipeline_drain(struct pipeline *p, int64_t now)
{
	p->now = now;
	p->draining = true;
	give_back_matching(p, only_waits, &(struct stop){p->dispatch, true}, "stopped");
}

bool pipeline_drained(const struct pipeline *p)
{
	return records_open(&p->records) == 0 && p->records.states[RECORD_SETTLED].count == 0 &&
	       delivery_empty(&p->delivery);
}

const char *pipeline_paused(const struct pipeline *p)
{
	if (p->held)
		return "operator";
	if (!delivery_open(&p->delivery))
		return "sink";
	if (dispatch_stands(p->dispatch))
		return "upstream";
	return p->schemas_away ? "schema" : NULL;
}

bool pipeline_delivery_failed(const struct pipeline *p)
{
	return delivery_failed(&p->delivery);
}

/* ---- building, numbers ---- */

struct pipeline *pipeline_open(const struct pipeline_config *config, struct http *http,
        struct metrics *metrics, struct ledger *ledger)
{
	struct pipeline *p = mem_zalloc(1, sizeof *p);
	const struct sink_config *errors = &config->sinks[config->sink_count - 1];
	struct lanes_hooks lanes = {.context = p, .release = released, .settle = settled};
	struct dispatch_hooks hooks = {.context = p,
	        .room = gate_has_room,
	        .grow = answer_may_grow,
	        .yield = answer_yields,
	        .answer = answer_of_call,
	        .came = call_came,
	        .again = asked_again,
	        .done = dispatch_done};
	struct dispatch_config dispatch = {.upstreams = config->upstreams,
	        .upstream_count = config->upstream_count,
	        .random = random_chance,
	        .no_breaker = config->files};
	p->config = *config;
	if (config->differ)
		differ_attach(config->differ, &(struct differ_hooks){p, diff_has_room, diff_done});
	p->failure = (struct failure_config){.stream = errors->stream ? errors->stream : errors->topic,
	        .emitter_id = config->emitter_id,
	        .max_bytes = errors->max_bytes,
	        .sink = config->sink_count - 1};
	p->ledger = ledger;
	resident_init(&p->resident, config->limit_resident);
	p->metrics = metrics;
	p->wake = INT64_MAX;
	p->now = p->turned = clock_now();
	p->wall = clock_wall();
	records_init(&p->records, ledger);
	p->lanes = lanes_open(&lanes);
	gate_init(&p->gate, &p->records, config->limit_bytes, config->upstreams, config->upstream_count);
	delivery_init(&p->delivery, &p->records, p->lanes, config->sinks, config->sink_count, config->files);
	p->dispatch = dispatch_open(http, &dispatch, &hooks, metrics);
	for (int i = 0; i < OUTCOMES; i++) {
		p->ended[i] = metrics_value(metrics, METRIC_EVENTS, outcome_name((enum outcome)i));
		p->processing[i] =
		        metrics_histogram(metrics, METRIC_PROCESSING, outcome_name((enum outcome)i));
	}
	p->age = metrics_histogram_at(metrics, METRIC_AGE, NULL);
	open_stages(p);
	p->hook_request = metrics_histogram(metrics, METRIC_SCRIPT_DURATION, "request");
	p->hook_transform = metrics_histogram(metrics, METRIC_SCRIPT_DURATION, "transform");
	metrics_value(metrics, METRIC_PAUSED, "operator");
	metrics_value(metrics, METRIC_PAUSED, "sink");
	metrics_value(metrics, METRIC_PAUSED, "upstream");
	metrics_value(metrics, METRIC_PAUSED, "schema");
	*metrics_value_at(metrics, METRIC_OPEN_LIMIT, NULL) = (double)config->limit_records;
	*metrics_value_at(metrics, METRIC_MEMORY_LIMIT, NULL) = (double)ledger->limit;
	return p;
}

void pipeline_source_handlers(struct pipeline *p, struct source_handlers *handlers)
{
	handlers->context = p;
	handlers->room = door_has_room;
	handlers->message = pipeline_take;
	handlers->taken = partition_taken;
	handlers->draining = partition_taken;
	handlers->cut_short = partition_cut_short;
	handlers->released = partition_released;
}

void pipeline_sink_handlers(struct pipeline *p, struct sink_handlers *handlers)
{
	*handlers = (struct sink_handlers){.context = p, .settled = sink_settled, .room = sink_room};
}

bool pipeline_use_script(struct pipeline *p, struct script *script)
{
	if (pipeline_scripts(p) == PIPELINE_SCRIPTS)
		return false;
	script_hold(script);
	memmove(p->scripts + 1, p->scripts, p->script_count * sizeof(struct script *));
	p->scripts[0] = script;
	p->script_count++;
	p->script_number++;
	return true;
}

uint64_t pipeline_script_number(const struct pipeline *p)
{
	return p->script_number;
}

void pipeline_retune(struct pipeline *p, int64_t retry_deadline_ms)
{
	p->config.retry_deadline_ms = retry_deadline_ms;
	dispatch_retune(p->dispatch, p->now);
}

void pipeline_limit(struct pipeline *p, size_t upstream, unsigned concurrency, double rate)
{
	dispatch_limit(p->dispatch, upstream, concurrency, rate, p->now);
}

void pipeline_limit_records(struct pipeline *p, size_t records)
{
	p->config.limit_records = records;
	*metrics_value_at(p->metrics, METRIC_OPEN_LIMIT, NULL) = (double)records;
}

void pipeline_hold(struct pipeline *p, bool hold)
{
	p->held = hold;
}

size_t pipeline_scripts(struct pipeline *p)
{
	forget_idle_scripts(p);
	return p->script_count;
}

void pipeline_attach(struct pipeline *p, struct source *source, struct sink **sinks)
{
	p->source = source;
	p->delivery.sinks = sinks;
}

void pipeline_counts(const struct pipeline *p, struct pipeline_counts *counts)
{
	*counts = p->counts;
	counts->open = records_open(&p->records) + p->records.states[RECORD_SETTLED].count;
}

static int64_t event_time(const struct record *r)
{
	return r->event.dt ? r->event.dt : r->input.timestamp;
}

/* One that was asked already may be old because its host is in trouble: that is no backlog. */
static bool was_asked(const struct record *r)
{
	for (size_t i = 0; i < r->lookup_count; i++)
		if (r->lookups[i].calls > 0)
			return true;
	return r->state > RECORD_ASKING;
}

static int64_t oldest_unasked(const struct pipeline *p)
{
	int64_t oldest = 0;
	for (int state = 0; state <= RECORD_ASKING; state++)
		list_each (&p->records.states[state], node, after) {
			const struct record *r = container_of(node, struct record, node);
			int64_t dt = event_time(r);
			if (dt > 0 && !was_asked(r) && (oldest == 0 || dt < oldest))
				oldest = dt;
		}
	return oldest;
}

static bool lag_known(const struct pipeline *p)
{
	list_each (&p->source->partitions, node, after) {
		const struct partition *partition = container_of(node, struct partition, node);
		if (partition->offsets == NULL || partition->high < 0)
			return false;
	}
	return !list_empty(&p->source->partitions);
}

void pipeline_lag(const struct pipeline *p, int64_t wall, struct backfill_lag *lag)
{
	*lag = (struct backfill_lag){.known = lag_known(p)};
	if (!lag->known)
		return;
	int64_t oldest = oldest_unasked(p);
	list_each (&p->source->partitions, node, after) {
		const struct partition *partition = container_of(node, struct partition, node);
		int64_t unread = partition->high - offsets_next(partition->offsets),
		        next = partition->taken_dt;
		lag->records += offsets_open_count(partition->offsets) + (uint64_t)(unread > 0 ? unread : 0);
		if (unread > 0 && next > 0 && (oldest == 0 || next < oldest))
			oldest = next;
	}
	if (oldest > 0 && wall > oldest)
		lag->behind_ms = wall - oldest;
}

/* Event time of the oldest open record of each partition. */
static void refresh_freshness(struct pipeline *p, int64_t wall)
{
	list_each (&p->source->partitions, node, after)
		container_of(node, struct partition, node)->oldest_dt = 0;
	for (int state = 0; state < RECORD_SETTLED; state++)
		list_each (&p->records.states[state], node, after) {
			struct record *r = container_of(node, struct record, node);
			int64_t dt = event_time(r);
			if (dt && (r->partition->oldest_dt == 0 || dt < r->partition->oldest_dt))
				r->partition->oldest_dt = dt;
		}
	list_each (&p->source->partitions, node, after) {
		struct partition *partition = container_of(node, struct partition, node);
		char id[12];
		snprintf(id, sizeof id, "%d", (int)partition->id);
		double behind = partition->oldest_dt ? (double)(wall - partition->oldest_dt) / 1000 : 0;
		*metrics_value(p->metrics, METRIC_FRESHNESS, partition->topic, id) = behind > 0 ? behind : 0;
		int64_t done = partition->offsets ? offsets_safe(partition->offsets) : -1;
		if (partition->high >= 0 && done >= 0)
			*metrics_value(p->metrics, METRIC_LAG, partition->topic, id) =
			        partition->high > done ? (double)(partition->high - done) : 0;
	}
}

static void refresh_script_errors(struct pipeline *p, const struct script_usage *usage)
{
	static const char *const hooks[SCRIPT_HOOKS] = {"request", "transform", "other"};
	static const char *const kinds[SCRIPT_KINDS] = {"error", "timeout", "memory"};
	for (int hook = 0; hook < SCRIPT_HOOKS; hook++)
		for (int kind = 0; kind < SCRIPT_KINDS; kind++)
			*metrics_value(p->metrics, METRIC_SCRIPT_ERRORS, hooks[hook], kinds[kind]) =
			        (double)usage->failed[hook][kind];
}

void pipeline_refresh(struct pipeline *p, int64_t wall)
{
	struct script_usage usage = p->gone;
	for (size_t i = 0; i < p->script_count; i++) {
		struct script_usage one = script_usage(p->scripts[i]);
		usage.memory += one.memory;
		script_usage_add(&usage, &one);
	}
	look_at_holders(p);
	*metrics_value_at(p->metrics, METRIC_LUA_MEMORY, NULL) = (double)usage.memory;
	*metrics_value_at(p->metrics, METRIC_LUA_STATES, NULL) = (double)p->script_count;
	*metrics_value_at(p->metrics, METRIC_LUA_GC, NULL) = usage.gc_seconds;
	refresh_script_errors(p, &usage);
	*metrics_value_at(p->metrics, METRIC_OPEN_RECORDS, NULL) =
	        (double)(records_open(&p->records) + p->records.states[RECORD_SETTLED].count);
	*metrics_value_at(p->metrics, METRIC_OPEN_SPAN, NULL) = (double)records_span(&p->records);
	*metrics_value_at(p->metrics, METRIC_BLOCKED_RECORDS, NULL) = (double)lanes_blocked(p->lanes);
	for (int state = 0; state < RECORD_SETTLED; state++)
		*metrics_value(p->metrics, METRIC_RECORDS_BY_STATE,
		        record_state_name((enum record_state)state)) = (double)p->records.states[state].count;
	for (int kind = 0; kind < LEDGER_KINDS; kind++)
		*metrics_value(p->metrics, METRIC_MEMORY, ledger_kind_name((enum ledger_kind)kind)) =
		        (double)p->ledger->used[kind];
	refresh_freshness(p, wall);
}

const struct records *pipeline_records(const struct pipeline *p)
{
	return &p->records;
}

const struct dispatch *pipeline_dispatch(const struct pipeline *p)
{
	return p->dispatch;
}

void pipeline_close(struct pipeline *p)
{
	for (int state = 0; state < RECORD_STATES; state++)
		list_each (&p->records.states[state], node, after) {
			struct record *r = container_of(node, struct record, node);
			if (r->state != RECORD_GIVEN_BACK)
				continue;
			free_given_back(p, r);
		}
	dispatch_close(p->dispatch);
	lanes_close(p->lanes);
	while (p->script_count > 0)
		forget_script(p, 0);
	gate_free(&p->gate);
	delivery_free(&p->delivery);
	mem_free(p);
}
