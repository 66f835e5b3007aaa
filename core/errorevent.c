/* An error event read back. */
#include "errorevent.h"
#include "mem.h"
#include "text.h"

#include <fnmatch.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { UNSURE = 16 }; /* bytes at the end of a readable part, where a character may have been cut */

void errorevent_reader_init(struct errorevent_reader *reader)
{
	*reader = (struct errorevent_reader){0};
	jsontree_init(&reader->tree);
}

void errorevent_reader_free(struct errorevent_reader *reader)
{
	jsontree_free(&reader->tree);
	for (size_t i = 0; i < ERROREVENT_TEXTS; i++)
		buf_free(&reader->rooms[i]);
}

static struct bytes text_at(struct errorevent_reader *reader, uint32_t object, const char *name, size_t which)
{
	const struct jsontree *tree = &reader->tree;
	uint32_t at = jsontree_member(tree, object, name, strlen(name));
	if (at == 0 || tree->nodes[at].kind != JSONTREE_STRING)
		return (struct bytes){NULL, 0};
	return jsontree_string(tree, at, &reader->rooms[which]);
}

static bool number_of(const struct output_header *header, int64_t *number)
{
	int64_t value = 0;
	for (size_t i = 0; i < header->size; i++) {
		if (header->value[i] < '0' || header->value[i] > '9')
			return false;
		value = value * 10 + (header->value[i] - '0');
	}
	*number = value;
	return header->size > 0 && header->size <= 18;
}

static bool is(const struct output_header *header, const char *name)
{
	return header->value && strcmp(header->name, name) == 0;
}

static void read_headers(const struct output_header *headers, size_t count, struct errorevent *event)
{
	for (size_t i = 0; i < count; i++) {
		const struct output_header *header = &headers[i];
		if (is(header, "millrace-source"))
			event->placed = origin_read(header->value, header->size, &event->origin);
		else if (is(header, "millrace-raw"))
			event->partial = true;
		else if (is(header, "millrace-timestamp") && !number_of(header, &event->timestamp))
			event->timestamp = -1;
	}
}

bool errorevent_read(struct errorevent_reader *reader, struct bytes value,
        const struct output_header *headers, size_t count, struct errorevent *event)
{
	const struct jsontree *tree = &reader->tree;
	*event = (struct errorevent){.timestamp = -1};
	read_headers(headers, count, event);
	if (value.data == NULL || !jsontree_parse(&reader->tree, value.data, value.size, NULL, NULL) ||
	        tree->nodes[0].kind != JSONTREE_OBJECT)
		return false;
	event->texts[ERROREVENT_TYPE] = text_at(reader, 0, "error_type", ERROREVENT_TYPE);
	event->texts[ERROREVENT_MESSAGE] = text_at(reader, 0, "message", ERROREVENT_MESSAGE);
	event->texts[ERROREVENT_RAW] = text_at(reader, 0, "raw_event", ERROREVENT_RAW);
	uint32_t meta = jsontree_member(tree, 0, "meta", strlen("meta"));
	if (meta && tree->nodes[meta].kind == JSONTREE_OBJECT)
		event->texts[ERROREVENT_DOMAIN] = text_at(reader, meta, "domain", ERROREVENT_DOMAIN);
	return true;
}

struct output_header *errorevent_original_headers(
        const struct output_header *headers, size_t count, size_t *own_count)
{
	struct output_header *own = mem_alloc((count ? count : 1) * sizeof *own);
	*own_count = 0;
	for (size_t i = 0; i < count; i++)
		if (strcmp(headers[i].name, "millrace-source") != 0 &&
		        strcmp(headers[i].name, "millrace-raw") != 0 &&
		        strcmp(headers[i].name, "millrace-timestamp") != 0)
			own[(*own_count)++] = headers[i];
	return own;
}

bool errorevent_agrees(const struct errorevent *event, struct bytes value)
{
	const struct bytes *part = &event->texts[ERROREVENT_RAW];
	struct buf readable, said;
	if (part->data == NULL || value.data == NULL)
		return part->data == NULL;
	buf_init(&readable, 0);
	buf_init(&said, 0);
	/* What is not UTF-8 was replaced in the part: to compare, in the same way in the whole. */
	text_json_string(&readable, value.data, value.size);
	text_json_string(&said, part->data, part->size);
	size_t sure = said.size - (said.size / 2 < UNSURE ? said.size / 2 : UNSURE);
	bool agrees = readable.size >= sure && memcmp(readable.data, said.data, sure) == 0;
	buf_free(&readable);
	buf_free(&said);
	return agrees;
}

/* ---- which are meant ---- */

struct errorfilter_regex {
	regex_t compiled;
};

bool errorfilter_set_message(struct errorfilter *filter, const char *expression, char why[256])
{
	struct errorfilter_regex *regex = mem_zalloc(1, sizeof *regex);
	int code = regcomp(&regex->compiled, expression, REG_EXTENDED | REG_NOSUB);
	if (code) {
		regerror(code, &regex->compiled, why, 256);
		mem_free(regex);
		return false;
	}
	errorfilter_free(filter);
	filter->message = regex;
	return true;
}

void errorfilter_free(struct errorfilter *filter)
{
	if (filter->message)
		regfree(&filter->message->compiled);
	mem_free(filter->message);
	filter->message = NULL;
}

bool errorfilter_any(const struct errorfilter *filter)
{
	return filter->type_count || filter->domain || filter->message;
}

/* A text that is absent matches as an empty one. */
static bool matches(const char *pattern, const struct bytes *text)
{
	char *copy = mem_dup(text->data ? text->data : "", text->size);
	bool match = fnmatch(pattern, copy, 0) == 0;
	mem_free(copy);
	return match;
}

static bool type_taken(const struct errorfilter *filter, const struct errorevent *event)
{
	bool taken = filter->type_count == 0;
	for (size_t i = 0; i < filter->type_count && !taken; i++)
		taken = matches(filter->types[i], &event->texts[ERROREVENT_TYPE]);
	return taken;
}

static bool message_taken(const struct errorfilter *filter, const struct errorevent *event)
{
	const struct bytes *text = &event->texts[ERROREVENT_MESSAGE];
	if (filter->message == NULL)
		return true;
	char *copy = mem_dup(text->data ? text->data : "", text->size);
	bool taken = regexec(&filter->message->compiled, copy, 0, NULL, 0) == 0;
	mem_free(copy);
	return taken;
}

bool errorfilter_takes(const struct errorfilter *filter, const struct errorevent *event)
{
	return type_taken(filter, event) &&
	       (filter->domain == NULL || matches(filter->domain, &event->texts[ERROREVENT_DOMAIN])) &&
	       message_taken(filter, event);
}
