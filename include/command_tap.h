/* What `millrace tap` does with the items that come: shows them, gathers a record's, saves a cassette. */
#ifndef MILLRACE_COMMAND_TAP_H
#define MILLRACE_COMMAND_TAP_H

#include "buf.h"
#include "cassette.h"
#include "err.h"
#include "jsontree.h"
#include "list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One item as it came; shared by the records of a call. */
struct tap_line {
	unsigned holds;
	bool saved;
	size_t size;
	char text[];
};

/* Text of a member of the object at `object`, or "" ; a number's as it stands. Overwrites room. */
const char *tap_member(const struct jsontree *tree, uint32_t object, const char *name, struct buf *room);

/* ---- command_tap_view.c: for people ---- */

/* Appends a line that says what the item (parsed in tree) is, and its content below, indented. What would
 * move a terminal's cursor is shown as `?`. */
void tap_view(const struct jsontree *tree, bool colour, struct buf *out);
/* ---- command_tap_records.c: all items of one record ---- */

enum { TAP_RECORDS_BYTES = 256 << 20 };

struct tap_record {
	struct list_node node;
	char *place; /* topic/partition/offset */
	struct tap_line **lines;
	size_t count, bytes;
};

struct tap_records {
	struct list open; /* the oldest first */
	size_t bytes;
	uint64_t given_up; /* there were too many at one time, or their end did not come */
};

void tap_records_init(struct tap_records *records);
/* Adds an item (parsed in tree) to the records it belongs to. A record whose last item it is leaves the list
 * and is answered: the caller frees it. NULL: none has ended. */
struct tap_record *tap_records_add(
        struct tap_records *records, const struct jsontree *tree, const char *text, size_t size);
void tap_record_free(struct tap_record *record);
void tap_records_free(struct tap_records *records);

/* ---- command_tap_save.c: into a cassette (cassette.h) ---- */

/* The record's event, and the exchanges it shared, each once. False and err: nothing more can be written, or
 * an answer came without its content. */
bool tap_save_record(struct cassette_writer *writer, const struct tap_record *record, struct err *err);

#endif
