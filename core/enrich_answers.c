/* The answers of one run in memory, for a second run that asks the same. */
#include "enrich_answers.h"
#include "jsontree.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct kept_answer {
	enum http_failure failure;
	char *reason;
	int status;
	struct header *headers;
	size_t header_count;
	char *body;
	size_t body_size;
};

struct question {
	struct question *next; /* in its bucket */
	char *text;
	size_t size;
	struct kept_answer *answers;
	size_t count, given;
};

struct enrich_answers {
	struct question *buckets[BUCKETS];
	struct http_player player;
	uint64_t unknown;
};

static void append_part(struct buf *out, const char *text)
{
	buf_append(out, text ? text : "", (text ? strlen(text) : 0) + 1);
}

static void ask(const struct http_transfer *transfer, struct buf *out)
{
	append_part(out, transfer->method);
	append_part(out, transfer->url);
	append_part(out, transfer->host);
	for (size_t i = 0; i < transfer->header_count; i++) {
		append_part(out, transfer->headers[i].name);
		append_part(out, transfer->headers[i].value);
	}
	append_part(out, "");
	if (transfer->body)
		buf_append(out, transfer->body, transfer->body_size);
}

/* The question's own place: it, or the end of its bucket. */
static struct question **find(
        struct enrich_answers *answers, const struct http_transfer *transfer, struct buf *text)
{
	ask(transfer, text);
	struct question **place = &answers->buckets[jsontree_hash(text->data, text->size) % BUCKETS];
	while (*place &&
	        ((*place)->size != text->size || memcmp((*place)->text, text->data, text->size) != 0))
		place = &(*place)->next;
	return place;
}

static struct header *copy_headers(const struct header *headers, size_t count)
{
	struct header *copy = mem_zalloc(count, sizeof *copy);
	for (size_t i = 0; i < count; i++)
		copy[i] = (struct header){mem_strdup(headers[i].name), mem_strdup(headers[i].value)};
	return copy;
}

static void keep(struct question *question, const struct http_transfer *transfer)
{
	question->answers = mem_realloc(question->answers, (question->count + 1) * sizeof *question->answers);
	question->answers[question->count++] = (struct kept_answer){.failure = transfer->failure,
	        .reason = mem_strdup(transfer->reason),
	        .status = transfer->status,
	        .headers = copy_headers(transfer->answer_headers, transfer->answer_header_count),
	        .header_count = transfer->answer_header_count,
	        .body = transfer->answer.size ? mem_dup(transfer->answer.data, transfer->answer.size) : NULL,
	        .body_size = transfer->answer.size};
}

static void on_came(void *context, const struct call *call)
{
	struct buf text;
	if (http_failure_is_ours(call->transfer.failure))
		return;
	buf_init(&text, 0);
	struct question **place = find(context, &call->transfer, &text);
	if (*place == NULL) {
		*place = mem_zalloc(1, sizeof **place);
		(*place)->text = buf_steal(&text, &(*place)->size);
	}
	keep(*place, &call->transfer);
	buf_free(&text);
}

void enrich_answers_observe(struct enrich_answers *answers, struct observe *observe)
{
	observe->context = answers;
	observe->came = on_came;
}

static int64_t play(void *context, struct http_transfer *transfer)
{
	struct enrich_answers *answers = context;
	struct buf text;
	buf_init(&text, 0);
	struct question *question = *find(answers, transfer, &text);
	buf_free(&text);
	if (question == NULL) {
		answers->unknown++;
		return HTTP_PLAY_NETWORK;
	}
	const struct kept_answer *answer = &question->answers[question->given];
	question->given += question->given + 1 < question->count;
	transfer->failure = answer->failure;
	snprintf(transfer->reason, sizeof transfer->reason, "%s", answer->reason);
	transfer->status = answer->status;
	transfer->answer_headers = copy_headers(answer->headers, answer->header_count);
	transfer->answer_header_count = answer->header_count;
	if (answer->body_size)
		buf_append(&transfer->answer, answer->body, answer->body_size);
	return 0;
}

const struct http_player *enrich_answers_player(struct enrich_answers *answers)
{
	return &answers->player;
}

uint64_t enrich_answers_new(const struct enrich_answers *answers)
{
	return answers->unknown;
}

struct enrich_answers *enrich_answers_open(void)
{
	struct enrich_answers *answers = mem_zalloc(1, sizeof *answers);
	answers->player = (struct http_player){.context = answers, .play = play};
	return answers;
}

static void forget(struct question *question)
{
	for (size_t i = 0; i < question->count; i++) {
		headers_free(question->answers[i].headers, question->answers[i].header_count);
		mem_free(question->answers[i].reason);
		mem_free(question->answers[i].body);
	}
	mem_free(question->answers);
	mem_free(question->text);
	mem_free(question);
}

void enrich_answers_close(struct enrich_answers *answers)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct question *question = answers->buckets[i], *next; question; question = next) {
			next = question->next;
			forget(question);
		}
	mem_free(answers);
}
