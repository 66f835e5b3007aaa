/* `GET /-/tap`: a tap on the running engine, as JSON lines for as long as somebody reads. */
#include "admin_tap.h"
#include "clock.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE_MAX = 128 };

static bool fill(void *context, struct buf *out)
{
	return tap_take(context, ADMIN_SLICE, clock_now(), out);
}

static void closed(void *context)
{
	tap_end(context);
}

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
	size_t size = strlen(text);
	if (size == 0 || size > 12 || strspn(text, "0123456789") != size)
		return false;
	*number = strtoull(text, NULL, 10);
	return *number >= least && *number <= most;
}

static bool read_limits(const struct admin_request *request, struct tap_wish *wish, struct err *err)
{
	char value[VALUE_MAX];
	uint64_t number;
	if (admin_value(request, "n", value, sizeof value) &&
	        !read_number(value, 0, 1000000000, &wish->count))
		return err_set(err, "n: expected a number, found '%s'", value);
	if (admin_value(request, "rate", value, sizeof value)) {
		if (!read_number(value, 1, TAP_RATE_MAX, &number))
			return err_set(
			        err, "rate: expected a number from 1 to %d, found '%s'", TAP_RATE_MAX, value);
		wish->rate = (unsigned)number;
	}
	if (admin_value(request, "buffer", value, sizeof value)) {
		if (!text_size(value, &number) || number < TAP_BUFFER_LEAST || number > TAP_BUFFER_MAX)
			return err_set(err, "buffer: expected a size from %dKiB to %dMiB, found '%s'",
			        TAP_BUFFER_LEAST >> 10, TAP_BUFFER_MAX >> 20, value);
		wish->buffer = (size_t)number;
	}
	if (admin_value(request, "time", value, sizeof value) &&
	        (!text_duration(value, &wish->ms) || wish->ms <= 0 || wish->ms > TAP_MS_MAX))
		return err_set(err, "time: expected a time up to %dh, such as 30s, found '%s'",
		        TAP_MS_MAX / 3600000, value);
	return true;
}

static bool read_wish(const struct admin_request *request, struct tap_wish *wish, struct err *err)
{
	char value[VALUE_MAX];
	struct err why;
	*wish = (struct tap_wish){.stages = TAP_OUT,
	        .content = request->caller == ADMIN_TRUSTED,
	        .follow = admin_asked(request, "follow"),
	        .rate = TAP_RATE,
	        .buffer = TAP_BUFFER,
	        .ms = TAP_MS};
	if (admin_value(request, "stage", value, sizeof value) && !tap_stages(value, &wish->stages, &why))
		return err_set(err, "stage: %s", why.text);
	return read_limits(request, wish, err);
}

static void refuse(struct admin_answer *answer, int status, const char *why)
{
	answer->status = status;
	buf_printf(&answer->body, "%s\n", why);
}

static bool may_look(const struct admin_request *request, struct admin_answer *answer)
{
	if (request->caller == ADMIN_STRANGER)
		refuse(answer, 403,
		        "a tap is opened only from this machine (and from no web page), or with "
		        "\"Authorization: Bearer TOKEN\" as set by admin.token");
	else if (request->caller == ADMIN_WRONG_TOKEN)
		refuse(answer, 403, "that is not the token which admin.token sets, or it sets none");
	else
		return true;
	return false;
}

static void answer_tap(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct tap_wish wish;
	struct err err = {""};
	if (!may_look(request, answer))
		return;
	if (!read_wish(request, &wish, &err)) {
		refuse(answer, 400, err.text);
		return;
	}
	struct tap_reader *reader = tap_begin(context, &wish, clock_now());
	if (reader == NULL) {
		refuse(answer, 503, "there are four taps already, and no more at one time: end one of them");
		return;
	}
	answer->type = "application/x-ndjson";
	answer->stream = (struct admin_stream){.context = reader, .fill = fill, .closed = closed};
}

void admin_tap_route(struct admin *admin, struct tap *tap)
{
	struct admin_route route = {
	        "GET", "/-/tap", "what passes through, live, as JSON lines; ?stage=in&n=3", answer_tap, tap};
	admin_route(admin, &route);
}
