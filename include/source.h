/* Where records come from: a consumer group's partitions, or a file, behind a few verbs.
 *
 * source_kafka.c and source_file.c implement them. A partition is one period of owning (assignment); a new
 * period is a new struct partition, so late finishes of an earlier one move no offset. */
#ifndef MILLRACE_SOURCE_H
#define MILLRACE_SOURCE_H

#include "err.h"
#include "list.h"
#include "offsets.h"
#include "output.h"
#include "positions.h"
#include "sink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source;
struct helper;
struct ledger;

/* Where a partition stands, for its checkpoint file. */
struct source_note {
	const char *topic;
	int32_t partition;
	struct position position;
};

enum source_writing { SOURCE_WRITING, SOURCE_WRITTEN, SOURCE_NOT_WRITTEN };

/* Checkpoint files beside the group's commits. */
struct source_checkpoints {
	void *context;
	/* All good files of a partition; called on the helper's thread. */
	size_t (*read)(void *context, const char *topic, int32_t partition, struct position **positions);
	void (*release)(void *context, struct position *positions, size_t count);
	/* Begins to write, at most one file a partition (loop only; NULL = files are only read). False when
	 * nothing is written, because the store is away or busy: the commit goes on alone. */
	bool (*write)(void *context, const struct source_note *notes, size_t count);
	/* What became of the last write that began: WRITTEN when all of it is durable. */
	enum source_writing (*outcome)(void *context);
};

struct source_config {
	char **topics;
	size_t topic_count;
	char *stream; /* the topics are those of this stream; NULL = they were named */
	char *group;
	char *start; /* "earliest", "latest" or an RFC 3339 time */
	struct kafka_property *kafka;
	size_t kafka_count;
	size_t queue_bytes;        /* prefetch of all partitions together */
	size_t fetch_bytes;        /* of one answer of a broker that fills it */
	int64_t revoke_ms;         /* how long a revoked partition may drain: 1500 */
	const char *script_sha256; /* for checkpoints; may be NULL */
	char *until; /* bounded run: "end" or an RFC 3339 time, resolved once per partition; NULL = unbounded
	              */
	const struct source_checkpoints *checkpoints; /* NULL = group commits alone */
};

enum partition_state {
	PARTITION_STARTING, /* assigned, position not yet known */
	PARTITION_READING,
	PARTITION_DRAINING, /* revoked: nothing more is taken, open records may end until the deadline */
	PARTITION_GONE,     /* given up; freed by the source once `records` is 0 */
};

struct partition {
	char *topic;
	int32_t id;
	enum partition_state state;
	struct offsets *offsets; /* NULL while starting */
	uint64_t assignment;     /* number of the period */
	char lineage[LINEAGE_SIZE];
	int64_t until;     /* end offset of a bounded run, -1 = none */
	bool reached;      /* until was reached: nothing more is taken */
	int64_t committed; /* last offset committed in this period, -1 = none */
	int64_t high;      /* high watermark as last heard, -1 = unknown */
	size_t records;    /* records of it that are alive, whatever their state: kept by the pipeline */
	int64_t oldest_dt; /* for freshness: kept by the pipeline; event time of the oldest open record, 0 =
	                      none */
	int64_t taken_dt;  /* likewise: timestamp of the last record taken, 0 = none */
	uint64_t rewound;  /* messages dropped for being below the next expected offset */
	uint64_t skipped;  /* records skipped: finished in an earlier life */
	void *owner;       /* the pipeline's own */
	struct list_node node; /* in the source's list */
};

/* A message; borrowed during handlers.message only. */
struct source_message {
	struct partition *partition;
	int64_t offset;
	int64_t timestamp;       /* ms */
	struct bytes key, value; /* data NULL = null */
	const struct output_header *headers;
	size_t header_count;
	/* Where it was read first, if not here, as the original of an error event was: what scripts and
	 * outputs are told. The topic outlives the source; NULL = here. */
	struct {
		const char *topic;
		int32_t partition;
		int64_t offset;
	} origin;
	const uint64_t *ticket; /* taken already; NULL = not yet */
};

struct source_handlers {
	void *context;
	bool (*room)(void *context); /* the door: may one more record be taken now? */
	/* A record: it must take a ticket (offsets_begin with the partition's offsets), unless the message
	 * has one, before it returns. */
	void (*message)(void *context, const struct source_message *message);
	/* Partitions began to be read. */
	void (*taken)(void *context, struct partition *partition);
	/* No more of it is taken; open records may end until the source asks for `released`. */
	void (*draining)(void *context, struct partition *partition);
	/* The drain's time is up: what was not sent yet is given back at once; what was sent may still be
	 * acknowledged, and then counts, until `released`. */
	void (*cut_short)(void *context, struct partition *partition);
	/* Given up: the pipeline gives back its open records at once; they move no offset. */
	void (*released)(void *context, struct partition *partition, bool lost);
	/* The source cannot go on: a fatal client error that a new client did not cure. */
	void (*failed)(void *failed_context, const char *why);
	void *failed_context;
};

struct source_verbs {
	/* Serves events, takes messages while there is room. True when there is more to do at once. */
	bool (*pump)(struct source *source);
	/* Called about once a second and on the drain's end: commits moved safe offsets. */
	void (*commit)(struct source *source, bool now);
	bool (*ready)(const struct source *source); /* first join done, no partition starting */
	/* The n-th topic that cannot be read, with the reason ("topic x does not exist"); NULL when there are
	 * no more. */
	const char *(*trouble)(const struct source *source, size_t n);
	/* All partitions have reached their end (file end, --until); nothing more will come. */
	bool (*finished)(const struct source *source);
	void (*stop)(struct source *source); /* takes nothing more; what is open may end (drain) */
	/* Leaves: final commit of what is safe, close. Answers true when closed; call again on later turns.
	 */
	bool (*close)(struct source *source);
	void (*destroy)(struct source *source);
};

/* First member of each implementation's struct. */
struct source {
	const struct source_verbs *verbs;
	struct source_handlers handlers;
	struct list partitions; /* those of this period: starting, reading, draining */
	char cluster[64];       /* id of the cluster as last heard; "" = unknown */
};

struct source *source_kafka_open(struct event_base *base, const struct source_config *config,
        const char *client_id, struct helper *helper, const struct source_handlers *handlers,
        struct metrics *metrics, struct err *err);
/* JSON lines of a descriptor as partition 0 of the topic `name`; offset = line number from 0. */
struct source *source_file_open(struct event_base *base, int fd, const char *name, size_t max_line,
        const struct source_handlers *handlers);

#endif
