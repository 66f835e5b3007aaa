/* One scalar of the configuration: from its text into the struct, and back. */
#include "config_table.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void *config_pointer(const void *base, size_t offset)
{
	void *pointer;
	memcpy(&pointer, config_member(base, offset), sizeof pointer);
	return pointer;
}

void config_pointer_set(void *base, size_t offset, void *pointer)
{
	memcpy(config_member(base, offset), &pointer, sizeof pointer);
}

const char *config_value_wanted(enum config_type type)
{
	switch (type) {
	case CONFIG_SECTION:
	case CONFIG_ONE: return "keys and values";
	case CONFIG_NAMED: return "names, each with keys and values";
	case CONFIG_BOOL: return "true or false";
	case CONFIG_INTEGER: return "a whole number";
	case CONFIG_DURATION: return "a duration such as 250ms, 5s or 2m";
	case CONFIG_BYTES: return "a size such as 512KiB, 10MiB or 1GB";
	case CONFIG_MEMORY: return "a size such as 512MiB, or auto";
	case CONFIG_RATE: return "a rate such as 200/s or 12000/m, or none";
	case CONFIG_SHARE: return "a share such as 0.5";
	case CONFIG_TEXTS: return "a list such as [a, b]";
	case CONFIG_STATUSES: return "a list of HTTP statuses such as [429, 503]";
	case CONFIG_PROPERTIES:
		return "properties of librdkafka such as {bootstrap.servers: \"localhost:9092\"}";
	case CONFIG_KEY_FIELDS: return "names and paths such as {page_id: page.page_id}, or record";
	case CONFIG_PARAMS: return "names and values";
	case CONFIG_FILE: return "the path of a file";
	case CONFIG_CHOICE: return "one of the words";
	default: return "a text";
	}
}

/* Words that readers of YAML 1.1 take for booleans. */
static bool older_boolean(const char *text)
{
	static const char *const words[] = {"y", "n", "yes", "no", "on", "off"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	return false;
}

void config_verbatim(struct buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) { /* `$` alone would begin a variable */
		if (text[i] == '$')
			buf_append_byte(out, '$');
		buf_append_byte(out, text[i]);
	}
}

void config_quoted(struct buf *out, const char *text, size_t size)
{
	struct buf json = {0};
	text_json_string(&json, text, size); /* is a YAML string, too */
	config_verbatim(out, json.data, json.size);
	buf_free(&json);
}

void config_value_quote(const char *text, struct buf *out)
{
	static const char first[] = "-?:,[]{}#&*!|>'\"%@`=<", inside[] = "#'\"{}[],&*\\`";
	struct buf json;
	buf_init(&json, 0);
	yaml_tree_json_scalar(text, true, &json);
	size_t size = strlen(text);
	bool plain = size > 0 && !older_boolean(text) && json.data && json.data[0] == '"' &&
	             !strchr(first, text[0]) && text[strcspn(text, inside)] == '\0' &&
	             strstr(text, ": ") == NULL && text[size - 1] != ':' && text[0] != ' ' &&
	             text[size - 1] != ' ';
	for (size_t i = 0; plain && i < size; i++)
		plain = (unsigned char)text[i] >= 0x20 && (unsigned char)text[i] < 0x7F;
	if (plain)
		config_verbatim(out, text, size);
	else
		config_quoted(out, text, size);
	buf_free(&json);
}

static void print_unit(
        double value, const char *const *names, const double *factors, size_t count, struct buf *out)
{
	size_t i = 0;
	while (i + 1 < count && (value < factors[i] || fmod(value, factors[i]) != 0))
		i++;
	buf_printf(out, "%.0f%s", value / factors[i], names[i]);
}

void config_value_print_number(const struct config_key *key, double value, struct buf *out)
{
	static const char *const times[] = {"d", "h", "m", "s", "ms"}, *const sizes[] = {
	                                                                       "GiB", "MiB", "KiB", "B"};
	static const double time_factors[] = {8.64e7, 3.6e6, 6e4, 1e3, 1},
	                    size_factors[] = {1073741824, 1048576, 1024, 1};
	static const char *const rates[] = {"/s", "/m", "/h"};
	static const double rate_factors[] = {1, 60, 3600};
	if (key->type == CONFIG_DURATION && value > 0) {
		print_unit(value, times, time_factors, 5, out);
	} else if ((key->type == CONFIG_BYTES || key->type == CONFIG_MEMORY) && value > 0) {
		print_unit(value, sizes, size_factors, 4, out);
	} else if (key->type == CONFIG_RATE && value > 0) {
		size_t i = 0;
		while (i < 2 && value * rate_factors[i] != floor(value * rate_factors[i]))
			i++;
		buf_printf(out, "%.15g%s", value * rate_factors[i], rates[i]);
	} else {
		buf_printf(out, "%.15g", value);
	}
}

const char *config_value_unit(const struct config_key *key, const char *text)
{
	if (*text == '\0' || text[strspn(text, "0123456789")] != '\0')
		return NULL;
	switch (key->type) {
	case CONFIG_DURATION: return "s";
	case CONFIG_BYTES:
	case CONFIG_MEMORY: return "MiB";
	case CONFIG_RATE: return "/s";
	default: return NULL;
	}
}

static bool refuse(const struct config_key *key, const char *text, struct err *err)
{
	return err_set(err, "expected %s, found '%s'", config_value_wanted(key->type), text);
}

static bool refuse_range(const struct config_key *key, const char *text, struct err *err)
{
	struct buf range;
	buf_init(&range, 0);
	config_value_print_number(key, key->min, &range);
	buf_append_text(&range, " to ");
	config_value_print_number(key, key->max, &range);
	if (key->nothing)
		buf_printf(&range, ", or %s", key->nothing);
	err_set(err, "expected %s%s, found '%s'",
	        key->type == CONFIG_INTEGER ? "a whole number from " : "from ", range.data, text);
	buf_free(&range);
	return false;
}

static bool in_range(const struct config_key *key, double value)
{
	return key->max == 0 || (value >= key->min && value <= key->max);
}

static bool set_text(const struct config_key *key, void *base, const char *text, struct err *err)
{
	char **member = config_member(base, key->offset);
	if (key->type == CONFIG_FILE && *text == '\0')
		return refuse(key, text, err);
	mem_free(*member);
	*member = key->nothing && strcmp(text, key->nothing) == 0 ? NULL : mem_strdup(text);
	return true;
}

static bool set_bool(const struct config_key *key, void *base, const char *text, struct err *err)
{
	bool yes = strcasecmp(text, "true") == 0;
	if (!yes && strcasecmp(text, "false") != 0)
		return refuse(key, text, err);
	*(bool *)config_member(base, key->offset) = yes;
	return true;
}

static bool set_integer(const struct config_key *key, void *base, const char *text, struct err *err)
{
	char *end;
	errno = 0;
	bool nothing = key->nothing && strcmp(text, key->nothing) == 0;
	unsigned long long value = strtoull(text, &end, 10);
	bool number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
	if (!nothing && !(number && in_range(key, (double)value)))
		return refuse_range(key, text, err);
	void *member = config_member(base, key->offset);
	if (key->size == sizeof(size_t))
		*(size_t *)member = (size_t)value;
	else
		*(unsigned *)member = (unsigned)value;
	return true;
}

static bool set_share(const struct config_key *key, void *base, const char *text, struct err *err)
{
	char *end;
	bool nothing = key->nothing && strcmp(text, key->nothing) == 0;
	bool digits = text[0] && text[strspn(text, "0123456789.")] == '\0';
	double value = digits ? strtod(text, &end) : -1;
	if (!nothing && !(digits && *end == '\0' && in_range(key, value)))
		return refuse_range(key, text, err);
	*(double *)config_member(base, key->offset) = nothing ? 0 : value;
	return true;
}

static bool set_duration(const struct config_key *key, void *base, const char *text, struct err *err)
{
	int64_t ms;
	if (!text_duration(text, &ms))
		return refuse(key, text, err);
	if (!in_range(key, (double)ms))
		return refuse_range(key, text, err);
	*(int64_t *)config_member(base, key->offset) = ms;
	return true;
}

static bool set_bytes(const struct config_key *key, void *base, const char *text, struct err *err)
{
	uint64_t bytes = 0;
	bool automatic = key->type == CONFIG_MEMORY && strcmp(text, "auto") == 0;
	if (!automatic && !text_size(text, &bytes))
		return refuse(key, text, err);
	if (!automatic && !in_range(key, (double)bytes))
		return refuse_range(key, text, err);
	*(size_t *)config_member(base, key->offset) = (size_t)bytes;
	return true;
}

static bool set_rate(const struct config_key *key, void *base, const char *text, struct err *err)
{
	double rate = 0;
	if (strcmp(text, "none") != 0 && (!text_rate(text, &rate) || rate <= 0 || rate > key->max))
		return refuse(key, text, err);
	*(double *)config_member(base, key->offset) = rate;
	return true;
}

static bool set_choice(const struct config_key *key, void *base, const char *text, struct err *err)
{
	struct buf names;
	buf_init(&names, 0);
	for (const struct config_choice *choice = key->choices; choice->name; choice++) {
		if (strcmp(choice->name, text) == 0) {
			*(int *)config_member(base, key->offset) = choice->value;
			buf_free(&names);
			return true;
		}
		const char *before = choice == key->choices ? "" : choice[1].name ? ", " : " or ";
		buf_printf(&names, "%s%s", before, choice->name);
	}
	err_set(err, "expected %s, found '%s'", names.data, text);
	buf_free(&names);
	return false;
}

/* A fallback of the table: "[a, b]". */
static bool set_texts(const struct config_key *key, void *base, const char *text)
{
	char ***texts = config_member(base, key->offset);
	size_t *count = config_member(base, key->count);
	const char *at = text + strspn(text, "[");
	while (at[strcspn(at, "],")]) {
		size_t size = strcspn(at, "],");
		*texts = mem_realloc(*texts, (*count + 1) * sizeof **texts);
		(*texts)[(*count)++] = mem_dup(at, size);
		at += size + strspn(at + size, "], ");
	}
	return true;
}

bool config_value_set(const struct config_key *key, void *base, const char *text, struct err *err)
{
	switch (key->type) {
	case CONFIG_TEXT:
	case CONFIG_FILE: return set_text(key, base, text, err);
	case CONFIG_BOOL: return set_bool(key, base, text, err);
	case CONFIG_TEXTS: return set_texts(key, base, text);
	case CONFIG_INTEGER: return set_integer(key, base, text, err);
	case CONFIG_DURATION: return set_duration(key, base, text, err);
	case CONFIG_BYTES:
	case CONFIG_MEMORY: return set_bytes(key, base, text, err);
	case CONFIG_RATE: return set_rate(key, base, text, err);
	case CONFIG_SHARE: return set_share(key, base, text, err);
	case CONFIG_CHOICE: return set_choice(key, base, text, err);
	default: return refuse(key, text, err);
	}
}

static double number_of(const struct config_key *key, const void *base)
{
	const void *member = config_member(base, key->offset);
	switch (key->type) {
	case CONFIG_DURATION: return (double)*(const int64_t *)member;
	case CONFIG_RATE:
	case CONFIG_SHARE: return *(const double *)member;
	case CONFIG_INTEGER:
		return key->size == sizeof(size_t) ? (double)*(const size_t *)member
		                                   : (double)*(const unsigned *)member;
	default: return (double)*(const size_t *)member;
	}
}

static const char *choice_name(const struct config_key *key, int value)
{
	const struct config_choice *choice = key->choices;
	while (choice->name && choice->value != value)
		choice++;
	return choice->name ? choice->name : "?";
}

bool config_value_print(const struct config_key *key, const void *base, struct buf *out)
{
	const void *member = config_member(base, key->offset);
	const char *text;
	double number;
	switch (key->type) {
	case CONFIG_TEXT:
	case CONFIG_FILE:
		text = *(char *const *)member ? *(char *const *)member : key->nothing;
		if (text)
			config_value_quote(text, out);
		return text != NULL;
	case CONFIG_BOOL: return buf_append_text(out, *(const bool *)member ? "true" : "false");
	case CONFIG_CHOICE: return buf_append_text(out, choice_name(key, *(const int *)member));
	default:
		number = number_of(key, base);
		if (key->type == CONFIG_RATE && number == 0)
			return buf_append_text(out, "none");
		if (key->type == CONFIG_MEMORY && number == 0)
			return buf_append_text(out, "auto");
		if (key->nothing && number == 0)
			return buf_append_text(out, key->nothing);
		config_value_print_number(key, number, out);
		return true;
	}
}
