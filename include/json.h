/* JSON between bytes and Lua values, changing nothing that was not touched (RFC 8259, strict).
 *
 * Decoded shapes: objects are plain tables; arrays are tables with the array metatable (so that [] stays []);
 * strings are strings, any code point, NUL too; null is lightuserdata NULL (lua-cjson's null); numbers are
 * Lua numbers, but an integer that a Lua number would not print back digit for digit (beyond 2^53 most of
 * them) is a `millrace.number` userdata (tostring and .. give its digits; == < <= compare two of them by
 * value, never one with a Lua number; no arithmetic, no __gc). A decimal whose text the encoder might not
 * print the same way (1.0, 1e21, -0.0, 3.10) keeps that text beside its table in a weak side table, and the
 * encoder uses it as long as the number at that key is unchanged; a decimal that is the whole document, or
 * that a script copies elsewhere, keeps its value only. Duplicate keys of one object, lone surrogates,
 * invalid UTF-8, bare control characters, trailing bytes, NaN and numbers without a double (1e400 is kept as
 * millrace.number text) never pass silently. A number's text has at most 4096 characters.
 *
 * Encoding: a table with the array metatable is an array; a table without it is an array when its keys are
 * 1..n (n >= 1), else an object with string keys; integral doubles within 2^64 print all their digits, other
 * doubles 15, 16 or 17 (without zeros at the end), as many as it takes to read back the same, laid out as
 * ECMAScript does (0.000001, 1e-7, 1e+21).
 * Everything else is an error naming the path ("page.title: a function has no JSON form"), text that is not
 * UTF-8 and nesting beyond JSON_MAX_DEPTH (a table that contains itself) too. Metamethods are not asked.
 *
 * All functions that take a lua_State may raise a Lua error for want of memory only (LUA_ERRMEM): call them
 * in a protected call. They need a few stack slots and leave the stack as said. */
#ifndef MILLRACE_JSON_H
#define MILLRACE_JSON_H

#include "buf.h"
#include "json_text.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Prepares a state: array metatable, number type, side table. Once per lua_State. */
void json_open(lua_State *L);
/* Pushes the value and answers true, or pushes nothing, fills error (may be NULL) and answers false. */
bool json_decode(lua_State *L, const char *data, size_t size, const struct json_limits *limits,
        struct json_error *error);
/* Appends the value at `index`. On false, `out` holds a part that the caller drops (out->full: the cap). */
bool json_encode(lua_State *L, int index, struct buf *out, struct json_error *error);

/* What the engine writes over an event's own members while encoding (never into the Lua table). */
struct json_stamp {
	const char *schema; /* value of "$schema", NULL = keep the event's */
	const char *stream; /* value of meta.stream; never NULL */
	const char *dt;     /* value of meta.dt; never NULL */
	const char *id;     /* value of meta.id, 36 characters; never NULL */
};
/* As json_encode, for an event (an object; its meta, where present, an object; meta is made where absent).
 * *id_at gets the offset in `out` of the 36 characters of meta.id, so that the caller can overwrite them. */
bool json_encode_stamped(lua_State *L, int index, const struct json_stamp *stamp, struct buf *out,
        size_t *id_at, struct json_error *error);

/* Does the table at `index` carry the array metatable? false for anything else. */
bool json_is_array(lua_State *L, int index);
/* Gives the table at `index` the array metatable, in place of any other. */
void json_tag_array(lua_State *L, int index);
/* The text of the millrace.number at `index`, which owns it; NULL when there is something else. */
const char *json_number_text(lua_State *L, int index, size_t *size);

/* Pushes the library table that scripts see as millrace.json: decode(text), encode(value), array(table?),
 * is_array(value), null, number(text). Errors are Lua errors with a message. number(text) is what encodes as
 * exactly that text: a Lua number where that prints so, else a millrace.number. is_array(value): would it be
 * encoded as an array? array(table) refuses a table that has a metatable of its own. */
void json_library(lua_State *L);
/* What the library's decode and encode allow: by default depth 128, any number of values, 64 MiB of text (a
 * table that is referred to often encodes to far more than it holds). max_text 0 = that default. */
void json_library_limits(lua_State *L, const struct json_limits *limits, size_t max_text);

#endif
