/* Where in a script an error is. */
#include "script_place.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SOURCE_MAX = 4 * 1024 * 1024, LINE_MAX_NUMBER = 10000000 };

static bool read_source(const char *path, struct buf *source)
{
	char block[8192];
	size_t size;
	struct stat about;
	if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
		return false;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	buf_clear(source);
	source->limit = SOURCE_MAX;
	while ((size = fread(block, 1, sizeof block, file)) > 0 && buf_append(source, block, size))
		;
	bool whole = !ferror(file) && !source->full;
	fclose(file);
	return whole && source->size > 0;
}

/* The text is the script's to choose: only sources are shown. */
static bool is_source(const char *path, const char *script)
{
	size_t size = strlen(path);
	return strcmp(path, script) == 0 || (size > 4 && strcmp(path + size - 4, ".lua") == 0);
}

/* Does FILE:LINE: end at this colon? The file begins after a space or a quote, or with the text. */
static const char *place_at(
        const char *script, const char *text, const char *colon, struct diagnostic *item, struct buf *source)
{
	char *end;
	unsigned long line = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end != ':' || line == 0 || line > LINE_MAX_NUMBER)
		return NULL;
	const char *start = colon;
	while (start > text && strchr(" '\"\n\t(", start[-1]) == NULL)
		start--;
	char *path = mem_dup(start, (size_t)(colon - start));
	if (!is_source(path, script) || !read_source(path, source)) {
		mem_free(path);
		return NULL;
	}
	item->file = path;
	item->line = (unsigned)line;
	return end + 1;
}

static bool source_line(const struct buf *source, unsigned line, struct bytes *found)
{
	const char *at = source->data, *end = source->data + source->size;
	while (--line > 0 && at)
		if ((at = memchr(at, '\n', (size_t)(end - at))) != NULL)
			at++;
	if (at == NULL || at >= end)
		return false;
	const char *stop = memchr(at, '\n', (size_t)(end - at));
	*found = (struct bytes){at, (size_t)((stop ? stop : end) - at)};
	return true;
}

/* The column of the word that the message quotes, where the line has it; else all but the indentation. */
static void underline(struct diagnostic *item, const char *message, const struct buf *source)
{
	struct bytes line;
	item->length = 1;
	if (!source_line(source, item->line, &line))
		return;
	const char *open = strchr(message, '\''), *close = open ? strchr(open + 1, '\'') : NULL;
	if (close && close > open + 1) {
		size_t size = (size_t)(close - open - 1);
		const char *at = memmem(line.data, line.size, open + 1, size);
		if (at) {
			item->column = (unsigned)(at - line.data) + 1;
			item->length = (unsigned)size;
			return;
		}
	}
	size_t blank = 0;
	while (blank < line.size && (line.data[blank] == ' ' || line.data[blank] == '\t'))
		blank++;
	item->column = (unsigned)blank + 1;
	item->length = line.size > blank ? (unsigned)(line.size - blank) : 1;
}

/* "FILE: message" about the script as a whole: the first line that has the word which the message quotes. */
static const char *place_of_word(
        const char *path, const char *text, struct diagnostic *item, struct buf *source)
{
	size_t size = strlen(path);
	if (strncmp(text, path, size) != 0 || strncmp(text + size, ": ", 2) != 0)
		return NULL;
	const char *message = text + size + 2, *open = strchr(message, '\'');
	const char *close = open ? strchr(open + 1, '\'') : NULL;
	item->file = mem_strdup(path);
	if (close == NULL || close == open + 1 || !read_source(path, source))
		return message;
	const char *at = memmem(source->data, source->size, open + 1, (size_t)(close - open - 1));
	if (at) {
		item->line = 1;
		for (const char *newline = source->data; newline < at; newline++)
			item->line += *newline == '\n';
	}
	return message;
}

/* What follows the place; the whole text where the place is only its end, as in "took too long; it was
 * stopped at FILE:LINE: in function 'f'". */
static char *whole_sentence(const char *text, const char *rest)
{
	const char *clause = strstr(text, "; it was stopped at ");
	return mem_strdup(rest && (clause == NULL || clause > rest) ? rest : text);
}

void script_place_diagnose(const char *path, const char *text, struct diagnostics *found, struct buf *source)
{
	struct diagnostic item = {0};
	const char *rest = NULL;
	for (const char *colon = strchr(text, ':'); colon && rest == NULL; colon = strchr(colon + 1, ':'))
		rest = place_at(path, text, colon, &item, source);
	if (rest == NULL)
		rest = place_of_word(path, text, &item, source);
	if (item.line) {
		rest += strspn(rest, " ");
		underline(&item, rest, source);
	} else if (item.file == NULL) {
		item.file = mem_strdup(path);
	}
	item.message = whole_sentence(text, rest);
	diagnostics_add(found, &item);
	mem_free(item.file);
	mem_free(item.message);
}
