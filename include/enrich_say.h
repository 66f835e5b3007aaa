/* What --explain and --diff say alike: an event in a few words, a difference in one line.
 *
 * Nothing that is appended holds what a terminal could take for a command. */
#ifndef MILLRACE_ENRICH_SAY_H
#define MILLRACE_ENRICH_SAY_H

#include "jsondiff.h"
#include "record.h"

#include <stdbool.h>

/* Text as it is but for control characters and what is not UTF-8: those become '?'. */
void enrich_say_clean(struct buf *out, const char *text, size_t size);
/* "events.jsonl:1  mediawiki.page_change.v1  edit  key=...": its place, its stream, what kind it is (its
 * first two members with names that end in "kind" or "type"), its key. */
void enrich_say_event(struct buf *out, const char *events, const struct record *record);
/* "+ path value", "- path value" or "~ path value -> value", long values as what they are ("(412 chars)");
 * a new line in front, `indent` blanks. */
void enrich_say_difference(struct buf *out, unsigned indent, bool colour, const struct jsontree *a,
        const struct jsontree *b, const struct jsondiff_difference *difference);
/* 0.000045 -> "0.05 ms", 0.12 -> "120 ms", 2.5 -> "2.5 s". */
void enrich_say_time(struct buf *out, double seconds);
void enrich_say_bytes(struct buf *out, uint64_t bytes);
/* From here on in this colour ("1;32"; NULL: as usual), where colours are wanted. */
void enrich_paint(struct buf *out, bool colour, const char *code);

#endif
