/* Numbers between JSON text and double: which texts a double prints back, and which must be kept. */
#include "json_text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EXACT_POWERS 22 /* the highest power of ten that a double holds exactly */
#define EXACT_DIGITS 15 /* any decimal of so many digits survives the way through a (normal) double */

_Static_assert(FLT_EVAL_METHOD == 0, "the short ways below need plain double arithmetic");

static const double POWER[EXACT_POWERS + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct scan {
	const unsigned char *at, *end;
	uint64_t mantissa; /* the first 19 significant digits */
	size_t digits;     /* significant ones, from the first that is not 0 */
	size_t fraction;   /* digits behind the point */
	int64_t exponent;  /* as written, kept within +-10^9 */
	bool negative, decimal, exponential;
};

/* strtod reads a decimal comma where the process was told so. */
static double read_double(const char *text)
{
	static locale_t c_locale;
	if (c_locale == (locale_t)0)
		c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	return strtod_l(text, NULL, c_locale);
}

/* ---- printing ---- */

size_t json_print_integer(uint64_t value, char *to)
{
	static const char pairs[] =
	        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940"
	        "4142434445464748495051525354555657585960616263646566676869707172737475767778798081"
	        "828384858687888990919293949596979899";
	char digits[20];
	size_t at = sizeof digits;
	for (; value >= 100; value /= 100)
		memcpy(digits + (at -= 2), pairs + 2 * (value % 100), 2);
	if (value >= 10)
		memcpy(digits + (at -= 2), pairs + 2 * value, 2);
	else
		digits[--at] = (char)('0' + value);
	memcpy(to, digits + at, sizeof digits - at);
	return sizeof digits - at;
}

static size_t put_exponential(const char *digits, int count, int exponent, char *to)
{
	char *start = to;
	*to++ = digits[0];
	if (count > 1) {
		*to++ = '.';
		memcpy(to, digits + 1, (size_t)count - 1);
		to += count - 1;
	}
	*to++ = 'e';
	*to++ = exponent < 0 ? '-' : '+';
	to += json_print_integer((uint64_t)abs(exponent), to);
	return (size_t)(to - start);
}

/* ECMAScript's Number::toString (RFC 8785 §3.2.2.3): 0.digits times 10^point. */
static size_t put_decimal(const char *digits, int count, int point, char *to)
{
	char *start = to;
	if (point > 21 || point <= -6)
		return put_exponential(digits, count, point - 1, to);
	if (point <= 0) {
		*to++ = '0';
		*to++ = '.';
		memset(to, '0', (size_t)-point);
		to += -point;
		memcpy(to, digits, (size_t)count);
		return (size_t)(to + count - start);
	}
	int whole = point < count ? point : count;
	memcpy(to, digits, (size_t)whole);
	to += whole;
	if (point < count) {
		*to++ = '.';
		memcpy(to, digits + whole, (size_t)(count - whole));
		return (size_t)(to + count - whole - start);
	}
	memset(to, '0', (size_t)(point - count));
	return (size_t)(to + point - count - start);
}

/* At most 15 digits: if n / 10^k is the double, n is its only text of so few digits. 0 when there is none. */
static size_t print_few_digits(double value, char *to)
{
	if (value < 1e-6 || value >= 1e15)
		return 0;
	for (int k = 1; k <= EXACT_POWERS; k++) {
		double scaled = value * POWER[k];
		if (scaled >= 1e15)
			return 0;
		int64_t n = (int64_t)(scaled + 0.5);
		if ((double)n / POWER[k] == value) {
			char digits[20];
			int count = (int)json_print_integer((uint64_t)n, digits);
			return put_decimal(digits, count, count - k, to);
		}
	}
	return 0;
}

static size_t print_with_digits(double value, int precision, char *to)
{
	char raw[40], digits[20];
	int count = 0, at = 0;
	snprintf(raw, sizeof raw, "%.*e", precision - 1, value);
	for (; raw[at] != 'e'; at++) /* what is no digit is the point, in whatever script */
		if (raw[at] >= '0' && raw[at] <= '9')
			digits[count++] = raw[at];
	while (count > 1 && digits[count - 1] == '0')
		count--;
	size_t size = put_decimal(digits, count, atoi(raw + at + 1) + 1, to);
	to[size] = '\0';
	return size;
}

static size_t print_shortest(double value, char *to)
{
	size_t size = print_few_digits(value, to);
	int precision = value < DBL_MIN ? 1 : EXACT_DIGITS;
	while (size == 0) {
		size = print_with_digits(value, precision, to);
		if (precision++ < DBL_DECIMAL_DIG && read_double(to) != value)
			size = 0;
	}
	return size;
}

size_t json_print_number(double value, char text[JSON_NUMBER_TEXT])
{
	char *to = text;
	*to = '\0';
	if (!isfinite(value))
		return 0;
	if (signbit(value)) {
		*to++ = '-';
		value = -value;
	}
	if (value < 0x1p64 && value == (double)(uint64_t)value)
		to += json_print_integer((uint64_t)value, to);
	else
		to += print_shortest(value, to);
	*to = '\0';
	return (size_t)(to - text);
}

/* ---- reading ---- */

static bool is_digit(const struct scan *s)
{
	return s->at < s->end && (unsigned)*s->at - '0' < 10;
}

static size_t scan_digits(struct scan *s)
{
	const unsigned char *start = s->at;
	for (; is_digit(s); s->at++) {
		unsigned digit = *s->at - '0';
		if (s->digits == 0 && digit == 0)
			continue;
		if (s->digits++ < 19)
			s->mantissa = s->mantissa * 10 + digit;
	}
	return (size_t)(s->at - start);
}

static const char *scan_exponent(struct scan *s)
{
	s->exponential = true;
	s->at++;
	bool negative = s->at < s->end && *s->at == '-';
	if (s->at < s->end && (*s->at == '-' || *s->at == '+'))
		s->at++;
	if (!is_digit(s))
		return "expected a digit of the exponent";
	for (; is_digit(s); s->at++)
		if (s->exponent < 100000000)
			s->exponent = s->exponent * 10 + (*s->at - '0');
	if (negative)
		s->exponent = -s->exponent;
	return NULL;
}

static const char *scan_grammar(struct scan *s)
{
	s->negative = s->at < s->end && *s->at == '-';
	s->at += s->negative;
	if (!is_digit(s))
		return "expected a digit";
	bool zero = *s->at == '0';
	if (scan_digits(s) > 1 && zero)
		return "a number must not begin with 0";
	if (s->at < s->end && *s->at == '.') {
		s->decimal = true;
		s->at++;
		s->fraction = scan_digits(s);
		if (s->fraction == 0)
			return "expected a digit after the decimal point";
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E'))
		return scan_exponent(s);
	return NULL;
}

static double value_of(const struct scan *s, const unsigned char *text, size_t size)
{
	int64_t power = s->exponent - (int64_t)s->fraction;
	double value;
	if (s->digits <= EXACT_DIGITS && power >= -EXACT_POWERS && power <= EXACT_POWERS) {
		value = (double)s->mantissa;
		value = power < 0 ? value / POWER[-power] : value * POWER[power];
		return s->negative ? -value : value;
	}
	char copy[JSON_NUMBER_MAX + 1];
	memcpy(copy, text, size);
	copy[size] = '\0';
	return read_double(copy);
}

static bool prints_as(double value, const unsigned char *text, size_t size)
{
	char printed[JSON_NUMBER_TEXT];
	return json_print_number(value, printed) == size && memcmp(printed, text, size) == 0;
}

static void weigh_integer(const struct scan *s, const unsigned char *text, struct json_number *number)
{
	bool same;
	if (s->digits < 20) {
		double value = (double)s->mantissa;
		same = value < 0x1p64 && (uint64_t)value == s->mantissa;
		number->value = s->negative ? -value : value;
	} else {
		number->value = value_of(s, text, number->size);
		same = prints_as(number->value, text, number->size);
	}
	number->kind = same ? JSON_NUMBER_PLAIN : JSON_NUMBER_EXACT;
}

static void weigh_decimal(const struct scan *s, const unsigned char *text, struct json_number *number)
{
	number->value = value_of(s, text, number->size);
	if (isinf(number->value))
		number->kind = JSON_NUMBER_EXACT;
	else if (!s->exponential && s->digits <= EXACT_DIGITS && text[number->size - 1] != '0' &&
	         s->fraction < s->digits + 6)
		number->kind = JSON_NUMBER_PLAIN;
	else
		number->kind = JSON_NUMBER_NOTED;
}

const char *json_number_scan(const unsigned char *at, const unsigned char *end, struct json_number *number)
{
	struct scan s = {.at = at, .end = end};
	const char *problem = scan_grammar(&s);
	number->size = (size_t)(s.at - at);
	if (problem == NULL && number->size > JSON_NUMBER_MAX)
		problem = "a number has more than 4096 characters";
	if (problem)
		return problem;
	if (s.decimal || s.exponential)
		weigh_decimal(&s, at, number);
	else
		weigh_integer(&s, at, number);
	return NULL;
}

const char *json_number_span(
        const unsigned char *at, const unsigned char *end, size_t *size, bool *fractional)
{
	struct scan s = {.at = at, .end = end};
	const char *problem = scan_grammar(&s);
	*size = (size_t)(s.at - at);
	*fractional = s.decimal || s.exponential;
	return problem || *size <= JSON_NUMBER_MAX ? problem : "a number has more than 4096 characters";
}

/* ---- comparing ---- */

void json_number_measure(const char *text, size_t size, struct json_magnitude *m)
{
	struct scan s = {.at = (const unsigned char *)text, .end = (const unsigned char *)text + size};
	scan_grammar(&s);
	m->count = 0;
	for (size_t i = 0; i < size && text[i] != 'e' && text[i] != 'E'; i++)
		if (text[i] >= '0' && text[i] <= '9' && (m->count || text[i] != '0'))
			m->digits[m->count++] = text[i];
	m->point = (int64_t)m->count - (int64_t)s.fraction + s.exponent;
	while (m->count && m->digits[m->count - 1] == '0')
		m->count--;
	m->negative = s.negative && m->count;
}

int json_number_compare(const char *a_text, size_t a_size, const char *b_text, size_t b_size)
{
	struct json_magnitude a, b;
	json_number_measure(a_text, a_size, &a);
	json_number_measure(b_text, b_size, &b);
	int less = a.negative ? 1 : -1; /* the answer when |a| < |b|, once the signs are known to agree */
	if (a.negative != b.negative)
		return a.negative ? -1 : 1;
	if (a.count == 0 || b.count == 0)
		return a.count ? -less : b.count ? less : 0;
	if (a.point != b.point)
		return a.point < b.point ? less : -less;
	int order = memcmp(a.digits, b.digits, a.count < b.count ? a.count : b.count);
	if (order == 0)
		order = (a.count > b.count) - (a.count < b.count);
	return order < 0 ? less : order > 0 ? -less : 0;
}
