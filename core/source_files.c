/* Checkpoint files of what is finished, written before the commit that says the same. */
#include "mem.h"
#include "source_kafka.h"

#include <string.h>

/* A new lineage is committed before anything else says its name. */
static bool wants_file(const struct owned *owned)
{
	const struct offsets *offsets = owned->partition.offsets;
	if (offsets == NULL || owned->committing_first)
		return false;
	return !owned->filed || offsets_safe(offsets) != owned->filed_offset ||
	       offsets_finished(offsets) != owned->filed_finished;
}

static void add_note(const struct kafka_source *self, const struct owned *owned, struct source_note *note,
        struct commit_entry *entry)
{
	const struct partition *partition = &owned->partition;
	struct range *ranges = mem_alloc(POSITION_RANGES_MAX * sizeof *ranges);
	*note = (struct source_note){partition->topic, partition->id, source_position(owned, ranges)};
	memcpy(note->position.cluster, self->source.cluster, sizeof note->position.cluster);
	*entry = (struct commit_entry){
	        partition->assignment, offsets_finished(partition->offsets), note->position.offset};
}

static size_t add_notes(struct kafka_source *self, bool draining_only, struct source_note *notes)
{
	size_t count = 0;
	list_each (&self->source.partitions, node, after) {
		const struct owned *owned = source_owned(node);
		if (!wants_file(owned) || (draining_only && owned->partition.state != PARTITION_DRAINING))
			continue;
		add_note(self, owned, &notes[count], &self->filing.entries[count]);
		count++;
	}
	return count;
}

bool source_write_files(struct kafka_source *self, bool draining_only)
{
	const struct source_checkpoints *checkpoints = self->config->checkpoints;
	if (checkpoints == NULL || checkpoints->write == NULL || self->source.cluster[0] == '\0' ||
	        !source_files_written(self))
		return false;
	size_t most = self->source.partitions.count;
	struct source_note *notes = mem_zalloc(most, sizeof *notes);
	self->filing.entries = mem_zalloc(most, sizeof *self->filing.entries);
	size_t count = add_notes(self, draining_only, notes);
	bool begun = count > 0 && checkpoints->write(checkpoints->context, notes, count);
	self->filing.count = count;
	if (!begun)
		source_forget_files(self);
	for (size_t i = 0; i < count; i++)
		mem_free(notes[i].position.ranges);
	mem_free(notes);
	return begun;
}

bool source_files_written(struct kafka_source *self)
{
	const struct source_checkpoints *checkpoints = self->config->checkpoints;
	const struct filing *filing = &self->filing;
	enum source_writing outcome =
	        filing->count ? checkpoints->outcome(checkpoints->context) : SOURCE_NOT_WRITTEN;
	if (outcome == SOURCE_WRITING)
		return false;
	for (size_t i = 0; outcome == SOURCE_WRITTEN && i < filing->count; i++) {
		struct owned *owned = source_find_assignment(self, filing->entries[i].assignment);
		if (owned == NULL)
			continue;
		owned->filed = true;
		owned->filed_offset = filing->entries[i].offset;
		owned->filed_finished = filing->entries[i].finished;
	}
	source_forget_files(self);
	return true;
}

void source_forget_files(struct kafka_source *self)
{
	mem_free(self->filing.entries);
	self->filing = (struct filing){0};
}
