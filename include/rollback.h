/* Does a script that has just taken over fail so often that the one before it should come back? Pure.
 *
 * Each record that ends on the script is a sign. What is enriched, passed or dropped is a good one. A fault
 * is what only the script can have done: ScriptError, ScriptTimeout, ScriptMemory, ScriptAnswer,
 * OutputInvalid. Any other failure says nothing and counts nowhere: lookups and API trouble, poison, and
 * `fail`, which is the script's word about an event and not an accident.
 *
 * Bad is a share of faults, once ROLLBACK_LEAST signs (or all that are waited for, where these are fewer)
 * have been seen, so that one poisonous event proves nothing. Proved is a script that was not bad until
 * `records` signs, or until `time_ms` had passed; but without so many signs no time proves anything. */
#ifndef MILLRACE_ROLLBACK_H
#define MILLRACE_ROLLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROLLBACK_LEAST = 20, ROLLBACK_ERRORS = 8, ROLLBACK_TEXT = 400 };

struct rollback_config {
	double share;     /* of faults among the signs, from which on the script is bad; 0 = never */
	unsigned records; /* signs after which it is proved */
	int64_t time_ms;  /* and the time */
};

enum rollback_state {
	ROLLBACK_IDLE, /* nobody is watched: before rollback_begin, and once it is decided */
	ROLLBACK_WATCHING,
	ROLLBACK_BAD,
	ROLLBACK_PROVED
};

enum rollback_sign { ROLLBACK_GOOD, ROLLBACK_FAULT, ROLLBACK_NOTHING };

/* An error, and how often it was seen. */
struct rollback_error {
	char text[ROLLBACK_TEXT]; /* cut */
	unsigned count;
};

struct rollback {
	struct rollback_config config;
	enum rollback_state state;
	int64_t began; /* steady ms */
	unsigned signs, faults;
	struct rollback_error errors[ROLLBACK_ERRORS]; /* the most frequent ones, about */
	size_t error_count;
};

/* What a record says that failed with this type (NULL: it did not fail). */
enum rollback_sign rollback_sign_of(const char *type);
/* Watches from now on; what was seen before is forgotten. */
void rollback_begin(struct rollback *rollback, const struct rollback_config *config, int64_t now);
void rollback_end(struct rollback *rollback); /* back to IDLE */
/* One record ended; message: of a failure, else NULL. Answers the state, which changes here or in
 * rollback_look. */
enum rollback_state rollback_ended(
        struct rollback *rollback, enum rollback_sign sign, const char *message, int64_t now);
/* The time may be over. */
enum rollback_state rollback_look(struct rollback *rollback, int64_t now);
/* The fault seen most often, or NULL. */
const struct rollback_error *rollback_worst(const struct rollback *rollback);

#endif
