/* What the files that make up a script's state share: script*.c and sandbox*.c, nobody else.
 *
 * script.c         what a record does with its script: decode, request, transform, pass, forget
 * script_state.c   one Lua state under limits: heap, CPU time, protected calls, tracebacks
 * script_sound.c   whether a state can be trusted, and how answers get from one to another
 * script_load.c    a file becomes a state with hooks
 * script_require.c modules
 * script_request.c what `request` answers becomes struct request
 * script_output.c  what `transform` answers becomes struct output
 * script_answer.c  a call's answer becomes Lua values
 * script_counter.c numbers of the script's own among the metrics
 * script_wait.c    what transform may wait for: answers and diffs
 * script_verdict.c the userdata that millrace.drop and its like make
 * scriptlib.c      the module `millrace`
 * sandbox.c        the globals that a script sees; sandbox_string.c its pattern functions
 *
 * All functions with a lua_State run inside state_call and may raise Lua errors; memory that is not Lua's is
 * therefore always anchored in a struct that outlives the call (result, run, script), never in a local. */
#ifndef MILLRACE_SCRIPT_PRIVATE_H
#define MILLRACE_SCRIPT_PRIVATE_H

#include "digest.h"
#include "json.h"
#include "script.h"

#include <lauxlib.h>
#include <lua.h>

enum {
	NEST_MAX = 100,  /* ways from C into Lua inside each other */
	LABELS_MAX = 40, /* distinct drop reasons, failure types, retry reasons: they become metric labels */
	LABEL_SIZE = 65, /* an identifier and its NUL */
	REQUESTS_MAX = 256, /* of one answer of `request` */
	OUTPUTS_MAX = 1000, /* of one record */
	FETCHES_MAX = 100,  /* of one transform; diffs likewise */
	MESSAGE_MAX = 4096, /* of a failure */
};

/* The state's heap, as its allocator sees it. The limit holds only while armed. */
struct heap {
	size_t used, maximum, limit;
	size_t after_full; /* used after the last full collection */
	size_t after_step; /* used after the last bounded one */
	size_t next_cycle; /* a bounded one begins a cycle when so much is used; 0 = it is in one */
	bool armed, refused;
};

struct labels {
	char names[LABELS_MAX][LABEL_SIZE];
	size_t count;
	bool told; /* that there are too many */
};

/* A module that was loaded, or the main file: for the script's digest. */
struct source_file {
	char *name;
	char sha256[DIGEST_HEX];
};

/* The texts of what was read; given: in place of files, while it is loaded. */
struct script_texts {
	struct script_source *items;
	size_t count, bytes;
	const struct script_source *given;
	size_t given_count;
};

/* What the hooks of one record share. */
struct run {
	uint64_t serial;           /* verdicts of other records are told apart by it */
	struct script_input input; /* what it points to is the record's */
	int ref;          /* table {event, meta, coroutine, and the texts of a diff that is waited for} */
	bool asked_array; /* request (or fetch) asked by an array: so the answers come */
	unsigned attempt, fetches, diffs;
	lua_State *coroutine;   /* of transform; kept alive by ref */
	struct output *outputs; /* made by millrace.output, whether they are answered or not */
	size_t output_count, output_room;
	size_t output_bytes; /* made so far, keys and headers too */
	size_t held;         /* of the heap: the event, and answers that a hook waits with (estimates) */
};
enum { RUN_EVENT = 1, RUN_META, RUN_COROUTINE, RUN_FROM, RUN_TO };

struct state_call;

struct script {
	struct heap heap;
	lua_State *L;
	char *path, *folder, *library;
	struct script_world world;
	size_t max_event;
	struct json_limits limits;
	int64_t budget_ns;
	size_t decoded; /* bytes of JSON that gave the present call more time: script.memory at most */
	unsigned holds;
	int request, transform, selftest; /* references, LUA_NOREF = none */
	int members;                      /* of the table that the script returned: split functions */
	bool loading;                     /* modules may be read */
	bool rehearses;                   /* it loads, or runs its selftest: nothing is counted */
	struct source_file *files;
	size_t file_count;
	struct script_texts texts;
	char sha256[DIGEST_HEX];
	uintptr_t nest[NEST_MAX]; /* C frames that called into Lua, outermost first */
	unsigned nested;
	const struct state_call *call; /* what runs now */
	struct run *run;               /* whose it is; NULL outside of hooks */
	lua_State *running;            /* the coroutine that does, or L */
	struct script_result *result;  /* where a millrace.fetch puts its requests */
	const char *raised;            /* type of the error that was raised last by state_raise; a literal */
	struct buf message;            /* its message */
	struct buf stack;              /* traceback of the last error */
	struct buf scratch;            /* for whoever builds a text */
	struct buf encoded;            /* for JSON; its limit is max_event */
	struct buf made;               /* for an output's value; its limit is that of the sink */
	struct buf file;               /* for the text of a module */
	struct labels drops, failures, retries;
	int64_t log_window; /* steady ms when the present window of log lines began */
	unsigned log_lines; /* in it */
	uint64_t runs;
	size_t events;
	uint64_t timeouts, memory_failures, errors;
	uint64_t failed[SCRIPT_HOOKS][SCRIPT_KINDS];
	int64_t cpu_ns, gc_ns;
	size_t base;              /* of the heap: used when it was loaded */
	size_t held;              /* by all runs */
	size_t parts, part_bytes; /* answers that wait for their hook */
	bool doubted;             /* a hook was stopped, or the heap does not come down */
};

/* script_state.c */
struct script *script_of(lua_State *L);
bool state_open(struct script *script, size_t memory, struct err *err);
void state_close(struct script *script);
/* How to run a protected call. */
struct state_call {
	const char *name;       /* "hook 'request'", "decoding": what messages call it */
	lua_CFunction function; /* finds the context with state_context */
	void *context;
	struct run *run;  /* may be NULL */
	unsigned budgets; /* how many times script.budget it may take; 0 = once */
	size_t decodes;   /* bytes of JSON it will decode: 10 ms of CPU time per MiB on top of that */
	bool repeatable;  /* runs once more after a full collection when the heap was full */
	void (*reset)(void *context); /* undoes a first try; may be NULL */
};
/* True when it went well; else failure is VERDICT_FAIL with ScriptTimeout, ScriptMemory, ScriptError or the
 * type that was raised. */
bool state_call(struct script *script, const struct state_call *call, struct script_result *failure);
void *state_context(lua_State *L);
void state_note_place(lua_State *L); /* the traceback of what is to be told, unless there is one */
/* A Lua error that ends the call as a failure of this type (a literal) unless the script catches it. */
int state_raise(lua_State *L, const char *type, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* The same with "scripts/x.lua:12: " in front: the line that called the running C function. */
int state_raise_here(lua_State *L, const char *type, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Appends the calls of L, innermost first; allocates nothing of Lua's. */
void state_traceback(lua_State *L, struct buf *out);
void state_decoding(
        lua_State *L, size_t bytes); /* more time for what is about to be decoded, within bounds */
void state_fail(struct script_result *result, const char *type, const char *message, size_t size);

void state_collect(struct script *script); /* everything that is not needed, at once */

/* script_sound.c: what records on their way need of the heap, as estimates */
void sound_hold(struct script *script, struct run *run, size_t bytes);
void sound_let_go(struct script *script, struct run *run);
void sound_add_parts(struct script *script, size_t count, size_t bytes);
size_t sound_drop_part(struct script *script); /* the bytes that one has, on the average */
void sound_look(struct script *script);        /* after a full collection */

/* script_load.c */
/* Runs selftest; true without one. */
bool load_selftest(struct script *script, struct err *err);

/* script_cjson.c */
void cjson_push(lua_State *L);

/* script_require.c */
/* After sandbox_open: the table of modules, with `bit` and the module `millrace`, which it takes from the
 * top. */
void require_open(lua_State *L);
int require_module(lua_State *L);
/* Reads a whole file into script->file and notes its digest under `name`; raises what is wrong. */
void require_read(lua_State *L, const char *name, const char *path, const char *missing);
void require_close(struct script *script);  /* frees the texts that were kept */
void require_digest(struct script *script); /* of all files read */

/* script_verdict.c */
struct verdict_data {
	enum verdict kind;
	bool host_scope;
	double after;
	uint64_t serial; /* OUTPUT: of the run that made it */
	size_t count;    /* OUTPUT: indexes behind the struct */
	char type[LABEL_SIZE];
	size_t message_size; /* FAIL: behind the struct, with a NUL */
	union {
		size_t indexes[1];
		char message[1];
	};
};
void verdict_open(lua_State *L);
void verdict_library(lua_State *L); /* adds pass, drop, fail, retry to the table on top */
const struct verdict_data *verdict_at(lua_State *L, int index); /* NULL when it is none */
void verdict_push_output(lua_State *L, uint64_t serial, const size_t *indexes, size_t count);
void verdict_copy(const struct verdict_data *verdict, struct script_result *result);
bool verdict_identifier(const char *text, size_t size);
/* "nil", "a string", "an empty table", "a table with the members 'a', 'b'": into the script's scratch. */
const char *verdict_describe(lua_State *L, int index);
/* Is `name` one of these? */
bool verdict_known(const char *name, const char *const *names, size_t count);

/* script_request.c */
/* Reads one request or an array of them at `index` into script->result (with *array). What is wrong is raised
 * behind `where`: as ScriptAnswer, or as a plain error of the line that called when `fetched`. */
void request_read(lua_State *L, int index, const char *where, bool fetched, bool *array);
int request_path(lua_State *L);   /* millrace.path */
int request_escape(lua_State *L); /* millrace.escape */

/* script_output.c */
int output_make(lua_State *L); /* millrace.output */
int output_many(lua_State *L); /* millrace.outputs */
/* Encodes the value at `index` as an output of the first sink; answers its index among the run's. */
size_t output_plain(lua_State *L, int index);
void output_take(struct run *run, const size_t *indexes, size_t count, struct script_result *result);
void output_drop(struct run *run); /* frees those that were not taken */
/* value at `index` by fields, as a JSON object text; false when a field is missing. */
bool output_key(lua_State *L, int index, const struct key_field *fields, size_t count, struct buf *out);
/* The value at `index` as that sink wants it, with headers and timestamp of the input; raises OutputInvalid
 * or OutputTooLarge. out must be zeroed, and anchored: it owns what was made so far when this raises. */
void output_fill(lua_State *L, int index, size_t sink, const struct script_input *input, struct output *out);

/* script_answer.c */
void answer_push(lua_State *L, const struct script_answer_part *answer);
void answer_push_all(lua_State *L, const struct script_answer_part *answers, size_t count, bool array);

/* script_counter.c */
int counter_make(lua_State *L); /* millrace.counter */

/* script_wait.c */
int wait_fetch(lua_State *L); /* millrace.fetch */
int wait_diff(lua_State *L);  /* millrace.diff */
/* Pushes what millrace.diff answers; how many values that is. */
int wait_push_diff(
        lua_State *L, const struct run *run, enum textdiff_outcome outcome, const struct bytes *text);

/* scriptlib.c */
void scriptlib_open(lua_State *L); /* takes the params from the top; leaves the module in their place */
int scriptlib_print(lua_State *L);

/* sandbox.c, sandbox_string.c */
void sandbox_open(lua_State *L); /* replaces the globals */
/* Replaces the table on top by a read-only view of it. `name` is what errors call it. */
void sandbox_readonly(lua_State *L, const char *name);
void sandbox_string(lua_State *L); /* adds what is not the engine's own to the table on top */
int sandbox_tostring(lua_State *L);
unsigned nest_enter(lua_State *L); /* before calling into Lua from C; an error beyond NEST_MAX */
void nest_leave(lua_State *L, unsigned mark);

#endif
