/* Lua 5.1 patterns with a bound. */
#include "luapattern.h"

#include <string.h>

enum { DEPTH_MAX = 200, LOOK_EVERY = 4096, STEP_BYTES = 16 };

const char PATTERN_TOO_COMPLEX[] = "the pattern is too complex for this text";
static const char unfinished_percent[] = "malformed pattern (ends with '%')";
static const char unfinished_set[] = "malformed pattern (missing ']')";

static const char *run(struct pattern *match, const char *at, const char *p);

uint64_t pattern_steps(size_t text_size)
{
	return 1000000 + 100 * (uint64_t)text_size;
}

bool pattern_is_plain(const char *pattern, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (pattern[i] != '\0' && strchr("^$*+?.([%-", pattern[i]))
			return false;
	return true;
}

static const char *fail(struct pattern *match, const char *error)
{
	match->error = error;
	return NULL;
}

/* Counts a step that looks at `size` bytes; false when there is none left or the match was told to stop. */
static bool step(struct pattern *match, ptrdiff_t size)
{
	uint64_t before = match->steps, cost = 1 + (uint64_t)size / STEP_BYTES;
	if (before < cost) {
		match->error = PATTERN_TOO_COMPLEX;
		return false;
	}
	match->steps -= cost;
	if (match->steps / LOOK_EVERY != before / LOOK_EVERY && match->stop && *match->stop) {
		match->error = "stopped";
		return false;
	}
	return true;
}

static bool is_letter(unsigned char c)
{
	return (unsigned char)((c | 32) - 'a') < 26;
}

static bool is_digit(unsigned char c)
{
	return (unsigned char)(c - '0') < 10;
}

static bool is_graph(unsigned char c)
{
	return c > 32 && c < 127;
}

static bool in_class(unsigned char c, unsigned char class)
{
	bool in;
	switch (class | 32) {
	case 'a': in = is_letter(c); break;
	case 'c': in = c < 32 || c == 127; break;
	case 'd': in = is_digit(c); break;
	case 'g': in = is_graph(c); break;
	case 'l': in = (unsigned char)(c - 'a') < 26; break;
	case 'p': in = is_graph(c) && !is_letter(c) && !is_digit(c); break;
	case 's': in = c == ' ' || (unsigned char)(c - 9) < 5; break;
	case 'u': in = (unsigned char)(c - 'A') < 26; break;
	case 'w': in = is_letter(c) || is_digit(c); break;
	case 'x': in = is_digit(c) || (unsigned char)((c | 32) - 'a') < 6; break;
	case 'z': in = c == 0; break;
	default: return class == c;
	}
	return (unsigned char)(class - 'A') < 26 ? !in : in;
}

/* The place behind the single-character item at p, or NULL with an error. */
static const char *item_end(struct pattern *match, const char *p)
{
	const char *end = match->pattern_end;
	char first = *p++;
	if (first == '%')
		return p < end ? p + 1 : fail(match, unfinished_percent);
	if (first != '[')
		return p;
	if (p < end && *p == '^')
		p++;
	do { /* a ']' in the first place is an ordinary character */
		if (p >= end)
			return fail(match, unfinished_set);
		if (*p++ == '%') {
			if (p >= end)
				return fail(match, unfinished_set);
			p++;
		}
	} while (p >= end || *p != ']');
	return p + 1;
}

/* Is c in the set that begins at p with '[' and whose ']' is at `last`? */
static bool in_set(unsigned char c, const char *p, const char *last)
{
	bool found = true;
	p++;
	if (*p == '^') {
		found = false;
		p++;
	}
	for (; p < last; p++) {
		if (*p == '%') {
			if (in_class(c, (unsigned char)*++p))
				return found;
		} else if (p[1] == '-' && p + 2 < last) {
			if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
				return found;
			p += 2;
		} else if ((unsigned char)*p == c) {
			return found;
		}
	}
	return !found;
}

static bool one(const struct pattern *match, const char *at, const char *p, const char *end)
{
	if (at >= match->text_end)
		return false;
	unsigned char c = (unsigned char)*at;
	switch (*p) {
	case '.': return true;
	case '%': return in_class(c, (unsigned char)p[1]);
	case '[': return in_set(c, p, end - 1);
	default: return (unsigned char)*p == c;
	}
}

static const char *balance(struct pattern *match, const char *at, const char *p)
{
	if (match->pattern_end - p < 2)
		return fail(match, "unbalanced pattern ('%b' needs two characters)");
	if (at >= match->text_end || *at != *p)
		return NULL;
	size_t open = 1;
	for (at++; at < match->text_end; at++) {
		if (!step(match, 0))
			return NULL;
		if (*at == p[1]) {
			if (--open == 0)
				return at + 1;
		} else if (*at == p[0]) {
			open++;
		}
	}
	return NULL;
}

/* As many as there are, then fewer until the rest matches. */
static const char *longest(struct pattern *match, const char *at, const char *p, const char *end)
{
	ptrdiff_t count = 0;
	while (one(match, at + count, p, end)) {
		if (!step(match, end - p))
			return NULL;
		count++;
	}
	for (; count >= 0; count--) {
		const char *found = run(match, at + count, end + 1);
		if (found || match->error)
			return found;
	}
	return NULL;
}

/* As few as it takes until the rest matches. */
static const char *shortest(struct pattern *match, const char *at, const char *p, const char *end)
{
	for (;; at++) {
		const char *found = run(match, at, end + 1);
		if (found || match->error || !step(match, end - p) || !one(match, at, p, end))
			return found;
	}
}

static const char *open_capture(struct pattern *match, const char *at, const char *p, ptrdiff_t kind)
{
	if (match->level >= PATTERN_CAPTURES)
		return fail(match, "too many captures");
	match->captures[match->level++] = (struct pattern_capture){at, kind};
	const char *found = run(match, at, p);
	if (found == NULL)
		match->level--;
	return found;
}

static const char *close_capture(struct pattern *match, const char *at, const char *p)
{
	unsigned i = match->level;
	while (i > 0 && match->captures[i - 1].size != CAPTURE_OPEN)
		i--;
	if (i == 0)
		return fail(match, "invalid pattern capture");
	struct pattern_capture *capture = &match->captures[i - 1];
	capture->size = at - capture->start;
	const char *found = run(match, at, p);
	if (found == NULL)
		capture->size = CAPTURE_OPEN;
	return found;
}

static const char *repeat_capture(struct pattern *match, const char *at, char digit)
{
	unsigned i = (unsigned char)(digit - '1');
	if (i >= match->level || match->captures[i].size == CAPTURE_OPEN)
		return fail(match, "invalid capture index");
	ptrdiff_t size = match->captures[i].size;
	if (size > 0 && !step(match, size))
		return NULL;
	if (size < 0 || match->text_end - at < size ||
	        memcmp(match->captures[i].start, at, (size_t)size) != 0)
		return NULL;
	return at + size;
}

static bool frontier(struct pattern *match, const char *at, const char *p, const char **end)
{
	if (p >= match->pattern_end || *p != '[') {
		fail(match, "missing '[' after '%f' in pattern");
		return false;
	}
	*end = item_end(match, p);
	if (*end == NULL || !step(match, *end - p))
		return false;
	unsigned char before = at == match->text ? '\0' : (unsigned char)at[-1];
	unsigned char after = at == match->text_end ? '\0' : (unsigned char)*at;
	return !in_set(before, p, *end - 1) && in_set(after, p, *end - 1);
}

/* An item that is no single character: *done says that the match ended here; else at and p moved on. */
static bool special(struct pattern *match, const char **at, const char **p, const char **found)
{
	const char *end;
	switch (**p) {
	case '(':
		if (*p + 1 < match->pattern_end && (*p)[1] == ')')
			*found = open_capture(match, *at, *p + 2, CAPTURE_POSITION);
		else
			*found = open_capture(match, *at, *p + 1, CAPTURE_OPEN);
		return true;
	case ')': *found = close_capture(match, *at, *p + 1); return true;
	case '$':
		if (*p + 1 != match->pattern_end)
			return false;
		*found = *at == match->text_end ? *at : NULL;
		return true;
	case '%': break;
	default: return false;
	}
	if (*p + 1 >= match->pattern_end)
		return false;
	char kind = (*p)[1];
	if (kind == 'b') {
		*at = balance(match, *at, *p + 2);
		*p += 4;
	} else if (kind == 'f') {
		*at = frontier(match, *at, *p + 2, &end) ? *at : NULL;
		*p = *at ? end : *p;
	} else if (is_digit((unsigned char)kind)) {
		*at = repeat_capture(match, *at, kind);
		*p += 2;
	} else {
		return false;
	}
	*found = *at ? run(match, *at, *p) : NULL;
	return true;
}

static const char *run_items(struct pattern *match, const char *at, const char *p)
{
	const char *found = NULL;
	while (p < match->pattern_end) {
		if (!step(match, 0) || special(match, &at, &p, &found))
			return match->error ? NULL : found;
		const char *end = item_end(match, p);
		if (end == NULL || (end - p >= STEP_BYTES && !step(match, end - p)))
			return NULL;
		char suffix = end < match->pattern_end ? *end : '\0';
		switch (suffix) {
		case '*': return longest(match, at, p, end);
		case '+': return one(match, at, p, end) ? longest(match, at + 1, p, end) : NULL;
		case '-': return shortest(match, at, p, end);
		case '?':
			if (one(match, at, p, end) && (found = run(match, at + 1, end + 1)) != NULL)
				return found;
			if (match->error)
				return NULL;
			p = end + 1;
			continue;
		default: break;
		}
		if (!one(match, at, p, end))
			return NULL;
		at++;
		p = end;
	}
	return at;
}

static const char *run(struct pattern *match, const char *at, const char *p)
{
	if (++match->depth > DEPTH_MAX)
		return fail(match, PATTERN_TOO_COMPLEX);
	const char *found = run_items(match, at, p);
	match->depth--;
	return found;
}

const char *pattern_match(struct pattern *match, const char *at, const char *pattern)
{
	match->level = 0;
	match->depth = 0;
	match->error = NULL;
	return run(match, at, pattern);
}
