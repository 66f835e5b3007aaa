/* The time, as the two things it is: a steady count for waiting, a wall clock for people and events.
 *
 * Policy never calls these; it is given `now` (steady milliseconds). */
#ifndef MILLRACE_CLOCK_H
#define MILLRACE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_now(void);    /* CLOCK_MONOTONIC in ms */
int64_t clock_now_ns(void); /* CLOCK_MONOTONIC in ns */
int64_t clock_wall(void);   /* milliseconds since 1970-01-01T00:00:00Z */

/* From now on time stands still for the whole process, at `wall` and at the present steady time, but for what
 * clock_skip adds. For tests of scripts, which run through hours in no time. Again: another wall time. */
void clock_invent(int64_t wall);
void clock_skip(int64_t ms);
_Bool clock_invented(void);

enum { CLOCK_TEXT = 25 };
/* "2026-11-22T13:26:28.123Z" (RFC 3339, always 24 characters and a NUL). */
void clock_format(int64_t wall, char text[CLOCK_TEXT]);
/* Reads an RFC 3339 date-time (any offset, any fraction) into wall milliseconds; false when it is none. */
_Bool clock_parse(const char *text, size_t size, int64_t *wall);

#endif
