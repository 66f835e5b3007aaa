/* What scripts count: `millrace_user_NAME_total`, made by millrace.counter in Lua.
 *
 * Counters are told apart by their name; each series brings its own label names, since an older script may
 * still end its records beside the one that replaced it. Together they have at most METRICS_USER_SERIES
 * series; what comes beyond is counted in millrace_user_series_dropped_total and nowhere else. Loop thread
 * only. */
#ifndef MILLRACE_METRICS_USER_H
#define MILLRACE_METRICS_USER_H

#include "expose.h"

#include <stddef.h>

enum {
	METRICS_USER_SERIES = 100,
	METRICS_USER_LABELS = 4,
	METRICS_USER_NAME = 48,  /* bytes of a name, of a counter or label */
	METRICS_USER_VALUE = 64, /* bytes of a label's value; what is longer is cut */
};

struct metrics_user;

struct metrics_user *metrics_user_open(void);
void metrics_user_close(struct metrics_user *user);
/* Adds to the series, made at 0 when it is new; 0 shows it. help is taken from whoever comes first. */
void metrics_user_add(struct metrics_user *user, const char *name, const char *help,
        const char *const *labels, const char *const *values, size_t label_count, double count);
void metrics_user_print(const struct metrics_user *user, enum metrics_form form, struct buf *out);
double metrics_user_dropped(const struct metrics_user *user);
/* Each series in the order in which it is printed, the labels as `a="b",c="d"`. */
void metrics_user_each(const struct metrics_user *user,
        void (*each)(void *context, const char *name, const char *labels, double value), void *context);

#endif
