/* What scripts count. */
#include "metrics_user.h"
#include "log.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One set of labels of one counter; the labels are kept as they are printed. */
struct user_series {
	char *labels;
	double value;
};

struct user_counter {
	char *name, *help;
	struct user_series *series;
	size_t count;
};

struct metrics_user {
	struct user_counter *counters; /* in the order of their first use */
	size_t count, series;
	double dropped;
	struct buf labels; /* of the call that runs */
};

struct metrics_user *metrics_user_open(void)
{
	struct metrics_user *user = mem_zalloc(1, sizeof *user);
	buf_init(&user->labels, 0);
	return user;
}

void metrics_user_close(struct metrics_user *user)
{
	for (size_t i = 0; i < user->count; i++) {
		struct user_counter *counter = &user->counters[i];
		for (size_t k = 0; k < counter->count; k++)
			mem_free(counter->series[k].labels);
		mem_free(counter->series);
		mem_free(counter->name);
		mem_free(counter->help);
	}
	mem_free(user->counters);
	buf_free(&user->labels);
	mem_free(user);
}

static void spell_labels(
        struct buf *out, const char *const *labels, const char *const *values, size_t label_count)
{
	buf_clear(out);
	for (size_t i = 0; i < label_count; i++) {
		buf_printf(out, "%s%s=\"", i ? "," : "", labels[i]);
		expose_label(out, values[i]);
		buf_append_byte(out, '"');
	}
	buf_append_byte(out, '\0');
}

static struct user_counter *find_counter(const struct metrics_user *user, const char *name)
{
	for (size_t i = 0; i < user->count; i++)
		if (strcmp(user->counters[i].name, name) == 0)
			return &user->counters[i];
	return NULL;
}

static struct user_counter *add_counter(struct metrics_user *user, const char *name, const char *help)
{
	user->counters = mem_realloc(user->counters, (user->count + 1) * sizeof *user->counters);
	user->counters[user->count] =
	        (struct user_counter){.name = mem_strdup(name), .help = mem_strdup(help)};
	return &user->counters[user->count++];
}

static struct user_series *add_series(struct metrics_user *user, struct user_counter *counter)
{
	counter->series = mem_realloc(counter->series, (counter->count + 1) * sizeof *counter->series);
	counter->series[counter->count] = (struct user_series){.labels = mem_strdup(user->labels.data)};
	user->series++;
	return &counter->series[counter->count++];
}

static struct user_series *series_of(const struct user_counter *counter, const char *labels)
{
	for (size_t i = 0; i < counter->count; i++)
		if (strcmp(counter->series[i].labels, labels) == 0)
			return &counter->series[i];
	return NULL;
}

static void drop(struct metrics_user *user, const char *name)
{
	user->dropped++;
	log_throttled(LOG_WARN, "metrics",
	        "the script's counters have %d series together; more label values are not counted "
	        "(millrace_user_series_dropped_total), the last one of '%s'",
	        METRICS_USER_SERIES, name);
}

void metrics_user_add(struct metrics_user *user, const char *name, const char *help,
        const char *const *labels, const char *const *values, size_t label_count, double count)
{
	spell_labels(&user->labels, labels, values, label_count);
	struct user_counter *counter = find_counter(user, name);
	struct user_series *series = counter ? series_of(counter, user->labels.data) : NULL;
	if (series == NULL && user->series == METRICS_USER_SERIES) {
		drop(user, name);
		return;
	}
	if (series == NULL)
		series = add_series(user, counter ? counter : add_counter(user, name, help));
	series->value += count;
}

void metrics_user_print(const struct metrics_user *user, enum metrics_form form, struct buf *out)
{
	char name[METRICS_USER_NAME + sizeof "millrace_user__total"];
	for (size_t i = 0; i < user->count; i++) {
		const struct user_counter *counter = &user->counters[i];
		snprintf(name, sizeof name, "millrace_user_%s_total", counter->name);
		expose_head(out, form, name, METRIC_COUNTER, counter->help);
		for (size_t k = 0; k < counter->count; k++) {
			const char *labels = counter->series[k].labels;
			buf_printf(out, *labels ? "%s{%s} " : "%s%s ", name, labels);
			expose_number(out, counter->series[k].value);
			buf_append_byte(out, '\n');
		}
	}
}

double metrics_user_dropped(const struct metrics_user *user)
{
	return user->dropped;
}

void metrics_user_each(const struct metrics_user *user,
        void (*each)(void *context, const char *name, const char *labels, double value), void *context)
{
	for (size_t i = 0; i < user->count; i++)
		for (size_t k = 0; k < user->counters[i].count; k++)
			each(context, user->counters[i].name, user->counters[i].series[k].labels,
			        user->counters[i].series[k].value);
}
