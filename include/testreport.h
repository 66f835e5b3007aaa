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
	bool quiet; /* of those that passed people are told their number alone, and JSON nothing */
	unsigned passed, failed, skipped;
	unsigned errors;    /* files that cannot be read */
	struct buf junit;   /* its testsuite elements, where asked for */
	unsigned suite[2];  /* passed and failed before the file at hand */
	size_t suite_begin; /* where its element does */
	bool wants_junit;
};

/* Before the tests of a file, and after them. */
void testreport_file(struct testreport *report, const struct testfile *file);
void testreport_file_end(struct testreport *report);
/* In their place for a file whose tests cannot run. */
void testreport_broken(
        struct testreport *report, const struct testfile *file, const struct diagnostic *diagnostic);
void testreport_test(struct testreport *report, const struct testfile *file, const struct testcase *test,
        const struct testrun *run, const struct testverdicts *verdicts);
/* The last line: "14 passed, 1 failed". */
void testreport_end(struct testreport *report);
/* False with errno. */
bool testreport_junit(const struct testreport *report, const char *path);
void testreport_free(struct testreport *report);

#endif
