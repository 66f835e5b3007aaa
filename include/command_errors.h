/* The insides of `millrace errors`, for its files and nobody else.
 *
 * command_errors.c: the options, and how the error stream is read. command_errors_list.c: a table of it.
 * command_errors_show.c: one event and its original. command_errors_plan.c: where a replay begins and ends.
 * command_errors_replay.c: the replay. */
#ifndef MILLRACE_COMMAND_ERRORS_H
#define MILLRACE_COMMAND_ERRORS_H

#include "command.h"
#include "errorevent.h"
#include "errorpick.h"
#include "inquiry.h"
#include "topicreader.h"

#include <stdbool.h>
#include <stdint.h>

struct errors_options {
	const char *config, *from, *until, *group;
	const char *place; /* show: TOPIC/PARTITION/OFFSET */
	struct errorfilter filter;
	double rate; /* replay: originals per second; 0 = no limit */
	size_t most; /* list: rows; 0 = all */
	bool json, dry_run;
	struct command_log log;
};

/* The job as `errors` sees it. */
struct errors_job {
	const struct errors_options *options;
	const struct config *config;
	/* A consumer's properties for the cluster of the error stream, and of the source, less the static
	 * member's name: nobody may speak for the job's own members. Borrowed from config. */
	struct kafka_property *stream_kafka, *source_kafka;
	size_t stream_kafka_count, source_kafka_count;
};

/* Each answers an exit code. */
int errors_list(const struct errors_job *job);
int errors_show(const struct errors_job *job);
int errors_replay(const struct errors_job *job);

/* A client of that group (NULL: the job's) that has not joined it, on the cluster of the error stream, or of
 * the source; NULL after it was told why not, with *code. */
struct rd_kafka_s *errors_open_stream(const struct errors_job *job, const char *group, int *code);
struct rd_kafka_s *errors_open_source(const struct errors_job *job, int *code);
/* Tells on stderr why brokers did not do something; answers the exit code. */
int errors_complain(bool refused, const struct err *err);
/* Reads the error stream by the times of the options; the rest of the reader is the caller's. */
int errors_read(const struct errors_job *job, struct topicreader *reader);
/* Appends the bytes as text for a terminal's line: control characters and what is not UTF-8 as spaces and
 * U+FFFD, cut after `most` characters with "...". */
void errors_line(struct buf *out, struct bytes text, size_t most);

/* ---- where a replay begins and ends ---- */

struct errors_place {
	char *topic;
	int32_t partition;
	int64_t until;
	struct position start; /* its ranges are owned */
};

struct errors_plan {
	char *group;
	bool selected; /* only some are meant: the group keeps nothing for the next run, which begins anew */
	struct source_config source; /* the error stream as a source; borrows from the plan and the job */
	struct errors_place *places;
	size_t count;
	int64_t left; /* offsets between the starts and the ends */
};

/* What needs no broker: the names. */
void errors_plan_init(struct errors_plan *plan, const struct errors_job *job);
/* Asks the brokers; changes nothing. EXIT_SUCCESS, or told why not. */
int errors_plan_make(struct errors_plan *plan, const struct errors_job *job, struct rd_kafka_s *client);
/* Makes the plan the positions of its group, unless a replay runs already. The client's group is the plan's.
 */
int errors_plan_commit(struct errors_plan *plan, const struct errors_job *job, struct rd_kafka_s *client);
void errors_plan_free(struct errors_plan *plan);
/* Whether the offset is one that the plan reads; `low` and `high` are cut to what it reads. */
void errors_plan_bounds(const struct errors_plan *plan, int32_t partition, int64_t *low, int64_t *high);
bool errors_plan_finished(const struct errors_plan *plan, int32_t partition, int64_t offset);

#endif
