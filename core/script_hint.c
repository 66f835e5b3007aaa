/* What may be behind an error in a script, and what to do. */
#include "script_hint.h"
#include "mem.h"
#include "script_api.h"
#include "text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEAR_MAX = 200, SEARCH_DEPTH = 6, NAMED = 80, LISTED = 6 };

/* ---- codes ---- */

struct phrase {
	const char *words;
	enum code code;
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static enum code by_phrase(const char *message, const struct phrase *phrases, enum code otherwise)
{
	for (; phrases->words; phrases++)
		if (strstr(message, phrases->words))
			return phrases->code;
	return otherwise;
}

enum code script_hint_code(const char *type, const char *message)
{
	/* Words of Lua, which begin a message, and of the engine, which may stand anywhere in it. */
	static const struct phrase lua[] = {{"attempt to index ", M201_INDEX},
	        {"attempt to call ", M202_CALL}, {"attempt to perform arithmetic ", M203_ARITHMETIC},
	        {"'for' ", M203_ARITHMETIC}, {"attempt to concatenate ", M204_CONCATENATE},
	        {"attempt to compare ", M205_COMPARE}, {"attempt to get length ", M206_ARGUMENT},
	        {"bad argument #", M206_ARGUMENT}, {"table index is ", M206_ARGUMENT},
	        {"unfinished ", M210_SYNTAX}, {"malformed number", M210_SYNTAX},
	        {"unexpected symbol", M210_SYNTAX}, {"undefined label", M210_SYNTAX},
	        {"no loop to break", M210_SYNTAX}, {"invalid escape sequence", M210_SYNTAX},
	        {"<name> or ", M210_SYNTAX}, {"millrace.output", M224_OUTPUT}, {"millrace.fetch", M225_FETCH},
	        {"the reason of millrace.", M223_IDENTIFIER}, {"the type of millrace.", M223_IDENTIFIER},
	        {"module '", M211_MODULE}, {NULL, M000_NONE}};
	static const struct phrase engine[] = {{"scripts keep no globals", M207_GLOBAL},
	        {" is read-only", M207_GLOBAL}, {"(for require \"", M211_MODULE},
	        {"is no name of a module", M211_MODULE}, {"a script returns a table", M212_SHAPE},
	        {"unknown hook '", M212_SHAPE}, {"` must be a function", M212_SHAPE},
	        {"`api` must be 1", M212_SHAPE}, {"`selftest` answered", M213_SELFTEST},
	        {": No such file or directory", M106_NO_SUCH_FILE}, {NULL, M000_NONE}};
	static const struct phrase answers[] = {{"answered nil", M220_NO_ANSWER},
	        {"answered an empty table", M220_NO_ANSWER},
	        {"answered a request that cannot be sent", M222_REQUEST}, {NULL, M000_NONE}};
	static const struct phrase outputs[] = {
	        {"the output is not what ", M302_OUTPUT_SCHEMA}, {NULL, M000_NONE}};
	if (type && strcmp(type, "ScriptAnswer") == 0)
		return by_phrase(message, answers, M221_ANSWER);
	if (type && strcmp(type, "OutputInvalid") == 0)
		return by_phrase(message, outputs, M604_OUTPUT_INVALID);
	if (type && strcmp(type, "ScriptError") != 0)
		return explain_type(type);
	for (const struct phrase *phrase = lua; phrase->words; phrase++)
		if (begins(message, phrase->words))
			return phrase->code;
	if (strstr(message, " expected") && strstr(message, " near '"))
		return M210_SYNTAX;
	return by_phrase(message, engine, M200_SCRIPT);
}

/* ---- saying ---- */

static void say(struct script_hint *hint, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct script_hint *hint, const char *format, ...)
{
	struct buf text;
	va_list args;
	if (hint->text)
		return;
	buf_init(&text, 0);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	hint->text = buf_steal(&text, NULL);
}

static void underline(struct script_hint *hint, size_t at, size_t size)
{
	hint->column = (unsigned)at + 1;
	hint->length = (unsigned)(size ? size : 1);
}

static void focus_on(struct script_hint *hint, struct bytes name)
{
	for (size_t i = 0; i < hint->focus_count; i++)
		if (strlen(hint->focus[i]) == name.size && memcmp(hint->focus[i], name.data, name.size) == 0)
			return;
	if (hint->focus_count < SCRIPT_HINT_FOCUS)
		hint->focus[hint->focus_count++] = mem_dup(name.data, name.size);
}

void script_hint_free(struct script_hint *hint)
{
	mem_free(hint->text);
	for (size_t i = 0; i < hint->focus_count; i++)
		mem_free(hint->focus[i]);
	*hint = (struct script_hint){0};
}

/* "a.b.c" of the first `count` names. */
static char *joined(const struct script_chain *chain, size_t count)
{
	struct buf text;
	buf_init(&text, 0);
	buf_append_text(&text, "");
	for (size_t i = 0; i < count; i++)
		buf_printf(&text, "%s%.*s", i ? "." : "", (int)chain->names[i].size, chain->names[i].data);
	return buf_steal(&text, NULL);
}

static char *copy(struct bytes bytes)
{
	return mem_dup(bytes.data, bytes.size < NAMED ? bytes.size : NAMED);
}

/* ---- the event ---- */

/* Where a path leads in the event. */
struct spot {
	uint32_t at;  /* the deepest value there is */
	size_t found; /* names that lead there */
	bool whole;   /* all of them did */
};

static uint32_t element(const struct jsontree *event, uint32_t array, struct bytes name)
{
	char *digits = copy(name);
	unsigned long index = strtoul(digits, NULL, 10);
	mem_free(digits);
	if (index == 0 || index > event->nodes[array].count)
		return 0;
	uint32_t at = array + 1;
	while (--index > 0)
		at = event->nodes[at].next;
	return at;
}

static struct spot look_up(const struct jsontree *event, const struct script_chain *path)
{
	struct spot spot = {0};
	while (spot.found < path->count) {
		uint8_t kind = event->nodes[spot.at].kind;
		struct bytes name = path->names[spot.found];
		uint32_t next = kind == JSONTREE_OBJECT
		                        ? jsontree_member(event, spot.at, name.data, name.size)
		                : kind == JSONTREE_ARRAY ? element(event, spot.at, name)
		                                         : 0;
		if (next == 0)
			return spot;
		spot.at = next;
		spot.found++;
	}
	spot.whole = true;
	return spot;
}

/* A member of the object whose name is near; the caller frees. */
static char *near_member(const struct jsontree *event, uint32_t object, struct bytes name)
{
	char *names[NEAR_MAX], *word = copy(name);
	struct buf room;
	size_t count = 0;
	uint32_t at = object + 1;
	buf_init(&room, 0);
	for (uint32_t i = 0; i < event->nodes[object].count && count < NEAR_MAX; i++) {
		struct bytes key = jsontree_string(event, at, &room);
		names[count++] = mem_dup(key.data ? key.data : "", key.size);
		at = event->nodes[at + 1].next;
	}
	char *found = mem_strdup(text_did_you_mean(word, (const char *const *)names, count));
	for (size_t i = 0; i < count; i++)
		mem_free(names[i]);
	mem_free(word);
	buf_free(&room);
	return found;
}

/* Looks for a member of that name at the given depth below the object; path gets "a.b" of where it is. */
static bool search(
        const struct jsontree *event, uint32_t object, struct bytes name, int depth, struct buf *path)
{
	struct buf room;
	uint32_t at = object + 1;
	bool found = false;
	if (event->nodes[object].kind != JSONTREE_OBJECT)
		return false;
	if (depth == 0)
		return jsontree_member(event, object, name.data, name.size) != 0;
	buf_init(&room, 0);
	for (uint32_t i = 0; i < event->nodes[object].count && !found; i++, at = event->nodes[at + 1].next) {
		size_t before = path->size;
		struct bytes key = jsontree_string(event, at, &room);
		buf_printf(path, "%s%.*s", before ? "." : "", (int)(key.size < NAMED ? key.size : NAMED),
		        key.data ? key.data : "");
		found = search(event, at + 1, name, depth - 1, path);
		if (!found) {
			path->size = before;
			path->data[before] = '\0';
		}
	}
	buf_free(&room);
	return found;
}

/* The path of the object that has the name, the nearest to the top; "" = the top itself. NULL: nowhere. */
static char *elsewhere(const struct jsontree *event, struct bytes name)
{
	struct buf path;
	buf_init(&path, 0);
	buf_append_text(&path, "");
	for (int depth = 0; depth < SEARCH_DEPTH; depth++)
		if (search(event, 0, name, depth, &path))
			return buf_steal(&path, NULL);
	buf_free(&path);
	return NULL;
}

/* The first names of an object, for people: "page_id, page_title, ...". */
static char *members_of(const struct jsontree *event, uint32_t object)
{
	struct buf list, room;
	uint32_t at = object + 1;
	buf_init(&list, 0);
	buf_init(&room, 0);
	buf_append_text(&list, "");
	for (uint32_t i = 0; i < event->nodes[object].count; i++, at = event->nodes[at + 1].next) {
		struct bytes key = jsontree_string(event, at, &room);
		if (i == LISTED) {
			buf_append_text(&list, ", ...");
			break;
		}
		buf_printf(&list, "%s%.*s", i ? ", " : "", (int)(key.size < NAMED ? key.size : NAMED),
		        key.data ? key.data : "");
	}
	buf_free(&room);
	return buf_steal(&list, NULL);
}

/* An integer that the script got as a millrace.number. */
static bool large_number(const struct jsontree *event, uint32_t at)
{
	struct json_number number;
	struct bytes text = jsontree_raw(event, at);
	const unsigned char *start = (const unsigned char *)text.data;
	return event->nodes[at].kind == JSONTREE_NUMBER &&
	       json_number_scan(start, start + text.size, &number) == NULL &&
	       number.kind == JSON_NUMBER_EXACT;
}

/* The name is in the object, misspelt; or lies elsewhere; or misspelt at the top. */
static bool say_meant(struct script_hint *hint, const struct jsontree *event, const struct script_chain *path,
        const struct spot *spot)
{
	struct bytes name = path->names[spot->found];
	bool object = event->nodes[spot->at].kind == JSONTREE_OBJECT;
	char *parent = joined(path, spot->found), *full = joined(path, spot->found + 1), *word = copy(name);
	char *place = elsewhere(event, name);
	char *meant = object && place == NULL ? near_member(event, spot->at, name) : NULL;
	char *top = meant || place || spot->found == 0 ? NULL : near_member(event, 0, name);
	if (meant) {
		focus_on(hint, spot->found ? path->names[0] : (struct bytes){meant, strlen(meant)});
		say(hint, "this event has no '%s'; did you mean '%s%s%s'?", full, parent, *parent ? "." : "",
		        meant);
	} else if (place && *place == '\0') {
		focus_on(hint, name);
		say(hint, "this event has '%s' at top level, not under '%s'", word, parent);
	} else if (place) {
		focus_on(hint, (struct bytes){place, strcspn(place, ".")});
		say(hint, "this event has '%s' under '%s', not %s%s%s", word, place,
		        *parent ? "under '" : "at top level", parent, *parent ? "'" : "");
	} else if (top) {
		focus_on(hint, (struct bytes){top, strlen(top)});
		say(hint, "this event has no '%s'; did you mean '%s', at top level?", full, top);
	}
	mem_free(parent);
	mem_free(full);
	mem_free(word);
	mem_free(meant);
	mem_free(place);
	mem_free(top);
	return hint->text != NULL;
}

static void say_missing(struct script_hint *hint, const struct jsontree *event,
        const struct script_chain *path, const struct spot *spot)
{
	focus_on(hint, path->names[0]);
	if (say_meant(hint, event, path, spot))
		return;
	char *parent = joined(path, spot->found), *full = joined(path, spot->found + 1);
	char *members = event->nodes[spot->at].kind == JSONTREE_OBJECT ? members_of(event, spot->at) : NULL;
	if (event->nodes[spot->at].kind == JSONTREE_ARRAY)
		say(hint, "'%s' is an array of %u in this event: there is no '%s'", parent,
		        (unsigned)event->nodes[spot->at].count, full);
	else if (members == NULL)
		say(hint, "'%s' is no object in this event: there is no '%s'", parent, full);
	else if (*members == '\0')
		say(hint, "'%s' is empty in this event: test for '%s' first", *parent ? parent : "all", full);
	else if (*parent)
		say(hint, "this event has no '%s' ('%s' has %s): test for it first", full, parent, members);
	else
		say(hint, "this event has no '%s' (it has %s): test for it first", full, members);
	mem_free(parent);
	mem_free(full);
	mem_free(members);
}

/* What the event has where the script wanted something else. */
static void say_value(const struct script_hint_of *of, struct script_hint *hint,
        const struct script_chain *path, const struct spot *spot)
{
	char *full = joined(path, path->count);
	struct bytes raw = jsontree_raw(of->event, spot->at);
	uint8_t kind = of->event->nodes[spot->at].kind;
	bool plain = kind != JSONTREE_OBJECT && kind != JSONTREE_ARRAY;
	focus_on(hint, path->names[0]);
	if (kind == JSONTREE_NULL)
		say(hint,
		        "'%s' is null in this event: compare it with millrace.json.null first (null is true "
		        "in a "
		        "condition)",
		        full);
	else if (large_number(of->event, spot->at))
		say(hint,
		        "'%s' is %.*s, which a Lua number cannot hold: a millrace.number can be moved, "
		        "printed and "
		        "compared with its like; tonumber(tostring(x)) rounds it",
		        full, (int)(raw.size < 40 ? raw.size : 40), raw.data);
	else if (of->code == M201_INDEX && plain && raw.size <= 40)
		say(hint, "'%s' is %.*s in this event, which has no members", full, (int)raw.size, raw.data);
	mem_free(full);
}

/* ---- names in the line ---- */

/* The word that Lua quotes: "attempt to index field 'revision'" and its like; "" where there is none. */
struct quoted {
	char kind[12]; /* field, local, global, upvalue, method */
	char name[NAMED + 1];
};

static struct quoted quoted_in(const char *message)
{
	static const char *const kinds[] = {"field", "local", "global", "upvalue", "method"};
	struct quoted found = {"", ""};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		char *mark = mem_printf(" %s '", kinds[i]);
		const char *at = strstr(message, mark);
		size_t size = at ? strcspn(at + strlen(mark), "'") : 0;
		if (at && size <= NAMED) {
			snprintf(found.kind, sizeof found.kind, "%s", kinds[i]);
			snprintf(found.name, sizeof found.name, "%.*s", (int)size, at + strlen(mark));
		}
		mem_free(mark);
	}
	return found;
}

struct line {
	struct bytes text;
	struct script_words words;
};

static bool read_line(const struct script_hint_of *of, unsigned number, struct line *line)
{
	if (of->source == NULL || !script_source_line(of->source, number, &line->text))
		return false;
	script_words(line->text, &line->words);
	return true;
}

static bool has(const struct line *line, const char *text)
{
	return memmem(line->text.data, line->text.size, text, strlen(text)) != NULL;
}

static bool word_equals(const struct script_words *words, size_t index, const char *text)
{
	return words->words[index].text.size == strlen(text) &&
	       memcmp(words->words[index].text.data, text, strlen(text)) == 0;
}

/* Does what follows the word do what the message complains of? */
static bool used_so(const struct script_words *words, size_t index, enum code code)
{
	static const char *const indexing[] = {".", "[", ":"}, *const calling[] = {"(", "{"};
	size_t next = index + 1;
	if (words->words[index].kind == SCRIPT_STRING && script_word_is(words, next, "]"))
		next++;
	for (size_t i = 0; code == M201_INDEX && i < 3; i++)
		if (script_word_is(words, next, indexing[i]))
			return true;
	for (size_t i = 0; code == M202_CALL && i < 2; i++)
		if (script_word_is(words, next, calling[i]))
			return true;
	if (code == M202_CALL && next < words->count && words->words[next].kind == SCRIPT_STRING)
		return true;
	if (code == M204_CONCATENATE)
		return script_word_is(words, next, "..") ||
		       (index > 0 && script_word_is(words, index - 1, ".."));
	return code != M201_INDEX && code != M202_CALL;
}

static bool is_field(const struct script_words *words, size_t index)
{
	return index > 0 &&
	       (script_word_is(words, index - 1, ".") || script_word_is(words, index - 1, ":") ||
	               (words->words[index].kind == SCRIPT_STRING && script_word_is(words, index - 1, "[")));
}

/* One place in the line that the message may mean. */
struct candidate {
	struct script_chain shown; /* as it stands there */
	struct script_chain path;  /* behind its root */
	enum script_root root;
	struct spot spot; /* of an event's */
};

static bool candidate_at(
        const struct script_hint_of *of, const struct line *line, size_t index, struct candidate *candidate)
{
	size_t last = index;
	if (line->words.words[index].kind != SCRIPT_NAME)
		last++; /* to the bracket */
	*candidate = (struct candidate){.root = SCRIPT_ROOT_UNKNOWN};
	if (!script_chain_of(&line->words, last, &candidate->shown))
		return false;
	candidate->path = candidate->shown;
	candidate->root = script_resolve(of->source, of->line, &candidate->path);
	if (candidate->root == SCRIPT_ROOT_EVENT && of->event)
		candidate->spot = look_up(of->event, &candidate->path);
	return true;
}

/* The occurrence of the name that the message means: one that is used so, best one that the event lacks. */
static bool find_candidate(const struct script_hint_of *of, const struct line *line,
        const struct quoted *quoted, struct candidate *found, size_t *at)
{
	bool field = strcmp(quoted->kind, "field") == 0 || strcmp(quoted->kind, "method") == 0, any = false;
	for (int strict = 1; strict >= 0 && !any; strict--)
		for (size_t i = 0; i < line->words.count; i++) {
			struct candidate candidate;
			if (!word_equals(&line->words, i, quoted->name) ||
			        is_field(&line->words, i) != field ||
			        (strict && !used_so(&line->words, i, of->code)) ||
			        (line->words.words[i].kind == SCRIPT_STRING && !field))
				continue;
			bool good = candidate_at(of, line, i, &candidate);
			bool telling = good && candidate.root == SCRIPT_ROOT_EVENT && of->event &&
			               (!candidate.spot.whole ||
			                       of->event->nodes[candidate.spot.at].kind == JSONTREE_NULL);
			if (any && !telling)
				continue;
			*found = candidate;
			*at = i;
			any = true;
			if (!good)
				found->shown = (struct script_chain){
				        .at = line->words.words[i].at, .size = line->words.words[i].size};
			if (telling)
				return true;
		}
	return any;
}

/* ---- what hooks are given ---- */

static void say_response(struct script_hint *hint, const struct script_chain *path)
{
	if (path->count == 0) {
		say(hint, "the response is nil: without a hook 'request', or with an empty list, nothing was "
		          "asked");
		return;
	}
	char *name = copy(path->names[0]);
	const char *near = script_nearest("response", name);
	if (near && strcmp(near, name) != 0)
		say(hint, "a response has no '%s'; did you mean '%s'?", name, near);
	else if (near == NULL)
		say(hint,
		        "a response has status, headers, body, json, error, attempts and elapsed, and no "
		        "'%s'",
		        name);
	else if (path->count > 1)
		say(hint, "the answer does not have it here: test for it first");
	else if (strcmp(name, "json") == 0)
		say(hint, "response.json is nil where the answer has no part for this event, where bytes "
		          "were expected, "
		          "and where an optional request was refused (see response.error); an array of "
		          "requests gets an "
		          "array of responses");
	else if (strcmp(name, "body") == 0)
		say(hint, "there is no response.body where the answer was parsed: use response.json, or ask "
		          "with "
		          "expect = \"bytes\"");
	else if (strcmp(name, "error") == 0)
		say(hint, "response.error is there only when a request with optional = true was refused");
	mem_free(name);
}

static void say_member(struct script_hint *hint, const char *of, const struct script_chain *path)
{
	if (path->count == 0)
		return;
	char *name = copy(path->names[0]);
	const char *near = script_nearest(of, name);
	if (near && strcmp(near, name) != 0)
		say(hint, "%s has no '%s'; did you mean '%s.%s'?", of, name, of, near);
	mem_free(name);
}

/* millrace.json.decod, string.fromat, os.execute: the path begins with what stands for `library`. */
static void say_library(struct script_hint *hint, const char *library, const struct script_chain *path)
{
	struct buf owner;
	buf_init(&owner, 0);
	buf_append_text(&owner, library);
	for (size_t i = 0; i < path->count && hint->text == NULL; i++) {
		char *name = copy(path->names[i]),
		     *full = mem_printf("%s%s%s", owner.data, owner.size ? "." : "", name);
		const char *instead = script_instead(full), *near = script_nearest(owner.data, name);
		if (instead)
			say(hint, "scripts have no '%s': %s", full, instead);
		else if (near && strcmp(near, name) != 0)
			say(hint, "there is no '%s'; did you mean '%s%s%s'?", full, owner.data,
			        owner.size ? "." : "", near);
		buf_clear(&owner);
		buf_append_text(&owner, full);
		mem_free(name);
		mem_free(full);
	}
	buf_free(&owner);
}

static void say_global(const struct script_hint_of *of, struct script_hint *hint, const char *name)
{
	const char *instead = script_instead(name), *near = script_nearest("", name);
	unsigned below = of->source ? script_declared_below(of->source, of->line, name) : 0;
	char *local = of->source && !below ? script_nearest_local(of->source, of->line, name) : NULL;
	if (below)
		say(hint, "'%s' is declared in line %u, below its use: move it up", name, below);
	else if (local && strcmp(local, name) != 0)
		say(hint, "'%s' is set nowhere; did you mean '%s'?", name, local);
	else if (instead)
		say(hint, "scripts have no '%s': %s", name, instead);
	else if (near && strcmp(near, name) != 0)
		say(hint, "there is no '%s'; did you mean '%s'?", name, near);
	else if (local)
		say(hint, "'%s' is not known at this place: it is local to another block", name);
	else
		say(hint, "'%s' is set nowhere: a module has to be required, a variable to be made by local",
		        name);
	mem_free(local);
}

/* "io", "string": a global whose members are known, or are known not to be there. */
static bool library_root(const struct candidate *candidate)
{
	if (candidate->root != SCRIPT_ROOT_GLOBAL || candidate->path.count < 2)
		return false;
	char *name = copy(candidate->path.names[0]);
	bool known = script_members(name) != NULL || script_instead(name) != NULL;
	mem_free(name);
	return known;
}

static void say_of_root(
        const struct script_hint_of *of, struct script_hint *hint, const struct candidate *found)
{
	switch (found->root) {
	case SCRIPT_ROOT_EVENT:
		if (of->event == NULL || found->path.count == 0)
			return;
		if (!found->spot.whole)
			say_missing(hint, of->event, &found->path, &found->spot);
		else
			say_value(of, hint, &found->path, &found->spot);
		return;
	case SCRIPT_ROOT_RESPONSE: say_response(hint, &found->path); return;
	case SCRIPT_ROOT_META: say_member(hint, "meta", &found->path); return;
	case SCRIPT_ROOT_MILLRACE: say_library(hint, "millrace", &found->path); return;
	default:
		if (library_root(found))
			say_library(hint, "", &found->path);
	}
}

/* ---- one kind of error each ---- */

/* Of a name whose variable is unknown (a parameter of a helper): where the event has such a member. */
static void say_anywhere(
        const struct script_hint_of *of, struct script_hint *hint, const struct quoted *quoted)
{
	struct bytes name = {quoted->name, strlen(quoted->name)};
	if (of->event == NULL || strcmp(quoted->kind, "field") != 0 || !strstr(of->message, "(a nil value)"))
		return;
	char *place = elsewhere(of->event, name);
	if (place && *place == '\0') {
		focus_on(hint, name);
		say(hint, "this event has '%s' at top level", quoted->name);
	} else if (place) {
		focus_on(hint, (struct bytes){place, strcspn(place, ".")});
		say(hint, "this event has '%s' under '%s'", quoted->name, place);
	}
	mem_free(place);
}

static void say_method(struct script_hint *hint, const char *name)
{
	const char *near = script_nearest("string", name);
	char *full = mem_printf("string.%s", name);
	const char *instead = script_instead(full);
	if (near && strcmp(near, name) != 0)
		say(hint, "strings have no '%s'; did you mean '%s'?", name, near);
	else if (instead)
		say(hint, "strings have no '%s': %s", name, instead);
	mem_free(full);
}

static void hint_named(const struct script_hint_of *of, struct script_hint *hint, const struct line *line,
        const struct quoted *quoted)
{
	struct candidate found;
	size_t at = 0;
	bool nil = strstr(of->message, "(a nil value)") != NULL, global = strcmp(quoted->kind, "global") == 0;
	bool known = find_candidate(of, line, quoted, &found, &at);
	if (known)
		underline(hint, found.shown.at, found.shown.size);
	if (nil && strcmp(quoted->kind, "method") == 0)
		say_method(hint, quoted->name);
	if (global && nil)
		say_global(of, hint, quoted->name);
	else if (known && !global)
		say_of_root(of, hint, &found);
	if (of->code == M201_INDEX || of->code == M203_ARITHMETIC || of->code == M204_CONCATENATE)
		say_anywhere(of, hint, quoted);
}

/* Where no name is said: the first value in the line that the event lacks, or has as something unfit. */
static void hint_unnamed(const struct script_hint_of *of, struct script_hint *hint, const struct line *line)
{
	bool nil = strstr(of->message, "nil") != NULL, odd = strstr(of->message, "userdata") != NULL;
	for (size_t i = 0; i < line->words.count && hint->text == NULL; i++) {
		struct candidate found;
		bool name = line->words.words[i].kind == SCRIPT_NAME;
		bool subscript = !name && line->words.words[i].kind != SCRIPT_SYMBOL && i > 0 &&
		                 script_word_is(&line->words, i - 1, "[");
		size_t next = i + (subscript ? 2 : 1);
		bool continues =
		        script_word_is(&line->words, next, ".") || script_word_is(&line->words, next, "[");
		if ((!name && !subscript) || continues != (of->code == M201_INDEX) || of->event == NULL ||
		        !candidate_at(of, line, i, &found) || found.root != SCRIPT_ROOT_EVENT ||
		        found.path.count == 0)
			continue;
		if (nil && !found.spot.whole)
			say_missing(hint, of->event, &found.path, &found.spot);
		else if (odd && found.spot.whole)
			say_value(of, hint, &found.path, &found.spot);
		if (hint->text)
			underline(hint, found.shown.at, found.shown.size);
	}
}

static void hint_value(const struct script_hint_of *of, struct script_hint *hint)
{
	struct line line;
	struct quoted quoted = quoted_in(of->message);
	if (!read_line(of, of->line, &line)) {
		if (strcmp(quoted.kind, "global") == 0 && strstr(of->message, "(a nil value)"))
			say_global(of, hint, quoted.name);
		return;
	}
	if (*quoted.name)
		hint_named(of, hint, &line, &quoted);
	else
		hint_unnamed(of, hint, &line);
	if (of->code == M204_CONCATENATE && strstr(of->message, "(a table value)"))
		say(hint, "a table has no text: millrace.json.encode(x) makes one");
	else if (of->code == M204_CONCATENATE && strstr(of->message, "a boolean value"))
		say(hint, "tostring(x) makes a text of it");
	else if (of->code == M203_ARITHMETIC && strstr(of->message, "(a userdata value)"))
		say(hint, "it is null, or an integer beyond 2^53 (a millrace.number), to which nothing can "
		          "be added");
	else if (of->code == M201_INDEX && strstr(of->message, "(a userdata value)"))
		say(hint,
		        "it is null: compare it with millrace.json.null first (null is true in a condition)");
}

/* bad argument #1 to 'ipairs' */
static void hint_argument(const struct script_hint_of *of, struct script_hint *hint)
{
	struct line line;
	const char *to = strstr(of->message, " to '");
	if (to == NULL || !read_line(of, of->line, &line)) {
		hint_value(of, hint);
		return;
	}
	char name[NAMED + 1];
	snprintf(name, sizeof name, "%.*s", (int)strcspn(to + 5, "'"), to + 5);
	if (strcmp(name, "?") == 0 && has(&line, "format")) /* the engine stands between */
		snprintf(name, sizeof name, "format");
	for (size_t i = 0; i < line.words.count && hint->column == 0; i++)
		if (word_equals(&line.words, i, name))
			underline(hint, line.words.words[i].at, line.words.words[i].size);
	hint_unnamed(of, hint, &line);
	if (strcmp(name, "format") == 0 && strstr(of->message, "number expected"))
		say(hint, "%%d and %%f want a number; %%s prints anything");
	else if ((strcmp(name, "ipairs") == 0 || strcmp(name, "pairs") == 0) &&
	         strstr(of->message, "got nil"))
		say(hint, "give an empty table where there is none: %s(x or {})", name);
}

static void hint_global(const struct script_hint_of *of, struct script_hint *hint)
{
	struct line line;
	char name[NAMED + 1];
	const char *open = strchr(of->message, '\'');
	if (open == NULL || !read_line(of, of->line, &line))
		return;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(open + 1, "'"), open + 1);
	for (size_t i = 0; i < line.words.count; i++) {
		if (!word_equals(&line.words, i, name))
			continue;
		underline(hint, line.words.words[i].at, line.words.words[i].size);
		if (i > 0 && script_word_is(&line.words, i - 1, "function"))
			say(hint, "write: local function %s", name);
		break;
	}
	char *local = strchr(name, '.') ? NULL : script_nearest_local(of->source, of->line, name);
	if (local && strcmp(local, name) != 0)
		say(hint, "did you mean the local '%s'?", local);
	mem_free(local);
	if (strstr(of->message, "params"))
		say(hint, "params are the configuration's; copy what you want to change into a local");
}

/* ---- syntax ---- */

struct habit {
	const char *near; /* the word that Lua met; NULL = any */
	const char *in;   /* what stands in the line */
	const char *say;
};

/* What people write who come from other languages. */
static const struct habit habits[] = {
        {"!", "!=", "unequal is written ~="},
        {"!", "!", "negation is written not"},
        {"&", "&&", "write and for &&"},
        {"|", "||", "write or for ||"},
        {"+", "+=", "there is no +=: write x = x + 1"},
        {"+", "++", "there is no ++: write x = x + 1"},
        {"-", "-=", "there is no -=: write x = x - 1"},
        {"/", "//", "a comment begins with --, and a whole quotient is math.floor(a / b)"},
        {"?", "?", "there is no ?: write condition and a or b"},
        {":", "\": ", "a member of a table is written name = value, or [\"name\"] = value"},
        {"1", ": ", "a member of a table is written name = value"},
        {"<", "<const>", "that is of Lua 5.4: write local x = ..."},
        {"=", "if ", "a comparison is written =="},
        {"=", "while ", "a comparison is written =="},
        {"{", "if ", "a block is written if ... then ... end"},
        {"{", "for ", "a block is written for ... do ... end"},
        {"{", "while ", "a block is written while ... do ... end"},
        {NULL, "const ", "a variable is made by local"},
        {NULL, "var ", "a variable is made by local"},
        {NULL, "let ", "a variable is made by local"},
        {NULL, "def ", "a function is written function name() ... end"},
        {NULL, "async ", "there is no async: millrace.fetch waits by itself"},
};

static void near_word(const char *message, char out[NAMED + 1])
{
	const char *at = strstr(message, " near '");
	size_t size = at ? strlen(at + 7) : 0;
	while (size > 0 && at[7 + size - 1] != '\'')
		size--;
	snprintf(out, NAMED + 1, "%.*s", (int)(size > 0 ? size - 1 : 0), at ? at + 7 : "");
}

/* "(to close 'function' at line 3)": 3. */
static unsigned opened_in(const char *message, char word[NAMED + 1])
{
	const char *at = strstr(message, "(to close '");
	unsigned line = 0;
	if (at && sscanf(at, "(to close '%79[^']' at line %u)", word, &line) == 2)
		return line;
	return 0;
}

/* Of several equal words an operator that follows another one is meant, else the first. */
static void underline_near(const struct line *line, const char *near, bool symbol, struct script_hint *hint)
{
	for (size_t i = 0; i < line->words.count; i++) {
		const struct script_word *word = &line->words.words[i];
		bool same = word_equals(&line->words, i, near) ||
		            (word->kind == SCRIPT_STRING && word->size > 1 &&
		                    strncmp(line->text.data + word->at, near, strlen(near)) == 0);
		bool after = i > 0 && line->words.words[i - 1].kind == SCRIPT_SYMBOL;
		if (!same || (hint->column && !(symbol && after)))
			continue;
		underline(hint, word->at, word->size);
	}
	const char *at = hint->column == 0 && *near
	                         ? memmem(line->text.data, line->text.size, near, strlen(near))
	                         : NULL;
	if (at)
		underline(hint, (size_t)(at - line->text.data), strlen(near));
}

/* Is a line above an entry of a table without a comma behind it? */
static unsigned line_without_comma(const struct script_hint_of *of)
{
	struct line line;
	for (unsigned number = of->line; number-- > 1;) {
		if (!read_line(of, number, &line) || line.words.count == 0)
			continue;
		size_t last = line.words.count - 1;
		bool open = script_word_is(&line.words, last, ",") ||
		            script_word_is(&line.words, last, ";") || script_word_is(&line.words, last, "{");
		return open ? 0 : number;
	}
	return 0;
}

static unsigned line_with(const struct script_hint_of *of, const char *text)
{
	struct line line;
	for (unsigned number = 1; number <= of->source->count; number++)
		if (read_line(of, number, &line) && has(&line, text))
			return number;
	return 0;
}

static void hint_unclosed(
        const struct script_hint_of *of, struct script_hint *hint, const char *word, unsigned opened)
{
	struct line line;
	unsigned split = strcmp(word, "if") == 0 ? line_with(of, "else if ") : 0;
	if (opened == 0 || !read_line(of, opened, &line))
		return;
	hint->line = opened;
	for (size_t i = 0; i < line.words.count && hint->column == 0; i++)
		if (script_word_is(&line.words, i, word))
			underline(hint, line.words.words[i].at, line.words.words[i].size);
	if (split)
		say(hint, "`else if` in line %u opens a second block: write elseif, or one more `end`",
		        split);
	else
		say(hint, "the `%s` of line %u, or a block inside it, has no `end`", word, opened);
}

static void hint_syntax(const struct script_hint_of *of, struct script_hint *hint)
{
	struct line line;
	char near[NAMED + 1], word[NAMED + 1] = "";
	unsigned opened = opened_in(of->message, word);
	near_word(of->message, near);
	if (of->source == NULL)
		return;
	if (strcmp(near, "<eof>") == 0 && opened) {
		hint_unclosed(of, hint, word, opened);
		return;
	}
	if (!read_line(of, of->line, &line))
		return;
	underline_near(&line, near, begins(of->message, "unexpected symbol"), hint);
	for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
		if ((habits[i].near == NULL || strcmp(habits[i].near, near) == 0) && has(&line, habits[i].in))
			say(hint, "%s", habits[i].say);
	bool table = strncmp(of->message, "'}' expected", 12) == 0;
	unsigned bare =
	        table && line.words.count && word_equals(&line.words, 0, near) ? line_without_comma(of) : 0;
	if (bare)
		say(hint, "a comma is missing at the end of line %u", bare);
	else if (table && strcmp(near, "=") != 0)
		say(hint, "a comma is missing before '%s'", near);
	else if ((strcmp(near, ",") == 0 || strcmp(near, "}") == 0) &&
	         begins(of->message, "unexpected symbol"))
		say(hint, "a block above has no `end`: `end` closes the innermost one that is open");
	else if (begins(of->message, "'<eof>' expected"))
		say(hint, strcmp(near, "end") == 0
		                  ? "there is one `end` too many above, or here"
		                  : "`return` ends a block: nothing may follow it but `end`");
	else if (begins(of->message, "unfinished string"))
		say(hint, "the text has no closing quote in this line; [[...]] may span lines");
}

/* ---- answers ---- */

static bool verdict_name(const struct script_words *words, size_t index)
{
	static const char *const names[] = {"pass", "drop", "fail", "retry", "output", "outputs"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (script_word_is(words, index, names[i]))
			return true;
	return false;
}

/* May a statement begin behind this word (of this line, or of the one above)? Not where an expression goes
 * on. */
static bool ends_statement(const struct bytes *last)
{
	static const char *const goes_on[] = {
	        "return", "=", "(", ",", "and", "or", "{", "..", "not", "==", "~="};
	for (size_t i = 0; last && i < sizeof goes_on / sizeof *goes_on; i++)
		if (last->size == strlen(goes_on[i]) && memcmp(last->data, goes_on[i], last->size) == 0)
			return false;
	return true;
}

/* In this line: millrace.drop("x") as a statement, so that nothing is answered; or `return` without a value.
 */
static bool lost_answer(const struct line *line, const struct bytes *above, struct script_hint *hint)
{
	const struct script_words *words = &line->words;
	for (size_t i = 0; i < words->count; i++) {
		const struct bytes *before = i > 0 ? &words->words[i - 1].text : above;
		if (script_word_is(words, i, "millrace") && script_word_is(words, i + 1, ".") &&
		        verdict_name(words, i + 2) && ends_statement(before)) {
			struct bytes verdict = words->words[i + 2].text;
			underline(hint, words->words[i].at,
			        words->words[i + 2].at + words->words[i + 2].size - words->words[i].at);
			say(hint,
			        "millrace.%.*s makes a verdict, and it is lost here: write return "
			        "millrace.%.*s(...)",
			        (int)verdict.size, verdict.data, (int)verdict.size, verdict.data);
			return true;
		}
		bool bare = script_word_is(words, i, "return") &&
		            (script_word_is(words, i + 1, "end") || script_word_is(words, i + 1, "else") ||
		                    script_word_is(words, i + 1, "elseif") ||
		                    script_word_is(words, i + 1, ";") || script_word_is(words, i + 1, "nil"));
		if (bare) {
			underline(hint, words->words[i].at, words->words[i].size);
			say(hint, "this `return` answers nothing: to publish the event as it came write "
			          "return millrace.pass()");
			return true;
		}
	}
	return false;
}

/* The last word of the nearest line above that has any. */
static bool word_above(
        const struct script_hint_of *of, unsigned number, struct line *room, struct bytes *word)
{
	while (number-- > 1)
		if (read_line(of, number, room) && room->words.count) {
			*word = room->words.words[room->words.count - 1].text;
			return true;
		}
	return false;
}

static void hint_no_answer(const struct script_hint_of *of, struct script_hint *hint)
{
	struct script_span span;
	struct line line, above;
	struct bytes last;
	if (of->source == NULL || of->hook == NULL || !script_find_function(of->source, of->hook, &span))
		return;
	for (unsigned number = span.first; number <= span.last; number++) {
		bool any = word_above(of, number, &above, &last);
		if (!read_line(of, number, &line) || !lost_answer(&line, any ? &last : NULL, hint))
			continue;
		hint->line = number;
		return;
	}
	hint->line = span.first;
	hint->column = span.column;
	hint->length = span.length;
	if (strstr(of->message, "an empty table"))
		say(hint, "to publish the event as it came return millrace.pass(), to publish nothing "
		          "millrace.drop(reason)");
	else if (span.last > span.first)
		say(hint, "one way through the function (lines %u to %u) ends without `return`", span.first,
		        span.last);
}

static void hint_answer(const struct script_hint_of *of, struct script_hint *hint)
{
	struct script_span span;
	const char *answered = strstr(of->message, " answered ");
	bool request = of->hook && strcmp(of->hook, "request") == 0;
	const char *hook = of->code == M604_OUTPUT_INVALID ? "transform" : of->hook;
	if (of->source && of->line == 0 && hook && script_find_function(of->source, hook, &span)) {
		hint->line = span.first;
		hint->column = span.column;
		hint->length = span.length;
	}
	if (answered == NULL)
		return;
	answered += strlen(" answered ");
	if (begins(answered, "a function"))
		say(hint, "a verdict is made by a call: millrace.pass(), with its parentheses");
	else if (begins(answered, "millrace.output") && request)
		say(hint, "outputs are transform's to answer: leave out the hook 'request' where nothing is "
		          "to be asked");
	else if (begins(answered, "millrace.retry") && request)
		say(hint, "`request` runs before anything was asked, so there is nothing to retry: answer a "
		          "request, pass, drop or "
		          "fail");
	else if (begins(answered, "null"))
		say(hint, "to publish nothing return millrace.drop(reason), for a tombstone millrace.output "
		          "{ value = "
		          "millrace.json.null }");
	else if (begins(answered, "true") || begins(answered, "false"))
		say(hint, "to publish the event as it came return millrace.pass(), to publish nothing "
		          "millrace.drop(reason)");
	else if (begins(answered, "a string"))
		say(hint, "a reason alone is no verdict: return millrace.drop(reason) or millrace.fail(type, "
		          "message)");
}

/* The member that is unknown, in the message's backquotes. */
static void hint_request(const struct script_hint_of *of, struct script_hint *hint)
{
	hint_answer(of, hint);
	const char *open = strstr(of->message, "unknown member `");
	if (open == NULL || of->event == NULL)
		return;
	open += strlen("unknown member `");
	struct bytes name = {open, strcspn(open, "`")};
	if (of->event->nodes[0].kind != JSONTREE_OBJECT ||
	        !jsontree_member(of->event, 0, name.data, name.size))
		return;
	focus_on(hint, name);
	say(hint, "that is a member of the event: `request` answers what to ask, transform answers the "
	          "event; to publish "
	          "it as it came return millrace.pass()");
}

/* `return millrace.drop(...)` is a tail call: Lua forgets the line. The first call of that function in the
 * hook. */
static unsigned find_call(
        const struct script_hint_of *of, const char *function, const char *text, struct script_hint *hint)
{
	struct script_span span = {.first = 1, .last = of->source ? (unsigned)of->source->count : 0};
	struct line line;
	if (of->source && of->hook)
		script_find_function(of->source, of->hook, &span);
	for (unsigned number = span.first; number <= span.last && read_line(of, number, &line); number++)
		for (size_t i = 2; i < line.words.count; i++) {
			const struct script_word *word = &line.words.words[i];
			if (!script_word_is(&line.words, i, function) ||
			        !script_word_is(&line.words, i - 1, ".") || (text && !has(&line, text)))
				continue;
			size_t at = line.words.words[i - 2].at;
			hint->line = number;
			underline(hint, at, word->at + word->size - at);
			return number;
		}
	return 0;
}

/* "... must be an identifier (...), got 'no such page'" */
static void hint_identifier(const struct script_hint_of *of, struct script_hint *hint)
{
	struct line line;
	const char *got = strstr(of->message, ", got '"), *dot = strstr(of->message, "millrace.");
	char function[12] = "";
	if (dot)
		snprintf(function, sizeof function, "%.*s",
		        (int)strspn(dot + 9, "abcdefghijklmnopqrstuvwxyz"), dot + 9);
	if (got == NULL) {
		if (of->line == 0)
			find_call(of, function, NULL, hint);
		if (strstr(of->message, "got nil"))
			say(hint, "give a word: it becomes a label of metrics");
		return;
	}
	char text[NAMED + 1], fixed[NAMED + 1];
	snprintf(text, sizeof text, "%.*s", (int)strcspn(got + 7, "'"), got + 7);
	size_t size = 0;
	for (const char *at = text; *at; at++) {
		bool good = isalnum((unsigned char)*at) || *at == '_' || *at == '.' || *at == '-';
		if (good && (size || isalpha((unsigned char)*at)))
			fixed[size++] = *at;
		else if (size && fixed[size - 1] != '_')
			fixed[size++] = '_';
	}
	while (size && fixed[size - 1] == '_')
		size--;
	fixed[size < 64 ? size : 64] = '\0';
	unsigned number = of->line ? of->line : find_call(of, function, text, hint);
	for (size_t i = 0; read_line(of, number, &line) && i < line.words.count; i++)
		if (line.words.words[i].kind == SCRIPT_STRING && word_equals(&line.words, i, text))
			underline(hint, line.words.words[i].at, line.words.words[i].size);
	if (*fixed)
		say(hint, "write \"%s\"; a sentence goes into the message of millrace.fail(type, message)",
		        fixed);
}

static void hint_output(const struct script_hint_of *of, struct script_hint *hint)
{
	const char *open = strstr(of->message, "unknown member '");
	if (of->line == 0)
		find_call(of, begins(of->message, "millrace.outputs") ? "outputs" : "output", NULL, hint);
	if (open == NULL || of->event == NULL || of->event->nodes[0].kind != JSONTREE_OBJECT)
		return;
	open += strlen("unknown member '");
	if (jsontree_member(of->event, 0, open, strcspn(open, "'")))
		say(hint, "the event goes into value: millrace.output { value = event }");
}

static void hint_fetch(const struct script_hint_of *of, struct script_hint *hint)
{
	if (of->line == 0)
		find_call(of, "fetch", NULL, hint);
	if (of->hook && strcmp(of->hook, "request") == 0)
		say(hint, "return the request instead: `request` answers what to ask, and transform gets the "
		          "answer");
	else if (strstr(of->message, "works in transform only"))
		say(hint, "fetch in transform itself, before string.gsub, table.sort or a coroutine of your "
		          "own");
}

static void hint_http(const struct script_hint_of *of, struct script_hint *hint)
{
	const char *status = strstr(of->message, " answered ");
	int code = status ? atoi(status + strlen(" answered ")) : 0;
	if (code == 404 || code == 410)
		say(hint,
		        "accept = { %d } in the request makes it an answer; optional = true hands any "
		        "refusal to transform",
		        code);
	else if (code == 401 || code == 403)
		say(hint, "the service wants to know who asks: give a header in the upstream or in the "
		          "request");
	else if (code == 400)
		say(hint,
		        "the service does not take this question: look at `path` and `query` of the request");
}

void script_hint_find(const struct script_hint_of *of, struct script_hint *hint)
{
	switch (of->code) {
	case M201_INDEX:
	case M202_CALL:
	case M203_ARITHMETIC:
	case M204_CONCATENATE:
	case M205_COMPARE: hint_value(of, hint); return;
	case M206_ARGUMENT: hint_argument(of, hint); return;
	case M207_GLOBAL: hint_global(of, hint); return;
	case M210_SYNTAX: hint_syntax(of, hint); return;
	case M220_NO_ANSWER: hint_no_answer(of, hint); return;
	case M604_OUTPUT_INVALID:
	case M221_ANSWER: hint_answer(of, hint); return;
	case M222_REQUEST: hint_request(of, hint); return;
	case M223_IDENTIFIER: hint_identifier(of, hint); return;
	case M224_OUTPUT: hint_output(of, hint); return;
	case M225_FETCH: hint_fetch(of, hint); return;
	case M501_HTTP_STATUS: hint_http(of, hint); return;
	default: return;
	}
}
