/* What a running engine is doing, as JSON for who asks why it stands still: the oldest unfinished records,
 * its partitions, hosts in trouble, the last failures.
 *
 * Everything is bounded, whatever there is: INSPECT_OLDEST records (found among the INSPECT_SCAN oldest;
 * followers, which wait for nothing but an elder of their lane, are counted and not listed), INSPECT_HOSTS
 * hosts, INSPECT_PARTITIONS partitions. Values of secret parameters never appear, others are cut short. */
#ifndef MILLRACE_INSPECT_H
#define MILLRACE_INSPECT_H

#include "lately.h"
#include "pipeline.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	INSPECT_OLDEST = 10,
	INSPECT_SCAN = 1000,
	INSPECT_FOLLOWERS = 1000, /* counted no further */
	INSPECT_LOOKUPS = 3,      /* of one record: those that are not answered */
	INSPECT_HOSTS = 12,
	INSPECT_PARTITIONS = 200,
	INSPECT_TOLD = 50 /* partitions in the log */
};

struct inspect {
	const struct pipeline *pipeline;
	const struct source *source;
	const struct lately *lately;
	const struct upstream_config *upstreams;
	bool words; /* queries and messages, too: they may hold parts of events */
	int64_t now, wall;
};

/* Appends one JSON object: oldest, partitions, partitions_all, hosts, hosts_all, failures. Times are seconds.
 */
void inspect_write(const struct inspect *inspect, struct buf *out);
/* The same as lines of the log, at info: partitions, hosts in trouble, the oldest records. Of events it says
 * where they are and not what is in them. */
void inspect_log(const struct inspect *inspect);

#endif
