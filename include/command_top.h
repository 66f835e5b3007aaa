/* What `millrace top` shows: one frame made of two looks at an engine. Pure, so that a test can look at it.
 *
 * Numbers are the engine's own (/metrics, /api/v1/status); rates and quantiles are of the time between the
 * looks. What an engine does not export is not shown. */
#ifndef MILLRACE_COMMAND_TOP_H
#define MILLRACE_COMMAND_TOP_H

#include "buf.h"
#include "jsontree.h"
#include "metrics_text.h"

#include <stdbool.h>
#include <stdint.h>

/* One look at an engine. */
struct top_look {
	struct metrics_text metrics;
	struct buf status;    /* /api/v1/status */
	struct jsontree tree; /* of it */
	int64_t at;           /* steady ms */
	int64_t wall;         /* wall ms */
};

enum top_sort { TOP_BY_LAG, TOP_BY_FRESHNESS, TOP_BY_NAME, TOP_SORTS };

struct top_frame {
	const struct top_look *now;
	const struct top_look *before; /* an earlier look at the same process */
	const char *url;
	const char *trouble; /* why the picture is an old one; NULL = it is not */
	enum top_sort sort;  /* of the partitions */
	bool paused, colour;
	unsigned width, height; /* of the terminal; height 0 = as many lines as there are */
};

void top_look_init(struct top_look *look);
/* Takes over both answers' texts, whichever way it ends. False: they are not what an engine answers. */
bool top_look_read(struct top_look *look, const struct buf *metrics, const struct buf *status);
void top_look_free(struct top_look *look);
/* True when both looks are at one life of one process: counters only grew. */
bool top_same_process(const struct top_look *a, const struct top_look *b);
/* Appends the frame: lines of at most `width` characters, each with its newline. Colours are the only escape
 * sequences in it; bytes of names and messages that would move a terminal's cursor are shown as `?`. */
void top_draw(const struct top_frame *frame, struct buf *out);

#endif
