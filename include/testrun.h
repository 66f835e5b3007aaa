/* One test of a script, run: its events through the real worker, with answers that are played and a time that
 * is invented. */
#ifndef MILLRACE_TESTRUN_H
#define MILLRACE_TESTRUN_H

#include "buf.h"
#include "record.h"
#include "testfile.h"

#include <stdbool.h>
#include <stddef.h>

struct testrun_output {
	char *to, *value, *key; /* value NULL = a tombstone, key NULL = none */
	size_t value_size, key_size;
	struct output_header *headers;
	size_t header_count;
	bool checked; /* it was held against its schema */
};

/* How an event ended. */
struct testrun_event {
	bool ended;
	enum outcome outcome;
	char *reason; /* of dropped and failed */
	char *message, *stack;
	struct testrun_output *outputs;
	size_t output_count;
	struct buf requests; /* JSON objects behind each other, with commas: {"upstream", "method", "host",
	                        "path", ... */
	unsigned calls;
};

struct testrun {
	const char *script; /* path; the test file's */
	const struct testcase *test;
	struct testrun_event *events;
	size_t count;
	struct buf problems; /* lines: questions that nothing answered, why it did not run */
	bool broken;         /* the script does not load, or the settings are no good */
	struct buf log;      /* the last lines that were logged */
	double seconds;      /* of real time */
};

/* Runs a test. What went wrong besides the events' ends stands in `problems`. */
void testrun_run(const struct testfile *file, struct testcase *test, struct testrun *run);
void testrun_free(struct testrun *run);
/* A question as a test gives it, as it is compared: numbers and booleans of `query` and `headers` stand for
 * their texts, names of headers for those in lower case. The caller frees. */
char *testrun_question(const struct testvalue *when);
/* Does what is given in `expected` stand in `actual`? Objects by their members, lists and scalars as a whole.
 * False: `where` gets the path of the first that does not. */
bool testrun_contains(const char *expected, size_t expected_size, const char *actual, size_t actual_size,
        struct buf *where);

#endif
