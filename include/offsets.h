/* The records of one partition on their way: from offsets taken to the safe offset. Pure.
 *
 * Tickets are given in offset order; offsets may have gaps (compaction, transactions). The safe offset is the
 * lowest unfinished one: below it all is done. Finished ranges above it are kept for the commit's metadata.
 */
#ifndef MILLRACE_OFFSETS_H
#define MILLRACE_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offsets from (inclusive) to (exclusive) that are all finished or never existed. */
struct range {
	int64_t from, to;
};

struct offsets; /* one per partition and assignment */

/* Starts reading at `start`; `finished` (ascending, above start, may be empty) were finished in an earlier
 * life. */
struct offsets *offsets_open(int64_t start, const struct range *finished, size_t count);
void offsets_close(struct offsets *offsets);
/* True when this offset was finished in an earlier life and must be skipped (it then counts as finished). */
bool offsets_skip(struct offsets *offsets, int64_t offset);
/* False when the offset is below the next expected one (a rewind): drop it and count it. */
bool offsets_expected(const struct offsets *offsets, int64_t offset);
/* Takes a ticket; offset >= offsets_next. The ticket is its sequence number, given back to offsets_end. */
uint64_t offsets_begin(struct offsets *offsets, int64_t offset);
void offsets_end(struct offsets *offsets, uint64_t ticket);
/* The offset to read next after a restart: all below it is finished. */
int64_t offsets_safe(const struct offsets *offsets);
int64_t offsets_next(const struct offsets *offsets);      /* the next offset expected from the broker */
size_t offsets_open_count(const struct offsets *offsets); /* tickets not ended */
/* How many offsets were finished in this period: when it has moved, so has what a commit would say. */
uint64_t offsets_finished(const struct offsets *offsets);
/* Ranges finished above the safe offset, ascending, at most `most`; answers how many were written. */
size_t offsets_ranges(const struct offsets *offsets, struct range *ranges, size_t most);

#endif
