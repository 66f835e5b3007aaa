/* Taps: what passes through a running engine, shown to a few who look on.
 *
 * A reader wishes for stages and gets items, one JSON object a line (tap_item.h), out of a queue of its own.
 * What is shown is bounded in every direction, for the engine comes first: TAP_READERS at a time; a queue of
 * wish.buffer bytes (charged to the ledger), wish.rate items and TAP_BYTES_A_SECOND a second, wish.ms in all.
 * What is over a bound is left out and counted, and the counts are told between the items: nothing waits for
 * a reader. While there is none the pipeline has no observer at all.
 *
 * By itself each item is shown or left out alone. With wish.follow it is records that are chosen, as they are
 * taken, and all stages of a chosen one are shown; where one of them finds no room the rest is left out too.
 * Loop thread only. */
#ifndef MILLRACE_TAP_H
#define MILLRACE_TAP_H

#include "buf.h"
#include "err.h"
#include "ledger.h"
#include "observe.h"
#include "sink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TAP_READERS = 4,
	TAP_RATE = 100,
	TAP_RATE_MAX = 1000,
	TAP_BUFFER = 1 << 20,
	TAP_BUFFER_LEAST = 16 << 10,
	TAP_BUFFER_MAX = 16 << 20,
	TAP_BYTES_A_SECOND = 8 << 20,
	TAP_MS = 3600 * 1000,
	TAP_MS_MAX = 24 * 3600 * 1000
};

enum tap_stage {
	TAP_IN = 1,       /* a record was taken */
	TAP_REQUEST = 2,  /* its script asks: one item for each lookup */
	TAP_RESPONSE = 4, /* a call is over, with the lookups that shared it */
	TAP_OUT = 8,      /* a record ended enriched, passed or dropped: its outputs are acknowledged */
	TAP_ERROR = 16,   /* a record ended failed: its error event is acknowledged */
	TAP_ALL = 31
};

struct tap_wish {
	unsigned stages; /* a sum of enum tap_stage */
	bool content; /* events, requests, answers and outputs, too; else only what can be told to anybody */
	bool follow;
	uint64_t count; /* the end after so many items, with follow: records that ended; 0 = any number */
	unsigned rate;  /* items a second, with follow: records */
	size_t buffer;  /* bytes */
	int64_t ms;     /* the end after so long */
};

struct tap_config {
	const struct sink_config *sinks; /* the error stream is the last */
	size_t sink_count;
	const struct upstream_config *upstreams;
	size_t upstream_count;
	const char *script_sha256; /* of the script that new records begin on; its text may change */
	const char *name;          /* of the job */
	struct ledger *ledger;
	/* Whom the pipeline is to tell of its records from now on; NULL = nobody. */
	void (*watch)(void *context, const struct observe *observe);
	void *context;
};

struct tap;
struct tap_reader;

struct tap *tap_open(const struct tap_config *config); /* borrows what the configuration points to */
void tap_close(struct tap *tap);                       /* after its readers; NULL is fine */
size_t tap_readers(const struct tap *tap);             /* now; of NULL there are none */
/* "in", "out", ..., "all", several with commas; false: err says what there is. */
bool tap_stages(const char *text, unsigned *stages, struct err *err);
/* The wish as the first line says it was understood. NULL while there are TAP_READERS. */
struct tap_reader *tap_begin(struct tap *tap, const struct tap_wish *wish, int64_t now);
/* Appends what is in the queue, `most` bytes at most; false: that was the last of it. */
bool tap_take(struct tap_reader *reader, size_t most, int64_t now, struct buf *out);
void tap_end(struct tap_reader *reader);

#endif
