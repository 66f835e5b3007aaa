/* A script's text, looked at by its words: which name stands where, what it was set from, where a hook begins
 * and ends.
 *
 * Guesses for messages, made without running or parsing Lua: a line is read alone, so what spans lines (long
 * strings, parameter lists) is not understood, and an answer may be "unknown" but never a crash. */
#ifndef MILLRACE_SCRIPT_SOURCE_H
#define MILLRACE_SCRIPT_SOURCE_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>

struct script_source {
	struct buf text;
	size_t *lines; /* where each begins; lines[count] is behind the text */
	size_t count;
};

/* Reads a regular file of at most 4 MiB; false when it is none, or empty. */
bool script_source_read(struct script_source *source, const char *path);
void script_source_free(struct script_source *source);
/* The line's bytes without its end, counted from 1; false beyond the last. */
bool script_source_line(const struct script_source *source, unsigned line, struct bytes *found);

enum script_word_kind { SCRIPT_NAME, SCRIPT_NUMBER, SCRIPT_STRING, SCRIPT_SYMBOL };

struct script_word {
	enum script_word_kind kind;
	size_t at;         /* offset in the line */
	struct bytes text; /* a string's is without its quotes */
	size_t size;       /* in the line, quotes included */
};

enum { SCRIPT_WORDS = 400 }; /* of one line that are looked at */

struct script_words {
	struct script_word words[SCRIPT_WORDS];
	size_t count;
};

/* The words of a line, without its comment. */
void script_words(struct bytes line, struct script_words *found);
bool script_word_is(const struct script_words *words, size_t index, const char *text);

enum { SCRIPT_CHAIN = 12 };

/* a.b["c"]: names, the first one being the variable. */
struct script_chain {
	struct bytes names[SCRIPT_CHAIN];
	size_t count;
	size_t at, size; /* in the line where it stands */
};

/* The chain that ends with this word; false when it does not begin with a variable. */
bool script_chain_of(const struct script_words *words, size_t last, struct script_chain *chain);

enum script_root {
	SCRIPT_ROOT_UNKNOWN,
	SCRIPT_ROOT_EVENT,
	SCRIPT_ROOT_RESPONSE,
	SCRIPT_ROOT_META,
	SCRIPT_ROOT_MILLRACE,
	SCRIPT_ROOT_GLOBAL, /* set nowhere above */
};

/* Follows the chain's variable through `local page = event.page` and the parameters of hooks, from line
 * `line` upwards: the chain then begins behind the root. */
enum script_root script_resolve(
        const struct script_source *source, unsigned line, struct script_chain *chain);

/* A hook, or any function of that name. */
struct script_span {
	unsigned first, last;    /* lines */
	unsigned column, length; /* of the name in the first one */
};
bool script_find_function(const struct script_source *source, const char *name, struct script_span *span);
/* Of the local names above a line (functions and parameters, too) the one nearest to `word`, as a copy that
 * the caller frees; NULL when none is near. */
char *script_nearest_local(const struct script_source *source, unsigned line, const char *word);
/* The line of `local function name` or `local name =` below this one; 0 = none. */
unsigned script_declared_below(const struct script_source *source, unsigned line, const char *name);

#endif
