/* An error stream as a source: what the error events are about, instead of the events. */
#include "source_errors.h"
#include "clock.h"
#include "helper.h"
#include "kafka.h"
#include "limiter.h"
#include "log.h"
#include "mem.h"
#include "topicreader.h"

#include <event2/event.h>
#include <string.h>

enum {
	FETCH_MS = 15000, /* for one original; the helper's deadline is twice that */
	AGAIN_MS = 1000,
	ABSENT_TRIES = 5, /* a broker that has just begun knows no topic for a moment */
	FETCH_QUEUE = 1 << 20,
	CLOSE_MS = 2000,
};

/* A record's bytes of our own. */
struct original {
	char *key, *value;
	size_t key_size, value_size;
	struct output_header *headers;
	size_t header_count;
	int64_t timestamp;
};

enum held_state {
	HELD_WAITS, /* to be read from its source */
	HELD_ASKED, /* the helper reads */
	HELD_THERE,
};

/* An error event whose original cannot be handed over yet. */
struct held {
	struct list_node node;
	enum held_state state;
	struct partition *partition; /* of the error stream */
	int64_t offset;              /* there */
	uint64_t ticket;
	const char *topic; /* of the original: the configuration's */
	int32_t id;
	int64_t place;
	uint64_t number; /* of the fetch that is for it */
	int64_t again_at;
	unsigned absent; /* so often nobody knew its topic */
	char *part;      /* what the event has of the original, readable; NULL = nothing */
	size_t part_size;
	bool again;          /* it was read from its source */
	struct original own; /* HELD_THERE */
};

struct source_errors {
	struct source_errors_config config;
	struct helper *helper;
	struct source_handlers next;
	struct event *timer;
	struct errorpicker picker;
	struct limiter limiter;
	bool paid; /* the limiter lets one more through */
	struct list held;
	struct rd_kafka_s *client; /* reads originals; NULL = none was needed yet */
	uint64_t fetches;
	struct fetch *fetch; /* on its way, or NULL */
	struct source_errors_counts counts;
};

/* A job of the helper's, which may outlive what it is for. */
struct fetch {
	struct source_errors *owner; /* NULL = nobody wants it any more */
	struct rd_kafka_s *client;
	uint64_t number;
	char *topic;
	int32_t partition;
	int64_t offset;
	enum topicreader_found found;
	struct original original;
	struct err err;
};

static void original_free(struct original *original)
{
	mem_free(original->key);
	mem_free(original->value);
	output_headers_free(original->headers, original->header_count);
	*original = (struct original){0};
}

static void original_copy(struct original *original, const struct source_message *message)
{
	*original = (struct original){.key = mem_dup(message->key.data, message->key.size),
	        .key_size = message->key.size,
	        .value = mem_dup(message->value.data, message->value.size),
	        .value_size = message->value.size,
	        .headers = output_headers_copy(message->headers, message->header_count),
	        .header_count = message->header_count,
	        .timestamp = message->timestamp};
}

static void held_free(struct source_errors *self, struct held *held)
{
	list_remove(&self->held, &held->node);
	original_free(&held->own);
	mem_free(held->part);
	mem_free(held);
}

/* Its ticket stays open: whoever owns the partition next begins with it. */
static void forget_held(struct source_errors *self, const struct partition *partition)
{
	list_each (&self->held, node, after) {
		struct held *held = container_of(node, struct held, node);
		if (held->partition == partition)
			held_free(self, held);
	}
}

static void wake_in(struct source_errors *self, int64_t ms)
{
	struct timeval after = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
	event_add(self->timer, &after);
}

/* ---- originals that are read again ---- */

static void take_original(void *context, const struct topicreader_message *message)
{
	struct fetch *fetch = context;
	const struct source_message copied = {.key = message->key,
	        .value = message->value,
	        .headers = message->headers,
	        .header_count = message->header_count,
	        .timestamp = message->timestamp};
	original_copy(&fetch->original, &copied);
}

static void fetch_run(void *context)
{
	struct fetch *fetch = context;
	fetch->found = topicreader_fetch(fetch->client, fetch->topic, fetch->partition, fetch->offset,
	        FETCH_MS, take_original, fetch, &fetch->err);
}

static void fetch_free(void *context)
{
	struct fetch *fetch = context;
	if (fetch->owner)
		fetch->owner->fetch = NULL;
	original_free(&fetch->original);
	mem_free(fetch->topic);
	mem_free(fetch);
}

static struct held *asker_of(const struct source_errors *self, const struct fetch *fetch)
{
	list_each (&self->held, node, after) {
		struct held *held = container_of(node, struct held, node);
		if (held->state == HELD_ASKED && held->number == fetch->number)
			return held;
	}
	return NULL;
}

static void try_again(struct source_errors *self, struct held *held, const char *why)
{
	log_throttled(LOG_WARN, "replay", "cannot read an original from its source yet: %s", why);
	held->state = HELD_WAITS;
	held->again_at = clock_now() + AGAIN_MS;
	wake_in(self, AGAIN_MS);
}

static void leave_it(struct source_errors *self, struct held *held, const char *why)
{
	log_warn("replay", "%s/%d, offset %lld: %s; its error event %s/%d, offset %lld has but a part of it",
	        held->topic, (int)held->id, (long long)held->place, why, held->partition->topic,
	        (int)held->partition->id, (long long)held->offset);
	self->counts.gone++;
	offsets_end(held->partition->offsets, held->ticket);
	held_free(self, held);
}

/* Whether what was read is the record that failed, and not one of a topic that was made anew. */
static bool agrees(const struct held *held, const struct original *original)
{
	struct errorevent part = {
	        .texts = {[ERROREVENT_RAW] = {held->part, held->part ? held->part_size : 0}}};
	return errorevent_agrees(&part, (struct bytes){original->value, original->value_size});
}

static void settle_fetch(struct source_errors *self, struct held *held, struct fetch *fetch)
{
	bool absent = fetch->found == TOPICREADER_ABSENT;
	if (fetch->found == TOPICREADER_FOUND && !agrees(held, &fetch->original)) {
		leave_it(self, held, "another record stands there by now");
	} else if (fetch->found == TOPICREADER_FOUND) {
		held->own = fetch->original;
		fetch->original = (struct original){0};
		held->again = true;
		held->state = HELD_THERE;
	} else if (fetch->found == TOPICREADER_GONE || (absent && ++held->absent >= ABSENT_TRIES)) {
		leave_it(self, held, "no longer in the source");
	} else {
		try_again(self, held, fetch->err.text);
	}
}

static void fetch_done(void *context, bool late)
{
	struct fetch *fetch = context;
	struct source_errors *self = fetch->owner;
	struct held *held = self ? asker_of(self, fetch) : NULL;
	if (held && late)
		try_again(self, held, "no answer in time");
	else if (held)
		settle_fetch(self, held, fetch);
	if (!late)
		fetch_free(fetch);
}

static bool open_client(struct source_errors *self, struct err *err)
{
	const struct source_config *source = self->config.source;
	struct kafka_settings settings = {.client_id = self->config.client_id,
	        .group = source->group,
	        .queue_bytes = FETCH_QUEUE,
	        .properties = source->kafka,
	        .property_count = source->kafka_count};
	if (self->client == NULL)
		self->client = kafka_open(KAFKA_CONSUMER, &settings, err);
	return self->client != NULL;
}

static void ask(struct source_errors *self, struct held *held)
{
	struct err err;
	if (self->fetch) /* for one that was forgotten meanwhile, or late */
		return;
	if (!open_client(self, &err)) {
		try_again(self, held, err.text);
		return;
	}
	struct fetch *fetch = mem_zalloc(1, sizeof *fetch);
	*fetch = (struct fetch){.owner = self,
	        .client = self->client,
	        .number = ++self->fetches,
	        .topic = mem_strdup(held->topic),
	        .partition = held->id,
	        .offset = held->place};
	held->number = fetch->number;
	held->state = HELD_ASKED;
	self->fetch = fetch;
	struct helper_job job = {
	        "reading an original", fetch, fetch_run, fetch_done, fetch_free, 2 * FETCH_MS};
	helper_submit(self->helper, &job);
}

/* ---- on to the pipeline ---- */

/* What is filtered out costs nothing: a token is kept until an original is handed over. */
static bool may_hand_over(struct source_errors *self)
{
	int64_t wait;
	if (!self->paid && self->config.rate > 0) {
		self->paid = limiter_take(&self->limiter, 1, clock_now(), &wait);
		if (!self->paid)
			wake_in(self, wait > 0 ? wait : 1);
		else
			limiter_end(&self->limiter);
	}
	return (self->paid || self->config.rate <= 0) && self->next.room(self->next.context);
}

static void hand_over(struct source_errors *self, const struct source_message *message)
{
	self->paid = false;
	self->counts.handed++;
	self->next.message(self->next.context, message);
}

static void hand_over_held(struct source_errors *self, struct held *held)
{
	struct source_message message = {.partition = held->partition,
	        .offset = held->offset,
	        .timestamp = held->own.timestamp,
	        .key = {held->own.key, held->own.key_size},
	        .value = {held->own.value, held->own.value_size},
	        .headers = held->own.headers,
	        .header_count = held->own.header_count,
	        .origin = {held->topic, held->id, held->place},
	        .ticket = &held->ticket};
	self->counts.again += held->again;
	hand_over(self, &message);
	held_free(self, held);
}

/* The first of those that wait, as far as it goes. */
static void go_on(struct source_errors *self)
{
	struct list_node *first;
	while ((first = list_first(&self->held)) != NULL) {
		struct held *held = container_of(first, struct held, node);
		if (held->state == HELD_WAITS && clock_now() >= held->again_at)
			ask(self, held);
		if (held->state != HELD_THERE || !may_hand_over(self))
			return;
		hand_over_held(self, held);
	}
}

static bool has_room(void *context)
{
	struct source_errors *self = context;
	go_on(self);
	return list_empty(&self->held) && may_hand_over(self);
}

static void hold(
        struct source_errors *self, const struct source_message *original, const struct errorevent *event)
{
	struct held *held = mem_zalloc(1, sizeof *held);
	const struct bytes *part = &event->texts[ERROREVENT_RAW];
	held->partition = original->partition;
	held->offset = original->offset;
	held->ticket = offsets_begin(original->partition->offsets, original->offset);
	held->topic = original->origin.topic;
	held->id = original->origin.partition;
	held->place = original->origin.offset;
	held->state = event->partial ? HELD_WAITS : HELD_THERE;
	if (event->partial) {
		held->part = mem_dup(part->data, part->size);
		held->part_size = part->size;
	} else {
		original_copy(&held->own, original);
	}
	list_append(&self->held, &held->node);
	go_on(self);
}

static void take(struct source_errors *self, const struct source_message *message,
        const struct errorevent *event, const char *topic)
{
	size_t count;
	struct output_header *headers =
	        errorevent_original_headers(message->headers, message->header_count, &count);
	struct source_message original = {.partition = message->partition,
	        .offset = message->offset,
	        .timestamp = event->timestamp >= 0 ? event->timestamp : message->timestamp,
	        .key = message->key,
	        .value = event->texts[ERROREVENT_RAW],
	        .headers = headers,
	        .header_count = count,
	        .origin = {topic, event->origin.partition, event->origin.offset}};
	if (event->partial || !list_empty(&self->held) || !may_hand_over(self))
		hold(self, &original, event);
	else
		hand_over(self, &original);
	mem_free(headers);
}

static void on_message(void *context, const struct source_message *message)
{
	struct source_errors *self = context;
	struct errorpick_message seen = {.partition = message->partition->id,
	        .offset = message->offset,
	        .value = message->value,
	        .headers = message->headers,
	        .header_count = message->header_count};
	struct errorevent event;
	const char *topic = NULL;
	if (errorpicker_judge(&self->picker, &seen, &event, &topic) == ERRORPICK_TAKEN) {
		take(self, message, &event, topic);
		return;
	}
	struct offsets *offsets = message->partition->offsets;
	offsets_end(offsets, offsets_begin(offsets, message->offset));
}

/* ---- partitions ---- */

static void on_taken(void *context, struct partition *partition)
{
	struct source_errors *self = context;
	self->next.taken(self->next.context, partition);
}

static void on_draining(void *context, struct partition *partition)
{
	struct source_errors *self = context;
	forget_held(self, partition);
	self->next.draining(self->next.context, partition);
}

static void on_cut_short(void *context, struct partition *partition)
{
	struct source_errors *self = context;
	forget_held(self, partition);
	self->next.cut_short(self->next.context, partition);
}

static void on_released(void *context, struct partition *partition, bool lost)
{
	struct source_errors *self = context;
	forget_held(self, partition);
	self->next.released(self->next.context, partition, lost);
}

/* ---- all of it ---- */

/* The loop's turn does the work; the timer has only to make one. */
static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context;
}

struct source_errors *source_errors_open(struct event_base *base, const struct source_errors_config *config,
        struct helper *helper, const struct source_handlers *handlers)
{
	struct source_errors *self = mem_zalloc(1, sizeof *self);
	self->config = *config;
	self->helper = helper;
	self->next = *handlers;
	self->timer = event_new(base, -1, 0, on_timer, NULL);
	list_init(&self->held, "held error events");
	errorpicker_init(&self->picker, config->filter, config->source);
	limiter_init(&self->limiter, 1, config->rate, clock_now());
	return self;
}

void source_errors_handlers(struct source_errors *self, struct source_handlers *handlers)
{
	*handlers = (struct source_handlers){.context = self,
	        .room = has_room,
	        .message = on_message,
	        .taken = on_taken,
	        .draining = on_draining,
	        .cut_short = on_cut_short,
	        .released = on_released,
	        .failed = self->next.failed,
	        .failed_context = self->next.failed_context};
}

bool source_errors_idle(const struct source_errors *self)
{
	return list_empty(&self->held);
}

struct source_errors_counts source_errors_counts(const struct source_errors *self)
{
	struct source_errors_counts counts = self->counts;
	memcpy(counts.picks, self->picker.counts, sizeof counts.picks);
	return counts;
}

void source_errors_close(struct source_errors *self)
{
	if (self == NULL)
		return;
	list_each (&self->held, node, after)
		held_free(self, container_of(node, struct held, node));
	if (self->fetch) /* left behind with the helper's thread, and its client with it */
		self->fetch->owner = NULL;
	else if (self->client)
		kafka_destroy(self->client, CLOSE_MS);
	errorpicker_free(&self->picker);
	if (self->timer)
		event_free(self->timer);
	mem_free(self);
}
