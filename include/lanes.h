/* Lanes: records of one order key, whose outputs leave, and which settle, in the order they came. Pure.
 *
 * A place is a record's stand in its lane, embedded in the record. Records without a key stand in a lane of
 * their own. Callbacks run inside the call that caused them, oldest place first. A hook that makes more of
 * its lane ready (by lanes_made, lanes_leave, ...) returns before the same hook is called for the next place.
 *
 *   head                       front                      tail
 *   | LEFT, ACKED ...          | OPEN, MADE ...              |    the oldest settles when it is ACKED;
 *   +--------------------------+-----------------------------+    the front leaves when it is MADE */
#ifndef MILLRACE_LANES_H
#define MILLRACE_LANES_H

#include "list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lanes;
struct lane;

enum place_state {
	PLACE_NONE,  /* in no lane */
	PLACE_OPEN,  /* its outputs are not made yet */
	PLACE_MADE,  /* made; waits for its elders to leave */
	PLACE_LEFT,  /* released: its outputs are on their way */
	PLACE_ACKED, /* all acknowledged; waits for its elders to settle */
};

struct place {
	enum place_state state;
	bool recalled; /* MADE by lanes_recall and not released since */
	struct lane *lane;
	struct list_node node;
};

struct lanes_hooks {
	void *context;
	/* Every elder of its lane has left: send it. State is PLACE_LEFT. May call lanes_acked for this place
	 * (nothing to send), then the hooks nest. */
	void (*release)(void *context, struct place *place);
	/* It is acknowledged and every elder has settled: it has left the lane (PLACE_NONE). */
	void (*settle)(void *context, struct place *place);
};

struct lanes *lanes_open(const struct lanes_hooks *hooks);
void lanes_close(struct lanes *lanes); /* all places must have left */
/* Enters at the end of the lane of `key` (scoped by `scope`, any pointer: the partition); key NULL = alone.
 */
void lanes_enter(struct lanes *lanes, struct place *place, const void *scope, const char *key, size_t size);
void lanes_made(struct lanes *lanes, struct place *place);  /* OPEN -> MADE, and releases what may leave */
void lanes_acked(struct lanes *lanes, struct place *place); /* LEFT -> ACKED, and settles what may settle */
/* A failed delivery: the place and every later one of its lane that has left, acknowledged or not, become
 * MADE again. Nothing of the lane is released before lanes_release_again (or before all turned back have left
 * by lanes_leave). Answers how many were turned back, 0 when the place has not left; `each` is called for all
 * (and may not call lanes_*); NULL = nobody. */
size_t lanes_recall(struct lanes *lanes, struct place *place,
        void (*each)(void *context, struct place *place), void *context);
/* Ends what lanes_recall began: releases, in order, what stands MADE at the front of the place's lane. */
void lanes_release_again(struct lanes *lanes, struct place *place);
/* Given back: leaves wherever it stands, without hooks for itself; its followers may be released or settled.
 * Whoever gives back a whole lane begins with the youngest, so that nobody is released on the way. Fine on a
 * place that is in no lane. */
void lanes_leave(struct lanes *lanes, struct place *place);
/* The next older and younger place of the same lane, NULL at the ends. */
struct place *lanes_elder(const struct place *place);
struct place *lanes_younger(const struct place *place);
/* The youngest place of the same lane (the place itself, if nobody came later); NULL for a place in no lane.
 */
struct place *lanes_youngest(const struct place *place);
size_t lanes_count(const struct lanes *lanes);   /* lanes with a place in them */
size_t lanes_blocked(const struct lanes *lanes); /* places MADE that wait for an elder */

#endif
