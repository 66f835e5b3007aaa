/* What a platform knows about its streams: asked of the EventStreamConfig API, kept in a file. */
#include "streams.h"
#include "clock.h"
#include "jsontree.h"
#include "mem.h"
#include "url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the question ---- */

void streams_url(const char *uri, const char *const *names, size_t count, struct buf *out)
{
	buf_printf(out, "%s%caction=streamconfigs&format=json&formatversion=2&streams=", uri,
	        strchr(uri, '?') ? '&' : '?');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_append_text(out, "%7C");
		url_append_encoded(out, names[i]);
	}
}

/* ---- the answer ---- */

static char *string_at(const struct jsontree *tree, uint32_t index, struct buf *room)
{
	if (index == 0 || tree->nodes[index].kind != JSONTREE_STRING)
		return NULL;
	struct bytes text = jsontree_string(tree, index, room);
	return memchr(text.data, 0, text.size) ? NULL : mem_printf("%.*s", (int)text.size, text.data);
}

static uint32_t member(const struct jsontree *tree, uint32_t object, const char *name)
{
	return tree->nodes[object].kind == JSONTREE_OBJECT ? jsontree_member(tree, object, name, strlen(name))
	                                                   : 0;
}

static void read_topics(const struct jsontree *tree, uint32_t list, struct stream *stream, struct buf *room)
{
	if (list == 0 || tree->nodes[list].kind != JSONTREE_ARRAY)
		return;
	uint32_t count = tree->nodes[list].count;
	stream->topics = mem_zalloc(count, sizeof *stream->topics);
	for (uint32_t i = 0, at = list + 1; i < count; i++, at = tree->nodes[at].next) {
		char *topic = string_at(tree, at, room);
		if (topic)
			stream->topics[stream->topic_count++] = topic;
	}
}

static void read_key(const struct jsontree *tree, uint32_t object, struct stream *stream, struct buf *room)
{
	if (object == 0 || tree->nodes[object].kind != JSONTREE_OBJECT)
		return;
	uint32_t count = tree->nodes[object].count;
	stream->key = mem_zalloc(count, sizeof *stream->key);
	for (uint32_t i = 0, at = object + 1; i < count; i++, at = tree->nodes[at + 1].next) {
		char *name = string_at(tree, at, room), *path = string_at(tree, at + 1, room);
		if (name && path) {
			stream->key[stream->key_count++] = (struct key_field){name, path};
		} else {
			mem_free(name);
			mem_free(path);
		}
	}
}

static void read_stream(const struct jsontree *tree, uint32_t name, struct stream *stream, struct buf *room)
{
	uint32_t object = name + 1;
	stream->name = string_at(tree, name, room);
	stream->schema_title = string_at(tree, member(tree, object, "schema_title"), room);
	read_topics(tree, member(tree, object, "topics"), stream, room);
	read_key(tree, member(tree, object, "message_key_fields"), stream, room);
}

static bool read_streams(const struct jsontree *tree, struct streams *out, struct err *err)
{
	uint32_t object = member(tree, 0, "streams"), error = member(tree, 0, "error");
	struct buf room;
	buf_init(&room, 0);
	if (object == 0 || (tree->nodes[object].kind != JSONTREE_OBJECT && tree->nodes[object].count > 0)) {
		char *info = error ? string_at(tree, member(tree, error, "info"), &room) : NULL;
		err_set(err,
		        "the answer has no 'streams'%s%.300s: is it the URL of an api.php with "
		        "EventStreamConfig?",
		        info ? ", but an error: " : "", info ? info : "");
		mem_free(info);
		buf_free(&room);
		return false;
	}
	/* PHP writes an empty map as an empty list. */
	uint32_t count = tree->nodes[object].kind == JSONTREE_OBJECT ? tree->nodes[object].count : 0;
	out->items = mem_zalloc(count, sizeof *out->items);
	for (uint32_t i = 0, at = object + 1; i < count; i++, at = tree->nodes[at + 1].next)
		if (tree->nodes[at + 1].kind == JSONTREE_OBJECT)
			read_stream(tree, at, &out->items[out->count++], &room);
	buf_free(&room);
	return true;
}

bool streams_parse(const char *text, size_t size, struct streams *out, struct err *err)
{
	struct jsontree tree;
	struct json_error wrong;
	*out = (struct streams){0};
	jsontree_init(&tree);
	bool good = jsontree_parse(&tree, text, size, NULL, &wrong);
	if (!good)
		err_set(err, "the answer is not JSON: %.200s at byte %zu", wrong.message, wrong.offset);
	else
		good = read_streams(&tree, out, err);
	jsontree_free(&tree);
	return good;
}

/* ---- the cache ---- */

static bool write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t wrote = write(fd, data, size);
		if (wrote < 0)
			return false;
		data += wrote;
		size -= (size_t)wrote;
	}
	return true;
}

/* Another process of the job may write the same file: each writes its own, and the last rename wins. */
static bool cache_write(const char *path, const struct buf *answer)
{
	char *draft = mem_printf("%s.%ld", path, (long)getpid());
	int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool good = fd >= 0 && write_all(fd, answer->data, answer->size) && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	good = good && rename(draft, path) == 0;
	if (!good && fd >= 0)
		unlink(draft);
	mem_free(draft);
	return good;
}

static bool knows_all(const struct streams *streams, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (streams_find(streams, names[i]) == NULL)
			return false;
	return true;
}

static bool cache_read(const struct streams_source *source, const char *const *names, size_t count,
        struct streams *out, char written[CLOCK_TEXT])
{
	struct stat about;
	struct buf text;
	buf_init(&text, 0);
	char *uri = mem_printf("file://%s", source->cache);
	bool good = source->cache[0] == '/' && stat(source->cache, &about) == 0 &&
	            fetch(&source->fetch, uri, &text, NULL) == FETCH_GOT &&
	            streams_parse(text.data ? text.data : "", text.size, out, NULL);
	if (good && !knows_all(out, names, count)) {
		streams_free(out);
		good = false;
	}
	if (good)
		clock_format((int64_t)about.st_mtime * 1000, written);
	mem_free(uri);
	buf_free(&text);
	return good;
}

enum streams_outcome streams_ask(const struct streams_source *source, const char *const *names, size_t count,
        struct streams *out, struct err *err)
{
	struct err why = {""};
	struct buf url, answer;
	char written[CLOCK_TEXT];
	buf_init(&url, 0);
	buf_init(&answer, 0);
	*out = (struct streams){0};
	streams_url(source->uri, names, count, &url);
	enum streams_outcome outcome = STREAMS_UNKNOWN;
	if (fetch(&source->fetch, url.data, &answer, &why) == FETCH_GOT &&
	        streams_parse(answer.data ? answer.data : "", answer.size, out, &why)) {
		outcome = STREAMS_FETCHED;
		if (source->cache && !cache_write(source->cache, &answer))
			err_set(err, "the answer could not be kept in %.300s: %s", source->cache,
			        strerror(errno));
	} else if (source->cache && cache_read(source, names, count, out, written)) {
		outcome = STREAMS_CACHED;
		err_set(err, "%.600s; going on with the answer of %s (%.200s)", why.text, written,
		        source->cache);
	} else {
		err_set(err, "%.900s", why.text);
	}
	buf_free(&url);
	buf_free(&answer);
	return outcome;
}

const struct stream *streams_find(const struct streams *streams, const char *name)
{
	for (size_t i = 0; i < streams->count; i++)
		if (streams->items[i].name && strcmp(streams->items[i].name, name) == 0)
			return &streams->items[i];
	return NULL;
}

void streams_free(struct streams *streams)
{
	for (size_t i = 0; i < streams->count; i++) {
		struct stream *stream = &streams->items[i];
		for (size_t j = 0; j < stream->topic_count; j++)
			mem_free(stream->topics[j]);
		for (size_t j = 0; j < stream->key_count; j++) {
			mem_free(stream->key[j].name);
			mem_free(stream->key[j].path);
		}
		mem_free(stream->topics);
		mem_free(stream->key);
		mem_free(stream->schema_title);
		mem_free(stream->name);
	}
	mem_free(streams->items);
	*streams = (struct streams){0};
}
