/* What both Kafka edges share: client configuration, a librdkafka queue that wakes the loop, errors in words.
 *
 * librdkafka's handles appear by their struct names only, so including this header needs no rdkafka.h. Every
 * property a user may set goes to librdkafka as it is, after our defaults; those that would break a promise
 * (what is committed, order, the memory bound) are refused with the reason. */
#ifndef MILLRACE_KAFKA_H
#define MILLRACE_KAFKA_H

#include "err.h"
#include "kafka_trust.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event;
struct event_base;
struct metrics;
struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s; /* an event */

enum kafka_client {
	KAFKA_CONSUMER,
	KAFKA_PRODUCER,
	KAFKA_ASKER, /* a member of no group that reads nothing and makes no topics: it only asks
	                (kafka_ask.h) */
};

struct kafka_property {
	char *name, *value;
	char *where; /* "file:line:col" for messages; NULL = a default of ours */
};

struct kafka_settings {
	const char *client_id;
	const char *group;  /* consumer: group.id */
	size_t queue_bytes; /* what librdkafka may hold: prefetch, or messages not yet acknowledged; 0 = 16
	                       MiB */
	size_t fetch_bytes; /* consumer: of one answer to a fetch; 0 = a third of queue_bytes */
	size_t max_bytes;   /* producer: the largest output; 0 = 10 MiB */
	const struct kafka_property *properties; /* the user's */
	size_t property_count;
};

/* Whether a client of this kind takes the property; err says why not, in librdkafka's words where it was
 * librdkafka, with a near miss where there is one. Contacts nobody. */
bool kafka_check_property(enum kafka_client client, const char *name, const char *value, struct err *err);
/* Whether a client can be made of all of them together: what contradicts, which file is missing. Contacts
 * nobody. */
bool kafka_check_client(enum kafka_client client, const struct kafka_settings *settings, struct err *err);

/* A running client whose logs, errors and statistics come as events (kafka_serve_common); NULL and err when
 * its properties do not go together. Let go of with kafka_destroy. */
struct rd_kafka_s *kafka_open(
        enum kafka_client client, const struct kafka_settings *settings, struct err *err);
/* Destroys a client on a thread of its own and waits for that at most `wait_ms`. */
void kafka_destroy(struct rd_kafka_s *client, int64_t wait_ms);

/* What speaks against a property that is taken, with the librdkafka that runs; NULL = nothing. */
const char *kafka_doubt(const char *name, const char *value);

/* How a group's members share partitions out: what the user set, or our default ("" or NULL). */
const char *kafka_assignor(const char *configured);

/* What a client's events say about it besides messages. */
struct kafka_health {
	const char *client; /* name for log and metrics: "source", a sink's name */
	struct metrics *metrics;
	bool connected;              /* a broker connection is up, by the statistics of the last second */
	char trouble[256];           /* the last error that was not fatal; "" = none yet */
	char told[KAFKA_TRUST_SIZE]; /* why a broker's certificate was refused last; "" = none was */
	char fatal[256];             /* why the client cannot go on; "" = it can */
	int fatal_code;              /* librdkafka's; 0 = none */
};
/* Serves logs, statistics and errors; false when the event is none of these (it stays the caller's). */
bool kafka_serve_common(struct kafka_health *health, struct rd_kafka_s *client, struct rd_kafka_op_s *event);
/* Whether an error is the brokers' answer no (no such topic, not allowed), which waiting does not change;
 * else they were silent, or busy for the moment. */
bool kafka_refused(int code);
/* Counts an error in millrace_kafka_errors_total. */
void kafka_count_error(const struct kafka_health *health, int code);
/* What a person can do about an error, to follow librdkafka's own words: "; ..."; "" where time alone helps.
 */
const char *kafka_advice(int code);
/* Errors of credentials and rights: somebody has to give them (back), and no new client can. */
bool kafka_is_refused_access(int code);

/* Wakes the loop when a queue that was read until it was empty gets something. It says so once only: whoever
 * is woken reads until NULL or remembers that there is more, and looks once a second all the same. */
struct kafka_wake {
	struct event *event;
	int fd;
	void (*woken)(void *context); /* NULL = the turn of the loop is enough */
	void *context;
};
bool kafka_wake_open(struct kafka_wake *wake, struct event_base *base, void (*woken)(void *context),
        void *context, struct err *err);
void kafka_wake_add(struct kafka_wake *wake, struct rd_kafka_queue_s *queue);
void kafka_wake_remove(struct rd_kafka_queue_s *queue); /* before the queue or the wake is given up */
void kafka_wake_close(struct kafka_wake *wake);

#endif
