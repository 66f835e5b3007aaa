/* The last records that failed, for who looks at the engine: which, why, and the event itself where it is
 * kept.
 *
 * LATELY_MOST of them, in rotation. An event of more than LATELY_EVENT bytes is not kept: it is in the error
 * stream. Loop thread only. */
#ifndef MILLRACE_LATELY_H
#define MILLRACE_LATELY_H

#include "buf.h"
#include "record.h"

#include <stdbool.h>
#include <stdint.h>

enum { LATELY_MOST = 20, LATELY_EVENT = 32 << 10, LATELY_MESSAGE = 400 };

struct lately_failure {
	uint64_t number; /* from 1, as they failed */
	int64_t wall;
	char *topic, *type, *message;
	int32_t partition;
	int64_t offset;
	char *event; /* the record's value as it came; NULL = not kept */
	size_t size; /* of the value, kept or not */
};

struct lately {
	bool events; /* they are kept: there is a token that they can be shown for */
	uint64_t count;
	struct lately_failure failures[LATELY_MOST];
};

void lately_init(struct lately *lately, bool events);
void lately_free(struct lately *lately);
/* A record whose outcome is FAILED; its reason is set. */
void lately_add(struct lately *lately, const struct record *record, const char *message, int64_t wall);
/* By number; NULL: there was none, or it is too long ago. */
const struct lately_failure *lately_find(const struct lately *lately, uint64_t number);

#endif
