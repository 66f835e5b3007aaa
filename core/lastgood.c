/* A script that proved itself, with its modules and params: what to go back to, in memory and on disk. */
#include "lastgood.h"
#include "checkpointfile.h"
#include "clock.h"
#include "jsontree.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { VERSION = 1, TEXT_MAX = 8 * SCRIPT_SOURCES_MAX /* every byte may be written as an escape */ };

static const char name_on_disk[] = "script-last-good.json";

void lastgood_identity(const char *script_sha256, const char *params, char identity[DIGEST_HEX])
{
	struct bytes parts[] = {{script_sha256, strlen(script_sha256)}, {"\n", 1}, {params, strlen(params)}};
	digest_hex(DIGEST_SHA256, parts, 3, identity);
}

static void add_source(struct lastgood *good, const char *name, struct bytes text)
{
	good->sources = mem_realloc(good->sources, (good->source_count + 1) * sizeof *good->sources);
	good->sources[good->source_count++] =
	        (struct script_source){mem_strdup(name), {mem_dup(text.data, text.size), text.size}};
}

struct lastgood *lastgood_of(const struct script *script, const char *params, int64_t wall, struct err *err)
{
	size_t count;
	const struct script_source *sources = script_sources(script, &count);
	if (count == 0) {
		err_set(err, "%s has more than %d MiB with its modules", script_path(script),
		        SCRIPT_SOURCES_MAX >> 20);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		if (text_utf8_valid(sources[i].text.data, sources[i].text.size) != sources[i].text.size) {
			err_set(err, "%s%s%s is not UTF-8", script_path(script), i ? ": module " : "",
			        sources[i].name);
			return NULL;
		}
	struct lastgood *good = mem_zalloc(1, sizeof *good);
	lastgood_identity(script_sha256(script), params, good->identity);
	good->path = mem_strdup(script_path(script));
	good->params = mem_strdup(params);
	good->time = wall;
	for (size_t i = 0; i < count; i++)
		add_source(good, sources[i].name, sources[i].text);
	return good;
}

struct lastgood *lastgood_copy(const struct lastgood *good)
{
	struct lastgood *copy = mem_zalloc(1, sizeof *copy);
	memcpy(copy->identity, good->identity, sizeof copy->identity);
	memcpy(copy->refused, good->refused, sizeof copy->refused);
	copy->path = mem_strdup(good->path);
	copy->params = mem_strdup(good->params);
	copy->refused_reason = mem_strdup(good->refused_reason);
	copy->time = good->time;
	for (size_t i = 0; i < good->source_count; i++)
		add_source(copy, good->sources[i].name, good->sources[i].text);
	return copy;
}

void lastgood_refuse(struct lastgood *good, const char *identity, const char *reason)
{
	mem_free(good->refused_reason);
	snprintf(good->refused, sizeof good->refused, "%s", identity ? identity : "");
	good->refused_reason = identity ? mem_strdup(reason) : NULL;
}

struct script *lastgood_load(const struct lastgood *good, const struct script_config *config,
        const struct script_world *world, struct err *err)
{
	struct script_config own = *config;
	char identity[DIGEST_HEX];
	own.path = good->path;
	own.params_json = good->params;
	own.sources = good->sources;
	own.source_count = good->source_count;
	struct script *script = script_open(&own, world, err);
	if (script == NULL)
		return NULL;
	lastgood_identity(script_sha256(script), good->params, identity);
	if (strcmp(identity, good->identity) == 0)
		return script;
	err_set(err, "what was kept of %s is not what it was", good->path);
	script_release(script);
	return NULL;
}

void lastgood_free(struct lastgood *good)
{
	if (good == NULL)
		return;
	for (size_t i = 0; i < good->source_count; i++) {
		mem_free((char *)(size_t)good->sources[i].name);
		mem_free((char *)(size_t)good->sources[i].text.data);
	}
	mem_free(good->sources);
	mem_free(good->path);
	mem_free(good->params);
	mem_free(good->refused_reason);
	mem_free(good);
}

/* ---- text ---- */

static void add_text(struct buf *out, const char *before, const char *text, size_t size)
{
	buf_append_text(out, before);
	text_json_string(out, text, size);
}

void lastgood_print(const struct lastgood *good, struct buf *out)
{
	char time[CLOCK_TEXT];
	clock_format(good->time, time);
	buf_printf(out, "{\"version\":%d,\"identity\":\"%s\"", VERSION, good->identity);
	add_text(out, ",\"path\":", good->path, strlen(good->path));
	buf_printf(out, ",\"time\":\"%s\"", time);
	add_text(out, ",\"params\":", good->params, strlen(good->params));
	buf_append_text(out, ",\"files\":[");
	for (size_t i = 0; i < good->source_count; i++) {
		const struct script_source *source = &good->sources[i];
		add_text(out, i ? ",\n{\"name\":" : "\n{\"name\":", source->name, strlen(source->name));
		add_text(out, ",\"text\":", source->text.data, source->text.size);
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
	if (good->refused[0]) {
		const char *reason = good->refused_reason ? good->refused_reason : "";
		buf_printf(out, ",\n\"refused\":{\"identity\":\"%s\"", good->refused);
		add_text(out, ",\"reason\":", reason, strlen(reason));
		buf_append_byte(out, '}');
	}
	buf_append_text(out, "}\n");
}

/* The text of a member, or NULL; free with mem_free. */
static char *member_text(
        const struct jsontree *tree, uint32_t object, const char *name, size_t *size, struct buf *room)
{
	uint32_t at = jsontree_member(tree, object, name, strlen(name));
	if (at == 0 || tree->nodes[at].kind != JSONTREE_STRING)
		return NULL;
	struct bytes text = jsontree_string(tree, at, room);
	*size = text.size;
	return mem_dup(text.data, text.size);
}

/* Into a digest's room; false where it is none. */
static bool member_digest(
        const struct jsontree *tree, uint32_t object, char digest[DIGEST_HEX], struct buf *room)
{
	size_t size;
	char *text = member_text(tree, object, "identity", &size, room);
	bool good = text && size == DIGEST_HEX - 1;
	if (good)
		memcpy(digest, text, DIGEST_HEX);
	mem_free(text);
	return good;
}

static bool read_sources(struct lastgood *good, const struct jsontree *tree, struct buf *room)
{
	uint32_t files = jsontree_member(tree, 0, "files", 5);
	if (files == 0 || tree->nodes[files].kind != JSONTREE_ARRAY)
		return false;
	uint32_t at = files + 1, count = tree->nodes[files].count;
	for (uint32_t i = 0; i < count; i++, at = tree->nodes[at].next) {
		size_t size, text_size;
		bool object = tree->nodes[at].kind == JSONTREE_OBJECT;
		char *name = object ? member_text(tree, at, "name", &size, room) : NULL;
		char *text = object ? member_text(tree, at, "text", &text_size, room) : NULL;
		if (name && text)
			add_source(good, name, (struct bytes){text, text_size});
		mem_free(name);
		mem_free(text);
	}
	return count > 0 && good->source_count == count;
}

static bool read_tree(struct lastgood *good, const struct jsontree *tree, struct buf *room)
{
	size_t size;
	uint32_t version = jsontree_member(tree, 0, "version", 7);
	uint32_t refused = jsontree_member(tree, 0, "refused", 7);
	if (version == 0 || tree->nodes[version].kind != JSONTREE_NUMBER ||
	        tree->nodes[version].integer != VERSION)
		return false;
	good->path = member_text(tree, 0, "path", &size, room);
	good->params = member_text(tree, 0, "params", &size, room);
	char *time = member_text(tree, 0, "time", &size, room);
	bool timed = time && clock_parse(time, size, &good->time);
	mem_free(time);
	if (refused && tree->nodes[refused].kind == JSONTREE_OBJECT &&
	        member_digest(tree, refused, good->refused, room))
		good->refused_reason = member_text(tree, refused, "reason", &size, room);
	return timed && good->path && good->params && member_digest(tree, 0, good->identity, room) &&
	       read_sources(good, tree, room);
}

struct lastgood *lastgood_parse(const char *text, size_t size, struct err *err)
{
	struct jsontree tree;
	struct json_error error = {0};
	struct buf room;
	struct lastgood *good = mem_zalloc(1, sizeof *good);
	jsontree_init(&tree);
	buf_init(&room, 0);
	bool read = jsontree_parse(&tree, text, size, NULL, &error);
	if (!read)
		err_set(err, "%s: %s (byte %zu)", name_on_disk, error.message, error.offset);
	else if (tree.nodes[0].kind != JSONTREE_OBJECT || !read_tree(good, &tree, &room))
		read = err_set(err, "%s does not say what a script was", name_on_disk);
	jsontree_free(&tree);
	buf_free(&room);
	if (read)
		return good;
	lastgood_free(good);
	return NULL;
}

/* ---- disk ---- */

bool lastgood_write(const char *dir, const char *group, const struct lastgood *good, struct err *err)
{
	struct buf text;
	buf_init(&text, 0);
	lastgood_print(good, &text);
	bool written = checkpointfile_write_other(dir, group, name_on_disk, &text, err);
	buf_free(&text);
	return written;
}

struct lastgood *lastgood_read(const char *dir, const char *group, struct err *err)
{
	struct buf text;
	buf_init(&text, TEXT_MAX);
	struct lastgood *good = NULL;
	if (checkpointfile_read_other(dir, group, name_on_disk, &text, err) && text.size)
		good = lastgood_parse(text.data, text.size, err);
	buf_free(&text);
	return good;
}
