/* One Kafka message on its way through: its states and what it owns. */
#include "record.h"
#include "log.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define TO(state) (1u << (state))

/* The declared machine: what may follow each state. */
static const struct {
	const char *name;
	unsigned successors;
} machine[RECORD_STATES] = {
        [RECORD_TAKEN] = {"taken", TO(RECORD_DECODED) | TO(RECORD_MADE) | TO(RECORD_GIVEN_BACK)},
        [RECORD_DECODED] = {"decoded", TO(RECORD_ASKING) | TO(RECORD_ANSWERED) | TO(RECORD_MADE) |
                                               TO(RECORD_TAKEN) | TO(RECORD_GIVEN_BACK)},
        [RECORD_ASKING] = {"asking",
                TO(RECORD_ANSWERED) | TO(RECORD_MADE) | TO(RECORD_TAKEN) | TO(RECORD_GIVEN_BACK)},
        [RECORD_ANSWERED] = {"answered",
                TO(RECORD_MADE) | TO(RECORD_ASKING) | TO(RECORD_RESTING) | TO(RECORD_GIVEN_BACK)},
        [RECORD_RESTING] = {"resting", TO(RECORD_TAKEN) | TO(RECORD_GIVEN_BACK)},
        [RECORD_MADE] = {"made", TO(RECORD_RELEASED) | TO(RECORD_GIVEN_BACK)},
        [RECORD_RELEASED] = {"released", TO(RECORD_SENDING) | TO(RECORD_MADE) | TO(RECORD_GIVEN_BACK)},
        [RECORD_SENDING] = {"sending", TO(RECORD_SETTLED) | TO(RECORD_MADE) | TO(RECORD_GIVEN_BACK)},
        [RECORD_SETTLED] = {"settled", 0},
        [RECORD_GIVEN_BACK] = {"given_back", 0},
};

static const char *const outcomes[OUTCOMES] = {
        [OUTCOME_ENRICHED] = "enriched",
        [OUTCOME_PASSED] = "passed",
        [OUTCOME_DROPPED] = "dropped",
        [OUTCOME_FAILED] = "failed",
};

const char *record_state_name(enum record_state state)
{
	return machine[state].name;
}

const char *outcome_name(enum outcome outcome)
{
	return outcomes[outcome];
}

void records_init(struct records *records, struct ledger *ledger)
{
	*records = (struct records){.ledger = ledger};
	for (int state = 0; state < RECORD_STATES; state++)
		list_init(&records->states[state], machine[state].name);
	list_init(&records->open, "open");
}

size_t records_open(const struct records *records)
{
	return records->open.count;
}

uint64_t records_span(const struct records *records)
{
	struct list_node *first = list_first(&records->open);
	return first ? records->next_age - container_of(first, struct record, order)->age + 1 : 0;
}

bool records_oldest(const struct records *records, const struct record *record)
{
	return list_first(&records->open) == &record->order;
}

static int by_age(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	return (x->age > y->age) - (x->age < y->age);
}

struct record **records_collect(struct records *records, bool (*match)(const struct record *, const void *),
        const void *with, size_t *count)
{
	struct record **found = mem_zalloc(records_open(records), sizeof(struct record *));
	*count = 0;
	for (int state = 0; state < RECORD_SETTLED; state++)
		list_each (&records->states[state], node, after) {
			struct record *record = container_of(node, struct record, node);
			if (match(record, with))
				found[(*count)++] = record;
		}
	qsort(found, *count, sizeof(struct record *), by_age);
	return found;
}

struct record *record_new(struct records *records, const struct source_message *message, int64_t now)
{
	struct record *record = mem_zalloc(1, sizeof *record);
	size_t bytes = sizeof *record + message->key.size + message->value.size;
	record->state = RECORD_TAKEN;
	record->age = ++records->next_age;
	record->partition = message->partition;
	record->key = mem_dup(message->key.data, message->key.size);
	record->value = mem_dup(message->value.data, message->value.size);
	record->headers = output_headers_copy(message->headers, message->header_count);
	for (size_t i = 0; i < message->header_count; i++)
		bytes +=
		        sizeof *record->headers + strlen(message->headers[i].name) + message->headers[i].size;
	record->input = (struct script_input){
	        .topic = message->origin.topic ? message->origin.topic : message->partition->topic,
	        .partition = message->origin.topic ? message->origin.partition : message->partition->id,
	        .offset = message->origin.topic ? message->origin.offset : message->offset,
	        .timestamp = message->timestamp,
	        .key = {record->key, message->key.size},
	        .value = {record->value, message->value.size},
	        .headers = record->headers,
	        .header_count = message->header_count,
	};
	record->taken = now;
	list_append(&records->states[RECORD_TAKEN], &record->node);
	list_append(&records->open, &record->order);
	record_charge(records, record, LEDGER_INPUT, bytes);
	message->partition->records++;
	return record;
}

void record_move(struct records *records, struct record *record, enum record_state state)
{
	if (!(machine[record->state].successors & TO(state))) {
		log_error("record", "a record went from %s to %s, which no rule allows: this is a bug",
		        machine[record->state].name, machine[state].name);
		abort();
	}
	list_remove(&records->states[record->state], &record->node);
	record->state = state;
	list_append(&records->states[state], &record->node);
	if (state == RECORD_SETTLED || state == RECORD_GIVEN_BACK)
		list_remove(&records->open, &record->order);
}

void record_charge(struct records *records, struct record *record, enum ledger_kind kind, size_t bytes)
{
	size_t before = record->charged[kind];
	if (bytes > before)
		ledger_charge(records->ledger, kind, bytes - before);
	else if (bytes < before)
		ledger_return(records->ledger, kind, before - bytes);
	record->charged[kind] = bytes;
}

void record_promise(struct records *records, struct record *record, size_t bytes)
{
	records->promised += bytes - record->promised;
	record->promised = bytes;
}

void record_forget_lookups(struct records *records, struct record *record)
{
	for (size_t i = 0; i < record->lookup_count; i++) {
		struct lookup *lookup = &record->lookups[i];
		if (lookup->part >= 0)
			script_drop_part(lookup->script, lookup->part);
		mem_free(lookup->carried);
		request_free(&lookup->request);
		response_free(&lookup->response);
	}
	mem_free(record->lookups);
	record->lookups = NULL;
	record->lookup_count = record->lookups_open = 0;
	record_charge(records, record, LEDGER_ANSWER, 0);
	record_promise(records, record, 0);
}

void record_forget_answers(struct records *records, struct record *record)
{
	for (size_t i = 0; i < record->lookup_count; i++)
		response_free(&record->lookups[i].response);
	record_charge_lookups(records, record, 0);
}

void record_charge_lookups(struct records *records, struct record *record, size_t more)
{
	size_t bytes = more + record->lookup_count * sizeof *record->lookups;
	for (size_t i = 0; i < record->lookup_count; i++)
		bytes += request_bytes(&record->lookups[i].request) +
		         response_bytes(&record->lookups[i].response);
	record_charge(records, record, LEDGER_ANSWER, bytes);
}

void record_forget_outputs(struct records *records, struct record *record)
{
	for (size_t i = 0; i < record->output_count; i++)
		output_free(&record->outputs[i]);
	mem_free(record->outputs);
	record->outputs = NULL;
	record->output_count = 0;
	record_charge(records, record, LEDGER_OUTPUT, 0);
}

void record_free(struct records *records, struct record *record)
{
	record_forget_lookups(records, record);
	record_forget_outputs(records, record);
	buf_free(&record->diff.text);
	script_forget(&record->event);
	record_charge(records, record, LEDGER_INPUT, 0);
	list_remove(&records->states[record->state], &record->node);
	mem_free(record->key);
	mem_free(record->value);
	output_headers_free(record->headers, record->input.header_count);
	mem_free(record->reason);
	mem_free(record->message);
	mem_free(record);
}
