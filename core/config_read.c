/* From the tree of the file into the structs, led by the table: each key once, in the table's order. */
#include "config_table.h"
#include "mem.h"
#include "text.h"

#include <string.h>
#include <sys/stat.h>

enum { NAMED_MAX = 64, NAME_MAX_SIZE = 63, FIELDS_MAX = 16 };

static char *join(const char *path, const char *name)
{
	return *path ? mem_printf("%s.%s", path, name) : mem_strdup(name);
}

/* What every step of the walk needs to know about the value it stands at. */
struct spot {
	struct config_loader *loader;
	const struct config_key *key;
	void *base;                   /* the section's struct */
	const struct yaml_node *name; /* the key in the file */
	const struct yaml_node *node; /* its value */
	const char *path;
};

static void load_section(struct config_loader *loader, const struct config_section *section, void *base,
        const struct yaml_node *node, const char *path, bool inherited);

static void expected(const struct spot *spot, const struct yaml_node *node)
{
	if (node->kind != YAML_NOTHING)
		config_problem(spot->loader, M105_VALUE, &node->place, NULL, "%s: expected %s, found %s",
		        spot->path, config_value_wanted(spot->key->type), config_found(node));
}

static void note_origin(
        const struct spot *spot, const struct yaml_place *place, const char *where, bool secret)
{
	config_origin_add(spot->loader->config, spot->path, where, place, secret || spot->key->secret);
}

static bool file_there(const struct spot *spot, char **text)
{
	struct stat status;
	char *path = config_resolve(spot->loader, *text);
	bool there = stat(path, &status) == 0 && S_ISREG(status.st_mode);
	if (!there)
		config_problem(spot->loader, M106_NO_SUCH_FILE, &spot->node->place,
		        path[0] == '/' ? NULL
		                       : "looked for in this file's folder and in the working directory",
		        "%s: there is no file '%s'", spot->path, *text);
	mem_free(*text);
	*text = path;
	return there;
}

/* The value is not what its key wants; `why` says so. */
static void refuse_value(const struct spot *spot, const struct config_text *value, const char *why)
{
	const char *unit = config_value_unit(spot->key, value->text);
	char *hint = unit ? mem_printf("a unit is missing: did you mean '%s%s'?", value->text, unit)
	             : spot->key->type == CONFIG_BOOL ? mem_strdup("YAML 1.2 has no yes, no, on or off")
	                                              : NULL;
	if (spot->key->secret || value->secret)
		config_problem(spot->loader, M105_VALUE, &spot->node->place, NULL,
		        "%s: expected %s, found something else", spot->path,
		        config_value_wanted(spot->key->type));
	else
		config_problem(spot->loader, M105_VALUE, &spot->node->place, hint, "%s: %s", spot->path, why);
	mem_free(hint);
}

static void load_scalar(const struct spot *spot)
{
	struct err err;
	if (spot->node->kind == YAML_NOTHING)
		return;
	if (!config_is_file_form(spot->node) &&
	        (spot->node->kind != YAML_TEXT || yaml_tree_is_null(spot->node))) {
		expected(spot, spot->node);
		return;
	}
	struct config_text value =
	        config_text(spot->loader, spot->node, config_value_wanted(spot->key->type));
	if (value.text)
		note_origin(spot, &spot->node->place, value.where, value.secret);
	bool usable = value.text && (spot->key->type != CONFIG_FILE || *value.text == '\0' ||
	                                    file_there(spot, &value.text));
	if (usable && !config_value_set(spot->key, spot->base, value.text, &err))
		refuse_value(spot, &value, err.text);
	config_text_free(&value);
}

static bool list_there(const struct spot *spot)
{
	if (spot->node->kind != YAML_LIST) {
		expected(spot, spot->node);
		return false;
	}
	if (spot->node->count == 0 && spot->key->fallback == NULL)
		config_problem(spot->loader, M105_VALUE, &spot->node->place, NULL,
		        "%s: expected %s, found an empty list", spot->path,
		        config_value_wanted(spot->key->type));
	note_origin(spot, &spot->node->place, NULL, false);
	return spot->node->count > 0;
}

static void load_texts(const struct spot *spot)
{
	char ***texts = config_member(spot->base, spot->key->offset);
	size_t *count = config_member(spot->base, spot->key->count);
	if (!list_there(spot))
		return;
	*texts = mem_zalloc(spot->node->count, sizeof **texts);
	for (size_t i = 0; i < spot->node->count; i++) {
		struct config_text value = config_text(spot->loader, &spot->node->items[i], "a text");
		if (value.text)
			(*texts)[(*count)++] = mem_strdup(value.text);
		config_text_free(&value);
	}
}

static bool status_of(const char *text, int *status)
{
	if (strlen(text) != 3 || strspn(text, "0123456789") != 3)
		return false;
	*status = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
	return *status >= 300 && *status <= 599;
}

static void load_statuses(const struct spot *spot)
{
	int *statuses = config_member(spot->base, spot->key->offset);
	size_t *count = config_member(spot->base, spot->key->count);
	if (!list_there(spot))
		return;
	*count = 0;
	if (spot->node->count > RETRY_ON_MAX) {
		config_problem(spot->loader, M105_VALUE, &spot->node->place,
		        "leave the key out for 408, 425, 429 and all 5xx", "%s: at most %d statuses",
		        spot->path, RETRY_ON_MAX);
		return;
	}
	for (size_t i = 0; i < spot->node->count; i++) {
		const struct yaml_node *item = &spot->node->items[i];
		struct config_text value = config_text(spot->loader, item, "an HTTP status");
		if (value.text && status_of(value.text, &statuses[*count]))
			(*count)++;
		else if (value.text)
			config_problem(spot->loader, M105_VALUE, &item->place, NULL,
			        "%s: expected an HTTP status from 300 to 599, found '%s'", spot->path,
			        value.text);
		config_text_free(&value);
	}
}

static void load_property(const struct spot *spot, const struct yaml_node *name, const struct yaml_node *node)
{
	struct kafka_property **properties = config_member(spot->base, spot->key->offset);
	size_t *count = config_member(spot->base, spot->key->count);
	if (name->kind != YAML_TEXT || node->kind == YAML_NOTHING)
		return;
	if (!config_is_file_form(node) && node->kind != YAML_TEXT) {
		char *hint =
		        node->kind == YAML_LIST
		                ? mem_strdup("write one text, its parts separated by commas")
		                : mem_printf("property names contain dots: '%s.NAME: value'", name->text);
		config_problem(spot->loader, M105_VALUE, &node->place, hint,
		        "%s.%s: expected a value, found %s", spot->path, name->text, config_found(node));
		mem_free(hint);
		return;
	}
	struct config_text value = config_text(spot->loader, node, "a value");
	if (value.text) {
		char *path = join(spot->path, name->text);
		bool secret = value.secret || diagnostic_secret(name->text, strlen(name->text));
		config_origin_add(spot->loader->config, path, value.where, &node->place, secret);
		mem_free(path);
		*properties = mem_realloc(*properties, (*count + 1) * sizeof **properties);
		(*properties)[(*count)++] = (struct kafka_property){.name = mem_strdup(name->text),
		        .value = mem_strdup(value.text),
		        .where = mem_printf(
		                "%s:%u:%u", spot->loader->file, name->place.line, name->place.column)};
	}
	config_text_free(&value);
}

static void load_properties(const struct spot *spot)
{
	if (spot->node->kind != YAML_MAP || config_is_file_form(spot->node)) {
		expected(spot, spot->node);
		return;
	}
	note_origin(spot, &spot->name->place, NULL, false);
	for (size_t i = 0; i < spot->node->count; i++)
		load_property(spot, &spot->node->keys[i], &spot->node->items[i]);
}

/* member, member.member, ...: none of them empty. */
static bool path_valid(const char *path)
{
	size_t size = strlen(path);
	return size > 0 && size < 256 && path[0] != '.' && path[size - 1] != '.' &&
	       strstr(path, "..") == NULL;
}

static void load_key_fields(const struct spot *spot)
{
	struct key_field **fields = config_member(spot->base, spot->key->offset);
	size_t *count = config_member(spot->base, spot->key->count);
	const struct yaml_node *node = spot->node;
	bool record = node->kind == YAML_TEXT && strcmp(node->text, "record") == 0;
	if (!record && (node->kind != YAML_MAP || node->count == 0 || node->count > FIELDS_MAX)) {
		expected(spot, node);
		return;
	}
	note_origin(spot, record ? &node->place : &spot->name->place, NULL, false);
	if (record)
		return;
	*fields = mem_zalloc(node->count, sizeof **fields);
	for (size_t i = 0; i < node->count; i++) {
		struct config_text value =
		        config_text(spot->loader, &node->items[i], "a path such as page.page_id");
		if (value.text && !path_valid(value.text))
			config_problem(spot->loader, M105_VALUE, &node->items[i].place, NULL,
			        "%s: expected a path such as page.page_id, found '%s'", spot->path,
			        value.text);
		if (value.text && node->keys[i].kind == YAML_TEXT)
			(*fields)[(*count)++] =
			        (struct key_field){mem_strdup(node->keys[i].text), mem_strdup(value.text)};
		config_text_free(&value);
	}
}

static void load_params(const struct spot *spot)
{
	char **json = config_member(spot->base, spot->key->offset), *shown = NULL;
	if (yaml_tree_is_null(spot->node))
		return;
	if (!config_params(spot->loader, spot->node, json, &shown))
		return;
	spot->loader->config->origins->params_shown = shown;
	char *where = mem_printf("%s:%u", spot->loader->file, spot->name->place.line);
	note_origin(spot, &spot->name->place, where, false);
	mem_free(where);
}

static bool named_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t size = strlen(name);
	return size > 0 && size <= NAME_MAX_SIZE && strspn(name, letters) == size && name[0] != '-';
}

static void *add_element(const struct config_key *key, void *base, const char *name)
{
	size_t *count = config_member(base, key->count), size = key->section->size;
	char *array = mem_realloc(config_pointer(base, key->offset), (*count + 1) * size);
	char *element = array + *count * size;
	config_pointer_set(base, key->offset, array);
	memset(element, 0, size);
	*(char **)(void *)element = mem_strdup(name);
	(*count)++;
	return element;
}

static void load_element(const struct spot *spot, const struct yaml_node *name, const struct yaml_node *node)
{
	if (name->kind != YAML_TEXT)
		return;
	if (!named_valid(name->text) || strcmp(name->text, "errors") == 0) {
		config_problem(spot->loader, M108_NAME, &name->place, NULL,
		        "%s: '%.80s' cannot be a name: expected letters, digits, '_' and '-', and not the "
		        "word errors",
		        spot->path, name->text);
		return;
	}
	char *path = join(spot->path, name->text);
	config_origin_add(spot->loader->config, path, NULL, &name->place, false);
	load_section(spot->loader, spot->key->section, add_element(spot->key, spot->base, name->text), node,
	        path, false);
	mem_free(path);
}

static void load_named(const struct spot *spot)
{
	if (spot->node->kind != YAML_MAP || spot->node->count == 0 || spot->node->count > NAMED_MAX) {
		if (spot->node->kind == YAML_MAP)
			config_problem(spot->loader, M105_VALUE, &spot->node->place, NULL,
			        "%s: expected from 1 to %d names, found %zu", spot->path, NAMED_MAX,
			        spot->node->count);
		else
			expected(spot, spot->node);
		return;
	}
	note_origin(spot, &spot->name->place, NULL, false);
	for (size_t i = 0; i < spot->node->count; i++)
		load_element(spot, &spot->node->keys[i], &spot->node->items[i]);
}

static void load_subsection(const struct spot *spot, bool inherited)
{
	const struct config_key *key = spot->key;
	void *base = config_member(spot->base, key->offset);
	if (key->type == CONFIG_ONE)
		base = add_element(key, spot->base, key->name);
	if (key->inherits)
		memcpy(base, config_member(spot->loader->config, key->inherits_from), key->section->size);
	if (spot->node)
		note_origin(spot, &spot->name->place, NULL, false);
	load_section(spot->loader, key->section, base, spot->node, spot->path, inherited || key->inherits);
}

static void load_absent(const struct spot *spot, bool inherited)
{
	const struct config_key *key = spot->key;
	struct err err;
	if (key->type == CONFIG_SECTION)
		load_subsection(spot, inherited);
	else if (key->inherits)
		memcpy(config_member(spot->base, key->offset),
		        config_member(spot->loader->config, key->inherits_from), key->size);
	else if (key->fallback && key->type != CONFIG_KEY_FIELDS && !inherited)
		config_value_set(key, spot->base, key->fallback, &err);
}

static void load_present(const struct spot *spot, bool inherited)
{
	switch (spot->key->type) {
	case CONFIG_SECTION:
	case CONFIG_ONE: load_subsection(spot, inherited); return;
	case CONFIG_NAMED: load_named(spot); return;
	case CONFIG_TEXTS: load_texts(spot); return;
	case CONFIG_STATUSES: load_statuses(spot); return;
	case CONFIG_PROPERTIES: load_properties(spot); return;
	case CONFIG_KEY_FIELDS: load_key_fields(spot); return;
	case CONFIG_PARAMS: load_params(spot); return;
	default: load_absent(spot, false); load_scalar(spot);
	}
}

static const struct config_key *find_key(const struct config_section *section, const char *name)
{
	for (size_t i = 0; i < section->count; i++)
		if (strcmp(section->keys[i].name, name) == 0)
			return &section->keys[i];
	return NULL;
}

/* The path of a section that has a key of this name, anywhere below; frees with mem_free. */
static char *find_elsewhere(const struct config_section *section, const char *path, const char *name)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i];
		if (strcmp(key->name, name) == 0)
			return join(path, name);
	}
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i];
		if (key->section == NULL)
			continue;
		char *below = join(path, key->name),
		     *named = key->type == CONFIG_NAMED ? join(below, "NAME") : NULL;
		char *found = find_elsewhere(key->section, named ? named : below, name);
		mem_free(below);
		mem_free(named);
		if (found)
			return found;
	}
	return NULL;
}

static void report_unknown(struct config_loader *loader, const struct config_section *section,
        const struct yaml_node *name, const char *path)
{
	const char **names = mem_zalloc(section->count, sizeof *names);
	size_t count = 0;
	for (size_t i = 0; i < section->count; i++)
		names[count++] = section->keys[i].name;
	const char *near = text_did_you_mean(name->text, names, count);
	char *elsewhere = near ? NULL : find_elsewhere(&config_root, "", name->text),
	     *full = join(path, name->text), *hint;
	if (near) {
		hint = mem_printf("did you mean '%s'?", near);
	} else if (elsewhere) {
		hint = mem_printf("there is '%s'", elsewhere);
	} else {
		struct buf list;
		buf_init(&list, 0);
		buf_append_text(&list, *path ? "known here: " : "known at the top: ");
		for (size_t i = 0; i < count; i++)
			buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
		hint = buf_steal(&list, NULL);
	}
	config_problem(loader, M101_UNKNOWN_KEY, &name->place, hint, "unknown key '%s'", full);
	mem_free(hint);
	mem_free(full);
	mem_free(elsewhere);
	mem_free(names);
}

/* Required keys that are missing, and the two ways to say one thing. */
static void check_presence(struct config_loader *loader, const struct config_section *section,
        const struct yaml_node *node, const char *path)
{
	struct yaml_place here = config_place(loader, path);
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i], *other = NULL;
		for (size_t j = 0; j < section->count; j++)
			if (section->keys[j].instead && strcmp(section->keys[j].instead, key->name) == 0)
				other = &section->keys[j];
		long usual = yaml_tree_find(node, key->name),
		     second = other ? yaml_tree_find(node, other->name) : -1;
		char *full = join(path, key->name), *alternative = other ? join(path, other->name) : NULL;
		if (usual >= 0 && second >= 0)
			config_problem(loader, M104_KEYS_EXCLUDE, &node->keys[second].place,
			        "keep one of them", "'%s' and '%s' exclude each other", full, alternative);
		else if (key->required && usual < 0 && second < 0)
			config_problem(loader, M103_KEY_MISSING, &here, key->prose,
			        alternative ? "'%s' or '%s' is required" : "'%s' is required", full,
			        alternative);
		mem_free(full);
		mem_free(alternative);
	}
}

static void check_names(struct config_loader *loader, const struct config_section *section,
        const struct yaml_node *node, const char *path)
{
	for (size_t i = 0; i < node->count; i++)
		if (node->keys[i].kind == YAML_TEXT && find_key(section, node->keys[i].text) == NULL &&
		        strcmp(node->keys[i].text, "<<") != 0)
			report_unknown(loader, section, &node->keys[i], path);
}

/* The usual way stands in the file, so the other one is not read, too. */
static bool outvoted(const struct config_key *key, const struct yaml_node *node)
{
	return key->instead && yaml_tree_find(node, key->instead) >= 0;
}

static void load_section(struct config_loader *loader, const struct config_section *section, void *base,
        const struct yaml_node *node, const char *path, bool inherited)
{
	bool map = node && node->kind == YAML_MAP;
	if (node && !map && node->kind != YAML_NOTHING && !yaml_tree_is_null(node))
		config_problem(loader, M105_VALUE, &node->place, NULL,
		        "%s: expected keys and values, found %s", *path ? path : "the file",
		        config_found(node));
	else if (node && node->kind != YAML_NOTHING)
		check_presence(loader, section, node, path);
	if (map)
		check_names(loader, section, node, path);
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i];
		long at = map && !outvoted(key, node) ? yaml_tree_find(node, key->name) : -1;
		char *full = join(path, key->name);
		struct spot spot = {loader, key, base, at < 0 ? NULL : &node->keys[at],
		        at < 0 ? NULL : &node->items[at], full};
		if (at < 0)
			load_absent(&spot, inherited);
		else
			load_present(&spot, inherited);
		mem_free(full);
	}
}

/* http.endpoint: one upstream with all the defaults. */
static void load_endpoint(struct config_loader *loader)
{
	struct config *config = loader->config;
	const struct config_key *http = find_key(&config_root, "http");
	const struct config_key *upstreams = find_key(http->section, "upstreams");
	if (config->endpoint == NULL || config->upstream_count > 0)
		return;
	struct upstream_config *upstream = add_element(upstreams, config, "default");
	load_section(loader, upstreams->section, upstream, NULL, "http.upstreams.default", false);
	upstream->url = config->endpoint;
	config->endpoint = NULL;
	const struct config_origin *origin = config_origin_find(config, "http.endpoint");
	char *where = mem_strdup(origin->where);
	struct yaml_place place = origin->place;
	config_origin_add(config, "http.upstreams.default.url", where, &place, origin->secret);
	mem_free(where);
}

/* script.params_file: its members take the places of those of script.params. */
static void load_params_file(struct config_loader *loader, const struct yaml_node *script)
{
	struct config *config = loader->config;
	long at = script && script->kind == YAML_MAP ? yaml_tree_find(script, "params") : -1;
	const struct yaml_node *params =
	        at < 0 || yaml_tree_is_null(&script->items[at]) ? NULL : &script->items[at];
	struct yaml_place place = config_place(loader, "script.params_file");
	struct config_aside aside;
	char *json, *shown;
	if (config->script_params_file == NULL || (params && config->script.params_json == NULL))
		return;
	if (config_aside_open(&aside, loader, config->script_params_file, &place) &&
	        config_params_over(loader, params, &aside.loader, aside.root, &json, &shown)) {
		mem_free((char *)(size_t)config->script.params_json);
		mem_free(config->origins->params_shown);
		config->script.params_json = json;
		config->origins->params_shown = shown;
		if (params == NULL)
			config_origin_add(config, "script.params", config->script_params_file, NULL, false);
	}
	config_aside_close(&aside);
}

static const struct yaml_node *script_node(const struct yaml_node *root)
{
	long at = root->kind == YAML_MAP ? yaml_tree_find(root, "script") : -1;
	return at < 0 ? NULL : &root->items[at];
}

void config_read(struct config_loader *loader, struct yaml_node *root)
{
	if (root->kind == YAML_NOTHING)
		root->kind = YAML_MAP; /* an empty file lacks the same keys as an empty map */
	load_section(loader, &config_root, loader->config, root, "", false);
	load_endpoint(loader);
	load_params_file(loader, script_node(root));
}

void config_read_script(struct config_loader *loader, const struct yaml_node *root)
{
	const struct config_key *key = find_key(&config_root, "script");
	const struct yaml_node *node = script_node(root);
	if (node == NULL)
		config_problem(loader, M103_KEY_MISSING, &loader->top, key->prose, "'script' is required");
	else
		load_section(loader, key->section, config_member(loader->config, key->offset), node, "script",
		        false);
	load_params_file(loader, node);
}
