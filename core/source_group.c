/* Which partitions are ours: assigned, started where they were left, drained and given up. */
#include "clock.h"
#include "helper.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "random.h"
#include "source_kafka.h"

#include <stdio.h>
#include <string.h>

enum {
	INQUIRY_DEADLINE_MS = 30000,
	INQUIRY_BUDGET_MS = 25000,
	INQUIRY_BACKOFF_MS = 1000, /* doubled up to the next */
	INQUIRY_BACKOFF_MAX_MS = 30000,
	REFUSED_BACKOFF_MS = 5000,
	FORWARD_AGAIN_MS = 30000, /* far longer than librdkafka takes to end a fetch */
};

struct owned *source_find(struct kafka_source *self, const char *topic, int32_t id)
{
	list_each (&self->source.partitions, node, after) {
		struct owned *owned = source_owned(node);
		if (owned->partition.id == id && strcmp(owned->partition.topic, topic) == 0)
			return owned;
	}
	return NULL;
}

struct owned *source_find_assignment(struct kafka_source *self, uint64_t assignment)
{
	list_each (&self->source.partitions, node, after)
		if (source_owned(node)->partition.assignment == assignment)
			return source_owned(node);
	return NULL;
}

static struct owned *begin_period(struct kafka_source *self, const char *topic, int32_t id)
{
	struct owned *owned = mem_zalloc(1, sizeof *owned);
	owned->partition.topic = mem_strdup(topic);
	owned->partition.id = id;
	owned->partition.state = PARTITION_STARTING;
	owned->partition.assignment = ++self->numbers;
	owned->partition.until = owned->partition.committed = owned->partition.high = -1;
	list_append(&self->source.partitions, &owned->partition.node);
	return owned;
}

static void free_period(struct owned *owned)
{
	offsets_close(owned->partition.offsets);
	mem_free(owned->partition.topic);
	mem_free(owned);
}

static void forget_lag(struct kafka_source *self, const struct partition *partition)
{
	char id[16];
	snprintf(id, sizeof id, "%d", partition->id);
	const char *labels[] = {partition->topic, id, NULL};
	metrics_remove(self->metrics, METRIC_LAG, labels);
	metrics_remove(self->metrics, METRIC_FRESHNESS, labels);
}

/* Ends the period; the records that are still open move no offset any more. */
static void end_period(struct kafka_source *self, struct owned *owned, bool lost)
{
	struct partition *partition = &owned->partition;
	bool known = partition->state == PARTITION_READING || partition->state == PARTITION_DRAINING;
	partition->state = PARTITION_GONE;
	list_remove(&self->source.partitions, &partition->node);
	list_append(&self->gone, &partition->node);
	if (self->latest == owned)
		self->latest = NULL;
	forget_lag(self, partition);
	if (known)
		self->source.handlers.released(self->source.handlers.context, partition, lost);
}

void source_end_all(struct kafka_source *self, bool lost)
{
	list_each (&self->source.partitions, node, after)
		end_period(self, source_owned(node), lost);
}

void source_free_gone(struct kafka_source *self, bool all)
{
	list_each (&self->gone, node, after) {
		if (all || source_owned(node)->partition.records == 0) {
			list_remove(&self->gone, node);
			free_period(source_owned(node));
		}
	}
}

/* Where a partition's messages go: to the queue that is read, or nowhere for now (they wait in their own). */
static void forward(struct kafka_source *self, const char *topic, int32_t id, bool read)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(self->client, topic, id);
	if (queue == NULL)
		return;
	rd_kafka_queue_forward(queue, read ? self->messages : NULL);
	rd_kafka_queue_destroy(queue);
}

void source_begin_reading(struct kafka_source *self, struct owned *owned)
{
	struct partition *partition = &owned->partition;
	partition->state = PARTITION_READING;
	partition->reached = partition->until >= 0 && offsets_next(partition->offsets) >= partition->until;
	forward(self, partition->topic, partition->id, true);
	self->source.handlers.taken(self->source.handlers.context, partition);
}

void source_forward_again(struct kafka_source *self, struct owned *owned, int64_t now)
{
	struct partition *partition = &owned->partition;
	if (now < owned->forward_until && partition->state == PARTITION_READING && !owned->committing_first)
		forward(self, partition->topic, partition->id, true);
}

static bool cooperative(const struct kafka_source *self)
{
	const char *protocol = rd_kafka_rebalance_protocol(self->client);
	return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

bool source_complain(const char *what, rd_kafka_error_t *error)
{
	if (error == NULL)
		return false;
	log_warn("source", "%s: %s", what, rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return true;
}

static void complain_code(const char *what, rd_kafka_resp_err_t code)
{
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		log_warn("source", "%s: %s", what, rd_kafka_err2str(code));
}

static void tell_assign(struct kafka_source *self, const rd_kafka_topic_partition_list_t *list)
{
	if (cooperative(self))
		source_complain("taking partitions", rd_kafka_incremental_assign(self->client, list));
	else
		complain_code("taking partitions", rd_kafka_assign(self->client, list));
}

static void tell_unassign(struct kafka_source *self, const rd_kafka_topic_partition_list_t *list)
{
	if (cooperative(self))
		source_complain("giving partitions up", rd_kafka_incremental_unassign(self->client, list));
	else
		complain_code("giving partitions up", rd_kafka_assign(self->client, NULL));
}

void source_drop_rebalance(struct kafka_source *self)
{
	if (self->rebalance.list)
		rd_kafka_topic_partition_list_destroy(self->rebalance.list);
	self->rebalance = (struct rebalance){0};
}

static void count_assigned(struct kafka_source *self)
{
	for (size_t i = 0; i < self->config->topic_count; i++) {
		double count = 0;
		list_each (&self->source.partitions, node, after)
			count += strcmp(source_owned(node)->partition.topic, self->config->topics[i]) == 0;
		*metrics_value(self->metrics, METRIC_ASSIGNED, self->config->topics[i]) = count;
	}
}

static void say_start(const struct inquiry_partition *answer)
{
	const struct position_decision *decision = &answer->decision;
	enum log_level level = decision->why == POSITION_OUT_OF_RANGE ? LOG_ERROR
	                       : decision->why == POSITION_FILE       ? LOG_WARN
	                                                              : LOG_INFO;
	log_write(level, NULL, "source", "%s/%d starts at offset %lld of %lld..%lld: %s", answer->topic,
	        answer->id, (long long)decision->offset, (long long)answer->low, (long long)answer->high,
	        position_why_text(decision));
	if (decision->gap > 0)
		log_error("source", "%s/%d: %lld records were deleted before they could be read",
		        answer->topic, answer->id, (long long)decision->gap);
}

/* Gives the period its position; what is read of it waits until a new lineage, or a new end, is committed. */
static void settle_start(
        struct kafka_source *self, struct owned *owned, const struct inquiry_partition *answer)
{
	struct partition *partition = &owned->partition;
	const struct position_decision *decision = &answer->decision;
	say_start(answer);
	*metrics_value(self->metrics, METRIC_SOURCE_GAP, partition->topic) += (double)decision->gap;
	partition->offsets = offsets_open(decision->offset, decision->ranges, decision->range_count);
	partition->until = decision->until;
	partition->high = answer->high;
	owned->topic_partitions = decision->partitions;
	owned->committing_first = decision->new_lineage || answer->until_new;
	if (decision->new_lineage)
		random_hex(partition->lineage, sizeof partition->lineage);
	else
		memcpy(partition->lineage, decision->lineage, sizeof partition->lineage);
	forward(self, partition->topic, partition->id, false);
}

static void answer_assign(struct kafka_source *self, const struct inquiry *inquiry)
{
	struct rebalance *rebalance = &self->rebalance;
	for (size_t i = 0; i < inquiry->count; i++) {
		const struct inquiry_partition *answer = &inquiry->partitions[i];
		struct owned *owned = source_find_assignment(self, answer->assignment);
		rd_kafka_topic_partition_t *entry =
		        rd_kafka_topic_partition_list_find(rebalance->list, answer->topic, answer->id);
		if (owned == NULL || entry == NULL)
			continue;
		settle_start(self, owned, answer);
		entry->offset = answer->decision.offset;
		if (!owned->committing_first) /* forwarded before the assignment takes effect */
			source_begin_reading(self, owned);
	}
	tell_assign(self, rebalance->list);
	source_drop_rebalance(self);
	count_assigned(self);
	if (self->commit.count == 0)
		source_send_commit(self, false);
}

/* Reads a partition on from `offset`. librdkafka refuses to seek one whose position was refused (it has
 * stopped fetching it), so it is given up and taken again. */
static void take_again(struct kafka_source *self, const struct owned *owned, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	bool single = cooperative(self);
	list_each (&self->source.partitions, node, after) {
		const struct owned *other = source_owned(node);
		if (other->partition.offsets == NULL || (single && other != owned))
			continue;
		rd_kafka_topic_partition_list_add(list, other->partition.topic, other->partition.id)->offset =
		        other == owned ? offset : offsets_next(other->partition.offsets);
	}
	tell_unassign(self, list);
	list_each (&self->source.partitions, again, next) {
		struct owned *other = source_owned(again);
		if (other->partition.offsets && (!single || other == owned)) {
			other->forward_until = clock_now() + FORWARD_AGAIN_MS;
			forward(self, other->partition.topic, other->partition.id, !other->committing_first);
		}
	}
	tell_assign(self, list);
	rd_kafka_topic_partition_list_destroy(list);
}

static void answer_refused(struct kafka_source *self, const struct inquiry_partition *answer)
{
	struct owned *owned = source_find_assignment(self, answer->assignment);
	if (owned == NULL)
		return;
	owned->asking = false;
	if (answer->decision.new_lineage) {
		log_error("source",
		        "%s/%d: offset %lld lies beyond the end of the log, which must be another one than "
		        "before: beginning anew",
		        answer->topic, answer->id, (long long)answer->known.offset);
		end_period(self, owned, true);
		owned = begin_period(self, answer->topic, answer->id);
		settle_start(self, owned, answer);
	} else {
		say_start(answer);
		*metrics_value(self->metrics, METRIC_SOURCE_GAP, answer->topic) +=
		        (double)answer->decision.gap;
	}
	take_again(self, owned, answer->decision.offset);
}

static void retry_inquiry(struct kafka_source *self, struct source_task *task)
{
	int64_t now = clock_now();
	if (task->rebalance == 0) {
		struct owned *owned = source_find_assignment(self, task->inquiry->partitions[0].assignment);
		if (owned)
			owned->ask_at = now + REFUSED_BACKOFF_MS;
		return;
	}
	struct rebalance *rebalance = &self->rebalance;
	rebalance->backoff = rebalance->backoff ? rebalance->backoff * 2 : INQUIRY_BACKOFF_MS;
	if (rebalance->backoff > INQUIRY_BACKOFF_MAX_MS)
		rebalance->backoff = INQUIRY_BACKOFF_MAX_MS;
	rebalance->deadline = now + rebalance->backoff;
}

static void inquiry_done(void *context, bool late)
{
	struct source_task *task = context;
	struct kafka_source *self = task->owner;
	bool wanted = self && self->stage <= SOURCE_STOPPED && task->client == self->client &&
	              (task->rebalance == 0 ? self->rebalance.list == NULL
	                                    : task->rebalance == self->rebalance.number);
	if (wanted && !late && task->inquiry->answered) {
		memcpy(self->source.cluster, task->inquiry->cluster, sizeof self->source.cluster);
		if (task->rebalance)
			answer_assign(self, task->inquiry);
		else
			answer_refused(self, &task->inquiry->partitions[0]);
	} else if (self) {
		log_throttled(LOG_WARN, "source", "where partitions start is not known yet: %s",
		        late                      ? "no answer in time"
		        : task->inquiry->answered ? "the assignment has changed meanwhile"
		                                  : task->inquiry->err.text);
		if (task->client == self->client &&
		        (task->rebalance == 0 || task->rebalance == self->rebalance.number))
			retry_inquiry(self, task);
	}
	if (!late)
		source_task_free(task);
}

static void send_inquiry(struct kafka_source *self, struct inquiry *inquiry, uint64_t rebalance)
{
	struct source_task *task = mem_zalloc(1, sizeof *task);
	*task = (struct source_task){
	        .owner = self, .inquiry = inquiry, .client = self->client, .rebalance = rebalance};
	inquiry->client = self->client;
	inquiry->config = self->config;
	inquiry->budget_ms = INQUIRY_BUDGET_MS;
	source_task_submit(task, "asking where partitions start", INQUIRY_DEADLINE_MS, inquiry_done);
}

static void ask_starts(struct kafka_source *self)
{
	struct rebalance *rebalance = &self->rebalance;
	struct inquiry *inquiry = inquiry_make((size_t)rebalance->list->cnt);
	for (int i = 0; i < rebalance->list->cnt; i++) {
		const rd_kafka_topic_partition_t *entry = &rebalance->list->elems[i];
		struct owned *owned = source_find(self, entry->topic, entry->partition);
		inquiry->partitions[i].topic = mem_strdup(entry->topic);
		inquiry->partitions[i].id = entry->partition;
		inquiry->partitions[i].assignment = owned ? owned->partition.assignment : 0;
		inquiry->partitions[i].awaited = source_topics_awaited(self, entry->topic);
	}
	rebalance->deadline = 0;
	send_inquiry(self, inquiry, rebalance->number);
}

void source_ask_again(struct kafka_source *self, struct owned *owned)
{
	const struct partition *partition = &owned->partition;
	struct inquiry *inquiry = inquiry_make(1);
	struct inquiry_partition *question = &inquiry->partitions[0];
	question->topic = mem_strdup(partition->topic);
	question->id = partition->id;
	question->assignment = partition->assignment;
	question->refused = true;
	question->known = (struct position){.offset = offsets_next(partition->offsets),
	        .until = partition->until,
	        .partitions = owned->topic_partitions};
	memcpy(question->known.lineage, partition->lineage, sizeof question->known.lineage);
	owned->asking = true;
	owned->ask_at = 0;
	send_inquiry(self, inquiry, 0);
}

/* Takes the partitions without reading them: there are none, or no time is left to. */
static void answer_unread(struct kafka_source *self)
{
	const rd_kafka_topic_partition_list_t *list = self->rebalance.list;
	for (int i = 0; i < list->cnt; i++)
		forward(self, list->elems[i].topic, list->elems[i].partition, false);
	tell_assign(self, list);
	source_drop_rebalance(self);
}

static void begin_assign(struct kafka_source *self)
{
	struct rebalance *rebalance = &self->rebalance;
	self->joined = true;
	self->rejoining = self->kept_out = false;
	self->resting_until = 0;
	*metrics_value(self->metrics, METRIC_REBALANCES, "assign") += 1;
	if (rebalance->list->cnt == 0 || self->stage > SOURCE_OPEN) {
		answer_unread(self);
		return;
	}
	for (int i = 0; i < rebalance->list->cnt; i++)
		begin_period(self, rebalance->list->elems[i].topic, rebalance->list->elems[i].partition);
	ask_starts(self);
}

static void finish_revoke(struct kafka_source *self, bool lost)
{
	rd_kafka_topic_partition_list_t *list = self->rebalance.list;
	for (int i = 0; i < list->cnt; i++) {
		struct owned *owned = source_find(self, list->elems[i].topic, list->elems[i].partition);
		if (owned)
			end_period(self, owned, lost);
	}
	tell_unassign(self, list);
	source_drop_rebalance(self);
	count_assigned(self);
}

static void count_lost(struct kafka_source *self)
{
	*metrics_value(self->metrics, METRIC_REBALANCES, "lost") += 1;
	log_warn(
	        "source", "%d partitions were lost: others may read them already", self->rebalance.list->cnt);
}

static void begin_revoke(struct kafka_source *self, int64_t now)
{
	struct rebalance *rebalance = &self->rebalance;
	bool lost = rd_kafka_assignment_lost(self->client);
	self->resting_until = now + SOURCE_REBALANCE_MS;
	self->rejoining = true;
	if (lost)
		count_lost(self);
	else
		*metrics_value(self->metrics, METRIC_REBALANCES, "revoke") += 1;
	if (lost || self->stage >= SOURCE_LEAVING) {
		finish_revoke(self, lost);
		return;
	}
	rebalance->deadline = now + self->config->revoke_ms;
	for (int i = 0; i < rebalance->list->cnt; i++) {
		struct owned *owned = source_find(
		        self, rebalance->list->elems[i].topic, rebalance->list->elems[i].partition);
		if (owned == NULL || owned->partition.state != PARTITION_READING)
			continue;
		owned->partition.state = PARTITION_DRAINING;
		self->source.handlers.draining(self->source.handlers.context, &owned->partition);
	}
}

/* The drain's time is up. */
static void cut_short(struct kafka_source *self)
{
	list_each (&self->source.partitions, node, after) {
		struct partition *partition = &source_owned(node)->partition;
		if (partition->state == PARTITION_DRAINING)
			self->source.handlers.cut_short(self->source.handlers.context, partition);
	}
}

static bool drained(struct kafka_source *self)
{
	list_each (&self->source.partitions, node, after) {
		const struct partition *partition = &source_owned(node)->partition;
		if (partition->state == PARTITION_DRAINING && offsets_open_count(partition->offsets))
			return false;
	}
	return true;
}

static bool wants_last_commit(struct kafka_source *self)
{
	list_each (&self->source.partitions, node, after)
		if (source_owned(node)->partition.state == PARTITION_DRAINING &&
		        source_wants_commit(source_owned(node)))
			return true;
	return false;
}

static void next_step(struct rebalance *rebalance, enum revoke_step step, int64_t deadline)
{
	rebalance->step = step;
	rebalance->deadline = deadline;
}

/* Sends the final commit, again while it fails. True while it is worth waiting for. */
static bool last_commit(struct kafka_source *self, int64_t now)
{
	struct rebalance *rebalance = &self->rebalance;
	if (now >= rebalance->deadline || self->not_a_member)
		return false;
	if (self->commit.count)
		return true;
	if (!wants_last_commit(self))
		return false;
	if (now >= rebalance->commit_at) {
		rebalance->commit_at = now + SOURCE_COMMIT_AGAIN_MS;
		source_send_commit(self, true);
	}
	return true;
}

/* An older commit that is unanswered when its time is up keeps the last one not back: the broker takes both
 * in the order in which they were sent, and what it would undo at worst is repeated, not lost. */
static void serve_revoke(struct kafka_source *self, int64_t now)
{
	struct rebalance *rebalance = &self->rebalance;
	bool overdue = now >= rebalance->deadline;
	if (rd_kafka_assignment_lost(self->client)) {
		count_lost(self);
		finish_revoke(self, true);
		return;
	}
	switch (rebalance->step) {
	case REVOKE_DRAINING:
		if (!drained(self) && !overdue)
			return;
		if (overdue)
			cut_short(self);
		overdue = false;
		next_step(rebalance, REVOKE_SETTLING, now + SOURCE_SETTLE_MS);
		/* fall through */
	case REVOKE_SETTLING:
		if ((!drained(self) || self->commit.count || self->filing.count) && !overdue)
			return;
		source_forget_commit(self);
		self->not_a_member = false;
		next_step(rebalance, REVOKE_COMMITTING, now + SOURCE_LAST_COMMIT_MS);
		/* fall through */
	case REVOKE_COMMITTING:
		if (!last_commit(self, now))
			finish_revoke(self, false);
	}
}

void source_serve_rebalance(struct kafka_source *self, int64_t now)
{
	struct rebalance *rebalance = &self->rebalance;
	if (rebalance->list == NULL)
		return;
	if (!rebalance->assign)
		serve_revoke(self, now);
	else if (self->stage >= SOURCE_LAST_COMMIT)
		answer_unread(self);
	else if (rebalance->deadline && now >= rebalance->deadline)
		ask_starts(self);
}

void source_rebalance(struct kafka_source *self, rd_kafka_event_t *event)
{
	int64_t now = clock_now();
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
	source_drop_rebalance(self); /* librdkafka gives one at a time; an unanswered one is void */
	if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
		log_warn("source", "rebalance: %s", rd_kafka_err2str(code));
		self->rejoining = true;
		source_end_all(self, true);
		complain_code("giving partitions up", rd_kafka_assign(self->client, NULL));
		return;
	}
	self->rebalance = (struct rebalance){.list = rd_kafka_topic_partition_list_copy(list),
	        .assign = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
	        .number = ++self->numbers};
	log_write(list->cnt ? LOG_INFO : LOG_DEBUG, NULL, "source", "%d partitions %s", list->cnt,
	        self->rebalance.assign ? "assigned" : "revoked");
	if (self->rebalance.assign)
		begin_assign(self);
	else
		begin_revoke(self, now);
}
