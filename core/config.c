/* The configuration file: loaded, held, freed; the steps between are in config_read.c and config_verify.c. */
#include "config.h"
#include "config_table.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void config_problem(struct config_loader *loader, enum code code, const struct yaml_place *place,
        const char *hint, const char *format, ...)
{
	struct buf message;
	va_list args;
	buf_init(&message, 4096);
	va_start(args, format);
	if (!buf_vprintf(&message, format, args))
		buf_append_text(&message, "a value that is too long to show is wrong here");
	va_end(args);
	for (size_t i = 0; i < message.size; i++)
		if ((unsigned char)message.data[i] < 0x20)
			message.data[i] = '?';
	struct diagnostic diagnostic = {.severity = explain_severity(code),
	        .code = code,
	        .file = (char *)(size_t)loader->file,
	        .line = place->line,
	        .column = place->column,
	        .length = loader->aside ? 0 : place->length,
	        .message = message.data,
	        .hint = (char *)(size_t)hint};
	diagnostics_add(loader->found, &diagnostic);
	buf_free(&message);
}

const struct config_origin *config_origin_find(const struct config *config, const char *path)
{
	for (size_t i = 0; i < config->origins->count; i++)
		if (strcmp(config->origins->items[i].path, path) == 0)
			return &config->origins->items[i];
	return NULL;
}

void config_origin_add(struct config *config, const char *path, const char *where,
        const struct yaml_place *place, bool secret)
{
	struct config_origins *origins = config->origins;
	origins->items = mem_realloc(origins->items, (origins->count + 1) * sizeof *origins->items);
	origins->items[origins->count++] = (struct config_origin){.path = mem_strdup(path),
	        .where = mem_strdup(where),
	        .place = place ? *place : (struct yaml_place){0},
	        .secret = secret};
}

struct yaml_place config_place(const struct config_loader *loader, const char *path)
{
	struct yaml_place place = loader->top;
	char *part = mem_strdup(path);
	for (;;) {
		const struct config_origin *origin = config_origin_find(loader->config, part);
		char *dot = strrchr(part, '.');
		if (origin && origin->place.line)
			place = origin->place;
		if ((origin && origin->place.line) || dot == NULL)
			break;
		*dot = '\0';
	}
	mem_free(part);
	return place;
}

static void yaml_problem(void *context, const struct yaml_place *place, const char *text, const char *hint)
{
	config_problem(context, M102_YAML, place, hint, "%s", text);
}

void config_finish_report(struct config_report *report, const char *text, size_t size)
{
	diagnostics_sort(&report->found);
	diagnostics_text(&report->found, text, size, report->colour, &report->text);
	report->errors = report->found.errors;
	report->warnings = report->found.warnings;
}

static struct config *parse(
        const char *name, const char *text, size_t size, bool all, struct config_report *report)
{
	struct config *config = mem_zalloc(1, sizeof *config);
	config->path = mem_strdup(name);
	config->origins = mem_zalloc(1, sizeof *config->origins);
	struct config_loader loader = {.config = config,
	        .found = &report->found,
	        .file = config->path,
	        .folder = text_folder(name),
	        .top = {1, 1, 0}};
	struct yaml_listener listener = {&loader, yaml_problem};
	struct yaml_node *root = yaml_tree_parse(text, size, &listener);
	if (root && all) {
		config_read(&loader, root);
		config_derive(&loader);
		config_verify(&loader);
	} else if (root) {
		config_read_script(&loader, root);
	}
	yaml_tree_free(root);
	mem_free(loader.folder);
	config_finish_report(report, text, size);
	if (report->errors == 0)
		return config;
	config_free(config);
	return NULL;
}

struct config *config_parse(const char *name, const char *text, size_t size, struct config_report *report)
{
	return parse(name, text, size, true, report);
}

bool config_aside_open(struct config_aside *aside, const struct config_loader *loader, const char *path,
        const struct yaml_place *place)
{
	size_t size;
	const char *why = NULL;
	unsigned errors = loader->found->errors;
	struct yaml_listener listener = {&aside->loader, yaml_problem};
	*aside = (struct config_aside){.loader = {.config = loader->config,
	                                       .found = loader->found,
	                                       .file = path,
	                                       .folder = text_folder(path),
	                                       .aside = true,
	                                       .top = {1, 1, 0}}};
	char *text = config_read_file(path, YAML_TREE_BYTES, &size, &why);
	if (text == NULL)
		config_problem((struct config_loader *)(size_t)loader, M106_NO_SUCH_FILE, place, NULL,
		        "the file '%s' cannot be read: %s", path, why);
	else
		aside->root = yaml_tree_parse(text, size, &listener);
	mem_free(text);
	if (aside->root && aside->root->kind == YAML_NOTHING && loader->found->errors == errors) {
		yaml_tree_free(aside->root);
		aside->root = NULL;
	}
	return loader->found->errors == errors;
}

void config_aside_close(struct config_aside *aside)
{
	yaml_tree_free(aside->root);
	mem_free(aside->loader.folder);
}

static struct config *unreadable(const char *path, const char *why, struct config_report *report)
{
	struct diagnostic diagnostic = {
	        .code = M100_FILE, .file = (char *)(size_t)path, .message = (char *)(size_t)why};
	diagnostics_add(&report->found, &diagnostic);
	config_finish_report(report, NULL, 0);
	return NULL;
}

/* One byte more than the most is read, so that too much can be told from just enough. */
char *config_read_file(const char *path, size_t most, size_t *size, const char **why)
{
	struct stat status;
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		*why = errno == ENOENT ? "there is no such file" : strerror(errno);
		return NULL;
	}
	if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode)) {
		*why = "this is a folder; expected a file";
		fclose(file);
		return NULL;
	}
	char *text = mem_alloc(most + 1);
	*size = fread(text, 1, most + 1, file);
	fclose(file);
	return text;
}

static struct config *load(const char *path, bool all, struct config_report *report)
{
	size_t size;
	const char *why;
	char *text = config_read_file(path, YAML_TREE_BYTES, &size, &why);
	if (text == NULL)
		return unreadable(path, why, report);
	struct config *config = parse(path, text, size, all, report);
	mem_free(text);
	return config;
}

struct config *config_load(const char *path, struct config_report *report)
{
	return load(path, true, report);
}

struct config *config_load_script(const char *path, struct config_report *report)
{
	return load(path, false, report);
}

void config_report_free(struct config_report *report)
{
	buf_free(&report->text);
	diagnostics_free(&report->found);
	*report = (struct config_report){.colour = report->colour};
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mem_free(texts[i]);
	mem_free(texts);
}

static void free_properties(struct kafka_property *properties, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		mem_free(properties[i].name);
		mem_free(properties[i].value);
		mem_free(properties[i].where);
	}
	mem_free(properties);
}

static void free_fields(struct key_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		mem_free(fields[i].name);
		mem_free(fields[i].path);
	}
	mem_free(fields);
}

static void free_section(const struct config_section *section, void *base);

/* Frees an array and forgets it: two keys may lead to the same one. */
static void free_array(const struct config_key *key, void *base)
{
	void *array = config_pointer(base, key->offset);
	size_t *count = config_member(base, key->count);
	for (size_t i = 0; key->section && i < *count; i++) {
		char *element = (char *)array + i * key->section->size;
		mem_free(*(char **)(void *)element);
		free_section(key->section, element);
	}
	if (key->section)
		mem_free(array);
	else if (key->type == CONFIG_TEXTS)
		free_texts(array, *count);
	else if (key->type == CONFIG_PROPERTIES)
		free_properties(array, *count);
	else
		free_fields(array, *count);
	config_pointer_set(base, key->offset, NULL);
	*count = 0;
}

static void free_section(const struct config_section *section, void *base)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct config_key *key = &section->keys[i];
		void *member = config_member(base, key->offset);
		switch (key->type) {
		case CONFIG_SECTION: free_section(key->section, member); break;
		case CONFIG_ONE:
		case CONFIG_NAMED:
		case CONFIG_TEXTS:
		case CONFIG_PROPERTIES:
		case CONFIG_KEY_FIELDS: free_array(key, base); break;
		case CONFIG_TEXT:
		case CONFIG_FILE:
		case CONFIG_PARAMS: mem_free(*(char **)member); break;
		default: break;
		}
	}
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	free_section(&config_root, config);
	for (size_t i = 0; i < config->origins->count; i++) {
		mem_free(config->origins->items[i].path);
		mem_free(config->origins->items[i].where);
	}
	mem_free(config->origins->items);
	mem_free(config->origins->params_shown);
	mem_free(config->origins);
	mem_free(config->errors.name);
	mem_free(config->path);
	mem_free(config);
}

void config_world(const struct config *config, struct script_world *world)
{
	struct script_sink *sinks = mem_zalloc(config->sink_count, sizeof *sinks);
	for (size_t i = 0; i < config->sink_count; i++) {
		const struct sink_config *sink = &config->sinks[i];
		sinks[i] = (struct script_sink){
		        sink->name, sink->stream, sink->schema, sink->key, sink->key_count, sink->max_bytes};
	}
	*world = (struct script_world){.upstreams = config->upstreams,
	        .upstream_count = config->upstream_count,
	        .sinks = sinks,
	        .sink_count = config->sink_count,
	        .key = config->key,
	        .key_count = config->key_count,
	        .engine = "millrace/" MILLRACE_VERSION};
}
