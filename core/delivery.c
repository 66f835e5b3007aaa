/* Hands made outputs to the sinks, and sends them again in order when a delivery fails. */
#include "delivery.h"
#include "log.h"
#include "mem.h"

#include <string.h>

enum {
	RESEND_FIRST_MS = 500,
	RESEND_MAX_MS = 10000, /* with librdkafka's own back-off of 10 s: resumes within 30 s */
	SILENT_MS = 5000,      /* a report takes milliseconds where all is well */
	ERROR_LEAST = 2048,    /* an error event is not cut below this */
};

void delivery_init(struct delivery *delivery, struct records *records, struct lanes *lanes,
        const struct sink_config *configs, size_t count, bool files)
{
	*delivery = (struct delivery){
	        .records = records, .lanes = lanes, .configs = configs, .count = count, .files = files};
	delivery->topics = mem_zalloc(count, sizeof *delivery->topics);
	delivery->topic_of = mem_zalloc(count, sizeof *delivery->topic_of);
	for (size_t i = 0; i < count; i++) {
		size_t first = 0;
		while (first < i && (configs[i].topic == NULL || configs[first].topic == NULL ||
		                            strcmp(configs[first].topic, configs[i].topic) != 0))
			first++;
		delivery->topic_of[i] = first;
	}
}

void delivery_free(struct delivery *delivery)
{
	mem_free(delivery->topics);
	mem_free(delivery->topic_of);
}

static struct delivery_topic *topic_of(const struct delivery *delivery, const struct output *output)
{
	return &delivery->topics[delivery->topic_of[output->sink]];
}

bool delivery_open(const struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->count; i++)
		if (delivery->topics[i].failed || delivery->topics[i].full || delivery->topics[i].silent)
			return false;
	return true;
}

bool delivery_failed(const struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->count; i++)
		if (delivery->topics[i].failed)
			return true;
	return false;
}

/* A refused error event that cannot be cut any more: nothing could stand in its place, and it waits for a
 * person. */
static bool is_final_refusal(const struct record *record, const struct output *output)
{
	return record->outcome == OUTCOME_FAILED && output->state == OUTPUT_REFUSED &&
	       output_bytes(output) <= ERROR_LEAST;
}

static bool is_undelivered(const struct record *record, const struct output *output)
{
	return output->state == OUTPUT_FAILED || is_final_refusal(record, output);
}

const struct output *delivery_first_refused(const struct record *record, size_t *index)
{
	for (size_t i = 0; i < record->output_count; i++)
		if (record->outputs[i].state == OUTPUT_REFUSED) {
			*index = i;
			return &record->outputs[i];
		}
	return NULL;
}

bool delivery_refused(const struct record *record)
{
	size_t index;
	return delivery_first_refused(record, &index) != NULL;
}

static void trouble_began(struct delivery_topic *topic, int64_t now)
{
	if (topic->trouble_since == 0)
		topic->trouble_since = now;
}

/* Nothing more is sent to its topic and nothing is taken until this record, and its lane behind it, can be
 * sent again. */
static void undeliverable(
        struct delivery *delivery, struct record *record, const struct output *output, int64_t now)
{
	const struct sink_config *sink = &delivery->configs[output->sink];
	struct delivery_topic *topic = topic_of(delivery, output);
	record->undelivered = true;
	if (topic->failed)
		return;
	topic->failed = true;
	topic->resend_wait = topic->resend_wait ? topic->resend_wait * 2 : RESEND_FIRST_MS;
	if (topic->resend_wait > RESEND_MAX_MS)
		topic->resend_wait = RESEND_MAX_MS;
	topic->resend_at = now + topic->resend_wait;
	trouble_began(topic, now);
	if (delivery->files)
		return;
	log_throttled(LOG_WARN, "sink",
	        "delivery to %s (topic %s) failed: %s; intake pauses, what failed is sent again in %lld ms",
	        sink->name, sink->topic, output->error ? output->error : "no reason given",
	        (long long)topic->resend_wait);
}

bool delivery_may_leave(const struct record *record)
{
	const struct place *elder = lanes_elder(&record->place);
	return elder == NULL || container_of(elder, struct record, place)->state != RECORD_RELEASED;
}

/* False when it has to wait for its topic. */
static bool hand_over(struct delivery *delivery, struct record *record, struct output *output, int64_t now)
{
	struct delivery_topic *topic = topic_of(delivery, output);
	struct sink *sink = delivery->sinks[output->sink];
	if (topic->failed || topic->full)
		return false;
	switch (sink->verbs->send(sink, output)) {
	case SINK_TAKEN:
		output->state = OUTPUT_SENT;
		record->outputs_unsettled++;
		return true;
	case SINK_REFUSED:
		output->state = OUTPUT_REFUSED;
		if (is_final_refusal(record, output))
			undeliverable(delivery, record, output, now);
		return true;
	case SINK_NO_ROOM: break;
	}
	topic->full = true;
	return false;
}

bool delivery_send(struct delivery *delivery, struct record *record, int64_t now)
{
	bool all = true;
	for (size_t i = 0; i < record->output_count; i++)
		if (record->outputs[i].state == OUTPUT_MADE)
			all &= hand_over(delivery, record, &record->outputs[i], now);
	if (all)
		record_move(delivery->records, record, RECORD_SENDING);
	return all;
}

static void trouble_over(struct delivery *delivery, const struct output *output, int64_t now)
{
	const struct sink_config *sink = &delivery->configs[output->sink];
	struct delivery_topic *topic = topic_of(delivery, output);
	topic->resend_wait = 0;
	if (topic->trouble_since == 0 || topic->failed)
		return;
	log_throttled(LOG_INFO, "sink", "%s (topic %s) takes outputs again after %lld ms of trouble",
	        sink->name, sink->topic, (long long)(now - topic->trouble_since));
	topic->trouble_since = 0;
}

void delivery_settled(
        struct delivery *delivery, struct record *record, const struct output *output, int64_t now)
{
	if (output->state == OUTPUT_ACKED)
		trouble_over(delivery, output, now);
	if (record->state == RECORD_GIVEN_BACK)
		return;
	if (is_undelivered(record, output))
		undeliverable(delivery, record, output, now);
}

void delivery_room(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->count; i++)
		delivery->topics[i].full = false;
}

/* ---- sending again ---- */

struct resend {
	struct delivery *delivery;
	size_t topic;
};

static bool is_of(const struct resend *resend, const struct output *output)
{
	return resend->delivery->topic_of[output->sink] == resend->topic;
}

/* What the broker refused stays refused; the rest of this topic is sent again, and no other. */
static void turn_back(void *context, struct place *place)
{
	const struct resend *resend = context;
	struct record *record = container_of(place, struct record, place);
	record->undelivered = false;
	for (size_t i = 0; i < record->output_count; i++) {
		struct output *output = &record->outputs[i];
		bool undelivered = is_undelivered(record, output);
		if (!is_of(resend, output)) {
			record->undelivered |= undelivered;
		} else if (undelivered || output->state == OUTPUT_ACKED) {
			output->state = OUTPUT_MADE;
			mem_free(output->error);
			output->error = NULL;
		}
	}
	if (record->state != RECORD_MADE)
		record_move(resend->delivery->records, record, RECORD_MADE);
}

static bool has_undelivered(const struct record *record, const void *with)
{
	const struct resend *resend = with;
	for (size_t i = 0; record->undelivered && i < record->output_count; i++)
		if (is_of(resend, &record->outputs[i]) && is_undelivered(record, &record->outputs[i]))
			return true;
	return false;
}

static void send_again(struct delivery *delivery, size_t topic)
{
	size_t count;
	struct resend resend = {.delivery = delivery, .topic = topic};
	struct record **failed = records_collect(delivery->records, has_undelivered, &resend, &count);
	for (size_t i = 0; i < count; i++)
		if (has_undelivered(failed[i], &resend)) /* not turned back with an elder of its lane */
			lanes_recall(delivery->lanes, &failed[i]->place, turn_back, &resend);
	delivery->topics[topic].failed = delivery->topics[topic].full = false;
	for (size_t i = 0; i < count; i++)
		lanes_release_again(delivery->lanes, &failed[i]->place);
	mem_free(failed);
}

static bool topic_empty(const struct delivery *delivery, size_t topic)
{
	for (size_t i = topic; i < delivery->count; i++)
		if (delivery->topic_of[i] == topic &&
		        delivery->sinks[i]->verbs->outstanding(delivery->sinks[i]) > 0)
			return false;
	return true;
}

static bool is_silent(const struct sink *sink, int64_t now)
{
	int64_t since = sink->verbs->waiting ? sink->verbs->waiting(sink) : -1;
	return since >= 0 && now - since >= SILENT_MS;
}

/* Brokers that are away fail nothing: librdkafka holds on to what it has. */
static void watch_silence(struct delivery *delivery, int64_t now)
{
	for (size_t i = 0; i < delivery->count; i++) {
		const struct sink_config *sink = &delivery->configs[i];
		struct delivery_topic *topic = &delivery->topics[delivery->topic_of[i]];
		bool silent = is_silent(delivery->sinks[i], now);
		if (delivery->topic_of[i] == i)
			topic->silent = false;
		if (silent && topic->trouble_since == 0)
			log_throttled(LOG_WARN, "sink",
			        "%s (topic %s): the brokers have acknowledged nothing for %d s; intake "
			        "pauses, what is made is kept and leaves when they are back",
			        sink->name, sink->topic, SILENT_MS / 1000);
		if (silent)
			trouble_began(topic, now - SILENT_MS);
		topic->silent |= silent;
	}
}

void delivery_again(struct delivery *delivery, int64_t now)
{
	watch_silence(delivery, now);
	for (size_t i = 0; i < delivery->count; i++)
		if (delivery->topics[i].failed && now >= delivery->topics[i].resend_at &&
		        topic_empty(delivery, i))
			send_again(delivery, i);
}

int64_t delivery_due(const struct delivery *delivery, int64_t now)
{
	int64_t due = -1;
	for (size_t i = 0; i < delivery->count; i++) {
		const struct delivery_topic *topic = &delivery->topics[i];
		if (topic->failed && topic->resend_at > now && (due < 0 || topic->resend_at < due))
			due = topic->resend_at;
	}
	return due;
}

void delivery_serve(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->count; i++)
		delivery->sinks[i]->verbs->serve(delivery->sinks[i]);
}

bool delivery_empty(const struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->count; i++)
		if (delivery->sinks[i]->verbs->outstanding(delivery->sinks[i]) > 0)
			return false;
	return true;
}

size_t delivery_held_bytes(const struct delivery *delivery)
{
	size_t held = 0;
	for (size_t i = 0; i < delivery->count; i++)
		held += delivery->sinks[i]->verbs->held_bytes(delivery->sinks[i]);
	return held;
}
