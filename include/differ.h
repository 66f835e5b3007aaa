/* The diffs that scripts ask for: made one at a time, the oldest record's first, on a thread of its own.
 *
 * A waiting task costs nothing: its texts stay where they are, in the Lua state. Only when it begins are they
 * copied, so that the record and its state may go at any time while the thread still works. Loop only. */
#ifndef MILLRACE_DIFFER_H
#define MILLRACE_DIFFER_H

#include "err.h"
#include "list.h"
#include "metrics.h"
#include "textdiff.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct differ;
struct diff_work;

enum diff_state { DIFF_IDLE, DIFF_WAITING, DIFF_RUNNING };

struct diff_task {
	struct textdiff question; /* its texts are borrowed while the task waits */
	uint64_t age;             /* of its record: the lower is served first */
	enum diff_state state;
	enum textdiff_outcome outcome; /* once done was called */
	struct buf text;               /* likewise; the caller frees it */
	struct list_node node;         /* private from here: while it waits */
	struct diff_work *work;        /* while it runs */
};

struct differ_hooks {
	void *context;
	/* Whether the task may begin, which takes so many bytes until it is done; else it is asked again. */
	bool (*room)(void *context, struct diff_task *task, size_t bytes);
	void (*done)(void *context, struct diff_task *task); /* it is idle again, outcome and text are set */
};

struct differ *differ_open(struct event_base *base, struct metrics *metrics, struct err *err);
void differ_attach(struct differ *differ, const struct differ_hooks *hooks);
/* The task is the caller's, and stays where it is until done or cancelled. Never calls done from within. */
void differ_submit(struct differ *differ, struct diff_task *task);
void differ_cancel(struct differ *differ, struct diff_task *task); /* fine for an idle one; frees its text */
/* Begins the next task if none runs and there is room: call it when there may be more room than before. */
void differ_go_on(struct differ *differ);
bool differ_busy(const struct differ *differ); /* a task runs, wanted or not */
/* Calls no hook any more; what still waits or runs is forgotten. NULL is fine. */
void differ_close(struct differ *differ, int64_t wait_ms);

#endif
