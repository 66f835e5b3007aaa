/* Does a script that has just taken over fail so often that the one before it should come back? */
#include "rollback.h"

#include <stdio.h>
#include <string.h>

enum rollback_sign rollback_sign_of(const char *type)
{
	static const char *const faults[] = {
	        "ScriptError", "ScriptTimeout", "ScriptMemory", "ScriptAnswer", "OutputInvalid"};
	if (type == NULL)
		return ROLLBACK_GOOD;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (strcmp(type, faults[i]) == 0)
			return ROLLBACK_FAULT;
	return ROLLBACK_NOTHING;
}

void rollback_begin(struct rollback *rollback, const struct rollback_config *config, int64_t now)
{
	*rollback = (struct rollback){.config = *config, .state = ROLLBACK_WATCHING, .began = now};
}

void rollback_end(struct rollback *rollback)
{
	rollback->state = ROLLBACK_IDLE;
}

/* The place of this error; where there is none left, that of the rarest. */
static struct rollback_error *place_of(struct rollback *rollback, const char *text)
{
	struct rollback_error *rarest = rollback->errors;
	for (size_t i = 0; i < rollback->error_count; i++) {
		struct rollback_error *error = &rollback->errors[i];
		if (strcmp(error->text, text) == 0)
			return error;
		if (error->count < rarest->count)
			rarest = error;
	}
	if (rollback->error_count < ROLLBACK_ERRORS)
		rarest = &rollback->errors[rollback->error_count++];
	rarest->count = 0;
	return rarest;
}

static void remember(struct rollback *rollback, const char *message)
{
	char text[ROLLBACK_TEXT];
	snprintf(text, sizeof text, "%.*s", (int)strcspn(message, "\n"), message);
	struct rollback_error *error = place_of(rollback, text);
	memcpy(error->text, text, sizeof text);
	error->count++;
}

static unsigned least(const struct rollback *rollback)
{
	return rollback->config.records < ROLLBACK_LEAST ? rollback->config.records : ROLLBACK_LEAST;
}

static bool is_bad(const struct rollback *rollback)
{
	return rollback->config.share > 0 &&
	       (double)rollback->faults >= rollback->config.share * (double)rollback->signs;
}

enum rollback_state rollback_look(struct rollback *rollback, int64_t now)
{
	if (rollback->state != ROLLBACK_WATCHING || rollback->signs < least(rollback))
		return rollback->state;
	if (is_bad(rollback))
		rollback->state = ROLLBACK_BAD;
	else if (rollback->signs >= rollback->config.records ||
	         now - rollback->began >= rollback->config.time_ms)
		rollback->state = ROLLBACK_PROVED;
	return rollback->state;
}

enum rollback_state rollback_ended(
        struct rollback *rollback, enum rollback_sign sign, const char *message, int64_t now)
{
	if (rollback->state != ROLLBACK_WATCHING || sign == ROLLBACK_NOTHING)
		return rollback->state;
	rollback->signs++;
	if (sign == ROLLBACK_FAULT) {
		rollback->faults++;
		remember(rollback, message ? message : "");
	}
	return rollback_look(rollback, now);
}

const struct rollback_error *rollback_worst(const struct rollback *rollback)
{
	const struct rollback_error *worst = NULL;
	for (size_t i = 0; i < rollback->error_count; i++)
		if (worst == NULL || rollback->errors[i].count > worst->count)
			worst = &rollback->errors[i];
	return worst;
}
