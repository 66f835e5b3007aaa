/* Lua 5.1 patterns with a bound: a match may take so many steps and no more, and stops when told to.
 *
 * The language is that of the Lua 5.1 reference manual, §5.4.1, with %f (frontier), %g (printable but space)
 * and NUL bytes allowed in both texts. Character classes are ASCII, whatever the locale. Knows nothing of Lua
 * states. */
#ifndef MILLRACE_LUAPATTERN_H
#define MILLRACE_LUAPATTERN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PATTERN_CAPTURES = 32 };

struct pattern_capture {
	const char *start;
	ptrdiff_t size; /* CAPTURE_POSITION: the capture is a position, "()" */
};
enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

struct pattern {
	const char *text, *text_end;
	const char *pattern_end;
	const volatile sig_atomic_t *stop; /* the match ends soon after this is set; may be NULL */
	uint64_t steps;                    /* left */
	unsigned depth;
	const char *error; /* NULL = none; else there is no use in going on: PATTERN_TOO_COMPLEX, ... */
	unsigned level;    /* captures of the last match */
	struct pattern_capture captures[PATTERN_CAPTURES];
};

extern const char PATTERN_TOO_COMPLEX[];

/* Steps enough for every reasonable pattern on a text of this size, too few for one that explodes. */
uint64_t pattern_steps(size_t text_size);
/* Matches `pattern` (without its '^') exactly at `at`: the end of the match, or NULL (none, or
 * pattern->error). */
const char *pattern_match(struct pattern *match, const char *at, const char *pattern);
/* True when the pattern has no magic character: a plain search is enough. */
bool pattern_is_plain(const char *pattern, size_t size);

#endif
