/* Names that nobody else takes: random hex digits. */
#ifndef MILLRACE_RANDOM_H
#define MILLRACE_RANDOM_H

#include <stddef.h>

/* Fills `text` with size - 1 hex digits (an even number, 32 at most) and NUL: from the system's generator, or
 * from the clock where it has none (getrandom(2) is refused in some sandboxes). */
void random_hex(char *text, size_t size);

#endif
