/* Which record a hook works on, left where the next start finds it when the process dies there.
 *
 * Before each hook call the record's coordinates go to a page of shared memory, the file
 * DIR/GROUP/hook-RANDOM, and leave it when the call returns: a store each, no system call. What the process
 * dies of does not matter (a crash in C, the watchdog's abort, a kill): the kernel keeps the page. At its
 * start a process reads the pages that dead ones left; a live one holds a lock on its own. A page stays until
 * all records in it have settled, so a record that kills process after process stands in several pages, and
 * who finds it in two does not run it again.
 *
 * Files are handled on a thread of its own: a store that is away delays nothing, and the process does without
 * a page. Loop thread only; a page that is NULL is one that nothing is told to. */
#ifndef MILLRACE_HOOKPAGE_H
#define MILLRACE_HOOKPAGE_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct hookpage;

enum { HOOKPAGE_DEATHS = 2 }; /* so many, and a record is not run again */

struct hookpage_record {
	const char *topic;
	int32_t partition;
	int64_t offset;
};

/* Begins to read what is there. NULL and err only when no thread can be had. */
struct hookpage *hookpage_open(struct event_base *base, const char *dir, const char *group, struct err *err);
/* Still reading: no record is to be run yet. Ends after 5 s whatever the store does. */
bool hookpage_reading(const struct hookpage *page);
/* A hook (its name: a short literal) begins to work on this record; on this one, too; on none any more. */
void hookpage_enter(struct hookpage *page, const char *hook, const struct hookpage_record *record);
void hookpage_add(struct hookpage *page, const struct hookpage_record *record);
void hookpage_leave(struct hookpage *page);
/* In how many processes that died a hook worked on it; *hook is the name of one (may be NULL). */
unsigned hookpage_deaths(
        const struct hookpage *page, const struct hookpage_record *record, const char **hook);
/* The record has ended: what was found about it is forgotten, on the disk too. */
void hookpage_settled(struct hookpage *page, const struct hookpage_record *record);
void hookpage_close(struct hookpage *page); /* removes the page of this process */

#endif
