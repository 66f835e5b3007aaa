/* What `millrace top` shows: one frame made of two looks at an engine. */
#include "clock.h"
#include "command_top.h"
#include "mem.h"
#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 400, BAR = 20, FAILURES_SHOWN = 4, CELL = 32, PARTITIONS_MAX = 10000 };

/* In a line's text: what follows is shown so. */
#define PLAIN "\1"
#define STRONG "\2"
#define HEAD "\3"
#define GOOD "\4"
#define WARN "\5"
#define BAD "\6"

/* ---- a look ---- */

void top_look_init(struct top_look *look)
{
	*look = (struct top_look){.at = 0};
	buf_init(&look->status, 0);
	jsontree_init(&look->tree);
}

bool top_look_read(struct top_look *look, const struct buf *metrics, const struct buf *status)
{
	metrics_text_free(&look->metrics);
	buf_clear(&look->status);
	buf_append(&look->status, status->data, status->size);
	return metrics->size && metrics_text_read(&look->metrics, metrics->data, metrics->size) &&
	       status->size &&
	       jsontree_parse(&look->tree, look->status.data, look->status.size, NULL, NULL) &&
	       look->tree.nodes[0].kind == JSONTREE_OBJECT;
}

void top_look_free(struct top_look *look)
{
	metrics_text_free(&look->metrics);
	buf_free(&look->status);
	jsontree_free(&look->tree);
}

static double value(const struct top_look *look, const char *name)
{
	return metrics_text_sum(&look->metrics, name, NULL, NULL);
}

static double value_of(const struct top_look *look, const char *name, const char *label, const char *is)
{
	return metrics_text_sum(&look->metrics, name, label, is);
}

bool top_same_process(const struct top_look *a, const struct top_look *b)
{
	static const char started[] = "process_start_time_seconds";
	return fabs(value(a, started) - value(b, started)) < 1;
}

/* The text of a member of the status, or of an object in it; "" where there is none. */
static const char *status(const struct top_look *look, const char *object, const char *name, struct buf *room)
{
	uint32_t at = object ? jsontree_member(&look->tree, 0, object, strlen(object)) : 0;
	buf_clear(room);
	if (object && (at == 0 || look->tree.nodes[at].kind != JSONTREE_OBJECT))
		return "";
	at = jsontree_member(&look->tree, at, name, strlen(name));
	if (at == 0 || look->tree.nodes[at].kind == JSONTREE_NULL)
		return "";
	struct buf scratch;
	buf_init(&scratch, 0);
	struct bytes text = look->tree.nodes[at].kind == JSONTREE_STRING
	                            ? jsontree_string(&look->tree, at, &scratch)
	                            : jsontree_raw(&look->tree, at);
	buf_append(room, text.data, text.size);
	buf_free(&scratch);
	return room->size ? room->data : "";
}

/* ---- numbers for people, in cells ---- */

static const char *amount(double number, char cell[CELL])
{
	if (isnan(number))
		snprintf(cell, CELL, "-");
	else if (fabs(number) < 0.05)
		snprintf(cell, CELL, "%s", number == 0 ? "0" : "< 0.1");
	else if (fabs(number) < 1000)
		snprintf(cell, CELL, "%.1f", number);
	else if (fabs(number) < 1e6)
		snprintf(cell, CELL, "%.0f", number);
	else
		snprintf(cell, CELL, "%.1f M", number / 1e6);
	return cell;
}

static const char *seconds(double number, char cell[CELL])
{
	if (isnan(number))
		snprintf(cell, CELL, "-");
	else if (isinf(number))
		snprintf(cell, CELL, "more");
	else if (number == 0)
		snprintf(cell, CELL, "0 s");
	else if (number < 0.001)
		snprintf(cell, CELL, "%.0f us", number * 1e6);
	else if (number < 0.01)
		snprintf(cell, CELL, "%.1f ms", number * 1e3);
	else if (number < 1)
		snprintf(cell, CELL, "%.0f ms", number * 1e3);
	else
		text_human_duration((int64_t)(number * 1000), cell);
	return cell;
}

static const char *bytes(double number, char cell[CELL])
{
	text_human_bytes(number > 0 ? (uint64_t)number : 0, cell);
	return cell;
}

static const char *percent(double part, double whole, char cell[CELL])
{
	double share = whole > 0 ? 100 * part / whole : NAN;
	if (isnan(share))
		snprintf(cell, CELL, "-");
	else
		snprintf(cell, CELL,
		        share > 0 && (share < 9.95 || (share > 99 && share < 100)) ? "%.2f %%" : "%.0f %%",
		        share);
	return cell;
}

/* ---- lines ---- */

struct picture {
	const struct top_frame *frame;
	double elapsed; /* seconds between the looks */
	char *lines[LINES_MAX];
	size_t count;
	struct buf room; /* for texts of the status */
};

static void line(struct picture *picture, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct picture *picture, const char *format, ...)
{
	struct buf text;
	va_list args;
	if (picture->count == LINES_MAX)
		return;
	buf_init(&text, 0);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	picture->lines[picture->count++] = buf_steal(&text, NULL);
}

static double rate(const struct picture *picture, const char *name, const char *label, const char *is)
{
	const struct top_frame *frame = picture->frame;
	double grown = value_of(frame->now, name, label, is) - value_of(frame->before, name, label, is);
	return picture->elapsed > 0 ? grown / picture->elapsed : NAN;
}

static double quantile(
        const struct picture *picture, const char *name, const char *label, const char *is, double which)
{
	return metrics_text_quantile(
	        &picture->frame->now->metrics, &picture->frame->before->metrics, name, label, is, which);
}

static double records(const struct picture *picture, const char *state)
{
	return value_of(picture->frame->now, "millrace_records", "state", state);
}

/* ---- the head ---- */

static const char *state_style(const char *state)
{
	return strcmp(state, "running") == 0 ? GOOD : WARN;
}

static void draw_title(struct picture *picture)
{
	const struct top_look *now = picture->frame->now;
	char up[32], clock[CLOCK_TEXT];
	double started = value(now, "process_start_time_seconds");
	char *name = mem_strdup(status(now, NULL, "name", &picture->room));
	char *version = mem_strdup(status(now, NULL, "version", &picture->room));
	char *group = mem_strdup(status(now, NULL, "group", &picture->room));
	const char *state = status(now, NULL, "state", &picture->room);
	text_human_duration(now->wall - (int64_t)(started * 1000), up);
	clock_format(now->wall, clock);
	line(picture, STRONG "%s" PLAIN "   %s%s" PLAIN "   up %s   millrace %s", name, state_style(state),
	        state, up, version);
	line(picture, "%s   group %s   %.8sZ%s", picture->frame->url, *group ? group : "-", clock + 11,
	        picture->frame->paused ? WARN "   paused: p goes on" PLAIN : "");
	if (picture->frame->trouble)
		line(picture, BAD "%s; this picture is an old one" PLAIN, picture->frame->trouble);
	mem_free(name);
	mem_free(version);
	mem_free(group);
}

static double oldest(const struct top_look *now)
{
	double most = 0;
	for (size_t i = 0; i < now->metrics.count; i++)
		if (strcmp(now->metrics.samples[i].name, "millrace_freshness_lag_seconds") == 0 &&
		        now->metrics.samples[i].value > most)
			most = now->metrics.samples[i].value;
	return most;
}

static void draw_pauses(struct picture *picture)
{
	const struct top_look *now = picture->frame->now;
	static const char name[] = "millrace_paused_seconds_total";
	for (size_t i = 0; i < now->metrics.count; i++) {
		const struct metrics_sample *sample = &now->metrics.samples[i];
		const char *reason = metrics_text_label(sample, "reason");
		char cell[CELL];
		if (strcmp(sample->name, name) == 0 && rate(picture, name, "reason", reason) > 0.01)
			line(picture, WARN "intake stands still: %s, %s of the time" PLAIN, reason,
			        percent(rate(picture, name, "reason", reason), 1, cell));
	}
}

static void draw_tiles(struct picture *picture)
{
	const struct top_look *now = picture->frame->now;
	static const char events[] = "millrace_events_total";
	char lag[CELL], fresh[CELL], enriched[CELL], failed[CELL], open[CELL], limit[CELL];
	double ended = value(now, events), failures = rate(picture, events, "outcome", "failed");
	snprintf(open, sizeof open, "%.0f", value(now, "millrace_open_records"));
	snprintf(limit, sizeof limit, "%.0f", value(now, "millrace_open_records_limit"));
	snprintf(lag, sizeof lag, "%.0f", value(now, "millrace_kafka_consumer_lag_records"));
	line(picture,
	        "lag " STRONG "%s" PLAIN "   fresh " STRONG "%s" PLAIN "   enriched " STRONG "%s" PLAIN
	        "   failed %s%s/s" PLAIN "   open %s of %s",
	        lag, seconds(oldest(now), fresh),
	        percent(value_of(now, events, "outcome", "enriched"), ended, enriched),
	        failures > 0 ? BAD : STRONG, amount(failures, failed), open, limit);
	draw_pauses(picture);
}

/* ---- stages ---- */

struct stage {
	const char *name;
	double rate, bytes, held, busy, p50, p95, errors; /* NaN = the stage has no such number */
	bool timed;                                       /* nobody passing through is worth a dash */
};

static const char *held(double number, char cell[CELL])
{
	cell[0] = '\0';
	if (!isnan(number))
		snprintf(cell, CELL, "%.0f", number);
	return cell;
}

static const char *or_blank(double number, const char *cell)
{
	return isnan(number) ? "" : cell;
}

static void draw_stage(struct picture *picture, const struct stage *stage)
{
	char rates[CELL], in[CELL], here[CELL], busy[CELL], p50[CELL], p95[CELL], errors[CELL],
	        size[CELL + 2];
	snprintf(size, sizeof size, "%s/s", bytes(stage->bytes, in));
	amount(stage->rate, rates);
	percent(stage->busy, 1, busy);
	seconds(stage->p50, p50);
	seconds(stage->p95, p95);
	amount(stage->errors, errors);
	line(picture, "%-10s %9s %12s %7s %8s %9s %9s %s%8s" PLAIN, stage->name, or_blank(stage->rate, rates),
	        or_blank(stage->bytes, size), held(stage->held, here), or_blank(stage->busy, busy),
	        stage->timed ? p50 : "", stage->timed ? p95 : "", stage->errors > 0 ? BAD : PLAIN,
	        or_blank(stage->errors, errors));
}

static struct stage hook_stage(const struct picture *picture, const char *hook)
{
	return (struct stage){.name = hook,
	        .rate = rate(picture, "millrace_script_duration_seconds_count", "hook", hook),
	        .bytes = NAN,
	        .held = NAN,
	        .timed = true,
	        .busy = rate(picture, "millrace_script_duration_seconds_sum", "hook", hook),
	        .p50 = quantile(picture, "millrace_script_duration_seconds", "hook", hook, .5),
	        .p95 = quantile(picture, "millrace_script_duration_seconds", "hook", hook, .95),
	        .errors = NAN};
}

/* Calls with a status of 2xx are no errors, and neither is an accepted one that nobody asked again; what the
 * engine counts as trouble are retries. */
static struct stage http_stage(const struct picture *picture)
{
	const struct top_look *now = picture->frame->now;
	double limit = value(now, "millrace_http_concurrency_limit");
	return (struct stage){.name = "ask",
	        .rate = rate(picture, "millrace_http_lookups_total", NULL, NULL),
	        .bytes = rate(picture, "millrace_http_response_bytes_total", NULL, NULL),
	        .held = records(picture, "asking"),
	        .timed = true,
	        .busy = limit > 0 ? value(now, "millrace_http_in_flight") / limit : NAN,
	        .p50 = quantile(picture, "millrace_http_request_duration_seconds", NULL, NULL, .5),
	        .p95 = quantile(picture, "millrace_http_request_duration_seconds", NULL, NULL, .95),
	        .errors = rate(picture, "millrace_http_retries_total", NULL, NULL)};
}

static void draw_stages(struct picture *picture)
{
	struct stage take = {.name = "take",
	        .rate = rate(picture, "millrace_source_records_total", NULL, NULL),
	        .bytes = rate(picture, "millrace_source_bytes_total", NULL, NULL),
	        .held = records(picture, "taken") + records(picture, "decoded"),
	        .busy = NAN,
	        .p50 = NAN,
	        .p95 = NAN,
	        .errors = NAN};
	struct stage request = hook_stage(picture, "request"), transform = hook_stage(picture, "transform");
	struct stage ask = http_stage(picture);
	struct stage order = {.name = "order",
	        .rate = NAN,
	        .bytes = NAN,
	        .held = records(picture, "made"),
	        .busy = NAN,
	        .p50 = NAN,
	        .p95 = NAN,
	        .errors = NAN};
	struct stage send = {.name = "send",
	        .rate = rate(picture, "millrace_sink_events_total", NULL, NULL),
	        .bytes = rate(picture, "millrace_sink_bytes_total", NULL, NULL),
	        .held = records(picture, "released") + records(picture, "sending"),
	        .timed = true,
	        .busy = NAN,
	        .p50 = quantile(picture, "millrace_sink_delivery_seconds", NULL, NULL, .5),
	        .p95 = quantile(picture, "millrace_sink_delivery_seconds", NULL, NULL, .95),
	        .errors = rate(picture, "millrace_sink_errors_total", NULL, NULL)};
	transform.held = records(picture, "answered") + records(picture, "resting");
	transform.errors = rate(picture, "millrace_script_errors_total", NULL, NULL);
	line(picture, HEAD "%-10s %9s %12s %7s %8s %9s %9s %8s" PLAIN, "STAGE", "RATE/s", "BYTES", "HELD",
	        "BUSY", "P50", "P95", "ERR/s");
	const struct stage *all[] = {&take, &request, &ask, &transform, &order, &send};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		draw_stage(picture, all[i]);
}

/* ---- upstreams, scripts, memory, failures ---- */

static const char *circuit(const struct top_look *now, const char *upstream)
{
	for (size_t i = 0; i < now->metrics.count; i++) {
		const struct metrics_sample *sample = &now->metrics.samples[i];
		if (strcmp(sample->name, "millrace_http_circuit_state") == 0 && sample->value == 1 &&
		        strcmp(metrics_text_label(sample, "upstream"), upstream) == 0)
			return metrics_text_label(sample, "state");
	}
	return "-";
}

static void draw_upstream(struct picture *picture, const char *name)
{
	const struct top_look *now = picture->frame->now;
	char calls[CELL], lookups[CELL], p95[CELL], again[CELL], flight[CELL];
	const char *state = circuit(now, name);
	double retries = rate(picture, "millrace_http_retries_total", "upstream", name);
	snprintf(flight, sizeof flight, "%.0f/%.0f",
	        value_of(now, "millrace_http_in_flight", "upstream", name),
	        value_of(now, "millrace_http_concurrency_limit", "upstream", name));
	line(picture, "%-14.14s %8s %9s %9s %8.0f %8s %s%8s" PLAIN "  %s%s" PLAIN, name,
	        amount(rate(picture, "millrace_http_request_duration_seconds_count", "upstream", name),
	                calls),
	        amount(rate(picture, "millrace_http_lookups_total", "upstream", name), lookups), flight,
	        value_of(now, "millrace_http_waiting_lookups", "upstream", name),
	        seconds(quantile(picture, "millrace_http_request_duration_seconds", "upstream", name, .95),
	                p95),
	        retries > 0 ? WARN : PLAIN, amount(retries, again), strcmp(state, "closed") ? BAD : PLAIN,
	        state);
}

static void draw_upstreams(struct picture *picture)
{
	const struct top_look *now = picture->frame->now;
	bool any = false;
	for (size_t i = 0; i < now->metrics.count; i++) {
		const struct metrics_sample *sample = &now->metrics.samples[i];
		if (strcmp(sample->name, "millrace_http_concurrency_limit") != 0)
			continue;
		if (!any) {
			line(picture, "%s", "");
			line(picture, HEAD "%-14s %8s %9s %9s %8s %8s %8s  %s" PLAIN, "UPSTREAM", "CALLS/s",
			        "LOOKUPS/s", "IN FLIGHT", "WAITING", "P95", "AGAIN/s", "CIRCUIT");
		}
		any = true;
		draw_upstream(picture, metrics_text_label(sample, "upstream"));
	}
}

static void draw_script(struct picture *picture)
{
	const struct top_look *now = picture->frame->now;
	char *path = mem_strdup(status(now, "script", "path", &picture->room));
	char *sha = mem_strdup(status(now, "script", "sha256", &picture->room));
	char *loaded = mem_strdup(status(now, "script", "loaded_at", &picture->room));
	char *states = mem_strdup(status(now, "script", "states", &picture->room));
	const char *error = status(now, "script", "last_error", &picture->room);
	line(picture, HEAD "SCRIPT" PLAIN "   %.12s   loaded %.19sZ   %s state%s   %s", sha, loaded, states,
	        strcmp(states, "1") ? "s" : "", path);
	if (*error)
		line(picture, BAD "         the last reload failed: %.*s" PLAIN, (int)strcspn(error, "\n"),
		        error);
	mem_free(path);
	mem_free(sha);
	mem_free(loaded);
	mem_free(states);
}

static void draw_memory(struct picture *picture)
{
	const struct top_look *now = picture->frame->now;
	char used[CELL], limit[CELL], resident[CELL], bar[BAR + 1], cell[CELL];
	double all = value(now, "millrace_memory_bytes"), most = value(now, "millrace_memory_limit_bytes");
	size_t full = most > 0 && all < most ? (size_t)(BAR * all / most) : most > 0 ? BAR : 0;
	struct buf kinds;
	buf_init(&kinds, 0);
	memset(bar, '.', BAR);
	memset(bar, '#', full);
	bar[BAR] = '\0';
	for (size_t i = 0; i < now->metrics.count; i++) {
		const struct metrics_sample *sample = &now->metrics.samples[i];
		if (strcmp(sample->name, "millrace_memory_bytes") == 0 && sample->value >= 1e6)
			buf_printf(&kinds, "%s%s %s", kinds.size ? ", " : "",
			        metrics_text_label(sample, "kind"), bytes(sample->value, cell));
	}
	line(picture, HEAD "MEMORY" PLAIN "   [%s%s" PLAIN "] %s of %s charged, %s resident",
	        full * 10 > BAR * 9 ? WARN : GOOD, bar, bytes(all, used), bytes(most, limit),
	        bytes(value(now, "process_resident_memory_bytes"), resident));
	if (kinds.size)
		line(picture, "         %s", kinds.data);
	buf_free(&kinds);
}

struct entry {
	const char *kind, *name;
	double total, rate;
};

static int more_of(const void *a, const void *b)
{
	const struct entry *one = a, *two = b;
	if (one->rate != two->rate)
		return one->rate < two->rate ? 1 : -1;
	return one->total < two->total ? 1 : one->total > two->total ? -1 : strcmp(one->name, two->name);
}

static size_t collect(struct picture *picture, const char *metric, const char *label, const char *kind,
        struct entry *entries, size_t count, size_t room)
{
	const struct metrics_text *metrics = &picture->frame->now->metrics;
	for (size_t i = 0; i < metrics->count && count < room; i++) {
		const struct metrics_sample *sample = &metrics->samples[i];
		if (strcmp(sample->name, metric) != 0 || sample->value == 0)
			continue;
		const char *name = metrics_text_label(sample, label);
		entries[count++] =
		        (struct entry){kind, name, sample->value, rate(picture, metric, label, name)};
	}
	return count;
}

static void draw_reasons(struct picture *picture)
{
	struct entry entries[128];
	char cell[CELL];
	size_t count = collect(picture, "millrace_failures_total", "type", "failed", entries, 0, 64);
	count = collect(picture, "millrace_drops_total", "reason", "dropped", entries, count, 128);
	if (count == 0)
		return;
	qsort(entries, count, sizeof *entries, more_of);
	line(picture, "%s", "");
	line(picture, HEAD "%-8s %-40s %9s %12s" PLAIN, "OUTCOME", "WHY", "RATE/s", "TOTAL");
	for (size_t i = 0; i < count && i < FAILURES_SHOWN; i++)
		line(picture, "%-8s %-40.40s %9s %12.0f", entries[i].kind, entries[i].name,
		        amount(entries[i].rate, cell), entries[i].total);
	if (count > FAILURES_SHOWN)
		line(picture, "         and %zu more", count - FAILURES_SHOWN);
}

/* ---- partitions ---- */

struct partition_row {
	const char *topic, *partition;
	double lag, fresh;
};

static int by_name(const void *a, const void *b)
{
	const struct partition_row *one = a, *two = b;
	int order = strcmp(one->topic, two->topic);
	return order ? order : atoi(one->partition) - atoi(two->partition);
}

static int by_lag(const void *a, const void *b)
{
	const struct partition_row *one = a, *two = b;
	return one->lag != two->lag ? (one->lag < two->lag ? 1 : -1) : by_name(a, b);
}

static int by_freshness(const void *a, const void *b)
{
	const struct partition_row *one = a, *two = b;
	return one->fresh != two->fresh ? (one->fresh < two->fresh ? 1 : -1) : by_name(a, b);
}

static double lag_of(const struct metrics_text *metrics, const struct partition_row *row)
{
	for (size_t i = 0; i < metrics->count; i++) {
		const struct metrics_sample *sample = &metrics->samples[i];
		if (strcmp(sample->name, "millrace_kafka_consumer_lag_records") == 0 &&
		        strcmp(metrics_text_label(sample, "topic"), row->topic) == 0 &&
		        strcmp(metrics_text_label(sample, "partition"), row->partition) == 0)
			return sample->value;
	}
	return NAN;
}

static size_t find_partitions(const struct metrics_text *metrics, struct partition_row **rows)
{
	size_t count = 0;
	*rows = NULL;
	for (size_t i = 0; i < metrics->count && count < PARTITIONS_MAX; i++) {
		const struct metrics_sample *sample = &metrics->samples[i];
		if (strcmp(sample->name, "millrace_freshness_lag_seconds") != 0)
			continue;
		*rows = mem_realloc(*rows, (count + 1) * sizeof **rows);
		(*rows)[count] = (struct partition_row){.topic = metrics_text_label(sample, "topic"),
		        .partition = metrics_text_label(sample, "partition"),
		        .fresh = sample->value};
		(*rows)[count].lag = lag_of(metrics, &(*rows)[count]);
		count++;
	}
	return count;
}

/* As many as there is room for. */
static void draw_partitions(struct picture *picture)
{
	static int (*const orders[TOP_SORTS])(const void *, const void *) = {
	        [TOP_BY_LAG] = by_lag, [TOP_BY_FRESHNESS] = by_freshness, [TOP_BY_NAME] = by_name};
	static const char *const names[TOP_SORTS] = {[TOP_BY_LAG] = "TOPIC (by lag)",
	        [TOP_BY_FRESHNESS] = "TOPIC (by freshness)",
	        [TOP_BY_NAME] = "TOPIC"};
	struct partition_row *rows;
	size_t count = find_partitions(&picture->frame->now->metrics, &rows);
	size_t height = picture->frame->height ? picture->frame->height : LINES_MAX;
	size_t room = height > picture->count + 3 ? height - picture->count - 3 : 0, shown = count;
	if (count && room) {
		qsort(rows, count, sizeof *rows, orders[picture->frame->sort]);
		line(picture, "%s", "");
		line(picture, HEAD "%-47s %9s %10s %10s" PLAIN, names[picture->frame->sort], "PARTITION",
		        "LAG", "FRESH");
		if (shown > room)
			shown = room - 1;
		for (size_t i = 0; i < shown; i++) {
			char lag[CELL], fresh[CELL];
			snprintf(lag, sizeof lag, isnan(rows[i].lag) ? "-" : "%.0f", rows[i].lag);
			line(picture, "%-47.47s %9s %10s %10s", rows[i].topic, rows[i].partition, lag,
			        seconds(rows[i].fresh, fresh));
		}
		if (shown < count)
			line(picture, "and %zu more", count - shown);
	}
	mem_free(rows);
}

/* ---- the frame ---- */

static const char *style(char mark)
{
	static const char *const escapes[] = {
	        "", "\033[0m", "\033[1m", "\033[1;36m", "\033[1;32m", "\033[1;33m", "\033[1;31m"};
	return escapes[(unsigned char)mark];
}

static void show_line(const struct top_frame *frame, const char *text, struct buf *out)
{
	size_t left = strlen(text);
	unsigned column = 0;
	bool styled = false;
	while (left > 0) {
		size_t size = 1;
		if (*text >= PLAIN[0] && *text <= BAD[0]) {
			styled = *text != PLAIN[0];
			buf_append_text(out, frame->colour ? style(*text) : "");
		} else if (column++ < frame->width) {
			size = text_show_character(out, text, left);
		}
		text += size;
		left -= size;
	}
	while (!frame->colour && out->size && out->data[out->size - 1] == ' ')
		out->data[--out->size] = '\0';
	buf_append_text(out, styled && frame->colour ? style(PLAIN[0]) : "");
	buf_append_byte(out, '\n');
}

void top_draw(const struct top_frame *frame, struct buf *out)
{
	struct picture *picture = mem_zalloc(1, sizeof *picture);
	picture->frame = frame;
	picture->elapsed = (double)(frame->now->at - frame->before->at) / 1000;
	buf_init(&picture->room, 0);
	draw_title(picture);
	line(picture, "%s", "");
	draw_tiles(picture);
	line(picture, "%s", "");
	draw_stages(picture);
	draw_upstreams(picture);
	line(picture, "%s", "");
	draw_memory(picture);
	draw_script(picture);
	draw_reasons(picture);
	draw_partitions(picture);
	for (size_t i = 0; i < picture->count; i++) {
		if (frame->height == 0 || i < frame->height)
			show_line(frame, picture->lines[i], out);
		mem_free(picture->lines[i]);
	}
	buf_free(&picture->room);
	mem_free(picture);
}
