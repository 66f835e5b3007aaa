/* Hands made outputs to the sinks, and sends them again in order when a delivery fails.
 *
 * An output comes back acknowledged, refused (no broker will ever take it: the pipeline makes an error event
 * in its place) or failed. After a failure nothing is sent to that topic until librdkafka holds nothing more
 * for it; then the failed records and every later unsettled one of their lanes leave again for it in the
 * order of their tickets, with back-off: idempotence alone keeps no order across a failed message.
 *
 * Each topic has its own trouble. While one is away the intake pauses, but what is open goes on: outputs for
 * the other topics leave, and what failed there is sent again without waiting for the one that is away. Order
 * is kept because a record is handed over only after its elder in the lane has been handed over whole, and
 * because sinks of one topic share its fate. */
#ifndef MILLRACE_DELIVERY_H
#define MILLRACE_DELIVERY_H

#include "lanes.h"
#include "record.h"
#include "sink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How it stands with one topic. Times are steady ms, 0 = never. */
struct delivery_topic {
	bool full;             /* a sink had no room: nothing more is sent there until it has */
	bool failed;           /* a delivery failed: nothing is sent there until it is sent again */
	bool silent;           /* its sinks hold outputs, and no report has come for long */
	int64_t trouble_since; /* for the word that it is over */
	int64_t resend_at, resend_wait;
};

struct delivery {
	struct records *records;
	struct lanes *lanes;
	struct sink **sinks;               /* borrowed, in the order of the configuration */
	const struct sink_config *configs; /* borrowed */
	size_t count;
	bool files;                    /* what failed will not do better: no word about sending again */
	struct delivery_topic *topics; /* at the index of the first sink that names the topic */
	size_t *topic_of;              /* of each sink */
};

/* Borrows all; the sinks are set when they are open. */
void delivery_init(struct delivery *delivery, struct records *records, struct lanes *lanes,
        const struct sink_config *configs, size_t count, bool files);
void delivery_free(struct delivery *delivery);
/* Whether every topic takes outputs and says so: what the door asks. */
bool delivery_open(const struct delivery *delivery);
/* A delivery failed and was not sent again yet. */
bool delivery_failed(const struct delivery *delivery);
/* Whether nothing of its lane stands before it in the way to the sinks. */
bool delivery_may_leave(const struct record *record);
/* RELEASED -> SENDING: hands over what can be handed over now; false when some is left for a later try. */
bool delivery_send(struct delivery *delivery, struct record *record, int64_t now);
/* Notes what became of one output of a record that is not GIVEN_BACK. */
void delivery_settled(
        struct delivery *delivery, struct record *record, const struct output *output, int64_t now);
/* Whether an output of it was refused and something else has to go in its place. */
bool delivery_refused(const struct record *record);
/* The first refused output, NULL if there is none. */
const struct output *delivery_first_refused(const struct record *record, size_t *index);
/* A sink that had no room may have some again. */
void delivery_room(struct delivery *delivery);
/* Lets the failed records leave again when it is time, and notices which topics are silent. */
void delivery_again(struct delivery *delivery, int64_t now);
int64_t delivery_due(const struct delivery *delivery, int64_t now); /* steady ms of the next try, -1 = none */
void delivery_serve(struct delivery *delivery);                     /* delivery reports of all sinks */
bool delivery_empty(const struct delivery *delivery);               /* no sink holds an output */
size_t delivery_held_bytes(const struct delivery *delivery);        /* copies that the sinks hold */

#endif
