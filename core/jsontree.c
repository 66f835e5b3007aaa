/* A JSON text as a flat tree: the parser, in one pass without recursion. */
#include "jsontree.h"
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>

#define FIRST_NODES 256

/* An array or object that is open. */
struct jsontree_level {
	uint32_t node;
	uint32_t count; /* members so far */
	uint64_t seen;  /* a bit for each key's hash: a key whose bit is not set is new */
};

struct parser {
	struct jsontree *tree;
	const unsigned char *start, *at, *end;
	struct jsontree_level *level; /* the innermost that is open; levels[0] is the document */
	unsigned depth, max_depth;
	size_t values; /* that may still come */
	struct json_error *error;
};

__attribute__((format(printf, 3, 4))) static bool fail(
        struct parser *p, const unsigned char *at, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(p->error->message, sizeof p->error->message, format, args);
	va_end(args);
	p->error->offset = (size_t)(at - p->start);
	return false;
}

static inline void skip_space(struct parser *p)
{
	while (p->at < p->end && *p->at <= ' ' &&
	        (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
		p->at++;
}

static struct jsontree_node *grow(struct jsontree *tree)
{
	tree->capacity = tree->capacity ? tree->capacity * 2 : FIRST_NODES;
	tree->nodes = mem_realloc(tree->nodes, tree->capacity * sizeof *tree->nodes);
	return tree->nodes + tree->count++;
}

/* The next node; the one before may move. */
static inline struct jsontree_node *push(struct parser *p, enum jsontree_kind kind, const unsigned char *at)
{
	struct jsontree *tree = p->tree;
	struct jsontree_node *node = tree->count < tree->capacity ? tree->nodes + tree->count++ : grow(tree);
	*node = (struct jsontree_node){.kind = kind, .start = (uint32_t)(at - p->start), .next = tree->count};
	return node;
}

/* ---- strings ---- */

static bool scan_unit(struct parser *p, unsigned *unit)
{
	*unit = p->end - p->at < 4 ? JSON_NO_HEX : json_hex_unit(p->at);
	if (*unit == JSON_NO_HEX)
		return fail(p, p->at, "expected four hexadecimal digits after \\u");
	p->at += 4;
	return true;
}

static bool scan_escape(struct parser *p)
{
	const unsigned char *escape = p->at;
	unsigned unit, low = 0;
	if (p->end - escape < 2)
		return fail(p, p->end, "the text ends inside a string");
	p->at += 2;
	if (json_simple_escape[escape[1]])
		return true;
	if (escape[1] != 'u')
		return fail(p, escape, "unknown escape in a string");
	if (!scan_unit(p, &unit))
		return false;
	if ((unit & 0xF800) != 0xD800)
		return true;
	bool pair = unit < 0xDC00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u';
	if (pair) {
		p->at += 2;
		if (!scan_unit(p, &low))
			return false;
	}
	if (!pair || (low & 0xFC00) != 0xDC00)
		return fail(p, escape, "lone surrogate \\u%04x: it stands for no character", unit);
	return true;
}

/* From behind the opening quote to the closing one, at which p->at is left. */
static bool scan_string(struct parser *p, bool *escaped)
{
	for (;;) {
		p->at = json_text_run(p->at, p->end);
		if (p->at == p->end)
			return fail(p, p->at, "the text ends inside a string");
		if (*p->at == '"')
			return true;
		if (*p->at < ' ')
			return fail(p, p->at, "control character 0x%02x in a string: write it as \\u%04x",
			        *p->at, *p->at);
		if (*p->at != '\\')
			return fail(p, p->at, "not UTF-8: byte 0x%02x", *p->at);
		*escaped = true;
		if (!scan_escape(p))
			return false;
	}
}

static bool take_string(struct parser *p)
{
	struct jsontree_node *node = push(p, JSONTREE_STRING, ++p->at);
	bool escaped = false;
	if (!scan_string(p, &escaped))
		return false;
	node->escaped = escaped;
	node->size = (uint32_t)(p->at - p->start) - node->start;
	p->at++;
	return true;
}

/* ---- numbers and words ---- */

static bool take_number(struct parser *p)
{
	struct jsontree_node *node = push(p, JSONTREE_NUMBER, p->at);
	const unsigned char *at = p->at + (*p->at == '-'), *first = at;
	const unsigned char *stop = p->end - at > 19 ? at + 19 : p->end;
	uint64_t value = 0;
	for (; at < stop && (unsigned)*at - '0' < 10; at++)
		value = value * 10 + (*at - '0');
	if (at > first && at < stop && *at != '.' && (*at | 0x20) != 'e' &&
	        (*first != '0' || at == first + 1)) {
		node->small = true;
		node->integer = first == p->at ? (int64_t)value : -(int64_t)value;
		node->size = (uint32_t)(at - p->at);
		p->at = at;
		return true;
	}
	size_t size;
	const char *problem = json_number_span(p->at, p->end, &size, &node->fractional);
	if (problem)
		return fail(p, p->at + size, "%s", problem);
	node->size = (uint32_t)size;
	p->at += size;
	return true;
}

static bool take_word(struct parser *p, const char *word, size_t size, enum jsontree_kind kind)
{
	if ((size_t)(p->end - p->at) < size || memcmp(p->at, word, size) != 0)
		return fail(p, p->at, "expected a value");
	push(p, kind, p->at)->size = (uint32_t)size;
	p->at += size;
	return true;
}

/* ---- keys ---- */

static bool refuse_duplicate(struct parser *p, uint32_t key)
{
	struct bytes name = jsontree_string(p->tree, key, &p->tree->scratch);
	size_t shown = name.size < 64 ? name.size : 64;
	while (shown < name.size && shown && ((unsigned char)name.data[shown] & 0xC0) == 0x80)
		shown--; /* cut between characters */
	char text[65];
	for (size_t i = 0; i < shown; i++)
		text[i] = (unsigned char)name.data[i] < ' ' ? '?' : name.data[i];
	return fail(p, p->start + p->tree->nodes[key].start - 1, "duplicate key \"%.*s\"%s", (int)shown, text,
	        shown < name.size ? "..." : "");
}

static bool same_key(const struct jsontree *tree, uint32_t a, uint32_t b)
{
	const struct jsontree_node *x = &tree->nodes[a], *y = &tree->nodes[b];
	if (x->hash != y->hash)
		return false;
	if (!x->escaped && !y->escaped)
		return x->size == y->size &&
		       memcmp(tree->text + x->start, tree->text + y->start, x->size) == 0;
	return jsontree_equal(tree, a, tree, b);
}

static bool is_new_key(const struct parser *p, uint32_t key)
{
	const struct jsontree_node *nodes = p->tree->nodes;
	uint32_t at = p->level->node + 1;
	for (uint32_t i = 0; i < p->level->count; i++, at = nodes[at + 1].next)
		if (same_key(p->tree, at, key))
			return false;
	return true;
}

/* Of an object with many keys, once it is whole. */
static bool check_many_keys(struct parser *p)
{
	const struct jsontree *tree = p->tree;
	uint32_t count = p->level->count, duplicate = 0;
	p->tree->nodes[p->level->node].count = count;
	uint32_t *keys = jsontree_sorted_keys(tree, p->level->node);
	for (uint32_t i = 1; i < count && !duplicate; i++)
		if (same_key(tree, keys[i - 1], keys[i]))
			duplicate = keys[i];
	mem_free(keys);
	return duplicate ? refuse_duplicate(p, duplicate) : true;
}

static void hash_key(struct jsontree *tree, uint32_t key)
{
	struct jsontree_node *node = &tree->nodes[key];
	struct bytes name = {tree->text + node->start, node->size};
	if (node->escaped)
		name = jsontree_string(tree, key, &tree->scratch);
	node->hash = jsontree_hash(name.data, name.size);
}

static bool take_key(struct parser *p)
{
	struct jsontree_level *level = p->level;
	uint32_t key = p->tree->count;
	if (p->at == p->end || *p->at != '"')
		return fail(p, p->at, "expected a key in double quotes");
	if (!take_string(p))
		return false;
	hash_key(p->tree, key);
	if (p->tree->nodes[key].escaped)
		p->tree->nodes[level->node].escaped = true;
	uint64_t bit = (uint64_t)1 << (p->tree->nodes[key].hash & 63);
	if ((level->seen & bit) && level->count <= JSONTREE_FEW && !is_new_key(p, key))
		return refuse_duplicate(p, key);
	level->seen |= bit;
	skip_space(p);
	if (p->at == p->end || *p->at != ':')
		return fail(p, p->at, "expected ':'");
	p->at++;
	return true;
}

/* ---- arrays and objects ---- */

static void close_level(struct parser *p)
{
	struct jsontree_node *node = &p->tree->nodes[p->level->node];
	p->at++;
	node->size = (uint32_t)(p->at - p->start) - node->start;
	node->count = p->level->count;
	node->next = p->tree->count;
	p->level--;
	p->depth--;
}

/* *more: is the next thing a value (of an element, of a member whose key has been read)? */
static bool open_level(struct parser *p, enum jsontree_kind kind, bool *more)
{
	if (p->depth == p->max_depth)
		return fail(p, p->at, "nested deeper than %u levels", p->depth);
	p->depth++;
	*++p->level = (struct jsontree_level){.node = p->tree->count};
	push(p, kind, p->at++);
	skip_space(p);
	if (p->at < p->end && *p->at == (kind == JSONTREE_ARRAY ? ']' : '}')) {
		close_level(p);
		*more = false;
		return true;
	}
	*more = true;
	return kind == JSONTREE_ARRAY || take_key(p);
}

static bool take_value(struct parser *p, bool *more)
{
	*more = false;
	skip_space(p);
	if (p->at == p->end)
		return fail(p, p->at, "expected a value, but the text ends");
	if (p->values-- == 0)
		return fail(p, p->at, "too many values in one document");
	switch (*p->at) {
	case '"': return take_string(p);
	case '{': return open_level(p, JSONTREE_OBJECT, more);
	case '[': return open_level(p, JSONTREE_ARRAY, more);
	case 't': return take_word(p, "true", 4, JSONTREE_TRUE);
	case 'f': return take_word(p, "false", 5, JSONTREE_FALSE);
	case 'n': return take_word(p, "null", 4, JSONTREE_NULL);
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9': return take_number(p);
	default: return fail(p, p->at, "expected a value");
	}
}

/* A value has ended: is there a next one? Closes what ends with it. */
static bool go_on(struct parser *p, bool *more)
{
	const struct jsontree_node *open;
	*more = false;
	while (p->depth) {
		open = &p->tree->nodes[p->level->node];
		bool object = open->kind == JSONTREE_OBJECT;
		p->level->count++;
		skip_space(p);
		if (p->at < p->end && *p->at == ',') {
			p->at++;
			*more = true;
			if (!object)
				return true;
			skip_space(p);
			return take_key(p);
		}
		if (p->at == p->end || *p->at != (object ? '}' : ']'))
			return fail(p, p->at, object ? "expected ',' or '}'" : "expected ',' or ']'");
		if (object && p->level->count > JSONTREE_FEW && !check_many_keys(p))
			return false;
		close_level(p);
	}
	return true;
}

static bool parse(struct parser *p)
{
	if (p->end - p->at >= 3 && memcmp(p->at, "\xEF\xBB\xBF", 3) == 0)
		return fail(p, p->at, "a byte order mark is not JSON");
	for (bool more = true; more;) {
		if (!take_value(p, &more))
			return false;
		if (!more && !go_on(p, &more))
			return false;
	}
	skip_space(p);
	if (p->at < p->end)
		return fail(p, p->at, "expected the end of the text");
	return true;
}

void jsontree_init(struct jsontree *tree)
{
	*tree = (struct jsontree){0};
}

void jsontree_free(struct jsontree *tree)
{
	mem_free(tree->nodes);
	mem_free(tree->levels);
	buf_free(&tree->scratch);
	jsontree_init(tree);
}

bool jsontree_parse(struct jsontree *tree, const char *text, size_t size, const struct json_limits *limits,
        struct json_error *error)
{
	struct json_error unread;
	const unsigned char *start = (const unsigned char *)(text ? text : "");
	unsigned depth = limits && limits->depth ? limits->depth : 128;
	struct parser p = {
	        .tree = tree,
	        .start = start,
	        .at = start,
	        .end = start + size,
	        .max_depth = depth < JSON_MAX_DEPTH ? depth : JSON_MAX_DEPTH,
	        .values = limits && limits->values ? limits->values : SIZE_MAX,
	        .error = error ? error : &unread,
	};
	tree->text = (const char *)start;
	tree->size = size;
	tree->count = 0;
	if (tree->levels == NULL)
		tree->levels = mem_alloc((JSON_MAX_DEPTH + 1) * sizeof *tree->levels);
	p.level = tree->levels;
	bool good = size < UINT32_MAX ? parse(&p) : fail(&p, start, "the text is larger than 4 GiB");
	if (!good)
		tree->count = 0;
	return good;
}
