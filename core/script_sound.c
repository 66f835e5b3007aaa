/* Whether a state can be trusted after what a script did to it, and how what it holds gets to another one. */
#include "script_private.h"

enum { CARRY_BUDGETS = 10 };

/* ---- what it holds for records on their way ---- */

void sound_hold(struct script *script, struct run *run, size_t bytes)
{
	run->held += bytes;
	script->held += bytes;
}

void sound_let_go(struct script *script, struct run *run)
{
	script->held -= run->held;
	run->held = 0;
}

void sound_add_parts(struct script *script, size_t count, size_t bytes)
{
	if (count == 0)
		return;
	script->parts += count;
	script->part_bytes += bytes;
}

size_t sound_drop_part(struct script *script)
{
	size_t one = script->parts ? script->part_bytes / script->parts : 0;
	script->parts -= script->parts > 0;
	script->part_bytes -= one;
	return one;
}

/* ---- doubt ---- */

/* Beside what it had when it was loaded, and what records on their way need. */
static size_t hoard(const struct script *script)
{
	size_t known = script->base + script->held + script->part_bytes;
	return script->heap.used > known ? script->heap.used - known : 0;
}

static bool hoards(const struct script *script)
{
	return hoard(script) > script->heap.limit / 4;
}

void sound_look(struct script *script)
{
	if (hoards(script))
		script->doubted = true;
}

bool script_doubtful(const struct script *script)
{
	return script->doubted;
}

bool script_sound(struct script *script, struct err *err)
{
	state_collect(script);
	script->doubted = false;
	if (hoards(script))
		return err_set(err,
		        "%s keeps %zu bytes from record to record, more than a quarter of script.memory "
		        "(%zu)",
		        script->path, hoard(script), script->heap.limit);
	bool sound = load_selftest(script, err);
	script->doubted = false;
	return sound;
}

/* ---- from one state to another ---- */

struct moving {
	int part;
	struct buf *out;
	const struct bytes *text;
};

static int run_part_out(lua_State *L)
{
	const struct moving *moving = state_context(L);
	struct json_error error;
	lua_rawgeti(L, LUA_REGISTRYINDEX, moving->part);
	if (!json_encode(L, -1, moving->out, &error))
		state_raise(L, "ScriptError", "%s", error.message);
	return 0;
}

bool script_part_out(struct script *script, int part, struct buf *out)
{
	struct script_result failure = {0};
	struct moving moving = {.part = part, .out = out};
	struct state_call call = {.name = "moving an answer",
	        .function = run_part_out,
	        .context = &moving,
	        .budgets = CARRY_BUDGETS};
	bool good = state_call(script, &call, &failure);
	script_result_free(&failure);
	return good;
}

static int run_part_in(lua_State *L)
{
	struct moving *moving = state_context(L);
	struct json_error error;
	if (!json_decode(L, moving->text->data, moving->text->size, &script_of(L)->limits, &error))
		state_raise(L, "ScriptError", "%s", error.message);
	moving->part = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

int script_part_in(struct script *script, const struct bytes *text)
{
	struct script_result failure = {0};
	struct moving moving = {.part = LUA_NOREF, .text = text};
	struct state_call call = {.name = "moving an answer",
	        .function = run_part_in,
	        .context = &moving,
	        .decodes = text->size,
	        .repeatable = true};
	size_t before = script->heap.used;
	bool good = state_call(script, &call, &failure);
	script_result_free(&failure);
	if (!good)
		return LUA_NOREF;
	sound_add_parts(script, 1, script->heap.used > before ? script->heap.used - before : text->size);
	return moving.part;
}
