/* Is a value what its schema says? The tree of the event and the nodes of the schema, walked side by side.
 *
 *	schema_check    the text as a tree, then
 *	check           one value against one schema: its type, then what concerns its kind, then what
 *	                concerns any value
 *
 * Without errors to fill, the first that is wrong ends the walk. */
#include "mem.h"
#include "schema_report.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	FREE_STEPS = 1000000,  /* that any check may take */
	STEPS_PER_VALUE = 100, /* and those for each value of the event */
	FEW_ELEMENTS = 10,     /* of an array up to which each is compared with each */
};

static bool check(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path);

static bool spend(struct schema_run *run, const struct schema_node *node, uint64_t steps)
{
	if (run->steps < steps) {
		run->steps = 0;
		return schema_give_up(run, node);
	}
	run->steps -= steps;
	return true;
}

/* ---- types ---- */

static const unsigned char TYPES[] = {
        [JSONTREE_NULL] = SCHEMA_NULL,
        [JSONTREE_FALSE] = SCHEMA_BOOLEAN,
        [JSONTREE_TRUE] = SCHEMA_BOOLEAN,
        [JSONTREE_NUMBER] = SCHEMA_NUMBER,
        [JSONTREE_STRING] = SCHEMA_STRING,
        [JSONTREE_ARRAY] = SCHEMA_ARRAY,
        [JSONTREE_OBJECT] = SCHEMA_OBJECT,
};

static inline bool type_fits(const struct schema_run *run, const struct schema_node *node, uint32_t index)
{
	const struct jsontree_node *value = &run->tree->nodes[index];
	if (node->types & TYPES[value->kind])
		return true;
	return value->kind == JSONTREE_NUMBER && (node->types & SCHEMA_INTEGER) &&
	       (!value->fractional || (node->whole_decimal && jsontree_is_whole(run->tree, index)));
}

static bool wrong_type(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	static const char *const names[] = {
	        "null", "a boolean", "a number", "an integer", "a string", "an array", "an object"};
	struct buf text;
	unsigned types = node->types & SCHEMA_NUMBER ? node->types & ~(unsigned)SCHEMA_INTEGER : node->types;
	if (schema_report_full(run))
		return false;
	buf_init(&text, 0);
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (types & (1U << i))
			buf_printf(&text, "%s%s", text.size ? " or " : "", names[i]);
	schema_report(run, node, path, index, "type", NULL, "%s", text.size ? text.data : "nothing");
	buf_free(&text);
	return false;
}

/* ---- objects ---- */

const struct schema_name *schema_name_of(
        struct schema_run *run, const struct schema_names *names, uint32_t key)
{
	const struct jsontree_node *node = &run->tree->nodes[key];
	struct bytes name = {run->tree->text + node->start, node->size};
	if (node->escaped)
		name = jsontree_string(run->tree, key, &run->checker->name);
	return schema_names_find(names, node->hash, name.data, name.size);
}

bool schema_name_matches(struct schema_run *run, const struct schema_pattern *pattern, uint32_t key)
{
	enum schema_match found = schema_match_at(run, pattern, key);
	if (found == SCHEMA_MATCH_GAVE_UP)
		schema_give_up(run, pattern->node);
	return found == SCHEMA_MATCH_YES;
}

static bool additional_property(
        struct schema_run *run, const struct schema_node *node, uint32_t key, path_t *path)
{
	const struct schema_object *object = node->object;
	if (object->additional)
		return check(run, object->additional, key + 1, path);
	if (!object->closed || (run->options & SCHEMA_ALLOW_ADDITIONAL))
		return true;
	if (schema_report_full(run))
		return false;
	struct bytes name = jsontree_string(run->tree, key, &run->checker->name);
	return schema_report(run, node, path, key + 1, "additionalProperties", NULL, "no property \"%.*s\"",
	        name.size < 100 ? (int)name.size : 100, name.data);
}

static bool check_member(
        struct schema_run *run, const struct schema_node *node, uint32_t key, path_t *up, size_t *required)
{
	const struct schema_object *object = node->object;
	const struct schema_name *name = schema_name_of(run, &object->names, key);
	const struct schema_path path = {up, key, 0};
	bool known = name && name->declared, good = true;
	if (name) {
		*required += name->required;
		if (name->node)
			good = check(run, name->node, key + 1, &path);
	}
	for (size_t i = 0; i < object->pattern_count && schema_go_on(run, good); i++)
		if (schema_name_matches(run, &object->patterns[i], key)) {
			known = true;
			good &= check(run, object->patterns[i].node, key + 1, &path);
		}
	if (!known && schema_go_on(run, good))
		good &= additional_property(run, node, key, &path);
	if (object->property_names && schema_go_on(run, good))
		good &= check(run, object->property_names, key, &path);
	return good;
}

static bool is_there(const struct schema_run *run, uint32_t index, const struct schema_name *name)
{
	return jsontree_member(run->tree, index, name->text, name->size) != 0;
}

static bool missing_names(
        struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_object *object = node->object;
	for (size_t i = 0; i < object->required_count && !schema_report_full(run); i++)
		if (!is_there(run, index, &object->required[i]))
			schema_report(run, node, path, index, "required", "an object without it",
			        "the property \"%s\"", object->required[i].text);
	return false;
}

static bool check_dependencies(
        struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_object *object = node->object;
	bool good = true;
	for (size_t i = 0; i < object->dependency_count && schema_go_on(run, good); i++) {
		const struct schema_dependency *dependency = &object->dependencies[i];
		if (jsontree_member(run->tree, index, dependency->name, dependency->size) == 0)
			continue;
		if (dependency->node)
			good &= check(run, dependency->node, index, path);
		for (size_t j = 0; j < dependency->count && schema_go_on(run, good); j++)
			if (!is_there(run, index, &dependency->names[j]))
				good = schema_report(run, node, path, index, "dependencies",
				        "an object without it", "the property \"%s\" beside \"%s\"",
				        dependency->names[j].text, dependency->name);
	}
	return good;
}

static bool check_object(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_object *object = node->object;
	const struct jsontree_node *nodes = run->tree->nodes;
	uint32_t count = nodes[index].count, key = index + 1;
	size_t required = 0;
	static const struct schema_count words = {"minProperties", "maxProperties", "property", "properties"};
	bool good = schema_count_good(run, node, path, index, &words, count, object->min, object->max);
	for (uint32_t i = 0; i < count && schema_go_on(run, good); i++, key = nodes[key + 1].next)
		good &= check_member(run, node, key, path, &required);
	if (schema_go_on(run, good) && required < object->required_names)
		good = missing_names(run, node, index, path);
	if (object->dependency_count && schema_go_on(run, good))
		good &= check_dependencies(run, node, index, path);
	return good;
}

/* ---- arrays ---- */

struct fingerprint {
	uint64_t hash;
	uint32_t index, place;
};

static int by_hash(const void *a, const void *b)
{
	const struct fingerprint *x = a, *y = b;
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->place < y->place ? -1 : 1;
}

/* Looks for two that are the same among those of one hash (or all, where there are few). */
static bool find_pair(struct schema_run *run, const struct schema_node *node,
        const struct fingerprint *prints, size_t count, uint32_t pair[2])
{
	const struct jsontree *tree = run->tree;
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count && prints[j].hash == prints[i].hash; j++) {
			if (!spend(run, node, 1 + tree->nodes[prints[i].index].next - prints[i].index))
				return false;
			if (jsontree_equal(tree, prints[i].index, tree, prints[j].index)) {
				pair[0] = prints[i].place;
				pair[1] = prints[j].place;
				return true;
			}
		}
	return false;
}

static bool check_unique(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct jsontree_node *nodes = run->tree->nodes;
	uint32_t count = nodes[index].count, at = index + 1, pair[2];
	struct fingerprint few[FEW_ELEMENTS];
	struct fingerprint *prints = count <= FEW_ELEMENTS ? few : mem_alloc(count * sizeof *prints);
	for (uint32_t i = 0; i < count; i++, at = nodes[at].next)
		prints[i] =
		        (struct fingerprint){prints == few ? 0 : jsontree_value_hash(run->tree, at), at, i};
	if (prints != few)
		qsort(prints, count, sizeof *prints, by_hash);
	bool found = find_pair(run, node, prints, count, pair);
	if (prints != few)
		mem_free(prints);
	if (!found)
		return true;
	char text[80];
	snprintf(text, sizeof text, "the same at %u and %u", pair[0], pair[1]);
	return schema_report(
	        run, node, path, index, "uniqueItems", text, "elements that differ from each other");
}

/* An error that names another schema. */
static bool report_about(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path,
        const char *keyword, const struct schema_node *other, const char *before, const char *behind)
{
	struct buf place;
	buf_init(&place, 0);
	if (!schema_report_full(run)) {
		schema_document_place(other->document, other->index, &place);
		schema_report(run, node, path, index, keyword, NULL, "%s %s %s", before, place.data, behind);
	}
	buf_free(&place);
	return false;
}

static bool check_contains(
        struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct jsontree_node *nodes = run->tree->nodes;
	uint32_t at = index + 1;
	for (uint32_t i = 0; i < nodes[index].count; i++, at = nodes[at].next)
		if (schema_matches(run, node->array->contains, at))
			return true;
	return report_about(
	        run, node, index, path, "contains", node->array->contains, "an element that", "describes");
}

static bool check_elements(
        struct schema_run *run, const struct schema_array *array, uint32_t index, path_t *up)
{
	const struct jsontree_node *nodes = run->tree->nodes;
	uint32_t at = index + 1;
	bool good = true;
	for (uint32_t i = 0; i < nodes[index].count && schema_go_on(run, good); i++, at = nodes[at].next) {
		const struct schema_node *node = i < array->tuple_count ? array->tuple[i] : array->additional;
		const struct schema_path path = {up, 0, i};
		if (array->items)
			node = array->items;
		if (node)
			good &= check(run, node, at, &path);
	}
	return good;
}

static bool check_array(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_array *array = node->array;
	uint32_t count = run->tree->nodes[index].count;
	static const struct schema_count words = {"minItems", "maxItems", "element", "elements"};
	bool good = schema_count_good(run, node, path, index, &words, count, array->min, array->max);
	if (schema_go_on(run, good) && (array->items || array->tuple_count || array->additional))
		good &= check_elements(run, array, index, path);
	if (array->unique && schema_go_on(run, good))
		good &= check_unique(run, node, index, path);
	if (array->contains && schema_go_on(run, good))
		good &= check_contains(run, node, index, path);
	return good;
}

/* ---- any value ---- */

static bool in_enum(struct schema_run *run, const struct schema_logic *logic, uint32_t index)
{
	if (run->tree->nodes[index].kind == JSONTREE_STRING) {
		struct bytes text = jsontree_string(run->tree, index, &run->checker->room);
		return schema_names_find(&logic->texts, jsontree_hash(text.data, text.size), text.data,
		               text.size) != NULL;
	}
	for (size_t i = 0; i < logic->value_count; i++)
		if (jsontree_equal(
		            run->tree, index, &logic->values[i].document->tree, logic->values[i].index))
			return true;
	return false;
}

static bool check_enum(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_logic *logic = node->logic;
	if (in_enum(run, logic, index))
		return true;
	if (schema_report_full(run))
		return false;
	struct buf values;
	buf_init(&values, 0);
	buf_append_text(&values, "");
	for (size_t i = 0; i < logic->value_count && i < 8; i++) {
		buf_append_text(&values, i ? ", " : "");
		schema_report_value(&logic->values[i], &values);
	}
	schema_report(run, node, path, index, "enum", NULL, "one of %s%s", values.data,
	        logic->value_count > 8 ? ", ..." : "");
	buf_free(&values);
	return false;
}

static bool check_const(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_value *constant = &node->logic->constant;
	if (jsontree_equal(run->tree, index, &constant->document->tree, constant->index))
		return true;
	struct buf value;
	buf_init(&value, 0);
	schema_report_value(constant, &value);
	schema_report(run, node, path, index, "const", NULL, "%s", value.data);
	buf_free(&value);
	return false;
}

bool schema_matches(struct schema_run *run, const struct schema_node *node, uint32_t index)
{
	struct schema_errors *errors = run->errors;
	run->errors = NULL;
	bool good = check(run, node, index, NULL);
	run->errors = errors;
	return good;
}

static size_t count_matches(
        struct schema_run *run, const struct schema_branches *branches, uint32_t index, size_t enough)
{
	size_t matches = 0;
	for (size_t i = 0; i < branches->count && matches < enough; i++)
		matches += schema_matches(run, branches->nodes[i], index);
	return matches;
}

/* Where the value's type speaks for one branch only, what is wrong there is what people want to know. */
static void explain(
        struct schema_run *run, const struct schema_branches *branches, uint32_t index, path_t *path)
{
	const struct schema_node *likely = NULL;
	for (size_t i = 0; i < branches->count; i++) {
		const struct schema_node *node = branches->nodes[i];
		while (node->reference)
			node = node->reference;
		if (node->never || !type_fits(run, node, index))
			continue;
		if (likely)
			return;
		likely = node;
	}
	if (likely && !schema_report_full(run))
		check(run, likely, index, path);
}

static bool check_any(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_branches *any = &node->logic->any_of;
	if (count_matches(run, any, index, 1) == 1)
		return true;
	schema_report(run, node, path, index, "anyOf", NULL, "what one of %zu schemas describes", any->count);
	explain(run, any, index, path);
	return false;
}

static bool check_one(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_branches *one = &node->logic->one_of;
	size_t matches = count_matches(run, one, index, 2);
	if (matches == 1)
		return true;
	schema_report(run, node, path, index, "oneOf", matches ? "what several describe" : NULL,
	        "what exactly one of %zu schemas describes", one->count);
	if (matches == 0)
		explain(run, one, index, path);
	return false;
}

static bool check_condition(
        struct schema_run *run, const struct schema_logic *logic, uint32_t index, path_t *path)
{
	if (logic->then == NULL && logic->otherwise == NULL)
		return true;
	bool holds = schema_matches(run, logic->condition, index);
	const struct schema_node *next = holds ? logic->then : logic->otherwise;
	return next ? check(run, next, index, path) : true;
}

static bool check_logic(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_logic *logic = node->logic;
	bool good = true;
	if (logic->has_enum)
		good = check_enum(run, node, index, path);
	if (logic->has_const && schema_go_on(run, good))
		good &= check_const(run, node, index, path);
	for (size_t i = 0; i < logic->all_of.count && schema_go_on(run, good); i++)
		good &= check(run, logic->all_of.nodes[i], index, path);
	if (logic->any_of.count && schema_go_on(run, good))
		good &= check_any(run, node, index, path);
	if (logic->one_of.count && schema_go_on(run, good))
		good &= check_one(run, node, index, path);
	if (logic->negated && schema_go_on(run, good) && schema_matches(run, logic->negated, index))
		good = report_about(
		        run, node, index, path, "not", logic->negated, "what", "does not describe");
	if (logic->condition && schema_go_on(run, good))
		good &= check_condition(run, logic, index, path);
	return good;
}

/* ---- one value, the whole ---- */

static bool check(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	bool good = true;
	while (node->reference)
		node = node->reference;
	if (!type_fits(run, node, index))
		good = wrong_type(run, node, index, path);
	if (node->plain || !schema_go_on(run, good))
		return good;
	if (!spend(run, node, 1))
		return false;
	if (node->never)
		return schema_report(run, node, path, index, "false", NULL, "nothing");
	switch (run->tree->nodes[index].kind) {
	case JSONTREE_OBJECT: good &= !node->object || check_object(run, node, index, path); break;
	case JSONTREE_ARRAY: good &= !node->array || check_array(run, node, index, path); break;
	case JSONTREE_NUMBER: good &= !node->number || schema_check_number(run, node, index, path); break;
	case JSONTREE_STRING: good &= !node->string || schema_check_string(run, node, index, path); break;
	default: break;
	}
	if (node->logic && schema_go_on(run, good))
		good &= check_logic(run, node, index, path);
	return good && run->culprit == NULL;
}

struct schema_checker *schema_checker_new(const struct json_limits *limits)
{
	struct schema_checker *checker = mem_zalloc(1, sizeof *checker);
	if (limits)
		checker->limits = *limits;
	jsontree_init(&checker->tree);
	checker->regex = schema_regex_scratch_new();
	return checker;
}

void schema_checker_free(struct schema_checker *checker)
{
	if (checker == NULL)
		return;
	jsontree_free(&checker->tree);
	buf_free(&checker->room);
	buf_free(&checker->name);
	schema_regex_scratch_free(checker->regex);
	mem_free(checker->marks);
	mem_free(checker);
}

bool schema_read(struct schema_checker *checker, const char *json, size_t size, struct schema_errors *errors)
{
	struct json_error why;
	if (jsontree_parse(&checker->tree, json, size, &checker->limits, &why))
		return true;
	schema_report_unreadable(errors, &why);
	return false;
}

void schema_run_init(struct schema_run *run, struct schema_checker *checker, unsigned options)
{
	*run = (struct schema_run){
	        .checker = checker,
	        .tree = &checker->tree,
	        .options = options,
	        .steps = FREE_STEPS + (uint64_t)STEPS_PER_VALUE * checker->tree.count,
	};
}

bool schema_check(struct schema_checker *checker, const struct schema *schema, const char *json, size_t size,
        unsigned options, struct schema_errors *errors)
{
	struct schema_run run;
	const struct schema_path whole = {NULL, 0, 0};
	if (!schema_read(checker, json, size, errors))
		return false;
	schema_run_init(&run, checker, options);
	bool good = check(&run, schema->root, 0, &whole);
	const struct schema_node *culprit = run.culprit;
	if (errors == NULL || good)
		return good;
	/* Once more, slowly, to say why: events are right most of the time. */
	schema_run_init(&run, checker, options);
	run.errors = errors;
	schema_report_begin(errors);
	if (culprit == NULL)
		check(&run, schema->root, 0, &whole);
	if (errors->count == 0)
		schema_report(&run, culprit ? culprit : run.culprit, &whole, 0, "limit",
		        "one that goes back and forth for too long",
		        "an event that is checked in bounded time");
	schema_report_end(errors);
	return false;
}
