/* Lua values to JSON text. The path of a value without a JSON form is put together on the way back. */
#include "json_private.h"
#include "watchdog.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>

#define FRAME 12 /* stack slots that one level may need */

struct encoder {
	lua_State *L;
	struct buf *out;
	int anchors; /* stack index of the first */
	const void *array_metatable, *number_metatable;
	const volatile sig_atomic_t *stop; /* an empty table may be large in memory, and stand there often */
	bool notes;                        /* the state has numbers whose text is noted */
	unsigned depth;
	char reason[100];
	char path[96]; /* filled from its end, so far down to path_at */
	size_t path_at;
	bool path_cut;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct encoder *e, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(e->reason, sizeof e->reason, format, args);
	va_end(args);
	return false;
}

/* ---- the path of a failure ---- */

static void path_prepend(struct encoder *e, const char *piece, size_t size)
{
	static const char cut[] = ".."; /* and what follows begins with '.' or '[' */
	if (e->path_cut)
		return;
	e->path_cut = size + sizeof cut > e->path_at;
	if (e->path_cut) {
		piece = cut;
		size = sizeof cut - 1;
	}
	e->path_at -= size;
	memcpy(e->path + e->path_at, piece, size);
}

static bool path_index(struct encoder *e, size_t index)
{
	char piece[32];
	path_prepend(e, piece, (size_t)snprintf(piece, sizeof piece, "[%zu]", index));
	return false;
}

static bool is_name(const char *key, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)key[i];
		bool letter = (unsigned)(c | 0x20) - 'a' < 26 || c == '_' || c == '$';
		if (!letter && (i == 0 || ((unsigned)c - '0' >= 10 && c != '-')))
			return false;
	}
	return size > 0;
}

/* As much of a key as a message can bear: no control characters, cut between characters. */
static int shown_key(const char *key, size_t size, char shown[40])
{
	size_t length = json_text_run((const unsigned char *)key, (const unsigned char *)key + size) -
	                (const unsigned char *)key;
	if (length > 39)
		for (length = 39; length && ((unsigned char)key[length] & 0xC0) == 0x80;)
			length--;
	memcpy(shown, key, length);
	return (int)length;
}

static bool path_key(struct encoder *e, const char *key, size_t size)
{
	char piece[64], shown[40];
	int length = shown_key(key, size, shown);
	const char *more = (size_t)length < size ? "..." : "";
	bool name = *more == '\0' && is_name(key, size);
	int used = snprintf(piece, sizeof piece, name ? ".%.*s%s" : "[\"%.*s%s\"]", length, shown, more);
	path_prepend(e, piece, (size_t)used);
	return false;
}

/* ---- bytes ---- */

static bool fail_full(struct encoder *e)
{
	e->path_cut = true; /* where the room ended says nothing */
	e->path_at = sizeof e->path;
	return fail(e, "the JSON text is larger than %zu bytes", e->out->limit);
}

/* Room for `size` bytes at the end of the text, or NULL at the cap. */
static inline char *room(struct encoder *e, size_t size)
{
	struct buf *out = e->out;
	return size < out->capacity - out->size ? out->data + out->size : buf_reserve(out, size);
}

static inline bool put_byte(struct encoder *e, char byte)
{
	char *to = room(e, 1);
	if (to == NULL)
		return fail_full(e);
	*to = byte;
	e->out->size++;
	return true;
}

static bool put_bytes(struct encoder *e, const char *data, size_t size)
{
	char *to = room(e, size);
	if (to == NULL)
		return fail_full(e);
	memcpy(to, data, size);
	e->out->size += size;
	return true;
}

/* The bytes from `from` to `stop`, and the escape for the byte there. */
static bool put_run_and_escape(struct encoder *e, const unsigned char *from, const unsigned char *stop)
{
	static const char hex[] = "0123456789abcdef";
	/* clang-format off */
	static const char simple[256] = {
		['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};
	/* clang-format on */
	size_t run = (size_t)(stop - from);
	size_t escape = simple[*stop] ? 2 : 6;
	char *to = room(e, run + escape);
	if (to == NULL)
		return fail_full(e);
	memcpy(to, from, run);
	to += run;
	to[0] = '\\';
	if (escape == 2) {
		to[1] = simple[*stop];
	} else {
		memcpy(to + 1, "u00", 3);
		to[4] = hex[*stop >> 4];
		to[5] = hex[*stop & 15];
	}
	e->out->size += run + escape;
	return true;
}

/* Copies and looks for what cannot stand for itself, 8 bytes at a time, the last ones overlapping. */
static inline bool copy_plain(char *to, const char *from, size_t size)
{
	uint64_t x, odd = 0;
	if (size < 8) {
		for (size_t at = 0; at < size; at++) {
			odd |= !json_is_plain((unsigned char)from[at]);
			to[at] = from[at];
		}
		return !odd;
	}
	for (size_t at = 0; at < size - 8; at += 8) {
		memcpy(&x, from + at, 8);
		memcpy(to + at, &x, 8);
		odd |= json_odd_bytes(x);
	}
	memcpy(&x, from + size - 8, 8);
	memcpy(to + size - 8, &x, 8);
	return !(odd | json_odd_bytes(x));
}

/* Most strings are short and plain. False when this one is not, or the room is scarce. */
static inline bool put_short(struct encoder *e, const char *data, size_t size)
{
	if (size > 64)
		return false;
	struct buf *out = e->out;
	if (size + 2 >= out->capacity - out->size)
		return false;
	char *to = out->data + out->size;
	if (!copy_plain(to + 1, data, size))
		return false;
	to[0] = '"';
	to[size + 1] = '"';
	out->size += size + 2;
	return true;
}

static bool put_string(struct encoder *e, const char *data, size_t size)
{
	if (put_short(e, data, size))
		return true;
	const unsigned char *at = (const unsigned char *)data, *end = at + size, *stop;
	if (!put_byte(e, '"'))
		return false;
	while ((stop = json_text_run(at, end)) < end) {
		if (*stop >= 0x80)
			return fail(e, "not UTF-8: byte 0x%02x at offset %zu", *stop,
			        (size_t)(stop - (const unsigned char *)data));
		if (!put_run_and_escape(e, at, stop))
			return false;
		at = stop + 1;
	}
	size_t run = (size_t)(end - at);
	char *to = room(e, run + 1);
	if (to == NULL)
		return fail_full(e);
	memcpy(to, at, run);
	to[run] = '"';
	e->out->size += run + 1;
	return true;
}

/* ---- numbers ---- */

/* The text noted for the number on top, whose key lies below it, of the table at `table`; else NULL. */
static const char *noted_text(struct encoder *e, int table, size_t *size)
{
	lua_State *L = e->L;
	const char *text = NULL;
	lua_pushvalue(L, table);
	lua_rawget(L, e->anchors + JSON_ANCHOR_NOTES);
	if (lua_istable(L, -1)) {
		lua_pushvalue(L, -3);
		lua_rawget(L, -2);
		text = lua_tolstring(L, -1, size); /* the note owns it, not the stack */
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return text;
}

static bool is_value_of(const char *text, size_t size, double value)
{
	struct json_number number;
	const unsigned char *at = (const unsigned char *)text;
	const char *problem = json_number_scan(at, at + size, &number);
	return problem == NULL && memcmp(&number.value, &value, sizeof value) == 0;
}

static bool put_number(struct encoder *e, int table)
{
	double value = lua_tonumber(e->L, -1);
	size_t size;
	const char *noted = table && e->notes ? noted_text(e, table, &size) : NULL;
	if (noted && is_value_of(noted, size, value))
		return put_bytes(e, noted, size);
	char text[JSON_NUMBER_TEXT];
	size = json_print_number(value, text);
	if (size == 0)
		return fail(e, value != value ? "NaN has no JSON form" : "infinity has no JSON form");
	return put_bytes(e, text, size);
}

/* ---- arrays and objects ---- */

static bool put_value(struct encoder *e, int table);

static bool enter(struct encoder *e)
{
	if (e->depth == JSON_MAX_DEPTH || !lua_checkstack(e->L, FRAME))
		return fail(e, "nested deeper than %u levels; does a table contain itself?", e->depth);
	if (*e->stop)
		return fail(e, "out of CPU time");
	e->depth++;
	return true;
}

static bool has_metatable(struct encoder *e, int index, const void *metatable)
{
	if (!lua_getmetatable(e->L, index))
		return false;
	bool same = lua_topointer(e->L, -1) == metatable;
	lua_pop(e->L, 1);
	return same;
}

/* The key below the value on top must be 1, 2, 3, ... */
static bool check_list_key(struct encoder *e)
{
	lua_State *L = e->L;
	int type = lua_type(L, -2);
	if (type == LUA_TSTRING) {
		char shown[40];
		size_t size;
		const char *name = lua_tolstring(L, -2, &size);
		int length = shown_key(name, size, shown);
		return fail(e, "a list with the member \"%.*s\" has no JSON form", length, shown);
	}
	if (type != LUA_TNUMBER)
		return fail(e, "a list with a %s as a key has no JSON form", lua_typename(L, type));
	double key = lua_tonumber(L, -2);
	if (key < 1 || key > 0x1p53 || key != (double)(int64_t)key)
		return fail(e, "a list with the key %.17g has no JSON form: keys are 1, 2, 3, ...", key);
	return true;
}

/* Are the keys 1..n, and n? */
static bool check_list(struct encoder *e, int table, size_t *count)
{
	lua_State *L = e->L;
	double most = 0;
	*count = 0;
	for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
		if (!check_list_key(e))
			return false;
		most = lua_tonumber(L, -2) > most ? lua_tonumber(L, -2) : most;
		++*count;
	}
	if (most == (double)*count)
		return true;
	int hole = 1;
	for (lua_rawgeti(L, table, hole); !lua_isnil(L, -1); lua_rawgeti(L, table, ++hole))
		lua_pop(L, 1);
	return fail(e, "a list with a hole has no JSON form: item %d is nil, item %.0f is not", hole, most);
}

static bool put_item(struct encoder *e, int table, size_t index)
{
	if (index > 1 && !put_byte(e, ','))
		return false;
	return put_value(e, table) || path_index(e, index);
}

/* The items from `first` on of a list that does not lie in order in memory. */
static bool put_list_by_index(struct encoder *e, int table, size_t first)
{
	lua_State *L = e->L;
	size_t count;
	if (!check_list(e, table, &count))
		return false;
	for (size_t i = first; i <= count; i++) {
		lua_pushnumber(L, (double)i);
		lua_pushvalue(L, -1);
		lua_rawget(L, table);
		if (!put_item(e, table, i))
			return false;
		lua_pop(L, 2);
	}
	return put_byte(e, ']');
}

static bool put_list(struct encoder *e, int table)
{
	lua_State *L = e->L;
	size_t index = 0;
	if (!put_byte(e, '['))
		return false;
	lua_pushnil(L);
	while (lua_next(L, table)) {
		index++;
		if (lua_type(L, -2) != LUA_TNUMBER || lua_tonumber(L, -2) != (double)index) {
			lua_pop(L, 2);
			return put_list_by_index(e, table, index);
		}
		if (!put_item(e, table, index))
			return false;
		lua_pop(L, 1);
	}
	return put_byte(e, ']');
}

/* Members with the keys in `skip` (ended by NULL; NULL = none) are left out. */
static bool is_skipped(const char *const *skip, const char *key, size_t size)
{
	for (; skip && *skip; skip++)
		if (strlen(*skip) == size && memcmp(*skip, key, size) == 0)
			return true;
	return false;
}

/* The member whose key and value lie on top. */
static bool put_member(struct encoder *e, int table, const char *key, size_t size)
{
	if (!put_string(e, key, size))
		return e->out->full ? false : fail(e, "a key is not UTF-8");
	return (put_byte(e, ':') && put_value(e, table)) || path_key(e, key, size);
}

static bool put_members(struct encoder *e, int table, const char *const *skip, bool comma)
{
	lua_State *L = e->L;
	lua_pushnil(L);
	while (lua_next(L, table)) {
		int type = lua_type(L, -2);
		if (type != LUA_TSTRING)
			return fail(
			        e, "an object with a %s as a key has no JSON form", lua_typename(L, type));
		size_t size;
		const char *key = lua_tolstring(L, -2, &size);
		if (!is_skipped(skip, key, size)) {
			if (comma && !put_byte(e, ','))
				return false;
			comma = true;
			if (!put_member(e, table, key, size))
				return false;
		}
		lua_pop(L, 1);
	}
	return true;
}

/* A list by its metatable, or by its first key: other keys that do not fit are refused on the way. */
static bool is_list(struct encoder *e, int table)
{
	if (has_metatable(e, table, e->array_metatable))
		return true;
	lua_pushnil(e->L);
	if (!lua_next(e->L, table))
		return false;
	bool list = lua_type(e->L, -2) == LUA_TNUMBER;
	lua_pop(e->L, 2);
	return list;
}

static bool put_table(struct encoder *e)
{
	int table = lua_gettop(e->L);
	if (!enter(e))
		return false;
	bool good = is_list(e, table)
	                    ? put_list(e, table)
	                    : put_byte(e, '{') && put_members(e, table, NULL, false) && put_byte(e, '}');
	e->depth--;
	return good;
}

/* ---- values ---- */

static bool put_userdata(struct encoder *e)
{
	size_t size;
	const char *text = json_number_of(e->L, -1, e->number_metatable, &size);
	return text ? put_bytes(e, text, size) : fail(e, "a userdata has no JSON form");
}

/* The value on top; in a table (at `table`, else 0) its key lies below it. */
static bool put_value(struct encoder *e, int table)
{
	lua_State *L = e->L;
	int type = lua_type(L, -1);
	switch (type) {
	case LUA_TSTRING: {
		size_t size;
		const char *text = lua_tolstring(L, -1, &size);
		return put_string(e, text, size);
	}
	case LUA_TNUMBER: return put_number(e, table);
	case LUA_TBOOLEAN: return lua_toboolean(L, -1) ? put_bytes(e, "true", 4) : put_bytes(e, "false", 5);
	case LUA_TTABLE: return put_table(e);
	case LUA_TUSERDATA: return put_userdata(e);
	case LUA_TLIGHTUSERDATA:
		if (lua_touserdata(L, -1) == NULL)
			return put_bytes(e, "null", 4);
		break;
	case LUA_TNIL: return fail(e, "nil has no JSON form");
	}
	return fail(e, "a %s has no JSON form", lua_typename(L, type));
}

static bool begin(struct encoder *e, lua_State *L, int index, struct buf *out)
{
	e->L = L;
	e->out = out;
	e->depth = 0;
	e->stop = watchdog_flag();
	e->path_at = sizeof e->path;
	e->path_cut = false;
	if (!lua_checkstack(L, JSON_ANCHORS + FRAME))
		return fail(e, "the Lua stack is full");
	lua_pushvalue(L, index);
	e->anchors = json_push_anchors(L, JSON_ANCHOR_NOTES + 1);
	e->array_metatable = lua_topointer(L, e->anchors + JSON_ANCHOR_ARRAY);
	e->number_metatable = lua_topointer(L, e->anchors + JSON_ANCHOR_NUMBER);
	e->notes = lua_istable(L, e->anchors + JSON_ANCHOR_NOTES);
	lua_pushvalue(L, e->anchors - 1);
	return true;
}

static bool finish(struct encoder *e, int top, bool good, struct json_error *error)
{
	lua_settop(e->L, top);
	if (e->out->data)
		e->out->data[e->out->size] = '\0';
	if (good || error == NULL)
		return good;
	const char *path = e->path + e->path_at;
	int length = (int)(sizeof e->path - e->path_at);
	if (length && *path == '.' && !e->path_cut) {
		path++;
		length--;
	}
	error->offset = 0;
	snprintf(error->message, sizeof error->message, "%.*s%s%s", length, path, length ? ": " : "",
	        e->reason);
	return false;
}

bool json_encode(lua_State *L, int index, struct buf *out, struct json_error *error)
{
	struct encoder e;
	int top = lua_gettop(L);
	bool good = begin(&e, L, index, out) && put_value(&e, 0);
	return finish(&e, top, good, error);
}

/* ---- stamped events ---- */

static bool put_stamp(struct encoder *e, const char *before, const char *value, const char *key)
{
	return put_bytes(e, before, strlen(before)) &&
	       (put_string(e, value, strlen(value)) || path_key(e, key, strlen(key)));
}

/* The meta object of the event at `event`, with the stamp's members in place of its own. */
static bool put_meta(struct encoder *e, int event, const struct json_stamp *stamp, size_t *id_at)
{
	static const char *const stamped[] = {"stream", "dt", "id", NULL};
	lua_State *L = e->L;
	lua_pushliteral(L, "meta");
	lua_rawget(L, event);
	int meta = lua_gettop(L);
	bool present = !lua_isnil(L, meta);
	if (present && (!lua_istable(L, meta) || is_list(e, meta)))
		return fail(e, "expected an object");
	if (!put_stamp(e, "{\"stream\":", stamp->stream, "stream") ||
	        !put_stamp(e, ",\"dt\":", stamp->dt, "dt") || !put_bytes(e, ",\"id\":", 6))
		return false;
	*id_at = e->out->size + 1;
	if (!put_stamp(e, "", stamp->id, "id"))
		return false;
	bool good = !present || put_members(e, meta, stamped, true);
	lua_settop(L, meta - 1);
	return good && put_byte(e, '}');
}

static bool put_event(struct encoder *e, const struct json_stamp *stamp, size_t *id_at)
{
	const char *const stamped[] = {"meta", stamp->schema ? "$schema" : NULL, NULL};
	int event = lua_gettop(e->L);
	if (!lua_istable(e->L, event) || is_list(e, event))
		return fail(e, "the event must be an object");
	if (!enter(e) || !put_byte(e, '{'))
		return false;
	if (stamp->schema && (!put_stamp(e, "\"$schema\":", stamp->schema, "$schema") || !put_byte(e, ',')))
		return false;
	if (!put_bytes(e, "\"meta\":", 7))
		return false;
	if (!put_meta(e, event, stamp, id_at))
		return path_key(e, "meta", 4);
	return put_members(e, event, stamped, true) && put_byte(e, '}');
}

bool json_encode_stamped(lua_State *L, int index, const struct json_stamp *stamp, struct buf *out,
        size_t *id_at, struct json_error *error)
{
	struct encoder e;
	int top = lua_gettop(L);
	bool good = begin(&e, L, index, out) && put_event(&e, stamp, id_at);
	return finish(&e, top, good, error);
}
