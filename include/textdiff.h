/* The unified diff of two texts, by lines, as `diff -u` of GNU prints it.
 *
 *     --- a
 *     +++ b
 *     @@ -1,2 +1,2 @@
 *      a line that both have
 *     -one that goes
 *     +one that comes
 *
 * A line ends with a line feed; any other bytes are text (a carriage return, NUL). Two equal texts have an
 * empty diff. Bounded in size and work, both told beforehand; the same input ends the same way on every
 * machine. Pure. */
#ifndef MILLRACE_TEXTDIFF_H
#define MILLRACE_TEXTDIFF_H

#include "buf.h"

#include <stdatomic.h>
#include <stdint.h>

enum {
	TEXTDIFF_CONTEXT = 3,
	TEXTDIFF_MAX = 64 << 20,    /* largest `max` */
	TEXTDIFF_LINE = 72,         /* bytes that a line takes while it is worked on, at most */
	TEXTDIFF_LINES = 8,         /* times max: what the lines of both texts may take */
	TEXTDIFF_STEPS = 500000000, /* some two seconds */
};

struct textdiff {
	struct bytes from, to;        /* borrowed */
	size_t context;               /* unchanged lines around a change */
	size_t max;                   /* bytes of either text, and of the diff: TEXTDIFF_MAX at most */
	uint64_t steps;               /* work that it may take, see edits.h; 0 = TEXTDIFF_STEPS */
	const atomic_bool *cancelled; /* set by another thread when nobody waits any more; NULL = never */
};

enum textdiff_outcome {
	TEXTDIFF_MADE,
	TEXTDIFF_TOO_LARGE, /* a text or the diff is larger than max, or there are too many lines */
	TEXTDIFF_TIMEOUT,   /* more work than `steps` */
	TEXTDIFF_CANCELLED,
	TEXTDIFF_OUTCOMES
};

/* The diff in *out, which the caller has initialised and frees; empty unless it was made. */
enum textdiff_outcome textdiff(const struct textdiff *question, struct buf *out);
/* Whether the texts are small enough to begin with; counts their lines. */
bool textdiff_fits(const struct textdiff *question);
/* Bytes that a diff of these texts takes at most: both of them, their lines, and the result. */
size_t textdiff_bytes(const struct textdiff *question);
const char *textdiff_outcome_name(enum textdiff_outcome outcome); /* "made", "too_large", ... */

#endif
