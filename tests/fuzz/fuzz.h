/* What the fuzzers share: taking an input apart, and promises that end the program when they do not hold. */
#ifndef MILLRACE_FUZZ_H
#define MILLRACE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise; libFuzzer keeps the input that broke it. */
#define fuzz_require(good, ...)                                                                              \
	do {                                                                                                 \
		if (!(good)) {                                                                               \
			fprintf(stderr, "%s: ", #good);                                                      \
			fprintf(stderr, __VA_ARGS__);                                                        \
			fputc('\n', stderr);                                                                 \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* The input as it is used up; at its end everything is zero or empty. */
struct fuzz {
	const uint8_t *at, *end;
};

static inline size_t fuzz_left(const struct fuzz *fuzz)
{
	return (size_t)(fuzz->end - fuzz->at);
}

static inline unsigned fuzz_byte(struct fuzz *fuzz)
{
	return fuzz->at < fuzz->end ? *fuzz->at++ : 0;
}

static inline uint64_t fuzz_number(struct fuzz *fuzz, size_t bytes)
{
	uint64_t number = 0;
	while (bytes-- > 0)
		number = number << 8 | fuzz_byte(fuzz);
	return number;
}

/* Bytes up to the next `until` (which is passed over), or to the end; no NUL follows. */
static inline const char *fuzz_until(struct fuzz *fuzz, char until, size_t *size)
{
	const char *text = (const char *)fuzz->at;
	const uint8_t *found = fuzz_left(fuzz) ? memchr(fuzz->at, until, fuzz_left(fuzz)) : NULL;
	*size = (size_t)((found ? found : fuzz->end) - fuzz->at);
	fuzz->at += *size + (found != NULL);
	return *size ? text : "";
}

/* A copy with a NUL behind it, so that the sanitizer sees reads beyond it; free with free. */
static inline char *fuzz_copy(const char *text, size_t size)
{
	char *copy = malloc(size + 1);
	if (copy == NULL)
		abort();
	memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

#endif
