/* The answers of one run in memory, for a second run that asks the same.
 *
 * A question is the same when all that is sent is: method, address, host, headers, body. Of several answers
 * to one question each is given once, in their order, and the last one again. What was never asked goes to
 * the network. */
#ifndef MILLRACE_ENRICH_ANSWERS_H
#define MILLRACE_ENRICH_ANSWERS_H

#include "observe.h"

#include <stdint.h>

struct enrich_answers;

struct enrich_answers *enrich_answers_open(void);
void enrich_answers_close(struct enrich_answers *answers);
/* Fills in the callback that keeps answers; context is `answers`. */
void enrich_answers_observe(struct enrich_answers *answers, struct observe *observe);
/* Gives them; valid as long as `answers`. */
const struct http_player *enrich_answers_player(struct enrich_answers *answers);
uint64_t enrich_answers_new(const struct enrich_answers *answers); /* questions that were not among them */

#endif
