/* Where assigned partitions start: asked of the brokers and the checkpoint files, which blocks (helper.h).
 *
 * It asks for the group's commits of all partitions of the topics, the watermarks, the cluster's id, and
 * offsets by time where the configuration names one, joins the checkpoints, and lets positions_resolve
 * decide. */
#ifndef MILLRACE_INQUIRY_H
#define MILLRACE_INQUIRY_H

#include "err.h"
#include "positions.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct rd_kafka_s;

/* One partition: the first block is given by the caller, the second is the answer. */
struct inquiry_partition {
	char *topic;
	int32_t id;
	uint64_t assignment; /* the caller's */
	bool awaited;        /* its topic came into being while the source waited for it */
	bool refused;        /* the broker refused to read at `known`, which stands for the group's commit */
	struct position known;

	struct position_decision decision; /* partitions is set for a new lineage, too */
	bool until_new; /* decision.until was resolved now: to be committed before anything is read */
	int64_t low, high;
	int64_t place;          /* offset of the inquiry's place */
	bool committed;         /* the group has a commit: */
	struct position commit; /* its ranges belong to the inquiry */
};

struct inquiry {
	struct rd_kafka_s *client;          /* borrowed */
	const struct source_config *config; /* borrowed: start, until, checkpoints */
	int64_t budget_ms;                  /* all questions together */
	const char *place; /* "earliest", "latest" or a time, asked for every partition; NULL = none */
	struct inquiry_partition *partitions;
	size_t count;

	bool answered; /* else err says what was asked and what came */
	bool refused;  /* what came was a refusal (no such topic, not allowed), not silence */
	char cluster[64];
	struct err err;
};

struct inquiry *inquiry_make(size_t count);
/* One that asks for every partition of the topics, which are asked of the brokers; NULL and err when they do
 * not say in time, or refuse. Blocks. */
struct inquiry *inquiry_make_all(struct rd_kafka_s *client, const struct source_config *config,
        int64_t budget_ms, bool *refused, struct err *err);
void inquiry_free(struct inquiry *inquiry);
/* Asks; touches nothing but the inquiry. Any thread. */
void inquiry_run(struct inquiry *inquiry);

#endif
