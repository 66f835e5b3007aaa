/* Counters, gauges and histograms, declared once, printed as Prometheus text. */
#include "metrics.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERIES_MAX = 200, BOUNDS_MAX = 16 };

/* Upper bounds of a histogram's buckets in seconds, ascending; +Inf is understood. */
struct buckets {
	size_t count;
	double bounds[BOUNDS_MAX];
};

static const struct buckets buckets_NONE = {0, {0}};
static const struct buckets buckets_BATCH = {8, {1, 2, 5, 10, 20, 50, 100, 200}};
static const struct buckets buckets_TURN = {8, {.001, .005, .01, .05, .1, .5, 1, 5}};
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
};

const struct metric_declaration *metrics_declaration(enum metric metric)
{
	return &declarations[metric];
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

static struct series *series_at(struct metrics *metrics, enum metric metric, const char *const *labels)
{
	static const char *const other[METRIC_LABELS_MAX] = {"other", "other", "other", "other", "other"};
	struct family *family = &metrics->families[metric];
	size_t count = label_count(metric), index;
	for (size_t i = 0; i < count; i++)
		assert(labels[i] != NULL);
	struct series *series = family_find(family, labels, count, &index);
	if (series == NULL && family->count >= SERIES_MAX) {
		if (!family->full)
			log_warn("metrics", "%s has %d label sets; further ones are counted as \"other\"",
			        declarations[metric].name, SERIES_MAX);
		family->full = true;
		labels = other;
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

/* The shortest text that reads back as the same number; whole numbers without an exponent. */
static void print_number(struct buf *out, double value)
{
	if (isnan(value) || isinf(value)) {
		buf_append_text(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
		return;
	}
	if (fabs(value) < 1e18 && value == floor(value)) {
		buf_printf(out, "%.0f", value + 0.0); /* no "-0" */
		return;
	}
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	buf_append_text(out, text);
}

/* One byte that is not UTF-8 would make a scraper refuse the whole page. */
static void print_label_value(struct buf *out, const char *value)
{
	size_t left = strlen(value), plain = text_utf8_valid(value, left);
	while (left > 0) {
		for (; plain > 0; plain--, left--, value++) {
			if (*value == '\\' || *value == '"' || *value == '\n')
				buf_append_byte(out, '\\');
			buf_append_byte(out, *value == '\n' ? 'n' : *value);
		}
		if (left > 0) {
			buf_append_text(out, "\xEF\xBF\xBD");
			value++;
			left--;
		}
		plain = text_utf8_valid(value, left);
	}
}

/* Name, suffix and labels of a sample; `le` is the upper bound of a bucket or NULL. */
static void print_sample(struct buf *out, enum metric metric, const struct series *series, const char *suffix,
        const double *le)
{
	const char *name = declarations[metric].labels, *separator = "{";
	buf_printf(out, "%s%s", declarations[metric].name, suffix);
	for (size_t i = 0; *name; i++) {
		int size = (int)strcspn(name, ",");
		buf_printf(out, "%s%.*s=\"", separator, size, name);
		print_label_value(out, series->labels[i]);
		buf_append_byte(out, '"');
		separator = ",";
		name += size + (name[size] == ',');
	}
	if (le) {
		buf_printf(out, "%sle=\"", separator);
		print_number(out, *le);
		buf_append_byte(out, '"');
		separator = ",";
	}
	buf_append_text(out, *separator == ',' ? "} " : " ");
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
	print_number(out, histogram->sum);
	buf_append_byte(out, '\n');
	print_sample(out, metric, series, "_count", NULL);
	buf_printf(out, "%llu\n", (unsigned long long)count);
}

void metrics_print(struct metrics *metrics, struct buf *out)
{
	static const char *const types[] = {
	        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
	for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
		const struct metric_declaration *declaration = &declarations[metric];
		const struct family *family = &metrics->families[metric];
		if (family->count > 0)
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", declaration->name, declaration->help,
			        declaration->name, types[declaration->type]);
		for (size_t i = 0; i < family->count; i++) {
			if (declaration->type == METRIC_HISTOGRAM) {
				print_histogram(out, metric, family->series[i]);
				continue;
			}
			print_sample(out, metric, family->series[i], "", NULL);
			print_number(out, family->series[i]->value);
			buf_append_byte(out, '\n');
		}
	}
}
