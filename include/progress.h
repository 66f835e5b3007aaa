/* How far a bounded run is, how fast it goes, and how long the rest will take. Pure. */
#ifndef MILLRACE_PROGRESS_H
#define MILLRACE_PROGRESS_H

#include "buf.h"

#include <stddef.h>
#include <stdint.h>

enum {
	PROGRESS_SAMPLES = 30,
	PROGRESS_APART_MS = 1000,
	PROGRESS_DRAW_MS = 200, /* a bar is drawn anew no sooner */
};

/* How many records were done when: the rate is that of the last half minute, so that it follows what happens
 * now and yet does not jump. */
struct progress {
	int64_t at[PROGRESS_SAMPLES]; /* steady ms */
	uint64_t done[PROGRESS_SAMPLES];
	unsigned count, newest; /* samples taken, at most all; index of the last one */
};

/* Notes the records done so far; may be called as often as one likes. */
void progress_note(struct progress *progress, uint64_t done, int64_t now);
/* Records a second; 0 while nothing is known. */
double progress_rate(const struct progress *progress);
/* "1200 of 3000 records (40 %), 118/s, about 15 s left". What is left is counted in offsets, of which some
 * may hold no record: it is the most that may come. */
void progress_text(const struct progress *progress, uint64_t done, uint64_t left, struct buf *out);

/* "[########--------] " for that part of all, with a space behind it: what waits for a person on a terminal.
 */
void progress_bar(uint64_t done, uint64_t all, unsigned width, struct buf *out);
/* The text and the partitions behind a bar, in less than `columns` of a terminal: the bar is shorter, goes,
 * and the rest is cut, where they do not fit. */
struct progress_partitions {
	size_t done, all;
};
void progress_line(const struct progress *progress, uint64_t done, uint64_t left,
        struct progress_partitions partitions, unsigned columns, struct buf *out);

#endif
