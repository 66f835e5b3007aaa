/* The gate before a lookup is sent: an answer has its room before it is asked for. */
#include "gate.h"
#include "budget.h"
#include "mem.h"

enum {
	FIRST_CALLS = 8,        /* in flight before anything is known of the answers' sizes */
	CALL_BYTES = 112 << 10, /* of a call itself: the buffers of its connection */
	DISTRUST = 8,           /* when one of so many had told far too little */
	ABOVE = 20,             /* one answer of so many may be larger than what is expected */
	STEP = 4,         /* a reservation grows by this part of the answer, where no size was announced */
	LARGER = 2,       /* times the expected size, and an answer still needs no more than is reserved */
	SMALL = 64 << 10, /* bytes that what surrounds a text may have */
	GROWTH = 8,       /* this part of all room is only for answers that grow */
};

void gate_init(struct gate *gate, struct records *records, size_t limit,
        const struct upstream_config *upstreams, size_t upstream_count)
{
	*gate = (struct gate){.records = records, .limit = limit, .upstreams = upstreams};
	gate->sizes = mem_zalloc(upstream_count, sizeof *gate->sizes);
}

void gate_free(struct gate *gate)
{
	mem_free(gate->sizes);
}

static size_t at_most(const struct gate *gate, const struct lookup *lookup, size_t size)
{
	size_t most = gate->upstreams[lookup->request.upstream].max_body;
	return most && most < size ? most : size;
}

/* With nothing known an answer is taken for a large one, so that a process whose answers turn out to be large
 * is not flooded by its first ones. */
static size_t expected_bytes(const struct gate *gate, const struct lookup *lookup)
{
	const struct gate_sizes *sizes = &gate->sizes[lookup->request.upstream];
	size_t size = lookup->request.merge_bytes;
	if (size == 0 || (sizes->lies > GATE_RECENT / DISTRUST && size < sizes->most))
		size = sizes->most;
	if (size == 0)
		size = gate->limit / FIRST_CALLS / BUDGET_PER_BODY;
	if (size < lookup->seen)
		size = lookup->seen;
	return at_most(gate, lookup, size);
}

static size_t needed_bytes(const struct gate *gate, const struct lookup *lookup)
{
	return BUDGET_PER_BODY * expected_bytes(gate, lookup) + CALL_BYTES;
}

static bool fits(const struct gate *gate, size_t size, size_t kept)
{
	return size + kept <= ledger_room(gate->records->ledger);
}

/* What the lookups of a record still need that have no reservation. in_the_air: one that has will be
 * answered, and makes room. */
static size_t needed_by_record(const struct gate *gate, const struct record *record, bool *in_the_air)
{
	size_t sum = 0;
	*in_the_air = false;
	for (size_t i = 0; i < record->lookup_count; i++) {
		const struct lookup *lookup = &record->lookups[i];
		if (lookup->reserved)
			*in_the_air |= lookup->state == LOOKUP_IN_FLIGHT;
		else if (lookup->state != LOOKUP_DONE)
			sum += needed_bytes(gate, lookup);
	}
	return sum;
}

/* Answers wait in Lua's heap for those that are still in the air, or for a hook that has begun. A single one
 * is taken as soon as it is there. */
static bool waits_in_lua(const struct record *record)
{
	return record->lookup_count > 1 || record->hook_waits;
}

static bool fits_in_lua(const struct gate *gate, const struct record *record)
{
	const struct ledger *ledger = gate->records->ledger;
	size_t sum = ledger->used[LEDGER_LUA] + gate->records->promised;
	if (ledger->script == 0 || !waits_in_lua(record))
		return true;
	for (size_t i = 0; i < record->lookup_count; i++)
		if (!record->lookups[i].reserved && record->lookups[i].state != LOOKUP_DONE)
			sum += expected_bytes(gate, &record->lookups[i]);
	return sum <= ledger->script / 4 * 3;
}

static void charge(const struct gate *gate, struct lookup *lookup, size_t more)
{
	struct record *record = lookup->record;
	lookup->reserved += more;
	record_charge(gate->records, record, LEDGER_ANSWER, record->charged[LEDGER_ANSWER] + more);
}

static void reserve(const struct gate *gate, struct lookup *lookup)
{
	lookup->covered = LARGER * expected_bytes(gate, lookup);
	charge(gate, lookup, needed_bytes(gate, lookup));
	if (waits_in_lua(lookup->record)) {
		struct record *record = lookup->record;
		lookup->promised = expected_bytes(gate, lookup);
		record_promise(gate->records, record, record->promised + lookup->promised);
	}
}

/* What was reserved for lookups that wait with this one: one of them goes at a time. */
static void yield_others(struct gate *gate, struct record *record)
{
	for (size_t i = 0; i < record->lookup_count; i++)
		if (record->lookups[i].reserved)
			gate_yield(gate, &record->lookups[i]);
}

bool gate_admit(struct gate *gate, struct lookup *lookup)
{
	struct record *record = lookup->record;
	bool in_the_air;
	if (lookup->reserved)
		return true;
	bool lua = fits_in_lua(gate, record);
	if (fits(gate, needed_by_record(gate, record, &in_the_air), gate->limit / GROWTH) && lua) {
		for (size_t i = 0; i < record->lookup_count; i++)
			if (!record->lookups[i].reserved && record->lookups[i].state != LOOKUP_DONE)
				reserve(gate, &record->lookups[i]);
		return true;
	}
	/* The oldest goes on, by one lookup after the other where there is no room for all of them. */
	if (records_oldest(gate->records, record) &&
	        (!in_the_air || (lua && fits(gate, needed_bytes(gate, lookup), 0)))) {
		if (!in_the_air)
			yield_others(gate, record);
		reserve(gate, lookup);
		return true;
	}
	gate->closed = true;
	gate->lua_full = gate->lua_full || !lua;
	return false;
}

/* What the lookups of a call have ready for its answer. */
static struct room {
	size_t reserved, covered;
} room_of(const struct call *call)
{
	struct room room = {0};
	list_each (&call->lookups, node, after) {
		const struct lookup *lookup = container_of(node, struct lookup, node);
		room.reserved += lookup->reserved;
		room.covered += lookup->covered;
	}
	return room;
}

static void see(const struct call *call, size_t size)
{
	size_t share = size / call->lookup_count;
	list_each (&call->lookups, node, after) {
		struct lookup *lookup = container_of(node, struct lookup, node);
		if (share > lookup->seen)
			lookup->seen = share;
	}
}

bool gate_grow(struct gate *gate, struct call *call, size_t size, size_t announced)
{
	struct lookup *lookup = container_of(list_first(&call->lookups), struct lookup, node);
	struct room room = room_of(call);
	size_t known = at_most(gate, lookup, announced > size ? announced : size);
	see(call, known);
	if (known <= room.covered)
		return true;
	size_t want = at_most(gate, lookup, announced ? known : size + size / STEP);
	size_t reserved = BUDGET_PER_BODY * (want > size ? want : size) + CALL_BYTES;
	size_t more = reserved > room.reserved ? reserved - room.reserved : 0;
	if (!fits(gate, more, 0) && !records_oldest(gate->records, lookup->record))
		return false;
	lookup->covered += LARGER * want - room.covered;
	charge(gate, lookup, more);
	return true;
}

void gate_yield(struct gate *gate, struct lookup *lookup)
{
	struct record *record = lookup->record;
	record_charge(
	        gate->records, record, LEDGER_ANSWER, record->charged[LEDGER_ANSWER] - lookup->reserved);
	record_promise(gate->records, record, record->promised - lookup->promised);
	lookup->reserved = lookup->covered = lookup->promised = 0;
}

/* The smallest size that no more than one of ABOVE recent ones exceeds. */
static size_t most_of(const struct gate_sizes *sizes)
{
	enum { TOP = GATE_RECENT / ABOVE + 1 };
	size_t top[TOP] = {0}; /* the largest first */
	size_t count = sizes->count < GATE_RECENT ? sizes->count : GATE_RECENT;
	for (size_t i = 0; i < count; i++) {
		size_t size = sizes->recent[i];
		for (size_t at = 0; at < TOP; at++)
			if (size > top[at]) {
				size_t smaller = top[at];
				top[at] = size;
				size = smaller;
			}
	}
	return top[count / ABOVE];
}

static void learn_size(const struct gate *gate, const struct lookup *lookup)
{
	struct gate_sizes *sizes = &gate->sizes[lookup->request.upstream];
	size_t at = sizes->count++ % GATE_RECENT, told = lookup->request.merge_bytes;
	sizes->lies -= sizes->outgrown[at];
	sizes->outgrown[at] = told && lookup->came > LARGER * told + SMALL;
	sizes->lies += sizes->outgrown[at];
	sizes->recent[at] = lookup->came ? lookup->came : 1;
	sizes->most = most_of(sizes);
}

void gate_settle(struct gate *gate, struct lookup *lookup)
{
	struct record *record = lookup->record;
	gate_yield(gate, lookup);
	record_charge(gate->records, record, LEDGER_ANSWER,
	        record->charged[LEDGER_ANSWER] + response_bytes(&lookup->response));
	if (lookup->response.error_type == NULL)
		learn_size(gate, lookup);
}
