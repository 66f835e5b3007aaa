/* What two loads of one configuration file say differently, and taking over what may change at run time. */
#include "config_table.h"
#include "mem.h"

#include <string.h>

struct comparison {
	enum config_part part;
	bool adopt;
	struct buf *names;
};

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static size_t count_of(const struct config_key *key, const void *base)
{
	return *(const size_t *)config_member(base, key->count);
}

static bool same_element(const struct config_key *key, const void *a, const void *b, size_t i)
{
	const void *x = config_pointer(a, key->offset), *y = config_pointer(b, key->offset);
	if (key->type == CONFIG_TEXTS)
		return same_text(((char *const *)x)[i], ((char *const *)y)[i]);
	if (key->type == CONFIG_PROPERTIES) {
		const struct kafka_property *p = x, *q = y;
		return same_text(p[i].name, q[i].name) && same_text(p[i].value, q[i].value);
	}
	const struct key_field *p = x, *q = y;
	return same_text(p[i].name, q[i].name) && same_text(p[i].path, q[i].path);
}

static bool same_array(const struct config_key *key, const void *a, const void *b)
{
	size_t count = count_of(key, a);
	bool same = count == count_of(key, b);
	for (size_t i = 0; same && i < count; i++)
		same = same_element(key, a, b, i);
	return same;
}

static bool same_value(const struct config_key *key, const void *a, const void *b)
{
	switch (key->type) {
	case CONFIG_TEXT:
	case CONFIG_FILE:
	case CONFIG_PARAMS: return same_text(config_pointer(a, key->offset), config_pointer(b, key->offset));
	case CONFIG_TEXTS:
	case CONFIG_PROPERTIES:
	case CONFIG_KEY_FIELDS: return same_array(key, a, b);
	case CONFIG_STATUSES:
		if (count_of(key, a) != count_of(key, b))
			return false;
		return memcmp(config_member(a, key->offset), config_member(b, key->offset), key->size) == 0;
	default: return memcmp(config_member(a, key->offset), config_member(b, key->offset), key->size) == 0;
	}
}

static void exchange(void *a, void *b, size_t size)
{
	char *x = a, *y = b;
	for (size_t i = 0; i < size; i++) {
		char byte = x[i];
		x[i] = y[i];
		y[i] = byte;
	}
}

static void name_it(const struct comparison *comparison, const char *path)
{
	buf_printf(comparison->names, "%s%s", comparison->names->size ? ", " : "", path);
}

static bool wanted(const struct comparison *comparison, const struct config_key *key, const char *path)
{
	if (comparison->part == CONFIG_PART_FIXED)
		return !key->reloadable;
	bool script = strncmp(path, "script.", 7) == 0;
	return key->reloadable && script == (comparison->part == CONFIG_PART_SCRIPT);
}

static void compare_leaf(
        const struct comparison *comparison, const struct config_key *key, void *a, void *b, const char *path)
{
	if (!wanted(comparison, key, path) || same_value(key, a, b))
		return;
	name_it(comparison, path);
	if (!comparison->adopt)
		return;
	exchange(config_member(a, key->offset), config_member(b, key->offset), key->size);
	if (key->count)
		exchange(config_member(a, key->count), config_member(b, key->count), sizeof(size_t));
}

static void compare_section(const struct comparison *comparison, const struct config_section *section,
        void *a, void *b, const char *path);

static bool same_names(const struct config_key *key, const void *a, const void *b)
{
	const char *x = config_pointer(a, key->offset), *y = config_pointer(b, key->offset);
	size_t count = count_of(key, a), size = key->section->size;
	bool same = count == count_of(key, b);
	for (size_t i = 0; same && i < count; i++)
		same = same_text(config_pointer(x + i * size, 0), config_pointer(y + i * size, 0));
	return same;
}

/* Elements that came, went or changed places are one change of the whole. */
static void compare_elements(
        const struct comparison *comparison, const struct config_key *key, void *a, void *b, const char *path)
{
	char *x = config_pointer(a, key->offset), *y = config_pointer(b, key->offset);
	size_t count = count_of(key, a), size = key->section->size;
	if (!same_names(key, a, b)) {
		if (comparison->part == CONFIG_PART_FIXED)
			name_it(comparison, path);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const char *name = config_pointer(x + i * size, 0);
		char *below = key->type == CONFIG_ONE ? mem_strdup(path) : mem_printf("%s.%s", path, name);
		compare_section(comparison, key->section, x + i * size, y + i * size, below);
		mem_free(below);
	}
}

/* Two keys may lead to one array: the one that says several things leads to more than one, the other to one.
 */
static bool leads_elsewhere(const struct config_section *section, const struct config_key *key, const void *a)
{
	if (key->type == CONFIG_ONE)
		return count_of(key, a) != 1;
	for (size_t i = 0; key->type == CONFIG_NAMED && i < section->count; i++)
		if (section->keys[i].type == CONFIG_ONE && section->keys[i].offset == key->offset)
			return count_of(key, a) == 1;
	return false;
}

static void compare_section(const struct comparison *comparison, const struct config_section *section,
        void *a, void *b, const char *path)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i];
		char *below = *path ? mem_printf("%s.%s", path, key->name) : mem_strdup(key->name);
		if (key->type == CONFIG_SECTION)
			compare_section(comparison, key->section, config_member(a, key->offset),
			        config_member(b, key->offset), below);
		else if (key->type != CONFIG_ONE && key->type != CONFIG_NAMED)
			compare_leaf(comparison, key, a, b, below);
		else if (!leads_elsewhere(section, key, a))
			compare_elements(comparison, key, a, b, below);
		mem_free(below);
	}
}

void config_changes(const struct config *a, const struct config *b, enum config_part part, struct buf *names)
{
	struct comparison comparison = {part, false, names};
	compare_section(&comparison, &config_root, (void *)(size_t)a, (void *)(size_t)b, "");
}

void config_adopt(struct config *live, struct config *now, enum config_part part, struct buf *names)
{
	struct comparison comparison = {part, part != CONFIG_PART_FIXED, names};
	compare_section(&comparison, &config_root, live, now, "");
}
