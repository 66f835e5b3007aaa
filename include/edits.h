/* Which elements of two sequences have to go and to come to make one of the other.
 *
 * E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986, with linear space: from both ends
 * the furthest places that so many edits reach are sought until they meet, then both halves alike. The script
 * is the shortest one as long as no search needs more than EDITS_COST edits; a search that would is cut at
 * the furthest place reached, which gives a longer one that is still right. Pure. */
#ifndef MILLRACE_EDITS_H
#define MILLRACE_EDITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EDITS_COST = 1024 };

/* How much may still be done: a count of steps (some nanoseconds each), so that the same input ends the
 * same way on every machine. */
struct effort {
	uint64_t left;
	const atomic_bool *cancelled; /* by another thread; NULL = never */
};
/* False when nothing is left, or nobody wants the result any more: give up. */
bool effort_spend(struct effort *effort, uint64_t steps);

struct edits_side {
	const uint32_t *keys; /* equal elements have equal keys; below 2^31 of them */
	size_t count;
	const uint32_t *places; /* where in `changed` each one's mark is */
	bool *changed;          /* set where an element goes (first side) or comes (second) */
};

/* False: the effort was used up, and the marks say nothing. */
bool edits_find(const struct edits_side *from, const struct edits_side *to, struct effort *effort);

#endif
