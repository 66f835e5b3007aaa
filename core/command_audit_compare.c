/* `millrace audit --compare`: two outputs of the same input, side by side. */
#include "command.h"
#include "command_audit.h"
#include "command_group.h"
#include "jsondiff.h"
#include "mem.h"
#include "table.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMPLES = 10, KEPT_MAX = 256 << 20 }; /* bytes of values that wait for their counterparts */

/* One message: what it is about, what it says, where it stands. */
struct entry {
	uint64_t key, value, lane;
	int64_t offset;
	int32_t partition;
	bool bare; /* no event: joined by its bytes */
};

struct side {
	const char *topic;
	struct entry *entries;
	size_t count, capacity;
	size_t repeats, bare;
	struct comparison *comparison;
};

/* Two that differ: the value of the one is kept until the other is read. */
struct pair {
	struct entry old, new;
	char *value;
	size_t size;
};

struct pointer {
	char *text;
	size_t count;
	struct entry old, new; /* the first */
};

struct comparison {
	const struct audit_options *options;
	const struct config *config;
	struct topicreader reader;
	struct jsondiff_paths by, ignored, lane;
	struct jsontree tree;
	struct side sides[2];
	size_t common, differing, examined, order;
	struct pair *pairs; /* `differing` of them */
	size_t kept;        /* bytes */
	struct entry *only[2];
	size_t only_count[2];
	struct pointer *pointers;
	size_t pointer_count;
};

static uint64_t mix(uint64_t hash, uint64_t more)
{
	hash = (hash ^ more) * 0x9E3779B97F4A7C15u;
	return hash ^ hash >> 32;
}

static uint64_t hash_bytes(struct bytes bytes)
{
	return bytes.data ? jsontree_hash(bytes.data, bytes.size) : 1;
}

/* Of the values at the paths; false when none is there. */
static bool hash_paths(const struct jsontree *tree, const struct jsondiff_paths *paths, uint64_t *hash)
{
	bool any = false;
	*hash = paths->count;
	for (size_t i = 0; i < paths->count; i++) {
		int64_t at = jsondiff_find(tree, &paths->items[i]);
		any = any || at > 0;
		*hash = mix(*hash, at > 0 ? jsontree_value_hash(tree, (uint32_t)at) : i);
	}
	return any;
}

/* ---- reading ---- */

static void take(void *context, const struct topicreader_message *message)
{
	struct side *side = context;
	struct comparison *comparison = side->comparison;
	struct entry entry = {.offset = message->offset, .partition = message->partition};
	bool event = message->value.data &&
	             jsontree_parse(&comparison->tree, message->value.data, message->value.size, NULL, NULL);
	if (event && hash_paths(&comparison->tree, &comparison->by, &entry.key)) {
		entry.value = jsondiff_hash(&comparison->tree, &comparison->ignored);
	} else {
		entry.bare = true;
		entry.key = mix(hash_bytes(message->key), hash_bytes(message->value));
		side->bare++;
	}
	if (entry.bare || !hash_paths(&comparison->tree, &comparison->lane, &entry.lane))
		entry.lane = hash_bytes(message->key);
	if (side->count == side->capacity) {
		side->capacity = side->capacity ? side->capacity * 2 : 1024;
		side->entries = mem_realloc(side->entries, side->capacity * sizeof *side->entries);
	}
	side->entries[side->count++] = entry;
}

static int place_order(const struct entry *x, const struct entry *y)
{
	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int key_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return place_order(x, y);
}

/* Sorts, and keeps the first of each key and value: a repeat says nothing new. */
static void settle(struct side *side)
{
	size_t kept = 0;
	if (side->count)
		qsort(side->entries, side->count, sizeof *side->entries, key_order);
	for (size_t i = 0; i < side->count; i++) {
		const struct entry *last = kept ? &side->entries[kept - 1] : NULL;
		if (last && last->key == side->entries[i].key && last->value == side->entries[i].value)
			side->repeats++;
		else
			side->entries[kept++] = side->entries[i];
	}
	side->count = kept;
}

/* With a client of its own: each reads a topic once. */
static int read_topic(struct comparison *comparison, const char *topic,
        void (*message)(void *context, const struct topicreader_message *message), void *context)
{
	struct topicreader reader = comparison->reader;
	const struct sink_config *sink = &comparison->config->sinks[0];
	struct err err;
	bool refused = false;
	int code;
	reader.client = audit_open(comparison->config, sink->kafka, sink->kafka_count, &code);
	if (reader.client == NULL)
		return code;
	reader.message = message;
	reader.context = context;
	bool good = topicreader_read(&reader, topic, &refused, &err);
	command_group_close(reader.client);
	return good ? EXIT_SUCCESS : audit_complain(refused, &err);
}

/* ---- what differs ---- */

static void count_pointer(
        struct comparison *comparison, const char *text, const struct entry *old, const struct entry *new)
{
	for (size_t i = 0; i < comparison->pointer_count; i++)
		if (strcmp(comparison->pointers[i].text, text) == 0) {
			comparison->pointers[i].count++;
			return;
		}
	comparison->pointers = mem_realloc(
	        comparison->pointers, (comparison->pointer_count + 1) * sizeof *comparison->pointers);
	comparison->pointers[comparison->pointer_count++] = (struct pointer){mem_strdup(text), 1, *old, *new};
}

static int old_order(const void *a, const void *b)
{
	return place_order(&((const struct pair *)a)->old, &((const struct pair *)b)->old);
}

static int new_order(const void *a, const void *b)
{
	return place_order(&((const struct pair *)a)->new, &((const struct pair *)b)->new);
}

static struct pair *pair_at(struct comparison *comparison, const struct topicreader_message *message,
        int (*order)(const void *a, const void *b))
{
	struct entry place = {.partition = message->partition, .offset = message->offset};
	struct pair wanted = {.old = place, .new = place};
	return bsearch(&wanted, comparison->pairs, comparison->differing, sizeof wanted, order);
}

static void keep_old(void *context, const struct topicreader_message *message)
{
	struct comparison *comparison = context;
	struct pair *pair = pair_at(comparison, message, old_order);
	if (pair == NULL || pair->value || message->value.data == NULL ||
	        comparison->kept + message->value.size > KEPT_MAX)
		return;
	pair->value = mem_dup(message->value.data, message->value.size);
	pair->size = message->value.size;
	comparison->kept += pair->size;
}

static void compare_new(void *context, const struct topicreader_message *message)
{
	struct comparison *comparison = context;
	struct pair *pair = pair_at(comparison, message, new_order);
	struct jsontree old;
	struct buf pointer;
	if (pair == NULL || pair->value == NULL || message->value.data == NULL)
		return;
	jsontree_init(&old);
	buf_init(&pointer, 0);
	if (jsontree_parse(&old, pair->value, pair->size, NULL, NULL) &&
	        jsontree_parse(&comparison->tree, message->value.data, message->value.size, NULL, NULL) &&
	        jsondiff_first(&old, &comparison->tree, &comparison->ignored, &pointer)) {
		comparison->examined++;
		count_pointer(comparison, pointer.data, &pair->old, &pair->new);
	}
	buf_free(&pointer);
	jsontree_free(&old);
	mem_free(pair->value);
	pair->value = NULL;
}

/* Reads both again for the values of those that differ, and finds where each two part. */
static int examine(struct comparison *comparison)
{
	static const struct {
		int (*order)(const void *a, const void *b);
		void (*message)(void *context, const struct topicreader_message *message);
	} rounds[] = {{old_order, keep_old}, {new_order, compare_new}};
	int code = EXIT_SUCCESS;
	for (int i = 0; i < 2 && comparison->differing > 0 && code == EXIT_SUCCESS; i++) {
		qsort(comparison->pairs, comparison->differing, sizeof *comparison->pairs, rounds[i].order);
		code = read_topic(comparison, comparison->sides[i].topic, rounds[i].message, comparison);
	}
	return code;
}

static void add_pair(struct comparison *comparison, const struct entry *old, const struct entry *new)
{
	size_t count = comparison->differing;
	if ((count & (count - 1)) == 0) /* it doubles */
		comparison->pairs =
		        mem_realloc(comparison->pairs, (count ? count * 2 : 1) * sizeof *comparison->pairs);
	comparison->pairs[comparison->differing++] = (struct pair){.old = *old, .new = *new};
}

static size_t group_end(const struct side *side, size_t at)
{
	size_t end = at;
	while (end < side->count && side->entries[end].key == side->entries[at].key)
		end++;
	return end;
}

/* The first of the group whose value the other group has not; NULL = it has all. */
static const struct entry *stranger(
        const struct entry *of, size_t count, const struct entry *in, size_t others)
{
	for (size_t i = 0, j = 0; i < count; i++) {
		while (j < others && in[j].value < of[i].value)
			j++;
		if (j == others || in[j].value != of[i].value)
			return &of[i];
	}
	return NULL;
}

static const struct entry *earliest(const struct entry *group, size_t count)
{
	const struct entry *first = group;
	for (size_t i = 1; i < count; i++)
		if (place_order(&group[i], first) < 0)
			first = &group[i];
	return first;
}

/* A key on both sides, at its first place on each. */
struct match {
	uint64_t lane;
	struct entry old, new;
};

static int match_order(const void *a, const void *b)
{
	const struct match *x = a, *y = b;
	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	return place_order(&x->old, &y->old);
}

/* Neighbours of one lane whose order is the other way round. Between partitions there is none. */
static void compare_order(struct comparison *comparison, struct match *matches)
{
	if (comparison->common)
		qsort(matches, comparison->common, sizeof *matches, match_order);
	for (size_t i = 1; i < comparison->common; i++) {
		const struct match *x = &matches[i - 1], *y = &matches[i];
		if (x->lane == y->lane && x->old.partition == y->old.partition &&
		        x->new.partition == y->new.partition && x->new.offset > y->new.offset)
			comparison->order++;
	}
}

static void compare_group(struct comparison *comparison, size_t i, size_t i_end, size_t j, size_t j_end)
{
	const struct entry *old = comparison->sides[0].entries + i, *new = comparison->sides[1].entries + j;
	const struct entry *left = stranger(old, i_end - i, new, j_end - j);
	const struct entry *right = stranger(new, j_end - j, old, i_end - i);
	if (left || right)
		add_pair(comparison, left ? left : earliest(old, i_end - i),
		        right ? right : earliest(new, j_end - j));
}

static void lack(struct comparison *comparison, int which, size_t at, size_t end)
{
	const struct entry *first = earliest(comparison->sides[which].entries + at, end - at);
	if (comparison->only_count[which] < EXAMPLES)
		comparison->only[which][comparison->only_count[which]] = *first;
	comparison->only_count[which]++;
}

static void compare_sides(struct comparison *comparison)
{
	const struct side *old = &comparison->sides[0], *new = &comparison->sides[1];
	struct match *matches = mem_zalloc(old->count + 1, sizeof *matches);
	for (size_t i = 0, j = 0; i < old->count || j < new->count;) {
		size_t i_end = group_end(old, i), j_end = group_end(new, j);
		if (j == new->count || (i < old->count && old->entries[i].key < new->entries[j].key)) {
			lack(comparison, 0, i, i_end);
			i = i_end;
		} else if (i == old->count || new->entries[j].key < old->entries[i].key) {
			lack(comparison, 1, j, j_end);
			j = j_end;
		} else {
			const struct entry *first = earliest(old->entries + i, i_end - i);
			matches[comparison->common++] =
			        (struct match){first->lane, *first, *earliest(new->entries + j, j_end - j)};
			compare_group(comparison, i, i_end, j, j_end);
			i = i_end;
			j = j_end;
		}
	}
	compare_order(comparison, matches);
	mem_free(matches);
}

/* ---- telling ---- */

static bool equal(const struct comparison *comparison)
{
	return comparison->only_count[0] + comparison->only_count[1] + comparison->differing +
	               comparison->order ==
	       0;
}

static int pointer_order(const void *a, const void *b)
{
	const struct pointer *x = a, *y = b;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return strcmp(x->text, y->text);
}

static char *place_text(const struct side *side, const struct entry *entry)
{
	return mem_printf("%s/%d/%lld", side->topic, (int)entry->partition, (long long)entry->offset);
}

static void json_place(struct buf *out, const struct side *side, const struct entry *entry)
{
	char *text = place_text(side, entry);
	text_json_string(out, text, strlen(text));
	mem_free(text);
}

static void json_only(struct buf *out, const struct comparison *comparison, int which, const char *name)
{
	buf_printf(out, ",\"%s\":{\"count\":%zu,\"examples\":[", name, comparison->only_count[which]);
	for (size_t i = 0; i < comparison->only_count[which] && i < EXAMPLES; i++) {
		buf_append_text(out, i ? "," : "");
		json_place(out, &comparison->sides[which], &comparison->only[which][i]);
	}
	buf_append_text(out, "]}");
}

static void print_json(const struct comparison *comparison)
{
	struct buf out;
	buf_init(&out, 0);
	buf_printf(
	        &out, "{\"equal\":%s,\"both\":%zu", equal(comparison) ? "true" : "false", comparison->common);
	json_only(&out, comparison, 0, "only_old");
	json_only(&out, comparison, 1, "only_new");
	buf_printf(&out,
	        ",\"repeats\":{\"old\":%zu,\"new\":%zu},\"order\":%zu,\"differing\":%zu,"
	        "\"examined\":%zu,\"pointers\":[",
	        comparison->sides[0].repeats, comparison->sides[1].repeats, comparison->order,
	        comparison->differing, comparison->examined);
	for (size_t i = 0; i < comparison->pointer_count; i++) {
		const struct pointer *pointer = &comparison->pointers[i];
		buf_append_text(&out, i ? ",{\"pointer\":" : "{\"pointer\":");
		text_json_string(&out, pointer->text, strlen(pointer->text));
		buf_printf(&out, ",\"count\":%zu,\"old\":", pointer->count);
		json_place(&out, &comparison->sides[0], &pointer->old);
		buf_append_text(&out, ",\"new\":");
		json_place(&out, &comparison->sides[1], &pointer->new);
		buf_append_byte(&out, '}');
	}
	buf_append_text(&out, "]}\n");
	fwrite(out.data, 1, out.size, stdout);
	buf_free(&out);
}

static void print_only(const struct comparison *comparison, int which)
{
	printf("only in %s: %zu\n", comparison->sides[which].topic, comparison->only_count[which]);
	for (size_t i = 0; i < comparison->only_count[which] && i < EXAMPLES; i++) {
		char *text = place_text(&comparison->sides[which], &comparison->only[which][i]);
		printf("  %s\n", text);
		mem_free(text);
	}
}

static void print_text(const struct comparison *comparison)
{
	static const char *const names[] = {"FIRST DIFFERENCE", "COUNT", "IN OLD", "IN NEW", NULL};
	const struct side *old = &comparison->sides[0], *new = &comparison->sides[1];
	printf("in both: %zu, of which differ: %zu\n", comparison->common, comparison->differing);
	print_only(comparison, 0);
	print_only(comparison, 1);
	printf("neighbours of one key in another order: %zu\n", comparison->order);
	printf("repeats, counted once: %zu and %zu; joined by their bytes: %zu and %zu\n", old->repeats,
	        new->repeats, old->bare, new->bare);
	if (comparison->pointer_count == 0)
		return;
	struct table table;
	table_begin(&table, names);
	for (size_t i = 0; i < comparison->pointer_count; i++) {
		const struct pointer *pointer = &comparison->pointers[i];
		char **row = table_add(&table);
		row[0] = mem_strdup(*pointer->text ? pointer->text : "(all)");
		row[1] = mem_printf("%zu", pointer->count);
		row[2] = place_text(old, &pointer->old);
		row[3] = place_text(new, &pointer->new);
	}
	table_print(&table);
	if (comparison->examined < comparison->differing)
		printf("%zu of the %zu that differ were looked at\n", comparison->examined,
		        comparison->differing);
}

/* ---- all of it ---- */

/* The lane's key as the configuration has it, else each record's own key. */
static void lane_paths(struct jsondiff_paths *paths, const struct config *config)
{
	struct buf text;
	buf_init(&text, 0);
	buf_append_text(&text, "");
	for (size_t i = 0; i < config->key_count; i++)
		buf_printf(&text, "%s%s", i ? "," : "", config->key[i].path);
	jsondiff_paths_parse(paths, text.data);
	buf_free(&text);
}

static int compare(struct comparison *comparison)
{
	for (int i = 0; i < 2; i++) {
		struct side *side = &comparison->sides[i];
		int code = read_topic(comparison, side->topic, take, side);
		if (code != EXIT_SUCCESS)
			return code;
		settle(side);
	}
	compare_sides(comparison);
	int code = examine(comparison);
	if (code != EXIT_SUCCESS)
		return code;
	if (comparison->pointer_count)
		qsort(comparison->pointers, comparison->pointer_count, sizeof *comparison->pointers,
		        pointer_order);
	(comparison->options->json ? print_json : print_text)(comparison);
	return equal(comparison) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void forget(struct comparison *comparison)
{
	for (int i = 0; i < 2; i++) {
		mem_free(comparison->sides[i].entries);
		mem_free(comparison->only[i]);
	}
	for (size_t i = 0; i < comparison->pointer_count; i++)
		mem_free(comparison->pointers[i].text);
	mem_free(comparison->pointers);
	for (size_t i = 0; i < comparison->differing; i++)
		mem_free(comparison->pairs[i].value);
	mem_free(comparison->pairs);
	jsondiff_paths_free(&comparison->by);
	jsondiff_paths_free(&comparison->ignored);
	jsondiff_paths_free(&comparison->lane);
	jsontree_free(&comparison->tree);
}

int audit_compare(const struct audit_options *options, const struct config *config)
{
	struct comparison comparison = {.options = options, .config = config};
	int code = EXIT_USAGE;
	jsontree_init(&comparison.tree);
	for (int i = 0; i < 2; i++) {
		comparison.sides[i].topic = options->compare[i];
		comparison.sides[i].comparison = &comparison;
		comparison.only[i] = mem_zalloc(EXAMPLES, sizeof *comparison.only[i]);
	}
	audit_range(options, &comparison.reader);
	lane_paths(&comparison.lane, config);
	if (!jsondiff_paths_parse(&comparison.by, options->by) || comparison.by.count == 0) {
		command_usage("audit", "--by: expected members such as wiki_id,page.page_id, found '%s'",
		        options->by);
	} else if (!jsondiff_paths_parse(&comparison.ignored, options->ignore)) {
		command_usage("audit", "--ignore: expected members such as meta.id,meta.dt, found '%s'",
		        options->ignore);
	} else {
		code = compare(&comparison);
	}
	forget(&comparison);
	return code;
}
