/* The spelling of metrics for scrapers. */
#include "expose.h"
#include "text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OPEN_TYPE "application/openmetrics-text"

/* ---- which form ---- */

/* The quality of an element of Accept (RFC 9110, 12.4.2), 1 unless it is told. */
static double quality_of(const char *element, size_t size)
{
	for (size_t i = 0; i + 2 < size; i++)
		if (element[i] == ';') {
			size_t at = i + 1 + strspn(element + i + 1, " \t");
			if (at + 2 < size && (element[at] | 32) == 'q' && element[at + 1] == '=')
				return strtod(element + at + 2, NULL);
		}
	return 1;
}

static bool names_type(const char *element, size_t size, const char *type)
{
	size_t length = strlen(type);
	return size >= length && strncasecmp(element, type, length) == 0 &&
	       (size == length || strchr("; \t", element[length]));
}

/* A version that is not 1.x is another format. */
static bool is_of_version_1(const char *element, size_t size)
{
	static const char parameter[] = "version=";
	for (size_t i = 0; i + sizeof parameter <= size; i++)
		if (strncasecmp(element + i, parameter, sizeof parameter - 1) == 0) {
			const char *version = element + i + sizeof parameter - 1;
			return *version == '1' || (*version == '"' && version[1] == '1');
		}
	return true;
}

enum metrics_form expose_wanted(const char *accept)
{
	double open = 0, text = 0;
	for (const char *at = accept ? accept : ""; *at; at += *at == ',') {
		at += strspn(at, " \t");
		size_t size = strcspn(at, ",");
		double quality = quality_of(at, size);
		if (names_type(at, size, OPEN_TYPE) && is_of_version_1(at, size) && quality > open)
			open = quality;
		else if (names_type(at, size, "text/plain") && quality > text)
			text = quality;
		at += size;
	}
	return open > 0 && open >= text ? METRICS_OPEN : METRICS_TEXT;
}

const char *expose_type(enum metrics_form form)
{
	return form == METRICS_OPEN ? OPEN_TYPE "; version=1.0.0; charset=utf-8"
	                            : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- what stands there ---- */

static bool ends_in(const char *text, size_t size, const char *end)
{
	size_t length = strlen(end);
	return size > length && strncmp(text + size - length, end, length) == 0;
}

static void print_help(struct buf *out, enum metrics_form form, const char *help)
{
	for (; *help; help++) {
		if (*help == '\\' || *help == '\n' || (*help == '"' && form == METRICS_OPEN))
			buf_append_byte(out, '\\');
		buf_append_byte(out, *help == '\n' ? 'n' : *help);
	}
}

/* In OpenMetrics a family of counters is named without what its samples end in, and what a gauge of 1 tells
 * by its labels has a type of its own. */
void expose_head(
        struct buf *out, enum metrics_form form, const char *name, enum metric_type type, const char *help)
{
	static const char *const types[] = {
	        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
	const char *type_name = types[type];
	size_t size = strlen(name);
	if (form == METRICS_OPEN && type == METRIC_COUNTER && ends_in(name, size, "_total"))
		size -= strlen("_total");
	if (form == METRICS_OPEN && type == METRIC_GAUGE && ends_in(name, size, "_info")) {
		size -= strlen("_info");
		type_name = "info";
	}
	buf_printf(out, "# HELP %.*s ", (int)size, name);
	print_help(out, form, help);
	buf_printf(out, "\n# TYPE %.*s %s\n", (int)size, name, type_name);
}

void expose_number(struct buf *out, double value)
{
	if (isnan(value) || isinf(value)) {
		buf_append_text(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
		return;
	}
	if (fabs(value) < 1e18 && value == floor(value)) {
		buf_printf(out, "%.0f", value + 0.0); /* no "-0" */
		return;
	}
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	buf_append_text(out, text);
}

void expose_bound(struct buf *out, double value)
{
	expose_number(out, value);
	if (isfinite(value) && value == floor(value))
		buf_append_text(out, ".0");
}

/* One byte that is not UTF-8 would make a scraper refuse the whole page. */
void expose_label(struct buf *out, const char *value)
{
	size_t left = strlen(value), plain = text_utf8_valid(value, left);
	while (left > 0) {
		for (; plain > 0; plain--, left--, value++) {
			if (*value == '\\' || *value == '"' || *value == '\n')
				buf_append_byte(out, '\\');
			buf_append_byte(out, *value == '\n' ? 'n' : *value);
		}
		if (left > 0) {
			buf_append_text(out, "\xEF\xBF\xBD");
			value++;
			left--;
		}
		plain = text_utf8_valid(value, left);
	}
}
