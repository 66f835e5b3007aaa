/* Growing bytes with a hard cap. */
#include "buf.h"
#include "mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void buf_init(struct buf *buf, size_t limit)
{
	*buf = (struct buf){.limit = limit};
}

void buf_free(struct buf *buf)
{
	mem_free(buf->data);
	buf_init(buf, buf->limit);
}

void buf_clear(struct buf *buf)
{
	buf->size = 0;
	buf->full = false;
	if (buf->data)
		buf->data[0] = '\0';
}

char *buf_reserve(struct buf *buf, size_t size)
{
	if (size > SIZE_MAX / 4 || (buf->limit != 0 && size > buf->limit - buf->size)) {
		buf->full = true;
		return NULL;
	}
	size_t need = buf->size + size + 1;
	if (need > buf->capacity) {
		size_t capacity = buf->capacity ? buf->capacity : 64;
		while (capacity < need)
			capacity *= 2;
		if (buf->limit != 0 && capacity > buf->limit + 1)
			capacity = buf->limit + 1;
		buf->data = mem_realloc(buf->data, capacity);
		buf->capacity = capacity;
	}
	return buf->data + buf->size;
}

void buf_commit(struct buf *buf, size_t size)
{
	buf->size += size;
	buf->data[buf->size] = '\0';
}

bool buf_append(struct buf *buf, const void *data, size_t size)
{
	char *place = buf_reserve(buf, size);
	if (place == NULL)
		return false;
	if (size)
		memcpy(place, data, size);
	buf_commit(buf, size);
	return true;
}

bool buf_append_text(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text));
}

bool buf_append_byte(struct buf *buf, char byte)
{
	return buf_append(buf, &byte, 1);
}

bool buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int size = vsnprintf(NULL, 0, format, args);
	char *place = size < 0 ? NULL : buf_reserve(buf, (size_t)size);
	if (place) {
		vsnprintf(place, (size_t)size + 1, format, again);
		buf_commit(buf, (size_t)size);
	}
	va_end(again);
	return place != NULL;
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	bool fits = buf_vprintf(buf, format, args);
	va_end(args);
	return fits;
}

char *buf_steal(struct buf *buf, size_t *size)
{
	if (buf->data == NULL)
		buf->data = mem_zalloc(1, 1);
	char *data = buf->data;
	if (size)
		*size = buf->size;
	buf_init(buf, buf->limit);
	return data;
}
