/* Counters, gauges and histograms, declared once, printed as Prometheus text. */
#include "metrics.h"
#include "expose.h"
#include "log.h"
#include "mem.h"
#include "metrics_user.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERIES_MAX = 2000, BOUNDS_MAX = 16 };

/* Upper bounds of a histogram's buckets in seconds, ascending; +Inf is understood. */
struct buckets {
	size_t count;
	double bounds[BOUNDS_MAX];
};

static const struct buckets buckets_NONE = {0, {0}};
static const struct buckets buckets_BATCH = {6, {1, 2, 5, 10, 20, 50}};
static const struct buckets buckets_TURN = {6, {.001, .01, .1, .5, 1, 5}};
static const struct buckets buckets_STAY = {6, {.1, .5, 1, 10, 60, 600}};
static const struct buckets buckets_HTTP = {13, {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}};
static const struct buckets buckets_AGE = {
        14, {.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}};
static const struct buckets buckets_HOOK = {
        11, {1e-5, 3.16e-5, 1e-4, 3.16e-4, 1e-3, 3.16e-3, .01, .0316, .1, .316, 1}};

static const struct buckets *const metric_buckets[METRIC_COUNT] = {
#define X(id, type, buckets, name, labels, help) [METRIC_##id] = &buckets_##buckets,
        METRICS(X)
#undef X
};

static const struct {
	const char *label;
	size_t count;
} metric_caps[METRIC_COUNT] = {
#define X(id, label, count) [METRIC_##id] = {label, count},
        METRIC_CAPS(X)
#undef X
};

static const struct metric_declaration declarations[METRIC_COUNT] = {
#define X(id, type, buckets, name, labels, help) [METRIC_##id] = {name, labels, help, type},
        METRICS(X)
#undef X
};

struct histogram {
	const struct buckets *buckets;
	double sum;
	uint64_t counts[BOUNDS_MAX + 1]; /* the last one used is +Inf's; not cumulative */
};

/* One set of label values of one metric, and what was counted for it. */
struct series {
	uint64_t hash;
	char *labels[METRIC_LABELS_MAX];
	double value;
	struct histogram histogram;
};

struct family {
	struct series **series; /* in the order of their first use */
	size_t count;
	bool full; /* further label sets are counted as "other" */
};

struct metrics {
	struct family families[METRIC_COUNT];
	struct metrics_user *user;
};

const struct metric_declaration *metrics_declaration(enum metric metric)
{
	return &declarations[metric];
}

size_t metrics_cap(enum metric metric, const char **label)
{
	*label = metric_caps[metric].label;
	return metric_caps[metric].count;
}

size_t metrics_lines(enum metric metric)
{
	return declarations[metric].type == METRIC_HISTOGRAM ? metric_buckets[metric]->count + 3 : 1;
}

struct metrics_user *metrics_user_of(struct metrics *metrics)
{
	return metrics->user;
}

static size_t label_count(enum metric metric)
{
	const char *at = declarations[metric].labels;
	size_t count = *at != '\0';
	for (; *at; at++)
		count += *at == ',';
	return count;
}

/* FNV-1a, each value with its NUL, so that ("ab", "c") is not ("a", "bc"). */
static uint64_t hash_labels(const char *const *labels, size_t count)
{
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < count; i++) {
		const unsigned char *at = (const unsigned char *)labels[i];
		do
			hash = (hash ^ *at) * 1099511628211u;
		while (*at++);
	}
	return hash;
}

static struct series *family_find(
        const struct family *family, const char *const *labels, size_t count, size_t *index)
{
	uint64_t hash = hash_labels(labels, count);
	for (size_t i = 0; i < family->count; i++) {
		struct series *series = family->series[i];
		size_t same = 0;
		while (series->hash == hash && same < count &&
		        strcmp(series->labels[same], labels[same]) == 0)
			same++;
		if (series->hash == hash && same == count) {
			*index = i;
			return series;
		}
	}
	return NULL;
}

static struct series *family_add(struct family *family, enum metric metric, const char *const *labels)
{
	struct series *series = mem_zalloc(1, sizeof *series);
	size_t count = label_count(metric);
	for (size_t i = 0; i < count; i++)
		series->labels[i] = mem_strdup(labels[i]);
	series->hash = hash_labels(labels, count);
	series->histogram.buckets = metric_buckets[metric];
	family->series = mem_realloc(family->series, (family->count + 1) * sizeof *family->series);
	family->series[family->count++] = series;
	return series;
}

static void series_free(struct series *series)
{
	for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
		mem_free(series->labels[i]);
	mem_free(series);
}

/* The labels for what comes beyond the cap: all of them "other", or the one that is capped. */
static void make_other(enum metric metric, const char *const *labels, size_t count, const char **others)
{
	const char *name = declarations[metric].labels, *open = metric_caps[metric].label;
	for (size_t i = 0; i < count; i++) {
		size_t size = strcspn(name, ",");
		bool capped = open == NULL || (strlen(open) == size && strncmp(name, open, size) == 0);
		others[i] = capped ? "other" : labels[i];
		name += size + (name[size] == ',');
	}
}

static struct series *series_at(struct metrics *metrics, enum metric metric, const char *const *labels)
{
	const char *others[METRIC_LABELS_MAX];
	struct family *family = &metrics->families[metric];
	size_t count = label_count(metric), index,
	       cap = metric_caps[metric].count ? metric_caps[metric].count : SERIES_MAX;
	for (size_t i = 0; i < count; i++)
		assert(labels[i] != NULL);
	struct series *series = family_find(family, labels, count, &index);
	if (series == NULL && family->count >= cap) {
		if (!family->full)
			log_warn("metrics", "%s has %zu label sets; further ones are counted as \"other\"",
			        declarations[metric].name, cap);
		family->full = true;
		make_other(metric, labels, count, others);
		labels = others;
		series = family_find(family, labels, count, &index);
	}
	return series ? series : family_add(family, metric, labels);
}

struct metrics *metrics_open(void)
{
	struct metrics *metrics = mem_zalloc(1, sizeof *metrics);
	for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
		if (label_count(metric) == 0)
			family_add(&metrics->families[metric], metric, NULL);
	metrics->user = metrics_user_open();
	return metrics;
}

void metrics_close(struct metrics *metrics)
{
	if (metrics == NULL)
		return;
	for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
		struct family *family = &metrics->families[metric];
		for (size_t i = 0; i < family->count; i++)
			series_free(family->series[i]);
		mem_free(family->series);
	}
	metrics_user_close(metrics->user);
	mem_free(metrics);
}

double *metrics_value_at(struct metrics *metrics, enum metric metric, const char *const *labels)
{
	static double nowhere;
	assert(declarations[metric].type != METRIC_HISTOGRAM);
	return metrics ? &series_at(metrics, metric, labels)->value : &nowhere;
}

struct histogram *metrics_histogram_at(struct metrics *metrics, enum metric metric, const char *const *labels)
{
	static struct histogram nowhere = {.buckets = &buckets_NONE};
	assert(declarations[metric].type == METRIC_HISTOGRAM);
	return metrics ? &series_at(metrics, metric, labels)->histogram : &nowhere;
}

void metrics_observe(struct histogram *histogram, double value)
{
	const struct buckets *buckets = histogram->buckets;
	size_t i = 0;
	while (i < buckets->count && !(value <= buckets->bounds[i]))
		i++;
	histogram->counts[i]++;
	histogram->sum += value;
}

void metrics_each(const struct metrics *metrics, enum metric metric,
        void (*each)(void *context, const char *label, double value), void *context)
{
	const struct family *family = &metrics->families[metric];
	assert(label_count(metric) == 1);
	for (size_t i = 0; i < family->count; i++)
		each(context, family->series[i]->labels[0], family->series[i]->value);
}

void metrics_remove(struct metrics *metrics, enum metric metric, const char *const *labels)
{
	size_t count = label_count(metric), index;
	if (metrics == NULL || count == 0)
		return;
	struct family *family = &metrics->families[metric];
	struct series *series = family_find(family, labels, count, &index);
	if (series == NULL)
		return;
	series_free(series);
	family->count--;
	memmove(family->series + index, family->series + index + 1,
	        (family->count - index) * sizeof *family->series);
}

/* ---- the page ---- */

static void print_labels(struct buf *out, enum metric metric, const struct series *series, const double *le)
{
	const char *name = declarations[metric].labels, *separator = "{";
	for (size_t i = 0; *name; i++) {
		int size = (int)strcspn(name, ",");
		buf_printf(out, "%s%.*s=\"", separator, size, name);
		expose_label(out, series->labels[i]);
		buf_append_byte(out, '"');
		separator = ",";
		name += size + (name[size] == ',');
	}
	if (le) {
		buf_printf(out, "%sle=\"", separator);
		expose_bound(out, *le);
		buf_append_byte(out, '"');
		separator = ",";
	}
	buf_append_text(out, *separator == ',' ? "} " : " ");
}

/* Name, suffix and labels of a sample; `le` is the upper bound of a bucket or NULL. */
static void print_sample(struct buf *out, enum metric metric, const struct series *series, const char *suffix,
        const double *le)
{
	buf_printf(out, "%s%s", declarations[metric].name, suffix);
	print_labels(out, metric, series, le);
}

static void print_histogram(struct buf *out, enum metric metric, const struct series *series)
{
	const struct histogram *histogram = &series->histogram;
	uint64_t count = 0;
	for (size_t i = 0; i <= histogram->buckets->count; i++) {
		double le = i < histogram->buckets->count ? histogram->buckets->bounds[i] : INFINITY;
		count += histogram->counts[i];
		print_sample(out, metric, series, "_bucket", &le);
		buf_printf(out, "%llu\n", (unsigned long long)count);
	}
	print_sample(out, metric, series, "_sum", NULL);
	expose_number(out, histogram->sum);
	buf_append_byte(out, '\n');
	print_sample(out, metric, series, "_count", NULL);
	buf_printf(out, "%llu\n", (unsigned long long)count);
}

static void print_family(struct metrics *metrics, enum metric metric, enum metrics_form form, struct buf *out)
{
	const struct metric_declaration *declaration = &declarations[metric];
	const struct family *family = &metrics->families[metric];
	if (family->count > 0)
		expose_head(out, form, declaration->name, declaration->type, declaration->help);
	for (size_t i = 0; i < family->count; i++) {
		if (declaration->type == METRIC_HISTOGRAM) {
			print_histogram(out, metric, family->series[i]);
			continue;
		}
		print_sample(out, metric, family->series[i], "", NULL);
		expose_number(out, family->series[i]->value);
		buf_append_byte(out, '\n');
	}
}

void metrics_print(struct metrics *metrics, enum metrics_form form, struct buf *out)
{
	for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
		print_family(metrics, metric, form, out);
	metrics_user_print(metrics->user, form, out);
	if (form == METRICS_OPEN)
		buf_append_text(out, "# EOF\n");
}
