/* A tap's items for people: a line that says what it is, its content below. */
#include "command_tap.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CUT = 160 /* bytes of a text that is shown */,
	SHORT = 60,
	INDENT = 2,
	SHOWN = 5 /* elements of an array that is cut */
};

#define PLAIN "\033[0m"
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define RED "\033[1;31m"
#define GREEN "\033[1;32m"
#define CYAN "\033[36m"

const char *tap_member(const struct jsontree *tree, uint32_t object, const char *name, struct buf *room)
{
	uint32_t at = tree->nodes[object].kind == JSONTREE_OBJECT
	                      ? jsontree_member(tree, object, name, strlen(name))
	                      : 0;
	struct buf scratch;
	buf_clear(room);
	if (at == 0 || tree->nodes[at].kind == JSONTREE_NULL)
		return "";
	buf_init(&scratch, 0);
	struct bytes text = tree->nodes[at].kind == JSONTREE_STRING ? jsontree_string(tree, at, &scratch)
	                                                            : jsontree_raw(tree, at);
	buf_append(room, text.data, text.size);
	buf_free(&scratch);
	return room->size ? room->data : "";
}

/* ---- a value ---- */

static void style(struct buf *out, bool colour, const char *escape)
{
	if (colour)
		buf_append_text(out, escape);
}

static void show(struct buf *out, const char *text, size_t size)
{
	while (size > 0) {
		size_t step = text_show_character(out, text, size);
		text += step;
		size -= step;
	}
}

/* A scalar as it stands; what is cut off a long text is said behind it. */
static void pretty_scalar(const struct jsontree *tree, uint32_t index, struct buf *out)
{
	struct bytes raw = jsontree_raw(tree, index);
	if (raw.size <= CUT + SHORT) {
		show(out, raw.data, raw.size);
		return;
	}
	show(out, raw.data, text_utf8_valid(raw.data, CUT));
	buf_printf(out, "...\" (%zu bytes)", raw.size - 2);
}

static void pretty_short(const struct jsontree *tree, uint32_t index, struct buf *out)
{
	const struct jsontree_node *node = &tree->nodes[index];
	bool object = node->kind == JSONTREE_OBJECT;
	uint32_t at = index + 1;
	if (!object && node->kind != JSONTREE_ARRAY) {
		pretty_scalar(tree, index, out);
		return;
	}
	buf_append_byte(out, object ? '{' : '[');
	for (uint32_t i = 0; i < node->count; i++) {
		buf_append_text(out, i ? ", " : "");
		if (object) {
			pretty_scalar(tree, at, out);
			buf_append_text(out, ": ");
			at++;
		}
		pretty_short(tree, at, out);
		at = tree->nodes[at].next;
	}
	buf_append_byte(out, object ? '}' : ']');
}

static void new_line(struct buf *out, unsigned level)
{
	buf_printf(out, "\n%*s", (int)(level * INDENT), "");
}

/* Indented by two spaces a level; long texts and arrays are cut. */
static void pretty(const struct jsontree *tree, uint32_t index, unsigned level, bool colour, struct buf *out)
{
	const struct jsontree_node *node = &tree->nodes[index];
	bool object = node->kind == JSONTREE_OBJECT;
	uint32_t at = index + 1;
	if ((!object && node->kind != JSONTREE_ARRAY) || jsontree_raw(tree, index).size <= SHORT) {
		pretty_short(tree, index, out);
		return;
	}
	buf_append_byte(out, object ? '{' : '[');
	for (uint32_t i = 0; i < node->count; i++) {
		buf_append_text(out, i ? "," : "");
		new_line(out, level + 1);
		if (!object && i == SHOWN && node->count > SHOWN + 1) {
			buf_printf(out, "... and %u more", node->count - SHOWN);
			break;
		}
		if (object) {
			style(out, colour, CYAN);
			pretty_scalar(tree, at, out);
			style(out, colour, PLAIN);
			buf_append_text(out, ": ");
			at++;
		}
		pretty(tree, at, level + 1, colour, out);
		at = tree->nodes[at].next;
	}
	new_line(out, level);
	buf_append_byte(out, object ? '}' : ']');
}

/* ---- an item ---- */

struct view {
	const struct jsontree *tree;
	bool colour;
	struct buf *out, room;
};

static const char *member(struct view *view, const char *name)
{
	return tap_member(view->tree, 0, name, &view->room);
}

static void say(struct view *view, const char *escape, const char *text)
{
	if (*text == '\0')
		return;
	buf_append_text(view->out, "  ");
	style(view->out, view->colour, escape);
	show(view->out, text, strlen(text));
	style(view->out, view->colour, PLAIN);
}

static void say_bytes(struct view *view, const char *bytes)
{
	char text[32];
	if (*bytes) {
		text_human_bytes(strtoull(bytes, NULL, 10), text);
		say(view, "", text);
	}
}

static void say_elapsed(struct view *view)
{
	char text[40];
	const char *seconds = member(view, "elapsed");
	if (*seconds) {
		snprintf(text, sizeof text, "%.0f ms", strtod(seconds, NULL) * 1000);
		say(view, "", text);
	}
}

static void say_lookups(struct view *view)
{
	char lookup[32], text[80];
	snprintf(lookup, sizeof lookup, "%s", member(view, "lookup"));
	const char *all = member(view, "lookups");
	if (*lookup)
		snprintf(text, sizeof text, "lookup %s of %.20s", lookup, all);
	else
		snprintf(text, sizeof text, "%.20s lookups", all);
	if (*all && strcmp(all, "1") != 0)
		say(view, "", text);
}

static void say_attempt(struct view *view)
{
	char text[80];
	const char *attempt = member(view, "attempt");
	snprintf(text, sizeof text, "attempt %.20s", attempt);
	if (*attempt && strcmp(attempt, "1") != 0)
		say(view, RED, text);
}

static void say_outputs(struct view *view)
{
	const struct jsontree *tree = view->tree;
	uint32_t outputs = jsontree_member(tree, 0, "outputs", 7);
	if (outputs == 0)
		return;
	for (uint32_t at = outputs + 1, i = 0; i < tree->nodes[outputs].count;
	        i++, at = tree->nodes[at].next) {
		buf_append_text(view->out, "  ->");
		say(view, BOLD, tap_member(tree, at, "topic", &view->room));
		say_bytes(view, tap_member(tree, at, "bytes", &view->room));
	}
}

static void say_place(struct view *view)
{
	struct buf place;
	buf_init(&place, 0);
	buf_printf(&place, "%s", member(view, "topic"));
	buf_printf(&place, "/%s", member(view, "partition"));
	buf_printf(&place, "/%s", member(view, "offset"));
	say(view, BOLD, place.data);
	buf_free(&place);
}

static void say_what(struct view *view)
{
	const char *outcome = member(view, "outcome");
	say(view, strcmp(outcome, "failed") == 0 ? RED : GREEN, outcome);
	say(view, RED, member(view, "type"));
	say(view, "", member(view, "reason"));
	const char *status = member(view, "status");
	bool good = *status == '2';
	say(view, good ? GREEN : RED, strcmp(status, "0") == 0 ? "" : status);
	say(view, RED, member(view, "failure"));
	say(view, "", member(view, "method"));
	say(view, BOLD, member(view, "host"));
	say(view, DIM, member(view, "upstream"));
	say_lookups(view);
	say_attempt(view);
	say_bytes(view, member(view, "bytes"));
	say_elapsed(view);
	say_outputs(view);
}

static void show_content(struct view *view, const char *name)
{
	uint32_t at = jsontree_member(view->tree, 0, name, strlen(name));
	if (at == 0)
		return;
	buf_printf(view->out, "    %s ", name);
	pretty(view->tree, at, 2, view->colour, view->out);
	buf_append_byte(view->out, '\n');
}

/* The content that this stage brings: the event stands in `in` already, and is there for --where. */
static void show_contents(struct view *view, const char *stage)
{
	static const struct {
		const char *stage, *names[4];
	} contents[] = {{"in", {"key", "event", "value", "value_base64"}}, {"request", {"request"}},
	        {"response", {"request", "answer"}}, {"out", {"outputs"}},
	        {"error", {"message", "error", "event", "value"}}};
	for (size_t i = 0; i < sizeof contents / sizeof *contents; i++)
		for (size_t j = 0; strcmp(contents[i].stage, stage) == 0 && j < 4 && contents[i].names[j];
		        j++)
			show_content(view, contents[i].names[j]);
}

static bool has_content(const struct jsontree *tree)
{
	uint32_t outputs = jsontree_member(tree, 0, "outputs", 7);
	if (outputs && tree->nodes[outputs].count)
		return jsontree_member(tree, outputs + 1, "value", 5) ||
		       jsontree_member(tree, outputs + 1, "value_base64", 12);
	return jsontree_member(tree, 0, "event", 5) || jsontree_member(tree, 0, "value", 5) ||
	       jsontree_member(tree, 0, "request", 7);
}

void tap_view(const struct jsontree *tree, bool colour, struct buf *out)
{
	struct view view = {.tree = tree, .colour = colour, .out = out};
	char stage[16], time[32];
	buf_init(&view.room, 0);
	snprintf(stage, sizeof stage, "%s", member(&view, "stage"));
	snprintf(time, sizeof time, "%s", member(&view, "time"));
	style(out, colour, strcmp(stage, "error") == 0 ? RED : BOLD);
	buf_printf(out, "%-8s", stage);
	style(out, colour, PLAIN);
	say(&view, DIM, strlen(time) > 11 ? time + 11 : time);
	say_place(&view);
	say_what(&view);
	say(&view, DIM, member(&view, "script"));
	if (*member(&view, "left_out"))
		say(&view, RED, "(too large to show its content: see --buffer)");
	buf_append_byte(out, '\n');
	if (has_content(tree))
		show_contents(&view, stage);
	buf_free(&view.room);
}
