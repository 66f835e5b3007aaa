/* Where a partition starts, decided from everything that is known about it; and the commit's metadata. */
#include "positions.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static const char *const why_texts[] = {
        [POSITION_COMMIT] = "the group's commit, joined with the checkpoints of its lineage",
        [POSITION_FOREIGN] = "the group's commit, which Millrace did not write: it wins alone",
        [POSITION_FILE] = "the newest checkpoint file of this cluster, because the group has no commit",
        [POSITION_START] = "source.start, because nothing is known of this partition",
        [POSITION_BEGINNING] =
                "the partition's beginning, because it appeared after the group began with its topic",
        [POSITION_OUT_OF_RANGE] =
                "the earliest offset there is, because the known position is no longer in the log",
};

const char *position_why_text(const struct position_decision *decision)
{
	if (decision->why == POSITION_COMMIT && decision->joined == 0)
		return "the group's commit";
	return why_texts[decision->why];
}

bool positions_appeared_later(int32_t partition, const struct position *others, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (others[i].lineage[0] == '\0' || others[i].partitions <= partition)
			return true;
	return false;
}

static bool of_cluster(const struct position_facts *facts, const struct position *file)
{
	return file->cluster[0] != '\0' && facts->cluster != NULL &&
	       strcmp(file->cluster, facts->cluster) == 0;
}

static const struct position *newest_file(const struct position_facts *facts)
{
	const struct position *newest = NULL;
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct position *file = &facts->files[i];
		if (of_cluster(facts, file) && file->lineage[0] != '\0' &&
		        (newest == NULL || file->wall > newest->wall))
			newest = file;
	}
	return newest;
}

static int by_from(const void *a, const void *b)
{
	const struct range *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

/* Sorts and joins ranges in place; answers how many are left. */
static size_t join(struct range *ranges, size_t count)
{
	size_t kept = 0;
	qsort(ranges, count, sizeof *ranges, by_from);
	for (size_t i = 0; i < count; i++) {
		if (ranges[i].to <= ranges[i].from)
			continue;
		if (kept && ranges[i].from <= ranges[kept - 1].to) {
			if (ranges[i].to > ranges[kept - 1].to)
				ranges[kept - 1].to = ranges[i].to;
		} else {
			ranges[kept++] = ranges[i];
		}
	}
	return kept;
}

/* How many offsets of [from, to) are in no range. */
static int64_t unfinished(const struct range *ranges, size_t count, int64_t from, int64_t to)
{
	int64_t left = to > from ? to - from : 0;
	for (size_t i = 0; i < count; i++) {
		int64_t low = ranges[i].from > from ? ranges[i].from : from;
		int64_t high = ranges[i].to < to ? ranges[i].to : to;
		if (high > low)
			left -= high - low;
	}
	return left;
}

int64_t positions_beyond(const struct position *a, const struct position *b, int64_t low)
{
	int64_t from = b->offset > low ? b->offset : low;
	int64_t count = unfinished(b->ranges, b->range_count, from, a->offset);
	for (size_t i = 0; i < a->range_count; i++) {
		const struct range *range = &a->ranges[i];
		count += unfinished(
		        b->ranges, b->range_count, range->from > from ? range->from : from, range->to);
	}
	return count;
}

/* Moves the decision to `offset` and over what is finished right there, and keeps the ranges above it. */
static void settle(
        struct position_decision *decision, int64_t offset, const struct range *ranges, size_t count)
{
	decision->offset = offset;
	decision->range_count = 0;
	for (size_t i = 0; i < count; i++) {
		if (ranges[i].from <= decision->offset) {
			if (ranges[i].to > decision->offset)
				decision->offset = ranges[i].to;
		} else if (decision->range_count < POSITION_RANGES_MAX) {
			decision->ranges[decision->range_count++] = ranges[i];
		}
	}
}

/* Joins `base` with every good file of its lineage. */
static void join_lineage(
        const struct position_facts *facts, const struct position *base, struct position_decision *decision)
{
	size_t most = base->range_count, count = 0;
	for (size_t i = 0; i < facts->file_count; i++)
		most += facts->files[i].range_count;
	struct range *ranges = mem_zalloc(most, sizeof *ranges);
	int64_t offset = base->offset;
	for (size_t i = 0; i < base->range_count; i++)
		ranges[count++] = base->ranges[i];
	for (size_t f = 0; f < facts->file_count; f++) {
		const struct position *file = &facts->files[f];
		if (!of_cluster(facts, file) || strcmp(file->lineage, base->lineage) != 0)
			continue;
		decision->joined++;
		if (file->offset > offset)
			offset = file->offset;
		for (size_t i = 0; i < file->range_count; i++)
			ranges[count++] = file->ranges[i];
	}
	count = join(ranges, count);
	settle(decision, offset, ranges, count);
	if (decision->offset < facts->low) {
		decision->why = POSITION_OUT_OF_RANGE;
		decision->gap = unfinished(ranges, count, decision->offset, facts->low);
		settle(decision, facts->low, ranges, count);
	}
	mem_free(ranges);
	memcpy(decision->lineage, base->lineage, sizeof decision->lineage);
	decision->until = base->until;
	decision->partitions = base->partitions;
}

static void begin_lineage(struct position_decision *decision, enum position_why why, int64_t offset)
{
	*decision =
	        (struct position_decision){.why = why, .offset = offset, .new_lineage = true, .until = -1};
}

static void begin_foreign(const struct position_facts *facts, struct position_decision *decision)
{
	begin_lineage(decision, POSITION_FOREIGN, facts->commit->offset);
	if (decision->offset < facts->low) {
		decision->why = POSITION_OUT_OF_RANGE;
		decision->gap = facts->low - decision->offset;
		decision->offset = facts->low;
	}
}

static size_t count_strangers(const struct position_facts *facts)
{
	size_t count = 0;
	for (size_t i = 0; i < facts->file_count; i++)
		count += !of_cluster(facts, &facts->files[i]);
	return count;
}

static void decide(const struct position_facts *facts, struct position_decision *decision)
{
	const struct position *base = facts->commit ? facts->commit : newest_file(facts);
	if (base == NULL) {
		begin_lineage(decision, facts->topic_known ? POSITION_BEGINNING : POSITION_START,
		        facts->topic_known ? facts->low : facts->configured_start);
		return;
	}
	*decision = (struct position_decision){.why = facts->commit ? POSITION_COMMIT : POSITION_FILE};
	if (base->lineage[0] == '\0')
		begin_foreign(facts, decision);
	else
		join_lineage(facts, base, decision);
	/* Beyond the end although the broker says there is no such place: another log than the one we knew.
	 * An end that merely lags behind (a leader just elected) is not refused, and the position is kept. */
	if (facts->refused && decision->offset > facts->high)
		begin_lineage(decision, POSITION_OUT_OF_RANGE, facts->low);
}

void positions_resolve(const struct position_facts *facts, struct position_decision *decision)
{
	decide(facts, decision);
	decision->strangers = count_strangers(facts);
}

static bool same_start(const struct position_decision *a, const struct position_decision *b)
{
	if (a->offset != b->offset || a->range_count != b->range_count)
		return false;
	for (size_t i = 0; i < a->range_count; i++)
		if (a->ranges[i].from != b->ranges[i].from || a->ranges[i].to != b->ranges[i].to)
			return false;
	return true;
}

bool positions_exact(
        const struct position *position, const struct position *files, size_t count, const char *cluster)
{
	struct position_decision *alone = mem_zalloc(2, sizeof *alone), *joined = alone + 1;
	struct position_facts facts = {.commit = position, .cluster = cluster, .high = INT64_MAX};
	positions_resolve(&facts, alone);
	facts.files = files;
	facts.file_count = count;
	positions_resolve(&facts, joined);
	bool exact = joined->joined > 0 && same_start(alone, joined);
	mem_free(alone);
	return exact;
}

/* One member of the metadata at a time is tried and taken back when it does not fit. */
static bool fits(struct buf *out, size_t start, size_t before)
{
	if (!out->full && out->size - start <= POSITION_METADATA_MAX)
		return true;
	out->size = before;
	out->full = false;
	if (out->data)
		out->data[before] = '\0';
	return false;
}

void positions_encode(const struct position *position, struct buf *out)
{
	size_t start = out->size;
	buf_printf(out, "mr1;l=%s", position->lineage);
	if (position->partitions > 0)
		buf_printf(out, ";p=%d", position->partitions);
	if (position->until >= 0)
		buf_printf(out, ";u=%lld", (long long)position->until);
	int64_t at = position->offset;
	for (size_t i = 0; i < position->range_count; i++) {
		const struct range *range = &position->ranges[i];
		size_t before = out->size;
		buf_printf(out, "%s+%lld+%lld", i == 0 ? ";r=" : "", (long long)(range->from - at),
		        (long long)(range->to - range->from));
		if (!fits(out, start, before))
			return;
		at = range->to;
	}
}

struct reader {
	const char *at, *end;
};

static bool read_byte(struct reader *reader, char byte)
{
	if (reader->at == reader->end || *reader->at != byte)
		return false;
	reader->at++;
	return true;
}

static bool read_number(struct reader *reader, int64_t *value)
{
	const char *start = reader->at;
	*value = 0;
	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
		int digit = *reader->at++ - '0';
		if (*value > (INT64_MAX - digit) / 10)
			return false;
		*value = *value * 10 + digit;
	}
	return reader->at > start;
}

static bool read_lineage(struct reader *reader, char lineage[LINEAGE_SIZE])
{
	size_t size = LINEAGE_SIZE - 1;
	if ((size_t)(reader->end - reader->at) < size)
		return false;
	for (size_t i = 0; i < size; i++)
		if (strchr("0123456789abcdef", reader->at[i]) == NULL || reader->at[i] == '\0')
			return false;
	memcpy(lineage, reader->at, size);
	lineage[size] = '\0';
	reader->at += size;
	return true;
}

static bool read_ranges(struct reader *reader, struct position *position, struct range *ranges)
{
	int64_t at = position->offset, gap, length;
	while (read_byte(reader, '+')) {
		if (!read_number(reader, &gap) || !read_byte(reader, '+') || !read_number(reader, &length))
			return false;
		if (length == 0 || gap > INT64_MAX - at || length > INT64_MAX - at - gap)
			return false;
		if (position->range_count == POSITION_RANGES_MAX)
			return false;
		ranges[position->range_count++] = (struct range){at + gap, at + gap + length};
		at += gap + length;
	}
	return position->range_count > 0;
}

static bool read_member(struct reader *reader, struct position *position, struct range *ranges)
{
	int64_t number;
	if (reader->end - reader->at < 2 || reader->at[1] != '=')
		return false;
	char name = *reader->at;
	reader->at += 2;
	switch (name) {
	case 'l': return position->lineage[0] == '\0' && read_lineage(reader, position->lineage);
	case 'u': return read_number(reader, &position->until);
	case 'r': return position->range_count == 0 && read_ranges(reader, position, ranges);
	case 'p':
		if (!read_number(reader, &number) || number > INT32_MAX)
			return false;
		position->partitions = (int32_t)number;
		return true;
	default: /* of a later version */
		while (reader->at < reader->end && *reader->at != ';')
			reader->at++;
		return true;
	}
}

bool positions_decode(
        const char *metadata, size_t size, int64_t offset, struct position *position, struct range *ranges)
{
	struct reader reader = {metadata, metadata + size};
	struct position read = {.offset = offset, .until = -1, .ranges = ranges};
	bool good = size >= 3 && offset >= 0 && memcmp(metadata, "mr1", 3) == 0;
	if (good)
		reader.at += 3;
	while (good && reader.at < reader.end)
		good = read_byte(&reader, ';') && read_member(&reader, &read, ranges);
	if (good && read.lineage[0] != '\0') {
		*position = read;
		return true;
	}
	*position = (struct position){.offset = offset, .until = -1, .ranges = ranges};
	return false;
}
