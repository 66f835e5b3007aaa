/* One budget for every byte that events cause to be held. */
#include "ledger.h"

#include <assert.h>

static const char *const kind_names[LEDGER_KINDS] = {
        [LEDGER_ENGINE] = "engine",
        [LEDGER_INPUT] = "input",
        [LEDGER_ANSWER] = "answer",
        [LEDGER_OUTPUT] = "output",
        [LEDGER_LUA] = "lua",
        [LEDGER_SOURCE] = "source",
        [LEDGER_SINK] = "sink",
        [LEDGER_TAP] = "tap",
};

void ledger_init(struct ledger *ledger, size_t limit)
{
	*ledger = (struct ledger){.limit = limit};
}

void ledger_charge(struct ledger *ledger, enum ledger_kind kind, size_t bytes)
{
	ledger->used[kind] += bytes;
	ledger->total += bytes;
	if (ledger->used[kind] > ledger->maximum[kind])
		ledger->maximum[kind] = ledger->used[kind];
	if (ledger->total > ledger->total_maximum)
		ledger->total_maximum = ledger->total;
}

void ledger_return(struct ledger *ledger, enum ledger_kind kind, size_t bytes)
{
	assert(ledger->used[kind] >= bytes);
	ledger->used[kind] -= bytes;
	ledger->total -= bytes;
}

void ledger_set(struct ledger *ledger, enum ledger_kind kind, size_t bytes)
{
	ledger_return(ledger, kind, ledger->used[kind]);
	ledger_charge(ledger, kind, bytes);
}

size_t ledger_room(const struct ledger *ledger)
{
	size_t lua = ledger->used[LEDGER_LUA];
	size_t held = ledger->total + (lua < ledger->script ? ledger->script - lua : 0);
	return held < ledger->limit ? ledger->limit - held : 0;
}

const char *ledger_kind_name(enum ledger_kind kind)
{
	return kind_names[kind];
}
