/* What a bare loop of the benchmarks used, as one line of JSON for the driver. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

struct usage {
	double user, sys, wall; /* seconds */
};

static inline struct usage usage_now(void)
{
	struct rusage used;
	struct timespec now;
	getrusage(RUSAGE_SELF, &used);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (struct usage){.user = (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6,
	        .sys = (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6,
	        .wall = (double)now.tv_sec + (double)now.tv_nsec / 1e9};
}

static inline void usage_print(struct usage from, struct usage to, size_t events)
{
	printf("{\"events\": %zu, \"user\": %.6f, \"sys\": %.6f, \"wall\": %.6f}\n", events,
	        to.user - from.user, to.sys - from.sys, to.wall - from.wall);
}

#endif
