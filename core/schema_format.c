/* The formats that `format` asserts. */
#include "schema_format.h"
#include "json_text.h"
#include "schema_regex.h"

#include <arpa/inet.h>
#include <string.h>

struct reader {
	const char *at, *end;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c)
{
	return is_digit(c) || is_letter(c);
}

static bool take(struct reader *r, char c)
{
	bool there = r->at < r->end && *r->at == c;
	r->at += there;
	return there;
}

static bool one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* ---- dates ---- */

static bool take_digits(struct reader *r, int count, int *value)
{
	*value = 0;
	if (r->end - r->at < count)
		return false;
	for (int i = 0; i < count; i++) {
		if (!is_digit(r->at[i]))
			return false;
		*value = *value * 10 + (r->at[i] - '0');
	}
	r->at += count;
	return true;
}

static bool take_date(struct reader *r)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, day;
	if (!take_digits(r, 4, &year) || !take(r, '-') || !take_digits(r, 2, &month) || !take(r, '-') ||
	        !take_digits(r, 2, &day))
		return false;
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
	       (month != 2 || day < 29 || leap);
}

/* Z or +hh:mm; *minutes are those by which the place is ahead of UTC. */
static bool take_offset(struct reader *r, int *minutes)
{
	int hour, minute;
	*minutes = 0;
	if (take(r, 'Z') || take(r, 'z'))
		return true;
	bool behind = r->at < r->end && *r->at == '-';
	if ((!take(r, '-') && !take(r, '+')) || !take_digits(r, 2, &hour) || !take(r, ':') ||
	        !take_digits(r, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*minutes = (behind ? -1 : 1) * (hour * 60 + minute);
	return true;
}

static bool take_time(struct reader *r)
{
	int hour, minute, second, offset;
	if (!take_digits(r, 2, &hour) || !take(r, ':') || !take_digits(r, 2, &minute) || !take(r, ':') ||
	        !take_digits(r, 2, &second))
		return false;
	if (take(r, '.')) {
		const char *first = r->at;
		while (r->at < r->end && is_digit(*r->at))
			r->at++;
		if (r->at == first)
			return false;
	}
	if (!take_offset(r, &offset) || hour > 23 || minute > 59 || second > 60)
		return false;
	int utc = (hour * 60 + minute - offset + 2 * 1440) % 1440;
	return second < 60 || utc == 23 * 60 + 59;
}

static bool is_date(const char *text, size_t size)
{
	struct reader r = {text, text + size};
	return take_date(&r) && r.at == r.end;
}

static bool is_time(const char *text, size_t size)
{
	struct reader r = {text, text + size};
	return take_time(&r) && r.at == r.end;
}

static bool is_date_time(const char *text, size_t size)
{
	struct reader r = {text, text + size};
	return take_date(&r) && (take(&r, 'T') || take(&r, 't')) && take_time(&r) && r.at == r.end;
}

/* ---- hosts ---- */

static bool is_address(int family, const char *text, size_t size)
{
	char copy[INET6_ADDRSTRLEN + 1];
	unsigned char address[16];
	if (size >= sizeof copy || memchr(text, '\0', size))
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	return inet_pton(family, copy, address) == 1;
}

static bool is_ipv4(const char *text, size_t size)
{
	return is_address(AF_INET, text, size);
}

static bool is_ipv6(const char *text, size_t size)
{
	return is_address(AF_INET6, text, size);
}

static bool is_hostname(const char *text, size_t size)
{
	const char *end = text + size;
	if (size == 0 || size > 253)
		return false;
	for (;;) {
		const char *label = text;
		while (text < end && (is_word(*text) || *text == '-'))
			text++;
		if (text == label || text - label > 63 || *label == '-' || text[-1] == '-')
			return false;
		if (text == end)
			return true;
		if (*text++ != '.')
			return false;
	}
}

/* ---- addresses of mail ---- */

static bool take_quoted(struct reader *r)
{
	r->at++;
	while (r->at < r->end && *r->at != '"') {
		if (*r->at == '\\')
			r->at++;
		if (r->at == r->end || *r->at < ' ' || *r->at > '~')
			return false;
		r->at++;
	}
	return take(r, '"');
}

static bool take_atoms(struct reader *r)
{
	do {
		const char *atom = r->at;
		while (r->at < r->end && (is_word(*r->at) || one_of(*r->at, "!#$%&'*+-/=?^_`{|}~")))
			r->at++;
		if (r->at == atom)
			return false;
	} while (take(r, '.'));
	return true;
}

static bool is_email(const char *text, size_t size)
{
	struct reader r = {text, text + size};
	if (!(size && *text == '"' ? take_quoted(&r) : take_atoms(&r)) || r.at - text > 64 || !take(&r, '@'))
		return false;
	size_t left = (size_t)(r.end - r.at);
	if (left < 2 || r.at[0] != '[' || r.end[-1] != ']')
		return is_hostname(r.at, left);
	if (left > 7 && strncasecmp(r.at, "[IPv6:", 6) == 0)
		return is_ipv6(r.at + 6, left - 7);
	return is_ipv4(r.at + 1, left - 2);
}

/* ---- URIs ---- */

#define SUB_DELIMITERS "!$&'()*+,;="
#define PATH_CHARACTERS SUB_DELIMITERS "-._~:@"

/* Skips letters, digits, %41 and what is in `set`. */
static bool take_text(struct reader *r, const char *set)
{
	while (r->at < r->end && (is_word(*r->at) || *r->at == '%' || one_of(*r->at, set))) {
		if (*r->at == '%') {
			const unsigned char *at = (const unsigned char *)r->at;
			if (r->end - r->at < 3 || !json_hex[at[1]] || !json_hex[at[2]])
				return false;
			r->at += 2;
		}
		r->at++;
	}
	return true;
}

static bool is_future_address(const char *text, size_t size)
{
	struct reader r = {text, text + size};
	if (!take(&r, 'v') && !take(&r, 'V'))
		return false;
	const char *version = r.at;
	while (r.at < r.end && json_hex[(unsigned char)*r.at])
		r.at++;
	if (r.at == version || !take(&r, '.') || r.at == r.end || memchr(r.at, '%', (size_t)(r.end - r.at)))
		return false;
	return take_text(&r, SUB_DELIMITERS "-._~:") && r.at == r.end;
}

static bool take_host(struct reader *r)
{
	if (!take(r, '['))
		return take_text(r, SUB_DELIMITERS "-._~");
	const char *close = memchr(r->at, ']', (size_t)(r->end - r->at)), *address = r->at;
	if (close == NULL)
		return false;
	r->at = close + 1;
	return is_ipv6(address, (size_t)(close - address)) ||
	       is_future_address(address, (size_t)(close - address));
}

static bool is_authority(const char *text, size_t size)
{
	struct reader r = {text, text + size};
	const char *at_sign = memchr(text, '@', size);
	if (at_sign) {
		r.end = at_sign;
		if (!take_text(&r, SUB_DELIMITERS "-._~:") || r.at != r.end)
			return false;
		r = (struct reader){at_sign + 1, text + size};
	}
	if (!take_host(&r))
		return false;
	if (take(&r, ':'))
		while (r.at < r.end && is_digit(*r.at))
			r.at++;
	return r.at == r.end;
}

static const char *first_of(const char *at, const char *end, const char *set)
{
	while (at < end && !one_of(*at, set))
		at++;
	return at;
}

/* Behind the scheme. */
static bool take_hierarchy(struct reader *r)
{
	if (r->end - r->at >= 2 && r->at[0] == '/' && r->at[1] == '/') {
		const char *stop = first_of(r->at + 2, r->end, "/?#");
		if (!is_authority(r->at + 2, (size_t)(stop - r->at - 2)))
			return false;
		r->at = stop;
	}
	if (!take_text(r, PATH_CHARACTERS "/") || (take(r, '?') && !take_text(r, PATH_CHARACTERS "/?")) ||
	        (take(r, '#') && !take_text(r, PATH_CHARACTERS "/?")))
		return false;
	return r->at == r->end;
}

static bool is_uri(const char *text, size_t size)
{
	struct reader r = {text, text + size};
	if (size == 0 || !is_letter(*text))
		return false;
	while (r.at < r.end && (is_word(*r.at) || one_of(*r.at, "+-.")))
		r.at++;
	return take(&r, ':') && take_hierarchy(&r);
}

static bool is_uri_reference(const char *text, size_t size)
{
	struct reader r = {text, text + size};
	if (is_uri(text, size))
		return true;
	const char *stop = first_of(text, r.end, ":/?#");
	return (stop == r.end || *stop != ':') && take_hierarchy(&r);
}

/* ---- pointers, patterns ---- */

static bool is_json_pointer(const char *text, size_t size)
{
	if (size && text[0] != '/')
		return false;
	for (size_t i = 0; i < size; i++)
		if (text[i] == '~' && (i + 1 == size || (text[i + 1] != '0' && text[i + 1] != '1')))
			return false;
	return true;
}

static bool is_relative_json_pointer(const char *text, size_t size)
{
	size_t digits = 0;
	while (digits < size && is_digit(text[digits]))
		digits++;
	if (digits == 0 || (digits > 1 && text[0] == '0'))
		return false;
	if (size - digits == 1 && text[digits] == '#')
		return true;
	return is_json_pointer(text + digits, size - digits);
}

static bool is_regex(const char *text, size_t size)
{
	struct schema_regex *regex = schema_regex_compile(text, size, NULL);
	schema_regex_free(regex);
	return regex != NULL;
}

schema_format *schema_format_find(const char *name)
{
	static const struct {
		const char *name;
		schema_format *format;
	} formats[] = {{"date-time", is_date_time}, {"date", is_date}, {"time", is_time}, {"email", is_email},
	        {"hostname", is_hostname}, {"ipv4", is_ipv4}, {"ipv6", is_ipv6}, {"uri", is_uri},
	        {"uri-reference", is_uri_reference}, {"regex", is_regex}, {"json-pointer", is_json_pointer},
	        {"relative-json-pointer", is_relative_json_pointer}};
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (strcmp(formats[i].name, name) == 0)
			return formats[i].format;
	return NULL;
}
