/* Growing bytes with a hard cap.
 *
 * An append beyond the cap changes nothing but `full`, which stays set until buf_clear: a writer may append
 * many times and look once at the end. Always followed by a NUL byte that `size` does not count. */
#ifndef MILLRACE_BUF_H
#define MILLRACE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;      /* NULL until the first append */
	size_t size;     /* bytes used */
	size_t capacity; /* bytes allocated */
	size_t limit;    /* most bytes it may hold; 0 = no cap */
	bool full;       /* an append was refused by the cap */
};

/* Bytes that belong to somebody else. data may be NULL (absent, a tombstone), which is not the same as "". */
struct bytes {
	const char *data;
	size_t size;
};

void buf_init(struct buf *buf, size_t limit);
void buf_free(struct buf *buf);  /* gives the memory back; the buf may be used again */
void buf_clear(struct buf *buf); /* empties it, keeps the memory */
bool buf_append(struct buf *buf, const void *data, size_t size);
bool buf_append_text(struct buf *buf, const char *text);
bool buf_append_byte(struct buf *buf, char byte);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* Room for `size` more bytes at the returned place, or NULL when the cap forbids; follow with buf_commit. */
char *buf_reserve(struct buf *buf, size_t size);
void buf_commit(struct buf *buf, size_t size);
/* Hands the bytes to the caller (frees with mem_free) and empties the buf; never NULL. */
char *buf_steal(struct buf *buf, size_t *size);

#endif
