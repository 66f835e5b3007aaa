/* An error event read back: what failed and why, where the original stands, and the original where it is
 * whole.
 *
 * failure.h says what an error event holds. The headers are the original's, with these of ours among them:
 * `millrace-source: topic/partition/offset/n`, `millrace-raw: partial` when raw_event is not the original
 * verbatim, and `millrace-timestamp`, the original's Kafka timestamp in wall ms. Events of other programs
 * lack them. */
#ifndef MILLRACE_ERROREVENT_H
#define MILLRACE_ERROREVENT_H

#include "buf.h"
#include "jsontree.h"
#include "origin.h"
#include "output.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum errorevent_text {
	ERROREVENT_TYPE,
	ERROREVENT_MESSAGE,
	ERROREVENT_DOMAIN, /* meta.domain: the wiki */
	ERROREVENT_RAW,
	ERROREVENT_TEXTS
};

/* Borrows from the message and the reader until either is used again. */
struct errorevent {
	bool placed;                          /* it says which record it is about: */
	struct origin origin;                 /* that one */
	int64_t timestamp;                    /* the original's, wall ms; -1 = not said */
	bool partial;                         /* RAW is not the original, but a readable part of it at most */
	struct bytes texts[ERROREVENT_TEXTS]; /* data NULL = absent; without RAW and not partial: a null value
	                                       */
};

struct errorevent_reader {
	struct jsontree tree; /* of the event last read */
	struct buf rooms[ERROREVENT_TEXTS];
};

void errorevent_reader_init(struct errorevent_reader *reader);
void errorevent_reader_free(struct errorevent_reader *reader);
/* False when the value is no JSON object; then only what the headers say is set. */
bool errorevent_read(struct errorevent_reader *reader, struct bytes value,
        const struct output_header *headers, size_t count, struct errorevent *event);

/* The original's own headers, borrowed; the caller frees the array with mem_free. */
struct output_header *errorevent_original_headers(
        const struct output_header *headers, size_t count, size_t *own_count);
/* Whether a record may be the partial one's original: it begins like the readable part. */
bool errorevent_agrees(const struct errorevent *event, struct bytes value);

/* Which error events are meant. All that is given must hold; of several types one. */
enum { ERRORFILTER_TYPES = 16 };

struct errorfilter {
	const char *types[ERRORFILTER_TYPES]; /* names with * and ? for any text and any character */
	size_t type_count;
	const char *domain;                /* likewise; NULL = any */
	struct errorfilter_regex *message; /* part of the message; NULL = any. Owned */
};

/* An extended regular expression (POSIX). False and why when it is none. */
bool errorfilter_set_message(struct errorfilter *filter, const char *expression, char why[256]);
void errorfilter_free(struct errorfilter *filter);
bool errorfilter_any(const struct errorfilter *filter); /* it leaves something out */
bool errorfilter_takes(const struct errorfilter *filter, const struct errorevent *event);

#endif
