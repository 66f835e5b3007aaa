/* Whether an upstream as a whole is in trouble, and when it is probed. Pure.
 *
 * Counts lookups, not calls: each lookup once, in the slot of its first result, by its latest one, so that
 * neither the retries of a few bad ones nor a host that is asked often tells the tale. A breaker opens when
 * of at least BREAKER_LEAST lookups first asked in the last 30 s more than half failed (transport, timeout,
 * 5xx), and their hosts say the same: three hosts or more fail, or all that were asked. A host fails when
 * more than half of its own lookups did: one error here and there makes no host of a sick one's company.
 * Failures to connect need no second host where all hosts share one address.
 *
 *   CLOSED --(most fail)--> OPEN --(probe_at)--> PROBING --(good)--> CLOSED, all counts forgotten
 *                            ^                      |
 *                            +------ (failed) ------+     5 s, doubling to 60 s
 *
 * The wait begins at 5 s again only after the breaker was closed for 30 s. */
#ifndef MILLRACE_BREAKER_H
#define MILLRACE_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BREAKER_LEAST = 20,
	BREAKER_HOSTS = 3,
	BREAKER_SLOTS = 6,
	BREAKER_SLOT_MS = 5000,
	BREAKER_WINDOW_MS = BREAKER_SLOTS * BREAKER_SLOT_MS,
	BREAKER_PROBE_MS = 5000,
	BREAKER_PROBE_MAX_MS = 60000
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING, BREAKER_STATES };
enum breaker_result { BREAKER_GOOD, BREAKER_FAILED, BREAKER_UNREACHED /* failed to connect */ };

/* What came of the lookups of an upstream, or of one of its hosts; zeroed before its first use. */
struct breaker_window {
	struct {
		int64_t number; /* of the slot of time that is counted here */
		unsigned asked, failed, unreached;
	} slots[BREAKER_SLOTS];
	unsigned period;
};

/* Where a lookup is counted; zeroed before its first call. */
struct breaker_mark {
	int64_t number; /* of the slot, 0 = nowhere */
	unsigned period;
	enum breaker_result result;
};

struct breaker {
	enum breaker_state state;
	struct breaker_window all;
	unsigned period;        /* how often it closed, from 1: counts of an earlier one are void */
	int64_t opened, closed; /* when it last did, steady ms */
	int64_t probe_at;       /* when OPEN: the next probe may go then */
	int64_t wait;           /* from a failed probe to the next, ms */
};

void breaker_init(struct breaker *breaker);
/* Counts one result of a lookup, while CLOSED, for its host and for all. */
void breaker_count(struct breaker *breaker, struct breaker_window *host, struct breaker_mark *mark,
        enum breaker_result result, int64_t now);
/* Whether that lookup's latest result in this period was a failure. */
bool breaker_marked(const struct breaker *breaker, const struct breaker_mark *mark);
bool breaker_asked(const struct breaker *breaker, const struct breaker_window *host, int64_t now);
bool breaker_failing(const struct breaker *breaker, const struct breaker_window *host, int64_t now);
/* The same of at least BREAKER_LEAST lookups. */
bool breaker_mostly_fails(const struct breaker *breaker, const struct breaker_window *window, int64_t now);
/* Should it open? Given how many hosts were asked and how many fail (breaker_asked, breaker_failing), which
 * need be known only when breaker_suspects; shared: all hosts have one address. */
bool breaker_suspects(const struct breaker *breaker, int64_t now);
bool breaker_should_open(
        const struct breaker *breaker, size_t asked, size_t failing, bool shared, int64_t now);
void breaker_open(struct breaker *breaker, int64_t now);
void breaker_probe(struct breaker *breaker);                          /* OPEN -> PROBING: a probe was sent */
void breaker_probed(struct breaker *breaker, bool good, int64_t now); /* PROBING -> CLOSED or OPEN */
void breaker_probe_lost(
        struct breaker *breaker, int64_t now); /* PROBING -> OPEN: it said nothing; another may go */
const char *breaker_state_name(enum breaker_state state); /* "closed", "open", "probing": label values */

#endif
