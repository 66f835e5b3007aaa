/* What is drawn: names that nobody else takes, chances. */
#include "random.h"
#include "clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static struct {
	bool on;
	uint64_t state;
} invented;

void random_invent(uint64_t seed)
{
	invented.on = true;
	invented.state = seed;
}

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t next(void)
{
	uint64_t z = invented.state += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

bool random_invented(void *out, size_t size)
{
	unsigned char *at = out;
	for (size_t left = invented.on ? size : 0; left > 0;) {
		uint64_t bits = next();
		size_t part = left < sizeof bits ? left : sizeof bits;
		memcpy(at, &bits, part);
		at += part;
		left -= part;
	}
	return invented.on;
}

double random_chance(void)
{
	uint32_t bits;
	if (!random_invented(&bits, sizeof bits))
		bits = arc4random();
	return bits / 4294967296.0;
}

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
