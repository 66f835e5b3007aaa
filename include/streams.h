/* What a platform knows about its streams, as MediaWiki's EventStreamConfig API tells it.
 *
 * https://www.mediawiki.org/wiki/Extension:EventStreamConfig: `action=streamconfigs&streams=a|b` answers for
 * each stream its topics (one per data centre's prefix), the title of its schema and the fields of its
 * messages' keys. The last good answer is kept in a file, so that a start does not depend on the API. */
#ifndef MILLRACE_STREAMS_H
#define MILLRACE_STREAMS_H

#include "buf.h"
#include "err.h"
#include "fetch.h"
#include "script.h"

#include <stdbool.h>
#include <stddef.h>

struct stream {
	char *name;
	char *schema_title; /* "mediawiki/page/change"; NULL = not told */
	char **topics;      /* "eqiad.mediawiki.page_change.v1", ... */
	size_t topic_count;
	struct key_field *key; /* message_key_fields, in their order; count 0 = none are told */
	size_t key_count;
};

struct streams {
	struct stream *items;
	size_t count;
};

struct streams_source {
	const char *uri;   /* of api.php */
	const char *cache; /* file of the last good answer; NULL = none */
	struct fetch_config fetch;
};

enum streams_outcome {
	STREAMS_FETCHED,
	STREAMS_CACHED, /* the API is away; err says why, and how old the answer is */
	STREAMS_UNKNOWN /* neither: err says why */
};

enum { STREAMS_NAMES_MAX = 250 /* of one question, by the API's own limit */ };

/* Blocks up to fetch.timeout_ms. Streams that the API does not know are not among the items; out is to be
 * freed in every case. A cached answer that lacks one of the names is none. */
enum streams_outcome streams_ask(const struct streams_source *source, const char *const *names, size_t count,
        struct streams *out, struct err *err);
const struct stream *streams_find(const struct streams *streams, const char *name); /* or NULL */
void streams_free(struct streams *streams);

/* The question's URL. */
void streams_url(const char *uri, const char *const *names, size_t count, struct buf *out);
/* Reads an answer. False: err says what is wrong with it. */
bool streams_parse(const char *text, size_t size, struct streams *out, struct err *err);

#endif
