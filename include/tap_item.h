/* What a tap shows of a record or a call: one JSON object without a newline.
 *
 * Of everybody's: stage, time, topic, partition, offset, attempt, script (12 digits of its sha256), bytes,
 * upstream, host, method, lookup (from 1) of lookups, status, failure, elapsed (seconds), records (that
 * shared a call), outcome, reason (of a drop), type (of a failure), outputs ([{sink, topic, bytes}]).
 * Content is the rest: key, headers, event (or value, where it is no JSON), request, answer, message, the
 * outputs' key, headers and value, error (the error event). Bytes that are no UTF-8 stand in base64 under the
 * same name and `_base64`. Headers and parameters that are about secrets are "(redacted)". */
#ifndef MILLRACE_TAP_ITEM_H
#define MILLRACE_TAP_ITEM_H

#include "buf.h"
#include "jsontree.h"
#include "tap.h"

#include <stdbool.h>
#include <stdint.h>

struct tap_paper {
	const struct tap_config *config;
	struct jsontree *tree; /* room to look whether a text is JSON */
	size_t values;         /* most that a text may have to be shown as JSON */
	const char *script;    /* NULL = not known any more */
	struct buf *out;       /* its limit is the item's: `full` then, and what is in it is no item */
	bool content;
};

void tap_item_in(const struct tap_paper *paper, const struct record *record, int64_t wall);
void tap_item_request(
        const struct tap_paper *paper, const struct record *record, size_t lookup, int64_t wall);
void tap_item_response(const struct tap_paper *paper, const struct call *call, int64_t wall);
void tap_item_end(const struct tap_paper *paper, const struct record *record, int64_t wall, int64_t now);

#endif
