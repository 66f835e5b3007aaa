/* Questions that may share a call: which of them are alike, and which go together. Pure.
 *
 * A batch holds the waiting items that may share a call: same home (the host asked), same owner (the Lua
 * state that takes the answer apart), same part, and requests that are equal but for the value of
 * `merge_param` and for headers in which they may differ (`per_record_headers`). It is there while it has
 * items. */
#ifndef MILLRACE_BATCH_H
#define MILLRACE_BATCH_H

#include "heap.h"
#include "request.h"
#include "upstream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BATCH_MAX = 500,                /* items of one call at most, whatever merge.max says */
	BATCH_UNKNOWN_BYTES = 64 << 10, /* taken for the size of an answer that nobody told */
	BATCH_URL_BYTES =
	        4096 /* of the joined values in a URL: servers take 8 KiB of request line and headers */
};

/* Embedded in a lookup. The first four are the user's, set before batch_join. */
struct batch_item {
	const struct request *request;
	const void *home, *owner;
	uint64_t part;            /* items of one part go with no others; 0 = with all that have none */
	struct batch *batch;      /* NULL: in none */
	struct heap_node place;   /* among its batch's, the oldest first */
	uint64_t likeness, value; /* hashes */
};

struct batch {
	struct heap items;
	size_t bytes;           /* that their answers are expected to have in all */
	struct heap_node place; /* the user's */
	uint64_t hash;          /* private from here */
	struct batch *next;
};

struct batches {
	struct batch **buckets;
	size_t bucket_count, count;
	bool (*before)(const struct heap_node *a, const struct heap_node *b);
};

void batches_init(
        struct batches *batches, bool (*before)(const struct heap_node *a, const struct heap_node *b));
void batches_free(struct batches *batches); /* all items must have left */
/* Whether the request may share a call at all. */
bool batch_may_share(const struct upstream_config *upstream, const struct request *request);
/* The batch that the item belongs to, made where there is none. */
struct batch *batch_join(
        struct batches *batches, const struct upstream_config *upstream, struct batch_item *item);
void batch_leave(struct batches *batches, struct batch_item *item); /* the last one takes the batch with it */
struct batch_item *batch_first(const struct batch *batch);          /* the oldest */
size_t batch_bytes(const struct batch_item *item);                  /* that its answer is expected to have */
/* Whether it gains nothing by waiting for more: its items make a call of `bytes` or merge.max, or they are
 * the part of one. */
bool batch_is_full(const struct batch *batch, size_t bytes);
/* Puts the items of the next call into `taken` (room for BATCH_MAX), the oldest first, and answers how many:
 * at least one; no more than merge.max and what fits by `bytes` and in a URL; no value twice (it waits for
 * the next call, since each record gets an answer of its own); after the oldest only while `room` says yes.
 * They stay in the batch. */
size_t batch_gather(struct batch *batch, size_t bytes, bool (*room)(void *context, struct batch_item *item),
        void *context, struct batch_item **taken);

#endif
