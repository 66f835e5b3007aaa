/* What --explain and --diff say alike: an event in a few words, a difference in one line. */
#include "enrich_say.h"
#include "text.h"

#include <string.h>

enum { SHORT = 48 /* bytes of a value that are shown as they are */, KINDS = 2 };

/* DEL, C0 and C1 (which UTF-8 writes as C2 80 to C2 9F). */
static size_t control_at(const char *text, size_t size)
{
	unsigned char c = (unsigned char)text[0];
	if (c < 0x20 || c == 0x7F)
		return 1;
	return c == 0xC2 && size > 1 && (unsigned char)text[1] < 0xA0 ? 2 : 0;
}

void enrich_say_clean(struct buf *out, const char *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		size_t valid = at + text_utf8_valid(text + at, size - at), control = 0;
		while (at < valid && (control = control_at(text + at, valid - at)) == 0)
			buf_append_byte(out, text[at++]);
		if (at == size)
			return;
		buf_append_byte(out, '?');
		at += control ? control : 1;
	}
}

void enrich_paint(struct buf *out, bool colour, const char *code)
{
	if (colour)
		buf_printf(out, "\033[%sm", code ? code : "0");
}

void enrich_say_time(struct buf *out, double seconds)
{
	double ms = seconds * 1000;
	if (ms < 1)
		buf_printf(out, "%.2f ms", ms);
	else if (ms < 1000)
		buf_printf(out, "%.*f ms", ms < 10, ms);
	else
		buf_printf(out, "%.1f s", seconds);
}

void enrich_say_bytes(struct buf *out, uint64_t bytes)
{
	char text[32];
	text_human_bytes(bytes, text);
	buf_append_text(out, text);
}

/* ---- events ---- */

static bool names_a_kind(const struct jsontree *tree, uint32_t key)
{
	size_t size = tree->nodes[key].size;
	const char *name = jsontree_text(tree, key);
	return size >= 4 &&
	       (memcmp(name + size - 4, "kind", 4) == 0 || memcmp(name + size - 4, "type", 4) == 0);
}

static void say_kind(struct buf *out, const struct bytes *value)
{
	struct jsontree tree;
	unsigned said = 0;
	jsontree_init(&tree);
	if (jsontree_parse(&tree, value->data, value->size, NULL, NULL) &&
	        tree.nodes[0].kind == JSONTREE_OBJECT)
		for (uint32_t i = 0, at = 1; i < tree.nodes[0].count; i++, at = tree.nodes[at + 1].next) {
			const struct jsontree_node *member = &tree.nodes[at + 1];
			if (member->kind != JSONTREE_STRING || member->size > SHORT ||
			        !names_a_kind(&tree, at) || said == KINDS)
				continue;
			buf_append_text(out, said++ ? " " : "  ");
			enrich_say_clean(out, jsontree_text(&tree, at + 1), member->size);
		}
	jsontree_free(&tree);
}

void enrich_say_event(struct buf *out, const char *events, const struct record *record)
{
	const struct script_event *event = &record->event;
	buf_printf(out, "%s:%lld", events, (long long)record->input.offset + 1);
	if (event->stream) {
		buf_append_text(out, "  ");
		enrich_say_clean(out, event->stream, strlen(event->stream));
	}
	if (record->input.value.data)
		say_kind(out, &record->input.value);
	if (event->lane_key) {
		buf_append_text(out, "  key=");
		enrich_say_clean(out, event->lane_key, event->lane_key_size);
	}
}

/* ---- differences ---- */

static void say_value(struct buf *out, const struct jsontree *tree, int64_t index)
{
	const struct jsontree_node *node = &tree->nodes[index];
	struct bytes raw = jsontree_raw(tree, (uint32_t)index);
	if (raw.size <= SHORT)
		enrich_say_clean(out, raw.data, raw.size);
	else if (node->kind == JSONTREE_STRING)
		buf_printf(out, "(%zu chars)", jsontree_string_length(tree, (uint32_t)index));
	else if (node->kind == JSONTREE_ARRAY)
		buf_printf(out, "(array of %u)", node->count);
	else if (node->kind == JSONTREE_OBJECT)
		buf_printf(out, "(object of %u)", node->count);
	else
		buf_printf(out, "(%zu digits)", raw.size);
}

static bool is_long_string(const struct jsontree *tree, int64_t index)
{
	return tree->nodes[index].kind == JSONTREE_STRING && tree->nodes[index].size > SHORT;
}

/* Of two long texts, from where on they differ. */
static void say_where(
        struct buf *out, const struct jsontree *a, int64_t i, const struct jsontree *b, int64_t j)
{
	const char *x = jsontree_text(a, (uint32_t)i), *y = jsontree_text(b, (uint32_t)j);
	size_t n = 0, least = a->nodes[i].size < b->nodes[j].size ? a->nodes[i].size : b->nodes[j].size;
	while (n < least && x[n] == y[n])
		n++;
	buf_printf(out, ", the same up to byte %zu", n);
}

void enrich_say_difference(struct buf *out, unsigned indent, bool colour, const struct jsontree *a,
        const struct jsontree *b, const struct jsondiff_difference *difference)
{
	bool left = difference->a >= 0, right = difference->b >= 0;
	buf_printf(out, "\n%*s", (int)indent, "");
	enrich_paint(out, colour, !left ? "32" : !right ? "31" : "33");
	buf_append_text(out, !left ? "+ " : !right ? "- " : "~ ");
	if (*difference->path == '\0')
		buf_append_text(out, "(the whole event)");
	enrich_say_clean(out, difference->path, strlen(difference->path));
	buf_append_byte(out, ' ');
	if (left)
		say_value(out, a, difference->a);
	if (left && right)
		buf_append_text(out, " -> ");
	if (right)
		say_value(out, b, difference->b);
	if (left && right && is_long_string(a, difference->a) && is_long_string(b, difference->b))
		say_where(out, a, difference->a, b, difference->b);
	enrich_paint(out, colour, NULL);
}
