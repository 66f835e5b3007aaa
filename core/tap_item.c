/* What a tap shows of a record or a call: one JSON object without a newline. */
#include "tap_item.h"
#include "cassette.h"
#include "clock.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SCRIPT_DIGITS = 12 };

/* ---- members ---- */

static void name_member(struct buf *out, const char *name)
{
	if (out->size && out->data[out->size - 1] != '{')
		buf_append_byte(out, ',');
	text_json_string(out, name, strlen(name));
	buf_append_byte(out, ':');
}

static void member_text(struct buf *out, const char *name, const char *text)
{
	if (text == NULL)
		return;
	name_member(out, name);
	text_json_string(out, text, strlen(text));
}

static void member_number(struct buf *out, const char *name, long long number)
{
	name_member(out, name);
	buf_printf(out, "%lld", number);
}

static void member_seconds(struct buf *out, const char *name, double seconds)
{
	name_member(out, name);
	buf_printf(out, "%.3f", seconds > 0 ? seconds : 0);
}

/* What cannot fit is not even looked at. */
static bool fits(struct buf *out, size_t size)
{
	out->full = out->full || (out->limit && size > out->limit - out->size);
	return !out->full;
}

static void member_bytes(struct buf *out, const char *name, const char *data, size_t size)
{
	char longer[300];
	if (!fits(out, size))
		return;
	if (data && text_utf8_valid(data, size) == size) {
		name_member(out, name);
		text_json_string(out, data, size);
		return;
	}
	snprintf(longer, sizeof longer, "%.280s_base64", name);
	name_member(out, data ? longer : name);
	if (data)
		text_base64(out, data, size);
	else
		buf_append_text(out, "null");
}

/* JSON as it stands, on one line: between its values a newline is as good as a space, and within a string
 * there is none. */
static void append_json(struct buf *out, const char *data, size_t size)
{
	char *room = buf_reserve(out, size);
	if (room == NULL)
		return;
	for (size_t i = 0; i < size; i++)
		room[i] = data[i] == '\n' || data[i] == '\r' ? ' ' : data[i];
	buf_commit(out, size);
}

static bool is_json(const struct tap_paper *paper, const char *data, size_t size)
{
	struct json_limits limits = {.depth = JSON_MAX_DEPTH, .values = paper->values};
	return data && fits(paper->out, size) && jsontree_parse(paper->tree, data, size, &limits, NULL);
}

/* Under `json` where it is JSON, else under `text`. */
static void member_value(
        const struct tap_paper *paper, const char *json, const char *text, const char *data, size_t size)
{
	if (!is_json(paper, data, size)) {
		member_bytes(paper->out, text, data, size);
		return;
	}
	name_member(paper->out, json);
	append_json(paper->out, data, size);
}

/* As a cassette has it: JSON, `body` for a text, `base64`. */
static void member_body(const struct tap_paper *paper, const char *json, const char *data, size_t size)
{
	if (!fits(paper->out, size))
		return;
	if (is_json(paper, data, size)) {
		name_member(paper->out, json);
		append_json(paper->out, data, size);
	} else if (text_utf8_valid(data, size) == size) {
		name_member(paper->out, "body");
		text_json_string(paper->out, data, size);
	} else {
		name_member(paper->out, "base64");
		text_base64(paper->out, data, size);
	}
}

static void member_kafka_headers(struct buf *out, const struct output_header *headers, size_t count)
{
	if (count == 0)
		return;
	name_member(out, "headers");
	buf_append_byte(out, '{');
	for (size_t i = 0; i < count; i++) {
		size_t before = 0; /* a name may come twice: the last one stands */
		for (size_t j = i + 1; j < count; j++)
			before += strcmp(headers[i].name, headers[j].name) == 0;
		if (before)
			continue;
		member_bytes(out, headers[i].name, headers[i].value, headers[i].size);
	}
	buf_append_byte(out, '}');
}

static bool is_secret(const char *name)
{
	return cassette_secret(name, strlen(name));
}

static void member_headers(struct buf *out, const struct header *headers, size_t count)
{
	name_member(out, "headers");
	buf_append_byte(out, '{');
	for (size_t i = 0; i < count; i++) {
		const char *value = is_secret(headers[i].name) ? CASSETTE_REDACTED : headers[i].value;
		size_t later = 0;
		for (size_t j = i + 1; j < count; j++)
			later += strcasecmp(headers[i].name, headers[j].name) == 0;
		if (later)
			continue;
		member_text(out, headers[i].name, value);
	}
	buf_append_byte(out, '}');
}

/* ---- records ---- */

static void begin(const struct tap_paper *paper, const char *stage, int64_t wall)
{
	char time[CLOCK_TEXT];
	clock_format(wall, time);
	buf_printf(paper->out, "{\"stage\":\"%s\",\"time\":\"%s\"", stage, time);
}

static void end(const struct tap_paper *paper)
{
	buf_append_byte(paper->out, '}');
}

static void members_of_place(struct buf *out, const struct record *record)
{
	member_text(out, "topic", record->input.topic);
	member_number(out, "partition", record->input.partition);
	member_number(out, "offset", record->input.offset);
}

static void member_script(const struct tap_paper *paper)
{
	if (paper->script == NULL)
		return;
	name_member(paper->out, "script");
	buf_printf(paper->out, "\"%.*s\"", SCRIPT_DIGITS, paper->script);
}

static void member_event(const struct tap_paper *paper, const struct record *record)
{
	if (paper->content)
		member_value(paper, "event", "value", record->input.value.data, record->input.value.size);
}

void tap_item_in(const struct tap_paper *paper, const struct record *record, int64_t wall)
{
	begin(paper, "in", wall);
	members_of_place(paper->out, record);
	member_script(paper);
	member_number(
	        paper->out, "bytes", (long long)record->input.key.size + (long long)record->input.value.size);
	if (paper->content) {
		member_bytes(paper->out, "key", record->input.key.data, record->input.key.size);
		member_kafka_headers(paper->out, record->headers, record->input.header_count);
	}
	member_event(paper, record);
	end(paper);
}

/* ---- requests ---- */

static int hex(char digit)
{
	return digit >= '0' && digit <= '9'   ? digit - '0'
	       : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
	       : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
	                                      : -1;
}

static void decode(struct buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		bool encoded =
		        text[i] == '%' && i + 2 < size && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0;
		if (encoded)
			buf_append_byte(out, (char)(hex(text[i + 1]) * 16 + hex(text[i + 2])));
		else
			buf_append_byte(out, text[i] == '+' ? ' ' : text[i]);
		i += encoded ? 2 : 0;
	}
}

static void append_decoded(struct buf *out, const char *text, size_t size)
{
	struct buf plain;
	buf_init(&plain, 0);
	decode(&plain, text, size);
	text_json_string(out, plain.size ? plain.data : "", plain.size);
	buf_free(&plain);
}

/* The same name as encoded, before `to`. */
static const char *same_name(const char *from, const char *to, const char *name, size_t size)
{
	for (; from < to && *from; from += strcspn(from, "&"), from += *from == '&')
		if (strcspn(from, "=&") == size && memcmp(from, name, size) == 0)
			return from;
	return NULL;
}

static void append_value(struct buf *out, const char *parameter, bool secret)
{
	size_t name = strcspn(parameter, "=&"), size = strcspn(parameter, "&");
	const char *value = parameter + name + (name < size);
	if (secret)
		text_json_string(out, CASSETTE_REDACTED, sizeof CASSETTE_REDACTED - 1);
	else
		append_decoded(out, value, size - (size_t)(value - parameter));
}

/* A parameter; a list of values where it comes again. */
static void member_parameter(struct buf *out, const char *at)
{
	size_t name = strcspn(at, "=&");
	const char *end = at + strlen(at), *next = at + strcspn(at, "&");
	const char *again = same_name(next + (*next == '&'), end, at, name);
	struct buf plain;
	buf_init(&plain, 0);
	decode(&plain, at, name);
	bool secret = plain.size && is_secret(plain.data);
	name_member(out, plain.size ? plain.data : "");
	bool several = again != NULL;
	buf_append_text(out, several ? "[" : "");
	append_value(out, at, secret);
	for (; again; again = same_name(next + (*next == '&'), end, at, name)) {
		buf_append_byte(out, ',');
		append_value(out, again, secret);
		next = again + strcspn(again, "&");
	}
	buf_append_text(out, several ? "]" : "");
	buf_free(&plain);
}

/* The merged values of a call, or the one of a lookup. */
static void member_merged(
        struct buf *out, const struct request *request, const struct lookup *lookup, const struct call *call)
{
	struct buf values;
	buf_init(&values, 0);
	if (call == NULL)
		buf_append_text(&values, lookup->request.merge_value);
	else
		list_each (&call->lookups, node, after)
			buf_printf(&values, "%s%s", values.size ? "|" : "",
			        container_of(node, struct lookup, node)->request.merge_value);
	name_member(out, request->merge_param);
	text_json_string(out, values.size ? values.data : "", values.size);
	buf_free(&values);
}

static void member_query(struct buf *out, const struct lookup *lookup, const struct call *call)
{
	const struct request *request = &lookup->request;
	name_member(out, "query");
	buf_append_byte(out, '{');
	const char *query = request->query ? request->query : "";
	for (const char *at = query; *at; at += strcspn(at, "&"), at += *at == '&')
		if (*at != '&' && !same_name(query, at, at, strcspn(at, "=&")))
			member_parameter(out, at);
	if (request->merge_param && request->merge_value)
		member_merged(out, request, lookup, call);
	buf_append_byte(out, '}');
}

/* call: where the request is one that several lookups shared. */
static void member_request(
        const struct tap_paper *paper, const struct lookup *lookup, const struct call *call)
{
	struct buf *out = paper->out;
	const struct request *request = &lookup->request;
	name_member(out, "request");
	buf_append_byte(out, '{');
	member_text(out, "method", request->method);
	member_text(out, "upstream", paper->config->upstreams[request->upstream].name);
	member_text(out, "host", request->host);
	member_text(out, "path", request->path ? request->path : "");
	member_query(out, lookup, call);
	if (request->merge_value)
		member_text(out, "merge", request->merge_param);
	member_headers(out, request->headers, request->header_count);
	if (request->body)
		member_body(paper, "body", request->body, request->body_size);
	buf_append_byte(out, '}');
}

static void members_of_question(const struct tap_paper *paper, const struct request *request)
{
	member_text(paper->out, "upstream", paper->config->upstreams[request->upstream].name);
	member_text(paper->out, "method", request->method);
	member_text(paper->out, "host", request->host);
}

void tap_item_request(const struct tap_paper *paper, const struct record *record, size_t lookup, int64_t wall)
{
	begin(paper, "request", wall);
	members_of_place(paper->out, record);
	member_script(paper);
	member_number(paper->out, "attempt", record->attempt);
	member_number(paper->out, "lookup", (long long)lookup + 1);
	member_number(paper->out, "lookups", (long long)record->lookup_count);
	members_of_question(paper, &record->lookups[lookup].request);
	if (paper->content)
		member_request(paper, &record->lookups[lookup], NULL);
	member_event(paper, record);
	end(paper);
}

/* ---- calls ---- */

static void member_records(struct buf *out, const struct call *call)
{
	name_member(out, "records");
	buf_append_byte(out, '[');
	list_each (&call->lookups, node, after) {
		const struct lookup *lookup = container_of(node, struct lookup, node);
		if (out->size && out->data[out->size - 1] == '}')
			buf_append_byte(out, ',');
		buf_append_byte(out, '{');
		members_of_place(out, lookup->record);
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
}

static void member_answer(const struct tap_paper *paper, const struct http_transfer *transfer)
{
	struct buf *out = paper->out;
	name_member(out, "answer");
	buf_append_byte(out, '{');
	if (transfer->failure == HTTP_ANSWERED) {
		member_number(out, "status", transfer->status);
		member_headers(out, transfer->answer_headers, transfer->answer_header_count);
		if (transfer->answer.size)
			member_body(paper, "json", transfer->answer.data, transfer->answer.size);
	} else {
		member_text(out, "fault", http_failure_name(transfer->failure));
	}
	member_seconds(out, "elapsed", transfer->elapsed);
	buf_append_byte(out, '}');
}

void tap_item_response(const struct tap_paper *paper, const struct call *call, int64_t wall)
{
	struct buf *out = paper->out;
	const struct http_transfer *transfer = &call->transfer;
	const struct lookup *oldest = container_of(list_first(&call->lookups), struct lookup, node);
	begin(paper, "response", wall);
	members_of_place(out, oldest->record);
	member_script(paper);
	members_of_question(paper, &oldest->request);
	member_number(out, "lookups", (long long)call->lookup_count);
	member_number(out, "status", transfer->status);
	if (transfer->failure != HTTP_ANSWERED)
		member_text(out, "failure", http_failure_name(transfer->failure));
	member_number(out, "bytes", (long long)transfer->came);
	member_seconds(out, "elapsed", transfer->elapsed);
	member_records(out, call);
	if (paper->content) {
		member_request(paper, oldest, call);
		member_answer(paper, transfer);
	}
	end(paper);
}

/* ---- ends ---- */

static void member_outputs(const struct tap_paper *paper, const struct record *record)
{
	struct buf *out = paper->out;
	name_member(out, "outputs");
	buf_append_byte(out, '[');
	for (size_t i = 0; i < record->output_count; i++) {
		const struct output *output = &record->outputs[i];
		const struct sink_config *sink = &paper->config->sinks[output->sink];
		buf_append_text(out, i ? ",{" : "{");
		member_text(out, "sink", sink->name);
		member_text(out, "topic", sink->topic);
		member_number(out, "bytes", (long long)output_bytes(output));
		if (paper->content) {
			member_bytes(out, "key", output->key, output->key_size);
			member_kafka_headers(out, output->headers, output->header_count);
			member_value(paper, "value", "value", output->value, output->value_size);
		}
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
}

void tap_item_end(const struct tap_paper *paper, const struct record *record, int64_t wall, int64_t now)
{
	struct buf *out = paper->out;
	bool failed = record->outcome == OUTCOME_FAILED;
	begin(paper, failed ? "error" : "out", wall);
	members_of_place(out, record);
	member_script(paper);
	member_text(out, "outcome", outcome_name(record->outcome));
	member_text(out, failed ? "type" : "reason", record->reason);
	member_number(out, "attempt", record->attempt);
	member_seconds(out, "elapsed", (double)(now - record->taken) / 1000);
	if (failed && paper->content) {
		member_text(out, "message", record->message);
		if (record->output_count)
			member_value(paper, "error", "error", record->outputs[0].value,
			        record->outputs[0].value_size);
	}
	if (!failed)
		member_outputs(paper, record);
	member_event(paper, record);
	end(paper);
}
