/* The insides of `millrace offsets`, for its files and nobody else.
 *
 * command_offsets.c: the options, and a client that joins no group. command_offsets_show.c: what is known.
 * command_offsets_set.c: positions set by hand. command_offsets_restore.c: positions taken from files. */
#ifndef MILLRACE_COMMAND_OFFSETS_H
#define MILLRACE_COMMAND_OFFSETS_H

#include "buf.h"
#include "checkpoint_reader.h"
#include "config.h"
#include "inquiry.h"

struct offsets_options {
	const char *config, *group;    /* group: NULL = the configuration's */
	const char *to;                /* set: where */
	const char *topic, *partition; /* set, restore: NULL = all */
	char **files;                  /* restore */
	size_t file_count;
	bool json, yes, dry_run, force;
};

struct offsets_view {
	const struct offsets_options *options;
	const struct config *config;
	struct rd_kafka_s *client;
	struct inquiry *inquiry;          /* answered */
	struct checkpoint_reader *reader; /* NULL = no checkpoint.dir */
};

/* A partition whose position is to be changed. */
struct offsets_change {
	const struct inquiry_partition *partition;
	struct position to; /* its ranges are the change's */
	char *note;         /* more to know about it; NULL = nothing */
};

/* Each answers an exit code. */
int offsets_show(const struct offsets_view *view);
int offsets_plan(const struct offsets_view *view);
int offsets_set(const struct offsets_view *view);
int offsets_restore(const struct offsets_view *view);

/* Shows the changes, asks for consent unless it was given, refuses while the group has members, commits. */
int offsets_change(const struct offsets_view *view, const struct offsets_change *changes, size_t count);
/* Whether the options leave this partition in; all of them when none is named. */
bool offsets_wanted(const struct offsets_view *view, const struct inquiry_partition *partition);
int32_t offsets_partitions(const struct offsets_view *view, const char *topic);

/* Parts of what is printed: members of a JSON object without comma, and cells of a table (mem_free). */
void offsets_json_text(struct buf *out, const char *name, const char *text);
void offsets_json_ranges(struct buf *out, const struct range *ranges, size_t count);
void offsets_json_position(
        struct buf *out, const struct position *position); /* without its brace at the end */
void offsets_json_head(const struct offsets_view *view, struct buf *out);
int offsets_print_json(struct buf *out); /* frees it; an exit code */
char *offsets_ranges_cell(const struct range *ranges, size_t count);
char *offsets_log_cell(const struct inquiry_partition *partition);
void offsets_print_head(const struct offsets_view *view);

#endif
