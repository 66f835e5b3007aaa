/* The trace that a record belongs to goes on with its calls (W3C Trace Context,
 * https://www.w3.org/TR/trace-context/).
 *
 * `traceparent` and `tracestate` of the record's Kafka headers become headers of its requests, unless the
 * script sets them. What is not well-formed is left out: a header that somebody else wrote must not fail a
 * record. */
#ifndef MILLRACE_TRACE_H
#define MILLRACE_TRACE_H

#include "output.h"
#include "request.h"

void trace_pass(const struct output_header *headers, size_t count, struct request *request);

#endif
