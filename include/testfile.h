/* Tests of a script as data: `x_test.yaml` beside `x.lua`, read and checked.
 *
 *   script: page_content_change.lua   # [the file's name without _test.yaml]
 *   clock: 2026-11-22T13:26:28Z       # when each test begins; it goes on as waits go by
 *   config: millrace.yaml             # a configuration; what stands here wins over it
 *   params: {missing: fail}           # millrace.params
 *   upstreams: [mediawiki, scores]    # names, or settings as in http.upstreams
 *   sinks: {content: {stream: x.v1}}  # as in the configuration [one sink, `output`, a topic]
 *   schemas: FOLDER                   # or a list of folders and URLs, or as in the configuration
 *   key, order, topic_prefix          # as in the configuration
 *   event: {...}                      # of every test that gives none
 *   answers: [...]                    # for every test, after its own
 *   tests:
 *     - name: adds the text
 *       event: {...}                  # or event_file: FILE or FILE:LINE, or events: [...]
 *       change: {...}                 # to the event: a JSON merge patch, RFC 7396
 *       params: {...}                 # added to those above
 *       clock: ...
 *       answers:
 *         - when: {upstream, method, host, path, query, headers, body}
 *           status: 200
 *           headers: {Retry-After: "5"}
 *           json: {...}               # or body: TEXT, or file: FILE
 *           delay: 2s
 *           fault: timeout            # in place of an answer: http_failure_name
 *           times: 1                  # then the next that fits [any number]
 *           optional: true            # it may go unused
 *       cassette: DIR                 # asked after the answers
 *       expect:                       # or a list of them, one per event
 *         output: {...}               # exactly this; or contains: {...}, without: [a.b], golden: FILE
 *         to, key, headers, schema    # of the only output
 *         outputs: [{value, contains, without, to, key, headers, schema}]
 *         passed: true                # or dropped: REASON, failed: TYPE or {type, message}
 *         calls: 1                    # repeated ones too
 *         requests: [{host, ...}]     # what was asked, in its order
 *
 * An event that is a text is sent as it is. Of `when` and of each of `requests` all that is given must fit.
 * Everything that is wrong in a file is told with line and column. */
#ifndef MILLRACE_TESTFILE_H
#define MILLRACE_TESTFILE_H

#include "buf.h"
#include "diagnostic.h"
#include "http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TESTFILE_EVENTS = 1000 }; /* most events of one test */

/* A value of the file, as JSON; text NULL = not given. */
struct testvalue {
	char *text;
	size_t size;
	unsigned line;
};

struct testanswer {
	unsigned line;
	struct testvalue when; /* an object */
	int status;            /* 0 with a fault */
	struct testvalue headers;
	char *body; /* NULL = none */
	size_t body_size;
	bool json; /* body is JSON */
	int64_t delay_ms;
	enum http_failure fault; /* HTTP_ANSWERED = none */
	unsigned times;          /* 0 = any number */
	bool optional;
	unsigned used; /* by the run at hand */
};

struct testoutput {
	unsigned line;
	struct testvalue value, contains, without, headers, to, key;
	struct testvalue schema; /* `true`, or the $schema it has */
};

enum testverdict { TEST_ANY, TEST_OUTPUT, TEST_PASSED, TEST_DROPPED, TEST_FAILED };

struct testexpect {
	unsigned line;
	enum testverdict verdict;
	unsigned verdict_line;
	char *type;    /* of dropped and failed; NULL = any */
	char *message; /* a part of it; NULL = any */
	struct testoutput *outputs;
	size_t output_count;
	bool counted; /* `outputs` was given: their number counts */
	char *golden; /* path; NULL = none */
	unsigned golden_line;
	long calls; /* -1 = any number */
	unsigned calls_line;
	struct testvalue requests; /* a list */
};

struct testcase {
	char *name;
	unsigned line;
	struct testvalue *events; /* each one line */
	size_t event_count;
	char *params; /* a JSON object, those of the file included */
	int64_t clock;
	struct testanswer *answers; /* its own, then those of the file */
	size_t answer_count;
	char *cassette;          /* path; NULL = none */
	struct testvalue change; /* applied to the events already */
	struct testexpect *expects;
	size_t expect_count; /* 1, or one per event; 0 = anything but a failure */
};

struct testfile {
	char *path;
	char *script; /* path */
	char *config; /* a configuration for the run, as YAML, but for script.params */
	struct testcase *tests;
	size_t count;
	char *source; /* the file's text, for excerpts */
	size_t source_size;
};

/* Never NULL, but not to be run where `found` has errors. */
struct testfile *testfile_load(const char *path, struct diagnostics *found);
void testfile_free(struct testfile *file); /* NULL is fine */

#endif
