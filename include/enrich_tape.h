/* What of a run goes to a cassette (--record), or comes from one (--replay). */
#ifndef MILLRACE_ENRICH_TAPE_H
#define MILLRACE_ENRICH_TAPE_H

#include "cassette.h"
#include "observe.h"

#include <stdbool.h>
#include <stdint.h>

struct enrich;

struct enrich_tape {
	const char *folder;
	struct cassette *cassette;      /* that answers; NULL = none does */
	struct cassette_writer *writer; /* that is written to; NULL = none is */
	struct http_player player;
	bool has_events;  /* the folder's events are those that are read: they are not written again */
	bool failed;      /* something could not be written; it was told */
	uint64_t events;  /* written */
	uint64_t missing; /* questions that nothing recorded answers */
	char first[400];  /* what was said of the first of them */
};

/* As the options say; then time is invented for a replay. False after it was told why not. */
bool enrich_tape_open(struct enrich_tape *tape, const struct enrich *enrich);
/* The events come from this descriptor. */
void enrich_tape_events(struct enrich_tape *tape, int in);
void enrich_tape_rewind(struct enrich_tape *tape); /* the answers from the beginning */
void enrich_tape_close(struct enrich_tape *tape);
const struct http_player *enrich_tape_player(const struct enrich_tape *tape); /* NULL = the network */
/* What an observer passes on. */
void enrich_tape_taken(struct enrich_tape *tape, const struct record *record);
void enrich_tape_came(struct enrich_tape *tape, const struct call *call);
/* Fills in the callbacks for who has nothing else to observe. */
void enrich_tape_observe(struct enrich_tape *tape, struct observe *observe);
void enrich_tape_summary(const struct enrich_tape *tape);
/* Of questions that no event failed for. */
void enrich_tape_tell_missing(const struct enrich_tape *tape);

#endif
