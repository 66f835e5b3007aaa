/* A script's failure as people want it told. */
#include "script_trouble.h"
#include "mem.h"
#include "script_hint.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_NUMBER = 10000000, CALLERS = 4, EVENT_MAX = 160, TEXT_SHOWN = 32, INNER_SHOWN = 3 };

/* ---- the event, shortened ---- */

static void put_value(const struct jsontree *tree, uint32_t at, int depth, struct buf *out);

static void put_key(const struct jsontree *tree, uint32_t at, struct buf *out)
{
	buf_append_byte(out, '"');
	buf_append(out, jsontree_text(tree, at), tree->nodes[at].size);
	buf_append_text(out, "\":");
}

static void put_member(const struct jsontree *tree, uint32_t key, int depth, struct buf *out)
{
	put_key(tree, key, out);
	if (diagnostic_secret(jsontree_text(tree, key), tree->nodes[key].size))
		buf_append_text(out, "\"(redacted)\"");
	else
		put_value(tree, key + 1, depth, out);
}

static void put_object(const struct jsontree *tree, uint32_t at, int depth, struct buf *out)
{
	uint32_t key = at + 1, count = tree->nodes[at].count;
	if (depth == 0 && count > 0) {
		buf_append_text(out, "{...}");
		return;
	}
	buf_append_byte(out, '{');
	for (uint32_t i = 0; i < count; i++, key = tree->nodes[key + 1].next) {
		buf_append_text(out, i ? "," : "");
		if (i == INNER_SHOWN) {
			buf_append_text(out, "...");
			break;
		}
		put_member(tree, key, depth - 1, out);
	}
	buf_append_byte(out, '}');
}

static void put_value(const struct jsontree *tree, uint32_t at, int depth, struct buf *out)
{
	const struct jsontree_node *node = &tree->nodes[at];
	struct bytes raw = jsontree_raw(tree, at);
	if (node->kind == JSONTREE_OBJECT) {
		put_object(tree, at, depth, out);
	} else if (node->kind == JSONTREE_ARRAY && node->count > 0) {
		buf_append_text(out, "[...]");
	} else if (raw.size > TEXT_SHOWN) {
		size_t shown = text_utf8_valid(raw.data, TEXT_SHOWN);
		while (shown > 1 && raw.data[shown - 1] == '\\')
			shown--;
		buf_append(out, raw.data, shown);
		buf_append_text(out, node->kind == JSONTREE_STRING ? "...\"" : "...");
	} else {
		buf_append(out, raw.data, raw.size);
	}
}

static bool is_first(const struct jsontree *tree, uint32_t key, const char *const *first, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (jsontree_string_is(tree, key, first[i], strlen(first[i])))
			return true;
	return false;
}

/* What says least about an event stands last. */
static bool is_dull(const struct jsontree *tree, uint32_t key)
{
	return jsontree_string_is(tree, key, "$schema", 7) || jsontree_string_is(tree, key, "meta", 4) ||
	       jsontree_string_is(tree, key, "dt", 2);
}

/* Members of one pass: 0 = the first ones, 1 = the others, 2 = the dull ones. Counts those that were left
 * out. */
static size_t put_pass(
        const struct jsontree *tree, int pass, const char *const *first, size_t count, struct buf *out)
{
	size_t left = 0;
	uint32_t key = 1;
	struct buf member;
	buf_init(&member, 0);
	for (uint32_t i = 0; i < tree->nodes[0].count; i++, key = tree->nodes[key + 1].next) {
		int of = is_first(tree, key, first, count) ? 0 : is_dull(tree, key) ? 2 : 1;
		if (of != pass)
			continue;
		buf_clear(&member);
		put_member(tree, key, pass == 0 ? 2 : 1, &member);
		if (pass > 0 && out->size + member.size > EVENT_MAX) {
			left++;
			continue;
		}
		buf_append_text(out, out->size > 1 ? "," : "");
		buf_append(out, member.data, member.size);
	}
	buf_free(&member);
	return left;
}

static void shorten(const struct jsontree *tree, const char *const *first, size_t count, struct buf *to)
{
	struct buf out;
	size_t left = 0;
	buf_init(&out, 0);
	if (tree->nodes[0].kind != JSONTREE_OBJECT) {
		put_value(tree, 0, 1, to);
		return;
	}
	buf_append_byte(&out, '{');
	for (int pass = 0; pass < 3; pass++)
		left += put_pass(tree, pass, first, count, &out);
	if (left)
		buf_append_text(&out, out.size > 1 ? ",..." : "...");
	buf_append_byte(&out, '}');
	buf_append(to, out.data, out.size);
	buf_free(&out);
}

/* Bytes that are no JSON, for a terminal. */
static void put_bytes(struct bytes text, struct buf *out)
{
	size_t shown = text_utf8_valid(text.data, text.size < EVENT_MAX ? text.size : EVENT_MAX);
	for (size_t i = 0; i < shown; i++)
		buf_append_byte(
		        out, (unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7F ? ' ' : text.data[i]);
	buf_append_text(out, shown < text.size ? "..." : "");
}

void script_trouble_shorten(struct bytes event, const char *const *first, size_t count, struct buf *out)
{
	struct jsontree tree;
	jsontree_init(&tree);
	if (jsontree_parse(&tree, event.data, event.size, NULL, NULL))
		shorten(&tree, first, count, out);
	else if (!diagnostic_secret(event.data, event.size))
		put_bytes(event, out);
	jsontree_free(&tree);
}

/* ---- the place ---- */

/* What a failure's words are about. */
struct telling {
	const struct script_trouble *trouble;
	struct diagnostic item;
	struct script_source source; /* of item.file */
	bool has_source;
	char *hook;          /* name of the hook or function */
	const char *message; /* without hook and place */
	enum code code;
	struct jsontree event;
	bool has_event;
	struct script_hint hint;
	struct buf details;
};

/* The text is the script's to choose: only sources are shown. */
static bool is_source(const char *path, const char *script)
{
	size_t size = strlen(path);
	return strcmp(path, script) == 0 || (size > 4 && strcmp(path + size - 4, ".lua") == 0);
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), tail = strlen(end);
	return size >= tail && strcmp(text + size - tail, end) == 0;
}

/* Lua cuts a long name at its front: "...lib/wiki.lua". That is the script, or a module below its folder. */
static char *whole_path(const char *name, const char *script)
{
	if (strncmp(name, "...", 3) != 0)
		return mem_strdup(name);
	if (ends_with(script, name + 3))
		return mem_strdup(script);
	char *folder = text_folder(script);
	for (const char *part = name + 3; part; part = strchr(part + 1, '/')) {
		char *path = mem_printf("%s%s%s", folder, *part == '/' ? "" : "/", part);
		if (ends_with(path, name + 3) && access(path, R_OK) == 0) {
			mem_free(folder);
			return path;
		}
		mem_free(path);
	}
	mem_free(folder);
	return mem_strdup(name);
}

/* Does FILE:LINE: end at this colon? The file begins after a space or a quote, or with the text. Answers what
 * follows the place. */
static const char *place_at(struct telling *telling, const char *text, const char *colon)
{
	char *end;
	unsigned long line = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end != ':' || line == 0 || line > LINE_MAX_NUMBER)
		return NULL;
	const char *start = colon;
	while (start > text && strchr(" '\"\n\t(", start[-1]) == NULL)
		start--;
	char *name = mem_dup(start, (size_t)(colon - start)),
	     *path = whole_path(name, telling->trouble->script);
	mem_free(name);
	if (!is_source(path, telling->trouble->script) || !script_source_read(&telling->source, path)) {
		mem_free(path);
		return NULL;
	}
	telling->item.file = path;
	telling->item.line = (unsigned)line;
	telling->has_source = true;
	return end + 1;
}

static const char *place_in(struct telling *telling, const char *text)
{
	const char *rest = NULL;
	for (const char *colon = strchr(text, ':'); colon && rest == NULL; colon = strchr(colon + 1, ':'))
		rest = place_at(telling, text, colon);
	return rest;
}

/* "FILE: message" about the script as a whole. */
static const char *after_path(const char *path, const char *text)
{
	size_t size = strlen(path);
	return strncmp(text, path, size) == 0 && strncmp(text + size, ": ", 2) == 0 ? text + size + 2 : NULL;
}

/* "hook 'request'" or "function 'revisions'" at the front. */
static const char *take_hook(struct telling *telling, const char *text)
{
	static const char *const kinds[] = {"hook '", "function '"};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t size = strlen(kinds[i]),
		       name = strncmp(text, kinds[i], size) == 0 ? strcspn(text + size, "'") : 0;
		if (name == 0 || text[size + name] != '\'')
			continue;
		mem_free(telling->hook);
		telling->hook = mem_dup(text + size, name);
		return strncmp(text + size + name + 1, ": ", 2) == 0 ? text + size + name + 3 : text;
	}
	return text;
}

/* The first line that has the word which the message quotes. */
static void find_word(struct telling *telling)
{
	const char *open = strchr(telling->message, '\''), *close = open ? strchr(open + 1, '\'') : NULL;
	struct bytes line;
	if (close == NULL || close == open + 1)
		return;
	for (unsigned number = 1; script_source_line(&telling->source, number, &line); number++)
		if (memmem(line.data, line.size, open + 1, (size_t)(close - open - 1))) {
			telling->item.line = number;
			return;
		}
}

static void open_script(struct telling *telling)
{
	telling->item.file = mem_strdup(telling->trouble->script);
	telling->has_source = script_source_read(&telling->source, telling->item.file);
}

/* Is it about the script at all, or about the event or the world? */
static bool about_script(enum code code)
{
	return (code >= M200_SCRIPT && code <= M231_HEAP) || code == M106_NO_SUCH_FILE ||
	       code == M604_OUTPUT_INVALID;
}

static void find_place(struct telling *telling)
{
	const struct script_trouble *trouble = telling->trouble;
	const char *text = take_hook(telling, trouble->message), *whole = after_path(trouble->script, text);
	const char *clause = strstr(text, "; it was stopped at ");
	const char *rest = place_in(telling, text);
	telling->message = rest && (clause == NULL || clause > rest) ? rest + strspn(rest, " ") : text;
	if (rest == NULL && whole)
		telling->message = whole;
	telling->code = script_hint_code(trouble->type, telling->message);
	if (rest == NULL && trouble->stack && about_script(telling->code))
		rest = place_in(telling, trouble->stack);
	if (rest == NULL && about_script(telling->code) && telling->code != M106_NO_SUCH_FILE) {
		open_script(telling);
		if (telling->has_source && whole)
			find_word(telling);
	}
	if (telling->item.file == NULL)
		telling->item.file = mem_strdup(
		        !about_script(telling->code) && trouble->where ? trouble->where : trouble->script);
	if (telling->hook == NULL)
		telling->hook = mem_strdup(trouble->hook);
}

/* ---- the caret ---- */

static void underline(struct telling *telling, size_t at, size_t size)
{
	telling->item.column = (unsigned)at + 1;
	telling->item.length = (unsigned)(size ? size : 1);
}

/* The word that the message quotes, where the line has it; else all but the indentation. */
static void underline_word(struct telling *telling, struct bytes line)
{
	const char *open = strchr(telling->message, '\''), *close = open ? strchr(open + 1, '\'') : NULL;
	size_t blank = 0;
	if (close && close > open + 1) {
		const char *at = memmem(line.data, line.size, open + 1, (size_t)(close - open - 1));
		if (at) {
			underline(telling, (size_t)(at - line.data), (size_t)(close - open - 1));
			return;
		}
	}
	while (blank < line.size && (line.data[blank] == ' ' || line.data[blank] == '\t'))
		blank++;
	underline(telling, blank, line.size - blank);
}

/* Columns and lengths are counted in characters. */
static unsigned characters(const char *data, size_t size)
{
	unsigned count = 0;
	for (size_t i = 0; i < size; i++)
		count += ((unsigned char)data[i] & 0xC0) != 0x80;
	return count;
}

static void place_caret(struct telling *telling)
{
	struct bytes line, above;
	struct diagnostic *item = &telling->item;
	if (telling->hint.line)
		item->line = telling->hint.line;
	item->column = telling->hint.column;
	item->length = telling->hint.length;
	if (!telling->has_source || !script_source_line(&telling->source, item->line, &line))
		return;
	if (item->column == 0 || item->column > line.size + 1)
		underline_word(telling, line);
	size_t at = item->column - 1, size = item->length < line.size - at ? item->length : line.size - at;
	item->column = characters(line.data, at) + 1;
	item->length = characters(line.data + at, size);
	if (item->length == 0)
		item->length = 1;
	bool more = script_source_line(&telling->source, item->line - 1, &above);
	item->excerpt = mem_printf("%.*s%s%.*s", more ? (int)above.size : 0, more ? above.data : "",
	        more ? "\n" : "", (int)line.size, line.data);
}

/* An event that is no JSON is shown where it goes wrong: "... (byte 16)". */
static void place_in_event(struct telling *telling)
{
	const struct script_trouble *trouble = telling->trouble;
	const char *byte = strstr(telling->message, " (byte "), *end = strrchr(telling->item.file, ':');
	size_t at = byte ? strtoul(byte + strlen(" (byte "), NULL, 10) : SIZE_MAX;
	if (at > trouble->event.size || memchr(trouble->event.data, '\n', trouble->event.size))
		return;
	unsigned long line = end ? strtoul(end + 1, NULL, 10) : 0;
	if (line == 0 || line > LINE_MAX_NUMBER || end[1 + strspn(end + 1, "0123456789")] != '\0')
		return;
	telling->item.file[end - telling->item.file] = '\0';
	telling->item.line = (unsigned)line;
	telling->item.column = characters(trouble->event.data, at) + 1;
	telling->item.length = 1;
	telling->item.excerpt = mem_dup(trouble->event.data, trouble->event.size);
}

/* ---- what surrounds it ---- */

static void tell_where(struct telling *telling)
{
	const struct script_trouble *trouble = telling->trouble;
	struct buf *out = &telling->details;
	bool shown = trouble->where &&
	             strncmp(telling->item.file, trouble->where, strlen(telling->item.file)) == 0;
	const char *event = shown ? NULL : trouble->where;
	if (telling->hook && event)
		buf_printf(out, "   in hook '%s', event %s\n", telling->hook, event);
	else if (telling->hook && about_script(telling->code))
		buf_printf(out, "   in hook '%s'\n", telling->hook);
	else if (event)
		buf_printf(out, "   event %s\n", event);
}

/* Offset of the line in the stack that is the place itself; where none is, its first call: of a dead
 * coroutine Lua knows the function, and not the line. */
static size_t innermost(const char *stack, const char *place)
{
	size_t first = SIZE_MAX;
	for (size_t at = 0; stack[at]; at += strcspn(stack + at, "\n"), at += stack[at] == '\n') {
		if (strncmp(stack + at, place, strlen(place)) == 0)
			return at;
		if (first == SIZE_MAX && strncmp(stack + at, "the engine's", 12) != 0)
			first = at;
	}
	return first == SIZE_MAX ? strlen(stack) : first;
}

/* The calls that led there, without the place itself and without the engine's functions. */
static void tell_callers(struct telling *telling)
{
	const char *stack = telling->trouble->stack ? telling->trouble->stack : "";
	char *place = mem_printf("%s:%u:", telling->item.file, telling->item.line);
	const char *at = stack + innermost(stack, place);
	int told = 0;
	for (bool past = false; *at && told < CALLERS; past = true) {
		size_t size = strcspn(at, "\n");
		if (past && strncmp(at, "the engine's", 12) != 0) {
			buf_printf(&telling->details, "   called from %.*s\n", (int)size, at);
			told++;
		}
		at += size + (at[size] == '\n');
	}
	mem_free(place);
}

static void tell_event(struct telling *telling)
{
	struct buf *out = &telling->details;
	struct bytes event = telling->trouble->event;
	if (event.data == NULL || (telling->code == M601_POISON && telling->item.excerpt))
		return;
	buf_append_text(out, "   event: ");
	if (telling->has_event)
		shorten(&telling->event, (const char *const *)telling->hint.focus, telling->hint.focus_count,
		        out);
	else
		script_trouble_shorten(event, NULL, 0, out);
	buf_append_byte(out, '\n');
}

/* The type says what metrics and error events call it. */
static char *sentence(const struct telling *telling)
{
	const char *type = telling->trouble->type;
	if (type == NULL || strcmp(type, "ScriptError") == 0)
		return mem_strdup(telling->message);
	return mem_printf("%s: %s", type, telling->message);
}

/* A message is of one line, and moves no terminal. */
static void tidy(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7F)
			*text = ' ';
}

static void find_hint(struct telling *telling)
{
	struct script_hint_of of = {.code = telling->code,
	        .message = telling->message,
	        .hook = telling->hook,
	        .source = telling->has_source ? &telling->source : NULL,
	        .line = telling->item.line,
	        .event = telling->has_event ? &telling->event : NULL};
	script_hint_find(&of, &telling->hint);
}

void script_trouble_diagnose(const struct script_trouble *trouble, struct diagnostics *found)
{
	struct telling telling = {.trouble = trouble};
	struct bytes event = trouble->event;
	buf_init(&telling.details, 0);
	jsontree_init(&telling.event);
	telling.has_event = event.data && jsontree_parse(&telling.event, event.data, event.size, NULL, NULL);
	find_place(&telling);
	find_hint(&telling);
	if (telling.code == M601_POISON && event.data)
		place_in_event(&telling);
	else
		place_caret(&telling);
	tell_where(&telling);
	tell_callers(&telling);
	tell_event(&telling);
	telling.item.code = telling.code;
	telling.item.message = sentence(&telling);
	tidy(telling.item.message);
	telling.item.hint = telling.hint.text;
	telling.item.details = telling.details.size ? telling.details.data : NULL;
	diagnostics_add(found, &telling.item);
	mem_free(telling.item.file);
	mem_free(telling.item.message);
	mem_free(telling.item.excerpt);
	mem_free(telling.hook);
	buf_free(&telling.details);
	script_hint_free(&telling.hint);
	script_source_free(&telling.source);
	jsontree_free(&telling.event);
}

void script_trouble_text(const struct script_trouble *trouble, bool colour, struct buf *out)
{
	struct diagnostics found = {0};
	script_trouble_diagnose(trouble, &found);
	diagnostics_text(&found, NULL, 0, colour, out);
	for (size_t i = 0; i < found.count; i++)
		buf_printf(out, "   more: millrace explain %s\n", explain_code(found.items[i].code));
	diagnostics_free(&found);
}

static char *text_of(const struct jsontree *tree, const char *name)
{
	struct buf room;
	uint32_t at = jsontree_member(tree, 0, name, strlen(name));
	if (at == 0 || tree->nodes[at].kind != JSONTREE_STRING)
		return NULL;
	buf_init(&room, 0);
	struct bytes text = jsontree_string(tree, at, &room);
	char *copy = mem_dup(text.data ? text.data : "", text.size);
	buf_free(&room);
	return copy;
}

bool script_trouble_event(
        struct bytes value, const char *script, const char *where, bool colour, struct buf *out)
{
	struct jsontree tree;
	jsontree_init(&tree);
	bool good = jsontree_parse(&tree, value.data, value.size, NULL, NULL) &&
	            tree.nodes[0].kind == JSONTREE_OBJECT;
	char *type = good ? text_of(&tree, "error_type") : NULL,
	     *message = good ? text_of(&tree, "message") : NULL;
	char *stack = good ? text_of(&tree, "stack") : NULL, *raw = good ? text_of(&tree, "raw_event") : NULL;
	if (type && message) {
		struct script_trouble trouble = {.type = type,
		        .message = message,
		        .stack = stack,
		        .script = script,
		        .where = where,
		        .event = {raw, raw ? strlen(raw) : 0}};
		script_trouble_text(&trouble, colour, out);
	}
	good = type && message;
	mem_free(type);
	mem_free(message);
	mem_free(stack);
	mem_free(raw);
	jsontree_free(&tree);
	return good;
}
