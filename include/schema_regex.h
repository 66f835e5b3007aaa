/* Patterns of schemas: ECMA-262 regular expressions (flag u), matched by PCRE2 with bounded work.
 *
 * The only file with PCRE2. ECMA's and Perl's languages differ in what \s, \d, $ and . mean, in classes and
 * in what is an error, so a pattern is read and checked as ECMA's and written anew as Perl's (schema_ecma.c).
 *
 * No pattern hangs: PCRE2's own limit begins again at each place of the text and does not see the characters
 * that a repeat runs over, so work is counted in callouts, before each item of the pattern: one step, and one
 * for each character that lies between this callout and the last. */
#ifndef MILLRACE_SCHEMA_REGEX_H
#define MILLRACE_SCHEMA_REGEX_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>

struct schema_regex;         /* a compiled pattern: never written to again */
struct schema_regex_scratch; /* what a match needs, one per thread */

enum schema_match {
	SCHEMA_MATCH_NO,
	SCHEMA_MATCH_YES,
	SCHEMA_MATCH_GAVE_UP, /* too much work */
};

/* `pattern` is UTF-8. NULL: err says what is wrong with it. */
struct schema_regex *schema_regex_compile(const char *pattern, size_t size, struct err *err);
void schema_regex_free(struct schema_regex *regex);
struct schema_regex_scratch *schema_regex_scratch_new(void);
void schema_regex_scratch_free(struct schema_regex_scratch *scratch);
/* Does the pattern match anywhere in the text, which must be UTF-8? */
enum schema_match schema_regex_match(const struct schema_regex *regex, struct schema_regex_scratch *scratch,
        const char *text, size_t size);

/* schema_ecma.c: appends what PCRE2 calls the same pattern (under the options that schema_regex.c gives).
 * False: err says where it is not ECMA-262's grammar. */
bool schema_ecma_translate(const char *pattern, size_t size, struct buf *out, struct err *err);

#endif
