/* How bench programs tell their figures: a line of JSON for each row of the table, which run.py puts
 * together. */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include <stddef.h>
#include <stdio.h>
#include <time.h>

enum {
	ROUNDS = 15
}; /* of everything that is compared, in turn: whoever else uses the machine meets all alike */

/* CPU time of this thread, ns. */
static inline double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void row_list(const char *member, const double *values, const double *by)
{
	printf(", \"%s\": [", member);
	for (int i = 0; i < ROUNDS; i++)
		printf("%s%.6g", i ? ", " : "", by ? values[i] / by[i] : values[i]);
	printf("]");
}

static inline void group(const char *title, const char *note)
{
	printf("{\"group\": \"%s\", \"note\": \"%s\"}\n", title, note);
}

/* One figure of each round, in `unit`. other: what each is held against, by round, which `against` names;
 * NULL = nothing. aim: the most their ratio should be; 0 = none. */
static inline void row(const char *name, const char *unit, const double *values, const char *against,
        const double *other, double aim)
{
	printf("{\"name\": \"%s\", \"unit\": \"%s\"", name, unit);
	row_list("values", values, NULL);
	if (other) {
		printf(", \"against\": \"%s\"", against);
		row_list("ratios", values, other);
	}
	if (aim > 0)
		printf(", \"aim\": %g", aim);
	printf("}\n");
	fflush(stdout);
}

#endif
