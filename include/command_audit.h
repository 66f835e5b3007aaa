/* What the two halves of `millrace audit` share. */
#ifndef MILLRACE_COMMAND_AUDIT_H
#define MILLRACE_COMMAND_AUDIT_H

#include "config.h"
#include "topicreader.h"

#include <stdbool.h>
#include <stdint.h>

struct audit_options {
	const char *config, *from, *until, *out;
	const char *compare[2]; /* OLD, NEW; NULL = inputs against outputs */
	const char *by, *ignore;
	bool json;
};

/* A client that reads only, on the cluster of these properties; NULL after it was told why not, with *code.
 */
struct rd_kafka_s *audit_open(
        const struct config *config, const struct kafka_property *properties, size_t count, int *code);
/* from and until of the options; the rest is the caller's. */
void audit_range(const struct audit_options *options, struct topicreader *reader);
/* Tells on stderr why a topic could not be read; answers the exit code. */
int audit_complain(bool refused, const struct err *err);
int audit_compare(const struct audit_options *options, const struct config *config);

#endif
