/* Applies a unified diff, strictly: every line that it says is there must be there. For tests of what makes
 * diffs. */
#ifndef MILLRACE_DIFF_APPLY_H
#define MILLRACE_DIFF_APPLY_H

#include "buf.h"

#include <stdlib.h>
#include <string.h>

struct diff_cursor {
	const char *at, *end;
};

/* One line with its line feed, if it has one; size 0 at the end. */
static inline struct bytes diff_line(struct diff_cursor *cursor)
{
	size_t left = (size_t)(cursor->end - cursor->at);
	const char *newline = left ? memchr(cursor->at, '\n', left) : NULL;
	struct bytes line = {cursor->at, newline ? (size_t)(newline + 1 - cursor->at) : left};
	cursor->at += line.size;
	return line;
}

static inline void diff_copy_lines(struct diff_cursor *from, size_t count, struct buf *out)
{
	while (count-- > 0) {
		struct bytes line = diff_line(from);
		buf_append(out, line.data, line.size);
	}
}

static inline size_t diff_number(const char **at, size_t *count)
{
	char *end;
	size_t begin = strtoull(*at, &end, 10);
	*count = 1;
	if (*end == ',')
		*count = strtoull(end + 1, &end, 10);
	*at = end;
	return begin;
}

/* One line of a hunk, without its mark and, where the next one says so, without its line feed. */
static inline struct bytes diff_hunk_line(struct diff_cursor *diff, char *mark)
{
	struct bytes line = diff_line(diff);
	*mark = line.data[0];
	line.data++;
	line.size--;
	if (diff->at < diff->end && *diff->at == '\\') {
		diff_line(diff);
		line.size--;
	}
	return line;
}

/* False where the diff does not fit: what is wrong is in *why. */
static inline bool diff_hunk(
        struct diff_cursor *diff, struct diff_cursor *from, struct buf *out, size_t *line, const char **why)
{
	struct bytes head = diff_line(diff);
	size_t from_count, to_count;
	if (head.size < 10 || memcmp(head.data, "@@ -", 4) != 0) {
		*why = "no hunk";
		return false;
	}
	const char *at = head.data + 4;
	size_t begin = diff_number(&at, &from_count);
	if (strncmp(at, " +", 2) != 0) {
		*why = "no second range";
		return false;
	}
	at += 2;
	diff_number(&at, &to_count);
	size_t skip = begin - (from_count ? 1 : 0) - *line;
	diff_copy_lines(from, skip, out);
	*line += skip + from_count;
	while (from_count || to_count) {
		char mark;
		struct bytes said = diff_hunk_line(diff, &mark);
		if (mark != '+') {
			struct bytes there = diff_line(from);
			from_count--;
			if (there.size != said.size || memcmp(there.data, said.data, said.size) != 0) {
				*why = "a line is not there";
				return false;
			}
		}
		if (mark != '-') {
			to_count--;
			buf_append(out, said.data, said.size);
		}
	}
	return true;
}

/* What the diff makes of `from`, in *out (initialised); NULL, or why it does not fit. */
static inline const char *diff_apply(struct bytes from, struct bytes diff, struct buf *out)
{
	struct diff_cursor at = {diff.data, diff.data + diff.size},
	                   source = {from.data, from.data + from.size};
	const char *why = NULL;
	size_t line = 0;
	if (diff.size) {
		diff_line(&at);
		diff_line(&at);
	}
	while (at.at < at.end)
		if (!diff_hunk(&at, &source, out, &line, &why))
			return why;
	buf_append(out, source.at, (size_t)(source.end - source.at));
	return NULL;
}

#endif
