/* The consumer: its client and events, messages at the door, the verbs of source.h. */
#include "source_kafka.h"
#include "clock.h"
#include "helper.h"
#include "kafka_headers.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

enum {
	TICK_MS = 1000,
	BUSY_TICK_MS = 20, /* while a rebalance or the end waits for something */
	MESSAGES_A_PUMP = 256,
	COMMIT_LOST_MS = 60000, /* a commit without an answer is forgotten */
	LEAVE_MS = 5000,
	DESTROY_MS = 10000,
	FATAL_APART_MS = 600000, /* a second fatal error within this time ends the source */
	TOPIC_MS = 3000,         /* for the brokers' answer about one topic */
};

static struct kafka_source *self_of(const struct source *source)
{
	return container_of(source, struct kafka_source, source);
}

static void task_run(void *context)
{
	struct source_task *task = context;
	if (task->inquiry)
		inquiry_run(task->inquiry);
	else if (task->topics)
		for (size_t i = 0; i < task->name_count; i++)
			task->topics[i] = kafka_ask_topic(task->client, task->names[i], TOPIC_MS);
	else
		rd_kafka_destroy_flags(task->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

void source_task_free(void *context)
{
	struct source_task *task = context;
	if (task->owner)
		list_remove(&task->owner->tasks, &task->node);
	if (task->inquiry)
		inquiry_free(task->inquiry);
	mem_free(task->topics);
	mem_free(task);
}

void source_task_submit(struct source_task *task, const char *name, int64_t deadline_ms,
        void (*done)(void *context, bool late))
{
	struct helper_job job = {name, task, task_run, done, source_task_free, deadline_ms};
	list_append(&task->owner->tasks, &task->node);
	helper_submit(task->owner->helper, &job);
}

static void refused_position(struct kafka_source *self, const rd_kafka_topic_partition_t *place)
{
	struct owned *owned = source_find(self, place->topic, place->partition);
	if (owned == NULL || owned->partition.offsets == NULL || owned->asking)
		return;
	log_error("source", "%s/%d: offset %lld is no longer in the log", place->topic, place->partition,
	        (long long)offsets_next(owned->partition.offsets));
	source_ask_again(self, owned);
}

static void reached_end(struct kafka_source *self, const rd_kafka_topic_partition_t *place)
{
	struct owned *owned = source_find(self, place->topic, place->partition);
	if (owned && owned->partition.until >= 0 && place->offset >= owned->partition.until)
		owned->partition.reached = true;
}

static const char *property(const struct kafka_source *self, const char *name)
{
	for (size_t i = 0; i < self->config->kafka_count; i++)
		if (strcmp(self->config->kafka[i].name, name) == 0)
			return self->config->kafka[i].value;
	return "";
}

/* The group keeps this member out, and librdkafka tries again for ever: what a person must do about it. */
static void say_kept_out(struct kafka_source *self, rd_kafka_resp_err_t code)
{
	const char *group = self->config->group;
	self->kept_out = true;
	if (code == RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL)
		log_throttled(LOG_ERROR, "source",
		        "cannot join group \"%s\" (%s): its other members share partitions out in another "
		        "way; "
		        "waiting: set the same partition.assignment.strategy for all of them (source.kafka; "
		        "here "
		        "it is %s), or end the others first",
		        group, rd_kafka_err2name(code),
		        kafka_assignor(property(self, "partition.assignment.strategy")));
	else
		log_throttled(LOG_ERROR, "source",
		        "may not use group \"%s\" (%s); waiting: allow READ on the group to this client",
		        group, rd_kafka_err2name(code));
}

/* True when the error was one that this file deals with. */
static bool serve_error(struct kafka_source *self, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	rd_kafka_topic_partition_t *place = rd_kafka_event_topic_partition(event);
	bool served = false;
	if (place && code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		reached_end(self, place);
		served = true;
	} else if (place && code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
		kafka_count_error(&self->health, code);
		refused_position(self, place);
		served = true;
	} else if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	           code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
		kafka_count_error(&self->health, code);
		source_topics_heard(self, place ? place->topic : NULL, code);
		served = true;
	} else if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
	           code == RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL) {
		kafka_count_error(&self->health, code);
		say_kept_out(self, code);
		served = true;
	}
	if (place)
		rd_kafka_topic_partition_destroy(place);
	return served;
}

static void serve_event(struct kafka_source *self, rd_kafka_event_t *event)
{
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_REBALANCE: source_rebalance(self, event); return;
	case RD_KAFKA_EVENT_OFFSET_COMMIT: source_serve_commit(self, event); return;
	case RD_KAFKA_EVENT_ERROR:
		if (serve_error(self, event))
			return;
		break;
	default: break;
	}
	kafka_serve_common(&self->health, self->client, event);
}

static void serve_events(struct kafka_source *self, rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event;
	while (queue && (event = rd_kafka_queue_poll(queue, 0)) != NULL) {
		serve_event(self, event);
		rd_kafka_event_destroy(event);
	}
}

static struct owned *owner_of(struct kafka_source *self, const rd_kafka_message_t *message)
{
	const char *topic = rd_kafka_topic_name(message->rkt);
	struct owned *latest = self->latest;
	if (latest && latest->partition.id == message->partition &&
	        strcmp(latest->partition.topic, topic) == 0)
		return latest;
	return self->latest = source_find(self, topic, message->partition);
}

/* Everything a message must pass before it is a record. */
static bool wanted(struct kafka_source *self, struct partition *partition, int64_t offset)
{
	if (partition->state != PARTITION_READING)
		return false;
	if (!offsets_expected(partition->offsets, offset)) {
		partition->rewound++;
		*metrics_value(self->metrics, METRIC_SOURCE_REWOUND, partition->topic) += 1;
		return false;
	}
	if (partition->until >= 0 && offset >= partition->until) {
		partition->reached = true;
		return false;
	}
	if (offsets_skip(partition->offsets, offset)) {
		partition->skipped++;
		*metrics_value(self->metrics, METRIC_SOURCE_SKIPPED, partition->topic) += 1;
		return false;
	}
	return true;
}

static void hand_over(
        struct kafka_source *self, struct partition *partition, const rd_kafka_message_t *message)
{
	struct kafka_headers headers;
	kafka_headers_borrow(&headers, message);
	struct source_message borrowed = {.partition = partition,
	        .offset = message->offset,
	        .timestamp = rd_kafka_message_timestamp(message, NULL),
	        .headers = headers.items,
	        .header_count = headers.count};
	borrowed.key = (struct bytes){message->key, message->key_len};
	borrowed.value = (struct bytes){message->payload, message->len};
	self->source.handlers.message(self->source.handlers.context, &borrowed);
	kafka_headers_free(&headers);
}

static void serve_message(struct kafka_source *self, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *message;
	while ((message = rd_kafka_event_message_next(event)) != NULL) {
		struct owned *owned = owner_of(self, message);
		if (owned && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			source_topics_read(self, owned->partition.topic);
		if (owned && message->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
		        wanted(self, &owned->partition, message->offset))
			hand_over(self, &owned->partition, message);
	}
}

/* True when the budget of one turn ended it. */
static bool take_messages(struct kafka_source *self)
{
	for (int i = 0; i < MESSAGES_A_PUMP; i++) {
		if (self->stage != SOURCE_OPEN || !self->source.handlers.room(self->source.handlers.context))
			return false;
		rd_kafka_event_t *event = rd_kafka_queue_poll(self->messages, 0);
		if (event == NULL)
			return false;
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH)
			serve_message(self, event);
		else
			serve_event(self, event);
		rd_kafka_event_destroy(event);
	}
	return true;
}

static void tick_partition(struct kafka_source *self, struct owned *owned, int64_t now)
{
	struct partition *partition = &owned->partition;
	int64_t low, high;
	if (partition->offsets == NULL)
		return;
	if (owned->ask_at && now >= owned->ask_at && self->rebalance.list == NULL)
		source_ask_again(self, owned);
	source_forward_again(self, owned, now);
	if (rd_kafka_get_watermark_offsets(self->client, partition->topic, partition->id, &low, &high) ==
	                RD_KAFKA_RESP_ERR_NO_ERROR &&
	        high >= 0)
		partition->high = high;
	int64_t done = partition->committed >= 0 ? partition->committed : offsets_safe(partition->offsets);
	char id[16];
	snprintf(id, sizeof id, "%d", partition->id);
	if (partition->high >= 0)
		*metrics_value(self->metrics, METRIC_LAG, partition->topic, id) =
		        partition->high > done ? (double)(partition->high - done) : 0;
}

/* A new lineage must be committed before anything is read; its commit may have failed. */
static bool awaits_first_commit(const struct kafka_source *self)
{
	list_each (&self->source.partitions, node, after)
		if (source_owned(node)->committing_first)
			return true;
	return false;
}

static void tick(struct kafka_source *self, int64_t now)
{
	int64_t passed = now - self->ticked;
	if (passed < TICK_MS)
		return;
	self->ticked = now;
	list_each (&self->source.partitions, node, after)
		tick_partition(self, source_owned(node), now);
	if (!self->health.connected || self->kept_out || (self->rebalance.assign && self->rebalance.backoff))
		*metrics_value(self->metrics, METRIC_PAUSED, "source") += (double)passed / 1000;
	if (self->commit.count == 0 && self->rebalance.list == NULL && awaits_first_commit(self))
		source_send_commit(self, false);
	source_topics_tick(self, now);
}

static bool subscribe(struct kafka_source *self, struct err *err)
{
	rd_kafka_topic_partition_list_t *topics =
	        rd_kafka_topic_partition_list_new((int)self->config->topic_count);
	for (size_t i = 0; i < self->config->topic_count; i++)
		rd_kafka_topic_partition_list_add(topics, self->config->topics[i], RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t code = rd_kafka_subscribe(self->client, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
	       err_set(err, "cannot subscribe to the source's topics: %s", rd_kafka_err2str(code));
}

static void drop_queue(rd_kafka_queue_t **queue)
{
	if (*queue == NULL)
		return;
	kafka_wake_remove(*queue);
	rd_kafka_queue_destroy(*queue);
	*queue = NULL;
}

static void drop_queues(struct kafka_source *self)
{
	drop_queue(&self->messages);
	drop_queue(&self->events);
	drop_queue(&self->leaving);
}

static void client_gone(void *context, bool late)
{
	struct source_task *task = context;
	if (task->owner && task->owner->stage == SOURCE_DESTROYING)
		task->owner->stage = SOURCE_CLOSED;
	if (!late)
		source_task_free(task);
}

/* On the helper's thread, so after every inquiry that uses the client. */
static void drop_client(struct kafka_source *self)
{
	source_forget_commit(self);
	source_drop_rebalance(self);
	drop_queues(self);
	struct source_task *task = mem_zalloc(1, sizeof *task);
	*task = (struct source_task){.owner = self, .client = self->client};
	self->client = NULL;
	source_task_submit(task, "letting the consumer go", DESTROY_MS, client_gone);
}

static bool make_client(struct kafka_source *self, struct err *err)
{
	struct kafka_settings settings = {.client_id = self->client_id,
	        .group = self->config->group,
	        .queue_bytes = self->config->queue_bytes,
	        .fetch_bytes = self->config->fetch_bytes,
	        .properties = self->config->kafka,
	        .property_count = self->config->kafka_count};
	self->client = kafka_open(KAFKA_CONSUMER, &settings, err);
	if (self->client == NULL)
		return false;
	self->events = rd_kafka_queue_get_consumer(self->client);
	self->messages = rd_kafka_queue_new(self->client);
	kafka_wake_add(&self->wake, self->events);
	kafka_wake_add(&self->wake, self->messages);
	self->health.connected = false;
	self->health.fatal[0] = '\0';
	self->joined = self->rejoining = self->kept_out = false;
	self->topics_ask_at = clock_now();
	return subscribe(self, err);
}

/* A newer member has taken this one's place: a new client would take it back, and so on without end. */
static void tell_fenced(const struct kafka_source *self, struct err *err)
{
	err_set(err,
	        "another live member of group \"%s\" has the same group.instance.id \"%s\", and the one "
	        "that came last has taken over: give each worker an id of its own (source.kafka: "
	        "{group.instance.id: ...}), such as the name of its pod, or leave the property out",
	        self->config->group, property(self, "group.instance.id"));
}

/* A fatal error: a new client, once in a while; a second one soon after ends the source. */
static void recover(struct kafka_source *self, int64_t now)
{
	if (self->health.fatal[0] == '\0' || self->failed || self->stage >= SOURCE_LAST_COMMIT)
		return;
	struct err err;
	bool fenced = self->health.fatal_code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
	bool again = !fenced && (self->fatal_at == 0 || now - self->fatal_at > FATAL_APART_MS);
	self->fatal_at = now;
	source_end_all(self, true);
	if (again) {
		log_error("source", "the Kafka consumer failed: %s%s; going on with a new one",
		        self->health.fatal, kafka_advice(self->health.fatal_code));
		drop_client(self);
		if (make_client(self, &err))
			return;
	} else if (fenced) {
		tell_fenced(self, &err);
	} else {
		err_set(&err,
		        "the Kafka consumer failed again, soon after a new one had taken over: %s; start the "
		        "process again once the cause is gone%s",
		        self->health.fatal, kafka_advice(self->health.fatal_code));
	}
	self->failed = true;
	self->source.handlers.failed(self->source.handlers.failed_context, err.text);
}

static void arm(struct kafka_source *self)
{
	bool busy = self->rebalance.list != NULL || self->stage >= SOURCE_LAST_COMMIT;
	int64_t wait = busy ? BUSY_TICK_MS : TICK_MS;
	struct timeval timeout = {wait / 1000, (suseconds_t)(wait % 1000) * 1000};
	if (busy || !evtimer_pending(self->timer, NULL))
		evtimer_add(self->timer, &timeout);
}

static bool kafka_pump(struct source *source)
{
	struct kafka_source *self = self_of(source);
	if (self->client == NULL || self->stage >= SOURCE_LAST_COMMIT)
		return false;
	int64_t now = clock_now();
	serve_events(self, self->events);
	source_serve_waiting(self, now);
	source_serve_rebalance(self, now);
	tick(self, now);
	bool more = take_messages(self);
	recover(self, now);
	source_free_gone(self, false);
	arm(self);
	return more;
}

static void kafka_commit(struct source *source, bool now)
{
	struct kafka_source *self = self_of(source);
	int64_t time = clock_now();
	if (self->client == NULL || self->stage >= SOURCE_LAST_COMMIT)
		return;
	if (self->commit.count && time - self->commit.since > COMMIT_LOST_MS)
		source_forget_commit(self);
	bool resting = self->rebalance.list != NULL || time < self->resting_until;
	if (self->commit.count == 0 && (!resting || (now && self->rebalance.list == NULL)))
		source_send_commit(self, false);
}

static bool kafka_ready(const struct source *source)
{
	const struct kafka_source *self = self_of(source);
	if (!self->joined)
		return false;
	list_each (&source->partitions, node, after)
		if (source_owned(node)->partition.state == PARTITION_STARTING)
			return false;
	return true;
}

static const char *kafka_trouble(const struct source *source, size_t n)
{
	return source_topics_trouble(self_of(source), n);
}

static bool kafka_finished(const struct source *source)
{
	const struct kafka_source *self = self_of(source);
	if (self->config->until == NULL || !kafka_ready(source) || self->rebalance.list || self->rejoining)
		return false;
	list_each (&source->partitions, node, after)
		if (!source_owned(node)->partition.reached)
			return false;
	return true;
}

static void kafka_stop(struct source *source)
{
	struct kafka_source *self = self_of(source);
	if (self->stage == SOURCE_OPEN)
		self->stage = SOURCE_STOPPED;
}

static void begin_last_commit(struct kafka_source *self, int64_t now)
{
	self->stage = self->client ? SOURCE_LAST_COMMIT : SOURCE_CLOSED;
	self->stage_deadline = now + SOURCE_LAST_COMMIT_MS;
	if (self->rebalance.step == REVOKE_DRAINING)
		self->rebalance.deadline = now;
}

static void begin_leaving(struct kafka_source *self, int64_t now)
{
	source_end_all(self, false);
	self->stage = SOURCE_LEAVING;
	self->stage_deadline = now + LEAVE_MS;
	/* Not the events' queue itself: the events are forwarded to the queue given. */
	self->leaving = rd_kafka_queue_new(self->client);
	kafka_wake_add(&self->wake, self->leaving);
	drop_queue(&self->events);
	drop_queue(&self->messages);
	if (source_complain("leaving the group", rd_kafka_consumer_close_queue(self->client, self->leaving)))
		self->stage_deadline = now; /* nothing will come */
}

static void serve_last_commit(struct kafka_source *self, int64_t now)
{
	bool overdue = now >= self->stage_deadline;
	if ((self->commit.count || self->rebalance.list) && !overdue)
		return;
	if (!overdue && now - self->commit_sent < SOURCE_COMMIT_AGAIN_MS)
		return;
	if (!overdue && source_send_commit(self, false))
		return;
	begin_leaving(self, now);
}

static bool kafka_close(struct source *source)
{
	struct kafka_source *self = self_of(source);
	int64_t now = clock_now();
	if (self->stage <= SOURCE_STOPPED)
		begin_last_commit(self, now);
	serve_events(self, self->events);
	serve_events(self, self->leaving);
	if (self->client)
		source_serve_waiting(self, now);
	source_serve_rebalance(self, now);
	if (self->stage == SOURCE_LAST_COMMIT)
		serve_last_commit(self, now);
	if (self->stage == SOURCE_LEAVING &&
	        (rd_kafka_consumer_closed(self->client) || now >= self->stage_deadline)) {
		self->stage = SOURCE_DESTROYING;
		drop_client(self);
	}
	source_free_gone(self, false);
	arm(self);
	return self->stage == SOURCE_CLOSED;
}

static void kafka_source_destroy(struct source *source)
{
	struct kafka_source *self = self_of(source);
	source_end_all(self, false);
	if (self->client)
		drop_client(self);
	source_forget_files(self);
	source_free_gone(self, true);
	list_each (&self->tasks, task, next) {
		list_remove(&self->tasks, task);
		container_of(task, struct source_task, node)->owner = NULL;
	}
	kafka_wake_close(&self->wake);
	if (self->timer)
		event_free(self->timer);
	mem_free(self->client_id);
	mem_free(self->topics);
	mem_free(self);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context;
}

struct source *source_kafka_open(struct event_base *base, const struct source_config *config,
        const char *client_id, struct helper *helper, const struct source_handlers *handlers,
        struct metrics *metrics, struct err *err)
{
	static const struct source_verbs verbs = {kafka_pump, kafka_commit, kafka_ready, kafka_trouble,
	        kafka_finished, kafka_stop, kafka_close, kafka_source_destroy};
	struct kafka_source *self = mem_zalloc(1, sizeof *self);
	self->source.verbs = &verbs;
	self->source.handlers = *handlers;
	list_init(&self->source.partitions, "partitions");
	list_init(&self->gone, "gone partitions");
	list_init(&self->tasks, "helper's tasks");
	self->config = config;
	self->helper = helper;
	self->metrics = metrics;
	self->client_id = mem_strdup(client_id);
	self->topics = mem_zalloc(config->topic_count, sizeof *self->topics);
	self->metadata_limit = POSITION_METADATA_MAX;
	self->health = (struct kafka_health){.client = "source", .metrics = metrics};
	self->ticked = clock_now();
	self->timer = evtimer_new(base, on_timer, self);
	if (!kafka_wake_open(&self->wake, base, NULL, NULL, err) || !make_client(self, err)) {
		kafka_source_destroy(&self->source);
		return NULL;
	}
	arm(self);
	return &self->source;
}
