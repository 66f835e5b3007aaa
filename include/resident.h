/* What the process really takes: looked at now and then, and what malloc keeps of it is given back.
 *
 * The ledger counts what it is told of. Holes in the heap and whatever a library holds are seen only here, so this is
 * the last word at the door: over the limit nothing more is taken until something was given back. */
#ifndef MILLRACE_RESIDENT_H
#define MILLRACE_RESIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resident {
	size_t limit;         /* bytes; 0 = nobody looks */
	size_t (*look)(void); /* resident_bytes, but in tests */
	void (*give_back)(void);
	size_t bytes;                /* as of the last look */
	int64_t look_at, give_at;    /* steady ms of the next */
	bool over, told;
};

/* Resident memory of this process; 0 where that says nothing: unknown, or a sanitizer's own. */
size_t resident_bytes(void);
void resident_init(struct resident *resident, size_t limit);
/* Whether the process takes more than its limit. Looks every 100 ms; above half of the limit what is free goes back
 * to the kernel once a second. */
bool resident_over(struct resident *resident, int64_t now);

#endif
