/* What stands in JSON strings: escapes, and UTF-8 sixteen bytes at a time.
 *
 * A block is compared as a whole; each question becomes a mask with one bit per byte. A sequence is
 * well-formed (RFC 3629 §4) when the continuation bytes are exactly where the lead bytes before them say, and
 * the second byte lies in its lead's range. Bits shifted out of a block's mask are what the next one must
 * begin with. */
#include "json_text.h"

/* clang-format off */
const unsigned char json_hex[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
	['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

const char json_simple_escape[256] = {
	['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};
/* clang-format on */

/* Length of the well-formed sequence of two to four bytes at `at`, 0 when there is none. */
static size_t sequence(const unsigned char *at, size_t left)
{
	unsigned c = at[0];
	if (left < 2 || (at[1] & 0xC0) != 0x80)
		return 0;
	if (c < 0xE0)
		return c >= 0xC2 ? 2 : 0;
	if (left < 3 || (at[2] & 0xC0) != 0x80)
		return 0;
	if (c < 0xF0)
		return (c == 0xE0 && at[1] < 0xA0) || (c == 0xED && at[1] > 0x9F) ? 0 : 3;
	if (left < 4 || (at[3] & 0xC0) != 0x80 || c > 0xF4)
		return 0;
	return (c == 0xF0 && at[1] < 0x90) || (c == 0xF4 && at[1] > 0x8F) ? 0 : 4;
}

#ifdef __SSE2__

static inline __m128i equal(__m128i x, int byte)
{
	return _mm_cmpeq_epi8(x, _mm_set1_epi8((char)byte));
}

static inline __m128i at_least(__m128i x, int byte)
{
	return _mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8((char)byte)), x);
}

static inline unsigned mask_of(__m128i x)
{
	return (unsigned)_mm_movemask_epi8(x);
}

/* Bytes that end a run: quote, backslash, control. */
static inline unsigned stops(__m128i x)
{
	__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1F)), x);
	return mask_of(_mm_or_si128(control, _mm_or_si128(equal(x, '"'), equal(x, '\\'))));
}

/* Lead bytes that never occur, or whose second byte (in `next`) is out of their range. */
static inline unsigned misled(__m128i x, __m128i next, unsigned lead3, unsigned lead4)
{
	__m128i bad = equal(_mm_and_si128(x, _mm_set1_epi8((char)0xFE)), 0xC0);
	if (lead3) {
		__m128i high = at_least(next, 0xA0);
		bad = _mm_or_si128(bad, _mm_andnot_si128(high, equal(x, 0xE0)));
		bad = _mm_or_si128(bad, _mm_and_si128(high, equal(x, 0xED)));
	}
	if (lead4) {
		__m128i high = at_least(next, 0x90);
		bad = _mm_or_si128(bad, _mm_andnot_si128(high, equal(x, 0xF0)));
		bad = _mm_or_si128(bad, _mm_and_si128(high, equal(x, 0xF4)));
		bad = _mm_or_si128(bad, at_least(x, 0xF5));
	}
	return mask_of(bad);
}

/* The lead byte of the sequence that `at` may be within or right behind. */
static const unsigned char *step_back(const unsigned char *at, const unsigned char *start)
{
	for (int i = 1; i <= 3 && at - i >= start && at[-i] >= 0x80; i++)
		if (at[-i] >= 0xC0)
			return at - i;
	return at;
}

/* Skips whole blocks; the answer is a stop, or the beginning of a sequence that wants a closer look. */
static const unsigned char *skip_blocks(const unsigned char *start, const unsigned char *end)
{
	const unsigned char *at = start;
	unsigned expected = 0; /* continuation bytes of the block, by the lead bytes before them */
	for (; end - at > 16; at += 16, expected >>= 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
		unsigned stop = stops(x), high = mask_of(x), bad = 0;
		if (high | expected) {
			__m128i next = _mm_loadu_si128((const __m128i *)(const void *)(at + 1));
			unsigned lead = mask_of(at_least(x, 0xC0)), lead3 = mask_of(at_least(x, 0xE0));
			unsigned lead4 = lead3 ? mask_of(at_least(x, 0xF0)) : 0;
			expected |= lead << 1 | lead3 << 2 | lead4 << 3;
			bad = misled(x, next, lead3, lead4) | ((expected ^ (high & ~lead)) & 0xFFFF);
		}
		if (stop | bad) {
			at += __builtin_ctz(stop | bad);
			return (bad & (stop ^ (stop - 1))) ? step_back(at, start) : at;
		}
	}
	return step_back(at, start);
}

#else

static const unsigned char *skip_blocks(const unsigned char *start, const unsigned char *end)
{
	(void)end;
	return start;
}

#endif

const unsigned char *json_utf8_run(const unsigned char *at, const unsigned char *end)
{
	at = skip_blocks(at, end);
	while (at < end) {
		size_t size = json_is_plain(*at) ? 1 : *at < 0x80 ? 0 : sequence(at, (size_t)(end - at));
		if (size == 0)
			break;
		at += size;
	}
	return at;
}
