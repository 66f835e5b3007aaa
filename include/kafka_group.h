/* A consumer group seen from outside: who is in it, and positions set by hand. Both block.
 *
 * The client is one that has not joined the group; its group.id is the group's. Brokers refuse a commit from
 * outside while the group has members (UNKNOWN_MEMBER_ID), so somebody who joins in between is not harmed. */
#ifndef MILLRACE_KAFKA_GROUP_H
#define MILLRACE_KAFKA_GROUP_H

#include "err.h"
#include "positions.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd_kafka_s;

enum kafka_answer {
	KAFKA_YES,
	KAFKA_NO,     /* the brokers refused */
	KAFKA_SILENT, /* they did not answer in time */
};

struct kafka_members {
	char **names; /* "CLIENT-ID at HOST (MEMBER-ID)", one each */
	size_t count;
};

/* The members of the group; a group that is not there has none. Free with kafka_members_free whatever is
 * answered. */
enum kafka_answer kafka_group_members(struct rd_kafka_s *client, const char *group, int timeout_ms,
        struct kafka_members *members, struct err *err);
void kafka_members_free(struct kafka_members *members);

struct kafka_place {
	const char *topic;
	int32_t partition;
	const struct position *position; /* lineage and all: what positions_encode writes */
	bool done;                       /* answer: the broker took it */
};

/* Commits the positions; err names the first that was refused, others may be done all the same. A broker
 * that takes less metadata than POSITION_METADATA_MAX gets fewer ranges. */
enum kafka_answer kafka_group_commit(
        struct rd_kafka_s *client, struct kafka_place *places, size_t count, int timeout_ms, struct err *err);

#endif
