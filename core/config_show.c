/* The effective configuration as YAML, each value with where it came from, secrets left out. */
#include "config_table.h"
#include "mem.h"

#include <string.h>

enum { COMMENT_COLUMN = 48 };

struct show {
	const struct config *config;
	struct buf *out;
};

static void show_section(const struct show *show, const struct config_section *section, const void *base,
        const char *path, const char *inherits, unsigned depth);

static void indent(struct buf *out, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		buf_append_text(out, "  ");
}

/* Ends the line that began at `start` with a comment in its column. */
static void comment(struct buf *out, size_t start, const char *text)
{
	do
		buf_append_byte(out, ' ');
	while (out->size - start < COMMENT_COLUMN);
	buf_printf(out, "# %s\n", text);
}

static char *join(const char *path, const char *name)
{
	return *path ? mem_printf("%s.%s", path, name) : mem_strdup(name);
}

static const struct config_origin *origin_of(
        const struct show *show, const struct config_key *key, const char *path, const char *inherits)
{
	const struct config_origin *origin = config_origin_find(show->config, path);
	if (key->type == CONFIG_MEMORY && show->config->limit_memory_auto)
		origin = config_origin_find(show->config, "limits.memory.auto");
	if (origin == NULL && key->inherits)
		origin = config_origin_find(show->config, key->inherits);
	if (origin == NULL && inherits) {
		char *from = join(inherits, key->name);
		origin = config_origin_find(show->config, from);
		mem_free(from);
	}
	return origin;
}

static void show_texts(const struct config_key *key, const void *base, struct buf *out)
{
	char **texts = *(char ***)config_member(base, key->offset);
	size_t count = *(size_t *)config_member(base, key->count);
	for (size_t i = 0; i < count; i++) {
		buf_append_text(out, i ? ", " : "[");
		config_value_quote(texts[i], out);
	}
	buf_append_text(out, count ? "]" : key->fallback ? "[]" : "");
}

static void show_statuses(const struct config_key *key, const void *base, struct buf *out)
{
	const int *statuses = config_member(base, key->offset);
	size_t count = *(size_t *)config_member(base, key->count);
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s%d", i ? ", " : "[", statuses[i]);
	buf_append_text(out, count ? "]" : "");
}

static void show_fields(const struct config_key *key, const void *base, struct buf *out)
{
	const struct key_field *fields = *(struct key_field **)config_member(base, key->offset);
	size_t count = *(size_t *)config_member(base, key->count);
	for (size_t i = 0; i < count; i++) {
		buf_append_text(out, i ? ", " : "{");
		config_value_quote(fields[i].name, out);
		buf_append_text(out, ": ");
		config_value_quote(fields[i].path, out);
	}
	buf_append_text(out, count ? "}" : key->fallback ? key->fallback : "");
}

/* JSON is YAML, too; but a dollar sign would begin a variable. */
static void show_params(const struct show *show, struct buf *out)
{
	const char *text = show->config->origins->params_shown;
	for (text = text ? text : show->config->script.params_json; text && *text; text++)
		buf_append_text(out, *text == '$' ? "$$" : (char[]){*text, '\0'});
}

/* Appends the value; nothing when there is none to show. */
static void show_value(const struct show *show, const struct config_key *key, const void *base, bool secret)
{
	struct buf value;
	buf_init(&value, 0);
	switch (key->type) {
	case CONFIG_TEXTS: show_texts(key, base, &value); break;
	case CONFIG_STATUSES: show_statuses(key, base, &value); break;
	case CONFIG_KEY_FIELDS: show_fields(key, base, &value); break;
	case CONFIG_PARAMS: show_params(show, &value); break;
	default: config_value_print(key, base, &value);
	}
	if (value.size)
		buf_append_text(show->out, secret ? "\"<redacted>\"" : value.data);
	buf_free(&value);
}

static void show_leaf(const struct show *show, const struct config_key *key, const void *base,
        const char *path, const char *inherits, unsigned depth)
{
	const struct config_origin *origin = origin_of(show, key, path, inherits);
	size_t start = show->out->size;
	if (key->instead && origin == NULL)
		return;
	indent(show->out, depth);
	config_value_quote(key->name, show->out);
	buf_append_text(show->out, ": ");
	size_t before = show->out->size;
	show_value(show, key, base, key->secret || (origin && origin->secret));
	if (show->out->size == before) {
		show->out->size = start;
		show->out->data[start] = '\0';
		return;
	}
	if (origin &&
	        origin->where == NULL) { /* of a list or a map, which is not one value with one origin */
		char *where = mem_printf("%s:%u", show->config->path, origin->place.line);
		comment(show->out, start, where);
		mem_free(where);
	} else {
		comment(show->out, start, origin ? origin->where : "default");
	}
}

static void show_property(
        const struct show *show, const struct kafka_property *property, const char *path, unsigned depth)
{
	char *full = join(path, property->name);
	const struct config_origin *origin = config_origin_find(show->config, full);
	size_t start = show->out->size;
	indent(show->out, depth);
	config_value_quote(property->name, show->out);
	buf_append_text(show->out, ": ");
	if (diagnostic_secret(property->name, strlen(property->name)) || (origin && origin->secret))
		buf_append_text(show->out, "\"<redacted>\"");
	else
		config_value_quote(property->value, show->out);
	comment(show->out, start, origin ? origin->where : "default");
	mem_free(full);
}

static void show_properties(const struct show *show, const struct config_key *key, const void *base,
        const char *path, unsigned depth)
{
	const struct kafka_property *properties = *(struct kafka_property **)config_member(base, key->offset);
	size_t count = *(size_t *)config_member(base, key->count), start = show->out->size;
	const struct config *config = show->config;
	char *owner = NULL;
	if (count == 0)
		return;
	indent(show->out, depth);
	buf_printf(show->out, "%s:", key->name);
	if (config_origin_find(config, path) == NULL) { /* taken over from the first sink */
		owner = config_origin_find(config, "sink")
		                ? mem_strdup("sink.kafka")
		                : mem_printf("sinks.%s.kafka", config->sinks[0].name);
		comment(show->out, start, key->derived ? key->derived : "default");
	} else {
		buf_append_byte(show->out, '\n');
	}
	for (size_t i = 0; i < count; i++)
		show_property(show, &properties[i], owner ? owner : path, depth + 1);
	mem_free(owner);
}

/* A header and what stands below it; nothing at all when nothing stands there. */
static void show_below(const struct show *show, const struct config_section *section, const void *base,
        const char *name, const char *path, const char *inherits, unsigned depth)
{
	size_t start = show->out->size;
	indent(show->out, depth);
	buf_printf(show->out, "%s:\n", name);
	size_t header = show->out->size;
	show_section(show, section, base, path, inherits, depth + 1);
	if (show->out->size == header) {
		show->out->size = start;
		show->out->data[start] = '\0';
	}
}

static void show_named(const struct show *show, const struct config_key *key, const void *base,
        const char *path, unsigned depth)
{
	const char *array = config_pointer(base, key->offset);
	size_t count = *(size_t *)config_member(base, key->count);
	if (count == 0)
		return;
	indent(show->out, depth);
	buf_printf(show->out, "%s:\n", key->name);
	for (size_t i = 0; i < count; i++) {
		const char *element = array + i * key->section->size, *name = config_pointer(element, 0);
		char *full = join(path, name);
		show_below(show, key->section, element, name, full, NULL, depth + 1);
		mem_free(full);
	}
}

static void show_key(const struct show *show, const struct config_key *key, const void *base,
        const char *path, const char *inherits, unsigned depth)
{
	bool given = config_origin_find(show->config, path) != NULL;
	switch (key->type) {
	case CONFIG_SECTION:
		show_below(show, key->section, config_member(base, key->offset), key->name, path,
		        key->inherits, depth);
		return;
	case CONFIG_ONE:
		if (given)
			show_below(show, key->section, config_pointer(base, key->offset), key->name, path,
			        NULL, depth);
		return;
	case CONFIG_NAMED:
		if (given || key->instead == NULL)
			show_named(show, key, base, path, depth);
		return;
	case CONFIG_PROPERTIES: show_properties(show, key, base, path, depth); return;
	default: show_leaf(show, key, base, path, inherits, depth);
	}
}

static void show_section(const struct show *show, const struct config_section *section, const void *base,
        const char *path, const char *inherits, unsigned depth)
{
	for (size_t i = 0; i < section->count; i++) {
		char *full = join(path, section->keys[i].name);
		show_key(show, &section->keys[i], base, full, inherits, depth);
		mem_free(full);
	}
}

void config_show(const struct config *config, struct buf *out)
{
	struct show show = {config, out};
	show_section(&show, &config_root, config, "", NULL, 0);
}
