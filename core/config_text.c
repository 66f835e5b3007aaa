/* Scalars as the user meant them: variables replaced, files read, params as JSON. */
#include "config_table.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1024 * 1024 };

const char *config_found(const struct yaml_node *node)
{
	if (yaml_tree_is_null(node))
		return "nothing";
	return node->kind == YAML_LIST ? "a list" : node->kind == YAML_MAP ? "a map" : "a text";
}

bool config_is_file_form(const struct yaml_node *node)
{
	return node->kind == YAML_MAP && node->count == 1 && node->keys[0].kind == YAML_TEXT &&
	       strcmp(node->keys[0].text, "file") == 0 && node->items[0].kind == YAML_TEXT;
}

char *config_resolve(const struct config_loader *loader, const char *path)
{
	if (path[0] != '/' && strcmp(loader->folder, ".") != 0) {
		char *beside = mem_printf("%s/%s", loader->folder, path);
		if (access(beside, F_OK) == 0)
			return beside;
		mem_free(beside);
	}
	return mem_strdup(path);
}

static size_t name_size(const char *text)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	size_t size = strspn(text, letters);
	return size == 0 ? 0
	                 : size + strspn(text + size,
	                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
}

/* One ${...}: appends its value and answers the text behind it, NULL after a problem. */
static const char *expand(struct config_loader *loader, const struct yaml_place *place, const char *at,
        struct buf *out, char **first)
{
	const char *name = at + 2, *end = strchr(name, '}');
	size_t size = name_size(name);
	const char *rest = name + size;
	bool otherwise = strncmp(rest, ":-", 2) == 0, demand = strncmp(rest, ":?", 2) == 0;
	if (size == 0 || end == NULL || (rest != end && !otherwise && !demand)) {
		config_problem(loader, M107_VARIABLE, place, "write $$ for a dollar sign",
		        "expected ${NAME}, ${NAME:-default} or ${NAME:?why}");
		return NULL;
	}
	char *variable = mem_dup(name, size);
	const char *value = getenv(variable);
	bool missing = value == NULL || ((otherwise || demand) && *value == '\0');
	if (missing && !otherwise) {
		char *hint = demand ? NULL : mem_printf("set it, or give a default: ${%s:-...}", variable);
		config_problem(loader, M107_VARIABLE, place, hint, "the variable %s is not set%s%.*s",
		        variable, demand ? ": " : "", demand ? (int)(end - rest - 2) : 0, rest + 2);
		mem_free(hint);
		mem_free(variable);
		return NULL;
	}
	if (missing)
		buf_append(out, rest + 2, (size_t)(end - rest - 2));
	else
		buf_append_text(out, value);
	if (*first == NULL)
		*first = variable;
	else
		mem_free(variable);
	return end + 1;
}

/* Replaces the variables of a text; NULL after a problem. *first gets the name of the first one. */
static char *interpolate(struct config_loader *loader, const struct yaml_node *node, char **first)
{
	struct buf out;
	buf_init(&out, 0);
	const char *at = node->text;
	while (at && *at) {
		if (at[0] == '$' && at[1] == '{') {
			at = expand(loader, &node->place, at, &out, first);
		} else {
			buf_append_byte(&out, *at);
			at += at[0] == '$' && at[1] == '$' ? 2 : 1;
		}
	}
	if (at == NULL) {
		buf_free(&out);
		return NULL;
	}
	return buf_steal(&out, NULL);
}

static char *read_secret(struct config_loader *loader, const struct yaml_place *place, const char *path)
{
	struct stat status;
	int fd =
	        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe nobody writes to is not waited for */
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	if (file == NULL || fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode)) {
		config_problem(loader, M106_NO_SUCH_FILE, place, NULL, "the file '%s' cannot be read: %s",
		        path, file ? "it is not a regular file" : strerror(errno));
		if (file)
			fclose(file);
		return NULL;
	}
	char *text = mem_alloc(FILE_MAX + 1);
	size_t size = fread(text, 1, FILE_MAX + 1, file);
	fclose(file);
	if (size > FILE_MAX || memchr(text, '\0', size)) {
		config_problem(loader, M106_NO_SUCH_FILE, place, NULL, "the file '%s' is %s", path,
		        size > FILE_MAX ? "larger than 1 MiB" : "not a text: it contains a NUL byte");
		mem_free(text);
		return NULL;
	}
	size -= size && text[size - 1] == '\n';
	size -= size && text[size - 1] == '\r';
	text[size] = '\0';
	return text;
}

static struct config_text text_of_file(struct config_loader *loader, const struct yaml_node *node)
{
	struct config_text value = {.secret = true};
	char *variable = NULL, *given = interpolate(loader, node, &variable);
	mem_free(variable);
	if (given == NULL)
		return value;
	char *path = config_resolve(loader, given);
	value.text = read_secret(loader, &node->place, path);
	value.where = mem_printf("%s:%u, file %s", loader->file, node->place.line, path);
	mem_free(path);
	mem_free(given);
	return value;
}

struct config_text config_text(struct config_loader *loader, const struct yaml_node *node, const char *wanted)
{
	struct config_text value = {0};
	if (node->kind == YAML_NOTHING)
		return value;
	if (config_is_file_form(node))
		return text_of_file(loader, &node->items[0]);
	if (node->kind != YAML_TEXT || yaml_tree_is_null(node)) {
		config_problem(loader, M105_VALUE, &node->place, NULL, "expected %s, found %s", wanted,
		        config_found(node));
		return value;
	}
	char *variable = NULL;
	value.text = interpolate(loader, node, &variable);
	value.where = variable ? mem_printf("%s:%u, $%s", loader->file, node->place.line, variable)
	                       : mem_printf("%s:%u", loader->file, node->place.line);
	mem_free(variable);
	return value;
}

void config_text_free(struct config_text *value)
{
	mem_free(value->text);
	mem_free(value->where);
	*value = (struct config_text){0};
}

/* Both texts of params grow side by side: what the script gets, and what people may see. */
struct params {
	struct config_loader *loader;
	struct buf json, shown;
	bool secret; /* the two differ */
	bool wrong;
};

static void append_both(struct params *params, const char *text)
{
	buf_append_text(&params->json, text);
	buf_append_text(&params->shown, text);
}

static void params_scalar(struct params *params, const struct yaml_node *node, bool secret)
{
	struct config_text value = {0};
	bool null = yaml_tree_is_null(node);
	if (!null)
		value = config_text(params->loader, node, "a value");
	if (!null && value.text == NULL) {
		params->wrong = true;
		config_text_free(&value);
		return;
	}
	struct buf scalar;
	buf_init(&scalar, 0);
	bool plain = node->kind == YAML_TEXT && node->plain;
	if (!yaml_tree_json_scalar(null ? "" : value.text, plain, &scalar)) {
		config_problem(
		        params->loader, M105_VALUE, &node->place, NULL, "%s has no form in JSON", value.text);
		params->wrong = true;
	} else {
		secret = !null && (secret || value.secret);
		buf_append(&params->json, scalar.data, scalar.size);
		buf_append_text(&params->shown, secret ? "\"<redacted>\"" : scalar.data);
		params->secret |= secret;
	}
	buf_free(&scalar);
	config_text_free(&value);
}

static void params_node(struct params *params, const struct yaml_node *node, bool secret);

/* The members of a map but those that `but` has, too. Answers how many are written by now. */
static size_t params_members(struct params *params, const struct yaml_node *map, const struct yaml_node *but,
        size_t written, bool secret)
{
	for (size_t i = 0; i < map->count; i++) {
		const char *name = map->keys[i].kind == YAML_TEXT ? map->keys[i].text : "";
		if (but && yaml_tree_find(but, name) >= 0)
			continue;
		struct buf key;
		buf_init(&key, 0);
		text_json_string(&key, name, strlen(name));
		append_both(params, written++ ? "," : "");
		append_both(params, key.data);
		append_both(params, ":");
		buf_free(&key);
		params_node(params, &map->items[i], secret || diagnostic_secret(name, strlen(name)));
	}
	return written;
}

static void params_node(struct params *params, const struct yaml_node *node, bool secret)
{
	if (node->kind == YAML_NOTHING)
		params->wrong = true;
	if (node->kind == YAML_TEXT || config_is_file_form(node))
		params_scalar(params, node, secret);
	if (node->kind == YAML_LIST) {
		for (size_t i = 0; i < node->count; i++) {
			append_both(params, i ? "," : "[");
			params_node(params, &node->items[i], secret);
		}
		append_both(params, node->count ? "]" : "[]");
	} else if (node->kind == YAML_MAP && !config_is_file_form(node)) {
		append_both(params, "{");
		params_members(params, node, NULL, 0, secret);
		append_both(params, "}");
	}
}

static bool is_params(struct config_loader *loader, const struct yaml_node *node)
{
	bool map = node->kind == YAML_MAP && (loader->aside || !config_is_file_form(node));
	if (!map && node->kind != YAML_NOTHING)
		config_problem(loader, M105_VALUE, &node->place, NULL, "expected %s, found %s",
		        config_value_wanted(CONFIG_PARAMS), config_found(node));
	return map;
}

bool config_params_over(struct config_loader *loader, const struct yaml_node *node,
        struct config_loader *over_loader, const struct yaml_node *over, char **json, char **shown)
{
	struct params params = {.loader = loader};
	size_t written = 0;
	if ((node && !is_params(loader, node)) || (over && !is_params(over_loader, over)))
		return false;
	buf_init(&params.json, 0);
	buf_init(&params.shown, 0);
	append_both(&params, "{");
	if (node)
		written = params_members(&params, node, over, 0, false);
	params.loader = over_loader;
	if (over)
		params_members(&params, over, NULL, written, false);
	append_both(&params, "}");
	*json = *shown = NULL;
	if (!params.wrong)
		*json = buf_steal(&params.json, NULL);
	if (!params.wrong && params.secret)
		*shown = buf_steal(&params.shown, NULL);
	buf_free(&params.json);
	buf_free(&params.shown);
	return !params.wrong;
}

bool config_params(struct config_loader *loader, const struct yaml_node *node, char **json, char **shown)
{
	return config_params_over(loader, node, NULL, NULL, json, shown);
}
