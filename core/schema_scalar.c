/* Numbers and strings against what a schema says of them: bounds, divisors, lengths, patterns, formats. */
#include "schema_report.h"

bool schema_give_up(struct schema_run *run, const struct schema_node *node)
{
	if (run->culprit == NULL)
		run->culprit = node;
	return false;
}

enum schema_match schema_match_at(
        struct schema_run *run, const struct schema_pattern *pattern, uint32_t index)
{
	struct bytes text = jsontree_string(run->tree, index, &run->checker->room);
	return schema_regex_match(pattern->regex, run->checker->regex, text.data, text.size);
}

/* ---- numbers ---- */

static int compare(const struct schema_run *run, uint32_t index, const struct schema_limit *limit)
{
	const struct jsontree_node *value = &run->tree->nodes[index];
	if (value->small && limit->small)
		return (value->integer > limit->integer) - (value->integer < limit->integer);
	return json_number_compare(jsontree_text(run->tree, index), value->size, limit->text, limit->size);
}

/* 10^exponent modulo m. */
static uint64_t power_of_ten(int64_t exponent, uint64_t m)
{
	unsigned __int128 result = 1 % m, base = 10 % m;
	for (; exponent > 0; exponent /= 2) {
		if (exponent % 2)
			result = result * base % m;
		base = base * base % m;
	}
	return (uint64_t)result;
}

/* digits * 10^power is a multiple of divisor * 10^number->power, exactly: digits do not end in 0, so a power
 * below the divisor's cannot be made up for. */
static bool is_multiple(const struct schema_run *run, const struct schema_number *number, uint32_t index)
{
	const struct jsontree_node *value = &run->tree->nodes[index];
	struct json_magnitude m;
	if (value->small && number->multiple_of.small)
		return value->integer % number->multiple_of.integer == 0;
	json_number_measure(jsontree_text(run->tree, index), value->size, &m);
	int64_t power = m.point - (int64_t)m.count;
	unsigned __int128 rest = 0;
	if (m.count == 0)
		return true;
	if (power < number->power)
		return false;
	for (size_t i = 0; i < m.count; i++)
		rest = (rest * 10 + (unsigned)(m.digits[i] - '0')) % number->divisor;
	return rest * power_of_ten(power - number->power, number->divisor) % number->divisor == 0;
}

static bool check_limit(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path,
        const struct schema_limit *limit, const char *keyword)
{
	static const char *const words[] = {"at least", "at most", "more than", "less than"};
	const struct schema_number *number = node->number;
	const char *word;
	if (limit->text == NULL)
		return true;
	int order = compare(run, index, limit);
	if (limit == &number->minimum || limit == &number->maximum) {
		if (limit == &number->minimum ? order >= 0 : order <= 0)
			return true;
		word = words[limit == &number->maximum];
	} else {
		if (limit == &number->above ? order > 0 : order < 0)
			return true;
		word = words[2 + (limit == &number->below)];
	}
	return schema_report(run, node, path, index, keyword, NULL, "%s %.*s", word,
	        limit->size < 60 ? (int)limit->size : 60, limit->text);
}

bool schema_check_number(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_number *number = node->number;
	bool good = check_limit(run, node, index, path, &number->minimum, "minimum");
	good &= check_limit(run, node, index, path, &number->maximum, "maximum");
	good &= check_limit(run, node, index, path, &number->above, "exclusiveMinimum");
	good &= check_limit(run, node, index, path, &number->below, "exclusiveMaximum");
	if (number->multiple_of.text && !is_multiple(run, number, index))
		good = schema_report(run, node, path, index, "multipleOf", NULL, "a multiple of %.*s",
		        number->multiple_of.size < 60 ? (int)number->multiple_of.size : 60,
		        number->multiple_of.text);
	return good;
}

/* ---- strings ---- */

/* A character takes 1 to 4 bytes, or in escapes up to 12: the lengths of most strings need no counting. */
static bool check_length(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_string *string = node->string;
	const struct jsontree_node *value = &run->tree->nodes[index];
	size_t least = value->escaped ? (value->size + 11) / 12 : (value->size + 3) / 4, most = value->size;
	if (least >= string->min && most <= string->max)
		return true;
	static const struct schema_count words = {"minLength", "maxLength", "character", "characters"};
	size_t length = jsontree_string_length(run->tree, index);
	return schema_count_good(run, node, path, index, &words, length, string->min, string->max);
}

static bool check_pattern(
        struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_pattern *pattern = &node->string->pattern;
	enum schema_match found = schema_match_at(run, pattern, index);
	if (found == SCHEMA_MATCH_YES)
		return true;
	if (found == SCHEMA_MATCH_GAVE_UP)
		return schema_give_up(run, node);
	return schema_report(
	        run, node, path, index, "pattern", NULL, "a text that matches %.100s", pattern->text);
}

bool schema_check_string(struct schema_run *run, const struct schema_node *node, uint32_t index, path_t *path)
{
	const struct schema_string *string = node->string;
	bool good = check_length(run, node, index, path);
	if (string->pattern.regex && schema_go_on(run, good))
		good &= check_pattern(run, node, index, path);
	if (string->format && schema_go_on(run, good)) {
		struct bytes text = jsontree_string(run->tree, index, &run->checker->room);
		if (!string->format(text.data, text.size))
			good = schema_report(run, node, path, index, "format", NULL,
			        "a text of the format %s", string->format_name);
	}
	return good;
}
