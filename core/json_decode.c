/* JSON text to Lua values, in one pass.
 *
 * The members of an array or object wait on the Lua stack until it ends, so that its table is made once and
 * in the right size; a long one, or one with a number whose text is noted, gets its table early and grows. */
#include "json_private.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>

#define WAITING 32              /* most members of one container that wait on the stack */
#define WAITING_SLOTS 2048      /* most slots of all containers together: the stack has 8000 */
#define FRAME (2 * WAITING + 8) /* slots that one container may need */
#define SCRATCH_KEPT (1024 * 1024)
#define SLACK 16 /* bytes of scratch that may be written beyond what is needed */

struct decoder {
	lua_State *L;
	const unsigned char *start, *at, *end;
	int anchors; /* stack index of the first */
	char *scratch;
	char *scratch_end;
	unsigned depth, max_depth;
	size_t values;    /* that may still come */
	size_t waiting;   /* slots */
	const char *note; /* text of the number just decoded, when its container must keep it; else NULL */
	size_t note_size;
	struct json_error *error;
};

struct container {
	int first; /* stack index of its table, or of the first member that waits */
	int count; /* members */
	bool array, made;
	const char *keys[WAITING]; /* of the members that wait: interned, so a pointer is an identity */
};

__attribute__((format(printf, 3, 4))) static bool fail(
        struct decoder *d, const unsigned char *at, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(d->error->message, sizeof d->error->message, format, args);
	va_end(args);
	d->error->offset = (size_t)(at - d->start);
	return false;
}

static inline void skip_space(struct decoder *d)
{
	while (d->at < d->end && *d->at <= ' ' &&
	        (*d->at == ' ' || *d->at == '\n' || *d->at == '\r' || *d->at == '\t'))
		d->at++;
}

/* ---- strings ---- */

/* Where the string that begins at `at` ends, or the text: the first quote without a backslash of its own. */
static const unsigned char *string_end(const unsigned char *at, const unsigned char *end)
{
	const unsigned char *quote = at;
	while ((quote = memchr(quote, '"', (size_t)(end - quote))) != NULL) {
		const unsigned char *before = quote;
		while (before > at && before[-1] == '\\')
			before--;
		if ((quote - before) % 2 == 0)
			return quote;
		quote++;
	}
	return end;
}

/* Makes the scratch as large as the string at `at`: no escape is shorter than what it means. As large as the
 * rest of the text where that is little, so that its many strings need not all be measured. */
static void scratch_reserve(struct decoder *d, const unsigned char *at)
{
	size_t need = (size_t)(d->end - at) + SLACK;
	if (need > SCRATCH_KEPT)
		need = (size_t)(string_end(at, d->end) - at) + SLACK;
	if (need <= (size_t)(d->scratch_end - d->scratch))
		return;
	d->scratch = lua_newuserdata(d->L, need);
	d->scratch_end = d->scratch + need;
	lua_replace(d->L, d->anchors + JSON_ANCHOR_SCRATCH);
}

/* Escapes in a row, but those that want a closer look: surrogates, mistakes, the last of the text. */
static const unsigned char *take_escapes(const unsigned char *at, const unsigned char *end, char **to)
{
	char *out = *to;
	while (end - at >= 6 && at[0] == '\\') {
		if (json_simple_escape[at[1]]) {
			*out++ = json_simple_escape[at[1]];
			at += 2;
			continue;
		}
		unsigned unit = json_hex_unit(at + 2);
		if (at[1] != 'u' || unit == JSON_NO_HEX || (unit & 0xF800) == 0xD800)
			break;
		out = json_put_utf8(out, unit);
		at += 6;
	}
	*to = out;
	return at;
}

static bool decode_unit(struct decoder *d, unsigned *unit)
{
	*unit = d->end - d->at < 4 ? JSON_NO_HEX : json_hex_unit(d->at);
	if (*unit == JSON_NO_HEX)
		return fail(d, d->at, "expected four hexadecimal digits after \\u");
	d->at += 4;
	return true;
}

/* What \u begins: a code point, or the first half of a surrogate pair with its other half behind it. */
static bool decode_code_point(struct decoder *d, unsigned *code)
{
	const unsigned char *escape = d->at - 2;
	unsigned low;
	if (!decode_unit(d, code))
		return false;
	if (*code < 0xD800 || *code > 0xDFFF)
		return true;
	if (*code > 0xDBFF || d->end - d->at < 6 || d->at[0] != '\\' || d->at[1] != 'u')
		return fail(d, escape, "lone surrogate \\u%04x: it stands for no character", *code);
	d->at += 2;
	if (!decode_unit(d, &low))
		return false;
	if (low < 0xDC00 || low > 0xDFFF)
		return fail(d, escape, "lone surrogate \\u%04x: it stands for no character", *code);
	*code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

/* The escape at d->at; *to moves behind what it stands for. */
static bool decode_escape(struct decoder *d, char **to)
{
	const unsigned char *escape = d->at;
	unsigned code;
	if (d->end - escape < 2)
		return fail(d, d->end, "the text ends inside a string");
	d->at += 2;
	if (json_simple_escape[escape[1]])
		code = (unsigned char)json_simple_escape[escape[1]];
	else if (escape[1] != 'u')
		return fail(d, escape, "unknown escape in a string");
	else if (!decode_code_point(d, &code))
		return false;
	*to = json_put_utf8(*to, code);
	return true;
}

static bool refuse_byte(struct decoder *d, const unsigned char *at)
{
	if (at == d->end)
		return fail(d, at, "the text ends inside a string");
	if (*at < ' ')
		return fail(d, at, "control character 0x%02x in a string: write it as \\u%04x", *at, *at);
	return fail(d, at, "not UTF-8: byte 0x%02x", *at);
}

/* Short runs between escapes are the rule in page text: copy 16 bytes blindly where both sides have them. */
static inline char *copy_run(
        char *to, const unsigned char *from, const unsigned char *stop, const unsigned char *end)
{
	if (stop - from <= SLACK && end - from >= SLACK)
		memcpy(to, from, SLACK);
	else
		memcpy(to, from, (size_t)(stop - from));
	return to + (stop - from);
}

/* A string with an escape: `start` is its first byte, `stop` the first that does not stand for itself. */
static bool decode_escaped(struct decoder *d, const unsigned char *start, const unsigned char *stop)
{
	if (stop == d->end || *stop != '\\')
		return refuse_byte(d, stop);
	if (d->end - start > d->scratch_end - d->scratch - SLACK)
		scratch_reserve(d, start);
	char *to = d->scratch;
	for (;;) {
		to = copy_run(to, start, stop, d->end);
		d->at = take_escapes(stop, d->end, &to);
		if (d->at < d->end && *d->at == '\\' && !decode_escape(d, &to))
			return false;
		start = d->at;
		stop = json_text_run(start, d->end);
		if (stop == d->end || *stop != '\\')
			break;
	}
	if (stop == d->end || *stop != '"')
		return refuse_byte(d, stop);
	to = copy_run(to, start, stop, d->end);
	d->at = stop + 1;
	lua_pushlstring(d->L, d->scratch, (size_t)(to - d->scratch));
	return true;
}

static bool decode_string(struct decoder *d)
{
	const unsigned char *start = d->at + 1, *stop = json_text_run(start, d->end);
	if (stop == d->end || *stop != '"')
		return decode_escaped(d, start, stop);
	d->at = stop + 1;
	lua_pushlstring(d->L, (const char *)start, (size_t)(stop - start));
	return true;
}

/* ---- numbers ---- */

static bool decode_number(struct decoder *d)
{
	struct json_number number;
	const char *problem = json_number_scan(d->at, d->end, &number);
	if (problem)
		return fail(d, d->at + number.size, "%s", problem);
	const char *text = (const char *)d->at;
	d->at += number.size;
	if (number.kind == JSON_NUMBER_EXACT) {
		json_push_number(d->L, text, number.size, d->anchors + JSON_ANCHOR_NUMBER);
		return true;
	}
	lua_pushnumber(d->L, number.value);
	if (number.kind == JSON_NUMBER_NOTED) {
		d->note = text;
		d->note_size = number.size;
	}
	return true;
}

/* Most numbers are short integers. */
static bool decode_integer(struct decoder *d)
{
	const unsigned char *at = d->at, *end = d->end - at > 15 ? at + 15 : d->end;
	uint64_t value = 0;
	if (*at == '0')
		return decode_number(d);
	for (; at < end && (unsigned)*at - '0' < 10; at++)
		value = value * 10 + (*at - '0');
	if (at == end || *at == '.' || (*at | 0x20) == 'e')
		return decode_number(d);
	d->at = at;
	lua_pushnumber(d->L, (double)value);
	return true;
}

static void make_notes(struct decoder *d)
{
	lua_State *L = d->L;
	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushliteral(L, "k");
	lua_setfield(L, -2, "__mode");
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	json_set_anchor(L, JSON_ANCHOR_NOTES);
	lua_replace(L, d->anchors + JSON_ANCHOR_NOTES);
}

/* Keeps d->note for the key on top, which it pops, of the table at `table`. */
static void keep_note(struct decoder *d, int table)
{
	lua_State *L = d->L;
	int notes = d->anchors + JSON_ANCHOR_NOTES;
	if (!lua_istable(L, notes))
		make_notes(d);
	lua_pushvalue(L, table);
	lua_rawget(L, notes);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, table);
		lua_pushvalue(L, -2);
		lua_rawset(L, notes);
	}
	lua_insert(L, -2);
	lua_pushlstring(L, d->note, d->note_size);
	lua_rawset(L, -3);
	lua_pop(L, 1);
	d->note = NULL;
}

/* ---- arrays and objects ---- */

static bool decode_value(struct decoder *d);

static bool enter(struct decoder *d, struct container *c, bool array)
{
	if (d->depth == d->max_depth || !lua_checkstack(d->L, FRAME))
		return fail(d, d->at, "nested deeper than %u levels", d->depth);
	d->depth++;
	d->at++;
	c->first = lua_gettop(d->L) + 1;
	c->count = 0;
	c->array = array;
	c->made = false;
	skip_space(d);
	return true;
}

/* The table, from the members that wait. */
static void make_table(struct decoder *d, struct container *c, int more)
{
	lua_State *L = d->L;
	lua_createtable(L, c->array ? c->count + more : 0, c->array ? 0 : c->count + more);
	if (c->array) {
		lua_pushvalue(L, d->anchors + JSON_ANCHOR_ARRAY);
		lua_setmetatable(L, -2);
	}
	lua_insert(L, c->first);
	for (int i = c->count; i > 0; i--) {
		if (c->array)
			lua_rawseti(L, c->first, i);
		else
			lua_rawset(L, c->first);
	}
	d->waiting -= (size_t)(c->array ? c->count : 2 * c->count);
	c->made = true;
}

static inline void make_table_when_due(struct decoder *d, struct container *c)
{
	if (c->count == WAITING || d->waiting >= WAITING_SLOTS)
		make_table(d, c, c->count);
	else if (d->note)
		make_table(d, c, 0);
}

static void leave(struct decoder *d, struct container *c)
{
	d->at++;
	d->depth--;
	if (!c->made)
		make_table(d, c, 0);
}

static bool decode_array(struct decoder *d)
{
	struct container c;
	if (!enter(d, &c, true))
		return false;
	if (d->at < d->end && *d->at == ']') {
		leave(d, &c);
		return true;
	}
	for (;; d->at++) {
		if (!decode_value(d))
			return false;
		c.count++;
		if (c.made) {
			lua_rawseti(d->L, c.first, c.count);
		} else {
			d->waiting++;
			make_table_when_due(d, &c);
		}
		if (d->note) {
			lua_pushinteger(d->L, c.count);
			keep_note(d, c.first);
		}
		skip_space(d);
		if (d->at == d->end || *d->at != ',')
			break;
	}
	if (d->at == d->end || *d->at != ']')
		return fail(d, d->at, "expected ',' or ']'");
	leave(d, &c);
	return true;
}

/* Is the key on top in the object already? */
static bool is_duplicate(struct decoder *d, const struct container *c, const char *key)
{
	if (!c->made) {
		bool found = false;
		for (int i = 0; i < c->count; i++)
			found |= c->keys[i] == key;
		return found;
	}
	lua_pushvalue(d->L, -1);
	lua_rawget(d->L, c->first);
	bool found = !lua_isnil(d->L, -1);
	lua_pop(d->L, 1);
	return found;
}

static bool refuse_duplicate(struct decoder *d, const unsigned char *at)
{
	size_t size;
	const char *key = lua_tolstring(d->L, -1, &size);
	char shown[64];
	size_t length = 0;
	for (; length < size && length < sizeof shown - 1; length++)
		shown[length] = (unsigned char)key[length] < ' ' ? '?' : key[length];
	if (length < size) /* cut between characters */
		while (length && ((unsigned char)key[length] & 0xC0) == 0x80)
			length--;
	return fail(d, at, "duplicate key \"%.*s\"%s", (int)length, shown, length < size ? "..." : "");
}

static bool decode_key(struct decoder *d, struct container *c, const char **key, size_t *size)
{
	const unsigned char *at = d->at;
	if (at == d->end || *at != '"')
		return fail(d, at, "expected a key in double quotes");
	if (!decode_string(d))
		return false;
	*key = lua_tolstring(d->L, -1, size);
	if (is_duplicate(d, c, *key))
		return refuse_duplicate(d, at);
	skip_space(d);
	if (d->at == d->end || *d->at != ':')
		return fail(d, d->at, "expected ':'");
	d->at++;
	return true;
}

static bool decode_member(struct decoder *d, struct container *c)
{
	const char *key = NULL;
	size_t size = 0;
	if (!decode_key(d, c, &key, &size) || !decode_value(d))
		return false;
	if (c->made) {
		lua_rawset(d->L, c->first);
		c->count++;
	} else {
		c->keys[c->count++] = key;
		d->waiting += 2;
		make_table_when_due(d, c);
	}
	if (d->note) {
		lua_pushlstring(d->L, key, size);
		keep_note(d, c->first);
	}
	return true;
}

static bool decode_object(struct decoder *d)
{
	struct container c;
	if (!enter(d, &c, false))
		return false;
	if (d->at < d->end && *d->at == '}') {
		leave(d, &c);
		return true;
	}
	for (;; d->at++) {
		skip_space(d);
		if (!decode_member(d, &c))
			return false;
		skip_space(d);
		if (d->at == d->end || *d->at != ',')
			break;
	}
	if (d->at == d->end || *d->at != '}')
		return fail(d, d->at, "expected ',' or '}'");
	leave(d, &c);
	return true;
}

/* ---- values ---- */

static bool decode_word(struct decoder *d, const char *word, size_t size)
{
	if ((size_t)(d->end - d->at) < size || memcmp(d->at, word, size) != 0)
		return fail(d, d->at, "expected a value");
	d->at += size;
	if (*word == 'n')
		lua_pushlightuserdata(d->L, NULL);
	else
		lua_pushboolean(d->L, *word == 't');
	return true;
}

static bool decode_value(struct decoder *d)
{
	skip_space(d);
	if (d->at == d->end)
		return fail(d, d->at, "expected a value, but the text ends");
	if (d->values-- == 0)
		return fail(d, d->at, "too many values in one document");
	if ((unsigned)*d->at - '0' < 10)
		return decode_integer(d);
	switch (*d->at) {
	case '"': return decode_string(d);
	case '{': return decode_object(d);
	case '[': return decode_array(d);
	case 't': return decode_word(d, "true", 4);
	case 'f': return decode_word(d, "false", 5);
	case 'n': return decode_word(d, "null", 4);
	case '-': return decode_number(d);
	default: return fail(d, d->at, "expected a value");
	}
}

static bool decode_document(struct decoder *d)
{
	if (d->end - d->at >= 3 && memcmp(d->at, "\xEF\xBB\xBF", 3) == 0)
		return fail(d, d->at, "a byte order mark is not JSON");
	if (!decode_value(d))
		return false;
	skip_space(d);
	if (d->at < d->end)
		return fail(d, d->at, "expected the end of the text");
	return true;
}

bool json_decode(lua_State *L, const char *data, size_t size, const struct json_limits *limits,
        struct json_error *error)
{
	const unsigned char *start = (const unsigned char *)(data ? data : "");
	unsigned depth = limits && limits->depth ? limits->depth : 128;
	struct json_error unread;
	if (!lua_checkstack(L, FRAME)) {
		snprintf((error ? error : &unread)->message, sizeof unread.message, "the Lua stack is full");
		return false;
	}
	int top = lua_gettop(L);
	int anchors = json_push_anchors(L, JSON_ANCHOR_SCRATCH + 1);
	struct decoder d = {
	        .L = L,
	        .start = start,
	        .at = start,
	        .end = start + size,
	        .anchors = anchors,
	        .scratch = lua_touserdata(L, anchors + JSON_ANCHOR_SCRATCH),
	        .max_depth = depth < JSON_MAX_DEPTH ? depth : JSON_MAX_DEPTH,
	        .values = limits && limits->values ? limits->values : SIZE_MAX,
	        .error = error ? error : &unread,
	};
	char *scratch = d.scratch;
	d.scratch_end = scratch + lua_objlen(L, anchors + JSON_ANCHOR_SCRATCH);
	bool good = decode_document(&d);
	if (d.scratch != scratch && d.scratch_end - d.scratch <= SCRATCH_KEPT) {
		lua_pushvalue(L, anchors + JSON_ANCHOR_SCRATCH);
		json_set_anchor(L, JSON_ANCHOR_SCRATCH);
	}
	if (good)
		lua_replace(L, top + 1);
	lua_settop(L, good ? top + 1 : top);
	return good;
}
