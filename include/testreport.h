/* What is told of tests that ran: for people, as TAP, as JSON lines, as JUnit's XML.
 *
 * TAP: https://testanything.org/tap-version-13-specification.html. JUnit: the elements that CI systems read,
 * testsuites > testsuite > testcase > failure. */
#ifndef MILLRACE_TESTREPORT_H
#define MILLRACE_TESTREPORT_H

#include "testjudge.h"

#include <stdio.h>

enum testformat { TESTFORMAT_TEXT, TESTFORMAT_TAP, TESTFORMAT_JSON };

struct testreport {
	enum testformat format;
	bool colour;
	unsigned passed, failed, skipped;
	struct buf junit; /* its testsuite elements, where asked for */
	bool wants_junit;
	bool quiet; /* only what failed; but TAP and JUnit stay whole, as their readers count */
};

/* Before the tests of a file, and after them. */
void testreport_file(struct testreport *report, const struct testfile *file);
void testreport_file_end(struct testreport *report);
void testreport_test(struct testreport *report, const struct testfile *file, const struct testcase *test,
        const struct testrun *run, const struct testverdicts *verdicts);
/* The last line: "14 passed, 1 failed". */
void testreport_end(struct testreport *report);
/* False with errno. */
bool testreport_junit(const struct testreport *report, const char *path);
void testreport_free(struct testreport *report);

#endif
