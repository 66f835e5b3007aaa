/* A client that speaks about the job's consumer group and does not join it, for the verbs that look on from
 * outside. */
#ifndef MILLRACE_COMMAND_GROUP_H
#define MILLRACE_COMMAND_GROUP_H

#include "config.h"
#include "err.h"

#include <stdbool.h>

struct rd_kafka_s;

/* Tries the brokers, then opens the client; NULL and err with *code EXIT_UNREACHABLE or EXIT_CONFIG. Blocks.
 */
struct rd_kafka_s *command_group_open(const struct config *config, int *code, struct err *err);
/* The same on the cluster that these properties name, such as a sink's. */
struct rd_kafka_s *command_group_open_at(const struct config *config, const struct kafka_property *properties,
        size_t count, int *code, struct err *err);
void command_group_close(struct rd_kafka_s *client);

#endif
