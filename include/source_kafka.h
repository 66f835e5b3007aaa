/* The insides of the Kafka source, for its five files and nobody else.
 *
 * source_kafka.c: the client, its events, messages at the door, the verbs of source.h. source_group.c: which
 * partitions are ours, from where and until when. source_commit.c: commits of what is finished.
 * source_files.c: its checkpoint files, which go before. source_topics.c: whether the topics are there. All
 * of it runs on the loop; only what a task does (inquiry.h, destroying a client) runs on the helper's thread.
 */
#ifndef MILLRACE_SOURCE_KAFKA_H
#define MILLRACE_SOURCE_KAFKA_H

#include "inquiry.h"
#include "kafka.h"
#include "kafka_ask.h"
#include "source.h"

#include <librdkafka/rdkafka.h>

enum {
	SOURCE_SETTLE_MS = 1000, /* how long a revoked partition's sent outputs may be acknowledged, and an
	                            older commit answered, when the drain's time is up */
	SOURCE_LAST_COMMIT_MS = 2000, /* how long a rebalance or the end waits for the final commit */
	SOURCE_COMMIT_AGAIN_MS = 100, /* a final commit that failed is tried again so often */
	SOURCE_REBALANCE_MS = 60000,  /* commits rest between revoke and assign, at most this long */
};

/* One period of owning a partition. */
struct owned {
	struct partition partition; /* what the handlers see */
	int32_t topic_partitions;   /* of the lineage's metadata */
	uint64_t finished;          /* offsets_finished as of the last commit that succeeded */
	bool filed;                 /* it has a checkpoint file, which says: */
	int64_t filed_offset;
	uint64_t filed_finished;
	bool committing_first; /* its new lineage or end is not committed yet: nothing is taken */
	bool asking;           /* the broker refused its position; an inquiry is on its way */
	int64_t ask_at;        /* when to ask again; 0 = not */
	int64_t forward_until; /* its queue is forwarded again until then: see source_forward_again */
};

/* How far a revoke has come; each step has a deadline of its own. */
enum revoke_step {
	REVOKE_DRAINING,   /* open records may end */
	REVOKE_SETTLING,   /* what was sent may be acknowledged, what is being written or committed may end */
	REVOKE_COMMITTING, /* the final commit */
};

/* A rebalance that librdkafka waits to be answered. */
struct rebalance {
	rd_kafka_topic_partition_list_t *list; /* NULL = none */
	uint64_t number;
	bool assign;
	enum revoke_step step;
	int64_t deadline;  /* revoke: of the step. assign: when to ask again, 0 = being asked */
	int64_t commit_at; /* revoke: when the final commit is sent or tried again */
	int64_t backoff;   /* assign: after the next failure; 0 = none failed yet */
};

struct commit_entry {
	uint64_t assignment, finished;
	int64_t offset;
};

/* The commit that is on its way; one at a time, or a retried one could undo a later one. */
struct commit {
	struct commit_entry *entries;
	size_t count; /* 0 = none is on its way */
	uintptr_t number;
	int64_t since;
	rd_kafka_topic_partition_list_t *waiting; /* for its files; NULL = it was sent */
};

/* The checkpoint files that are being written. */
struct filing {
	struct commit_entry *entries;
	size_t count; /* 0 = none are */
};

/* A configured topic, as the brokers last told of it. */
struct source_topic {
	char trouble[320]; /* why it cannot be read, for people; "" = it can, or nothing is known yet */
	bool awaited;      /* it was not there once: when it comes it is read from its beginning */
	int64_t denied;    /* reading it was denied then, and nothing of it came since; 0 = not */
	int64_t said;      /* when the log told of it last */
};

enum source_stage {
	SOURCE_OPEN,
	SOURCE_STOPPED,     /* takes nothing more */
	SOURCE_LAST_COMMIT, /* closing: */
	SOURCE_LEAVING,
	SOURCE_DESTROYING,
	SOURCE_CLOSED,
};

struct kafka_source {
	struct source source;
	const struct source_config *config;
	struct helper *helper;
	struct metrics *metrics;
	char *client_id;
	struct kafka_health health;
	rd_kafka_t *client;
	rd_kafka_queue_t *events;   /* rebalances, commits, errors, logs: always polled */
	rd_kafka_queue_t *messages; /* every partition's queue is forwarded to it; read while there is room */
	rd_kafka_queue_t *leaving;  /* takes the events' place while the group is left */
	struct kafka_wake wake;
	struct event *timer;  /* makes the loop turn; the work is done in pump and close */
	struct list gone;     /* periods given up whose records still live */
	struct list tasks;    /* with the helper */
	struct owned *latest; /* whose message came last, or NULL */
	struct rebalance rebalance;
	struct commit commit;
	struct filing filing;
	uint64_t numbers;      /* given to assignments, rebalances and commits so far */
	int64_t resting_until; /* no periodic commit before: between revoke and assign */
	int64_t ticked, stage_deadline;
	int64_t commit_sent;   /* when the last commit was sent, whatever became of it */
	bool not_a_member;     /* the group refused the last commit for that reason: no use to try again */
	int64_t fatal_at;      /* when the last fatal error came; 0 = never */
	size_t metadata_limit; /* bytes of a commit's metadata that the broker takes */
	struct source_topic *topics; /* as configured */
	int64_t topics_ask_at;       /* when the brokers are asked for them; 0 = not */
	bool topics_asked;           /* their answer is awaited */
	bool joined;                 /* a first assignment came */
	bool rejoining; /* the last rebalance took partitions away: what is ours now is said by the next */
	bool kept_out;  /* the group refuses this member; until the next assignment */
	bool failed;    /* for good */
	enum source_stage stage;
};

/* A job of the helper's that may outlive its source: an inquiry, a question for the topics, or, with neither,
 * the client's end. */
struct source_task {
	struct kafka_source *owner; /* NULL = the source is gone */
	rd_kafka_t *client;
	struct inquiry *inquiry;    /* owned */
	uint64_t rebalance;         /* which rebalance the inquiry is for; 0 = for one refused position */
	struct kafka_topic *topics; /* owned; the answers, one for each configured topic */
	char **names;               /* of the topics; borrowed */
	size_t name_count;
	struct list_node node;
};

/* Takes the task; `done` frees it with source_task_free unless it is late. */
void source_task_submit(struct source_task *task, const char *name, int64_t deadline_ms,
        void (*done)(void *context, bool late));
void source_task_free(void *context);

/* The topics: an error of librdkafka's, about one of them or about any (NULL); a message of one; the time. */
void source_topics_heard(struct kafka_source *self, const char *name, rd_kafka_resp_err_t code);
void source_topics_read(struct kafka_source *self, const char *name);
void source_topics_tick(struct kafka_source *self, int64_t now);
bool source_topics_awaited(const struct kafka_source *self, const char *name);
const char *source_topics_trouble(const struct kafka_source *self, size_t n);

struct owned *source_find(struct kafka_source *self, const char *topic, int32_t id);
struct owned *source_find_assignment(struct kafka_source *self, uint64_t assignment);
void source_end_all(struct kafka_source *self, bool lost);  /* gives every partition up */
void source_free_gone(struct kafka_source *self, bool all); /* those without records, or all */
void source_begin_reading(struct kafka_source *self, struct owned *owned);
/* Forwards the queue of a partition that was given up and taken again at once. librdkafka ends the old
 * fetching at a time of its own, and takes the forwarding away with it: messages would lie in the partition's
 * own queue for ever. */
void source_forward_again(struct kafka_source *self, struct owned *owned, int64_t now);
void source_rebalance(struct kafka_source *self, rd_kafka_event_t *event);
void source_serve_rebalance(struct kafka_source *self, int64_t now);
/* Logs and destroys the error; false when there was none. */
bool source_complain(const char *what, rd_kafka_error_t *error);
void source_drop_rebalance(struct kafka_source *self); /* it will not be answered any more; none is fine */
/* The broker refused the partition's position: asks where to go on. */
void source_ask_again(struct kafka_source *self, struct owned *owned);

bool source_wants_commit(const struct owned *owned);
/* Commits what has moved, of all partitions or of those that drain; nothing of an assignment that was lost.
 * False when nothing is on its way now. */
bool source_send_commit(struct kafka_source *self, bool draining_only);
void source_serve_commit(struct kafka_source *self, rd_kafka_event_t *event);
void source_forget_commit(struct kafka_source *self);
/* Where the partition stands now; room for POSITION_RANGES_MAX ranges is the caller's. */
struct position source_position(const struct owned *owned, struct range *ranges);
/* Sends the commit that waited for its files, when they are written or have had their time. */
void source_serve_waiting(struct kafka_source *self, int64_t now);

/* Begins to write the files of what has moved; false when nothing is written. */
bool source_write_files(struct kafka_source *self, bool draining_only);
bool source_files_written(struct kafka_source *self); /* or not written: nothing is on its way any more */
void source_forget_files(struct kafka_source *self);

static inline struct owned *source_owned(struct list_node *node)
{
	return container_of(node, struct owned, partition.node);
}

#endif
