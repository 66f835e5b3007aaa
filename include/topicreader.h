/* A topic read from a time to a time, or to its end as it is now, by nobody: no group is joined, nothing is
 * committed. Blocks; for commands.
 *
 * The client is a consumer of kafka_open (kafka.h) that has joined no group; librdkafka wants a group.id to
 * poll for messages, and no more than that is made of it. A client reads each topic once: a partition that
 * was read to its end is paused, which librdkafka remembers. Offsets in a topic have gaps (compaction,
 * control records of transactions), so a partition has been read when a message at its end or behind it came,
 * or librdkafka tells that there is nothing more (enable.partition.eof, which kafka_open sets). With
 * isolation.level read_committed (librdkafka's default) that is the last stable offset. */
#ifndef MILLRACE_TOPICREADER_H
#define MILLRACE_TOPICREADER_H

#include "buf.h"
#include "err.h"
#include "output.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd_kafka_s;

#define TOPICREADER_ALWAYS INT64_MIN /* from: the beginning of the log */
#define TOPICREADER_END INT64_MAX    /* until: the end of the log, as it is when reading begins */

enum { TOPICREADER_DISORDER_MS = 3600000 };

/* Borrowed for the time of the call. */
struct topicreader_message {
	const char *topic;
	int32_t partition;
	int64_t offset;
	int64_t timestamp; /* wall ms; -1 = the message has none */
	struct bytes key;  /* data NULL = none */
	struct bytes value;
	const struct output_header *headers;
	size_t header_count;
};

struct topicreader {
	struct rd_kafka_s *client; /* borrowed */
	int64_t from, until;       /* wall ms: from included, until not */
	int64_t silence_ms;        /* how long the brokers may be silent before that is an error */
	/* Moves where a partition begins and ends, within what the times gave; may be NULL. */
	void (*bounds)(void *context, const char *topic, int32_t partition, int64_t *low, int64_t *high);
	/* A partition's offsets that may be handed over, [low, high), before the first message; may be NULL.
	 */
	void (*partition)(void *context, const char *topic, int32_t partition, int64_t low, int64_t high);
	void (*message)(void *context, const struct topicreader_message *message);
	void *context;
};

/* Hands over, in the order of each partition, every message whose timestamp lies in the range. Since
 * timestamps within a partition need not ascend, it reads on until they are TOPICREADER_DISORDER_MS past the
 * range: a message that lies further behind one younger than it is not found. False: err says why, `refused`
 * whether the brokers said no (or were silent). */
bool topicreader_read(const struct topicreader *reader, const char *topic, bool *refused, struct err *err);

enum topicreader_found {
	TOPICREADER_FOUND,
	TOPICREADER_GONE,   /* the log does not have the record (any more) */
	TOPICREADER_ABSENT, /* there is no such topic or partition, as far as the brokers know */
	TOPICREADER_UNKNOWN /* silence or trouble, see err: a later try may tell */
};

/* Reads one record again; `message` is called when it is found. The client may be used so again and again,
 * but not for topicreader_read. */
enum topicreader_found topicreader_fetch(struct rd_kafka_s *client, const char *topic, int32_t partition,
        int64_t offset, int64_t silence_ms,
        void (*message)(void *context, const struct topicreader_message *message), void *context,
        struct err *err);

#endif
