/* What is wrong in a file of the user's: place, sentence, source line with a caret, hint.
 *
 *   millrace.yaml:9:5: error[M101]: unknown key 'source.grup'
 *       9 |     grup: x
 *         |     ^^^^
 *      hint: did you mean 'group'? */
#ifndef MILLRACE_DIAGNOSTIC_H
#define MILLRACE_DIAGNOSTIC_H

#include "buf.h"
#include "explain.h"

#include <stdbool.h>
#include <stddef.h>

struct diagnostic {
	enum severity severity;
	enum code code;
	char *file;
	unsigned line, column; /* from 1; line 0 = the file as a whole; column 0 = the whole line */
	unsigned length;       /* of the underlined part, in characters; 0 = no source line is shown */
	char *message;
	char *excerpt; /* the lines to show, the last one being `line`; NULL = that line of the file's text */
	char *details; /* whole lines between the excerpt and the hint; NULL = none */
	char *hint;    /* NULL = none */
};

/* All that was found, in any order until sorted. */
struct diagnostics {
	struct diagnostic *items;
	size_t count;
	unsigned errors, warnings;
};

enum { DIAGNOSTICS_MAX = 200 }; /* what comes after is counted, not kept */

/* Copies all texts; NULL stays NULL. */
void diagnostics_add(struct diagnostics *found, const struct diagnostic *diagnostic);
void diagnostics_sort(struct diagnostics *found); /* by line, then column; else in the order of adding */
/* Appends all of them as text. `source`: the file's text for the excerpts, NULL = none. Lines that may hold a
 * secret (by the words in them) are never shown. */
void diagnostics_text(
        const struct diagnostics *found, const char *source, size_t size, bool colour, struct buf *out);
/* Appends each as one line of JSON: file, line, column, severity, code, message, hint. */
void diagnostics_json(const struct diagnostics *found, struct buf *out);
void diagnostics_free(struct diagnostics *found); /* and zeroes it */
/* May this word (a key, a property, a line) be about a secret? */
bool diagnostic_secret(const char *text, size_t size);

#endif
