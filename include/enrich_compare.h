/* How an event ended in one run and in another, and in what the two differ. */
#ifndef MILLRACE_ENRICH_COMPARE_H
#define MILLRACE_ENRICH_COMPARE_H

#include "config.h"
#include "record.h"

#include <stdbool.h>
#include <stddef.h>

struct enrich_ending {
	bool ended; /* else the rest says nothing */
	enum outcome outcome;
	char *reason, *message;
	struct output *outputs; /* copies; of what failed none */
	size_t output_count;
};

void enrich_ending_take(struct enrich_ending *ending, const struct record *record);
void enrich_ending_free(struct enrich_ending *ending); /* and zeroes it */
/* Appends a line for each difference, with a new line in front; answers how many. Not compared: the time that
 * the engine stamps, and the words of two failures of one type. */
size_t enrich_compare(const struct config *config, bool colour, const struct enrich_ending *a,
        const struct enrich_ending *b, struct buf *out);

#endif
