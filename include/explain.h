/* The codes of what people are told is wrong, and a page about each: `millrace explain M201`.
 *
 * A code is stable: it is never given to something else. M1xx configuration, M2xx scripts, M3xx schemas, M4xx
 * tests and cassettes, M5xx lookups, M6xx events and outputs. They are for people and their tools: no metric
 * has them as a label, and the `error_type` of an error event stays what script.h and dispatch.h say. */
#ifndef MILLRACE_EXPLAIN_H
#define MILLRACE_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

/* clang-format off */
#define EXPLAIN_CODES(X) \
	X(100, FILE, ERROR) \
	X(101, UNKNOWN_KEY, ERROR) \
	X(102, YAML, ERROR) \
	X(103, KEY_MISSING, ERROR) \
	X(104, KEYS_EXCLUDE, ERROR) \
	X(105, VALUE, ERROR) \
	X(106, NO_SUCH_FILE, ERROR) \
	X(107, VARIABLE, ERROR) \
	X(108, NAME, ERROR) \
	X(109, KAFKA_PROPERTY, ERROR) \
	X(110, HOSTS, ERROR) \
	X(111, MEMORY, ERROR) \
	X(112, STREAM, ERROR) \
	X(131, KAFKA_DOUBT, WARNING) \
	X(132, USER_AGENT, WARNING) \
	X(133, TLS_UNUSED, WARNING) \
	X(134, MEMORY_TIGHT, WARNING) \
	X(135, NO_UPSTREAM, WARNING) \
	X(136, STREAM_DOUBT, WARNING) \
	X(200, SCRIPT, ERROR) \
	X(201, INDEX, ERROR) \
	X(202, CALL, ERROR) \
	X(203, ARITHMETIC, ERROR) \
	X(204, CONCATENATE, ERROR) \
	X(205, COMPARE, ERROR) \
	X(206, ARGUMENT, ERROR) \
	X(207, GLOBAL, ERROR) \
	X(210, SYNTAX, ERROR) \
	X(211, MODULE, ERROR) \
	X(212, SHAPE, ERROR) \
	X(213, SELFTEST, ERROR) \
	X(220, NO_ANSWER, ERROR) \
	X(221, ANSWER, ERROR) \
	X(222, REQUEST, ERROR) \
	X(223, IDENTIFIER, ERROR) \
	X(224, OUTPUT, ERROR) \
	X(225, FETCH, ERROR) \
	X(230, TIME, ERROR) \
	X(231, HEAP, ERROR) \
	X(232, CRASH, ERROR) \
	X(240, FAILED, ERROR) \
	X(241, RETRIED, ERROR) \
	X(301, INPUT_SCHEMA, ERROR) \
	X(302, OUTPUT_SCHEMA, ERROR) \
	X(303, UNKNOWN_SCHEMA, ERROR) \
	X(304, PINNED_SCHEMA, ERROR) \
	X(331, NO_SCHEMAS, WARNING) \
	X(332, ERROR_SCHEMA, WARNING) \
	X(401, TEST_FILE, ERROR) \
	X(501, HTTP_STATUS, ERROR) \
	X(502, HTTP_TIMEOUT, ERROR) \
	X(503, HTTP_TRANSPORT, ERROR) \
	X(504, HTTP_UNPARSABLE, ERROR) \
	X(505, HTTP_INVALID, ERROR) \
	X(506, ANSWER_TOO_LARGE, ERROR) \
	X(507, HOST_UNAVAILABLE, ERROR) \
	X(601, POISON, ERROR) \
	X(602, OUTPUT_TOO_LARGE, ERROR) \
	X(603, OUTPUT_REFUSED, ERROR) \
	X(604, OUTPUT_INVALID, ERROR)
/* clang-format on */

enum code {
	M000_NONE, /* said without a code */
#define EXPLAIN_ENUM(number, name, severity) M##number##_##name,
	EXPLAIN_CODES(EXPLAIN_ENUM)
#undef EXPLAIN_ENUM
	        EXPLAIN_COUNT
};

struct explain_page {
	const char *title;   /* what is wrong, in a few words */
	const char *type;    /* the failure type that it has in metrics and error events; NULL = none */
	const char *meaning; /* a paragraph */
	const char *causes;  /* the common ones, one a line */
	const char *before, *after; /* an example; NULL = none */
	const char *todo;           /* what to do, a paragraph */
};

const char *explain_code(enum code code); /* "M101"; "" for none */
enum severity explain_severity(enum code code);
const struct explain_page *explain_page(enum code code); /* NULL for none */
/* "M101", "m101" or "101"; M000_NONE when there is no such code. */
enum code explain_find(const char *text);
/* The code that stands for a failure type as a whole, such as "HttpStatus"; M240_FAILED for types of a
 * script's own. */
enum code explain_type(const char *type);

#endif
