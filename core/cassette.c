/* Recorded exchanges, read: which answer belongs to a question. */
#include "cassette.h"
#include "diagnostic.h"
#include "jsontree.h"
#include "mem.h"
#include "readfile.h"
#include "text.h"
#include "url.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { DEPTH = 200 };

/* One file. */
struct recorded {
	char *file;
	char *text;
	struct jsontree tree;
	uint32_t request, answers; /* indexes */
	uint32_t count;            /* of answers */
	uint32_t given;            /* how many of them were */
};

struct cassette {
	struct recorded *recorded;
	size_t count;
	struct jsontree body; /* of the question at hand */
	struct buf room, other;
};

bool cassette_secret(const char *name, size_t size)
{
	static const char *const words[] = {
	        "authorization", "cookie", "apikey", "api_key", "api-key", "signature"};
	if (size == 3 && strncasecmp(name, "key", 3) == 0)
		return true;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		for (size_t at = 0, length = strlen(words[i]); at + length <= size; at++)
			if (strncasecmp(name + at, words[i], length) == 0)
				return true;
	return diagnostic_secret(name, size);
}

/* ---- questions ---- */

/* Where the URL goes on behind the upstream's; *host (may be NULL) gets the name that stands for "{host}". */
static const char *behind_base(const struct http_transfer *transfer, char **host)
{
	const char *base = transfer->upstream->url, *url = transfer->url;
	const char *hole = strstr(base, "{host}");
	size_t head = hole ? (size_t)(hole - base) : strlen(base);
	if (strncmp(url, base, head) != 0)
		return url;
	url += head;
	if (hole == NULL)
		return url;
	size_t size = strcspn(url, "/?");
	const char *tail = hole + strlen("{host}");
	*host = mem_dup(url, size);
	url += size;
	return strncmp(url, tail, strlen(tail)) == 0 ? url + strlen(tail) : url;
}

void cassette_question(const struct http_transfer *transfer, struct cassette_question *question)
{
	*question = (struct cassette_question){.upstream = transfer->upstream->name,
	        .method = transfer->method,
	        .host = mem_strdup(transfer->host),
	        .body = transfer->body,
	        .body_size = transfer->body ? transfer->body_size : 0};
	char *named = NULL;
	const char *base = transfer->upstream->url, *rest = behind_base(transfer, &named);
	/* "http://host" and "http://host/" are one address: the slash belongs to the path. */
	if (rest > transfer->url && *base && base[strlen(base) - 1] == '/' && *rest != '/' && rest[-1] == '/')
		rest--;
	size_t path = strcspn(rest, "?&");
	size_t kept = path == 1 && *rest == '/' ? 0 : path;
	if (question->host == NULL)
		question->host = named;
	else
		mem_free(named);
	question->path = mem_dup(rest, kept);
	question->query = mem_strdup(rest[path] ? rest + path + 1 : "");
}

void cassette_question_free(struct cassette_question *question)
{
	mem_free(question->host);
	mem_free(question->path);
	mem_free(question->query);
	*question = (struct cassette_question){0};
}

void cassette_describe(const struct cassette_question *question, struct buf *out)
{
	buf_append_text(out, question->method);
	if (question->host)
		buf_printf(out, " %s", question->host);
	buf_printf(out, " %s", question->path);
	for (const char *at = question->query; *at;) {
		size_t size = strcspn(at, "&"), name = strcspn(at, "=&");
		bool hidden = cassette_secret(at, name);
		buf_append_byte(out, at == question->query ? '?' : '&');
		buf_append(out, at, hidden ? name : size);
		buf_append_text(out, hidden ? "=" CASSETTE_REDACTED : "");
		at += size + (at[size] == '&');
	}
}

static void decode(const char *text, size_t size, struct buf *out)
{
	buf_clear(out);
	buf_append_text(out, "");
	url_append_decoded(out, text, size);
}

/* ---- matching ---- */

static bool same_text(const struct recorded *recorded, uint32_t index, const char *text, size_t size)
{
	const struct jsontree *tree = &recorded->tree;
	if (index == 0 || tree->nodes[index].kind != JSONTREE_STRING)
		return index == 0 && size == 0;
	return jsontree_string_is(tree, index, text, size) ||
	       jsontree_string_is(tree, index, CASSETTE_REDACTED, strlen(CASSETTE_REDACTED));
}

/* Does the recorded list "977|978" hold every value of the asked one? */
static bool holds_all(const char *recorded, size_t recorded_size, const char *asked, size_t asked_size)
{
	for (size_t at = 0; at <= asked_size;) {
		const char *end = memchr(asked + at, '|', asked_size - at);
		size_t size = end ? (size_t)(end - asked) - at : asked_size - at;
		bool found = false;
		for (size_t from = 0; !found && from <= recorded_size;) {
			const char *stop = memchr(recorded + from, '|', recorded_size - from);
			size_t length = stop ? (size_t)(stop - recorded) - from : recorded_size - from;
			found = length == size && memcmp(recorded + from, asked + at, size) == 0;
			from += length + 1;
		}
		if (!found)
			return false;
		at += size + 1;
	}
	return true;
}

/* The value of the n-th occurrence of a parameter; 0 = there is none. */
static uint32_t value_at(const struct jsontree *tree, uint32_t value, uint32_t n)
{
	if (value == 0 || tree->nodes[value].kind != JSONTREE_ARRAY)
		return n == 0 ? value : 0;
	uint32_t at = value + 1;
	if (n >= tree->nodes[value].count)
		return 0;
	while (n-- > 0)
		at = tree->nodes[at].next;
	return at;
}

/* How many values the recorded query has in all. */
static size_t count_values(const struct jsontree *tree, uint32_t query)
{
	size_t count = 0;
	for (uint32_t i = 0, at = query + 1; query && i < tree->nodes[query].count;
	        i++, at = tree->nodes[at + 1].next)
		count += tree->nodes[at + 1].kind == JSONTREE_ARRAY ? tree->nodes[at + 1].count : 1;
	return count;
}

static bool is_merge(const struct recorded *recorded, const char *name, size_t size)
{
	uint32_t merge = jsontree_member(&recorded->tree, recorded->request, "merge", 5);
	return merge && recorded->tree.nodes[merge].kind == JSONTREE_STRING &&
	       jsontree_string_is(&recorded->tree, merge, name, size);
}

static bool same_value(struct cassette *cassette, const struct recorded *recorded, uint32_t value, bool merge)
{
	const struct buf *asked = &cassette->room;
	if (value == 0 || recorded->tree.nodes[value].kind != JSONTREE_STRING)
		return false;
	if (same_text(recorded, value, asked->data, asked->size))
		return true;
	struct bytes text = jsontree_string(&recorded->tree, value, &cassette->other);
	return merge && holds_all(text.data, text.size, asked->data, asked->size);
}

/* How many occurrences of the parameter stand in the query before this one. */
static uint32_t earlier(const char *query, const char *name, size_t size)
{
	uint32_t count = 0;
	for (const char *at = query; at < name; at += strcspn(at, "&") + 1)
		count += strcspn(at, "=&") == size && memcmp(at, name, size) == 0;
	return count;
}

/* NULL when the query is the recorded one; else the name of a parameter that is not, in cassette->other. */
static const char *query_differs(
        struct cassette *cassette, const struct recorded *recorded, const struct cassette_question *question)
{
	const struct jsontree *tree = &recorded->tree;
	uint32_t query = jsontree_member(tree, recorded->request, "query", 5);
	size_t asked = 0;
	if (query && tree->nodes[query].kind != JSONTREE_OBJECT)
		return "query";
	for (const char *at = question->query; *at; asked++) {
		size_t size = strcspn(at, "&"), length = strcspn(at, "=&");
		decode(at, length, &cassette->room);
		size_t name = cassette->room.size;
		bool merge = is_merge(recorded, cassette->room.data, name);
		uint32_t value = query ? jsontree_member(tree, query, cassette->room.data, name) : 0;
		value = value_at(tree, value, earlier(question->query, at, length));
		decode(at + length + (length < size), size - length - (length < size), &cassette->room);
		if (!same_value(cassette, recorded, value, merge)) {
			decode(at, length, &cassette->other);
			return cassette->other.data;
		}
		at += size + (at[size] == '&');
	}
	return asked == count_values(tree, query) ? NULL : "query";
}

/* As jsontree_equal, but what was redacted is equal to anything. */
static bool same_json(const struct jsontree *a, uint32_t x, const struct jsontree *b, uint32_t y)
{
	const struct jsontree_node *one = &a->nodes[x], *two = &b->nodes[y];
	if (one->kind == JSONTREE_STRING &&
	        jsontree_string_is(a, x, CASSETTE_REDACTED, strlen(CASSETTE_REDACTED)))
		return true;
	if ((one->kind != JSONTREE_ARRAY && one->kind != JSONTREE_OBJECT) || one->kind != two->kind)
		return jsontree_equal(a, x, b, y);
	if (one->count != two->count)
		return false;
	struct buf name = {0};
	uint32_t at = x + 1, other = y + 1;
	bool same = true;
	for (uint32_t i = 0; same && i < one->count; i++) {
		bool object = one->kind == JSONTREE_OBJECT;
		struct bytes key = object ? jsontree_string(a, at, &name) : (struct bytes){0};
		uint32_t value = object ? jsontree_member(b, y, key.data, key.size) : other;
		same = value && same_json(a, at + object, b, value);
		at = a->nodes[at + object].next;
		other = object ? other : b->nodes[other].next;
	}
	buf_free(&name);
	return same;
}

static bool from_base64(const struct jsontree *tree, uint32_t index, struct buf *room, struct buf *out)
{
	struct bytes text = jsontree_string(tree, index, room);
	return text_from_base64(out, text.data, text.size);
}

static bool same_body(
        struct cassette *cassette, const struct recorded *recorded, const struct cassette_question *question)
{
	const struct jsontree *tree = &recorded->tree;
	uint32_t body = jsontree_member(tree, recorded->request, "body", 4);
	uint32_t coded = jsontree_member(tree, recorded->request, "base64", 6);
	if (coded) {
		buf_clear(&cassette->room);
		return from_base64(tree, coded, &cassette->other, &cassette->room) &&
		       cassette->room.size == question->body_size &&
		       (question->body_size == 0 ||
		               memcmp(cassette->room.data, question->body, question->body_size) == 0);
	}
	if (body == 0 || question->body == NULL)
		return body == 0 && question->body == NULL;
	if (tree->nodes[body].kind == JSONTREE_STRING &&
	        jsontree_string_is(tree, body, question->body, question->body_size))
		return true;
	struct json_limits limits = {.depth = DEPTH};
	return jsontree_parse(&cassette->body, question->body, question->body_size, &limits, NULL) &&
	       same_json(tree, body, &cassette->body, 0);
}

/* NULL when it answers the question; else what is different, the later the nearer. */
static const char *differs(struct cassette *cassette, const struct recorded *recorded,
        const struct cassette_question *question, unsigned *nearness)
{
	const struct {
		const char *name, *asked;
	} plain[] = {{"upstream", question->upstream}, {"method", question->method}, {"host", question->host},
	        {"path", question->path}};
	for (*nearness = 0; *nearness < sizeof plain / sizeof *plain; ++*nearness) {
		const char *name = plain[*nearness].name, *asked = plain[*nearness].asked;
		uint32_t value = jsontree_member(&recorded->tree, recorded->request, name, strlen(name));
		if (value == 0 && (strcmp(name, "upstream") == 0 ||
		                          (strcmp(name, "method") == 0 && strcmp(asked, "GET") == 0)))
			continue;
		if (!same_text(recorded, value, asked ? asked : "", asked ? strlen(asked) : 0))
			return name;
	}
	const char *parameter = query_differs(cassette, recorded, question);
	if (parameter == NULL && ++*nearness && same_body(cassette, recorded, question))
		return NULL;
	return parameter ? parameter : "body";
}

static void tell_nearest(struct cassette *cassette, const struct recorded *nearest,
        const struct cassette_question *question, struct buf *why)
{
	unsigned nearness;
	buf_append_text(why, "nothing recorded answers ");
	cassette_describe(question, why);
	if (nearest == NULL)
		return;
	const char *what = differs(cassette, nearest, question, &nearness);
	buf_printf(why, "; the nearest is %s, which has another %s", nearest->file, what ? what : "question");
	if (what == NULL)
		return;
	uint32_t query = jsontree_member(&nearest->tree, nearest->request, "query", 5);
	uint32_t value = query && nearness == 4 && strcmp(what, "query") != 0
	                         ? jsontree_member(&nearest->tree, query, what, strlen(what))
	                         : jsontree_member(&nearest->tree, nearest->request, what, strlen(what));
	struct bytes raw = value ? jsontree_raw(&nearest->tree, value) : (struct bytes){0};
	if (value && raw.size < 200 && !cassette_secret(what, strlen(what)))
		buf_printf(why, ": %.*s", (int)raw.size, raw.data);
}

/* ---- answers ---- */

static void add_headers(
        const struct recorded *recorded, uint32_t answer, struct http_transfer *transfer, struct buf *room)
{
	const struct jsontree *tree = &recorded->tree;
	uint32_t headers = jsontree_member(tree, answer, "headers", 7);
	if (headers == 0 || tree->nodes[headers].kind != JSONTREE_OBJECT)
		return;
	uint32_t count = tree->nodes[headers].count;
	transfer->answer_headers = mem_zalloc(count ? count : 1, sizeof *transfer->answer_headers);
	for (uint32_t i = 0, at = headers + 1; i < count; i++, at = tree->nodes[at + 1].next) {
		if (tree->nodes[at + 1].kind != JSONTREE_STRING)
			continue;
		struct header *header = &transfer->answer_headers[transfer->answer_header_count++];
		struct bytes name = jsontree_string(tree, at, room);
		header->name = mem_dup(name.data, name.size);
		for (char *c = header->name; *c; c++)
			*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
		struct bytes value = jsontree_string(tree, at + 1, room);
		header->value = mem_dup(value.data, value.size);
	}
}

static bool fail_as(struct http_transfer *transfer, const struct jsontree *tree, uint32_t fault)
{
	for (int failure = HTTP_CONNECT; failure < HTTP_FAILURES; failure++) {
		const char *name = http_failure_name((enum http_failure)failure);
		if (tree->nodes[fault].kind != JSONTREE_STRING ||
		        !jsontree_string_is(tree, fault, name, strlen(name)))
			continue;
		transfer->failure = (enum http_failure)failure;
		snprintf(transfer->reason, sizeof transfer->reason, "the recorded call ended so: %s", name);
		return true;
	}
	return false;
}

static double number_of(const struct jsontree *tree, uint32_t object, const char *name)
{
	uint32_t index = jsontree_member(tree, object, name, strlen(name));
	return index && tree->nodes[index].kind == JSONTREE_NUMBER ? strtod(jsontree_text(tree, index), NULL)
	                                                           : 0;
}

static void add_body(
        struct cassette *cassette, const struct recorded *recorded, uint32_t answer, struct buf *out)
{
	const struct jsontree *tree = &recorded->tree;
	uint32_t json = jsontree_member(tree, answer, "json", 4),
	         body = jsontree_member(tree, answer, "body", 4);
	uint32_t coded = jsontree_member(tree, answer, "base64", 6);
	struct bytes bytes = json   ? jsontree_raw(tree, json)
	                     : body ? jsontree_string(tree, body, &cassette->other)
	                            : (struct bytes){0};
	if (bytes.size)
		buf_append(out, bytes.data, bytes.size);
	else if (coded)
		from_base64(tree, coded, &cassette->other, out);
}

static int64_t answer(
        struct cassette *cassette, struct recorded *recorded, bool timed, struct http_transfer *transfer)
{
	const struct jsontree *tree = &recorded->tree;
	uint32_t n = recorded->given < recorded->count ? recorded->given++ : recorded->count - 1;
	uint32_t at = recorded->answers + 1;
	while (n-- > 0)
		at = tree->nodes[at].next;
	uint32_t fault = jsontree_member(tree, at, "fault", 5);
	if (fault == 0 || !fail_as(transfer, tree, fault)) {
		double status = number_of(tree, at, "status");
		transfer->status = status >= 100 && status <= 999 ? (int)status : 200;
		add_headers(recorded, at, transfer, &cassette->other);
		add_body(cassette, recorded, at, &transfer->answer);
	}
	double elapsed = timed ? number_of(tree, at, "elapsed") : 0;
	return elapsed > 0 && elapsed < 86400 ? (int64_t)(elapsed * 1000) : 0;
}

const char *cassette_find(struct cassette *cassette, const struct cassette_question *question)
{
	unsigned nearness;
	for (size_t i = 0; i < cassette->count; i++)
		if (differs(cassette, &cassette->recorded[i], question, &nearness) == NULL)
			return cassette->recorded[i].file;
	return NULL;
}

/* How many values the recorded call asked for beside the first. */
static size_t companions(struct cassette *cassette, const struct recorded *recorded)
{
	const struct jsontree *tree = &recorded->tree;
	uint32_t merge = jsontree_member(tree, recorded->request, "merge", 5), value = 0;
	uint32_t query = jsontree_member(tree, recorded->request, "query", 5);
	size_t count = 0;
	if (merge && query && tree->nodes[merge].kind == JSONTREE_STRING) {
		struct bytes name = jsontree_string(tree, merge, &cassette->other);
		value = jsontree_member(tree, query, name.data, name.size);
	}
	if (value == 0 || tree->nodes[value].kind != JSONTREE_STRING)
		return 0;
	struct bytes values = jsontree_string(tree, value, &cassette->other);
	for (size_t i = 0; i < values.size; i++)
		count += values.data[i] == '|';
	return count;
}

int64_t cassette_play(struct cassette *cassette, struct http_transfer *transfer, bool timed,
        const char **file, struct buf *why)
{
	struct cassette_question question;
	struct recorded *found = NULL, *nearest = NULL;
	unsigned nearness, best = 0;
	cassette_question(transfer, &question);
	for (size_t i = 0; i < cassette->count; i++) {
		struct recorded *recorded = &cassette->recorded[i];
		if (differs(cassette, recorded, &question, &nearness) == NULL) {
			if (found == NULL || companions(cassette, recorded) < companions(cassette, found))
				found = recorded;
		} else if (nearest == NULL || nearness > best) {
			nearest = recorded;
			best = nearness;
		}
	}
	if (found && file)
		*file = found->file;
	int64_t after = found ? answer(cassette, found, timed, transfer) : -1;
	if (found == NULL && why)
		tell_nearest(cassette, nearest, &question, why);
	cassette_question_free(&question);
	return after;
}

void cassette_rewind(struct cassette *cassette)
{
	for (size_t i = 0; i < cassette->count; i++)
		cassette->recorded[i].given = 0;
}

/* ---- files ---- */

static bool read_whole(const char *path, struct buf *out, struct err *err)
{
	struct stat about;
	if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
		return err_set(err, "%s cannot be read: it is no plain file", path);
	out->limit = CASSETTE_FILE_MAX;
	if (readfile(path, out))
		return true;
	return out->full ? err_set(err, "%s is larger than %d MiB", path, CASSETTE_FILE_MAX >> 20)
	                 : err_set(err, "%s cannot be read: %s", path, strerror(errno));
}

static unsigned line_of(const char *text, size_t offset)
{
	unsigned line = 1;
	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

static bool check_answers(struct recorded *recorded, const char *path, struct err *err)
{
	const struct jsontree *tree = &recorded->tree;
	recorded->count = tree->nodes[recorded->answers].count;
	for (uint32_t i = 0, at = recorded->answers + 1; i < recorded->count;
	        i++, at = tree->nodes[at].next) {
		unsigned line = line_of(recorded->text, tree->nodes[at].start);
		struct http_transfer ended = {0};
		if (tree->nodes[at].kind != JSONTREE_OBJECT)
			return err_set(err,
			        "%s:%u: an answer is an object with `status` and `json`, `body` or `base64`, "
			        "or with `fault`",
			        path, line);
		uint32_t fault = jsontree_member(tree, at, "fault", 5);
		if (fault && !fail_as(&ended, tree, fault))
			return err_set(err,
			        "%s:%u: `fault` is one of connect, timeout, reset, truncated, stale, "
			        "too_large, malformed",
			        path, line);
	}
	return recorded->count > 0 ||
	       err_set(err, "%s: `answers` is empty: a recorded question has at least one", path);
}

/* False with an empty err: a JSON file that is something else. */
static bool load(const char *path, struct recorded *recorded, struct err *err)
{
	struct buf text = {0};
	struct json_limits limits = {.depth = DEPTH};
	struct json_error error;
	size_t size;
	if (!read_whole(path, &text, err)) {
		buf_free(&text);
		return false;
	}
	recorded->text = buf_steal(&text, &size);
	if (!jsontree_parse(&recorded->tree, recorded->text, size, &limits, &error))
		return err_set(err, "%s:%u: not JSON: %s", path, line_of(recorded->text, error.offset),
		        error.message);
	bool object = recorded->tree.nodes[0].kind == JSONTREE_OBJECT;
	recorded->request = object ? jsontree_member(&recorded->tree, 0, "request", 7) : 0;
	recorded->answers = object ? jsontree_member(&recorded->tree, 0, "answers", 7) : 0;
	if (recorded->request == 0 || recorded->answers == 0 ||
	        recorded->tree.nodes[recorded->request].kind != JSONTREE_OBJECT ||
	        recorded->tree.nodes[recorded->answers].kind != JSONTREE_ARRAY)
		return err_set(err,
		        "%s: a recorded exchange has `request` (an object) and `answers` (a list)", path);
	return check_answers(recorded, path, err);
}

static int is_exchange(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');
	return entry->d_name[0] != '.' && dot && strcmp(dot, ".json") == 0;
}

static void forget(struct recorded *recorded)
{
	mem_free(recorded->file);
	mem_free(recorded->text);
	jsontree_free(&recorded->tree);
}

struct cassette *cassette_open(const char *folder, struct err *err)
{
	struct dirent **names;
	int count = scandir(folder, &names, is_exchange, alphasort);
	if (count < 0) {
		err_set(err, "%s cannot be read: %s", folder, strerror(errno));
		return NULL;
	}
	struct cassette *cassette = mem_zalloc(1, sizeof *cassette);
	bool good = count <= CASSETTE_FILES_MAX ||
	            err_set(err, "%s has more than %d files", folder, CASSETTE_FILES_MAX);
	cassette->recorded = mem_zalloc((size_t)count + 1, sizeof *cassette->recorded);
	jsontree_init(&cassette->body);
	for (int i = 0; i < count; i++) {
		struct recorded *recorded = &cassette->recorded[cassette->count];
		char *path = mem_printf("%s/%s", folder, names[i]->d_name);
		if (good) {
			jsontree_init(&recorded->tree);
			recorded->file = mem_strdup(names[i]->d_name);
			cassette->count++;
			good = load(path, recorded, err);
		}
		mem_free(path);
		free(names[i]);
	}
	free(names);
	if (good)
		return cassette;
	cassette_close(cassette);
	return NULL;
}

void cassette_close(struct cassette *cassette)
{
	if (cassette == NULL)
		return;
	for (size_t i = 0; i < cassette->count; i++)
		forget(&cassette->recorded[i]);
	mem_free(cassette->recorded);
	jsontree_free(&cassette->body);
	buf_free(&cassette->room);
	buf_free(&cassette->other);
	mem_free(cassette);
}

size_t cassette_count(const struct cassette *cassette)
{
	return cassette->count;
}

static bool is_among(const struct jsontree *tree, uint32_t index, char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (jsontree_string_is(tree, index, names[i], strlen(names[i])))
			return true;
	return false;
}

size_t cassette_upstreams(const struct cassette *cassette, char **names, size_t most)
{
	struct buf room = {0};
	size_t count = 0;
	for (size_t i = 0; i < cassette->count && count < most; i++) {
		const struct jsontree *tree = &cassette->recorded[i].tree;
		uint32_t name = jsontree_member(tree, cassette->recorded[i].request, "upstream", 8);
		if (name == 0 || tree->nodes[name].kind != JSONTREE_STRING ||
		        is_among(tree, name, names, count))
			continue;
		struct bytes text = jsontree_string(tree, name, &room);
		names[count++] = mem_dup(text.data, text.size);
	}
	buf_free(&room);
	return count;
}
