/* What a tap showed of a record becomes part of a cassette: its event, and the calls that answered it. */
#include "command_tap.h"
#include "mem.h"
#include "text.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

#define BASE "http://tap.invalid"

/* A response as the transfer that it was, as far as a cassette wants to know it. */
struct shown {
	const struct jsontree *tree;
	struct upstream_config upstream;
	struct http_transfer transfer;
	struct buf url, body, room;
	char *method, *host, *merge;
	struct header *headers;
	size_t header_count;
};

static char *text_at(struct shown *shown, uint32_t object, const char *name)
{
	const char *text = tap_member(shown->tree, object, name, &shown->room);
	return *text ? mem_strdup(text) : NULL;
}

static struct header *headers_at(struct shown *shown, uint32_t object, size_t *count)
{
	const struct jsontree *tree = shown->tree;
	uint32_t all = jsontree_member(tree, object, "headers", 7);
	*count = all ? tree->nodes[all].count : 0;
	struct header *headers = mem_zalloc(*count ? *count : 1, sizeof *headers);
	for (uint32_t at = all + 1, i = 0; i < *count; i++, at = tree->nodes[at + 1].next) {
		struct bytes name = jsontree_string(tree, at, &shown->room);
		headers[i].name = mem_dup(name.data, name.size);
		struct bytes value = jsontree_string(tree, at + 1, &shown->room);
		headers[i].value = mem_dup(value.data, value.size);
	}
	return headers;
}

static void add_parameter(struct shown *shown, uint32_t name, uint32_t value)
{
	struct bytes text = jsontree_string(shown->tree, name, &shown->room);
	char *copy = mem_dup(text.data, text.size);
	buf_append_byte(&shown->url, strchr(shown->url.data, '?') ? '&' : '?');
	url_append_encoded(&shown->url, copy);
	mem_free(copy);
	text = jsontree_string(shown->tree, value, &shown->room);
	copy = mem_dup(text.data, text.size);
	buf_append_byte(&shown->url, '=');
	url_append_encoded(&shown->url, copy);
	mem_free(copy);
}

static void build_url(struct shown *shown, uint32_t request)
{
	const struct jsontree *tree = shown->tree;
	uint32_t query = jsontree_member(tree, request, "query", 5);
	buf_append_text(&shown->url, BASE);
	buf_append_text(&shown->url, tap_member(tree, request, "path", &shown->room));
	for (uint32_t at = query + 1, i = 0; query && i < tree->nodes[query].count;
	        i++, at = tree->nodes[at + 1].next) {
		uint32_t value = at + 1;
		if (tree->nodes[value].kind == JSONTREE_STRING)
			add_parameter(shown, at, value);
		else
			for (uint32_t one = value + 1, n = 0; n < tree->nodes[value].count;
			        n++, one = tree->nodes[one].next)
				add_parameter(shown, at, one);
	}
}

/* The bytes of a body: JSON under `json`, text, or base64. */
static void body_at(struct shown *shown, uint32_t object, const char *json, struct buf *out)
{
	const struct jsontree *tree = shown->tree;
	uint32_t at = jsontree_member(tree, object, "base64", 6);
	if (at) {
		struct bytes text = jsontree_string(tree, at, &shown->room);
		text_from_base64(out, text.data, text.size);
		return;
	}
	at = jsontree_member(tree, object, json, strlen(json));
	if (at && (strcmp(json, "json") == 0 || tree->nodes[at].kind != JSONTREE_STRING)) {
		struct bytes raw = jsontree_raw(tree, at);
		buf_append(out, raw.data, raw.size);
		return;
	}
	at = jsontree_member(tree, object, "body", 4);
	if (at) {
		struct bytes text = jsontree_string(tree, at, &shown->room);
		buf_append(out, text.data, text.size);
	}
}

static void read_question(struct shown *shown, uint32_t request)
{
	shown->upstream = (struct upstream_config){.name = text_at(shown, request, "upstream"), .url = BASE};
	shown->method = text_at(shown, request, "method");
	shown->host = text_at(shown, request, "host");
	shown->merge = text_at(shown, request, "merge");
	shown->headers = headers_at(shown, request, &shown->header_count);
	build_url(shown, request);
	body_at(shown, request, "body", &shown->body);
	shown->transfer = (struct http_transfer){.upstream = &shown->upstream,
	        .method = shown->method,
	        .url = shown->url.data,
	        .host = shown->host,
	        .headers = shown->headers,
	        .header_count = shown->header_count,
	        .body = shown->body.size ? shown->body.data : NULL,
	        .body_size = shown->body.size};
}

/* False: a fault that is the engine's own, where the same is asked again at once; no replay brings it about.
 */
static bool read_answer(struct shown *shown, uint32_t answer)
{
	struct http_transfer *transfer = &shown->transfer;
	const char *fault = tap_member(shown->tree, answer, "fault", &shown->room);
	buf_init(&transfer->answer, 0);
	while (*fault && transfer->failure + 1 < HTTP_FAILURES &&
	        strcmp(fault, http_failure_name(transfer->failure)) != 0)
		transfer->failure++;
	if (http_failure_is_ours(transfer->failure))
		return false;
	transfer->status = atoi(tap_member(shown->tree, answer, "status", &shown->room));
	transfer->elapsed = strtod(tap_member(shown->tree, answer, "elapsed", &shown->room), NULL);
	transfer->answer_headers = headers_at(shown, answer, &transfer->answer_header_count);
	body_at(shown, answer, "json", &transfer->answer);
	return true;
}

static bool save_response(struct cassette_writer *writer, const struct jsontree *tree, struct err *err)
{
	struct shown shown = {.tree = tree};
	uint32_t request = jsontree_member(tree, 0, "request", 7),
	         answer = jsontree_member(tree, 0, "answer", 6);
	if (request == 0 || answer == 0)
		return err_set(err,
		        "an answer came without its content, and the cassette would not be whole: give "
		        "a larger --buffer");
	read_question(&shown, request);
	bool good = !read_answer(&shown, answer) || cassette_note(writer, &shown.transfer, shown.merge, err);
	http_transfer_free(&shown.transfer);
	headers_free(shown.headers, shown.header_count);
	mem_free(shown.upstream.name);
	mem_free(shown.method);
	mem_free(shown.host);
	mem_free(shown.merge);
	buf_free(&shown.url);
	buf_free(&shown.body);
	buf_free(&shown.room);
	return good;
}

/* Verbatim. A tombstone, or a value that no line of text can hold, is left out. */
static bool save_event(struct cassette_writer *writer, const struct jsontree *tree, struct err *err)
{
	struct buf room = {0};
	uint32_t at = jsontree_member(tree, 0, "event", 5);
	struct bytes event = {NULL, 0};
	if (at)
		event = jsontree_raw(tree, at);
	else if ((at = jsontree_member(tree, 0, "value", 5)) && tree->nodes[at].kind == JSONTREE_STRING)
		event = jsontree_string(tree, at, &room);
	bool good = event.data == NULL || cassette_event(writer, event.data, event.size, err);
	buf_free(&room);
	return good;
}

static bool save_line(struct cassette_writer *writer, const struct jsontree *tree, struct err *err)
{
	struct buf room = {0};
	const char *stage = tap_member(tree, 0, "stage", &room);
	bool good = true;
	if (strcmp(stage, "in") == 0)
		good = save_event(writer, tree, err);
	else if (strcmp(stage, "response") == 0)
		good = save_response(writer, tree, err);
	buf_free(&room);
	return good;
}

bool tap_save_record(struct cassette_writer *writer, const struct tap_record *record, struct err *err)
{
	struct json_limits limits = {.depth = JSON_MAX_DEPTH};
	struct jsontree tree;
	bool good = true;
	jsontree_init(&tree);
	for (size_t i = 0; good && i < record->count; i++) {
		struct tap_line *line = record->lines[i];
		if (line->saved || !jsontree_parse(&tree, line->text, line->size, &limits, NULL))
			continue;
		line->saved = true;
		good = save_line(writer, &tree, err);
	}
	jsontree_free(&tree);
	return good;
}
