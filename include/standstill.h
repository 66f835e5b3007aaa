/* Whether the process itself stood still: stopped by a signal, frozen with its machine, kept from the CPU.
 *
 * Time went on elsewhere, so what timed out meanwhile says nothing about who was asked: the answer may lie in
 * the socket. A beat that is due each second tells; one that comes much too late was a standstill. Pure: the
 * caller has the clock and the timer. */
#ifndef MILLRACE_STANDSTILL_H
#define MILLRACE_STANDSTILL_H

#include <stdbool.h>
#include <stdint.h>

enum {
	STANDSTILL_BEAT_MS = 1000, /* a beat each */
	STANDSTILL_MS = 3000,      /* no beat for so long: the process stood still */
	STANDSTILL_AFTER_MS = 1000 /* what it did may come to light so much later */
};

/* All zero when nothing beats. Times in steady ms, > 0. */
struct standstill {
	int64_t beat; /* the last one */
	int64_t woke; /* when the last standstill ended */
};

void standstill_begin(struct standstill *standstill, int64_t now); /* beats from here on */
void standstill_beat(struct standstill *standstill, int64_t now);
/* Whether something that began at `began` and is over now ran into a standstill. */
bool standstill_hit(struct standstill *standstill, int64_t began, int64_t now);

#endif
