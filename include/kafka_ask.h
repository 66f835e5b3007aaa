/* Questions to the brokers that block until they are answered: is a topic there, does a cluster answer at
 * all.
 *
 * For the helper's thread and for commands that may wait; the loop never calls them. */
#ifndef MILLRACE_KAFKA_ASK_H
#define MILLRACE_KAFKA_ASK_H

#include "err.h"
#include "kafka.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known of a topic. */
enum kafka_topic_state {
	KAFKA_TOPIC_THERE,
	KAFKA_TOPIC_UNKNOWN, /* no answer in time, or one that a later one may correct */
	KAFKA_TOPIC_ABSENT,  /* it does not exist, or its name cannot be one */
	KAFKA_TOPIC_DENIED,  /* this client may not see it */
};

struct kafka_topic {
	enum kafka_topic_state state;
	int32_t partitions; /* THERE */
	int code;           /* librdkafka's, for what is not THERE */
};

/* Asks for one topic's metadata, and never makes it. */
struct kafka_topic kafka_ask_topic(struct rd_kafka_s *client, const char *name, int timeout_ms);

enum { KAFKA_CLUSTER_SIZE = 64 };
/* The cluster's id; "" when no broker says it in time, or they are older than 0.10.1. */
void kafka_ask_cluster(struct rd_kafka_s *client, int timeout_ms, char id[KAFKA_CLUSTER_SIZE]);

/* Connects as the settings say (TLS and SASL included) and asks for each of the topics; false when no broker
 * answered in time: err says what stood in the way, as the client met it. Answers `count` topics else. */
bool kafka_ping(const struct kafka_settings *settings, const char *const *names, struct kafka_topic *topics,
        size_t count, int timeout_ms, struct err *err);

#endif
