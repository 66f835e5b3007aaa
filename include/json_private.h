/* What the files of the JSON codec share: the state's anchors. */
#ifndef MILLRACE_JSON_PRIVATE_H
#define MILLRACE_JSON_PRIVATE_H

#include "json.h"

/* What a state keeps for the codec, as it lies on the stack after json_push_anchors. */
enum json_anchor {
	JSON_ANCHOR_ARRAY,   /* metatable of arrays */
	JSON_ANCHOR_NUMBER,  /* metatable of millrace.number */
	JSON_ANCHOR_NOTES,   /* {[table] = {[key] = text of its number}}, weak keys; false before the first */
	JSON_ANCHOR_SCRATCH, /* userdata: room for strings with escapes */
	JSON_ANCHOR_LIBRARY, /* userdata: limits of the library */
	JSON_ANCHORS,
};

/* Pushes the first `count` anchors; the answer is the stack index of the first. */
int json_push_anchors(lua_State *L, int count);
void json_set_anchor(lua_State *L, enum json_anchor which); /* to the value on top, which it pops */
/* Pushes a millrace.number; its metatable is at the stack index `metatable`. */
void json_push_number(lua_State *L, const char *text, size_t size, int metatable);
/* The text of the userdata at `index` if its metatable is this one, else NULL. */
const char *json_number_of(lua_State *L, int index, const void *metatable, size_t *size);

#endif
