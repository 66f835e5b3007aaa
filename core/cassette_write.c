/* Recorded exchanges, written: a file per question, replaced as a whole each time an answer comes to it. */
#include "cassette.h"
#include "jsontree.h"
#include "mem.h"
#include "text.h"
#include "url.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 100, DEPTH = 200 };

/* A question of this run. */
struct noted {
	char *key;  /* what tells it from others */
	char *file; /* its name in the folder */
	struct buf request, answers;
};

struct cassette_writer {
	char *folder;
	struct cassette *before; /* what the folder held */
	int events;              /* descriptor; -1 until the first */
	struct noted *noted;
	size_t count;
	struct jsontree tree;
};

static bool may_stand_beside(const char *name)
{
	const char *dot = strrchr(name, '.');
	return name[0] == '.' || strcmp(name, CASSETTE_EVENTS) == 0 || (dot && strcmp(dot, ".json") == 0) ||
	       (dot && strcmp(dot, ".md") == 0);
}

static bool folder_fits(const char *folder, struct err *err)
{
	DIR *open = opendir(folder);
	if (open == NULL)
		return err_set(err, "%s cannot be read: %s", folder, strerror(errno));
	bool good = true;
	for (struct dirent *entry; good && (entry = readdir(open));)
		if (!may_stand_beside(entry->d_name))
			good = err_set(err,
			        "%s holds %s, which is no part of a cassette: give a folder of its own",
			        folder, entry->d_name);
	closedir(open);
	return good;
}

struct cassette_writer *cassette_record(const char *folder, struct err *err)
{
	struct cassette_writer *writer;
	if (mkdir(folder, 0777) < 0 && errno != EEXIST) {
		err_set(err, "%s cannot be made: %s", folder, strerror(errno));
		return NULL;
	}
	if (!folder_fits(folder, err))
		return NULL;
	if (access(folder, W_OK) < 0) {
		err_set(err, "%s cannot be written: %s", folder, strerror(errno));
		return NULL;
	}
	struct cassette *before = cassette_open(folder, err);
	if (before == NULL)
		return NULL;
	writer = mem_zalloc(1, sizeof *writer);
	writer->before = before;
	writer->folder = mem_strdup(folder);
	writer->events = -1;
	jsontree_init(&writer->tree);
	return writer;
}

/* ---- a question as text ---- */

static void member(struct buf *out, unsigned depth, bool first, const char *name)
{
	buf_append_text(out, first ? "\n" : ",\n");
	for (unsigned i = 0; i < depth; i++)
		buf_append_text(out, "  ");
	text_json_string(out, name, strlen(name));
	buf_append_text(out, ": ");
}

static void member_text(struct buf *out, unsigned depth, bool first, const char *name, const char *value)
{
	member(out, depth, first, name);
	text_json_string(out, value, strlen(value));
}

static bool is_json(struct cassette_writer *writer, const char *data, size_t size)
{
	struct json_limits limits = {.depth = DEPTH};
	return size > 0 && jsontree_parse(&writer->tree, data, size, &limits, NULL);
}

/* In a query `key` is an API's; in JSON it names anything, such as a page's title. */
static bool is_secret_member(const char *name, size_t size)
{
	return size != 3 && cassette_secret(name, size);
}

/* JSON as JSON under `json`, text under "body", else "base64". */
static void append_body(struct cassette_writer *writer, struct buf *out, unsigned depth, const char *json,
        const char *data, size_t size)
{
	if (is_json(writer, data, size)) {
		member(out, depth, false, json);
		jsontree_print(&writer->tree, 0, depth, is_secret_member, CASSETTE_REDACTED, out);
	} else if (text_utf8_valid(data, size) == size) {
		member(out, depth, false, "body");
		text_json_string(out, data, size);
	} else {
		member(out, depth, false, "base64");
		text_base64(out, data, size);
	}
}

/* What the wire did to the body is undone, and said no more. */
static bool is_framing(const char *name)
{
	static const char *const names[] = {"content-length", "content-encoding", "transfer-encoding",
	        "connection", "keep-alive", "vary", "accept-ranges"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static void append_headers(struct buf *out, unsigned depth, const struct header *headers, size_t count)
{
	bool first = true;
	member(out, depth, false, "headers");
	buf_append_byte(out, '{');
	for (size_t i = 0; i < count; i++) {
		if (is_framing(headers[i].name))
			continue;
		bool again = false; /* a member stands once: the last one is taken */
		for (size_t j = i + 1; j < count; j++)
			again = again || strcasecmp(headers[i].name, headers[j].name) == 0;
		if (again)
			continue;
		bool hidden = cassette_secret(headers[i].name, strlen(headers[i].name));
		member_text(out, depth + 1, first, headers[i].name,
		        hidden ? CASSETTE_REDACTED : headers[i].value);
		first = false;
	}
	buf_append_text(out, first ? "}" : "\n");
	for (unsigned i = 0; !first && i < depth; i++)
		buf_append_text(out, "  ");
	buf_append_text(out, first ? "" : "}");
}

static char *decoded(const char *text, size_t size)
{
	struct buf out = {0};
	url_append_decoded(&out, text, size);
	return buf_steal(&out, &size);
}

static const char *behind(const char *parameter)
{
	const char *end = parameter + strcspn(parameter, "&");
	return end + (*end == '&');
}

/* The first parameter of that name between two places. */
static const char *same_name(const char *from, const char *to, const char *name, size_t size)
{
	for (const char *at = from; at < to && *at; at = behind(at))
		if (strcspn(at, "=&") == size && memcmp(at, name, size) == 0)
			return at;
	return NULL;
}

static void append_value(struct buf *out, const char *at, bool hidden)
{
	size_t size = strcspn(at, "&"), name = strcspn(at, "=&");
	char *value = hidden ? mem_strdup(CASSETTE_REDACTED)
	                     : decoded(at + name + (name < size), size - name - (name < size));
	text_json_string(out, value, strlen(value));
	mem_free(value);
}

static void append_query(struct buf *out, unsigned depth, const char *query)
{
	const char *end = query + strlen(query);
	bool first = true;
	member(out, depth, false, "query");
	buf_append_byte(out, '{');
	for (const char *at = query, *next; *at; at = next) {
		size_t size = strcspn(at, "=&");
		next = behind(at);
		if (same_name(query, at, at, size))
			continue;
		char *name = decoded(at, size);
		bool hidden = cassette_secret(name, strlen(name));
		const char *again = same_name(next, end, at, size);
		member(out, depth + 1, first, name);
		buf_append_text(out, again ? "[" : "");
		append_value(out, at, hidden);
		for (const char *one = again; one; one = same_name(behind(one), end, at, size)) {
			buf_append_text(out, ", ");
			append_value(out, one, hidden);
		}
		buf_append_text(out, again ? "]" : "");
		mem_free(name);
		first = false;
	}
	buf_append_text(out, first ? "}" : "\n");
	for (unsigned i = 0; !first && i < depth; i++)
		buf_append_text(out, "  ");
	buf_append_text(out, first ? "" : "}");
}

static void append_request(struct cassette_writer *writer, struct buf *out,
        const struct cassette_question *question, const struct http_transfer *transfer, const char *merge)
{
	buf_append_byte(out, '{');
	member_text(out, 2, true, "method", question->method);
	member_text(out, 2, false, "upstream", question->upstream);
	if (question->host)
		member_text(out, 2, false, "host", question->host);
	member_text(out, 2, false, "path", question->path);
	append_query(out, 2, question->query);
	if (merge)
		member_text(out, 2, false, "merge", merge);
	append_headers(out, 2, transfer->headers, transfer->header_count);
	if (question->body)
		append_body(writer, out, 2, "body", question->body, question->body_size);
	buf_append_text(out, "\n  }");
}

static void append_answer(
        struct cassette_writer *writer, struct buf *out, const struct http_transfer *transfer)
{
	buf_append_text(out, out->size ? ",\n    {" : "\n    {");
	if (transfer->failure != HTTP_ANSWERED) {
		member_text(out, 3, true, "fault", http_failure_name(transfer->failure));
	} else {
		member(out, 3, true, "status");
		buf_printf(out, "%d", transfer->status);
		append_headers(out, 3, transfer->answer_headers, transfer->answer_header_count);
		if (transfer->answer.size)
			append_body(writer, out, 3, "json", transfer->answer.data, transfer->answer.size);
	}
	member(out, 3, false, "elapsed");
	buf_printf(out, "%.3f\n    }", transfer->elapsed);
}

/* ---- files ---- */

static void append_name(struct buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size && out->size < NAME_MAX_BYTES; i++) {
		char c = text[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		             c == '.' || c == '_';
		if (plain)
			buf_append_byte(out, c);
		else if (out->size && out->data[out->size - 1] != '-')
			buf_append_byte(out, '-');
	}
}

static bool is_noted(const struct cassette_writer *writer, const char *file)
{
	for (size_t i = 0; i < writer->count; i++)
		if (strcasecmp(writer->noted[i].file, file) == 0)
			return true;
	return false;
}

static bool is_there(const struct cassette_writer *writer, const char *file)
{
	char *path = mem_printf("%s/%s", writer->folder, file);
	bool there = access(path, F_OK) == 0;
	mem_free(path);
	return there;
}

/* "en.wikipedia.org-977.json": the host, and what of the path or of the merged values tells it from others.
 */
static char *name_file(
        const struct cassette_writer *writer, const struct cassette_question *question, const char *merge)
{
	struct buf name = {0};
	size_t size;
	append_name(&name, question->host ? question->host : question->upstream,
	        strlen(question->host ? question->host : question->upstream));
	buf_append_byte(&name, '-');
	append_name(&name, question->path, strlen(question->path));
	const char *values = merge ? same_name(question->query, question->query + strlen(question->query),
	                                     merge, strlen(merge))
	                           : NULL;
	if (values) {
		char *decoded_values =
		        decoded(values + strlen(merge) + 1, strcspn(values, "&") - strlen(merge) - 1);
		append_name(&name, decoded_values, strlen(decoded_values));
		mem_free(decoded_values);
	}
	while (name.size && (name.data[name.size - 1] == '-' || name.data[name.size - 1] == '.'))
		name.data[--name.size] = '\0';
	while (name.size && name.data[0] == '.') /* a hidden file would not be read */
		memmove(name.data, name.data + 1, name.size--);
	if (name.size == 0)
		buf_append_text(&name, "exchange");
	char *base = buf_steal(&name, &size), *file = mem_printf("%s.json", base);
	for (size_t n = 2; is_noted(writer, file) || is_there(writer, file); n++) {
		mem_free(file);
		file = mem_printf("%s-%zu.json", base, n);
	}
	mem_free(base);
	return file;
}

/* Where the question stood before, unless a file for several values is another's already; else a new one. */
static char *file_for(
        const struct cassette_writer *writer, const struct cassette_question *question, const char *merge)
{
	const char *before = cassette_find(writer->before, question);
	return before && !is_noted(writer, before) ? mem_strdup(before) : name_file(writer, question, merge);
}

static struct noted *note_of(struct cassette_writer *writer, const struct cassette_question *question,
        const struct http_transfer *transfer, const char *merge)
{
	size_t size;
	struct buf key = {0};
	buf_printf(&key, "%s %s %s %s?%s\n", question->upstream, question->method,
	        question->host ? question->host : "", question->path, question->query);
	buf_append(&key, question->body ? question->body : "", question->body_size);
	for (size_t i = 0; i < writer->count; i++)
		if (strlen(writer->noted[i].key) == key.size &&
		        memcmp(writer->noted[i].key, key.data, key.size) == 0) {
			buf_free(&key);
			return &writer->noted[i];
		}
	writer->noted = mem_realloc(writer->noted, (writer->count + 1) * sizeof *writer->noted);
	struct noted made = {.file = file_for(writer, question, merge)};
	append_request(writer, &made.request, question, transfer, merge);
	made.key = buf_steal(&key, &size);
	writer->noted[writer->count] = made;
	return &writer->noted[writer->count++];
}

static bool write_whole(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		size -= (size_t)written;
	}
	return true;
}

/* In one piece, so that a run that is broken off leaves nothing torn. */
static bool replace(const char *folder, const char *file, const struct buf *text, struct err *err)
{
	char *path = mem_printf("%s/%s", folder, file), *temporary = mem_printf("%s/.%s.new", folder, file);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	bool good = fd >= 0 && write_whole(fd, text->data, text->size);
	if (fd >= 0 && close(fd) < 0)
		good = false;
	good = good && rename(temporary, path) == 0;
	if (!good) {
		err_set(err, "%s cannot be written: %s", path, strerror(errno));
		unlink(temporary);
	}
	mem_free(path);
	mem_free(temporary);
	return good;
}

bool cassette_note(struct cassette_writer *writer, const struct http_transfer *transfer, const char *merge,
        struct err *err)
{
	struct cassette_question question;
	struct buf text = {0};
	cassette_question(transfer, &question);
	struct noted *noted = note_of(writer, &question, transfer, merge);
	append_answer(writer, &noted->answers, transfer);
	buf_append_text(&text, "{\n  \"request\": ");
	buf_append(&text, noted->request.data, noted->request.size);
	buf_append_text(&text, ",\n  \"answers\": [");
	buf_append(&text, noted->answers.data, noted->answers.size);
	buf_append_text(&text, "\n  ]\n}\n");
	bool good = replace(writer->folder, noted->file, &text, err);
	buf_free(&text);
	cassette_question_free(&question);
	return good;
}

bool cassette_event(struct cassette_writer *writer, const char *text, size_t size, struct err *err)
{
	char *line = mem_alloc(size + 1);
	memcpy(line, text, size);
	for (size_t i = 0; i < size; i++)
		line[i] = (char)(line[i] == '\n' || line[i] == '\r' ? ' ' : line[i]);
	line[size] = '\n';
	if (writer->events < 0) {
		char *path = mem_printf("%s/" CASSETTE_EVENTS, writer->folder);
		writer->events = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		mem_free(path);
	}
	bool good = writer->events >= 0 && write_whole(writer->events, line, size + 1);
	if (!good)
		err_set(err, "%s/" CASSETTE_EVENTS " cannot be written: %s", writer->folder, strerror(errno));
	mem_free(line);
	return good;
}

size_t cassette_written(const struct cassette_writer *writer)
{
	return writer->count;
}

void cassette_finish(struct cassette_writer *writer)
{
	if (writer == NULL)
		return;
	cassette_close(writer->before);
	for (size_t i = 0; i < writer->count; i++) {
		mem_free(writer->noted[i].key);
		mem_free(writer->noted[i].file);
		buf_free(&writer->noted[i].request);
		buf_free(&writer->noted[i].answers);
	}
	if (writer->events >= 0)
		close(writer->events);
	mem_free(writer->noted);
	mem_free(writer->folder);
	jsontree_free(&writer->tree);
	mem_free(writer);
}
