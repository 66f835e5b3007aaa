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

enum { CLOCK_TEXT = 25 };
/* "2026-11-22T13:26:28.123Z" (RFC 3339, always 24 characters and a NUL). */
void clock_format(int64_t wall, char text[CLOCK_TEXT]);
/* Reads an RFC 3339 date-time (any offset, any fraction) into wall milliseconds; false when it is none. */
_Bool clock_parse(const char *text, size_t size, int64_t *wall);

#endif
