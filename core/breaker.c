/* Whether an upstream as a whole is in trouble, and when it is probed. */
#include "breaker.h"

#include <assert.h>
#include <string.h>

struct sums {
	unsigned asked, failed, unreached;
};

static int64_t slot_number(int64_t now)
{
	return now / BREAKER_SLOT_MS + 1;
}

void breaker_init(struct breaker *breaker)
{
	*breaker = (struct breaker){.period = 1, .wait = BREAKER_PROBE_MS, .closed = INT64_MIN / 2};
}

static bool holds(const struct breaker_window *window, unsigned period, int64_t number)
{
	return window->period == period && window->slots[number % BREAKER_SLOTS].number == number;
}

static void add(struct breaker_window *window, unsigned period, int64_t number, enum breaker_result result)
{
	if (window->period != period)
		*window = (struct breaker_window){.period = period};
	if (!holds(window, period, number)) {
		memset(&window->slots[number % BREAKER_SLOTS], 0, sizeof window->slots[0]);
		window->slots[number % BREAKER_SLOTS].number = number;
	}
	window->slots[number % BREAKER_SLOTS].asked++;
	window->slots[number % BREAKER_SLOTS].failed += result != BREAKER_GOOD;
	window->slots[number % BREAKER_SLOTS].unreached += result == BREAKER_UNREACHED;
}

static void replace(
        struct breaker_window *window, const struct breaker_mark *mark, enum breaker_result result)
{
	if (!holds(window, mark->period, mark->number))
		return;
	size_t slot = (size_t)(mark->number % BREAKER_SLOTS);
	window->slots[slot].failed += (result != BREAKER_GOOD) - (unsigned)(mark->result != BREAKER_GOOD);
	window->slots[slot].unreached +=
	        (result == BREAKER_UNREACHED) - (unsigned)(mark->result == BREAKER_UNREACHED);
}

void breaker_count(struct breaker *breaker, struct breaker_window *host, struct breaker_mark *mark,
        enum breaker_result result, int64_t now)
{
	if (breaker->state != BREAKER_CLOSED)
		return;
	if (mark->number && mark->period == breaker->period) {
		replace(&breaker->all, mark, result);
		replace(host, mark, result);
	} else {
		*mark = (struct breaker_mark){.number = slot_number(now), .period = breaker->period};
		add(&breaker->all, mark->period, mark->number, result);
		add(host, mark->period, mark->number, result);
	}
	mark->result = result;
}

bool breaker_marked(const struct breaker *breaker, const struct breaker_mark *mark)
{
	return mark->number && mark->period == breaker->period && mark->result != BREAKER_GOOD;
}

static struct sums sum(const struct breaker *breaker, const struct breaker_window *window, int64_t now)
{
	struct sums sums = {0};
	int64_t newest = slot_number(now);
	for (size_t i = 0; window->period == breaker->period && i < BREAKER_SLOTS; i++) {
		int64_t number = window->slots[i].number;
		if (number <= newest - BREAKER_SLOTS || number > newest)
			continue;
		sums.asked += window->slots[i].asked;
		sums.failed += window->slots[i].failed;
		sums.unreached += window->slots[i].unreached;
	}
	return sums;
}

bool breaker_asked(const struct breaker *breaker, const struct breaker_window *host, int64_t now)
{
	return sum(breaker, host, now).asked > 0;
}

bool breaker_failing(const struct breaker *breaker, const struct breaker_window *host, int64_t now)
{
	struct sums sums = sum(breaker, host, now);
	return sums.failed > sums.asked / 2;
}

bool breaker_mostly_fails(const struct breaker *breaker, const struct breaker_window *window, int64_t now)
{
	struct sums sums = sum(breaker, window, now);
	return sums.asked >= BREAKER_LEAST && sums.failed > sums.asked / 2;
}

bool breaker_suspects(const struct breaker *breaker, int64_t now)
{
	return breaker->state == BREAKER_CLOSED && breaker_mostly_fails(breaker, &breaker->all, now);
}

bool breaker_should_open(
        const struct breaker *breaker, size_t asked, size_t failing, bool shared, int64_t now)
{
	struct sums sums = sum(breaker, &breaker->all, now);
	if (!breaker_suspects(breaker, now))
		return false;
	return failing >= BREAKER_HOSTS || (asked > 0 && failing == asked) ||
	       (shared && sums.unreached > sums.asked / 2);
}

void breaker_open(struct breaker *breaker, int64_t now)
{
	assert(breaker->state == BREAKER_CLOSED);
	if (now - breaker->closed >= BREAKER_WINDOW_MS)
		breaker->wait = BREAKER_PROBE_MS;
	breaker->state = BREAKER_OPEN;
	breaker->opened = now;
	breaker->probe_at = now + breaker->wait;
}

void breaker_probe(struct breaker *breaker)
{
	assert(breaker->state == BREAKER_OPEN);
	breaker->state = BREAKER_PROBING;
}

static void lengthen(struct breaker *breaker)
{
	breaker->wait = breaker->wait * 2 < BREAKER_PROBE_MAX_MS ? breaker->wait * 2 : BREAKER_PROBE_MAX_MS;
}

void breaker_probed(struct breaker *breaker, bool good, int64_t now)
{
	assert(breaker->state == BREAKER_PROBING);
	lengthen(breaker); /* of a good one too: it may open again at once */
	if (good) {
		breaker->state = BREAKER_CLOSED;
		breaker->closed = now;
		breaker->period++;
	} else {
		breaker->state = BREAKER_OPEN;
		breaker->probe_at = now + breaker->wait;
	}
}

void breaker_probe_lost(struct breaker *breaker, int64_t now)
{
	assert(breaker->state == BREAKER_PROBING);
	breaker->state = BREAKER_OPEN;
	breaker->probe_at = now;
}

const char *breaker_state_name(enum breaker_state state)
{
	static const char *const names[BREAKER_STATES] = {
	        [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_PROBING] = "probing"};
	return names[state];
}
