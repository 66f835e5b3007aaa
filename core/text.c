/* Small things about text that more than one file needs. */
#include "text.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of the well-formed sequence at `at` (RFC 3629, table of §4), 0 when there is none. */
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
	unsigned char c = at[0];
	if (c < 0x80)
		return 1;
	size_t size = c >= 0xC2 && c <= 0xDF   ? 2
	              : c >= 0xE0 && c <= 0xEF ? 3
	              : c >= 0xF0 && c <= 0xF4 ? 4
	                                       : 0;
	if (size == 0 || left < size)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	if ((c == 0xE0 && at[1] < 0xA0) || (c == 0xED && at[1] > 0x9F) || (c == 0xF0 && at[1] < 0x90) ||
	        (c == 0xF4 && at[1] > 0x8F))
		return 0;
	return size;
}

size_t text_utf8_valid(const char *data, size_t size)
{
	size_t at = 0;
	while (at < size) {
		size_t step = utf8_sequence((const unsigned char *)data + at, size - at);
		if (step == 0)
			break;
		at += step;
	}
	return at;
}

bool text_json_string(struct buf *out, const char *data, size_t size)
{
	static const char short_form[32] = {
	        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	buf_append_byte(out, '"');
	size_t at = 0, plain = 0; /* bytes from `plain` to `at` are copied as they are */
	while (at < size) {
		unsigned char c = (unsigned char)data[at];
		size_t step = utf8_sequence((const unsigned char *)data + at, size - at);
		if (step != 0 && c >= 0x20 && c != '"' && c != '\\') {
			at += step;
			continue;
		}
		buf_append(out, data + plain, at - plain);
		if (step == 0)
			buf_append_text(out, "\xEF\xBF\xBD");
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (short_form[c])
			buf_printf(out, "\\%c", short_form[c]);
		else
			buf_printf(out, "\\u%04x", c);
		plain = ++at;
	}
	buf_append(out, data + plain, size - plain);
	buf_append_byte(out, '"');
	return !out->full;
}

struct unit {
	const char *name;
	double factor;
};

/* Digits with at most one point between them, then a unit: no sign, exponent, blank or hexadecimal. */
static bool number_with_unit(const char *text, const struct unit *units, double *value)
{
	char digits[32];
	size_t size = strspn(text, "0123456789");
	if (size > 0 && text[size] == '.' && text[size + 1] >= '0' && text[size + 1] <= '9')
		size += 1 + strspn(text + size + 1, "0123456789");
	if (size == 0 || size >= sizeof digits)
		return false;
	memcpy(digits, text, size);
	digits[size] = '\0';
	*value = strtod(digits, NULL);
	if (text[size] == '\0')
		return *value == 0;
	for (; units->name; units++)
		if (strcmp(text + size, units->name) == 0) {
			*value *= units->factor;
			return *value < 9e15;
		}
	return false;
}

bool text_duration(const char *text, int64_t *ms)
{
	static const struct unit units[] = {
	        {"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}, {NULL, 0}};
	double value;
	if (!number_with_unit(text, units, &value))
		return false;
	*ms = (int64_t)(value + 0.5);
	return true;
}

bool text_size(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {{"B", 1}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
	        {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {NULL, 0}};
	double value;
	if (!number_with_unit(text, units, &value))
		return false;
	*bytes = (uint64_t)(value + 0.5);
	return true;
}

bool text_rate(const char *text, double *per_second)
{
	static const struct unit units[] = {{"/s", 1}, {"/m", 1.0 / 60}, {"/h", 1.0 / 3600}, {NULL, 0}};
	return number_with_unit(text, units, per_second);
}

/* Levenshtein distance, for words of at most 63 characters; longer ones are never near. */
static size_t distance(const char *a, const char *b)
{
	size_t rows = strlen(a), columns = strlen(b);
	if (rows > 63 || columns > 63)
		return SIZE_MAX;
	size_t line[64];
	for (size_t j = 0; j <= columns; j++)
		line[j] = j;
	for (size_t i = 1; i <= rows; i++) {
		size_t diagonal = line[0];
		line[0] = i;
		for (size_t j = 1; j <= columns; j++) {
			size_t above = line[j];
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (line[j - 1] + 1 < best)
				best = line[j - 1] + 1;
			line[j] = best;
			diagonal = above;
		}
	}
	return line[columns];
}

const char *text_did_you_mean(const char *word, const char *const *candidates, size_t count)
{
	const char *nearest = NULL;
	size_t best = strlen(word) / 3 + 1;
	for (size_t i = 0; i < count; i++) {
		size_t d = distance(word, candidates[i]);
		if (d <= best && (nearest == NULL || d < best)) {
			best = d;
			nearest = candidates[i];
		}
	}
	return nearest;
}

void text_human_bytes(uint64_t bytes, char out[32])
{
	static const char *const names[] = {"B", "kB", "MB", "GB", "TB"};
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= (unit == 0 ? 1000 : 999.95) && unit < 4) {
		value /= 1000;
		unit++;
	}
	snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, names[unit]);
}

bool text_json_member(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, ",\"%s\":", name);
	return text ? text_json_string(out, text, strlen(text)) : buf_append_text(out, "null");
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool text_from_base64(struct buf *out, const char *text, size_t size)
{
	size_t padding = size >= 4 && text[size - 1] == '=' ? 1 + (text[size - 2] == '=') : 0;
	unsigned long bits = 0;
	if (size % 4)
		return false;
	for (size_t i = 0; i < size; i++) {
		const char *digit = text[i] ? strchr(base64, text[i]) : NULL;
		if (digit == NULL && i < size - padding)
			return false;
		bits = bits << 6 | (digit ? (unsigned long)(digit - base64) : 0);
		if (i % 4 != 3)
			continue;
		char bytes[] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
		bits = 0;
		if (!buf_append(out, bytes, i == size - 1 ? 3 - padding : 3))
			return false;
	}
	return true;
}

bool text_base64(struct buf *out, const char *data, size_t size)
{
	const unsigned char *at = (const unsigned char *)data;
	buf_append_byte(out, '"');
	for (; size > 0; at += 3, size = size > 3 ? size - 3 : 0) {
		unsigned long group = (unsigned long)at[0] << 16 |
		                      (size > 1 ? (unsigned long)at[1] << 8 : 0) | (size > 2 ? at[2] : 0);
		char four[4] = {base64[group >> 18], base64[group >> 12 & 63],
		        size > 1 ? base64[group >> 6 & 63] : '=', size > 2 ? base64[group & 63] : '='};
		if (!buf_append(out, four, sizeof four))
			return false;
	}
	return buf_append_byte(out, '"');
}

size_t text_show_character(struct buf *out, const char *at, size_t left)
{
	unsigned char first = (unsigned char)at[0];
	size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
	bool control =
	        first < 0x20 || first == 0x7F || (first == 0xC2 && left > 1 && (unsigned char)at[1] < 0xA0);
	if (size > left || text_utf8_valid(at, size) != size)
		size = 1;
	if (control || (first >= 0x80 && size == 1))
		buf_append_byte(out, '?');
	else
		buf_append(out, at, size);
	return size;
}

char *text_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (slash == NULL)
		return mem_strdup(".");
	return mem_dup(path, slash == path ? 1 : (size_t)(slash - path));
}

void text_human_duration(int64_t ms, char out[32])
{
	long long seconds = (ms + 500) / 1000;
	if (ms < 9950)
		snprintf(out, 32, "%.1f s", (double)ms / 1000);
	else if (seconds < 60)
		snprintf(out, 32, "%lld s", seconds);
	else if (seconds < 3600)
		snprintf(out, 32, "%lld min %lld s", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(out, 32, "%lld h %lld min", seconds / 3600, seconds % 3600 / 60);
	else
		snprintf(out, 32, "%lld d %lld h", seconds / 86400, seconds % 86400 / 3600);
}
