/* What may be behind an error in a script, and what to do: from the message, the line it names and the event.
 *
 * Pure: nothing is run and no file is read. A hint is given only where it is likely right. */
#ifndef MILLRACE_SCRIPT_HINT_H
#define MILLRACE_SCRIPT_HINT_H

#include "explain.h"
#include "jsontree.h"
#include "script_source.h"

enum { SCRIPT_HINT_FOCUS = 4 };

struct script_hint_of {
	enum code code;
	const char *message;                /* without place and hook */
	const char *hook;                   /* "request"; NULL = unknown */
	const struct script_source *source; /* of the file in which `line` is; NULL = none */
	unsigned line;                      /* 0 = unknown */
	const struct jsontree *event;       /* NULL = none */
};

struct script_hint {
	char *text;                     /* NULL = nothing to say */
	unsigned line;                  /* another line than the one that was given; 0 = that one */
	unsigned column, length;        /* what to underline, in bytes of the line; column 0 = unknown */
	char *focus[SCRIPT_HINT_FOCUS]; /* members of the event that it is about */
	size_t focus_count;
};

/* The code of a failure by its type (NULL: of a script that does not load) and message. */
enum code script_hint_code(const char *type, const char *message);
/* Fills a zeroed hint; free with script_hint_free. */
void script_hint_find(const struct script_hint_of *of, struct script_hint *hint);
void script_hint_free(struct script_hint *hint);

#endif
