/* Recorded exchanges: a folder of files that a person can read, each with one question and its answers.
 *
 *   {
 *     "request": {"method": "GET", "upstream": "mediawiki", "host": "en.wikipedia.org", "path": "",
 *                 "query": {"revids": "977"}, "merge": "revids", "headers": {}, "body": ...},
 *     "answers": [{"status": 200, "headers": {}, "json": ..., "elapsed": 0.12}, {"fault": "timeout"}]
 *   }
 *
 * `path` is what the script appended to the upstream's URL, so a cassette fits any URL; a value of `query` is
 * a text, or a list where the parameter stands there several times; the request's `body` is JSON or a text,
 * or it has `base64`. An answer has `json`, `body` (text) or `base64`, or no body; `fault` is one of
 * http_failure_name. Answers come in their order, the last one again and again. `events.jsonl` beside them
 * holds the events.
 *
 * A question is answered by the recorded one with the same upstream, method, host, path, query and body;
 * headers do not count. Of the parameter that `merge` names, the recorded question needs only to hold all
 * values that are asked for; where several do, the one with the fewest answers: a call that failed or left
 * some out was asked again in smaller ones. What may be secret is written as "(redacted)", and that is equal
 * to anything. */
#ifndef MILLRACE_CASSETTE_H
#define MILLRACE_CASSETTE_H

#include "buf.h"
#include "err.h"
#include "http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CASSETTE_EVENTS "events.jsonl"
#define CASSETTE_REDACTED "(redacted)"

enum { CASSETTE_FILE_MAX = 256 << 20, CASSETTE_FILES_MAX = 100000 };

struct cassette;
struct cassette_writer;

/* What a call asked, as it is matched: made from a transfer. */
struct cassette_question {
	const char *upstream, *method;
	char *host;  /* NULL = none named */
	char *path;  /* behind the upstream's URL, without the query */
	char *query; /* as it was sent; "" = none */
	const char *body;
	size_t body_size;
};
void cassette_question(const struct http_transfer *transfer, struct cassette_question *question);
void cassette_question_free(struct cassette_question *question);
/* "GET en.wikipedia.org /w/api.php?revids=977", for people; secrets left out. */
void cassette_describe(const struct cassette_question *question, struct buf *out);
/* Is this the name of a header, a parameter or a member whose value is nobody's business? */
bool cassette_secret(const char *name, size_t size);

/* ---- reading ---- */

/* Reads every *.json of the folder. NULL and err (file, what is wrong in it, at which byte). */
struct cassette *cassette_open(const char *folder, struct err *err);
void cassette_close(struct cassette *cassette); /* NULL is fine */
size_t cassette_count(const struct cassette *cassette);
/* The upstreams that recorded questions name, each once, at most so many; the caller frees them. */
size_t cassette_upstreams(const struct cassette *cassette, char **names, size_t most);
/* Name of the file that answers the question; NULL = none does. */
const char *cassette_find(struct cassette *cassette, const struct cassette_question *question);
/* Answers the transfer as http_player.play does: fills it and tells after how many ms the answer comes
 * (`timed`: what it took when it was recorded, else 0). -1 when nothing recorded fits; `why` then gets the
 * question and the nearest recorded one. file (may be NULL) gets the name of the file that answered. */
int64_t cassette_play(struct cassette *cassette, struct http_transfer *transfer, bool timed,
        const char **file, struct buf *why);
/* The same answer from the beginning for whoever comes next. */
void cassette_rewind(struct cassette *cassette);

/* ---- writing ---- */

/* Makes the folder where there is none. NULL and err: it cannot be made or written, or holds files that are
 * no cassette's. A question that is recorded there already keeps its file, which is replaced. */
struct cassette_writer *cassette_record(const char *folder, struct err *err);
/* Notes a call that is over. `merge`: the parameter whose values may be joined, NULL = none. False and err.
 */
bool cassette_note(struct cassette_writer *writer, const struct http_transfer *transfer, const char *merge,
        struct err *err);
/* Adds an event, a line of its own (line ends within become spaces). */
bool cassette_event(struct cassette_writer *writer, const char *text, size_t size, struct err *err);
size_t cassette_written(const struct cassette_writer *writer); /* files of exchanges */
void cassette_finish(struct cassette_writer *writer);          /* NULL is fine */

#endif
