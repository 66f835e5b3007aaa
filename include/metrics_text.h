/* Prometheus text read back into numbers: what `millrace top` makes its rates and quantiles from.
 *
 * Reads what metrics_print writes (text format 0.0.4): no timestamps, no exemplars. */
#ifndef MILLRACE_METRICS_TEXT_H
#define MILLRACE_METRICS_TEXT_H

#include "metrics.h"

#include <stdbool.h>
#include <stddef.h>

enum { METRICS_TEXT_LABELS = METRIC_LABELS_MAX + 1 /* and `le` */ };

struct metrics_label {
	const char *name, *value; /* the value without its escapes */
};

struct metrics_sample {
	const char *name;
	struct metrics_label labels[METRICS_TEXT_LABELS];
	size_t label_count;
	double value;
};

struct metrics_text {
	struct metrics_sample *samples; /* in the order of the text */
	size_t count;
	char *text; /* a copy that the samples point into */
};

/* False when a line is no sample; then nothing is kept. */
bool metrics_text_read(struct metrics_text *metrics, const char *text, size_t size);
void metrics_text_free(struct metrics_text *metrics); /* and zeroes it; fine on a zeroed one */
/* "" where the sample has no such label. */
const char *metrics_text_label(const struct metrics_sample *sample, const char *label);
/* The sum of all samples of that name whose label has that value; label NULL = of all. 0 when there is none.
 */
double metrics_text_sum(
        const struct metrics_text *metrics, const char *name, const char *label, const char *value);
/* The quantile (0 to 1) of what a histogram saw between two readings, in its own unit, as Prometheus'
 * histogram_quantile guesses it; of the whole life where before is NULL. NaN when it saw nothing; infinite
 * when it lies beyond the last bucket. */
double metrics_text_quantile(const struct metrics_text *now, const struct metrics_text *before,
        const char *name, const char *label, const char *value, double quantile);

#endif
