/* The events of `millrace demo`: the sample page changes again and again, each time as new revisions. */
#include "demodata.h"
#include "clock.h"
#include "embedded.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Revision ids of two samples are at least so far apart: so many rounds have ids of their own. */
#define ROUNDS 100000
/* The day of the samples: what has its date happened just now. */
#define TODAY "2025-03-14T"

enum edit { EDIT_REVISION, EDIT_PAGE, EDIT_TITLE, EDIT_UUID, EDIT_TIME };

static const struct rule {
	const char *before;
	enum edit edit;
} rules[] = {
        {"\"rev_id\":", EDIT_REVISION},
        {"\"rev_parent_id\":", EDIT_REVISION},
        {"\"origin_rev_id\":", EDIT_REVISION},
        {"\"page_id\":", EDIT_PAGE},
        {"\"page_title\":\"", EDIT_TITLE},
        {"\"uri\":\"", EDIT_TITLE},
        {"\"id\":\"", EDIT_UUID},
        {"\"dt\":\"", EDIT_TIME},
};

static struct bytes samples(void)
{
	const struct embedded_file *file = embedded_find("samples/page_change.jsonl");
	assert(file != NULL);
	return (struct bytes){(const char *)file->data, file->size};
}

/* Takes the next line off `rest`; false at the end. */
static bool next_line(struct bytes *rest, struct bytes *line)
{
	if (rest->size == 0)
		return false;
	const char *newline = memchr(rest->data, '\n', rest->size);
	assert(newline != NULL);
	*line = (struct bytes){rest->data, (size_t)(newline - rest->data)};
	rest->data += line->size + 1;
	rest->size -= line->size + 1;
	return true;
}

static struct bytes sample(size_t index)
{
	struct bytes rest = samples(), line = {"", 0};
	for (size_t i = 0; i <= index; i++)
		next_line(&rest, &line);
	return line;
}

size_t demodata_round(void)
{
	struct bytes rest = samples(), line;
	size_t count = 0;
	while (next_line(&rest, &line))
		count++;
	assert(count > 0);
	return count;
}

/* The bytes behind `key` in the line, or NULL. */
static const char *behind(struct bytes line, const char *key)
{
	const char *at = memmem(line.data, line.size, key, strlen(key));
	return at ? at + strlen(key) : NULL;
}

static bool has(struct bytes line, const char *text)
{
	return behind(line, text) != NULL;
}

/* Whether the line has `key`, followed by `value`. */
static bool says(struct bytes line, const char *key, const char *value)
{
	const char *at = behind(line, key);
	return at != NULL && strncmp(at, value, strlen(value)) == 0;
}

static uint64_t number_behind(struct bytes line, const char *key)
{
	const char *at = behind(line, key);
	return at ? strtoull(at, NULL, 10) : 0;
}

/* The revision that the event is about: prior_state, which has another, stands behind it or names no rev_id
 * first. */
static uint64_t revision_of(struct bytes line)
{
	const char *at = behind(line, "\"revision\":{\"rev_id\":");
	return at ? strtoull(at, NULL, 10) : 0;
}

/* Where the string that begins at `at` ends: its closing quote, or `end`. */
static const char *string_end(const char *at, const char *end)
{
	while (at < end && *at != '"')
		at += *at == '\\' && at + 1 < end ? 2 : 1;
	return at;
}

static const char *number_edit(const char *at, uint64_t added, struct buf *out)
{
	char *end;
	uint64_t number = strtoull(at, &end, 10);
	buf_printf(out, "%" PRIu64, number ? number + added : 0);
	return end;
}

static const char *text_edit(const char *at, const char *end, const char *suffix, struct buf *out)
{
	const char *stop = string_end(at, end);
	buf_append(out, at, (size_t)(stop - at));
	buf_append_text(out, suffix);
	return stop;
}

/* The last 12 of a UUID's 36 characters count the events. */
static const char *uuid_edit(const char *at, const char *end, size_t n, struct buf *out)
{
	if (string_end(at, end) - at != 36)
		return at;
	buf_append(out, at, 24);
	buf_printf(out, "%012zx", n);
	return at + 36;
}

static const char *time_edit(const char *at, const char *end, struct buf *out)
{
	char now[CLOCK_TEXT];
	if ((size_t)(end - at) < strlen(TODAY) || memcmp(at, TODAY, strlen(TODAY)) != 0)
		return at;
	clock_format(clock_wall(), now);
	buf_append_text(out, now);
	return string_end(at, end);
}

static const char *apply(enum edit edit, const char *at, const char *end, size_t n, struct buf *out)
{
	size_t round = n / demodata_round();
	switch (edit) {
	case EDIT_REVISION: return number_edit(at, round % ROUNDS, out);
	case EDIT_PAGE: return number_edit(at, round % 2, out);
	case EDIT_TITLE: return text_edit(at, end, round % 2 ? "_(2)" : "", out);
	case EDIT_UUID: return uuid_edit(at, end, n, out);
	case EDIT_TIME: return time_edit(at, end, out);
	}
	return at;
}

static const struct rule *rule_at(const char *at, const char *end)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		size_t size = strlen(rules[i].before);
		if ((size_t)(end - at) >= size && memcmp(at, rules[i].before, size) == 0)
			return &rules[i];
	}
	return NULL;
}

void demodata_event(size_t n, struct buf *out)
{
	struct bytes line = sample(n % demodata_round());
	const char *at = line.data, *end = line.data + line.size;
	while (at < end) {
		const struct rule *rule = *at == '"' ? rule_at(at, end) : NULL;
		if (rule == NULL) {
			buf_append_byte(out, *at++);
			continue;
		}
		buf_append_text(out, rule->before);
		at = apply(rule->edit, at + strlen(rule->before), end, n, out);
	}
}

const char *demodata_kind(size_t n)
{
	static const char *const kinds[] = {
	        "create", "edit", "move", "undelete", "visibility_change", "delete"};
	struct bytes line = sample(n % demodata_round());
	if (line.size == 0 || line.data[line.size - 1] != '}')
		return "broken";
	if (says(line, "\"domain\":\"", "canary\""))
		return "canary";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (says(line, "\"page_change_kind\":\"", kinds[i]))
			return kinds[i];
	return "broken";
}

static bool within(struct demoapi_range range, uint64_t id)
{
	return id >= range.first && id <= range.last;
}

enum demodata_outcome demodata_outcome(size_t n)
{
	struct bytes line = sample(n % demodata_round());
	const char *kind = demodata_kind(n);
	if (strcmp(kind, "canary") == 0)
		return DEMODATA_DROPPED;
	if (strcmp(kind, "broken") == 0)
		return DEMODATA_FAILED;
	if (strcmp(kind, "delete") == 0 || within(DEMODATA_HIDDEN, revision_of(line)) ||
	        has(line, "\"is_content_visible\":false,\"is_editor_visible\""))
		return DEMODATA_PASSED;
	return within(DEMODATA_MISSING, revision_of(line)) ? DEMODATA_FAILED : DEMODATA_ENRICHED;
}

/* Copies a JSON string's text as far as it fits, underscores as spaces; the samples' titles escape only \"
 * and \\. */
static void title_text(const char *at, const char *end, const char *suffix, char *title, size_t room)
{
	size_t size = 0;
	for (; at < end && size + strlen(suffix) + 1 < room; at++) {
		if (*at == '\\' && at + 1 < end)
			at++;
		title[size++] = *at == '_' ? ' ' : *at;
	}
	memcpy(title + size, suffix, strlen(suffix) + 1);
}

bool demodata_page(uint64_t rev_id, struct demoapi_page *page)
{
	struct bytes rest = samples(), line;
	while (next_line(&rest, &line)) {
		uint64_t first = revision_of(line);
		const char *title = behind(line, "\"page_title\":\"");
		if (first == 0 || title == NULL || rev_id < first || rev_id - first >= ROUNDS)
			continue;
		bool other = (rev_id - first) % 2 != 0;
		page->page_id = number_behind(line, "\"page_id\":") + other;
		title_text(title, string_end(title, line.data + line.size), other ? " (2)" : "", page->title,
		        sizeof(page->title));
		return true;
	}
	return false;
}
