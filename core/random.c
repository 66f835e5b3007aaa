/* Names that nobody else takes: random hex digits. */
#include "random.h"
#include "clock.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void random_hex(char *text, size_t size)
{
	unsigned char bytes[16] = {0};
	size_t count = size / 2;
	assert(size % 2 == 1 && count <= sizeof bytes);
	if (getrandom(bytes, count, 0) != (ssize_t)count) {
		int64_t time = clock_now_ns();
		memcpy(bytes, &time, sizeof time < count ? sizeof time : count);
	}
	text[0] = '\0';
	for (size_t i = 0; i < count; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}
