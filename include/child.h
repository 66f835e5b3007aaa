/* Another program beside the loop: what it says is gathered, and it ends in time.
 *
 * It runs in a process group of its own, with /dev/null as its input, none of our descriptors and no signal
 * blocked or ignored. Standard output and standard error are one. */
#ifndef MILLRACE_CHILD_H
#define MILLRACE_CHILD_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct child;
struct event_base;

struct child_end {
	bool late;         /* it was killed at its deadline */
	int code;          /* its exit code, or -1: a signal ended it */
	int signal;        /* which one; 0 = none */
	struct bytes said; /* the first `output_max` bytes; ends with a NUL byte that does not count */
};

struct child_config {
	const char *const *argv; /* ends with NULL; the first is the program's path */
	int64_t deadline_ms;
	size_t output_max;
	void (*ended)(
	        void *context, const struct child_end *end); /* on the loop; the child is freed after it */
	void *context;
};

/* NULL and err when it cannot be started. Copies config's struct; argv is not needed afterwards. */
struct child *child_start(struct event_base *base, const struct child_config *config, struct err *err);
/* Kills it with all that it started and waits for its end; `ended` is not called. NULL is fine. */
void child_stop(struct child *child);

#endif
