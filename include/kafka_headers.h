/* The headers of a message as the engine has them, without a copy. */
#ifndef MILLRACE_KAFKA_HEADERS_H
#define MILLRACE_KAFKA_HEADERS_H

#include "output.h"

#include <stddef.h>

struct rd_kafka_message_s;

struct kafka_headers {
	struct output_header few[64]; /* what suffices for almost every message */
	struct output_header *items;  /* few, or memory of its own; names and values are the message's */
	size_t count;
};

/* Valid as long as the message is; frees with kafka_headers_free. */
void kafka_headers_borrow(struct kafka_headers *headers, const struct rd_kafka_message_s *message);
void kafka_headers_free(struct kafka_headers *headers);

#endif
