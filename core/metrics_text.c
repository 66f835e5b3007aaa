/* Prometheus text read back into numbers. */
#include "metrics_text.h"
#include "mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MAX = 32 };

/* In place; answers what is behind the closing quote, or NULL. */
static char *read_value(char *at, const char **value)
{
	char *to = at;
	*value = at;
	for (; *at && *at != '"'; at++) {
		bool escaped = *at == '\\' && at[1] != '\0';
		at += escaped;
		*to++ = escaped && *at == 'n' ? '\n' : *at;
	}
	if (*at != '"')
		return NULL;
	*to = '\0';
	return at + 1;
}

/* Answers what is behind the closing brace, or NULL. */
static char *read_labels(char *at, struct metrics_sample *sample)
{
	while (*at != '}') {
		char *equals = strchr(at, '=');
		if (equals == NULL || equals[1] != '"' || sample->label_count == METRICS_TEXT_LABELS)
			return NULL;
		struct metrics_label *label = &sample->labels[sample->label_count++];
		label->name = at;
		*equals = '\0';
		at = read_value(equals + 2, &label->value);
		if (at == NULL)
			return NULL;
		at += *at == ',';
	}
	return at + 1;
}

static bool read_sample(char *line, struct metrics_sample *sample)
{
	size_t name = strcspn(line, "{ ");
	char *at = line + name, *end;
	bool labelled = *at == '{';
	*sample = (struct metrics_sample){.name = line};
	if (name == 0 || *at == '\0')
		return false;
	*at++ = '\0';
	if (labelled && ((at = read_labels(at, sample)) == NULL || *at++ != ' '))
		return false;
	sample->value = strtod(at, &end);
	return end != at && *end == '\0';
}

bool metrics_text_read(struct metrics_text *metrics, const char *text, size_t size)
{
	size_t room = 0;
	char *line, *rest;
	*metrics = (struct metrics_text){.text = mem_dup(text, size)};
	rest = metrics->text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (*line == '#' || *line == '\0')
			continue;
		if (metrics->count == room) {
			room = room ? 2 * room : 256;
			metrics->samples = mem_realloc(metrics->samples, room * sizeof *metrics->samples);
		}
		if (!read_sample(line, &metrics->samples[metrics->count++])) {
			metrics_text_free(metrics);
			return false;
		}
	}
	return true;
}

void metrics_text_free(struct metrics_text *metrics)
{
	mem_free(metrics->samples);
	mem_free(metrics->text);
	*metrics = (struct metrics_text){.samples = NULL};
}

const char *metrics_text_label(const struct metrics_sample *sample, const char *label)
{
	for (size_t i = 0; i < sample->label_count; i++)
		if (strcmp(sample->labels[i].name, label) == 0)
			return sample->labels[i].value;
	return "";
}

static bool is_of(const struct metrics_sample *sample, const char *name, const char *label, const char *value)
{
	return strcmp(sample->name, name) == 0 &&
	       (label == NULL || strcmp(metrics_text_label(sample, label), value) == 0);
}

double metrics_text_sum(
        const struct metrics_text *metrics, const char *name, const char *label, const char *value)
{
	double sum = 0;
	for (size_t i = 0; i < metrics->count; i++)
		if (is_of(&metrics->samples[i], name, label, value))
			sum += metrics->samples[i].value;
	return sum;
}

/* Buckets of a histogram, cumulative, summed over the labels that were not asked for. */
struct buckets {
	double bounds[BUCKETS_MAX], counts[BUCKETS_MAX];
	size_t count;
};

static void add_bucket(struct buckets *buckets, double bound, double value)
{
	size_t i = 0;
	while (i < buckets->count && buckets->bounds[i] != bound)
		i++;
	if (i == BUCKETS_MAX)
		return;
	if (i == buckets->count) {
		buckets->bounds[i] = bound;
		buckets->counts[i] = 0;
		buckets->count++;
	}
	buckets->counts[i] += value;
}

static void add_buckets(struct buckets *buckets, const struct metrics_text *metrics, const char *name,
        const char *label, const char *value, double sign)
{
	char buckets_name[128];
	snprintf(buckets_name, sizeof buckets_name, "%s_bucket", name);
	for (size_t i = 0; i < metrics->count; i++) {
		const struct metrics_sample *sample = &metrics->samples[i];
		if (is_of(sample, buckets_name, label, value))
			add_bucket(buckets, strtod(metrics_text_label(sample, "le"), NULL),
			        sign * sample->value);
	}
}

double metrics_text_quantile(const struct metrics_text *now, const struct metrics_text *before,
        const char *name, const char *label, const char *value, double quantile)
{
	struct buckets buckets = {.count = 0};
	add_buckets(&buckets, now, name, label, value, 1);
	if (before)
		add_buckets(&buckets, before, name, label, value, -1);
	double all = buckets.count ? buckets.counts[buckets.count - 1] : 0;
	if (all <= 0)
		return NAN;
	size_t i = 0;
	while (i + 1 < buckets.count && buckets.counts[i] < quantile * all)
		i++;
	if (isinf(buckets.bounds[i]))
		return INFINITY;
	double below = i ? buckets.counts[i - 1] : 0, from = i ? buckets.bounds[i - 1] : 0;
	double within = buckets.counts[i] - below;
	return within > 0 ? from + (buckets.bounds[i] - from) * (quantile * all - below) / within
	                  : buckets.bounds[i];
}
