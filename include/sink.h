/* Where outputs go: one destination (a topic of a cluster, or a file), behind a few verbs.
 *
 * sink_kafka.c and sink_file.c implement them. Each accepted output comes back exactly once through
 * handlers.settled, never from within sink_send. */
#ifndef MILLRACE_SINK_H
#define MILLRACE_SINK_H

#include "err.h"
#include "kafka.h"
#include "output.h"
#include "script.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink;
struct event_base;
struct metrics;

/* What becomes of an output's properties that its schema does not know: it fails, or they are left out. */
enum sink_unknown { SINK_UNKNOWN_FAIL, SINK_UNKNOWN_STRIP };

struct sink_config {
	char *name;   /* key under `sinks`; "sink" when there is one; "errors" */
	char *topic;  /* topic_prefix + stream, or the topic given */
	char *stream; /* NULL = not stamped */
	char *schema; /* pinned $schema; NULL = keep */
	enum sink_unknown unknown;
	struct key_field *key; /* its own key; count 0 = the lane's */
	size_t key_count;
	size_t max_bytes;
	struct kafka_property *kafka;
	size_t kafka_count;
};

struct sink_handlers {
	void *context;
	/* output->state is OUTPUT_ACKED, OUTPUT_REFUSED or OUTPUT_FAILED; error says why. */
	void (*settled)(void *context, struct output *output);
	/* A sink that had no room has some again. */
	void (*room)(void *context);
	/* It cannot go on, and no new client would change that: why, and what to do. NULL = nobody asks. */
	void (*failed)(void *context, const char *why);
	void *failed_context;
};

enum sink_sent { SINK_TAKEN, SINK_NO_ROOM, SINK_REFUSED /* output->error says why */ };

struct sink_verbs {
	enum sink_sent (*send)(struct sink *sink, struct output *output);
	void (*serve)(struct sink *sink); /* delivery reports; called each loop turn and on wake-ups */
	size_t (*outstanding)(const struct sink *sink); /* outputs taken and not settled */
	size_t (*held_bytes)(const struct sink *sink);
	bool (*ready)(const struct sink *sink); /* has metadata of its topic */
	void (*close)(struct sink *sink);       /* outstanding outputs come back as OUTPUT_FAILED first */
	/* Steady ms since when it holds outputs and no word came of any; -1 = it waits for none. NULL = never
	 * waits. */
	int64_t (*waiting)(const struct sink *sink);
	/* The last thing that went wrong with its brokers, for whoever asks why it is not ready; "" =
	 * nothing did. NULL = nothing can. */
	const char *(*trouble)(const struct sink *sink);
};

/* First member of each implementation's struct. */
struct sink {
	const struct sink_verbs *verbs;
	const struct sink_config *config; /* borrowed */
	struct sink_handlers handlers;
};

/* Sinks of equal Kafka properties, max_bytes, queue_bytes and client_id share one producer, and so one queue
 * of queue_bytes. `base` wakes the loop on delivery reports, which are served there and then. */
struct sink *sink_kafka_open(struct event_base *base, const struct sink_config *config, const char *client_id,
        const struct sink_handlers *handlers, struct metrics *metrics, size_t queue_bytes, struct err *err);
/* Lines on a file descriptor, which stays the caller's: value and '\n'; settles on the next serve. A
 * tombstone writes "null". Pipes are never waited for. SIGPIPE must be ignored. */
struct sink *sink_file_open(int fd, const struct sink_config *config, const struct sink_handlers *handlers);
/* Wakes the loop when a pipe that was full takes bytes again (else the next serve finds out). */
void sink_file_wake(struct sink *sink, struct event_base *base);

#endif
