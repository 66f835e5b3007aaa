/* Commits of what is finished: the safe offset, and in the metadata what is finished above it. */
#include "clock.h"
#include "fault.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "source_kafka.h"

#include <string.h>

enum {
	METADATA_MIN = 64,
	HURRY_MS = 1000, /* how long a commit waits for its files while a rebalance or the end waits for it */
};

bool source_wants_commit(const struct owned *owned)
{
	const struct partition *partition = &owned->partition;
	if (partition->offsets == NULL)
		return false;
	return owned->committing_first || offsets_safe(partition->offsets) > partition->committed ||
	       offsets_finished(partition->offsets) != owned->finished;
}

struct position source_position(const struct owned *owned, struct range *ranges)
{
	const struct partition *partition = &owned->partition;
	struct position position = {.offset = offsets_safe(partition->offsets),
	        .until = partition->until,
	        .partitions = owned->topic_partitions,
	        .ranges = ranges};
	memcpy(position.lineage, partition->lineage, sizeof position.lineage);
	position.range_count = offsets_ranges(partition->offsets, ranges, POSITION_RANGES_MAX);
	return position;
}

static void add_entry(
        struct kafka_source *self, const struct owned *owned, rd_kafka_topic_partition_list_t *list)
{
	static struct range ranges[POSITION_RANGES_MAX];
	const struct partition *partition = &owned->partition;
	struct position position = source_position(owned, ranges);
	struct buf metadata;
	buf_init(&metadata, self->metadata_limit);
	positions_encode(&position, &metadata);
	rd_kafka_topic_partition_t *entry =
	        rd_kafka_topic_partition_list_add(list, partition->topic, partition->id);
	entry->offset = position.offset;
	entry->metadata = rd_kafka_mem_malloc(self->client, metadata.size + 1);
	memcpy(entry->metadata, metadata.data, metadata.size + 1);
	entry->metadata_size = metadata.size;
	buf_free(&metadata);
	self->commit.entries[self->commit.count++] = (struct commit_entry){
	        partition->assignment, offsets_finished(partition->offsets), position.offset};
}

void source_forget_commit(struct kafka_source *self)
{
	if (self->commit.waiting)
		rd_kafka_topic_partition_list_destroy(self->commit.waiting);
	mem_free(self->commit.entries);
	self->commit = (struct commit){0};
}

static void count_commit(struct kafka_source *self, bool good)
{
	*metrics_value(self->metrics, METRIC_COMMITS, good ? "ok" : "failed") += 1;
	if (good)
		*metrics_value(self->metrics, METRIC_LAST_COMMIT, NULL) = (double)clock_wall() / 1000;
}

static bool send_list(struct kafka_source *self, const rd_kafka_topic_partition_list_t *list)
{
	self->commit.number = (uintptr_t)++self->numbers;
	self->commit.since = self->commit_sent = clock_now();
	rd_kafka_queue_t *answers = self->leaving ? self->leaving : self->events;
	rd_kafka_resp_err_t code =
	        rd_kafka_commit_queue(self->client, list, answers, NULL, (void *)self->commit.number);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	kafka_count_error(&self->health, code);
	count_commit(self, false);
	log_throttled(LOG_WARN, "source", "committing failed and is tried again: %s", rd_kafka_err2str(code));
	return false;
}

bool source_send_commit(struct kafka_source *self, bool draining_only)
{
	if (rd_kafka_assignment_lost(self->client))
		return false;
	self->commit.entries = mem_zalloc(self->source.partitions.count, sizeof *self->commit.entries);
	rd_kafka_topic_partition_list_t *list =
	        rd_kafka_topic_partition_list_new((int)self->source.partitions.count);
	list_each (&self->source.partitions, node, after) {
		const struct owned *owned = source_owned(node);
		if (source_wants_commit(owned) &&
		        (!draining_only || owned->partition.state == PARTITION_DRAINING))
			add_entry(self, owned, list);
	}
	bool filing = source_write_files(self, draining_only);
	if (filing && list->cnt > 0) {
		self->commit.waiting = list;
		self->commit.since = clock_now();
		return true;
	}
	bool sent = list->cnt > 0 && send_list(self, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (!sent)
		source_forget_commit(self);
	return sent;
}

/* Takes out what was given up while the commit waited. */
static void drop_given_up(struct kafka_source *self)
{
	struct commit *commit = &self->commit;
	for (size_t i = commit->count; i-- > 0;) {
		if (source_find_assignment(self, commit->entries[i].assignment))
			continue;
		rd_kafka_topic_partition_list_del_by_idx(commit->waiting, (int)i);
		commit->count--;
		memmove(&commit->entries[i], &commit->entries[i + 1],
		        (commit->count - i) * sizeof *commit->entries);
	}
}

void source_serve_waiting(struct kafka_source *self, int64_t now)
{
	struct commit *commit = &self->commit;
	bool written = source_files_written(self);
	bool hurry = self->rebalance.list || self->stage >= SOURCE_LAST_COMMIT;
	if (commit->waiting == NULL || (!written && !(hurry && now - commit->since >= HURRY_MS)))
		return;
	rd_kafka_topic_partition_list_t *list = commit->waiting;
	drop_given_up(self);
	commit->waiting = NULL;
	bool resting = !hurry && now < self->resting_until;
	if (commit->count == 0 || resting || !send_list(self, list))
		source_forget_commit(self);
	rd_kafka_topic_partition_list_destroy(list);
}

static void committed(struct kafka_source *self, struct owned *owned, const struct commit_entry *entry)
{
	if (entry->offset > owned->partition.committed)
		owned->partition.committed = entry->offset;
	owned->finished = entry->finished;
	if (!owned->committing_first)
		return;
	owned->committing_first = false;
	if (owned->partition.state == PARTITION_STARTING && self->stage == SOURCE_OPEN)
		source_begin_reading(self, owned);
}

static void refused(
        struct kafka_source *self, const rd_kafka_topic_partition_t *place, rd_kafka_resp_err_t code)
{
	if (code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE && self->metadata_limit > METADATA_MIN) {
		self->metadata_limit /= 2;
		log_warn("source",
		        "the broker's offset.metadata.max.bytes is below %d: fewer finished ranges are "
		        "committed, and more is repeated after a crash",
		        POSITION_METADATA_MAX);
		return;
	}
	kafka_count_error(&self->health, code);
	/* A generation that is not known may be one that this member learns of in a moment. */
	self->not_a_member =
	        code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
	log_throttled(LOG_WARN, "source", "committing %s/%d failed and is tried again: %s", place->topic,
	        place->partition, rd_kafka_err2str(code));
}

/* The answer's list is not in the order of the question's. */
static void serve_entry(
        struct kafka_source *self, const struct commit *commit, const rd_kafka_topic_partition_t *place)
{
	struct owned *owned = source_find(self, place->topic, place->partition);
	for (size_t i = 0; owned && i < commit->count; i++)
		if (commit->entries[i].assignment == owned->partition.assignment) {
			committed(self, owned, &commit->entries[i]);
			return;
		}
}

void source_serve_commit(struct kafka_source *self, rd_kafka_event_t *event)
{
	if (self->commit.count == 0 || (uintptr_t)rd_kafka_event_opaque(event) != self->commit.number)
		return; /* of a commit that was forgotten */
	struct commit commit = self->commit;
	self->commit = (struct commit){0};
	rd_kafka_resp_err_t whole = rd_kafka_event_error(event);
	const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
	bool good = whole == RD_KAFKA_RESP_ERR_NO_ERROR;
	for (int i = 0; list && i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *place = &list->elems[i];
		rd_kafka_resp_err_t code = place->err ? place->err : whole;
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
			serve_entry(self, &commit, place);
		} else {
			refused(self, place, code);
			good = false;
		}
	}
	count_commit(self, good);
	mem_free(commit.entries);
	if (good)
		fault_point("after_commit");
}
