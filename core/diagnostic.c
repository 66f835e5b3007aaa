/* What is wrong in a file of the user's: place, sentence, source line with a caret, hint. */
#include "diagnostic.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { EXCERPT_MAX = 160 }; /* bytes of a source line that are shown */

void diagnostics_add(struct diagnostics *found, const struct diagnostic *diagnostic)
{
	if (diagnostic->severity == SEVERITY_ERROR)
		found->errors++;
	else
		found->warnings++;
	if (found->count == DIAGNOSTICS_MAX)
		return;
	found->items = mem_realloc(found->items, (found->count + 1) * sizeof *found->items);
	struct diagnostic *copy = &found->items[found->count++];
	*copy = *diagnostic;
	copy->file = mem_strdup(diagnostic->file);
	copy->message = mem_strdup(diagnostic->message);
	copy->hint = mem_strdup(diagnostic->hint);
}

static bool comes_after(const struct diagnostic *a, const struct diagnostic *b)
{
	return a->line != b->line ? a->line > b->line : a->column > b->column;
}

/* By insertion: short, and keeps the order of equals. */
void diagnostics_sort(struct diagnostics *found)
{
	for (size_t i = 1; i < found->count; i++) {
		struct diagnostic item = found->items[i];
		size_t at = i;
		for (; at > 0 && comes_after(&found->items[at - 1], &item); at--)
			found->items[at] = found->items[at - 1];
		found->items[at] = item;
	}
}

bool diagnostic_secret(const char *text, size_t size)
{
	static const char *const words[] = {"password", "secret", "token", ".pem", "credential",
	        "sasl.username", "oauthbearer.config", "private key"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t length = strlen(words[i]);
		for (size_t at = 0; at + length <= size; at++)
			if (strncasecmp(text + at, words[i], length) == 0)
				return true;
	}
	return false;
}

/* The line's bytes without its end, or false. */
static bool source_line(const char *source, size_t size, unsigned line, struct bytes *found)
{
	const char *at = source, *end = source + size;
	while (--line > 0 && at) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (at)
			at++;
	}
	if (at == NULL || at >= end)
		return false;
	const char *stop = memchr(at, '\n', (size_t)(end - at));
	*found = (struct bytes){at, (size_t)((stop ? stop : end) - at)};
	if (found->size && found->data[found->size - 1] == '\r')
		found->size--;
	return true;
}

static size_t character_size(const char *data, size_t left)
{
	size_t size = 1;
	while (size < left && ((unsigned char)data[size] & 0xC0) == 0x80)
		size++;
	return size;
}

static void append_line(struct buf *out, const struct bytes *line)
{
	size_t shown = line->size > EXCERPT_MAX ? text_utf8_valid(line->data, EXCERPT_MAX) : line->size;
	for (size_t i = 0; i < shown; i++) { /* a control character must not move the reader's terminal */
		unsigned char c = (unsigned char)line->data[i];
		buf_append_byte(out, (c < 0x20 && c != '\t') || c == 0x7F ? '?' : (char)c);
	}
	buf_append_text(out, shown < line->size ? "...\n" : "\n");
}

static size_t column_at(const struct bytes *line, unsigned column)
{
	size_t at = 0;
	while (--column > 0 && at < line->size)
		at += character_size(line->data + at, line->size - at);
	return at;
}

static void append_caret(
        struct buf *out, const struct bytes *line, const struct diagnostic *item, bool colour)
{
	size_t start = column_at(line, item->column), at = 0, carets = 0;
	if (start > EXCERPT_MAX)
		return;
	buf_append_text(out, "       | ");
	for (; at < start; at += character_size(line->data + at, line->size - at))
		buf_append_byte(out, line->data[at] == '\t' ? '\t' : ' ');
	buf_append_text(out, colour ? "\033[1;31m" : "");
	do {
		buf_append_byte(out, '^');
		at += at < line->size ? character_size(line->data + at, line->size - at) : 0;
	} while (++carets < item->length && at < line->size && at < EXCERPT_MAX);
	buf_append_text(out, colour ? "\033[0m\n" : "\n");
}

static void append_excerpt(
        struct buf *out, const struct diagnostic *item, const char *source, size_t size, bool colour)
{
	struct bytes line;
	if (source == NULL || item->line == 0 || item->length == 0 ||
	        !source_line(source, size, item->line, &line) || diagnostic_secret(line.data, line.size))
		return;
	buf_printf(out, "%6u | ", item->line);
	append_line(out, &line);
	if (item->column != 0)
		append_caret(out, &line, item, colour);
}

static void append_place(struct buf *out, const struct diagnostic *item)
{
	buf_append_text(out, item->file);
	if (item->line)
		buf_printf(out, ":%u", item->line);
	if (item->line && item->column)
		buf_printf(out, ":%u", item->column);
}

void diagnostics_text(
        const struct diagnostics *found, const char *source, size_t size, bool colour, struct buf *out)
{
	static const char *const names[] = {"error", "warning"}, *const colours[] = {
	                                                                 "\033[1;31m", "\033[1;33m"};
	for (size_t i = 0; i < found->count; i++) {
		const struct diagnostic *item = &found->items[i];
		append_place(out, item);
		buf_printf(out, ": %s%s:%s %s\n", colour ? colours[item->severity] : "",
		        names[item->severity], colour ? "\033[0m" : "", item->message);
		append_excerpt(out, item, source, size, colour);
		if (item->hint)
			buf_printf(out, "   hint: %s\n", item->hint);
	}
	size_t total = (size_t)found->errors + found->warnings;
	if (total > found->count)
		buf_printf(out, "and %zu more\n", total - found->count);
}

void diagnostics_json(const struct diagnostics *found, struct buf *out)
{
	for (size_t i = 0; i < found->count; i++) {
		const struct diagnostic *item = &found->items[i];
		buf_append_text(out, "{\"file\":");
		text_json_string(out, item->file, strlen(item->file));
		buf_printf(out, ",\"line\":%u,\"column\":%u,\"severity\":\"%s\",\"message\":", item->line,
		        item->column, item->severity == SEVERITY_ERROR ? "error" : "warning");
		text_json_string(out, item->message, strlen(item->message));
		if (item->hint) {
			buf_append_text(out, ",\"hint\":");
			text_json_string(out, item->hint, strlen(item->hint));
		}
		buf_append_text(out, "}\n");
	}
}

void diagnostics_free(struct diagnostics *found)
{
	for (size_t i = 0; i < found->count; i++) {
		mem_free(found->items[i].file);
		mem_free(found->items[i].message);
		mem_free(found->items[i].hint);
	}
	mem_free(found->items);
	*found = (struct diagnostics){0};
}
