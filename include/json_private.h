/* What the files of the JSON codec share: the scanner of strings, numbers as text, the state's anchors. */
#ifndef MILLRACE_JSON_PRIVATE_H
#define MILLRACE_JSON_PRIVATE_H

#include "json.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define JSON_NUMBER_MAX 4096 /* characters of one number's text */

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

enum json_number_kind {
	JSON_NUMBER_PLAIN, /* the encoder prints the double as this text */
	JSON_NUMBER_NOTED, /* it might print it otherwise: the text must be kept to stay as it is */
	JSON_NUMBER_EXACT, /* the double loses digits of an integer, or is infinite: only the text will do */
};

struct json_number {
	size_t size; /* characters; on an error: up to where it went wrong */
	double value;
	enum json_number_kind kind;
};

/* Reads the number that begins at `at`: NULL, or what is wrong with it. */
const char *json_number_scan(const unsigned char *at, const unsigned char *end, struct json_number *number);
/* <0, 0, >0: two number texts by value. */
int json_number_compare(const char *a, size_t a_size, const char *b, size_t b_size);
size_t json_print_integer(uint64_t value, char *to); /* at most 20 characters, no NUL */

/* Not 0 when any of eight bytes is a quote, a backslash, a control character or not ASCII. */
static inline uint64_t json_odd_bytes(uint64_t x)
{
	const uint64_t ones = UINT64_MAX / 255;
	uint64_t quote = x ^ (ones * '"'), backslash = x ^ (ones * '\\');
	return (x | (x - ones * ' ') | (quote - ones) | (backslash - ones)) & (ones * 0x80);
}

static inline bool json_is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/* The first byte that is not printable ASCII standing for itself in a JSON string; `end` when all are. */
static inline const unsigned char *json_plain_run(const unsigned char *at, const unsigned char *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
	while (end - at >= 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
		/* As signed bytes, control characters and all that is not ASCII are less than a space. */
		__m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, space),
		        _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash)));
		unsigned mask = (unsigned)_mm_movemask_epi8(odd);
		if (mask)
			return at + __builtin_ctz(mask);
		at += 16;
	}
#endif
	for (uint64_t x; end - at >= 8; at += 8) {
		memcpy(&x, at, 8);
		if (json_odd_bytes(x))
			break;
	}
	while (at < end && json_is_plain(*at))
		at++;
	return at;
}

/* As json_text_run, from a byte that is not ASCII. */
const unsigned char *json_utf8_run(const unsigned char *at, const unsigned char *end);

/* The first byte that cannot stand for itself in a JSON string (quote, backslash, control, not UTF-8), or
 * end. */
static inline const unsigned char *json_text_run(const unsigned char *at, const unsigned char *end)
{
	at = json_plain_run(at, end);
	return at == end || *at < 0x80 ? at : json_utf8_run(at, end);
}

#endif
