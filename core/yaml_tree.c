/* A YAML document as a tree of nodes that know their line and column. */
#include "yaml_tree.h"
#include "buf.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct builder {
	yaml_parser_t parser;
	const struct yaml_listener *listener;
	size_t nodes;
};

static bool build_node(struct builder *builder, const yaml_event_t *event, struct yaml_node *node, int depth);

static void report(struct builder *builder, struct yaml_place place, const char *text, const char *hint)
{
	builder->listener->problem(builder->listener->context, &place, text, hint);
}

static struct yaml_place place_of(const yaml_mark_t *start, const yaml_mark_t *end)
{
	struct yaml_place place = {(unsigned)start->line + 1, (unsigned)start->column + 1, 1};
	if (end->line == start->line && end->column > start->column)
		place.length = (unsigned)(end->column - start->column);
	return place;
}

/* libyaml's words, with what people most often did in the hint. */
static void report_syntax(struct builder *builder)
{
	const yaml_parser_t *parser = &builder->parser;
	const char *problem = parser->problem ? parser->problem : "the file cannot be read as YAML";
	struct yaml_place place = {
	        (unsigned)parser->problem_mark.line + 1, (unsigned)parser->problem_mark.column + 1, 1};
	const char *hint = NULL;
	if (strstr(problem, "tab character"))
		hint = "YAML is indented with spaces, not tabs";
	else if (strstr(problem, "cannot start any token"))
		hint = "YAML is indented with spaces, not tabs; a text that begins with @, ` or % needs "
		       "quotes";
	else if (strstr(problem, "mapping values are not allowed"))
		hint = "a text that contains ': ' needs quotes; else look at the indentation of this line";
	else if (strstr(problem, "unexpected ':'") || strstr(problem, "expected ',' or"))
		hint = "within [ ] and { } a text with ':', '{' or '}' needs quotes, so does \"${NAME}\"";
	else if (strstr(problem, "expected key") || strstr(problem, "expected <block end>"))
		hint = "look at the indentation of this line and of the one before it";
	if (parser->error == YAML_READER_ERROR)
		place = (struct yaml_place){1, 1, 0};
	char *text = parser->context ? mem_printf("%s (%s that began in line %zu)", problem, parser->context,
	                                       parser->context_mark.line + 1)
	                             : mem_printf("%s", problem);
	report(builder, place, text, hint);
	mem_free(text);
}

static bool next_event(struct builder *builder, yaml_event_t *event)
{
	if (yaml_parser_parse(&builder->parser, event))
		return true;
	report_syntax(builder);
	return false;
}

static bool has_tag(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT: return event->data.scalar.tag != NULL;
	case YAML_SEQUENCE_START_EVENT: return event->data.sequence_start.tag != NULL;
	case YAML_MAPPING_START_EVENT: return event->data.mapping_start.tag != NULL;
	default: return false;
	}
}

static bool has_anchor(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT: return event->data.scalar.anchor != NULL;
	case YAML_SEQUENCE_START_EVENT: return event->data.sequence_start.anchor != NULL;
	case YAML_MAPPING_START_EVENT: return event->data.mapping_start.anchor != NULL;
	default: return false;
	}
}

static void refuse_decoration(struct builder *builder, const yaml_event_t *event, struct yaml_place place)
{
	place.length = 1;
	if (has_tag(event))
		report(builder, place, "tags are not supported", "leave out the '!...' word");
	if (has_anchor(event))
		report(builder, place, "anchors are not supported", "leave out the '&...' word");
}

static void build_scalar(struct builder *builder, const yaml_event_t *event, struct yaml_node *node)
{
	if (memchr(event->data.scalar.value, '\0', event->data.scalar.length)) {
		report(builder, node->place, "a NUL character is not supported in a text", NULL);
		return;
	}
	node->kind = YAML_TEXT;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text = mem_dup(event->data.scalar.value, event->data.scalar.length);
}

static struct yaml_node *grow(struct yaml_node *nodes, size_t count)
{
	if ((count & (count - 1)) == 0)
		nodes = mem_realloc(nodes, (count ? count * 2 : 1) * sizeof *nodes);
	nodes[count] = (struct yaml_node){0};
	return nodes;
}

static bool build_list(struct builder *builder, struct yaml_node *node, int depth)
{
	node->kind = YAML_LIST;
	for (;;) {
		yaml_event_t event;
		if (!next_event(builder, &event))
			return false;
		bool end = event.type == YAML_SEQUENCE_END_EVENT, built = true;
		if (!end) {
			node->items = grow(node->items, node->count);
			built = build_node(builder, &event, &node->items[node->count++], depth + 1);
		}
		yaml_event_delete(&event);
		if (end || !built)
			return built;
	}
}

static void check_key(struct builder *builder, const struct yaml_node *map, size_t index)
{
	const struct yaml_node *key = &map->keys[index];
	if (key->kind != YAML_TEXT) {
		if (key->kind != YAML_NOTHING)
			report(builder, key->place, "a key must be a text", NULL);
		return;
	}
	if (key->plain && strcmp(key->text, "<<") == 0) {
		report(builder, key->place, "merge keys ('<<') are not supported", "write the keys out");
		return;
	}
	for (size_t i = 0; i < index; i++)
		if (map->keys[i].kind == YAML_TEXT && strcmp(map->keys[i].text, key->text) == 0) {
			char *text = mem_printf("duplicate key '%s'", key->text);
			char *hint = mem_printf("it already stands in line %u", map->keys[i].place.line);
			report(builder, key->place, text, hint);
			mem_free(text);
			mem_free(hint);
			return;
		}
}

static bool build_map(struct builder *builder, struct yaml_node *node, int depth)
{
	node->kind = YAML_MAP;
	for (bool is_key = true;; is_key = !is_key) {
		yaml_event_t event;
		if (!next_event(builder, &event))
			return false;
		bool end = event.type == YAML_MAPPING_END_EVENT, built = true;
		if (!end && is_key) {
			node->keys = grow(node->keys, node->count);
			node->items = grow(node->items, node->count++);
			built = build_node(builder, &event, &node->keys[node->count - 1], depth + 1);
			if (built)
				check_key(builder, node, node->count - 1);
		} else if (!end) {
			built = build_node(builder, &event, &node->items[node->count - 1], depth + 1);
		}
		yaml_event_delete(&event);
		if (end || !built)
			return built;
	}
}

static bool build_node(struct builder *builder, const yaml_event_t *event, struct yaml_node *node, int depth)
{
	node->place = place_of(&event->start_mark, &event->end_mark);
	if (depth > YAML_TREE_DEPTH) {
		report(builder, node->place, "nested too deeply", "the limit is 32 levels");
		return false;
	}
	if (++builder->nodes > YAML_TREE_NODES) {
		report(builder, node->place, "the file has too many values", "the limit is 20000");
		return false;
	}
	refuse_decoration(builder, event, node->place);
	switch (event->type) {
	case YAML_SCALAR_EVENT: build_scalar(builder, event, node); return true;
	case YAML_SEQUENCE_START_EVENT: return build_list(builder, node, depth);
	case YAML_MAPPING_START_EVENT: return build_map(builder, node, depth);
	default:
		report(builder, node->place, "aliases are not supported", "write the value out");
		return true;
	}
}

/* Everything behind the first document's root: its end, and the end of the stream. */
static bool expect_end(struct builder *builder)
{
	for (;;) {
		yaml_event_t event;
		if (!next_event(builder, &event))
			return false;
		yaml_event_type_t type = event.type;
		struct yaml_place place = place_of(&event.start_mark, &event.end_mark);
		yaml_event_delete(&event);
		if (type == YAML_STREAM_END_EVENT)
			return true;
		if (type == YAML_DOCUMENT_START_EVENT) {
			report(builder, place, "a second document begins here; a file holds one",
			        "leave out the line '---'");
			return false;
		}
	}
}

static bool build_stream(struct builder *builder, struct yaml_node *root)
{
	for (;;) {
		yaml_event_t event;
		if (!next_event(builder, &event))
			return false;
		yaml_event_type_t type = event.type;
		bool built = true, is_root = type != YAML_STREAM_START_EVENT &&
		                             type != YAML_DOCUMENT_START_EVENT &&
		                             type != YAML_STREAM_END_EVENT;
		if (is_root)
			built = build_node(builder, &event, root, 0);
		yaml_event_delete(&event);
		if (!built || type == YAML_STREAM_END_EVENT)
			return built;
		if (is_root)
			return expect_end(builder);
	}
}

struct yaml_node *yaml_tree_parse(const char *text, size_t size, const struct yaml_listener *listener)
{
	struct builder builder = {.listener = listener};
	struct yaml_place start = {1, 1, 0};
	if (size > YAML_TREE_BYTES) {
		report(&builder, start, "the file is larger than 1 MiB", NULL);
		return NULL;
	}
	if (text_utf8_valid(text, size) != size) {
		report(&builder, start, "the file is not UTF-8", NULL);
		return NULL;
	}
	if (!yaml_parser_initialize(&builder.parser)) {
		report(&builder, start, "libyaml has no memory", NULL);
		return NULL;
	}
	yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text, size);
	struct yaml_node *root = mem_zalloc(1, sizeof *root);
	root->place = start;
	if (!build_stream(&builder, root)) {
		yaml_tree_free(root);
		root = NULL;
	}
	yaml_parser_delete(&builder.parser);
	return root;
}

static void release(struct yaml_node *node)
{
	mem_free(node->text);
	for (size_t i = 0; i < node->count; i++) {
		if (node->keys)
			release(&node->keys[i]);
		release(&node->items[i]);
	}
	mem_free(node->keys);
	mem_free(node->items);
}

void yaml_tree_free(struct yaml_node *root)
{
	if (root == NULL)
		return;
	release(root);
	mem_free(root);
}

long yaml_tree_find(const struct yaml_node *map, const char *name)
{
	if (map->kind != YAML_MAP)
		return -1;
	for (size_t i = 0; i < map->count; i++)
		if (map->keys[i].kind == YAML_TEXT && strcmp(map->keys[i].text, name) == 0)
			return (long)i;
	return -1;
}

static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static bool null_text(const char *text)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
	return one_of(text, words);
}

bool yaml_tree_is_null(const struct yaml_node *node)
{
	return node->kind == YAML_TEXT && node->plain && null_text(node->text);
}

/* [-+]? digits, or 0o and octal digits, or 0x and hexadecimal ones (YAML 1.2.2 §10.3.2). */
static bool integer_text(const char *text, struct buf *out)
{
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'o') && text[2] != '\0') {
		const char *digits = text[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567";
		if (text[2 + strspn(text + 2, digits)] != '\0')
			return false;
		errno = 0;
		unsigned long long value = strtoull(text + 2, NULL, text[1] == 'x' ? 16 : 8);
		return errno == 0 && buf_printf(out, "%llu", value);
	}
	const char *digits = text + (text[0] == '-' || text[0] == '+');
	if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
		return false;
	while (digits[0] == '0' && digits[1] != '\0')
		digits++;
	return buf_printf(out, "%s%s", text[0] == '-' ? "-" : "", digits);
}

/* [-+]? ( digits? . digits | digits .? ) exponent?, printed with the zeros that JSON wants. */
static bool decimal_text(const char *text, struct buf *out)
{
	static const char digits[] = "0123456789";
	const char *whole = text + (text[0] == '-' || text[0] == '+');
	size_t whole_size = strspn(whole, digits);
	const char *at = whole + whole_size, *fraction = at;
	size_t fraction_size = 0;
	if (*at == '.') {
		fraction = at + 1;
		fraction_size = strspn(fraction, digits);
		at = fraction + fraction_size;
	}
	if (whole_size + fraction_size == 0)
		return false;
	const char *exponent = at;
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '-' || *at == '+';
		if (*at == '\0' || at[strspn(at, digits)] != '\0')
			return false;
	} else if (*at != '\0') {
		return false;
	}
	while (whole_size > 1 && whole[0] == '0') {
		whole++;
		whole_size--;
	}
	buf_printf(out, "%s%.*s", text[0] == '-' ? "-" : "", whole_size ? (int)whole_size : 1,
	        whole_size ? whole : "0");
	if (fraction_size || (fraction > whole && fraction[-1] == '.'))
		buf_printf(
		        out, ".%.*s", fraction_size ? (int)fraction_size : 1, fraction_size ? fraction : "0");
	return buf_append_text(out, exponent);
}

bool yaml_tree_json_scalar(const char *text, bool plain, struct buf *out)
{
	static const char *const yes[] = {"true", "True", "TRUE", NULL}, *const no[] = {"false", "False",
	                                                                         "FALSE", NULL};
	static const char *const strange[] = {".inf", ".Inf", ".INF", "-.inf", "-.Inf", "-.INF", "+.inf",
	        "+.Inf", "+.INF", ".nan", ".NaN", ".NAN", NULL};
	if (!plain)
		return text_json_string(out, text, strlen(text));
	if (null_text(text))
		return buf_append_text(out, "null");
	if (one_of(text, yes))
		return buf_append_text(out, "true");
	if (one_of(text, no))
		return buf_append_text(out, "false");
	if (one_of(text, strange))
		return false;
	return integer_text(text, out) || decimal_text(text, out) ||
	       text_json_string(out, text, strlen(text));
}

static void put_items(const struct yaml_node *node, struct buf *out, const struct yaml_listener *listener)
{
	for (size_t i = 0; i < node->count; i++) {
		if (i)
			buf_append_byte(out, ',');
		if (node->kind == YAML_MAP) { /* a key is a text, whatever it looks like */
			yaml_tree_json_scalar(node->keys[i].text ? node->keys[i].text : "", false, out);
			buf_append_byte(out, ':');
		}
		yaml_tree_json(&node->items[i], out, listener);
	}
}

void yaml_tree_json(const struct yaml_node *node, struct buf *out, const struct yaml_listener *listener)
{
	switch (node->kind) {
	case YAML_TEXT:
		if (!yaml_tree_json_scalar(node->text, node->plain, out))
			listener->problem(
			        listener->context, &node->place, "a number that JSON has no form for", NULL);
		break;
	case YAML_LIST:
		buf_append_byte(out, '[');
		put_items(node, out, listener);
		buf_append_byte(out, ']');
		break;
	case YAML_MAP:
		buf_append_byte(out, '{');
		put_items(node, out, listener);
		buf_append_byte(out, '}');
		break;
	case YAML_NOTHING:
		listener->problem(listener->context, &node->place, "nothing stands here", NULL);
		break;
	}
}
