/* JSON text without Lua: strings and numbers as they stand there (RFC 8259), limits, where a text went wrong.
 *
 * What the codec (json.h) and the tree (jsontree.h) share. */
#ifndef MILLRACE_JSON_TEXT_H
#define MILLRACE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define JSON_MAX_DEPTH 1000  /* of every document, decoded or encoded */
#define JSON_NUMBER_TEXT 32  /* room for the text of any double */
#define JSON_NUMBER_MAX 4096 /* characters of one number's text */

struct json_limits {
	unsigned depth; /* most nested arrays and objects; 0 = 128, never more than JSON_MAX_DEPTH */
	size_t values;  /* most values in one document; 0 = any number (up to 40 bytes of heap per byte of
	                   text) */
};

struct json_error {
	size_t offset;     /* byte offset where it went wrong (decode) */
	char message[200]; /* without the offset: "expected ',' or '}'", "duplicate key \"a\"" */
};

/* ---- numbers ---- */

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
/* The grammar alone: NULL and how many characters it has, and whether with a fraction or an exponent; or what
 * is wrong at which character. */
const char *json_number_span(
        const unsigned char *at, const unsigned char *end, size_t *size, bool *fractional);

/* A number's exact value: 0.digits times 10^point. The exponent is kept within +-10^9. */
struct json_magnitude {
	bool negative;
	int64_t point;
	size_t count; /* of digits, without zeros at either end; 0: the number is zero */
	char digits[JSON_NUMBER_MAX];
};

/* Of a text that has been scanned. */
void json_number_measure(const char *text, size_t size, struct json_magnitude *magnitude);
/* <0, 0, >0: two number texts by value. */
int json_number_compare(const char *a, size_t a_size, const char *b, size_t b_size);
size_t json_print_integer(uint64_t value, char *to); /* at most 20 characters, no NUL */
/* A double as the encoder prints it, with a NUL behind it: the length, or 0 for NaN and infinities. */
size_t json_print_number(double value, char text[JSON_NUMBER_TEXT]);

/* ---- strings ---- */

/* What each byte means as a hexadecimal digit, +1; 0 when it is none. */
extern const unsigned char json_hex[256];
/* What a backslash with this byte stands for; 0 for \u and for what is no escape. */
extern const char json_simple_escape[256];

#define JSON_NO_HEX 0x10000U

/* The UTF-16 unit that four hexadecimal digits stand for, or JSON_NO_HEX. */
static inline unsigned json_hex_unit(const unsigned char *at)
{
	if (!json_hex[at[0]] || !json_hex[at[1]] || !json_hex[at[2]] || !json_hex[at[3]])
		return JSON_NO_HEX;
	return (json_hex[at[0]] - 1U) << 12 | (json_hex[at[1]] - 1U) << 8 | (json_hex[at[2]] - 1U) << 4 |
	       (json_hex[at[3]] - 1U);
}

static inline char *json_put_utf8(char *to, unsigned code)
{
	if (code < 0x80) {
		*to++ = (char)code;
		return to;
	}
	if (code < 0x800) {
		*to++ = (char)(0xC0 | code >> 6);
	} else {
		if (code < 0x10000) {
			*to++ = (char)(0xE0 | code >> 12);
		} else {
			*to++ = (char)(0xF0 | code >> 18);
			*to++ = (char)(0x80 | (code >> 12 & 0x3F));
		}
		*to++ = (char)(0x80 | (code >> 6 & 0x3F));
	}
	*to++ = (char)(0x80 | (code & 0x3F));
	return to;
}

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
