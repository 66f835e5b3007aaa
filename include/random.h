/* What is drawn: names that nobody else takes, chances. */
#ifndef MILLRACE_RANDOM_H
#define MILLRACE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills `text` with size - 1 hex digits (an even number, 32 at most) and NUL: from the system's generator, or
 * from the clock where it has none (getrandom(2) is refused in some sandboxes). */
void random_hex(char *text, size_t size);
/* In [0, 1): for the jitter of back-offs. */
double random_chance(void);

/* From now on, in the whole process, chances and the ids of scripts follow from the seed. For tests of
 * scripts, which come out the same each time. */
void random_invent(uint64_t seed);
/* The next bytes of what was invented; false: nobody did, so draw real ones. */
bool random_invented(void *out, size_t size);

#endif
