/* Tells each event's walk to a person: request, answer, output, with times and what was changed. */
#include "enrich_explain.h"
#include "clock.h"
#include "enrich_say.h"
#include "mem.h"
#include "text.h"
#include "url.h"

#include <string.h>

enum { VALUE_SHOWN = 30, VALUE_CUT = 24, URL_SHOWN = 300, CHANGES_SHOWN = 20, INDENT = 12 };

/* What is known of one record so far: record->observed. */
struct story {
	struct buf text;
	int64_t began, made; /* steady ns: taken; its outcome decided */
	double request_cpu, transform_cpu;
};

/* "\n  request 2/3 " in its colour: the beginning of a line. */
static struct buf *begin(
        const struct enrich_explain *explain, struct story *story, const char *what, const char *colour)
{
	buf_append_text(&story->text, "\n  ");
	enrich_paint(&story->text, explain->colour, colour);
	buf_printf(&story->text, "%-8s", what);
	enrich_paint(&story->text, explain->colour, NULL);
	buf_append_text(&story->text, "  ");
	return &story->text;
}

static struct story *story_of(const struct lookup *lookup)
{
	return ((const struct record *)lookup->record)->observed;
}

/* Which of several questions: "(2 of 3) ". */
static void say_which(struct buf *out, const struct lookup *lookup)
{
	const struct record *record = lookup->record;
	if (record->lookup_count > 1)
		buf_printf(
		        out, "(%zu of %zu) ", (size_t)(lookup - record->lookups) + 1, record->lookup_count);
}

static void on_taken(void *context, struct record *record)
{
	const struct enrich_explain *explain = context;
	struct story *story = mem_zalloc(1, sizeof *story);
	if (explain->tape)
		enrich_tape_taken(explain->tape, record);
	buf_init(&story->text, 0);
	story->began = clock_now_ns();
	record->observed = story;
}

/* ---- requests ---- */

static void say_parameter_value(struct buf *out, const char *value, size_t size)
{
	struct buf text;
	buf_init(&text, 0);
	url_append_decoded(&text, value, size);
	bool cut = text.size > VALUE_SHOWN;
	enrich_say_clean(out, text.data, cut ? text_utf8_valid(text.data, VALUE_CUT) : text.size);
	buf_append_text(out, cut ? "..." : "");
	buf_free(&text);
}

static void say_parameter(struct buf *out, const char *pair, size_t size)
{
	size_t name = 0;
	while (name < size && pair[name] != '=')
		name++;
	enrich_say_clean(out, pair, name);
	if (name == size)
		return;
	buf_append_byte(out, '=');
	if (cassette_secret(pair, name))
		buf_append_text(out, CASSETTE_REDACTED);
	else
		say_parameter_value(out, pair + name + 1, size - name - 1);
}

/* From the path on: the upstream's address is known to whoever configured it. */
static void say_url(struct buf *out, const char *url)
{
	struct buf whole;
	const char *path = strstr(url, "://");
	path = path ? strchr(path + 3, '/') : NULL;
	path = path ? path : "/";
	size_t size = strcspn(path, "?");
	buf_init(&whole, 0);
	enrich_say_clean(&whole, path, size);
	for (char separator = '?'; path[size]; separator = '&') {
		const char *pair = path + size + 1;
		size_t length = strcspn(pair, "&");
		buf_append_byte(&whole, separator);
		say_parameter(&whole, pair, length);
		size += 1 + length;
	}
	size = whole.size > URL_SHOWN ? text_utf8_valid(whole.data, URL_SHOWN) : whole.size;
	buf_append(out, whole.data, size);
	if (size < whole.size)
		buf_append_text(out, "...");
	buf_free(&whole);
}

static void say_request(const struct enrich_explain *explain, struct buf *out, const struct request *request)
{
	const struct upstream_config *upstream = &explain->config->upstreams[request->upstream];
	const char *value = request->merge_value;
	struct err err;
	struct buf url;
	buf_init(&url, 0);
	buf_printf(out, "%s ", request->method);
	if (url_build(&url, upstream, request, &value, value ? 1 : 0, &err))
		say_url(out, url.data);
	else
		enrich_say_clean(out, err.text, strlen(err.text));
	buf_append_text(out, "  (");
	if (request->host)
		buf_printf(out, "host %s", request->host);
	if (explain->config->upstream_count > 1 || request->host == NULL)
		buf_printf(out, "%supstream %s", request->host ? ", " : "", upstream->name);
	if (request->body) {
		buf_append_text(out, ", body ");
		enrich_say_bytes(out, request->body_size);
	}
	buf_append_text(out, ")");
	buf_free(&url);
}

static void on_asked(void *context, struct record *record)
{
	const struct enrich_explain *explain = context;
	for (size_t i = 0; record->observed && i < record->lookup_count; i++) {
		struct buf *out = begin(explain, record->observed, "request", "36");
		say_which(out, &record->lookups[i]);
		say_request(explain, out, &record->lookups[i].request);
	}
}

/* ---- answers ---- */

static void say_answer(struct buf *out, const struct call *call)
{
	const struct http_transfer *transfer = &call->transfer;
	if (transfer->failure == HTTP_ANSWERED) {
		buf_printf(out, "%d  ", transfer->status);
		enrich_say_bytes(out, transfer->came);
	} else {
		enrich_say_clean(out, transfer->reason, strlen(transfer->reason));
	}
	buf_append_text(out, "  ");
	enrich_say_time(out, transfer->elapsed);
	if (transfer->played_from)
		buf_printf(out, "  (cassette %s)", transfer->played_from);
	if (call->lookup_count > 1)
		buf_printf(out, "  (one call for %zu lookups)", call->lookup_count);
}

static void on_came(void *context, const struct call *call)
{
	const struct enrich_explain *explain = context;
	int status = call->transfer.status;
	bool good = status >= 200 && status <= 299;
	if (explain->tape)
		enrich_tape_came(explain->tape, call);
	list_each (&call->lookups, node, after) {
		const struct lookup *lookup = container_of(node, struct lookup, node);
		if (story_of(lookup) == NULL)
			continue;
		struct buf *out = begin(explain, story_of(lookup), "answer", good ? "32" : "33");
		say_which(out, lookup);
		say_answer(out, call);
	}
}

static void on_again(void *context, const struct lookup *lookup, const struct observe_again *again)
{
	const struct enrich_explain *explain = context;
	if (story_of(lookup) == NULL)
		return;
	struct buf *out = begin(explain, story_of(lookup), "again", "33");
	say_which(out, lookup);
	buf_printf(out, "%s: ", again->reason);
	if (again->wait_ms) {
		buf_append_text(out, "in ");
		enrich_say_time(out, (double)again->wait_ms / 1000);
	} else {
		buf_append_text(out, "as soon as it may");
	}
	if (again->counts)
		buf_printf(out, "  (%u of %u attempts are used)", lookup->attempts,
		        explain->config->upstreams[lookup->request.upstream].retry.attempts);
	else
		buf_append_text(out, "  (counts as no attempt)");
}

/* A refusal that fails the record is told at its end. */
static void on_answered(void *context, const struct lookup *lookup)
{
	const struct enrich_explain *explain = context;
	const struct response *response = &lookup->response;
	if (story_of(lookup) == NULL || response->error_type == NULL || !lookup->request.optional)
		return;
	struct buf *out = begin(explain, story_of(lookup), "refused", "33");
	say_which(out, lookup);
	buf_printf(out, "%s: ", response->error_type);
	enrich_say_clean(out, response->error_message, strlen(response->error_message));
	buf_append_text(out, "  (optional: transform sees it as response.error)");
}

static void on_made(void *context, struct record *record)
{
	struct story *story = record->observed;
	(void)context;
	if (story)
		story->made = clock_now_ns();
}

static void on_hooked(void *context, struct record *record, const struct observe_hook *hook)
{
	const struct enrich_explain *explain = context;
	struct story *story = record->observed;
	if (story == NULL)
		return;
	*(strcmp(hook->name, "request") == 0 ? &story->request_cpu : &story->transform_cpu) +=
	        hook->cpu_seconds;
	if (hook->result->verdict != VERDICT_RETRY)
		return;
	struct buf *out = begin(explain, story, "retry", "33");
	buf_printf(out, "%s: %s starts again in ", hook->result->type,
	        hook->result->host_scope ? "its host pauses, the event" : "the event");
	enrich_say_time(out, hook->result->after);
}

/* ---- outputs ---- */

struct changes {
	const struct enrich_explain *explain;
	struct buf *out;
	struct jsontree input, output;
	size_t count;
};

static void say_change(void *context, const struct jsondiff_difference *difference)
{
	struct changes *changes = context;
	if (++changes->count <= CHANGES_SHOWN)
		enrich_say_difference(changes->out, INDENT, changes->explain->colour, &changes->input,
		        &changes->output, difference);
}

static void say_changes(const struct enrich_explain *explain, struct buf *out, const struct record *record,
        const struct output *output)
{
	static const struct jsondiff_paths none;
	struct changes changes = {.explain = explain, .out = out};
	const struct bytes *value = &record->input.value;
	jsontree_init(&changes.input);
	jsontree_init(&changes.output);
	if (value->data && output->value &&
	        jsontree_parse(&changes.input, value->data, value->size, NULL, NULL) &&
	        jsontree_parse(&changes.output, output->value, output->value_size, NULL, NULL)) {
		if (jsondiff_each(&changes.input, &changes.output, &none, say_change, &changes) == 0)
			buf_append_text(out, "  as it came");
		if (changes.count > CHANGES_SHOWN)
			buf_printf(out, "\n%*s... and %zu more", INDENT, "", changes.count - CHANGES_SHOWN);
	}
	jsontree_free(&changes.input);
	jsontree_free(&changes.output);
}

static void say_output(const struct enrich_explain *explain, struct story *story, const struct record *record,
        const struct output *output)
{
	const struct sink_config *sink = &explain->config->sinks[output->sink];
	struct buf *out = begin(explain, story, "output", "36");
	buf_printf(out, "-> %s  ", sink->stream ? sink->stream : sink->topic);
	if (output->value)
		enrich_say_bytes(out, output->value_size);
	else
		buf_append_text(out, "a tombstone");
	if (output->has_key && output->key) {
		buf_append_text(out, "  key=");
		enrich_say_clean(out, output->key, output->key_size);
	}
	say_changes(explain, out, record, output);
}

/* ---- the end ---- */

static void say_outcome(
        const struct enrich_explain *explain, struct story *story, const struct record *record)
{
	bool failed = record->outcome == OUTCOME_FAILED;
	struct buf *out = begin(explain, story, outcome_name(record->outcome), failed ? "1;31" : "1;32");
	if (record->reason)
		buf_printf(out, failed ? "%s: " : "%s  ", record->reason);
	if (failed && record->message) {
		enrich_say_clean(out, record->message, strlen(record->message));
		buf_printf(out, "\n%*s", INDENT, "");
	}
	buf_append_text(out, "in ");
	enrich_say_time(out, (double)(story->made - story->began) / 1e9);
	buf_append_text(out, "  (CPU: request ");
	enrich_say_time(out, story->request_cpu);
	buf_append_text(out, ", transform ");
	enrich_say_time(out, story->transform_cpu);
	if (record->attempt > 1)
		buf_printf(out, "; begun %u times", record->attempt);
	buf_append_text(out, ")\n");
}

static void forget(struct record *record)
{
	struct story *story = record->observed;
	record->observed = NULL;
	buf_free(&story->text);
	mem_free(story);
}

static void on_ended(void *context, struct record *record)
{
	struct enrich_explain *explain = context;
	struct story *story = record->observed;
	struct buf heading;
	if (story == NULL)
		return;
	buf_init(&heading, 0);
	enrich_paint(&heading, explain->colour, "1");
	buf_printf(&heading, "[%llu", (unsigned long long)++explain->told);
	if (explain->total)
		buf_printf(&heading, "/%llu", (unsigned long long)explain->total);
	buf_append_text(&heading, "] ");
	enrich_say_event(&heading, explain->events, record);
	enrich_paint(&heading, explain->colour, NULL);
	for (size_t i = 0; record->outcome != OUTCOME_FAILED && i < record->output_count; i++)
		say_output(explain, story, record, &record->outputs[i]);
	say_outcome(explain, story, record);
	fwrite(heading.data, 1, heading.size, explain->to);
	fwrite(story->text.data, 1, story->text.size, explain->to);
	fflush(explain->to);
	buf_free(&heading);
	forget(record);
}

static void on_left(void *context, struct record *record)
{
	(void)context;
	if (record->observed)
		forget(record);
}

void enrich_explain_observe(struct enrich_explain *explain, struct observe *observe)
{
	*observe = (struct observe){.context = explain,
	        .taken = on_taken,
	        .hooked = on_hooked,
	        .asked = on_asked,
	        .came = on_came,
	        .again = on_again,
	        .answered = on_answered,
	        .made = on_made,
	        .ended = on_ended,
	        .left = on_left};
}
