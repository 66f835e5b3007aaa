/* What is wrong in a file of the user's: place, sentence, source line with a caret, hint. */
#include "diagnostic.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	EXCERPT_MAX = 160,
	EXCERPT_MARGIN = 20
}; /* bytes of a source line that are shown, and after the caret */

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
	copy->excerpt = mem_strdup(diagnostic->excerpt);
	copy->details = mem_strdup(diagnostic->details);
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

/* The part of a line that is shown: all of it, its beginning, or what stands around the caret. */
struct window {
	struct bytes line;
	size_t from, to;
};

static size_t column_at(const struct bytes *line, unsigned column)
{
	size_t at = 0;
	for (; column > 1 && at < line->size; column--)
		at += character_size(line->data + at, line->size - at);
	return at;
}

static struct window open_window(const struct bytes *line, unsigned column)
{
	struct window window = {*line, 0, line->size};
	size_t start = column_at(line, column);
	if (start > EXCERPT_MAX - EXCERPT_MARGIN) {
		window.from = start - EXCERPT_MAX / 2;
		while (((unsigned char)line->data[window.from] & 0xC0) == 0x80)
			window.from++;
	}
	if (line->size - window.from > EXCERPT_MAX)
		window.to = window.from + text_utf8_valid(line->data + window.from, EXCERPT_MAX);
	return window;
}

static void append_line(struct buf *out, const struct window *window)
{
	buf_append_text(out, window->from ? "..." : "");
	for (size_t i = window->from; i < window->to; i++) {
		unsigned char c =
		        (unsigned char)window->line.data[i]; /* none may move the reader's terminal */
		buf_append_byte(out, (c < 0x20 && c != '\t') || c == 0x7F ? '?' : (char)c);
	}
	buf_append_text(out, window->to < window->line.size ? "...\n" : "\n");
}

static void append_caret(
        struct buf *out, const struct window *window, const struct diagnostic *item, bool colour)
{
	const struct bytes *line = &window->line;
	size_t start = column_at(line, item->column), at = window->from, carets = 0;
	buf_append_text(out, window->from ? "       |    " : "       | ");
	for (; at < start; at += character_size(line->data + at, line->size - at))
		buf_append_byte(out, line->data[at] == '\t' ? '\t' : ' ');
	buf_append_text(out, colour ? "\033[1;31m" : "");
	do {
		buf_append_byte(out, '^');
		at += at < line->size ? character_size(line->data + at, line->size - at) : 0;
	} while (++carets < item->length && at < window->to);
	buf_append_text(out, colour ? "\033[0m\n" : "\n");
}

/* The lines above the one that is meant are there for the reader to find the place. */
static void append_lines(struct buf *out, const struct diagnostic *item, bool colour)
{
	const char *source = item->excerpt, *end = source + strlen(source);
	unsigned above = 0;
	struct bytes line;
	for (const char *at = source; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
		above++;
	for (unsigned i = 0; i <= above && above < item->line; i++) {
		if (!source_line(source, (size_t)(end - source), i + 1, &line))
			line = (struct bytes){"", 0};
		if (diagnostic_secret(line.data, line.size))
			continue;
		struct window window = open_window(&line, i == above ? item->column : 0);
		buf_printf(out, "%6u | ", item->line - above + i);
		append_line(out, &window);
		if (i == above && item->column != 0)
			append_caret(out, &window, item, colour);
	}
}

static void append_excerpt(
        struct buf *out, const struct diagnostic *item, const char *source, size_t size, bool colour)
{
	struct bytes line;
	if (item->line == 0 || item->length == 0)
		return;
	if (item->excerpt) {
		append_lines(out, item, colour);
	} else if (source && source_line(source, size, item->line, &line)) {
		struct diagnostic own = *item;
		own.excerpt = mem_dup(line.data, line.size);
		append_lines(out, &own, colour);
		mem_free(own.excerpt);
	}
}

static void append_place(struct buf *out, const struct diagnostic *item)
{
	buf_append_text(out, item->file);
	if (item->line)
		buf_printf(out, ":%u", item->line);
	if (item->line && item->column)
		buf_printf(out, ":%u", item->column);
}

static void append_head(struct buf *out, const struct diagnostic *item, bool colour)
{
	static const char *const names[] = {"error", "warning"}, *const colours[] = {
	                                                                 "\033[1;31m", "\033[1;33m"};
	append_place(out, item);
	buf_printf(out, ": %s%s", colour ? colours[item->severity] : "", names[item->severity]);
	if (item->code != M000_NONE)
		buf_printf(out, "[%s]", explain_code(item->code));
	buf_printf(out, ":%s %s\n", colour ? "\033[0m" : "", item->message);
}

void diagnostics_text(
        const struct diagnostics *found, const char *source, size_t size, bool colour, struct buf *out)
{
	for (size_t i = 0; i < found->count; i++) {
		const struct diagnostic *item = &found->items[i];
		append_head(out, item, colour);
		append_excerpt(out, item, source, size, colour);
		buf_append_text(out, item->details ? item->details : "");
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
		buf_printf(out, ",\"line\":%u,\"column\":%u,\"severity\":\"%s\"", item->line, item->column,
		        item->severity == SEVERITY_ERROR ? "error" : "warning");
		if (item->code != M000_NONE)
			buf_printf(out, ",\"code\":\"%s\"", explain_code(item->code));
		buf_append_text(out, ",\"message\":");
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
		mem_free(found->items[i].excerpt);
		mem_free(found->items[i].details);
		mem_free(found->items[i].hint);
	}
	mem_free(found->items);
	*found = (struct diagnostics){0};
}
