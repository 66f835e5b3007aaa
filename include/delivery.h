/* Hands made outputs to the sinks, and sends them again in order when a delivery fails.
 *
 * An output comes back acknowledged, refused (no broker will ever take it: the pipeline makes an error event
 * in its place) or failed. After a failure nothing is sent until the sinks hold nothing more; then the failed
 * records and every later unsettled one of their lanes leave again in the order of their tickets, with
 * back-off: idempotence alone keeps no order across a failed message. */
#ifndef MILLRACE_DELIVERY_H
#define MILLRACE_DELIVERY_H

#include "lanes.h"
#include "record.h"
#include "sink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delivery {
	struct records *records;
	struct lanes *lanes;
	struct sink **sinks;               /* borrowed, in the order of the configuration */
	const struct sink_config *configs; /* borrowed */
	size_t count;
	bool files;  /* what failed will not do better: no word about sending again */
	bool full;   /* a sink had no room: nothing is sent until it has */
	bool failed; /* a delivery failed: nothing is sent until the failed records can be sent again */
	int64_t resend_at, resend_wait; /* steady ms, ms */
};

bool delivery_open(const struct delivery *delivery); /* whether anything may be sent now */
/* RELEASED -> SENDING: hands the outputs over in their order; false when it could not hand over all of them,
 * and then the next try continues there. */
bool delivery_send(struct delivery *delivery, struct record *record, int64_t now);
/* Notes what became of one output of a record that is not GIVEN_BACK. */
void delivery_settled(
        struct delivery *delivery, struct record *record, const struct output *output, int64_t now);
/* Whether an output of it was refused and something else has to go in its place. */
bool delivery_refused(const struct record *record);
/* The first refused output, NULL if there is none. */
const struct output *delivery_first_refused(const struct record *record, size_t *index);
/* Lets the failed records leave again when it is time. */
void delivery_again(struct delivery *delivery, int64_t now);
int64_t delivery_due(const struct delivery *delivery, int64_t now); /* steady ms of the next try, -1 = none */
void delivery_serve(struct delivery *delivery);                     /* delivery reports of all sinks */
bool delivery_empty(const struct delivery *delivery);               /* no sink holds an output */
size_t delivery_held_bytes(const struct delivery *delivery);        /* copies that the sinks hold */

#endif
