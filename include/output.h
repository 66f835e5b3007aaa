/* One message on its way to a sink: owned by its record until the record is settled, so it can be sent again.
 */
#ifndef MILLRACE_OUTPUT_H
#define MILLRACE_OUTPUT_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A Kafka header: a name and bytes. */
struct output_header {
	char *name;
	char *value; /* NULL = null header */
	size_t size;
};

enum output_state {
	OUTPUT_MADE,    /* not with the sink */
	OUTPUT_SENT,    /* the sink has it; a delivery report will come */
	OUTPUT_ACKED,   /* acknowledged by the broker */
	OUTPUT_REFUSED, /* never will be: too large or invalid; error says why */
	OUTPUT_FAILED,  /* not delivered; to be sent again */
};

struct output {
	size_t sink; /* index into the configured sinks; the error stream is the last one */
	char *value; /* NULL = tombstone */
	size_t value_size;
	char *key; /* NULL = no key */
	size_t key_size;
	bool has_key; /* key was decided (NULL too); else it is the lane's, or the record's own */
	size_t id_at; /* where meta.id stands in value; 0 = not stamped */
	struct output_header *headers; /* millrace-source included */
	size_t header_count;
	int64_t timestamp; /* ms since the epoch; Kafka's */
	enum output_state state;
	char *error;  /* why refused or failed; NULL else */
	void *record; /* whose it is: set by the pipeline, for the delivery report */
};

void output_free(struct output *output); /* frees what it owns and zeroes it */
void output_headers_free(struct output_header *headers, size_t count);
/* Replaces or adds a header; copies name and value. */
void output_set_header(struct output *output, const char *name, const char *value, size_t size);
struct output_header *output_headers_copy(const struct output_header *headers, size_t count);
/* Key, value and headers, and what a broker's record format adds at most: compared with a sink's max_bytes.
 */
size_t output_bytes(const struct output *output);

#endif
