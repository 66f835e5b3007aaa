/* The gate before a lookup is sent: an answer has its room before it is asked for. */
#include "gate.h"
#include "mem.h"

enum {
	ROOM_PER_BYTE = 2, /* of an answer: its body, and what is made of it */
	FIRST_CALLS = 8,   /* in flight before anything is known of the answers' sizes */
	RISE = 8,
	FALL = 64,
};

void gate_init(struct gate *gate, struct records *records, size_t limit,
        const struct upstream_config *upstreams, size_t upstream_count)
{
	*gate = (struct gate){.records = records, .limit = limit, .upstreams = upstreams};
	gate->typical = mem_zalloc(upstream_count, sizeof *gate->typical);
}

void gate_free(struct gate *gate)
{
	mem_free(gate->typical);
}

/* What an answer may take, as the script expects it or as the recent ones took. With neither it is taken for
 * a large one, so that a process whose answers turn out to be large is not flooded by its first ones. */
static size_t expected_bytes(const struct gate *gate, const struct request *request)
{
	size_t told = request->merge_bytes, typical = gate->typical[request->upstream];
	size_t most = gate->upstreams[request->upstream].max_body;
	size_t size = told > typical ? told : typical;
	if (size == 0)
		size = gate->limit / FIRST_CALLS / ROOM_PER_BYTE;
	return most && most < size ? most : size;
}

bool gate_admit(struct gate *gate, struct lookup *lookup, size_t held)
{
	struct record *record = lookup->record;
	if (lookup->reserved > 0)
		return true;
	size_t size = expected_bytes(gate, &lookup->request) * ROOM_PER_BYTE;
	if (!records_oldest(gate->records, record) && held + size > gate->limit) {
		gate->closed = true;
		return false;
	}
	lookup->reserved = size;
	record_charge(gate->records, record, LEDGER_ANSWER, record->charged[LEDGER_ANSWER] + size);
	return true;
}

/* Rises fast and falls slowly: above the mean where sizes differ much. */
static void learn_size(struct gate *gate, const struct lookup *lookup)
{
	size_t *typical = &gate->typical[lookup->request.upstream], size = lookup->response.body_size;
	if (*typical == 0)
		*typical = size;
	else if (size > *typical)
		*typical += (size - *typical + RISE - 1) / RISE;
	else
		*typical -= (*typical - size) / FALL;
}

void gate_settle(struct gate *gate, struct lookup *lookup)
{
	struct record *record = lookup->record;
	record_charge(gate->records, record, LEDGER_ANSWER,
	        record->charged[LEDGER_ANSWER] - lookup->reserved + response_bytes(&lookup->response));
	lookup->reserved = 0;
	if (lookup->response.error_type == NULL)
		learn_size(gate, lookup);
}
