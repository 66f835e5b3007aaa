/* A script's text, looked at by its words. */
#include "script_source.h"
#include "mem.h"
#include "readfile.h"
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SOURCE_MAX = 4 * 1024 * 1024, LOCALS_MAX = 500, FOLLOWED_MAX = 8 };

static void note_lines(struct script_source *source)
{
	size_t room = 64;
	source->lines = mem_realloc(source->lines, room * sizeof *source->lines);
	source->count = 0;
	for (size_t at = 0; at < source->text.size;) {
		const char *stop = memchr(source->text.data + at, '\n', source->text.size - at);
		if (source->count + 2 > room)
			source->lines = mem_realloc(source->lines, (room *= 2) * sizeof *source->lines);
		source->lines[source->count++] = at;
		at = stop ? (size_t)(stop - source->text.data) + 1 : source->text.size;
	}
	source->lines[source->count] = source->text.size;
}

bool script_source_read(struct script_source *source, const char *path)
{
	struct stat about;
	if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
		return false;
	buf_clear(&source->text);
	source->text.limit = SOURCE_MAX;
	if (!readfile(path, &source->text) || source->text.size == 0)
		return false;
	note_lines(source);
	return true;
}

void script_source_free(struct script_source *source)
{
	buf_free(&source->text);
	mem_free(source->lines);
	*source = (struct script_source){0};
}

bool script_source_line(const struct script_source *source, unsigned line, struct bytes *found)
{
	if (line == 0 || line > source->count)
		return false;
	const char *at = source->text.data + source->lines[line - 1];
	*found = (struct bytes){at, source->lines[line] - source->lines[line - 1]};
	while (found->size && strchr("\r\n", found->data[found->size - 1]))
		found->size--;
	return true;
}

/* ---- words ---- */

static bool name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static size_t string_size(struct bytes line, size_t at)
{
	char quote = line.data[at];
	size_t end = at + 1;
	while (end < line.size && line.data[end] != quote)
		end += line.data[end] == '\\' ? 2 : 1;
	return (end < line.size ? end + 1 : line.size) - at;
}

static size_t symbol_size(struct bytes line, size_t at)
{
	static const char *const longer[] = {"...", "..", "==", "~=", "<=", ">=", "::", "[["};
	for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
		size_t size = strlen(longer[i]);
		if (at + size <= line.size && memcmp(line.data + at, longer[i], size) == 0)
			return size;
	}
	return 1;
}

static struct script_word word_at(struct bytes line, size_t at)
{
	struct script_word word = {.at = at};
	char c = line.data[at];
	if (c == '"' || c == '\'') {
		word.kind = SCRIPT_STRING;
		word.size = string_size(line, at);
		bool closed = word.size > 1 && line.data[at + word.size - 1] == c;
		word.text = (struct bytes){line.data + at + 1, word.size - (closed ? 2 : 1)};
		return word;
	}
	if (name_byte(c)) {
		word.kind = isdigit((unsigned char)c) ? SCRIPT_NUMBER : SCRIPT_NAME;
		while (at + word.size < line.size && name_byte(line.data[at + word.size]))
			word.size++;
	} else {
		word.kind = SCRIPT_SYMBOL;
		word.size = symbol_size(line, at);
	}
	word.text = (struct bytes){line.data + at, word.size};
	return word;
}

void script_words(struct bytes line, struct script_words *found)
{
	found->count = 0;
	for (size_t at = 0; at < line.size && found->count < SCRIPT_WORDS;) {
		if (isspace((unsigned char)line.data[at])) {
			at++;
			continue;
		}
		if (at + 1 < line.size && memcmp(line.data + at, "--", 2) == 0)
			return;
		struct script_word word = word_at(line, at);
		found->words[found->count++] = word;
		at += word.size;
	}
}

static bool bytes_are(struct bytes bytes, const char *text)
{
	return strlen(text) == bytes.size && memcmp(bytes.data, text, bytes.size) == 0;
}

static bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

bool script_word_is(const struct script_words *words, size_t index, const char *text)
{
	return index < words->count && words->words[index].kind != SCRIPT_STRING &&
	       bytes_are(words->words[index].text, text);
}

static bool is_name(const struct script_words *words, size_t index)
{
	return index < words->count && words->words[index].kind == SCRIPT_NAME;
}

/* ---- chains ---- */

/* Names are gathered from the last to the first. */
static bool add_front(struct script_chain *chain, struct bytes name)
{
	if (chain->count == SCRIPT_CHAIN)
		return false;
	memmove(chain->names + 1, chain->names, chain->count * sizeof *chain->names);
	chain->names[0] = name;
	chain->count++;
	return true;
}

bool script_chain_of(const struct script_words *words, size_t last, struct script_chain *chain)
{
	*chain = (struct script_chain){0};
	const struct script_word *end = &words->words[last];
	for (size_t at = last;;) {
		bool subscript = script_word_is(words, at, "]");
		if (subscript && (at < 3 || !script_word_is(words, at - 2, "[") ||
		                         words->words[at - 1].kind == SCRIPT_SYMBOL ||
		                         words->words[at - 1].kind == SCRIPT_NAME))
			return false;
		if (!subscript && !is_name(words, at))
			return false;
		if (!add_front(chain, words->words[subscript ? at - 1 : at].text))
			return false;
		if (subscript) {
			at -= 3;
			continue;
		}
		chain->at = words->words[at].at;
		if (at == 0 || !(script_word_is(words, at - 1, ".") || script_word_is(words, at - 1, ":")))
			break;
		if (at == 1)
			return false;
		at -= 2;
	}
	chain->size = end->at + end->size - chain->at;
	return true;
}

/* The chain that begins with this word; *next is the word behind it. */
static bool chain_from(
        const struct script_words *words, size_t first, struct script_chain *chain, size_t *next)
{
	size_t at = first;
	if (!is_name(words, at))
		return false;
	for (;;) {
		if (script_word_is(words, at + 1, ".") && is_name(words, at + 2))
			at += 2;
		else if (script_word_is(words, at + 1, "[") && script_word_is(words, at + 3, "]"))
			at += 3;
		else
			break;
	}
	*next = at + 1;
	return script_chain_of(words, at, chain);
}

/* ---- what a variable is ---- */

/* A function's header in one line. */
struct header {
	struct bytes name; /* size 0 = none */
	size_t name_at;    /* offset in the line */
	size_t function;   /* word */
	size_t open;       /* word "(" */
};

/* The header whose word `function` is this one. */
static bool header_at(const struct script_words *words, size_t function, struct header *header)
{
	size_t at = function + 1;
	*header = (struct header){.function = function};
	while (is_name(words, at)) {
		header->name = words->words[at].text;
		header->name_at = words->words[at].at;
		at++;
		if (script_word_is(words, at, ".") || script_word_is(words, at, ":"))
			at++;
	}
	if (!script_word_is(words, at, "("))
		return false;
	header->open = at;
	if (header->name.size == 0 && function >= 2 && script_word_is(words, function - 1, "=") &&
	        is_name(words, function - 2)) {
		header->name = words->words[function - 2].text;
		header->name_at = words->words[function - 2].at;
	}
	return true;
}

/* Which parameter of the header this name is, from 0; -1 = none. */
static int parameter_of(const struct script_words *words, const struct header *header, struct bytes name)
{
	int index = 0;
	for (size_t at = header->open + 1; at < words->count && !script_word_is(words, at, ")"); at++) {
		if (script_word_is(words, at, ","))
			index++;
		else if (is_name(words, at) && bytes_equal(words->words[at].text, name))
			return index;
	}
	return -1;
}

static enum script_root root_of(const struct header *header, int parameter, struct bytes name)
{
	static const enum script_root request[] = {SCRIPT_ROOT_EVENT, SCRIPT_ROOT_META},
	                              transform[] = {
	                                      SCRIPT_ROOT_EVENT, SCRIPT_ROOT_RESPONSE, SCRIPT_ROOT_META};
	if (bytes_are(header->name, "request") && parameter < 2)
		return request[parameter];
	if (bytes_are(header->name, "transform") && parameter < 3)
		return transform[parameter];
	if (bytes_are(name, "event") || bytes_are(name, "ev"))
		return SCRIPT_ROOT_EVENT;
	if (bytes_are(name, "response"))
		return SCRIPT_ROOT_RESPONSE;
	return bytes_are(name, "meta") ? SCRIPT_ROOT_META : SCRIPT_ROOT_UNKNOWN;
}

enum binding { BINDING_NONE, BINDING_ROOT, BINDING_CHAIN };

/* `name = a.b.c`, with nothing behind it that would make another value of it. */
static enum binding assigned(
        const struct script_words *words, size_t equals, struct script_chain *value, enum script_root *root)
{
	static const char *const ends[] = {"or", "and", ";", ",", "then", "end", ")", "}", "local", "return"};
	size_t next;
	*root = SCRIPT_ROOT_UNKNOWN;
	if (script_word_is(words, equals + 1, "require")) {
		size_t at = equals + 2 + (script_word_is(words, equals + 2, "(") ? 1 : 0);
		if (at < words->count && words->words[at].kind == SCRIPT_STRING &&
		        bytes_are(words->words[at].text, "millrace"))
			*root = SCRIPT_ROOT_MILLRACE;
		return BINDING_ROOT;
	}
	if (!chain_from(words, equals + 1, value, &next))
		return BINDING_ROOT;
	bool whole = next >= words->count;
	for (size_t i = 0; !whole && i < sizeof ends / sizeof *ends; i++)
		whole = script_word_is(words, next, ends[i]);
	return whole ? BINDING_CHAIN : BINDING_ROOT;
}

/* Words before this one are declared: `local a, b =`, `for k, v in`. */
static size_t declared_end(const struct script_words *words)
{
	size_t at = 0;
	if (!script_word_is(words, 0, "local") && !script_word_is(words, 0, "for"))
		return 0;
	while (at < words->count && !script_word_is(words, at, "=") && !script_word_is(words, at, "in") &&
	        !script_word_is(words, at, "function"))
		at++;
	return at;
}

/* What this line makes of the name; the last thing in it counts. `parameters`: as those of functions only. */
static enum binding binding_in(const struct script_words *words, struct bytes name, bool parameters,
        struct script_chain *value, enum script_root *root)
{
	struct header header;
	size_t declared = declared_end(words);
	for (size_t i = words->count; i-- > 0;) {
		if (script_word_is(words, i, "function") && header_at(words, i, &header)) {
			int parameter = parameter_of(words, &header, name);
			if (parameter >= 0) {
				*root = root_of(&header, parameter, name);
				return BINDING_ROOT;
			}
		}
		if (parameters || !is_name(words, i) || !bytes_equal(words->words[i].text, name))
			continue;
		if (i > 0 && (script_word_is(words, i - 1, ".") || script_word_is(words, i - 1, ":")))
			continue;
		bool local = i > 0 && script_word_is(words, i - 1, "local");
		if (script_word_is(words, i + 1, "=") && (local || i == 0))
			return assigned(words, i + 1, value, root);
		if (local || (i < declared && i > 0)) {
			*root = SCRIPT_ROOT_UNKNOWN;
			return BINDING_ROOT;
		}
	}
	return BINDING_NONE;
}

/* The variable is replaced by what it was set from. */
static bool replace_root(struct script_chain *chain, const struct script_chain *value)
{
	if (chain->count - 1 + value->count > SCRIPT_CHAIN)
		return false;
	memmove(chain->names + value->count, chain->names + 1, (chain->count - 1) * sizeof *chain->names);
	memcpy(chain->names, value->names, value->count * sizeof *value->names);
	chain->count += value->count - 1;
	return true;
}

static void drop_root(struct script_chain *chain)
{
	chain->count--;
	memmove(chain->names, chain->names + 1, chain->count * sizeof *chain->names);
}

enum script_root script_resolve(const struct script_source *source, unsigned line, struct script_chain *chain)
{
	struct bytes text;
	struct script_words words;
	struct script_chain value;
	enum script_root root = SCRIPT_ROOT_UNKNOWN;
	unsigned own = line; /* what is set in it is set after the error */
	for (int followed = 0; line > 0; line--) {
		if (!script_source_line(source, line, &text))
			continue;
		script_words(text, &words);
		enum binding binding = binding_in(&words, chain->names[0], line == own, &value, &root);
		if (binding == BINDING_CHAIN) {
			bool itself = bytes_equal(value.names[0], chain->names[0]);
			if (followed++ == FOLLOWED_MAX || !replace_root(chain, &value))
				return SCRIPT_ROOT_UNKNOWN;
			line += itself ? 0 : 1; /* the same line may say what that is */
		} else if (binding == BINDING_ROOT) {
			drop_root(chain);
			return root;
		}
	}
	return SCRIPT_ROOT_GLOBAL;
}

/* ---- functions ---- */

/* Counts blocks from the word `function` on: the line where it is closed, 0 = nowhere. */
static unsigned closing_line(const struct script_source *source, unsigned line, size_t function)
{
	static const char *const opening[] = {"function", "do", "if", "repeat"};
	struct bytes text;
	struct script_words words;
	int depth = 0;
	for (size_t i = function; script_source_line(source, line, &text); line++, i = 0) {
		script_words(text, &words);
		for (; i < words.count; i++) {
			for (size_t k = 0; k < sizeof opening / sizeof *opening; k++)
				depth += script_word_is(&words, i, opening[k]);
			if (script_word_is(&words, i, "end") || script_word_is(&words, i, "until"))
				if (--depth <= 0)
					return line;
		}
	}
	return 0;
}

bool script_find_function(const struct script_source *source, const char *name, struct script_span *span)
{
	struct bytes text;
	struct script_words words;
	struct header header;
	for (unsigned line = 1; script_source_line(source, line, &text); line++) {
		script_words(text, &words);
		for (size_t i = 0; i < words.count; i++) {
			if (!script_word_is(&words, i, "function") || !header_at(&words, i, &header) ||
			        !bytes_are(header.name, name))
				continue;
			*span = (struct script_span){.first = line,
			        .last = closing_line(source, line, i),
			        .column = (unsigned)header.name_at + 1,
			        .length = (unsigned)header.name.size};
			return true;
		}
	}
	return false;
}

/* ---- locals ---- */

struct names {
	char *items[LOCALS_MAX];
	size_t count;
};

static void add_name(struct names *names, struct bytes name)
{
	for (size_t i = 0; i < names->count; i++)
		if (bytes_are(name, names->items[i]))
			return;
	if (names->count < LOCALS_MAX)
		names->items[names->count++] = mem_dup(name.data, name.size);
}

static void add_list(const struct script_words *words, size_t at, struct names *names)
{
	for (; is_name(words, at); at += 2) {
		add_name(names, words->words[at].text);
		if (!script_word_is(words, at + 1, ","))
			break;
	}
}

static void add_locals(const struct script_words *words, struct names *names)
{
	struct header header;
	for (size_t i = 0; i < words->count; i++) {
		if (script_word_is(words, i, "local"))
			add_list(words, i + 1 + (script_word_is(words, i + 1, "function") ? 1 : 0), names);
		else if (script_word_is(words, i, "for"))
			add_list(words, i + 1, names);
		else if (script_word_is(words, i, "function") && header_at(words, i, &header))
			add_list(words, header.open + 1, names);
	}
}

char *script_nearest_local(const struct script_source *source, unsigned line, const char *word)
{
	struct bytes text;
	struct script_words words;
	struct names names = {.count = 0};
	for (unsigned at = 1; at <= line && script_source_line(source, at, &text); at++) {
		script_words(text, &words);
		add_locals(&words, &names);
	}
	char *found = mem_strdup(text_did_you_mean(word, (const char *const *)names.items, names.count));
	for (size_t i = 0; i < names.count; i++)
		mem_free(names.items[i]);
	return found;
}

unsigned script_declared_below(const struct script_source *source, unsigned line, const char *name)
{
	struct bytes text;
	struct script_words words;
	for (unsigned at = line + 1; script_source_line(source, at, &text); at++) {
		script_words(text, &words);
		size_t word = script_word_is(&words, 1, "function") ? 2 : 1;
		if (script_word_is(&words, 0, "local") && is_name(&words, word) &&
		        bytes_are(words.words[word].text, name))
			return at;
	}
	return 0;
}
