/* Saves what a tap shows as a cassette: events.jsonl, and a file for each exchange. */
#include "command_tap.h"
#include "mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_SIZE = 100 };

/* A question and what was answered, in the order of the answers. */
struct exchange {
	char *name, *request;
	char **answers;
	size_t count;
};

struct tap_save {
	char *folder;
	FILE *events;
	struct exchange *exchanges;
	size_t count;
	struct jsontree tree; /* of a line */
	struct buf room;
};

/* ---- the folder ---- */

static bool is_empty(const char *folder)
{
	DIR *found = opendir(folder);
	const struct dirent *entry;
	bool empty = found != NULL;
	while (found && (entry = readdir(found)) != NULL)
		empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	if (found)
		closedir(found);
	return empty;
}

struct tap_save *tap_save_open(const char *folder, struct err *err)
{
	if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
		err_set(err, "%s cannot be made: %s", folder, strerror(errno));
		return NULL;
	}
	if (!is_empty(folder)) {
		err_set(err, "%s is not an empty folder: name a new one", folder);
		return NULL;
	}
	char *path = mem_printf("%s/events.jsonl", folder);
	FILE *events = fopen(path, "wxe");
	if (events == NULL)
		err_set(err, "%s cannot be written: %s", path, strerror(errno));
	mem_free(path);
	if (events == NULL)
		return NULL;
	struct tap_save *save = mem_zalloc(1, sizeof *save);
	save->folder = mem_strdup(folder);
	save->events = events;
	jsontree_init(&save->tree);
	buf_init(&save->room, 0);
	return save;
}

size_t tap_save_exchanges(const struct tap_save *save)
{
	return save->count;
}

void tap_save_close(struct tap_save *save)
{
	if (save == NULL)
		return;
	for (size_t i = 0; i < save->count; i++) {
		for (size_t j = 0; j < save->exchanges[i].count; j++)
			mem_free(save->exchanges[i].answers[j]);
		mem_free(save->exchanges[i].answers);
		mem_free(save->exchanges[i].name);
		mem_free(save->exchanges[i].request);
	}
	fclose(save->events);
	mem_free(save->exchanges);
	mem_free(save->folder);
	jsontree_free(&save->tree);
	buf_free(&save->room);
	mem_free(save);
}

/* ---- exchanges ---- */

static void add_word(struct buf *name, const char *text)
{
	if (name->size && *text)
		buf_append_byte(name, '-');
	for (; *text && name->size < NAME_MAX_SIZE; text++)
		buf_append_byte(name, isalnum((unsigned char)*text) || *text == '.' ? *text : '_');
}

static bool is_taken(const struct tap_save *save, const char *name)
{
	for (size_t i = 0; i < save->count; i++)
		if (save->exchanges[i].name && strcmp(save->exchanges[i].name, name) == 0)
			return true;
	return false;
}

/* The host, the path, the last parameter: where a script merges, that is what it asks for. */
static char *choose_name(struct tap_save *save, uint32_t request)
{
	const struct jsontree *tree = &save->tree;
	struct buf name;
	buf_init(&name, 0);
	const char *host = tap_member(tree, request, "host", &save->room);
	add_word(&name, *host == '.' ? "host" : host);
	if (name.size == 0)
		add_word(&name, tap_member(tree, request, "upstream", &save->room));
	add_word(&name, tap_member(tree, request, "path", &save->room));
	uint32_t query = jsontree_member(tree, request, "query", 5), last = 0;
	for (uint32_t at = query + 1, i = 0; query && i < tree->nodes[query].count;
	        i++, at = tree->nodes[at + 1].next)
		last = at + 1;
	if (last && tree->nodes[last].kind == JSONTREE_STRING) {
		struct bytes value = jsontree_string(tree, last, &save->room);
		char *text = mem_dup(value.data, value.size);
		add_word(&name, text);
		mem_free(text);
	}
	char *chosen = mem_printf("%s.json", name.size ? name.data : "exchange");
	for (unsigned n = 2; is_taken(save, chosen); n++) {
		mem_free(chosen);
		chosen = mem_printf("%s-%u.json", name.size ? name.data : "exchange", n);
	}
	buf_free(&name);
	return chosen;
}

/* The request as the key of its exchange: without what tells two lookups of the same apart. */
static char *key_of(const struct tap_save *save, uint32_t request)
{
	const struct jsontree *tree = &save->tree;
	struct buf key;
	buf_init(&key, 0);
	for (uint32_t at = request + 1, i = 0; i < tree->nodes[request].count;
	        i++, at = tree->nodes[at + 1].next) {
		if (jsontree_string_is(tree, at, "headers", 7))
			continue;
		struct bytes name = jsontree_raw(tree, at), value = jsontree_raw(tree, at + 1);
		buf_printf(&key, "%.*s:%.*s\n", (int)name.size, name.data, (int)value.size, value.data);
	}
	return buf_steal(&key, NULL);
}

static bool write_exchange(
        struct tap_save *save, const struct exchange *exchange, const char *request, struct err *err)
{
	struct buf json, text;
	struct jsontree tree;
	char *path = mem_printf("%s/%s", save->folder, exchange->name);
	buf_init(&json, 0);
	buf_init(&text, 0);
	jsontree_init(&tree);
	buf_printf(&json, "{\"request\":%s,\"answers\":[", request);
	for (size_t i = 0; i < exchange->count; i++)
		buf_printf(&json, "%s%s", i ? "," : "", exchange->answers[i]);
	buf_append_text(&json, "]}");
	struct json_limits limits = {.depth = JSON_MAX_DEPTH};
	bool good = jsontree_parse(&tree, json.data, json.size, &limits, NULL);
	if (good) {
		tap_pretty(&tree, 0, 0, 0, false, &text);
		buf_append_byte(&text, '\n');
	}
	FILE *file = good ? fopen(path, "we") : NULL;
	good = file && fwrite(text.data, 1, text.size, file) == text.size;
	good = file && fclose(file) == 0 && good;
	if (!good)
		err_set(err, "%s cannot be written: %s", path, strerror(errno));
	jsontree_free(&tree);
	buf_free(&json);
	buf_free(&text);
	mem_free(path);
	return good;
}

/* The engine's own business: the same lookup is asked again at once, and no replay can bring it about. */
static bool is_internal(const char *fault)
{
	return strcmp(fault, "stale") == 0 || strcmp(fault, "no_room") == 0 || strcmp(fault, "invalid") == 0;
}

/* The response in the tree. */
static bool save_response(struct tap_save *save, struct err *err)
{
	const struct jsontree *tree = &save->tree;
	uint32_t request = jsontree_member(tree, 0, "request", 7),
	         answer = jsontree_member(tree, 0, "answer", 6);
	if (request == 0 || answer == 0)
		return err_set(err,
		        "an answer came without its content, so the cassette would not be whole; see "
		        "--buffer");
	if (is_internal(tap_member(tree, answer, "fault", &save->room)))
		return true;
	char *key = key_of(save, request);
	size_t i = 0;
	while (i < save->count && strcmp(save->exchanges[i].request, key) != 0)
		i++;
	if (i == save->count) {
		save->exchanges = mem_realloc(save->exchanges, (save->count + 1) * sizeof *save->exchanges);
		save->exchanges[i] = (struct exchange){.request = key};
		char *name = choose_name(save, request);
		save->exchanges[i].name = name;
		save->count++;
	} else {
		mem_free(key);
	}
	struct exchange *exchange = &save->exchanges[i];
	struct bytes raw = jsontree_raw(tree, answer), asked = jsontree_raw(tree, request);
	exchange->answers = mem_realloc(exchange->answers, (exchange->count + 1) * sizeof *exchange->answers);
	exchange->answers[exchange->count++] = mem_dup(raw.data, raw.size);
	char *text = mem_dup(asked.data, asked.size);
	bool good = write_exchange(save, exchange, text, err);
	mem_free(text);
	return good;
}

/* The value as it came, which is its line: what is no JSON object stands there, too. */
static bool save_event(struct tap_save *save, struct err *err)
{
	const struct jsontree *tree = &save->tree;
	uint32_t event = jsontree_member(tree, 0, "event", 5);
	if (event == 0)
		return true; /* a tombstone, or what no line can hold */
	struct bytes raw = jsontree_raw(tree, event);
	bool good = fwrite(raw.data, 1, raw.size, save->events) == raw.size &&
	            fputc('\n', save->events) != EOF && fflush(save->events) == 0;
	return good || err_set(err, "%s/events.jsonl cannot be written: %s", save->folder, strerror(errno));
}

bool tap_save_record(struct tap_save *save, const struct tap_record *record, struct err *err)
{
	struct json_limits limits = {.depth = JSON_MAX_DEPTH};
	for (size_t i = 0; i < record->count; i++) {
		struct tap_line *line = record->lines[i];
		if (line->saved || !jsontree_parse(&save->tree, line->text, line->size, &limits, NULL))
			continue;
		char stage[16];
		snprintf(stage, sizeof stage, "%s", tap_member(&save->tree, 0, "stage", &save->room));
		line->saved = true;
		if (strcmp(stage, "in") == 0 && !save_event(save, err))
			return false;
		if (strcmp(stage, "response") == 0 && !save_response(save, err))
			return false;
	}
	return true;
}
