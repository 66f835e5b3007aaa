/* Small things about text that more than one file needs: JSON strings, UTF-8, units, near misses. */
#ifndef MILLRACE_TEXT_H
#define MILLRACE_TEXT_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends the bytes as a JSON string with its quotes (RFC 8259 §7). Bytes that are not UTF-8 become U+FFFD.
 */
bool text_json_string(struct buf *out, const char *data, size_t size);
/* Appends `,"name":` and the text as a JSON string; NULL is null. `name` stands there as it is. */
bool text_json_member(struct buf *out, const char *name, const char *text);
/* Appends the bytes as a JSON string in base64 (RFC 4648 §4, with padding). */
bool text_base64(struct buf *out, const char *data, size_t size);
/* Appends the bytes that such a text (without the quotes) stands for; false when it is none. */
bool text_from_base64(struct buf *out, const char *text, size_t size);
/* How many bytes from the start are well-formed UTF-8 (RFC 3629); `size` when all are. */
size_t text_utf8_valid(const char *data, size_t size);
/* "250ms", "5s", "2m", "1h", "7d" -> milliseconds. A bare number is refused (but "0"). */
bool text_duration(const char *text, int64_t *ms);
/* "10MiB", "10MB", "512KiB", "1048576B" -> bytes. A bare number is refused (but "0"). */
bool text_size(const char *text, uint64_t *bytes);
/* "200/s", "12000/m", "10/h" -> per second. */
bool text_rate(const char *text, double *per_second);
/* The candidate nearest to `word` if it is near enough to be a typing error, else NULL. */
const char *text_did_you_mean(const char *word, const char *const *candidates, size_t count);
/* The folder of a path: all before its last '/', "/" or "."; free with mem_free. */
char *text_folder(const char *path);
/* Milliseconds as "0.4 s", "15 s", "2 min 10 s", "3 h 5 min" or "2 d 4 h", for people. */
void text_human_duration(int64_t ms, char out[32]);
/* Appends the first character of a text (`left` > 0 bytes) as it may go to a terminal: what would move its
 * cursor or is no UTF-8 becomes `?`. Answers how many bytes of the text it was. */
size_t text_show_character(struct buf *out, const char *at, size_t left);
/* 1234567 -> "1.2 MB", for people. */
void text_human_bytes(uint64_t bytes, char out[32]);

#endif
