/* `millrace offsets show` and `plan`: where the partitions of a job stand, and where they would start. */
#include "clock.h"
#include "command_offsets.h"
#include "mem.h"
#include "table.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what all print ---- */

void offsets_json_text(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, "\"%s\":", name);
	if (text)
		text_json_string(out, text, strlen(text));
	else
		buf_append_text(out, "null");
}

void offsets_json_ranges(struct buf *out, const struct range *ranges, size_t count)
{
	buf_append_text(out, "\"finished\":[");
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s[%lld,%lld]", i ? "," : "", (long long)ranges[i].from,
		        (long long)ranges[i].to);
	buf_append_byte(out, ']');
}

void offsets_json_position(struct buf *out, const struct position *position)
{
	buf_printf(out, "{\"offset\":%lld,", (long long)position->offset);
	offsets_json_text(out, "lineage", position->lineage[0] ? position->lineage : NULL);
	buf_append_byte(out, ',');
	offsets_json_ranges(out, position->ranges, position->range_count);
	if (position->until >= 0)
		buf_printf(out, ",\"until\":%lld", (long long)position->until);
}

char *offsets_ranges_cell(const struct range *ranges, size_t count)
{
	int64_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += ranges[i].to - ranges[i].from;
	if (count == 0)
		return mem_strdup("-");
	return mem_printf("%lld in %zu range%s", (long long)sum, count, count == 1 ? "" : "s");
}

char *offsets_log_cell(const struct inquiry_partition *partition)
{
	return mem_printf("%lld..%lld", (long long)partition->low, (long long)partition->high);
}

void offsets_json_head(const struct offsets_view *view, struct buf *out)
{
	buf_append_byte(out, '{');
	offsets_json_text(out, "group", view->config->source.group);
	buf_append_byte(out, ',');
	offsets_json_text(out, "cluster", view->inquiry->cluster);
	buf_append_byte(out, ',');
	offsets_json_text(out, "dir", view->config->checkpoint_dir);
	buf_append_text(out, ",\"partitions\":[");
}

void offsets_print_head(const struct offsets_view *view)
{
	const char *dir = view->config->checkpoint_dir;
	printf("group %s on cluster %s, %s%s\n", view->config->source.group, view->inquiry->cluster,
	        dir ? "checkpoint files in " : "no checkpoint files (checkpoint.dir is not set)",
	        dir ? dir : "");
}

int offsets_print_json(struct buf *out)
{
	buf_append_text(out, "]}\n");
	bool written = fwrite(out->data, 1, out->size, stdout) == out->size && fflush(stdout) == 0;
	buf_free(out);
	if (!written)
		perror("millrace offsets: standard output");
	return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- show ---- */

static size_t read_files(const struct offsets_view *view, const struct inquiry_partition *partition,
        struct checkpointfile **files)
{
	struct err err;
	size_t count = 0;
	*files = NULL;
	if (view->reader &&
	        !checkpoint_reader_read(view->reader, partition->topic, partition->id, files, &count, &err))
		fprintf(stderr, "millrace offsets: the files of %s/%d cannot be read: %s\n", partition->topic,
		        partition->id, err.text);
	return count;
}

static void free_files(struct checkpointfile *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		checkpointfile_free(&files[i]);
	mem_free(files);
}

static int64_t lag_of(const struct inquiry_partition *partition)
{
	int64_t lag = partition->high - partition->commit.offset;
	return lag < 0 ? 0 : lag;
}

static void json_partition(struct buf *out, const struct inquiry_partition *partition,
        const struct checkpointfile *files, size_t count)
{
	buf_append_byte(out, '{');
	offsets_json_text(out, "topic", partition->topic);
	buf_printf(out, ",\"partition\":%d,\"low\":%lld,\"high\":%lld,", partition->id,
	        (long long)partition->low, (long long)partition->high);
	if (partition->committed) {
		buf_printf(out, "\"lag\":%lld,\"commit\":", (long long)lag_of(partition));
		offsets_json_position(out, &partition->commit);
		buf_append_byte(out, '}');
	} else {
		buf_append_text(out, "\"lag\":null,\"commit\":null");
	}
	buf_append_text(out, ",\"files\":[");
	for (size_t i = 0; i < count; i++) {
		char time[CLOCK_TEXT];
		clock_format(files[i].position.wall, time);
		buf_append_text(out, i ? "," : "");
		offsets_json_position(out, &files[i].position);
		buf_printf(out, ",\"time\":\"%s\",", time);
		offsets_json_text(out, "cluster", files[i].position.cluster);
		buf_append_byte(out, ',');
		offsets_json_text(out, "script", files[i].script[0] ? files[i].script : NULL);
		buf_append_byte(out, '}');
	}
	buf_append_text(out, "]}");
}

static char *newest_in_words(
        const struct offsets_view *view, const struct checkpointfile *files, size_t count)
{
	char time[CLOCK_TEXT];
	if (count == 0)
		return mem_strdup(view->reader ? "none" : "-");
	const struct position *position = &files[0].position;
	clock_format(position->wall, time);
	return mem_printf("%lld at %s%s", (long long)position->offset, time,
	        strcmp(position->cluster, view->inquiry->cluster) == 0 ? "" : ", of another cluster");
}

static void show_row(const struct offsets_view *view, struct table *table,
        const struct inquiry_partition *partition, const struct checkpointfile *files, size_t count)
{
	const struct position *commit = &partition->commit;
	char **row = table_add(table);
	row[0] = mem_strdup(partition->topic);
	row[1] = mem_printf("%d", partition->id);
	row[2] = offsets_log_cell(partition);
	row[3] = partition->committed ? mem_printf("%lld", (long long)commit->offset) : mem_strdup("none");
	row[4] = partition->committed ? mem_printf("%lld", (long long)lag_of(partition)) : mem_strdup("-");
	row[5] = mem_strdup(!partition->committed ? "-"
	                    : commit->lineage[0]  ? commit->lineage
	                                          : "not Millrace's");
	row[6] = offsets_ranges_cell(commit->ranges, partition->committed ? commit->range_count : 0);
	row[7] = newest_in_words(view, files, count);
}

static void show_json(const struct offsets_view *view, struct buf *out)
{
	offsets_json_head(view, out);
	for (size_t i = 0; i < view->inquiry->count; i++) {
		struct checkpointfile *files;
		size_t count = read_files(view, &view->inquiry->partitions[i], &files);
		buf_append_text(out, i ? "," : "");
		json_partition(out, &view->inquiry->partitions[i], files, count);
		free_files(files, count);
	}
}

static void show_table(const struct offsets_view *view)
{
	static const char *const names[] = {"TOPIC", "PARTITION", "LOG", "COMMIT", "LAG", "LINEAGE",
	        "FINISHED ABOVE", "NEWEST FILE", NULL};
	struct table table;
	table_begin(&table, names);
	for (size_t i = 0; i < view->inquiry->count; i++) {
		struct checkpointfile *files;
		size_t count = read_files(view, &view->inquiry->partitions[i], &files);
		show_row(view, &table, &view->inquiry->partitions[i], files, count);
		free_files(files, count);
	}
	offsets_print_head(view);
	table_print(&table);
}

int offsets_show(const struct offsets_view *view)
{
	struct buf out;
	if (!view->options->json) {
		show_table(view);
		return EXIT_SUCCESS;
	}
	buf_init(&out, 0);
	show_json(view, &out);
	return offsets_print_json(&out);
}

/* ---- plan ---- */

static const char *why_name(enum position_why why)
{
	switch (why) {
	case POSITION_COMMIT: return "commit";
	case POSITION_FOREIGN: return "foreign";
	case POSITION_FILE: return "file";
	case POSITION_START: return "start";
	case POSITION_BEGINNING: return "beginning";
	case POSITION_OUT_OF_RANGE: break;
	}
	return "out_of_range";
}

static void plan_json(const struct offsets_view *view, struct buf *out)
{
	offsets_json_head(view, out);
	for (size_t i = 0; i < view->inquiry->count; i++) {
		const struct inquiry_partition *partition = &view->inquiry->partitions[i];
		const struct position_decision *decision = &partition->decision;
		buf_append_text(out, i ? ",{" : "{");
		offsets_json_text(out, "topic", partition->topic);
		buf_printf(out, ",\"partition\":%d,\"low\":%lld,\"high\":%lld,\"start\":%lld,", partition->id,
		        (long long)partition->low, (long long)partition->high, (long long)decision->offset);
		offsets_json_text(out, "why", why_name(decision->why));
		buf_append_byte(out, ',');
		offsets_json_text(out, "reason", position_why_text(decision));
		buf_append_byte(out, ',');
		offsets_json_text(out, "lineage", decision->new_lineage ? NULL : decision->lineage);
		buf_append_byte(out, ',');
		offsets_json_ranges(out, decision->ranges, decision->range_count);
		buf_printf(out, ",\"gap\":%lld,\"files\":%zu,\"strangers\":%zu}", (long long)decision->gap,
		        decision->joined, decision->strangers);
	}
}

static char *gap_in_words(const struct position_decision *decision)
{
	const char *text = position_why_text(decision);
	return decision->gap ? mem_printf("%s (%lld records are lost)", text, (long long)decision->gap)
	                     : mem_strdup(text);
}

static void plan_table(const struct offsets_view *view)
{
	static const char *const names[] = {
	        "TOPIC", "PARTITION", "LOG", "START", "FINISHED ABOVE", "WHY", NULL};
	struct table table;
	table_begin(&table, names);
	for (size_t i = 0; i < view->inquiry->count; i++) {
		const struct inquiry_partition *partition = &view->inquiry->partitions[i];
		const struct position_decision *decision = &partition->decision;
		char **row = table_add(&table);
		row[0] = mem_strdup(partition->topic);
		row[1] = mem_printf("%d", partition->id);
		row[2] = offsets_log_cell(partition);
		row[3] = mem_printf("%lld", (long long)decision->offset);
		row[4] = offsets_ranges_cell(decision->ranges, decision->range_count);
		row[5] = gap_in_words(decision);
	}
	offsets_print_head(view);
	table_print(&table);
}

int offsets_plan(const struct offsets_view *view)
{
	struct buf out;
	if (!view->options->json) {
		plan_table(view);
		return EXIT_SUCCESS;
	}
	buf_init(&out, 0);
	plan_json(view, &out);
	return offsets_print_json(&out);
}
