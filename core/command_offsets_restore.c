/* `millrace offsets restore`: checkpoint files become the group's positions. */
#include "checkpointfile.h"
#include "clock.h"
#include "command.h"
#include "command_offsets.h"
#include "mem.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is restored: of each partition at most one file, or the joined ones of its newest lineage. */
struct restore {
	const struct offsets_view *view;
	struct offsets_change *changes;
	size_t count;
	int code; /* of the first that went wrong; all are told */
};

static void fail(struct restore *restore, int code, const char *path, const char *why)
{
	fprintf(stderr, "millrace offsets: %s: %s\n", path, why);
	if (restore->code == EXIT_SUCCESS)
		restore->code = code;
}

static const struct inquiry_partition *partition_of(
        const struct offsets_view *view, const char *topic, int32_t id)
{
	for (size_t i = 0; i < view->inquiry->count; i++) {
		const struct inquiry_partition *partition = &view->inquiry->partitions[i];
		if (partition->id == id && strcmp(partition->topic, topic) == 0)
			return partition;
	}
	return NULL;
}

static bool taken(const struct restore *restore, const struct inquiry_partition *partition)
{
	for (size_t i = 0; i < restore->count; i++)
		if (restore->changes[i].partition == partition)
			return true;
	return false;
}

/* ---- what speaks against it ---- */

static char *against(const struct restore *restore, const struct checkpointfile *file,
        const struct inquiry_partition *partition)
{
	const struct offsets_view *view = restore->view;
	const char *group = view->config->source.group, *cluster = view->inquiry->cluster;
	const struct position *position = &file->position;
	if (partition == NULL)
		return mem_printf(
		        "it is of %s/%d, which is no partition of this job", file->topic, file->partition);
	if (taken(restore, partition))
		return mem_printf("a second file of %s/%d: which one?", file->topic, file->partition);
	if (position->offset > partition->high)
		return mem_printf("its offset %lld lies beyond the end of the log (%lld..%lld): it is of "
		                  "another log than the one there is now",
		        (long long)position->offset, (long long)partition->low, (long long)partition->high);
	if (strcmp(position->cluster, cluster) != 0 && !view->options->force)
		return mem_printf(
		        "it is of another cluster (%s) than this one (%s), where the same offsets "
		        "are other records; if they are the same ones (the cluster was rebuilt from "
		        "its disks, or copied with its offsets), say --force",
		        position->cluster[0] ? position->cluster : "unknown", cluster);
	if (strcmp(file->group, group) != 0 && !view->options->force)
		return mem_printf("it is of the group %s, and this job's is %s: say --force to go on from "
		                  "where the other one was",
		        file->group, group);
	return NULL;
}

/* ---- lineage ---- */

static bool store_agrees(const struct offsets_view *view, const struct offsets_change *change)
{
	struct position *files = NULL;
	size_t count = view->reader ? checkpoint_reader_positions(view->reader, change->partition->topic,
	                                      change->partition->id, &files)
	                            : 0;
	bool agrees = positions_exact(&change->to, files, count, view->inquiry->cluster);
	if (files)
		checkpoint_reader_release(view->reader, files, count);
	return agrees;
}

/* A lineage says "what is known of me may be joined": it stays the file's where that changes nothing. Else
 * the position is to be what was asked for and not what later files say, so it begins a new one. */
static void settle_lineage(const struct offsets_view *view, struct offsets_change *change)
{
	struct buf metadata;
	struct position read;
	struct range *ranges = mem_alloc(POSITION_RANGES_MAX * sizeof *ranges);
	bool renewed = !store_agrees(view, change);
	if (renewed)
		random_hex(change->to.lineage, sizeof change->to.lineage);
	buf_init(&metadata, 0);
	positions_encode(&change->to, &metadata);
	positions_decode(metadata.data, metadata.size, change->to.offset, &read, ranges);
	if (renewed && read.range_count < change->to.range_count)
		change->note = mem_printf("%zu of %zu finished ranges fit the commit", read.range_count,
		        change->to.range_count);
	buf_free(&metadata);
	mem_free(ranges);
}

/* ---- files ---- */

/* Takes the file's ranges. */
static void add(struct restore *restore, const char *path, struct checkpointfile *file)
{
	const struct inquiry_partition *partition = partition_of(restore->view, file->topic, file->partition);
	if (partition && !offsets_wanted(restore->view, partition))
		return;
	char *why = against(restore, file, partition);
	if (why) {
		fail(restore, EXIT_FAILURE, path, why);
		mem_free(why);
		return;
	}
	struct offsets_change *change = &restore->changes[restore->count++];
	*change = (struct offsets_change){.partition = partition, .to = file->position};
	if (change->to.partitions == 0)
		change->to.partitions = offsets_partitions(restore->view, partition->topic);
	file->position.ranges = NULL;
	settle_lineage(restore->view, change);
}

static void add_file(struct restore *restore, const char *path)
{
	struct checkpointfile file;
	struct err err;
	if (!checkpointfile_read(path, &file, &err)) {
		fail(restore, access(path, R_OK) == 0 ? EXIT_DATA : EXIT_FAILURE, path, err.text);
		return;
	}
	add(restore, path, &file);
	checkpointfile_free(&file);
}

/* The newest file, joined with the others of its lineage and cluster as a start without a commit would. */
static void join_newest(struct checkpointfile *files, size_t count)
{
	struct position *all = mem_zalloc(count, sizeof *all), *newest = &files[0].position;
	struct position_decision *decision = mem_zalloc(1, sizeof *decision);
	for (size_t i = 0; i < count; i++)
		all[i] = files[i].position;
	struct position_facts facts = {
	        .files = all, .file_count = count, .cluster = newest->cluster, .high = INT64_MAX};
	positions_resolve(&facts, decision);
	if (decision->why == POSITION_FILE) {
		newest->offset = decision->offset;
		newest->ranges = mem_realloc(newest->ranges, POSITION_RANGES_MAX * sizeof *newest->ranges);
		newest->range_count = decision->range_count;
		memcpy(newest->ranges, decision->ranges, decision->range_count * sizeof *newest->ranges);
	}
	mem_free(decision);
	mem_free(all);
}

static void add_newest(struct restore *restore, const char *dir, const struct inquiry_partition *partition)
{
	const char *group = restore->view->config->source.group;
	char *folder = checkpointfile_folder(dir, group, partition->topic, partition->id);
	struct checkpointfile *files;
	size_t count;
	struct err err;
	if (!checkpointfile_read_all(dir, group, partition->topic, partition->id, &files, &count, &err)) {
		fail(restore, EXIT_FAILURE, folder, err.text);
	} else if (count == 0) {
		fprintf(stderr, "millrace offsets: %s: no good file; %s/%d stays as it is\n", folder,
		        partition->topic, partition->id);
	} else {
		join_newest(files, count);
		add(restore, folder, &files[0]);
	}
	for (size_t i = 0; i < count; i++)
		checkpointfile_free(&files[i]);
	mem_free(files);
	mem_free(folder);
}

static void add_path(struct restore *restore, const char *path)
{
	const struct inquiry *inquiry = restore->view->inquiry;
	struct stat about;
	if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) {
		add_file(restore, path);
		return;
	}
	for (size_t i = 0; i < inquiry->count; i++)
		if (offsets_wanted(restore->view, &inquiry->partitions[i]))
			add_newest(restore, path, &inquiry->partitions[i]);
}

int offsets_restore(const struct offsets_view *view)
{
	struct restore restore = {
	        .view = view, .changes = mem_zalloc(view->inquiry->count, sizeof *restore.changes)};
	for (size_t i = 0; i < view->options->file_count; i++)
		add_path(&restore, view->options->files[i]);
	if (restore.code == EXIT_SUCCESS && restore.count == 0) {
		fputs("millrace offsets: nothing was found that could be restored\n", stderr);
		restore.code = EXIT_FAILURE;
	}
	int code = restore.code ? restore.code : offsets_change(view, restore.changes, restore.count);
	for (size_t i = 0; i < restore.count; i++) {
		mem_free(restore.changes[i].to.ranges);
		mem_free(restore.changes[i].note);
	}
	mem_free(restore.changes);
	return code;
}
