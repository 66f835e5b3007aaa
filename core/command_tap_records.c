/* All items of one record, gathered until its last one has come. */
#include "command_tap.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

enum { OPEN_MAX = 20000 };

void tap_records_init(struct tap_records *records)
{
	*records = (struct tap_records){.bytes = 0};
	list_init(&records->open, "records of a tap");
}

static void line_release(struct tap_line *line)
{
	if (--line->holds == 0)
		mem_free(line);
}

void tap_record_free(struct tap_record *record)
{
	for (size_t i = 0; i < record->count; i++)
		line_release(record->lines[i]);
	mem_free(record->lines);
	mem_free(record->place);
	mem_free(record);
}

static void take_out(struct tap_records *records, struct tap_record *record)
{
	list_remove(&records->open, &record->node);
	records->bytes -= record->bytes;
}

static void name_place(const struct jsontree *tree, uint32_t object, struct buf *place)
{
	static const char *const names[] = {"topic", "partition", "offset"};
	struct buf room;
	buf_init(&room, 0);
	buf_clear(place);
	for (size_t i = 0; i < 3; i++)
		buf_printf(place, "%s%s", i ? "/" : "", tap_member(tree, object, names[i], &room));
	buf_free(&room);
}

static struct tap_record *find(struct tap_records *records, const char *place)
{
	list_each (&records->open, node, after) {
		struct tap_record *record = container_of(node, struct tap_record, node);
		if (strcmp(record->place, place) == 0)
			return record;
	}
	return NULL;
}

static void give_up_oldest(struct tap_records *records)
{
	struct tap_record *oldest = container_of(list_first(&records->open), struct tap_record, node);
	take_out(records, oldest);
	tap_record_free(oldest);
	records->given_up++;
}

static void add_line(struct tap_records *records, struct tap_record *record, struct tap_line *line)
{
	record->lines = mem_realloc(record->lines, (record->count + 1) * sizeof *record->lines);
	record->lines[record->count++] = line;
	line->holds++;
	record->bytes += line->size;
	records->bytes += line->size;
}

static void add_new(struct tap_records *records, const char *place, struct tap_line *line)
{
	struct tap_record *record = find(records, place);
	if (record) { /* it was given back, and has come again */
		take_out(records, record);
		tap_record_free(record);
		records->given_up++;
	}
	record = mem_zalloc(1, sizeof *record);
	record->place = mem_strdup(place);
	list_append(&records->open, &record->node);
	add_line(records, record, line);
}

static void add_to_sharers(struct tap_records *records, const struct jsontree *tree, struct tap_line *line)
{
	uint32_t all = jsontree_member(tree, 0, "records", 7);
	struct buf place;
	buf_init(&place, 0);
	for (uint32_t at = all + 1, i = 0; all && i < tree->nodes[all].count;
	        i++, at = tree->nodes[at].next) {
		name_place(tree, at, &place);
		struct tap_record *record = find(records, place.data);
		if (record)
			add_line(records, record, line);
	}
	buf_free(&place);
}

struct tap_record *tap_records_add(
        struct tap_records *records, const struct jsontree *tree, const char *text, size_t size)
{
	struct buf place, room;
	struct tap_record *record = NULL;
	buf_init(&place, 0);
	buf_init(&room, 0);
	struct tap_line *line = mem_alloc(sizeof *line + size + 1);
	*line = (struct tap_line){.holds = 1, .size = size};
	memcpy(line->text, text, size);
	line->text[size] = '\0';
	const char *stage = tap_member(tree, 0, "stage", &room);
	bool last = strcmp(stage, "out") == 0 || strcmp(stage, "error") == 0;
	name_place(tree, 0, &place);
	if (strcmp(stage, "in") == 0)
		add_new(records, place.data, line);
	else if (strcmp(stage, "response") == 0)
		add_to_sharers(records, tree, line);
	else if ((record = find(records, place.data)) != NULL)
		add_line(records, record, line);
	if (record && last)
		take_out(records, record);
	else
		record = NULL;
	while (records->bytes > TAP_RECORDS_BYTES || records->open.count > OPEN_MAX)
		give_up_oldest(records);
	line_release(line);
	buf_free(&place);
	buf_free(&room);
	return record;
}

void tap_records_free(struct tap_records *records)
{
	struct list_node *node;
	while ((node = list_first(&records->open))) {
		struct tap_record *record = container_of(node, struct tap_record, node);
		take_out(records, record);
		tap_record_free(record);
	}
}
