/* One Lua state under limits: heap, CPU time, protected calls, tracebacks.
 *
 * How a call is stopped: the watchdog's signal handler sets a hook on every VM instruction; the hook raises
 * an error each time it runs and stays until state_call returns, so a pcall in the script only meets the next
 * one. */
#include "script_private.h"
#include "clock.h"
#include "list.h"
#include "log.h"
#include "mem.h"
#include "text.h"
#include "watchdog.h"

#include <luajit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	HANDLER = 1, /* stack slots of the main thread that are never popped */
	ENTRY = 2,
	LARGEST_BLOCK =
	        256 << 20, /* lua-cjson counts the bytes of an encoded string in an int, six for each */
	LEAST_BLOCK = 32,  /* of glibc's malloc, with its header; sizes go up in steps */
	BLOCK_HEADER = 8,
	BLOCK_STEP = 16,
	TRACEBACK_LINES = 20,
	STEP_KB = 64,
	DECODE_NS_PER_MIB = 10000000,
};

/* What a block really takes: malloc's header and rounding are a fifth of what small values need. */
static size_t block_bytes(size_t size)
{
	return size <= LEAST_BLOCK - BLOCK_HEADER
	               ? LEAST_BLOCK
	               : (size + BLOCK_HEADER + BLOCK_STEP - 1) / BLOCK_STEP * BLOCK_STEP;
}

/* A block is refused. Wherever the engine allocates it has noted where the script stands; after the error,
 * which the script may catch, nobody knows. */
static void refuse(struct script *script)
{
	script->heap.refused = true;
	state_note_place(script->running);
}

static void *allocate(void *context, void *old, size_t old_size, size_t size)
{
	struct heap *heap = context;
	size_t before = old ? block_bytes(old_size) : 0;
	if (size == 0) {
		heap->used -= before;
		mem_free(old);
		return NULL;
	}
	size_t used = heap->used - before + block_bytes(size);
	if (heap->armed && (old == NULL || size > old_size) && (used > heap->limit || size > LARGEST_BLOCK)) {
		refuse(container_of(heap, struct script, heap));
		return NULL;
	}
	heap->used = used;
	if (used > heap->maximum)
		heap->maximum = used;
	return mem_realloc(old, size);
}

struct script *script_of(lua_State *L)
{
	void *context;
	lua_getallocf(L, &context);
	return context; /* the heap is the first member */
}

void *state_context(lua_State *L)
{
	return script_of(L)->call->context;
}

static int on_panic(lua_State *L)
{
	const char *why = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "unknown";
	log_error("script", "the Lua engine failed outside of a protected call: %s", why);
	_exit(70);
}

static int on_error(lua_State *L)
{
	state_note_place(L);
	return 1;
}

static int enter(lua_State *L)
{
	return script_of(L)->call->function(L);
}

bool state_open(struct script *script, size_t memory, struct err *err)
{
	script->heap.limit = memory;
	script->L = lua_newstate(allocate, script);
	if (script->L == NULL)
		return err_set(
		        err, "%s: the Lua engine cannot start on this machine's memory layout", script->path);
	lua_atpanic(script->L, on_panic);
	luaJIT_setmode(script->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	lua_pushcfunction(script->L, on_error);
	lua_pushcfunction(script->L, enter);
	buf_init(&script->stack, 8192);
	return true;
}

void state_close(struct script *script)
{
	if (script->L)
		lua_close(script->L);
	buf_free(&script->message);
	buf_free(&script->stack);
	buf_free(&script->scratch);
	buf_free(&script->encoded);
	buf_free(&script->made);
	buf_free(&script->file);
}

/* The hook while a call is over its budget. */
static void on_overtime(lua_State *L, lua_Debug *at)
{
	(void)at;
	watchdog_acknowledge();
	state_note_place(L); /* only here does the engine know the line */
	luaL_error(L, "out of CPU time");
}

static void interrupt(void *context)
{
	struct script *script = context;
	lua_sethook(script->L, on_overtime, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

void state_collect(struct script *script)
{
	int64_t began = clock_now_ns();
	lua_gc(script->L, LUA_GCCOLLECT, 0);
	script->gc_ns += clock_now_ns() - began;
	script->heap.after_full = script->heap.after_step = script->heap.used;
	sound_look(script);
}

/* A full collection, unless so little has come since the last one that it would walk what lives for nothing.
 */
static bool collect_above(struct script *script, size_t growth)
{
	if (script->heap.used <= script->heap.after_full + growth)
		return false;
	state_collect(script);
	return true;
}

bool script_relieve(struct script *script)
{
	return collect_above(script, script->heap.limit / 8);
}

/* How much may be used when the next cycle begins, in percent of what is used after one. */
static int pause_of(const struct heap *heap)
{
	return heap->used > heap->limit / 4 ? 140 : 200;
}

/* A full collection before a call that finds the heap above half of its share. */
static bool make_room(struct script *script)
{
	struct heap *heap = &script->heap;
	lua_gc(script->L, LUA_GCSETPAUSE, pause_of(heap));
	return heap->used > heap->limit / 2 && collect_above(script, heap->limit / 16);
}

void script_collect(struct script *script)
{
	struct heap *heap = &script->heap;
	if (heap->used < heap->after_step)
		heap->after_step = heap->used;
	if (heap->used - heap->after_step < (STEP_KB << 10) || heap->used < heap->next_cycle)
		return;
	int64_t began = clock_now_ns();
	bool ended = lua_gc(script->L, LUA_GCSTEP, STEP_KB);
	script->gc_ns += clock_now_ns() - began;
	heap->after_step = heap->used;
	heap->next_cycle = ended ? heap->used / 100 * (size_t)pause_of(heap) : 0;
}

/* Lua's own status of one try; *late when it was interrupted. */
static int try(struct script *script, const struct state_call *call, bool *late)
{
	int64_t took;
	script->call = call;
	script->run = call->run;
	script->result = NULL;
	script->raised = NULL;
	script->nested = 0;
	script->heap.refused = false;
	script->running = script->L;
	buf_clear(&script->stack);
	lua_settop(script->L, ENTRY);
	lua_pushvalue(script->L, ENTRY);
	watchdog_begin(script->budget_ns * (call->budgets ? call->budgets : 1), interrupt, script);
	watchdog_extend((int64_t)(call->decodes >> 10) * (DECODE_NS_PER_MIB >> 10));
	script->decoded = 0;
	script->heap.armed = true;
	int status = lua_pcall(script->L, 0, 0, HANDLER);
	script->heap.armed = false;
	*late = watchdog_end(&took);
	if (*late)
		lua_sethook(script->L, NULL, 0, 0);
	script->cpu_ns += took;
	script->run = NULL;
	return status;
}

void state_decoding(lua_State *L, size_t bytes)
{
	struct script *script = script_of(L);
	if (bytes > script->heap.limit - script->decoded)
		bytes = script->heap.limit - script->decoded;
	script->decoded += bytes;
	watchdog_extend((int64_t)(bytes >> 10) * (DECODE_NS_PER_MIB >> 10));
}

void state_fail(struct script_result *result, const char *type, const char *message, size_t size)
{
	script_result_free(result);
	result->verdict = VERDICT_FAIL;
	result->type = mem_strdup(type);
	if (size > MESSAGE_MAX)
		size = text_utf8_valid(message, MESSAGE_MAX);
	result->message = mem_dup(message, size);
}

/* Where it was: the first line of the traceback that is of the script. */
static void add_place(const struct script *script, struct buf *out)
{
	static const char engine[] = "the engine's ";
	const char *line = script->stack.size ? script->stack.data : NULL;
	while (line && strncmp(line, engine, sizeof engine - 1) == 0 && (line = strchr(line, '\n')) != NULL)
		line++;
	if (line)
		buf_printf(out, "; it was stopped at %.*s", (int)strcspn(line, "\n"), line);
}

static void count_failure(struct script *script, enum script_kind kind)
{
	const char *name = script->call->name;
	enum script_hook hook = strcmp(name, "hook 'request'") == 0     ? SCRIPT_HOOK_REQUEST
	                        : strcmp(name, "hook 'transform'") == 0 ? SCRIPT_HOOK_TRANSFORM
	                                                                : SCRIPT_HOOK_OTHER;
	script->failed[hook][kind]++;
}

static void fail_late(struct script *script, struct script_result *failure)
{
	struct buf *out = &script->scratch;
	script->timeouts++;
	count_failure(script, SCRIPT_KIND_TIMEOUT);
	buf_clear(out);
	buf_printf(out, "%s took more CPU time than its budget of %lld ms (script.budget)",
	        script->call->name,
	        (long long)(script->budget_ns * (script->call->budgets ? script->call->budgets : 1) /
	                    1000000));
	add_place(script, out);
	state_fail(failure, "ScriptTimeout", out->data, out->size);
}

static void fail_full(struct script *script, struct script_result *failure)
{
	char limit[32], kept[32];
	struct buf *out = &script->scratch;
	script->memory_failures++;
	count_failure(script, SCRIPT_KIND_MEMORY);
	text_human_bytes(script->heap.limit, limit);
	text_human_bytes(script->heap.used, kept);
	buf_clear(out);
	buf_printf(out, "%s needs more memory than script.memory allows (%s; %s are in use without it)",
	        script->call->name, limit, kept);
	add_place(script, out);
	state_fail(failure, "ScriptMemory", out->data, out->size);
}

/* The error value on top; only strings speak, for anything else could run the script's code. */
static void fail_error(struct script *script, struct script_result *failure)
{
	lua_State *L = script->L;
	size_t size = 0;
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
	const struct buf *raised = &script->message;
	if (text && script->raised && size == raised->size && memcmp(text, raised->data, size) == 0) {
		if (strcmp(script->raised, "PoisonEvent") != 0) { /* else it is no fault of the script */
			script->errors++;
			count_failure(script, SCRIPT_KIND_ERROR);
		}
		state_fail(failure, script->raised, text, size);
		return;
	}
	struct buf *out = &script->scratch;
	script->errors++;
	count_failure(script, SCRIPT_KIND_ERROR);
	buf_clear(out);
	if (text == NULL || strncmp(text, script->call->name, strlen(script->call->name)) != 0)
		buf_printf(out, "%s: ", script->call->name);
	if (text)
		buf_append(out, text, size);
	else
		buf_printf(out, "an error that is no message but a value of type %s", luaL_typename(L, -1));
	state_fail(failure, "ScriptError", out->data, out->size);
}

bool state_call(struct script *script, const struct state_call *call, struct script_result *failure)
{
	bool late, collected = make_room(script);
	int status = try(script, call, &late);
	if (script->heap.refused && !late && call->repeatable && !collected) {
		if (call->reset)
			call->reset(call->context);
		state_collect(script);
		status = try(script, call, &late);
	}
	bool full = script->heap.refused;
	if (status == 0 && !late && !full)
		return true;
	if (call->reset)
		call->reset(call->context);
	script->doubted = script->doubted || late || full;
	if (full)
		state_collect(script);
	if (late)
		fail_late(script, failure);
	else if (full)
		fail_full(script, failure);
	else
		fail_error(script, failure);
	if (script->stack.size)
		failure->stack = mem_dup(script->stack.data, script->stack.size);
	lua_settop(script->L, ENTRY);
	return false;
}

/* Raises the message that stands in script->message. */
static int raise_message(lua_State *L, const char *type)
{
	struct script *script = script_of(L);
	script->raised = type;
	lua_pushlstring(L, script->message.data, script->message.size);
	return lua_error(L);
}

int state_raise(lua_State *L, const char *type, const char *format, ...)
{
	va_list args;
	struct buf *message = &script_of(L)->message;
	buf_clear(message);
	va_start(args, format);
	buf_vprintf(message, format, args);
	va_end(args);
	return raise_message(L, type);
}

int state_raise_here(lua_State *L, const char *type, const char *format, ...)
{
	va_list args;
	struct buf *message = &script_of(L)->message;
	luaL_where(L, 1);
	buf_clear(message);
	buf_append_text(message, lua_tostring(L, -1));
	va_start(args, format);
	buf_vprintf(message, format, args);
	va_end(args);
	return raise_message(L, type);
}

static void traceback_line(const lua_Debug *at, struct buf *out)
{
	if (out->size)
		buf_append_byte(out, '\n');
	if (at->what[0] == 'C') {
		buf_printf(out, "the engine's function '%s'", at->name);
		return;
	}
	buf_printf(out, "%s:%d: in ", at->short_src, at->currentline > 0 ? at->currentline : at->linedefined);
	if (strcmp(at->what, "main") == 0)
		buf_append_text(out, "the file itself");
	else if (at->name)
		buf_printf(out, "function '%s'", at->name);
	else
		buf_printf(out, "the function of line %d", at->linedefined);
}

void state_note_place(lua_State *L)
{
	struct script *script = script_of(L);
	if (script->stack.size == 0)
		state_traceback(L, &script->stack);
}

void state_traceback(lua_State *L, struct buf *out)
{
	lua_Debug at;
	for (int level = 0, lines = 0; lines < TRACEBACK_LINES && lua_getstack(L, level, &at); level++) {
		if (!lua_getinfo(L, "nSl", &at) || (at.what[0] == 'C' && at.name == NULL))
			continue;
		traceback_line(&at, out);
		lines++;
	}
}
