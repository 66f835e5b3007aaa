/* The unified diff of two texts: lines, the runs of them that changed, and hunks. */
#include "textdiff.h"
#include "edits.h"
#include "mem.h"

#include <string.h>

struct text {
	const char *data;
	uint32_t *begin; /* of each line, and behind the last one the text's size */
	size_t count;
	uint32_t *class; /* of each line that is compared */
	bool *changed;   /* one more than lines, which stays false */
	uint32_t *keys, *places;
	size_t kept;
};

/* Lines that are equal, in both texts. */
struct class
{
	const char *line;
	uint32_t size;
	uint32_t hash;
	uint32_t counts[2];
};

struct work {
	struct text texts[2];
	size_t head, tail; /* lines that both texts begin and end with */
	struct class *classes;
	size_t class_count;
	uint32_t *table; /* class + 1, 0 = free */
	size_t mask;
	struct effort effort;
	const struct textdiff *question;
	struct buf *out;
};

const char *textdiff_outcome_name(enum textdiff_outcome outcome)
{
	static const char *const names[TEXTDIFF_OUTCOMES] = {"made", "too_large", "timeout", "cancelled"};
	return names[outcome];
}

/* ---- lines ---- */

static size_t count_lines(const struct bytes *text)
{
	const char *at = text->data, *end = at + text->size;
	size_t count = 0;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		at = newline ? newline + 1 : end;
		count++;
	}
	return count;
}

static size_t lines_bytes(const struct textdiff *question)
{
	return (count_lines(&question->from) + count_lines(&question->to) + 2) * TEXTDIFF_LINE;
}

bool textdiff_fits(const struct textdiff *question)
{
	size_t max = question->max;
	return max <= TEXTDIFF_MAX && question->from.size <= max && question->to.size <= max &&
	       lines_bytes(question) <= TEXTDIFF_LINES * max + (64 << 10);
}

size_t textdiff_bytes(const struct textdiff *question)
{
	return question->from.size + question->to.size + lines_bytes(question) + question->max;
}

static void index_lines(struct text *text, const struct bytes *bytes)
{
	text->data = bytes->data;
	text->count = count_lines(bytes);
	text->begin = mem_alloc((text->count + 1) * sizeof *text->begin);
	text->changed = mem_zalloc(text->count + 1, sizeof *text->changed);
	const char *at = bytes->data, *end = at + bytes->size;
	for (size_t i = 0; i < text->count; i++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		text->begin[i] = (uint32_t)(at - bytes->data);
		at = newline ? newline + 1 : end;
	}
	text->begin[text->count] = (uint32_t)bytes->size;
}

static size_t line_size(const struct text *text, size_t i)
{
	return text->begin[i + 1] - text->begin[i];
}

static bool same(const struct text *a, size_t i, const struct text *b, size_t j)
{
	size_t size = line_size(a, i);
	return size == line_size(b, j) && memcmp(a->data + a->begin[i], b->data + b->begin[j], size) == 0;
}

/* The lines that both texts begin and end with need no comparing. */
static void trim(struct work *work)
{
	const struct text *a = &work->texts[0], *b = &work->texts[1];
	size_t least = a->count < b->count ? a->count : b->count;
	while (work->head < least && same(a, work->head, b, work->head))
		work->head++;
	while (work->tail < least - work->head &&
	        same(a, a->count - 1 - work->tail, b, b->count - 1 - work->tail))
		work->tail++;
}

/* ---- which lines are equal ---- */

static uint32_t hash_line(const char *line, size_t size)
{
	uint64_t hash = size, part;
	for (; size >= sizeof part; line += sizeof part, size -= sizeof part) {
		memcpy(&part, line, sizeof part);
		hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
		hash ^= hash >> 29;
	}
	part = 0;
	memcpy(&part, line, size);
	hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
	return (uint32_t)(hash >> 32);
}

static uint32_t class_of(struct work *work, const struct text *text, size_t i, uint64_t *steps)
{
	const char *line = text->data + text->begin[i];
	size_t size = line_size(text, i);
	uint32_t hash = hash_line(line, size);
	size_t slot = hash & work->mask;
	for (*steps += 1 + size / 8; work->table[slot]; slot = (slot + 1) & work->mask, ++*steps) {
		const struct class *class = &work->classes[work->table[slot] - 1];
		if (class->hash != hash || class->size != size)
			continue;
		*steps += size / 8;
		if (memcmp(class->line, line, size) == 0)
			return work->table[slot] - 1;
	}
	work->classes[work->class_count] = (struct class){.line = line, .size = (uint32_t)size, .hash = hash};
	work->table[slot] = (uint32_t)++work->class_count;
	return (uint32_t)work->class_count - 1;
}

static bool classify(struct work *work)
{
	size_t lines = 0, room = 16;
	for (int side = 0; side < 2; side++)
		lines += work->texts[side].count - work->head - work->tail;
	while (room < 2 * lines)
		room *= 2;
	work->mask = room - 1;
	work->table = mem_zalloc(room, sizeof *work->table);
	work->classes = mem_alloc((lines + 1) * sizeof *work->classes);
	for (int side = 0; side < 2; side++) {
		struct text *text = &work->texts[side];
		text->class = mem_alloc((text->count + 1) * sizeof *text->class);
		for (size_t i = work->head; i < text->count - work->tail; i++) {
			uint64_t steps = 0;
			text->class[i] = class_of(work, text, i, &steps);
			work->classes[text->class[i]].counts[side]++;
			if (!effort_spend(&work->effort, steps))
				return false;
		}
	}
	return true;
}

/* A line that the other text has nowhere is changed whatever the rest is like. */
static void keep_shared(struct work *work, int side)
{
	struct text *text = &work->texts[side];
	text->keys = mem_alloc((text->count + 1) * sizeof *text->keys);
	text->places = mem_alloc((text->count + 1) * sizeof *text->places);
	for (size_t i = work->head; i < text->count - work->tail; i++) {
		if (work->classes[text->class[i]].counts[1 - side] == 0) {
			text->changed[i] = true;
			continue;
		}
		text->keys[text->kept] = text->class[i];
		text->places[text->kept++] = (uint32_t)i;
	}
}

static struct edits_side side_of(const struct text *text)
{
	return (struct edits_side){text->keys, text->kept, text->places, text->changed};
}

static bool compare(struct work *work)
{
	trim(work);
	if (!classify(work))
		return false;
	keep_shared(work, 0);
	keep_shared(work, 1);
	struct edits_side from = side_of(&work->texts[0]), to = side_of(&work->texts[1]);
	return edits_find(&from, &to, &work->effort);
}

/* ---- where runs of changed lines stand ---- */

/* Behind the next unchanged line, and behind the one before. */
static size_t next_place(const struct text *text, size_t j)
{
	while (text->changed[j])
		j++;
	return j + 1;
}

static size_t last_place(const struct text *text, size_t j)
{
	j--;
	while (j > 0 && text->changed[j - 1])
		j--;
	return j;
}

/* A run of changed lines, and the place in the other text that it stands beside. */
struct run {
	size_t begin, end, beside;
};

static void move_up(struct text *text, const struct text *other, struct run *run)
{
	text->changed[--run->begin] = true;
	text->changed[--run->end] = false;
	run->beside = last_place(other, run->beside);
	while (run->begin > 0 && text->changed[run->begin - 1])
		run->begin--;
}

static void move_down(struct text *text, const struct text *other, struct run *run)
{
	text->changed[run->begin++] = false;
	text->changed[run->end++] = true;
	run->beside = next_place(other, run->beside);
	while (text->changed[run->end])
		run->end++;
}

/* Takes up the runs that it meets on its way; answers the end that it has beside a run of the other text, the
 * lowest one, else where it stands: at the very bottom. */
static size_t settle_run(struct text *text, const struct text *other, struct run *run, struct effort *effort)
{
	size_t length, best;
	do {
		length = run->end - run->begin;
		while (run->begin > 0 && same(text, run->begin - 1, text, run->end - 1) &&
		        effort_spend(effort, 1))
			move_up(text, other, run);
		best = other->changed[run->beside] ? run->end : 0;
		while (run->end < text->count && same(text, run->begin, text, run->end) &&
		        effort_spend(effort, 1)) {
			move_down(text, other, run);
			if (other->changed[run->beside])
				best = run->end;
		}
	} while (run->end - run->begin != length);
	return best ? best : run->end;
}

/* Where equal lines leave a choice, a run stands as far down as it can, or beside one of the other text: a
 * line that was altered is to be seen as such. Right wherever it stops. */
static void settle_runs(struct work *work, int side)
{
	struct text *text = &work->texts[side];
	const struct text *other = &work->texts[1 - side];
	struct run run = {0};
	while (run.end < text->count) {
		if (!text->changed[run.end]) {
			run.end++;
			run.beside = next_place(other, run.beside);
			continue;
		}
		run.begin = run.end;
		while (text->changed[run.end])
			run.end++;
		size_t best = settle_run(text, other, &run, &work->effort);
		while (run.end > best)
			move_up(text, other, &run);
	}
}

/* ---- hunks ---- */

static void print_line(struct buf *out, char mark, const struct text *text, size_t i)
{
	size_t size = line_size(text, i);
	buf_append_byte(out, mark);
	buf_append(out, text->data + text->begin[i], size);
	if (text->data[text->begin[i] + size - 1] != '\n')
		buf_append_text(out, "\n\\ No newline at end of file\n");
}

static void print_range(struct buf *out, size_t begin, size_t end)
{
	if (end == begin + 1)
		buf_printf(out, "%zu", end);
	else
		buf_printf(out, "%zu,%zu", end > begin ? begin + 1 : begin, end - begin);
}

static void print_hunk(const struct work *work, size_t i, size_t i_end, size_t j, size_t j_end)
{
	const struct text *a = &work->texts[0], *b = &work->texts[1];
	struct buf *out = work->out;
	buf_append_text(out, "@@ -");
	print_range(out, i, i_end);
	buf_append_text(out, " +");
	print_range(out, j, j_end);
	buf_append_text(out, " @@\n");
	while (i < i_end || j < j_end) {
		while (a->changed[i])
			print_line(out, '-', a, i++);
		while (b->changed[j])
			print_line(out, '+', b, j++);
		for (; i < i_end && !a->changed[i] && !b->changed[j]; i++, j++)
			print_line(out, ' ', a, i);
	}
}

static size_t at_most(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Unchanged lines from there on; no more than `most` are looked at. */
static size_t unchanged(const struct work *work, size_t i, size_t j, size_t most)
{
	const struct text *a = &work->texts[0], *b = &work->texts[1];
	size_t count = 0;
	while (count < most && i + count < a->count && !a->changed[i + count] && !b->changed[j + count])
		count++;
	return count;
}

static void print_hunks(const struct work *work)
{
	const struct text *a = &work->texts[0], *b = &work->texts[1];
	size_t context = work->question->context, i = 0, j = 0, printed = 0;
	for (;;) {
		size_t before = unchanged(work, i, j, SIZE_MAX);
		i += before;
		j += before;
		if ((i == a->count && j == b->count) || work->out->full)
			return;
		size_t lead = at_most(context, i - printed), end = i, j_end = j, trail;
		for (;;) {
			while (a->changed[end])
				end++;
			while (b->changed[j_end])
				j_end++;
			trail = unchanged(work, end, j_end, 2 * context + 1);
			if (trail > 2 * context || (end + trail == a->count && j_end + trail == b->count))
				break;
			end += trail;
			j_end += trail;
		}
		trail = at_most(trail, context);
		print_hunk(work, i - lead, end + trail, j - lead, j_end + trail);
		i = printed = end + trail;
		j = j_end + trail;
	}
}

/* ---- all of it ---- */

static void print(struct work *work)
{
	buf_append_text(work->out, "--- a\n+++ b\n");
	print_hunks(work);
}

static void free_work(struct work *work)
{
	for (int side = 0; side < 2; side++) {
		struct text *text = &work->texts[side];
		mem_free(text->begin);
		mem_free(text->class);
		mem_free(text->changed);
		mem_free(text->keys);
		mem_free(text->places);
	}
	mem_free(work->classes);
	mem_free(work->table);
}

static enum textdiff_outcome make(struct work *work)
{
	const struct textdiff *question = work->question;
	index_lines(&work->texts[0], &question->from);
	index_lines(&work->texts[1], &question->to);
	bool compared = compare(work);
	if (question->cancelled && atomic_load(question->cancelled))
		return TEXTDIFF_CANCELLED;
	if (!compared)
		return TEXTDIFF_TIMEOUT;
	settle_runs(work, 0);
	settle_runs(work, 1);
	print(work);
	return work->out->full ? TEXTDIFF_TOO_LARGE : TEXTDIFF_MADE;
}

enum textdiff_outcome textdiff(const struct textdiff *question, struct buf *out)
{
	struct work work = {.question = question,
	        .out = out,
	        .effort = {question->steps ? question->steps : TEXTDIFF_STEPS, question->cancelled}};
	const struct bytes *a = &question->from, *b = &question->to;
	buf_clear(out);
	if (!textdiff_fits(question))
		return TEXTDIFF_TOO_LARGE;
	if (a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0))
		return TEXTDIFF_MADE;
	out->limit = question->max;
	enum textdiff_outcome outcome = make(&work);
	free_work(&work);
	if (outcome != TEXTDIFF_MADE)
		buf_free(out);
	return outcome;
}
