/* The embedded broker of `millrace demo`: librdkafka's mock cluster, with its events put in and taken out.
 *
 * It keeps 5 MB per partition and forgets everything at its end: enough for a demonstration, never for data.
 */
#ifndef MILLRACE_MOCKBROKER_H
#define MILLRACE_MOCKBROKER_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

struct mockbroker;

/* topics: NULL-terminated. Partitions of each. */
struct mockbroker *mockbroker_start(const char *const *topics, int partitions, struct err *err);
const char *mockbroker_servers(const struct mockbroker *broker);
/* Queues one message without a key; waits when the queue is full. */
bool mockbroker_put(struct mockbroker *broker, const char *topic, const char *key, const void *value,
        size_t size, struct err *err);
/* Waits until everything put is stored. */
bool mockbroker_flush(struct mockbroker *broker, struct err *err);

typedef void mockbroker_seen(void *context, const char *topic, const char *value, size_t size);
/* Calls `seen` for messages that appeared in these topics since the last call; waits at most wait_ms for one.
 */
void mockbroker_watch(struct mockbroker *broker, const char *const *topics, int wait_ms,
        mockbroker_seen *seen, void *context);
void mockbroker_stop(struct mockbroker *broker);

#endif
