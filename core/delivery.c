/* Hands made outputs to the sinks, and sends them again in order when a delivery fails. */
#include "delivery.h"
#include "log.h"
#include "mem.h"

#include <string.h>

enum {
	RESEND_FIRST_MS = 500,
	RESEND_MAX_MS = 30000,
	ERROR_LEAST = 2048, /* an error event is not cut below this */
};

bool delivery_open(const struct delivery *delivery)
{
	return !delivery->failed && !delivery->full;
}

/* A refused error event that cannot be cut any more: nothing could stand in its place, and it waits for a
 * person. */
static bool is_final_refusal(const struct record *record, const struct output *output)
{
	return record->outcome == OUTCOME_FAILED && output->state == OUTPUT_REFUSED &&
	       output_bytes(output) <= ERROR_LEAST;
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

/* Nothing is sent and nothing is taken until this record, and its lane behind it, can be sent again. */
static void undeliverable(
        struct delivery *delivery, struct record *record, const struct output *output, int64_t now)
{
	const struct sink_config *sink = &delivery->configs[output->sink];
	record->undelivered = true;
	if (delivery->failed)
		return;
	delivery->failed = true;
	delivery->resend_wait = delivery->resend_wait ? delivery->resend_wait * 2 : RESEND_FIRST_MS;
	if (delivery->resend_wait > RESEND_MAX_MS)
		delivery->resend_wait = RESEND_MAX_MS;
	delivery->resend_at = now + delivery->resend_wait;
	if (delivery->files)
		return;
	log_throttled(LOG_WARN, "sink",
	        "delivery to %s (topic %s) failed: %s; intake pauses, what failed is sent again in %lld ms",
	        sink->name, sink->topic, output->error ? output->error : "no reason given",
	        (long long)delivery->resend_wait);
}

bool delivery_send(struct delivery *delivery, struct record *record, int64_t now)
{
	if (!delivery_open(delivery))
		return false;
	for (; record->outputs_sent < record->output_count; record->outputs_sent++) {
		struct output *output = &record->outputs[record->outputs_sent];
		struct sink *sink = delivery->sinks[output->sink];
		switch (sink->verbs->send(sink, output)) {
		case SINK_TAKEN:
			output->state = OUTPUT_SENT;
			record->outputs_unsettled++;
			break;
		case SINK_REFUSED:
			output->state = OUTPUT_REFUSED;
			if (is_final_refusal(record, output))
				undeliverable(delivery, record, output, now);
			break;
		case SINK_NO_ROOM: delivery->full = true; return false;
		}
	}
	record_move(delivery->records, record, RECORD_SENDING);
	return true;
}

void delivery_settled(
        struct delivery *delivery, struct record *record, const struct output *output, int64_t now)
{
	if (output->state == OUTPUT_ACKED)
		delivery->resend_wait = 0;
	if (record->state == RECORD_GIVEN_BACK)
		return;
	if (output->state == OUTPUT_FAILED || is_final_refusal(record, output))
		undeliverable(delivery, record, output, now);
}

static void turn_back(void *context, struct place *place)
{
	struct delivery *delivery = context;
	struct record *record = container_of(place, struct record, place);
	for (size_t i = 0; i < record->output_count; i++) {
		record->outputs[i].state = OUTPUT_MADE;
		mem_free(record->outputs[i].error);
		record->outputs[i].error = NULL;
	}
	record->outputs_sent = 0;
	record->undelivered = false;
	if (record->state != RECORD_MADE)
		record_move(delivery->records, record, RECORD_MADE);
}

static bool is_undelivered(const struct record *record, const void *with)
{
	(void)with;
	return record->undelivered;
}

void delivery_again(struct delivery *delivery, int64_t now)
{
	size_t count;
	if (!delivery->failed || now < delivery->resend_at || !delivery_empty(delivery))
		return;
	struct record **failed = records_collect(delivery->records, is_undelivered, NULL, &count);
	for (size_t i = 0; i < count; i++)
		if (failed[i]->undelivered) /* not turned back with an elder of its lane */
			lanes_recall(delivery->lanes, &failed[i]->place, turn_back, delivery);
	delivery->failed = delivery->full = false;
	for (size_t i = 0; i < count; i++)
		lanes_release_again(delivery->lanes, &failed[i]->place);
	mem_free(failed);
}

int64_t delivery_due(const struct delivery *delivery, int64_t now)
{
	return delivery->failed && delivery->resend_at > now ? delivery->resend_at : -1;
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
