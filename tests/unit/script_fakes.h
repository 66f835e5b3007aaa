/* A script that keeps nothing: what tests of the walk need of script.h and do not look at. Include once,
 * after script.h. */
#ifndef MILLRACE_SCRIPT_FAKES_H
#define MILLRACE_SCRIPT_FAKES_H

#include "mem.h"
#include "output.h"
#include "request.h"
#include "script.h"

/* How many events are on each state. */
static struct {
	const struct script *script;
	size_t events;
} fake_states[64];

static size_t *fake_events(const struct script *script)
{
	size_t i = 0;
	while (fake_states[i].script && fake_states[i].script != script)
		i++;
	fake_states[i].script = script;
	return &fake_states[i].events;
}

static bool fake_doubt, fake_unsound, fake_no_form;

bool script_doubtful(const struct script *script)
{
	(void)script;
	return fake_doubt;
}

bool script_sound(struct script *script, struct err *err)
{
	(void)script;
	fake_doubt = false;
	return !fake_unsound || err_set(err, "it is not");
}

void script_let_go(struct script_event *event)
{
	if (event->script)
		(*fake_events(event->script))--;
	event->script = NULL;
}

void script_forget(struct script_event *event)
{
	script_let_go(event);
	mem_free(event->id);
	mem_free(event->lane_key);
	*event = (struct script_event){0};
}

void script_result_free(struct script_result *result)
{
	mem_free(result->type);
	mem_free(result->message);
	for (size_t i = 0; i < result->request_count; i++)
		request_free(&result->requests[i]);
	mem_free(result->requests);
	for (size_t i = 0; i < result->output_count; i++)
		output_free(&result->outputs[i]);
	mem_free(result->outputs);
}

size_t script_drop_part(struct script *script, int part)
{
	(void)script;
	(void)part;
	return 0;
}

bool script_part_out(struct script *script, int part, struct buf *out)
{
	(void)script;
	(void)part;
	return !fake_no_form && buf_append_text(out, "{}");
}

int script_part_in(struct script *script, const struct bytes *text)
{
	(void)script;
	(void)text;
	return 1;
}

void script_usage_add(struct script_usage *to, const struct script_usage *from)
{
	(void)to;
	(void)from;
}

void script_collect(struct script *script)
{
	(void)script;
}

bool script_relieve(struct script *script)
{
	(void)script;
	return false;
}

void script_hold(struct script *script)
{
	(void)script;
}

void script_release(struct script *script)
{
	(void)script;
}

#endif
