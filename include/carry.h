/* A record that begins again on another Lua state keeps the answers it has, and the calls that are in the
 * air.
 *
 * Its lookups stay where they are; what stands in the old state (response.json) is taken out as JSON text and
 * put into the new one. The new state's `request` is asked again: what it asks that had been asked before is
 * not asked anew, whatever has become of it meanwhile. */
#ifndef MILLRACE_CARRY_H
#define MILLRACE_CARRY_H

#include "dispatch.h"
#include "record.h"

/* Before the record leaves its state. A part that has no JSON form is lost: it will be asked for again. */
void carry_out(struct record *record);
/* The record's lookups become those of the requests (taken out of the array), on the state of its event:
 * answered, on their way, or submitted. Sets lookups_open. Answers the bytes they hold, for the ledger; 0:
 * they are the very ones it had, and hold what they held. */
size_t carry_in(struct record *record, struct request *requests, size_t count, struct dispatch *dispatch,
        int64_t now);

#endif
