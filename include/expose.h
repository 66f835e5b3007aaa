/* The spelling of metrics for scrapers: Prometheus text 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/) and OpenMetrics 1.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/).
 *
 * They differ in the head of a family and in the end of the page alone. Bounds of buckets are spelled alike
 * in both, "1.0" as OpenMetrics wants them: a scraper that goes from one to the other goes on with the same
 * series. */
#ifndef MILLRACE_EXPOSE_H
#define MILLRACE_EXPOSE_H

#include "buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum metrics_form { METRICS_TEXT, METRICS_OPEN };

/* The form that a client wants by its header Accept (NULL = it sent none): OpenMetrics where that is named
 * with a quality no lower than text/plain's. */
enum metrics_form expose_wanted(const char *accept);
/* Its Content-Type. */
const char *expose_type(enum metrics_form form);
/* HELP and TYPE of a family; the name is that of its samples (a counter's ends in _total). */
void expose_head(
        struct buf *out, enum metrics_form form, const char *name, enum metric_type type, const char *help);
/* The value of a label, between its quotes; what is not UTF-8 becomes U+FFFD. */
void expose_label(struct buf *out, const char *value);
/* The shortest text that reads back as the same number; whole numbers without an exponent. */
void expose_number(struct buf *out, double value);
/* The upper bound of a bucket: "1.0", "0.25", "+Inf". */
void expose_bound(struct buf *out, double value);

#endif
