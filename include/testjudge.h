/* Whether a run of a test came out as the test expects, and what is different where it did not. */
#ifndef MILLRACE_TESTJUDGE_H
#define MILLRACE_TESTJUDGE_H

#include "testrun.h"

/* One thing that is not as expected. */
struct testfault {
	unsigned line; /* of the expectation in the test file */
	char *text;    /* a sentence; then lines that begin with "- " (expected) and "+ " (found), if any */
};

struct testverdicts {
	struct testfault *faults;
	size_t count;
	bool accepted; /* a golden file was written anew */
};

enum testgolden { GOLDEN_COMPARE, GOLDEN_ACCEPT };

/* With GOLDEN_ACCEPT a golden file that is absent or different is written. */
void testjudge(const struct testcase *test, const struct testrun *run, enum testgolden golden,
        struct testverdicts *verdicts);
void testjudge_free(struct testverdicts *verdicts);

#endif
