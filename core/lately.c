/* The last records that failed, for who looks at the engine. */
#include "lately.h"
#include "mem.h"
#include "text.h"

#include <string.h>

void lately_init(struct lately *lately, bool events)
{
	*lately = (struct lately){.events = events};
}

static void forget(struct lately_failure *failure)
{
	mem_free(failure->topic);
	mem_free(failure->type);
	mem_free(failure->message);
	mem_free(failure->event);
	*failure = (struct lately_failure){0};
}

void lately_free(struct lately *lately)
{
	for (size_t i = 0; i < LATELY_MOST; i++)
		forget(&lately->failures[i]);
}

/* Not in the middle of a character. */
static char *shortened(const char *text)
{
	size_t size = strlen(text);
	if (size > LATELY_MESSAGE)
		size = text_utf8_valid(text, LATELY_MESSAGE);
	char *copy = mem_dup(text, size + 1);
	copy[size] = '\0';
	return copy;
}

void lately_add(struct lately *lately, const struct record *record, const char *message, int64_t wall)
{
	const struct bytes *value = &record->input.value;
	struct lately_failure *failure = &lately->failures[lately->count++ % LATELY_MOST];
	forget(failure);
	*failure = (struct lately_failure){.number = lately->count,
	        .wall = wall,
	        .topic = mem_strdup(record->input.topic),
	        .type = mem_strdup(record->reason ? record->reason : ""),
	        .message = shortened(message ? message : ""),
	        .partition = record->input.partition,
	        .offset = record->input.offset,
	        .size = value->size};
	if (lately->events && value->data && value->size <= LATELY_EVENT)
		failure->event = mem_dup(value->data, value->size);
}

const struct lately_failure *lately_find(const struct lately *lately, uint64_t number)
{
	const struct lately_failure *failure = &lately->failures[(number + LATELY_MOST - 1) % LATELY_MOST];
	return number && failure->number == number ? failure : NULL;
}
