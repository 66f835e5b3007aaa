/* The user's Lua script: one sandboxed state, its hooks, their limits. The only file that runs hooks.
 *
 * A script_event is one record's life inside one state: it holds a reference to the state it began on and
 * ends on it, whatever is loaded meanwhile. Every function here is safe against whatever the script does:
 * errors, endless loops (CPU budget by the watchdog), memory (allocator limit armed inside protected calls),
 * recursion through C (nesting counter), nonsense answers; each ends as VERDICT_FAIL with a type, a message
 * that names the hook and, where Lua tells, file:line. Loop thread only. */
#ifndef MILLRACE_SCRIPT_H
#define MILLRACE_SCRIPT_H

#include "buf.h"
#include "err.h"
#include "output.h"
#include "request.h"
#include "textdiff.h"
#include "upstream.h"

#include <stdbool.h>
#include <stdint.h>

struct metrics_user;
struct script;

struct key_field {
	char *name; /* member of the key's JSON object */
	char *path; /* "page.page_id" in the event */
};

/* What a script may name, and how the engine treats what it makes. Borrowed for the script's life. */
struct script_sink {
	const char *name;
	const char *stream;          /* stamped when not NULL */
	const char *schema;          /* pins $schema when not NULL */
	const struct key_field *key; /* its own key; count 0 = the lane's key */
	size_t key_count;
	size_t max_bytes;
};

struct script_world {
	const struct upstream_config *upstreams; /* the first is the default */
	size_t upstream_count;
	const struct script_sink *sinks; /* the first is the default; without the error stream */
	size_t sink_count;
	const struct key_field *key; /* of the lane; count 0 = the record's own Kafka key */
	size_t key_count;
	const char *engine;            /* "millrace/1.0" */
	struct metrics_user *counters; /* of millrace.counter; NULL = nobody reads them */
};

/* A file as it was read: the main one has the name "", a module that by which it was required. */
struct script_source {
	const char *name;
	struct bytes text;
};

enum { SCRIPT_SOURCES_MAX = 4 << 20 /* bytes of a script and its modules that are kept */ };

struct script_config {
	const char *path;        /* file */
	const char *library;     /* folder of `lib.NAME` where the script's own has none; NULL = none */
	const char *params_json; /* JSON object text; NULL = {} */
	size_t memory;           /* bytes of the state's heap */
	int64_t budget_ms;       /* CPU time of one hook call, between two waits */
	size_t max_event;        /* largest JSON text decoded or encoded */
	unsigned max_depth;
	const struct script_source
	        *sources; /* read in place of files, the main one first; NULL = the files */
	size_t source_count;
};

/* Where and how calls into the script fail by themselves. */
enum script_hook { SCRIPT_HOOK_REQUEST, SCRIPT_HOOK_TRANSFORM, SCRIPT_HOOK_OTHER, SCRIPT_HOOKS };
enum script_kind { SCRIPT_KIND_ERROR, SCRIPT_KIND_TIMEOUT, SCRIPT_KIND_MEMORY, SCRIPT_KINDS };

struct script_usage {
	size_t memory, memory_maximum, memory_limit;
	size_t events; /* live script_events */
	uint64_t timeouts, memory_failures, errors;
	uint64_t failed[SCRIPT_HOOKS][SCRIPT_KINDS]; /* the same, by hook */
	double cpu_seconds;                          /* in hooks */
	double gc_seconds;                           /* in collections between hooks */
};

/* One record as it came. script_decode copies the struct and borrows what it points to until script_forget.
 */
struct script_input {
	const char *topic;
	int32_t partition;
	int64_t offset;
	int64_t timestamp; /* ms */
	struct bytes key;  /* data NULL = none */
	struct bytes value;
	const struct output_header *headers;
	size_t header_count;
};

/* Failure types of this part: ScriptError (a Lua error), ScriptTimeout, ScriptMemory, ScriptAnswer (a hook
 * answered nonsense), OutputInvalid (an output that cannot be encoded), OutputTooLarge (over its sink's
 * max_bytes), PoisonEvent (the input is not JSON, or not an object), and whatever `fail` names. */
enum verdict {
	VERDICT_ASK,    /* requests */
	VERDICT_WAIT,   /* transform called millrace.fetch: requests, continue with script_resume; or
	                   millrace.diff: diff, continue with script_resume_diff */
	VERDICT_OUTPUT, /* outputs */
	VERDICT_PASS,   /* publish the input as it came: script_pass makes the output */
	VERDICT_DROP,   /* type = reason */
	VERDICT_RETRY,  /* type = reason; after, host_scope */
	VERDICT_FAIL,   /* type, message, stack */
};

/* What a hook answered. Everything in it is owned by the caller: script_result_free. */
struct script_result {
	enum verdict verdict;
	char *type;    /* identifier: drop reason, retry reason, failure type */
	char *message; /* failure */
	char *stack;   /* failure: Lua traceback; NULL when there is none */
	double after;  /* retry: seconds, 0 to 3600 */
	bool host_scope;
	struct request *requests; /* ASK, WAIT */
	size_t request_count;
	struct textdiff diff; /* WAIT, where from.data is set: the texts stay valid until the event goes on or
	                         is let go */
	struct output *outputs; /* OUTPUT: all but the header millrace-source is set */
	size_t output_count;
};

struct script_event {
	struct script *script;           /* NULL = none */
	struct run *run;                 /* private: what its hooks share */
	char *id;                        /* meta.id, else NULL; what outputs' ids are made from */
	char *domain, *request_id, *uri; /* meta.*: for the error event; NULL when absent */
	char *schema, *stream;           /* $schema and meta.stream; NULL when absent */
	int64_t dt;                      /* meta.dt in wall ms, 0 when absent or nonsense */
	int64_t event_dt;                /* dt in wall ms (event time), 0 when absent */
	char *lane_key; /* JSON object by world.key (the record's own key when that has no fields); NULL: a
	                 * field is missing, null or no scalar, and the record waits for nobody */
	size_t lane_key_size;
	size_t bytes; /* estimate of the heap it holds */
};

/* Adds what `from` counted. Counters alone: what `to` holds stays. */
void script_usage_add(struct script_usage *to, const struct script_usage *from);
void script_result_free(struct script_result *result);

/* Loads a script into a fresh state, and runs its `selftest` if there is one. NULL and err (with file:line).
 */
struct script *script_open(
        const struct script_config *config, const struct script_world *world, struct err *err);
void script_hold(struct script *script);
/* Closes it when nobody holds it any more: script_open's hold, and each event's. */
void script_release(struct script *script);
const char *script_sha256(const struct script *script); /* hex of the main file and all modules it required */
const char *script_path(const struct script *script);
/* Each file that it was loaded from, by its number: its SHA-256, and in *name how `require` calls it; the
 * main file comes first, under its path. NULL: there are no more. */
const char *script_file(const struct script *script, size_t number, const char **name);
/* What it was loaded from, the main file first; borrowed. None and 0 when that is more than
 * SCRIPT_SOURCES_MAX. */
const struct script_source *script_sources(const struct script *script, size_t *count);
bool script_has_request(const struct script *script);
struct script_usage script_usage(const struct script *script);
/* A hook was stopped by ScriptTimeout or ScriptMemory, or the heap holds more than what records need of it:
 * script_sound is to be called before another record begins on this state. It collects, looks whether the
 * heap came down, and runs selftest. False and err: the state is to be retired. */
bool script_doubtful(const struct script *script);
bool script_sound(struct script *script, struct err *err);
/* A part, appended as JSON text, and a text as a part (or -2): from one state to another. */
bool script_part_out(struct script *script, int part, struct buf *out);
int script_part_in(struct script *script, const struct bytes *text);
/* A bounded part of garbage collection, between loop turns. */
void script_collect(struct script *script);
/* All of it at once, unless the last one is recent: what lives on after it would be walked again for nothing.
 * Whether it was done. */
bool script_relieve(struct script *script);

/* Decodes the input on this state: DECODED. A null value is no event (tombstones pass without one). On
 * failure result is VERDICT_FAIL (PoisonEvent, ScriptMemory, ...) and the event still carries nothing to
 * forget but itself. result is written only on failure. */
bool script_decode(struct script_event *event, struct script *script, const struct script_input *input,
        struct script_result *result);
/* Runs request: ASK, PASS, DROP, FAIL. Without a request hook it answers ASK with no requests, and transform
 * is next. `attempt` counts from 1: how often the record began. */
void script_request(struct script_event *event, unsigned attempt, struct script_result *result);
/* A response as transform sees it. part: reference given by script_answer, or -2 for none; consumed. */
struct script_answer_part {
	const struct response *response;
	const struct request *request;
	int part;
};
/* Runs transform with the answers of `request` (an array there gives an array here; none: nil). */
void script_transform(struct script_event *event, const struct script_answer_part *answers, size_t count,
        struct script_result *result);
/* Continues a transform that answered VERDICT_WAIT. */
void script_resume(struct script_event *event, const struct script_answer_part *answers, size_t count,
        struct script_result *result);
/* Continues one that waits for a diff: transform gets the text, or nil and the outcome's name. */
void script_resume_diff(struct script_event *event, enum textdiff_outcome outcome, const struct bytes *text,
        struct script_result *result);
/* The input as an output of the first sink: stamped and encoded when it has a stream, byte-identical when
 * not. */
bool script_pass(struct script_event *event, struct output *output, struct script_result *failure);
/* Lets go of everything the event holds in its state; its texts stay, for an error event. Fine without a
 * state. */
void script_let_go(struct script_event *event);
/* Lets go of everything the event holds in its state, frees its texts and zeroes it; fine on a zeroed one. */
void script_forget(struct script_event *event);

/* Parses a call's answer once and splits it. values: the merge values of its lookups, in order (count 1 and
 * split NULL: the whole answer is the part). parts[i] gets a reference, or -2 for a value without a part.
 * Only a 2xx is split: of an accepted other status each value gets the whole (or nothing, where it is not
 * JSON, which is no failure there). expect = bytes parses nothing. detail is written on RETRY and FAIL. */
enum script_answer { SCRIPT_ANSWER_OK, SCRIPT_ANSWER_UNPARSABLE, SCRIPT_ANSWER_RETRY, SCRIPT_ANSWER_FAIL };
enum script_answer script_answer(struct script *script, const struct request *request,
        const struct response *response, const char *const *values, size_t count, int *parts,
        struct script_result *detail);
/* A part that no transform will take. Answers about how many bytes it had. */
size_t script_drop_part(struct script *script, int part);

/* Writes meta.id into one stamped output (see script_result.outputs): position n among the record's outputs.
 * Done by the caller once the list is final; a no-op for sinks without a stream. */
void script_finish_output(
        struct script_event *event, struct output *output, size_t n, const struct script_input *input);

#endif
