/* The keywords of one schema, read from its document into its node. */
#include "mem.h"
#include "schema_compiler.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct reader {
	struct schema_compiler *c;
	struct schema *schema;
	struct schema_document *document;
	const struct jsontree *tree;
	uint32_t index; /* of the schema */
	struct schema_node *node;
};

static struct schema_spot spot_of(const struct reader *r, uint32_t index)
{
	return (struct schema_spot){r->document, index};
}

static bool expected(const struct reader *r, uint32_t index, const char *what)
{
	return schema_complain(r->c, spot_of(r, index), "expected %s, found %s", what,
	        schema_describe(r->c, spot_of(r, index)));
}

/* The keyword's value, or 0. */
static uint32_t keyword(const struct reader *r, const char *name)
{
	return jsontree_member(r->tree, r->index, name, strlen(name));
}

/* A keyword that came with a later draft says nothing in an earlier one. */
static uint32_t later_keyword(const struct reader *r, const char *name, enum schema_draft since)
{
	return r->document->draft >= since ? keyword(r, name) : 0;
}

static enum jsontree_kind kind_of(const struct reader *r, uint32_t index)
{
	return r->tree->nodes[index].kind;
}

static uint32_t count_of(const struct reader *r, uint32_t index)
{
	return r->tree->nodes[index].count;
}

static char *copy_string(const struct reader *r, uint32_t index, size_t *size)
{
	struct buf room;
	buf_init(&room, 0);
	struct bytes text = jsontree_string(r->tree, index, &room);
	char *copy = schema_copy(r->schema, text.data, text.size);
	*size = text.size;
	buf_free(&room);
	return copy;
}

/* ---- values of keywords ---- */

static bool read_schema(const struct reader *r, uint32_t index, const struct schema_node **node)
{
	*node = index ? schema_node_at(r->c, spot_of(r, index)) : NULL;
	return index == 0 || *node;
}

static bool read_schemas(
        const struct reader *r, uint32_t index, const struct schema_node ***nodes, size_t *count)
{
	if (index == 0)
		return true;
	if (kind_of(r, index) != JSONTREE_ARRAY)
		return expected(r, index, "a list of schemas");
	*count = count_of(r, index);
	*nodes = schema_alloc(r->schema, *count * sizeof **nodes);
	uint32_t at = index + 1;
	for (size_t i = 0; i < *count; i++, at = r->tree->nodes[at].next)
		if (!read_schema(r, at, &(*nodes)[i]))
			return false;
	return true;
}

/* A whole number from 0; what is absent leaves *value as it is. */
static bool read_size(const struct reader *r, uint32_t index, size_t *value)
{
	if (index == 0)
		return true;
	const struct jsontree_node *node = &r->tree->nodes[index];
	const char *text = jsontree_text(r->tree, index);
	if (node->kind != JSONTREE_NUMBER || *text == '-' || !jsontree_is_whole(r->tree, index))
		return expected(r, index, "a whole number from 0");
	char *copy = mem_dup(text, node->size);
	double number = strtod(copy, NULL);
	mem_free(copy);
	*value = node->small ? (size_t)node->integer : number < 0x1p53 ? (size_t)number : SIZE_MAX;
	return true;
}

static bool read_limit(const struct reader *r, uint32_t index, struct schema_limit *limit)
{
	if (index == 0)
		return true;
	const struct jsontree_node *node = &r->tree->nodes[index];
	if (node->kind != JSONTREE_NUMBER)
		return expected(r, index, "a number");
	*limit = (struct schema_limit){
	        .text = jsontree_text(r->tree, index), .size = node->size, .small = node->small};
	if (node->small)
		limit->integer = node->integer;
	return true;
}

/* Each name of a list; nothing but strings may stand in it. */
static bool read_names(
        const struct reader *r, uint32_t index, const struct schema_name **names, size_t *count)
{
	if (kind_of(r, index) != JSONTREE_ARRAY)
		return expected(r, index, "a list of properties' names");
	*count = count_of(r, index);
	struct schema_name *list = schema_alloc(r->schema, *count * sizeof *list);
	uint32_t at = index + 1;
	for (size_t i = 0; i < *count; i++, at = r->tree->nodes[at].next) {
		if (kind_of(r, at) != JSONTREE_STRING)
			return expected(r, at, "a property's name");
		list[i].text = copy_string(r, at, &list[i].size);
		list[i].hash = jsontree_hash(list[i].text, list[i].size);
	}
	*names = list;
	return true;
}

static const struct schema_regex *read_regex(const struct reader *r, uint32_t index, const char **shown)
{
	struct err why;
	size_t size;
	const char *text = copy_string(r, index, &size);
	struct schema_regex *regex = schema_regex_compile(text, size, &why);
	if (regex == NULL) {
		schema_complain(
		        r->c, spot_of(r, index), "the pattern \"%.100s\" cannot be used: %s", text, why.text);
		return NULL;
	}
	struct schema *schema = r->schema;
	schema->regexes =
	        mem_realloc(schema->regexes, (schema->regex_count + 1) * sizeof(struct schema_regex *));
	schema->regexes[schema->regex_count++] = regex;
	*shown = text;
	return regex;
}

/* ---- tables of names ---- */

static void names_make(struct schema *schema, struct schema_names *names, size_t most)
{
	size_t slots = 4;
	while (slots < 2 * most)
		slots *= 2;
	names->slots = schema_alloc(schema, slots * sizeof *names->slots);
	names->mask = slots - 1;
}

/* The entry of that name, made when there is none. */
static struct schema_name *names_add(struct schema_names *names, const char *text, size_t size)
{
	uint64_t hash = jsontree_hash(text, size);
	size_t at = hash & names->mask;
	for (; names->slots[at].text; at = (at + 1) & names->mask)
		if (names->slots[at].hash == hash && names->slots[at].size == size &&
		        memcmp(names->slots[at].text, text, size) == 0)
			return &names->slots[at];
	names->slots[at] = (struct schema_name){.text = text, .size = size, .hash = hash};
	names->count++;
	return &names->slots[at];
}

/* ---- type ---- */

static bool read_type(const struct reader *r, uint32_t index, unsigned *types)
{
	static const char *const names[] = {
	        "null", "boolean", "number", "integer", "string", "array", "object"};
	static const unsigned char bits[] = {SCHEMA_NULL, SCHEMA_BOOLEAN, SCHEMA_NUMBER | SCHEMA_INTEGER,
	        SCHEMA_INTEGER, SCHEMA_STRING, SCHEMA_ARRAY, SCHEMA_OBJECT};
	size_t count = sizeof names / sizeof *names;
	if (kind_of(r, index) != JSONTREE_STRING)
		return expected(r, index, "the name of a type, or a list of them");
	for (size_t i = 0; i < count; i++)
		if (jsontree_string_is(r->tree, index, names[i], strlen(names[i]))) {
			*types |= bits[i];
			return true;
		}
	size_t size;
	const char *near = text_did_you_mean(copy_string(r, index, &size), names, count);
	return schema_complain(r->c, spot_of(r, index), "unknown type %s%s%s%s",
	        schema_describe(r->c, spot_of(r, index)), near ? ": did you mean \"" : "", near ? near : "",
	        near ? "\"?" : "; expected null, boolean, number, integer, string, array or object");
}

static bool read_types(const struct reader *r)
{
	uint32_t index = keyword(r, "type");
	unsigned types = 0;
	if (index == 0)
		return true;
	if (kind_of(r, index) != JSONTREE_ARRAY) {
		if (!read_type(r, index, &types))
			return false;
	} else {
		uint32_t at = index + 1;
		for (uint32_t i = 0; i < count_of(r, index); i++, at = r->tree->nodes[at].next)
			if (!read_type(r, at, &types))
				return false;
	}
	r->node->types = (uint8_t)types;
	return true;
}

/* ---- objects ---- */

static bool read_properties(const struct reader *r, uint32_t index, struct schema_object *object)
{
	if (index && kind_of(r, index) != JSONTREE_OBJECT)
		return expected(r, index, "an object of properties and their schemas");
	size_t count = index ? count_of(r, index) : 0;
	if (count + object->required_count == 0)
		return true;
	names_make(r->schema, &object->names, count + object->required_count);
	uint32_t key = index + 1;
	for (size_t i = 0; i < count; i++, key = r->tree->nodes[key + 1].next) {
		size_t size;
		const char *text = copy_string(r, key, &size);
		struct schema_name *name = names_add(&object->names, text, size);
		name->declared = true;
		if (!read_schema(r, key + 1, &name->node))
			return false;
	}
	for (size_t i = 0; i < object->required_count; i++) {
		const struct schema_name *required = &object->required[i];
		struct schema_name *name = names_add(&object->names, required->text, required->size);
		object->required_names += !name->required;
		name->required = true;
	}
	return true;
}

static bool read_required(const struct reader *r, uint32_t index, struct schema_object *object)
{
	if (index == 0)
		return true;
	if (kind_of(r, index) == JSONTREE_TRUE || kind_of(r, index) == JSONTREE_FALSE)
		return schema_complain(r->c, spot_of(r, index),
		        "expected a list of properties' names, found %s: that is draft-03, name the property "
		        "in "
		        "the required list of the object that holds it",
		        schema_describe(r->c, spot_of(r, index)));
	return read_names(r, index, &object->required, &object->required_count);
}

static bool read_patterns(const struct reader *r, uint32_t index, struct schema_object *object)
{
	if (index == 0)
		return true;
	if (kind_of(r, index) != JSONTREE_OBJECT)
		return expected(r, index, "an object of patterns and their schemas");
	struct schema_pattern *patterns = schema_alloc(r->schema, count_of(r, index) * sizeof *patterns);
	uint32_t key = index + 1;
	for (uint32_t i = 0; i < count_of(r, index); i++, key = r->tree->nodes[key + 1].next) {
		patterns[i].regex = read_regex(r, key, &patterns[i].text);
		if (patterns[i].regex == NULL || !read_schema(r, key + 1, &patterns[i].node))
			return false;
	}
	object->patterns = patterns;
	object->pattern_count = count_of(r, index);
	return true;
}

static bool read_dependencies(const struct reader *r, uint32_t index, struct schema_object *object)
{
	if (index == 0)
		return true;
	if (kind_of(r, index) != JSONTREE_OBJECT)
		return expected(r, index, "an object of properties and what they depend on");
	struct schema_dependency *list = schema_alloc(r->schema, count_of(r, index) * sizeof *list);
	uint32_t key = index + 1;
	for (uint32_t i = 0; i < count_of(r, index); i++, key = r->tree->nodes[key + 1].next) {
		list[i].name = copy_string(r, key, &list[i].size);
		bool names = kind_of(r, key + 1) == JSONTREE_ARRAY;
		if (names ? !read_names(r, key + 1, &list[i].names, &list[i].count)
		          : !read_schema(r, key + 1, &list[i].node))
			return false;
	}
	object->dependencies = list;
	object->dependency_count = count_of(r, index);
	return true;
}

static bool read_additional(const struct reader *r, uint32_t index, struct schema_object *object)
{
	if (index == 0 || kind_of(r, index) == JSONTREE_TRUE)
		return true;
	object->closed = kind_of(r, index) == JSONTREE_FALSE;
	return object->closed || read_schema(r, index, &object->additional);
}

static bool read_object(const struct reader *r)
{
	uint32_t properties = keyword(r, "properties"), required = keyword(r, "required");
	uint32_t patterns = keyword(r, "patternProperties"), additional = keyword(r, "additionalProperties");
	uint32_t names = later_keyword(r, "propertyNames", SCHEMA_DRAFT_6);
	uint32_t dependencies = keyword(r, "dependencies");
	uint32_t min = keyword(r, "minProperties"), max = keyword(r, "maxProperties");
	if (!(properties | required | patterns | additional | names | dependencies | min | max))
		return true;
	struct schema_object *object = schema_alloc(r->schema, sizeof *object);
	object->max = SIZE_MAX;
	r->node->object = object;
	return read_required(r, required, object) && read_properties(r, properties, object) &&
	       read_patterns(r, patterns, object) && read_additional(r, additional, object) &&
	       read_schema(r, names, &object->property_names) && read_dependencies(r, dependencies, object) &&
	       read_size(r, min, &object->min) && read_size(r, max, &object->max);
}

/* ---- arrays ---- */

static bool read_boolean(const struct reader *r, uint32_t index, bool *value)
{
	if (index && kind_of(r, index) != JSONTREE_TRUE && kind_of(r, index) != JSONTREE_FALSE)
		return expected(r, index, "true or false");
	*value = index && kind_of(r, index) == JSONTREE_TRUE;
	return true;
}

static bool read_array(const struct reader *r)
{
	uint32_t items = keyword(r, "items"), additional = keyword(r, "additionalItems");
	uint32_t contains = later_keyword(r, "contains", SCHEMA_DRAFT_6), unique = keyword(r, "uniqueItems");
	uint32_t min = keyword(r, "minItems"), max = keyword(r, "maxItems");
	bool tuple = items && kind_of(r, items) == JSONTREE_ARRAY;
	if (!(items | contains | unique | min | max))
		return true;
	struct schema_array *array = schema_alloc(r->schema, sizeof *array);
	array->max = SIZE_MAX;
	r->node->array = array;
	if (tuple ? !read_schemas(r, items, &array->tuple, &array->tuple_count) ||
	                        !read_schema(r, additional, &array->additional)
	          : !read_schema(r, items, &array->items))
		return false;
	return read_schema(r, contains, &array->contains) && read_boolean(r, unique, &array->unique) &&
	       read_size(r, min, &array->min) && read_size(r, max, &array->max);
}

/* ---- numbers ---- */

/* A number of its own since draft-06, in draft-04 a word beside the bound. */
static bool read_exclusive(const struct reader *r, uint32_t index, struct schema_limit *exclusive,
        struct schema_limit *inclusive)
{
	bool strict;
	if (index == 0)
		return true;
	if (kind_of(r, index) == JSONTREE_NUMBER)
		return read_limit(r, index, exclusive);
	if (kind_of(r, index) != JSONTREE_TRUE && kind_of(r, index) != JSONTREE_FALSE)
		return expected(r, index, "a number (or, in draft-04, true or false)");
	if (!read_boolean(r, index, &strict))
		return false;
	if (strict) {
		*exclusive = *inclusive;
		*inclusive = (struct schema_limit){0};
	}
	return true;
}

static bool read_divisor(const struct reader *r, uint32_t index, struct schema_number *number)
{
	struct json_magnitude m;
	if (index == 0)
		return true;
	if (!read_limit(r, index, &number->multiple_of))
		return false;
	json_number_measure(number->multiple_of.text, number->multiple_of.size, &m);
	if (m.count == 0 || m.negative)
		return expected(r, index, "a number above 0");
	if (m.count > 18)
		return expected(r, index, "a number of at most 18 digits");
	for (size_t i = 0; i < m.count; i++)
		number->divisor = number->divisor * 10 + (uint64_t)(m.digits[i] - '0');
	number->power = m.point - (int64_t)m.count;
	return true;
}

static bool read_number(const struct reader *r)
{
	uint32_t minimum = keyword(r, "minimum"), maximum = keyword(r, "maximum");
	uint32_t above = keyword(r, "exclusiveMinimum"), below = keyword(r, "exclusiveMaximum");
	uint32_t multiple_of = keyword(r, "multipleOf");
	if (!(minimum | maximum | above | below | multiple_of))
		return true;
	struct schema_number *number = schema_alloc(r->schema, sizeof *number);
	r->node->number = number;
	return read_limit(r, minimum, &number->minimum) && read_limit(r, maximum, &number->maximum) &&
	       read_exclusive(r, above, &number->above, &number->minimum) &&
	       read_exclusive(r, below, &number->below, &number->maximum) &&
	       read_divisor(r, multiple_of, number);
}

/* ---- strings ---- */

static bool read_pattern(const struct reader *r, uint32_t index, struct schema_pattern *pattern)
{
	if (index == 0)
		return true;
	if (kind_of(r, index) != JSONTREE_STRING)
		return expected(r, index, "a regular expression");
	pattern->regex = read_regex(r, index, &pattern->text);
	return pattern->regex != NULL;
}

static bool read_format(const struct reader *r, uint32_t index, struct schema_string *string)
{
	size_t size;
	if (index == 0 || r->c->settings.formats_are_notes)
		return true;
	if (kind_of(r, index) != JSONTREE_STRING)
		return expected(r, index, "the name of a format");
	string->format_name = copy_string(r, index, &size);
	string->format = schema_format_find(string->format_name);
	return true;
}

static bool read_string(const struct reader *r)
{
	uint32_t min = keyword(r, "minLength"), max = keyword(r, "maxLength"),
	         pattern = keyword(r, "pattern");
	uint32_t format = keyword(r, "format");
	struct schema_string found = {.max = SIZE_MAX};
	if (!read_size(r, min, &found.min) || !read_size(r, max, &found.max) ||
	        !read_pattern(r, pattern, &found.pattern) || !read_format(r, format, &found))
		return false;
	if (!(min | max | pattern) && found.format == NULL)
		return true;
	struct schema_string *string = schema_alloc(r->schema, sizeof *string);
	*string = found;
	r->node->string = string;
	return true;
}

/* ---- any value ---- */

static bool read_enum(const struct reader *r, uint32_t index, struct schema_logic *logic)
{
	if (index == 0)
		return true;
	if (kind_of(r, index) != JSONTREE_ARRAY)
		return expected(r, index, "a list of values");
	logic->has_enum = true;
	logic->value_count = count_of(r, index);
	struct schema_value *values = schema_alloc(r->schema, logic->value_count * sizeof *values);
	names_make(r->schema, &logic->texts, logic->value_count);
	uint32_t at = index + 1;
	for (size_t i = 0; i < logic->value_count; i++, at = r->tree->nodes[at].next) {
		values[i] = (struct schema_value){r->document, at};
		if (kind_of(r, at) == JSONTREE_STRING) {
			size_t size;
			const char *text = copy_string(r, at, &size);
			names_add(&logic->texts, text, size);
		}
	}
	logic->values = values;
	return true;
}

static bool read_condition(const struct reader *r, uint32_t index, struct schema_logic *logic)
{
	return index == 0 || (read_schema(r, index, &logic->condition) &&
	                             read_schema(r, keyword(r, "then"), &logic->then) &&
	                             read_schema(r, keyword(r, "else"), &logic->otherwise));
}

static bool read_logic(const struct reader *r)
{
	uint32_t values = keyword(r, "enum"), constant = later_keyword(r, "const", SCHEMA_DRAFT_6);
	uint32_t all_of = keyword(r, "allOf"), any_of = keyword(r, "anyOf"), one_of = keyword(r, "oneOf");
	uint32_t negated = keyword(r, "not"), condition = later_keyword(r, "if", SCHEMA_DRAFT_7);
	if (!(values | constant | all_of | any_of | one_of | negated | condition))
		return true;
	struct schema_logic *logic = schema_alloc(r->schema, sizeof *logic);
	r->node->logic = logic;
	logic->has_const = constant != 0;
	logic->constant = (struct schema_value){r->document, constant};
	return read_enum(r, values, logic) &&
	       read_schemas(r, all_of, &logic->all_of.nodes, &logic->all_of.count) &&
	       read_schemas(r, any_of, &logic->any_of.nodes, &logic->any_of.count) &&
	       read_schemas(r, one_of, &logic->one_of.nodes, &logic->one_of.count) &&
	       read_schema(r, negated, &logic->negated) && read_condition(r, condition, logic);
}

/* ---- the schema ---- */

static bool read_reference(const struct reader *r, uint32_t index)
{
	struct schema_spot target, from = spot_of(r, r->index);
	struct buf room;
	buf_init(&room, 0);
	struct bytes text = jsontree_string(r->tree, index, &room);
	char *reference = mem_dup(text.data, text.size);
	buf_free(&room);
	bool good = schema_resolve(r->c, &from, reference, &target);
	mem_free(reference);
	return good && (r->node->reference = schema_node_at(r->c, target)) != NULL;
}

bool schema_read_keywords(struct schema_compiler *c, struct schema_node *node, struct schema_spot spot)
{
	const struct reader r = {c, c->schema, spot.document, &spot.document->tree, spot.index, node};
	uint32_t reference = keyword(&r, "$ref");
	if (reference && kind_of(&r, reference) == JSONTREE_STRING)
		return read_reference(&r, reference); /* all beside it is ignored, up to draft-07 */
	if (reference)
		return expected(&r, reference, "a reference to a schema");
	return read_types(&r) && read_object(&r) && read_array(&r) && read_number(&r) && read_string(&r) &&
	       read_logic(&r);
}
