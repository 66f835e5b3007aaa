/* One test of a script, run: its events through the real worker, with answers that are played and a time that
 * is invented. */
#include "testrun.h"
#include "cassette.h"
#include "clock.h"
#include "config.h"
#include "jsontree.h"
#include "log.h"
#include "mem.h"
#include "random.h"
#include "text.h"
#include "url.h"
#include "worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES = 16384, DEPTH = 200, EXIT_CONFIG_CODE = 78, CALLS_PER_EVENT = 10000 };

/* What the run at hand consists of; the worker's thread alone writes while it lives. */
struct running {
	struct testcase *test;
	struct testrun *run;
	const struct config *config;
	struct cassette *cassette;
	uint64_t played;
	bool gave_up;
};

/* ---- subsets ---- */

struct pair {
	struct jsontree expected, actual;
};

static bool contains(struct pair *pair, uint32_t e, uint32_t a, struct buf *where)
{
	const struct jsontree_node *node = &pair->expected.nodes[e];
	if (node->kind != JSONTREE_OBJECT || pair->actual.nodes[a].kind != JSONTREE_OBJECT)
		return jsontree_equal(&pair->expected, e, &pair->actual, a);
	struct buf name = {0};
	bool good = true;
	uint32_t at = e + 1;
	for (uint32_t i = 0; good && i < node->count; i++, at = pair->expected.nodes[at + 1].next) {
		struct bytes key = jsontree_string(&pair->expected, at, &name);
		uint32_t there = jsontree_member(&pair->actual, a, key.data, key.size);
		size_t before = where->size;
		buf_append_text(where, where->size ? "." : "");
		buf_append(where, key.data, key.size);
		good = there && contains(pair, at + 1, there, where);
		if (good)
			where->size = before;
	}
	buf_free(&name);
	return good;
}

bool testrun_contains(
        const char *expected, size_t expected_size, const char *actual, size_t actual_size, struct buf *where)
{
	struct json_limits limits = {.depth = DEPTH};
	struct pair pair = {0};
	struct buf nowhere = {0};
	jsontree_init(&pair.expected);
	jsontree_init(&pair.actual);
	bool good = jsontree_parse(&pair.expected, expected, expected_size, &limits, NULL) &&
	            jsontree_parse(&pair.actual, actual, actual_size, &limits, NULL) &&
	            contains(&pair, 0, 0, where ? where : &nowhere);
	jsontree_free(&pair.expected);
	jsontree_free(&pair.actual);
	buf_free(&nowhere);
	return good;
}

/* ---- questions and their answers ---- */

static void append_member(struct buf *out, const char *name, const char *text, size_t size)
{
	buf_append_byte(out, out->size && out->data[out->size - 1] != '{' ? ',' : ' ');
	text_json_string(out, name, strlen(name));
	buf_append_byte(out, ':');
	text_json_string(out, text, size);
}

/* {"name": "value", ...}; of a parameter that stands there several times the last. */
static void append_query(struct buf *out, const char *query)
{
	buf_append_text(out, ",\"query\":{");
	struct buf name = {0}, value = {0};
	for (const char *at = query; *at;) {
		size_t size = strcspn(at, "&"), length = strcspn(at, "=&");
		const char *rest = at + size + (at[size] == '&');
		buf_clear(&name);
		buf_clear(&value);
		url_append_decoded(&name, at, length);
		url_append_decoded(&value, at + length + (length < size), size - length - (length < size));
		bool again = false;
		for (const char *later = rest; *later && !again;
		        later += strcspn(later, "&") + (later[strcspn(later, "&")] == '&'))
			again = strcspn(later, "=&") == length && memcmp(later, at, length) == 0;
		if (!again && name.size)
			append_member(out, name.data, value.data ? value.data : "", value.size);
		at = rest;
	}
	buf_free(&name);
	buf_free(&value);
	buf_append_byte(out, '}');
}

static void append_headers(struct buf *out, const struct header *headers, size_t count)
{
	buf_append_text(out, ",\"headers\":{");
	for (size_t i = 0; i < count; i++) {
		char *name = mem_strdup(headers[i].name);
		bool again = false;
		for (char *c = name; *c; c++)
			*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
		for (size_t j = i + 1; j < count; j++)
			again = again || strcasecmp(headers[i].name, headers[j].name) == 0;
		if (!again)
			append_member(out, name, headers[i].value, strlen(headers[i].value));
		mem_free(name);
	}
	buf_append_byte(out, '}');
}

static void append_body(struct buf *out, const char *body, size_t size)
{
	struct jsontree tree;
	struct json_limits limits = {.depth = DEPTH};
	if (body == NULL)
		return;
	jsontree_init(&tree);
	if (jsontree_parse(&tree, body, size, &limits, NULL)) {
		buf_append_text(out, ",\"body\":");
		buf_append(out, body, size);
	} else {
		append_member(out, "body", body, size);
	}
	jsontree_free(&tree);
}

/* A call as JSON, to be held against `when` and `requests`. */
static void append_question(
        struct buf *out, const struct http_transfer *transfer, const struct cassette_question *question)
{
	buf_append_byte(out, '{');
	append_member(out, "upstream", question->upstream, strlen(question->upstream));
	append_member(out, "method", question->method, strlen(question->method));
	if (question->host)
		append_member(out, "host", question->host, strlen(question->host));
	append_member(out, "path", question->path, strlen(question->path));
	append_query(out, question->query);
	append_headers(out, transfer->headers, transfer->header_count);
	append_body(out, question->body, question->body_size);
	buf_append_byte(out, '}');
}

char *testrun_question(const struct testvalue *when)
{
	struct jsontree tree;
	struct buf out = {0}, room = {0};
	struct json_limits limits = {.depth = DEPTH};
	size_t size;
	jsontree_init(&tree);
	jsontree_parse(&tree, when->text, when->size, &limits, NULL);
	uint32_t at = 1;
	buf_append_byte(&out, '{');
	for (uint32_t i = 0; i < tree.nodes[0].count; i++, at = tree.nodes[at + 1].next) {
		struct bytes name = jsontree_string(&tree, at, &room), raw = jsontree_raw(&tree, at + 1);
		bool headers = name.size == 7 && memcmp(name.data, "headers", 7) == 0;
		bool texts = headers || (name.size == 5 && memcmp(name.data, "query", 5) == 0);
		buf_append_text(&out, i ? "," : "");
		text_json_string(&out, name.data, name.size);
		buf_append_byte(&out, ':');
		if (!texts || tree.nodes[at + 1].kind != JSONTREE_OBJECT) {
			buf_append(&out, raw.data, raw.size);
			continue;
		}
		uint32_t m = at + 2;
		buf_append_byte(&out, '{');
		for (uint32_t n = 0; n < tree.nodes[at + 1].count; n++, m = tree.nodes[m + 1].next) {
			struct bytes key = jsontree_raw(&tree, m), value = jsontree_raw(&tree, m + 1);
			buf_append_text(&out, n ? "," : "");
			for (size_t c = 0; c < key.size; c++)
				buf_append_byte(&out, headers && key.data[c] >= 'A' && key.data[c] <= 'Z'
				                              ? (char)(key.data[c] + 32)
				                              : key.data[c]);
			buf_append_byte(&out, ':');
			if (tree.nodes[m + 1].kind == JSONTREE_STRING)
				buf_append(&out, value.data, value.size);
			else
				text_json_string(&out, value.data, value.size);
		}
		buf_append_byte(&out, '}');
	}
	buf_append_byte(&out, '}');
	jsontree_free(&tree);
	buf_free(&room);
	return buf_steal(&out, &size);
}

static bool fits(const struct testanswer *answer, const struct buf *question, struct buf *where)
{
	if (answer->when.text == NULL)
		return true;
	char *when = testrun_question(&answer->when);
	bool good = testrun_contains(when, strlen(when), question->data, question->size, where);
	mem_free(when);
	return good;
}

static void give_headers(const struct testanswer *answer, struct http_transfer *transfer)
{
	struct jsontree tree;
	struct buf room = {0};
	jsontree_init(&tree);
	bool given = answer->headers.text &&
	             jsontree_parse(&tree, answer->headers.text, answer->headers.size, NULL, NULL);
	uint32_t count = given ? tree.nodes[0].count : 0;
	transfer->answer_headers = mem_zalloc(count + 1, sizeof *transfer->answer_headers);
	for (uint32_t i = 0, at = 1; i < count; i++, at = tree.nodes[at + 1].next) {
		struct header *header = &transfer->answer_headers[transfer->answer_header_count++];
		struct bytes name = jsontree_string(&tree, at, &room);
		header->name = mem_dup(name.data, name.size);
		for (char *c = header->name; *c; c++)
			*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
		bool text = tree.nodes[at + 1].kind == JSONTREE_STRING;
		struct bytes value =
		        text ? jsontree_string(&tree, at + 1, &room) : jsontree_raw(&tree, at + 1);
		header->value = mem_dup(value.data, value.size);
	}
	if (answer->json &&
	        headers_get(transfer->answer_headers, transfer->answer_header_count, "content-type") == NULL)
		transfer->answer_headers[transfer->answer_header_count++] = (struct header){
		        mem_strdup("content-type"), mem_strdup("application/json; charset=utf-8")};
	jsontree_free(&tree);
	buf_free(&room);
}

static int64_t give(struct testanswer *answer, struct http_transfer *transfer)
{
	answer->used++;
	if (answer->fault != HTTP_ANSWERED) {
		/* A timeout takes its time; the rest ends at once, or when the test says so. */
		int64_t timeout =
		        transfer->timeout_ms ? transfer->timeout_ms : transfer->upstream->timeout_ms;
		transfer->failure = answer->fault;
		snprintf(transfer->reason, sizeof transfer->reason, "the test says %s",
		        http_failure_name(answer->fault));
		return answer->fault == HTTP_TIMEOUT ? timeout : answer->delay_ms;
	}
	transfer->status = answer->status;
	give_headers(answer, transfer);
	if (answer->body_size)
		buf_append(&transfer->answer, answer->body, answer->body_size);
	return answer->delay_ms;
}

static void tell_unanswered(struct running *running, const struct cassette_question *question,
        const struct buf *text, const struct buf *nearest)
{
	struct buf *out = &running->run->problems;
	struct testanswer *best = NULL;
	struct buf where = {0}, best_where = {0};
	buf_append_text(out, "nothing answers ");
	cassette_describe(question, out);
	for (size_t i = 0; i < running->test->answer_count; i++) {
		struct testanswer *answer = &running->test->answers[i];
		buf_clear(&where);
		bool fit = fits(answer, text, &where);
		if (best == NULL || fit || where.size > best_where.size) {
			best = answer;
			buf_clear(&best_where);
			buf_append(&best_where, where.data ? where.data : "", fit ? 0 : where.size);
		}
		if (fit)
			break;
	}
	if (best && best_where.size)
		buf_printf(out, "; the answer of line %u is for another %s", best->line, best_where.data);
	else if (best)
		buf_printf(out, "; the answer of line %u was used up", best->line);
	if (nearest->size)
		buf_printf(out, "; %s", nearest->data);
	buf_append_byte(out, '\n');
	buf_free(&where);
	buf_free(&best_where);
}

/* A wiki that always says "later" is waited for for ever, which costs no time here. */
static void give_up(
        struct running *running, const struct cassette_question *question, struct http_transfer *transfer)
{
	struct buf *out = &running->run->problems;
	transfer->failure = HTTP_INVALID;
	snprintf(transfer->reason, sizeof transfer->reason, "the test would ask for ever");
	if (running->gave_up)
		return;
	running->gave_up = true;
	buf_append_text(out, "it would ask for ever: after ");
	buf_printf(out, "%d calls for each event still ", CALLS_PER_EVENT);
	cassette_describe(question, out);
	buf_append_text(out, " (`times` ends an answer)\n");
}

static int64_t play(void *context, struct http_transfer *transfer)
{
	struct running *running = context;
	struct cassette_question question;
	struct buf text = {0}, nearest = {0};
	int64_t after = -1;
	cassette_question(transfer, &question);
	append_question(&text, transfer, &question);
	if (++running->played > (uint64_t)CALLS_PER_EVENT * running->test->event_count) {
		give_up(running, &question, transfer);
		after = 0;
	}
	for (size_t i = 0; after < 0 && i < running->test->answer_count; i++) {
		struct testanswer *answer = &running->test->answers[i];
		if ((answer->times == 0 || answer->used < answer->times) && fits(answer, &text, NULL))
			after = give(answer, transfer);
	}
	if (after < 0 && running->cassette)
		after = cassette_play(running->cassette, transfer, true, NULL, &nearest);
	if (after < 0) {
		tell_unanswered(running, &question, &text, &nearest);
		transfer->failure = HTTP_INVALID;
		snprintf(transfer->reason, sizeof transfer->reason, "the test has no answer for it");
		after = 0;
	}
	buf_free(&text);
	buf_free(&nearest);
	cassette_question_free(&question);
	return after;
}

/* ---- what is seen of the run ---- */

static struct testrun_event *event_of(struct running *running, const struct record *record)
{
	size_t n = (size_t)record->input.offset;
	return n < running->run->count ? &running->run->events[n] : NULL;
}

static void forget_outputs(struct testrun_event *event)
{
	for (size_t i = 0; i < event->output_count; i++) {
		mem_free(event->outputs[i].to);
		mem_free(event->outputs[i].value);
		mem_free(event->outputs[i].key);
		output_headers_free(event->outputs[i].headers, event->outputs[i].header_count);
	}
	mem_free(event->outputs);
	event->outputs = NULL;
	event->output_count = 0;
}

static void on_asked(void *context, struct record *record)
{
	struct running *running = context;
	struct testrun_event *event = event_of(running, record);
	for (size_t i = 0; event && i < record->lookup_count; i++) {
		const struct request *request = &record->lookups[i].request;
		struct cassette_question question = {
		        .upstream = running->config->upstreams[request->upstream].name,
		        .method = request->method,
		        .host = request->host,
		        .path = request->path ? request->path : (char[]){""},
		        .body = request->body,
		        .body_size = request->body_size};
		struct http_transfer headers = {
		        .headers = request->headers, .header_count = request->header_count};
		struct buf query = {0};
		buf_append_text(&query, request->query ? request->query : "");
		if (request->merge_param) {
			buf_append_text(&query, query.size ? "&" : "");
			url_append_encoded(&query, request->merge_param);
			buf_append_byte(&query, '=');
			url_append_encoded(&query, request->merge_value);
		}
		question.query = query.data ? query.data : (char[]){""};
		struct buf text = {0};
		append_question(&text, &headers, &question);
		buf_append_text(&event->requests, event->requests.size ? "," : "");
		buf_append(&event->requests, text.data, text.size);
		buf_free(&text);
		buf_free(&query);
	}
}

static void on_came(void *context, const struct call *call)
{
	list_each (&call->lookups, node, after) {
		const struct lookup *lookup = container_of(node, struct lookup, node);
		struct testrun_event *event = event_of(context, lookup->record);
		if (event)
			event->calls++;
	}
}

static void on_hooked(void *context, struct record *record, const struct observe_hook *hook)
{
	struct testrun_event *event = event_of(context, record);
	if (event && hook->result->verdict == VERDICT_FAIL && hook->result->stack) {
		mem_free(event->stack);
		event->stack = mem_strdup(hook->result->stack);
	}
}

/* Scripts make members in no order of their own, and goldens and differences are read by people. */
static char *tidied(const char *text, size_t size, size_t *tidied_size)
{
	struct jsontree tree;
	struct json_limits limits = {.depth = DEPTH};
	struct buf out = {0};
	jsontree_init(&tree);
	if (jsontree_parse(&tree, text, size, &limits, NULL))
		jsontree_line(&tree, 0, &out);
	else
		buf_append(&out, text, size);
	jsontree_free(&tree);
	return buf_steal(&out, tidied_size);
}

static void on_made(void *context, struct record *record)
{
	struct running *running = context;
	struct testrun_event *event = event_of(running, record);
	if (event == NULL)
		return;
	forget_outputs(event);
	mem_free(event->reason);
	mem_free(event->message);
	event->ended = true;
	event->outcome = record->outcome;
	event->reason = mem_strdup(record->reason);
	event->message = mem_strdup(record->message);
	if (record->outcome == OUTCOME_FAILED || record->output_count == 0)
		return;
	event->outputs = mem_zalloc(record->output_count, sizeof *event->outputs);
	for (size_t i = 0; i < record->output_count; i++) {
		const struct output *output = &record->outputs[i];
		struct testrun_output *copy = &event->outputs[event->output_count++];
		const struct sink_config *sink = &running->config->sinks[output->sink];
		copy->to = mem_strdup(sink->name);
		copy->checked = sink->stream && running->config->schema_uri_count &&
		                running->config->schema_output == SCHEMAS_ENFORCE;
		if (output->value)
			copy->value = tidied(output->value, output->value_size, &copy->value_size);
		copy->key_size = output->key_size;
		copy->key = mem_dup(output->key, output->key_size);
		copy->headers = output_headers_copy(output->headers, output->header_count);
		copy->header_count = output->header_count;
	}
}

static struct buf *hearing; /* log lines of the run at hand */

/* Makes room by the older half of the lines. */
static void forget_lines(struct buf *log)
{
	const char *end = memchr(log->data + log->size / 2, '\n', log->size - log->size / 2);
	size_t older = end ? (size_t)(end + 1 - log->data) : log->size;
	memmove(log->data, log->data + older, log->size - older);
	log->size -= older;
	log->data[log->size] = '\0';
}

static void hear(enum log_level level, const char *module, const char *message)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	if (hearing == NULL || (level < LOG_WARN && strcmp(module, "script") != 0))
		return;
	if (hearing->size > LOG_BYTES)
		forget_lines(hearing);
	buf_printf(hearing, "%s: %s: %s\n", names[level], module, message);
}

/* ---- running ---- */

static struct config *configure(
        const struct testfile *file, const struct testcase *test, struct buf *problems)
{
	struct buf yaml = {0};
	struct config_report report = {0};
	buf_append_text(&yaml, file->config);
	buf_append_text(&yaml, "script: {reload: off, path: ");
	config_quoted(&yaml, file->script, strlen(file->script));
	buf_append_text(&yaml, ", params: ");
	config_verbatim(&yaml, test->params, strlen(test->params));
	buf_append_text(&yaml, "}\n");
	struct config *config = config_parse(file->path, yaml.data, yaml.size, &report);
	for (size_t i = 0; i < report.found.count; i++)
		if (report.found.items[i].severity == SEVERITY_ERROR)
			buf_printf(problems, "%s\n", report.found.items[i].message);
	config_report_free(&report);
	buf_free(&yaml);
	return config;
}

static int events_as_file(const struct testcase *test)
{
	int fd = memfd_create("events", MFD_CLOEXEC);
	struct buf text = {0};
	for (size_t i = 0; i < test->event_count; i++) {
		buf_append(&text, test->events[i].text, test->events[i].size);
		buf_append_byte(&text, '\n');
	}
	for (size_t at = 0; fd >= 0 && at < text.size;) {
		ssize_t written = write(fd, text.data + at, text.size - at);
		if (written <= 0)
			break;
		at += (size_t)written;
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	buf_free(&text);
	return fd;
}

static void work(struct running *running)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), in = events_as_file(running->test);
	struct worker_files files = {
	        .in = in, .out = nothing, .errors = nothing, .in_name = "input", .max_line = 256 << 20};
	struct http_player player = {running, play};
	struct observe observe = {
	        .context = running, .asked = on_asked, .came = on_came, .hooked = on_hooked, .made = on_made};
	struct worker_config worker = {
	        .config = running->config, .files = &files, .player = &player, .observe = &observe};
	hearing = &running->run->log;
	log_listen(hear);
	clock_invent(running->test->clock);
	random_invent(0);
	struct worker *started = worker_start(&worker);
	int code = started ? worker_join(started, NULL) : 1;
	if (started)
		worker_free(started);
	log_listen(NULL);
	hearing = NULL;
	running->run->broken = code == EXIT_CONFIG_CODE;
	if (code != 0)
		buf_append_text(&running->run->problems, running->run->broken
		                                                 ? "the script does not load\n"
		                                                 : "the run did not come to its end\n");
	close(in);
	close(nothing);
}

static double real_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void testrun_run(const struct testfile *file, struct testcase *test, struct testrun *run)
{
	struct err err;
	double began = real_seconds();
	*run = (struct testrun){.script = file->script,
	        .test = test,
	        .count = test->event_count,
	        .log = {.limit = 2 * LOG_BYTES}};
	run->events = mem_zalloc(test->event_count + 1, sizeof *run->events);
	for (size_t i = 0; i < test->answer_count; i++)
		test->answers[i].used = 0;
	struct running running = {.test = test, .run = run};
	struct config *config = configure(file, test, &run->problems);
	running.config = config;
	if (test->cassette && (running.cassette = cassette_open(test->cassette, &err)) == NULL)
		buf_printf(&run->problems, "%s\n", err.text);
	else if (config)
		work(&running);
	else
		run->broken = true;
	config_free(config);
	cassette_close(running.cassette);
	run->seconds = real_seconds() - began;
}

void testrun_free(struct testrun *run)
{
	for (size_t i = 0; i < run->count; i++) {
		struct testrun_event *event = &run->events[i];
		forget_outputs(event);
		mem_free(event->reason);
		mem_free(event->message);
		mem_free(event->stack);
		buf_free(&event->requests);
	}
	mem_free(run->events);
	buf_free(&run->problems);
	buf_free(&run->log);
}
