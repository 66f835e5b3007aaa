/* `millrace errors list`: the error events as a table, and how many there are of each type. */
#include "clock.h"
#include "command_errors.h"
#include "command_group.h"
#include "explain.h"
#include "mem.h"
#include "table.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SHOWN = 90, KEY_SHOWN = 48, TYPES_COUNTED = 200 };

struct row {
	int64_t when;
	uint64_t number; /* in the order of reading */
	char *type, *source, *place, *domain, *key, *message;
	bool partial;
};

struct tally {
	char *type;
	uint64_t count;
	int64_t first, last;
};

struct listing {
	const struct errors_job *job;
	struct errorevent_reader reader;
	struct row *rows;
	size_t count, capacity;
	struct tally *tallies;
	size_t tally_count;
	uint64_t total;
};

static void row_free(struct row *row)
{
	mem_free(row->type);
	mem_free(row->source);
	mem_free(row->place);
	mem_free(row->domain);
	mem_free(row->key);
	mem_free(row->message);
}

static int by_time(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/* Sorts, and leaves the newest `most`. */
static void keep_newest(struct listing *listing, size_t most)
{
	if (listing->count > 1)
		qsort(listing->rows, listing->count, sizeof *listing->rows, by_time);
	if (most == 0 || listing->count <= most)
		return;
	size_t old = listing->count - most;
	for (size_t i = 0; i < old; i++)
		row_free(&listing->rows[i]);
	memmove(listing->rows, listing->rows + old, most * sizeof *listing->rows);
	listing->count = most;
}

static struct row *add_row(struct listing *listing)
{
	size_t most = listing->job->options->most;
	if (most && listing->count >= 2 * most)
		keep_newest(listing, most);
	if (listing->count == listing->capacity) {
		listing->capacity = listing->capacity ? listing->capacity * 2 : 64;
		listing->rows = mem_realloc(listing->rows, listing->capacity * sizeof *listing->rows);
	}
	return &listing->rows[listing->count++];
}

static void count_type(struct listing *listing, const char *type, int64_t when)
{
	struct tally *tally = NULL;
	if (listing->tally_count >= TYPES_COUNTED)
		type = "(another type)";
	for (size_t i = 0; i < listing->tally_count && tally == NULL; i++)
		if (strcmp(listing->tallies[i].type, type) == 0)
			tally = &listing->tallies[i];
	if (tally == NULL) {
		listing->tallies =
		        mem_realloc(listing->tallies, (listing->tally_count + 1) * sizeof *listing->tallies);
		tally = &listing->tallies[listing->tally_count++];
		*tally = (struct tally){.type = mem_strdup(type), .first = when, .last = when};
	}
	tally->count++;
	if (when < tally->first)
		tally->first = when;
	if (when > tally->last)
		tally->last = when;
}

/* `most` 0: all of it, as it is. */
static char *line_of(struct bytes text, size_t most)
{
	struct buf out;
	if (most == 0)
		return mem_dup(text.data ? text.data : "", text.size);
	buf_init(&out, 0);
	errors_line(&out, text, most);
	return buf_steal(&out, NULL);
}

static void take(void *context, const struct topicreader_message *message)
{
	struct listing *listing = context;
	bool whole = listing->job->options->json;
	struct errorevent event;
	bool read = errorevent_read(
	        &listing->reader, message->value, message->headers, message->header_count, &event);
	if (!errorfilter_takes(&listing->job->options->filter, &event))
		return;
	struct row row = {.when = message->timestamp, .number = listing->total++, .partial = event.partial};
	row.type = event.texts[ERROREVENT_TYPE].size ? line_of(event.texts[ERROREVENT_TYPE], KEY_SHOWN)
	                                             : mem_strdup(read ? "(no type)" : "(no JSON object)");
	row.source = event.placed
	                     ? mem_printf("%.*s/%d/%lld", (int)event.origin.topic_size, event.origin.topic,
	                               (int)event.origin.partition, (long long)event.origin.offset)
	                     : mem_strdup("-");
	row.place =
	        mem_printf("%s/%d/%lld", message->topic, (int)message->partition, (long long)message->offset);
	row.domain = line_of(event.texts[ERROREVENT_DOMAIN], KEY_SHOWN);
	row.key = line_of(message->key, whole ? 0 : KEY_SHOWN);
	row.message = line_of(event.texts[ERROREVENT_MESSAGE], whole ? 0 : MESSAGE_SHOWN);
	count_type(listing, row.type, row.when);
	*add_row(listing) = row;
}

/* ---- telling ---- */

static char *time_cell(int64_t when)
{
	char text[CLOCK_TEXT];
	if (when < 0)
		return mem_strdup("-");
	clock_format(when, text);
	return mem_strdup(text);
}

static void print_rows(const struct listing *listing)
{
	static const char *const names[] = {"TIME", "TYPE", "SOURCE", "WIKI OR KEY", "MESSAGE", NULL};
	struct table table;
	table_begin(&table, names);
	for (size_t i = 0; i < listing->count; i++) {
		const struct row *row = &listing->rows[i];
		char **cells = table_add(&table);
		cells[0] = time_cell(row->when);
		cells[1] = mem_strdup(row->type);
		cells[2] = mem_strdup(strcmp(row->source, "-") == 0 ? row->place : row->source);
		cells[3] = mem_strdup(*row->domain ? row->domain : *row->key ? row->key : "-");
		cells[4] = mem_strdup(row->message);
	}
	table_print(&table);
}

static void print_tallies(const struct listing *listing)
{
	static const char *const names[] = {"TYPE", "COUNT", "FIRST", "LAST", "EXPLAIN", NULL};
	struct table table;
	table_begin(&table, names);
	for (size_t i = 0; i < listing->tally_count; i++) {
		const struct tally *tally = &listing->tallies[i];
		char **cells = table_add(&table);
		cells[0] = mem_strdup(tally->type);
		cells[1] = mem_printf("%llu", (unsigned long long)tally->count);
		cells[2] = time_cell(tally->first);
		cells[3] = time_cell(tally->last);
		cells[4] = mem_strdup(explain_code(explain_type(tally->type)));
	}
	table_print(&table);
}

static void print_text(const struct listing *listing)
{
	if (listing->total == 0) {
		puts("No error events.");
		return;
	}
	print_rows(listing);
	putchar('\n');
	print_tallies(listing);
	fflush(stdout);
	if (listing->count < listing->total)
		fprintf(stderr, "The newest %zu of %llu; -n 0 shows all.\n", listing->count,
		        (unsigned long long)listing->total);
}

static void json_time(struct buf *out, const char *name, int64_t when)
{
	char *text = time_cell(when);
	text_json_member(out, name, when < 0 ? NULL : text);
	mem_free(text);
}

static void json_row(struct buf *out, const struct row *row)
{
	buf_printf(out, "{\"partial\":%s", row->partial ? "true" : "false");
	json_time(out, "time", row->when);
	text_json_member(out, "type", row->type);
	text_json_member(out, "source", strcmp(row->source, "-") == 0 ? NULL : row->source);
	text_json_member(out, "error_event", row->place);
	text_json_member(out, "domain", *row->domain ? row->domain : NULL);
	text_json_member(out, "key", *row->key ? row->key : NULL);
	text_json_member(out, "message", row->message);
	buf_append_byte(out, '}');
}

static void print_json(const struct listing *listing)
{
	struct buf out;
	buf_init(&out, 0);
	buf_printf(&out, "{\"total\":%llu,\"types\":{", (unsigned long long)listing->total);
	for (size_t i = 0; i < listing->tally_count; i++) {
		const struct tally *tally = &listing->tallies[i];
		buf_append_text(&out, i ? "," : "");
		text_json_string(&out, tally->type, strlen(tally->type));
		buf_printf(&out, ":{\"count\":%llu", (unsigned long long)tally->count);
		json_time(&out, "first", tally->first);
		json_time(&out, "last", tally->last);
		buf_append_byte(&out, '}');
	}
	buf_append_text(&out, "},\"errors\":[");
	for (size_t i = 0; i < listing->count; i++) {
		buf_append_text(&out, i ? "," : "");
		json_row(&out, &listing->rows[i]);
	}
	buf_append_text(&out, "]}\n");
	fputs(out.data, stdout);
	buf_free(&out);
}

int errors_list(const struct errors_job *job)
{
	struct listing listing = {.job = job};
	struct topicreader reader = {.message = take, .context = &listing};
	int code;
	reader.client = errors_open_stream(job, NULL, &code);
	if (reader.client == NULL)
		return code;
	errorevent_reader_init(&listing.reader);
	code = errors_read(job, &reader);
	keep_newest(&listing, job->options->most);
	if (code == EXIT_SUCCESS)
		(job->options->json ? print_json : print_text)(&listing);
	for (size_t i = 0; i < listing.count; i++)
		row_free(&listing.rows[i]);
	for (size_t i = 0; i < listing.tally_count; i++)
		mem_free(listing.tallies[i].type);
	mem_free(listing.rows);
	mem_free(listing.tallies);
	errorevent_reader_free(&listing.reader);
	command_group_close(reader.client);
	return code;
}
