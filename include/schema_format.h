/* The formats that `format` asserts: pure questions about a text.
 *
 * date-time, date, time (RFC 3339 §5.6, leap seconds only where there can be one), email (RFC 5321 §4.1.2's
 * Mailbox, ASCII), hostname (RFC 1123 §2.1), ipv4, ipv6 (RFC 4291 §2.2), uri, uri-reference (RFC 3986,
 * appendix A), json-pointer, relative-json-pointer (RFC 6901 and its draft), regex (ECMA-262). */
#ifndef MILLRACE_SCHEMA_FORMAT_H
#define MILLRACE_SCHEMA_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

/* Has the text this format? The text is UTF-8 and may hold NUL characters. */
typedef bool schema_format(const char *text, size_t size);

/* The question behind a format's name; NULL for a format that is a note. */
schema_format *schema_format_find(const char *name);

#endif
