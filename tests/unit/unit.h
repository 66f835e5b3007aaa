/* What every unit test includes: cmocka with what it needs, and a seed that is printed. */
#ifndef MILLRACE_UNIT_H
#define MILLRACE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* MILLRACE_SEED, else a fixed one: a failure can be run again. */
static inline unsigned unit_seed(void)
{
	const char *given = getenv("MILLRACE_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20261122u;
	printf("seed %u\n", seed);
	return seed;
}

#endif
