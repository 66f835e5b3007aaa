/* A script's failure as people want it told: place, source line with a caret, hook, event, hint, code.
 *
 *   scripts/enrich.lua:14:21: error[M201]: attempt to index field 'revision' (a nil value)
 *       13 |   local page = ev.page
 *       14 |   return { revids = ev.page.revision.rev_id }
 *          |                     ^^^^^^^^^^^^^^^^
 *      in hook 'request', event events.jsonl:3
 *      event: {"page":{"page_id":12,...},"revision":{...},...}
 *      hint: this event has 'revision' at top level, not under 'page'
 *      more: millrace explain M201
 *
 * For tools on a developer's terminal (`enrich`, `check`, `test`, `errors show`), never for the log of an
 * engine: it shows parts of the event. Lua tells file and line; the column is found in the source, which is
 * read from the disk. What may be about a secret (diagnostic_secret) is left out. Any text is fine, however
 * odd. */
#ifndef MILLRACE_SCRIPT_TROUBLE_H
#define MILLRACE_SCRIPT_TROUBLE_H

#include "buf.h"
#include "diagnostic.h"

#include <stdbool.h>

/* Everything is borrowed. */
struct script_trouble {
	const char *type;    /* of the failure; NULL = the script does not load */
	const char *message; /* as script_result or script_open's err has it */
	const char *stack;   /* NULL = none */
	const char *script;  /* the main file, as it was opened */
	const char *hook;    /* "request"; NULL = as the message says */
	const char *where;   /* the event's coordinates: "events.jsonl:3", "topic/0/17"; NULL = none */
	struct bytes event;  /* its JSON text; data NULL = none */
};

/* Adds it to `found` as one error. */
void script_trouble_diagnose(const struct script_trouble *trouble, struct diagnostics *found);
/* Appends it as text, as above. */
void script_trouble_text(const struct script_trouble *trouble, bool colour, struct buf *out);
/* The same of an error event (/error/2.1.0, `value`), as the engine makes them: type, message, stack and
 * original are in it. False when it is none. */
bool script_trouble_event(
        struct bytes value, const char *script, const char *where, bool colour, struct buf *out);
/* Appends an event shortened to about one line: members named in `first` (count) stand first, and long texts
 * and inner objects are cut. */
void script_trouble_shorten(struct bytes event, const char *const *first, size_t count, struct buf *out);

#endif
