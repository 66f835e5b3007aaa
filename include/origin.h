/* Where a record stands in its source, as the header `millrace-source` says it; and which were met already.
 * Pure. */
#ifndef MILLRACE_ORIGIN_H
#define MILLRACE_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct origin {
	const char *topic; /* borrowed, not terminated */
	size_t topic_size;
	int32_t partition;
	int64_t offset;
};

/* "topic/partition/offset/n", read from its end: a topic's name is free. */
bool origin_read(const char *text, size_t size, struct origin *origin);
/* The same without "/n", as a person names a record. */
bool origin_read_place(const char *text, size_t size, struct origin *origin);
bool origin_same(const struct origin *a, const struct origin *b);

/* Records met so far, each with the place of the message that spoke of it first. */
struct origins;

/* A record, and a message about it: topics are numbers of the caller's. */
struct origins_note {
	int32_t topic, partition;
	int64_t offset;
	int32_t by_partition;
	int64_t by_offset;
};

/* Knows `most` records, 80 to 160 bytes each; what comes beyond is taken for new. */
struct origins *origins_open(size_t most);
void origins_close(struct origins *origins);
/* False when another message has spoken of the same record before; the same message may come again. */
bool origins_first(struct origins *origins, const struct origins_note *note);

#endif
