/* libFuzzer: no checkpoint file and no commit's metadata, damaged or forged, is read as more than it says;
 * what is read is written and read again the same; and whatever positions say, a start is a place in the log.
 */
#include "checkpointfile.h"
#include "digest.h"
#include "fuzz.h"
#include "mem.h"
#include "positions.h"

enum { FILES = 3 };

static void same(const struct position *a, const struct position *b)
{
	fuzz_require(a->offset == b->offset && a->until == b->until && a->partitions == b->partitions &&
	                     strcmp(a->lineage, b->lineage) == 0,
	        "%lld %lld", (long long)a->offset, (long long)b->offset);
	fuzz_require(a->range_count == b->range_count, "%zu and %zu ranges", a->range_count, b->range_count);
	for (size_t i = 0; i < a->range_count; i++)
		fuzz_require(a->ranges[i].from == b->ranges[i].from && a->ranges[i].to == b->ranges[i].to,
		        "range %zu", i);
}

static void sensible(const struct position *position)
{
	int64_t above = position->offset;
	fuzz_require(position->offset >= 0 && position->range_count <= POSITION_RANGES_MAX, "%lld",
	        (long long)position->offset);
	for (size_t i = 0; i < position->range_count; i++) {
		const struct range *range = &position->ranges[i];
		fuzz_require(range->from >= above && range->to > range->from,
		        "range %zu: %lld..%lld above %lld", i, (long long)range->from, (long long)range->to,
		        (long long)above);
		above = range->to;
	}
}

/* ---- files ---- */

static bool parse(const char *text, size_t size, struct checkpointfile *file)
{
	struct err err = {""};
	bool good = checkpointfile_parse(text, size, file, &err);
	fuzz_require(good || err.text[0], "no reason was given");
	return good;
}

/* The text as it is, or with the checksum that it should have: else nothing would ever get past that. */
static char *sealed(const char *text, size_t size, bool seal, size_t *length)
{
	char *whole, hex[DIGEST_HEX];
	if (!seal) {
		*length = size;
		return fuzz_copy(text, size);
	}
	const struct bytes piece = {text, size};
	fuzz_require(digest_hex(DIGEST_SHA256, &piece, 1, hex), "no SHA-256");
	whole = malloc(size + 100);
	if (whole == NULL)
		abort();
	memcpy(whole, text, size);
	*length = size + (size_t)snprintf(whole + size, 100, ",\"sha256\":\"%s\"}\n", hex);
	return whole;
}

static bool read_file(const char *text, size_t size, bool seal, struct checkpointfile *file)
{
	size_t length;
	char *whole = sealed(text, size, seal, &length);
	bool good = parse(whole, length, file);
	free(whole);
	if (!good)
		return false;
	sensible(&file->position);
	struct checkpointfile again;
	struct buf printed;
	buf_init(&printed, 0);
	checkpointfile_print(file, &printed);
	fuzz_require(
	        parse(printed.data, printed.size, &again), "what was printed is refused: %s", printed.data);
	same(&file->position, &again.position);
	fuzz_require(strcmp(file->group, again.group) == 0 && strcmp(file->topic, again.topic) == 0 &&
	                     file->partition == again.partition &&
	                     file->position.wall == again.position.wall &&
	                     strcmp(file->script, again.script) == 0 &&
	                     strcmp(file->position.cluster, again.position.cluster) == 0,
	        "%s", printed.data);
	checkpointfile_free(&again);
	buf_free(&printed);
	return true;
}

/* ---- metadata ---- */

static bool read_metadata(
        const char *text, size_t size, int64_t offset, struct position *position, struct range *ranges)
{
	static struct range more[POSITION_RANGES_MAX];
	struct position again;
	struct buf encoded;
	char *copy = fuzz_copy(text, size);
	bool good = positions_decode(copy, size, offset, position, ranges);
	free(copy);
	fuzz_require(position->offset == offset, "%lld", (long long)position->offset);
	if (!good) {
		fuzz_require(
		        position->lineage[0] == '\0' && position->range_count == 0, "%s", position->lineage);
		return false;
	}
	sensible(position);
	buf_init(&encoded, 0);
	positions_encode(position, &encoded);
	fuzz_require(encoded.size <= POSITION_METADATA_MAX, "%zu bytes", encoded.size);
	fuzz_require(positions_decode(encoded.data, encoded.size, offset, &again, more), "%s", encoded.data);
	fuzz_require(again.range_count <= position->range_count, "%s", encoded.data);
	again.range_count =
	        position->range_count < again.range_count ? position->range_count : again.range_count;
	struct position shorter = *position;
	shorter.range_count = again.range_count; /* as many as fit */
	same(&shorter, &again);
	buf_free(&encoded);
	return true;
}

/* ---- where a partition starts ---- */

static void decide(
        const struct position *commit, const struct position *files, size_t count, struct fuzz *fuzz)
{
	static struct position_decision decision;
	struct position_facts facts = {.commit = commit, .files = files, .file_count = count, .cluster = "C"};
	facts.low = (int64_t)(fuzz_number(fuzz, 4));
	facts.high = facts.low + (int64_t)fuzz_number(fuzz, 4);
	facts.configured_start = facts.low;
	facts.topic_known = fuzz_byte(fuzz) & 1;
	facts.refused = commit && (fuzz_byte(fuzz) & 1);
	positions_resolve(&facts, &decision);
	fuzz_require(position_why_text(&decision), "%d", decision.why);
	fuzz_require(decision.offset >= facts.low, "offset %lld below the log's beginning %lld",
	        (long long)decision.offset, (long long)facts.low);
	fuzz_require(decision.gap >= 0 && decision.range_count <= POSITION_RANGES_MAX, "%lld",
	        (long long)decision.gap);
	fuzz_require(decision.new_lineage == (decision.lineage[0] == '\0'), "%s", decision.lineage);
	struct position start = {
	        .offset = decision.offset, .ranges = decision.ranges, .range_count = decision.range_count};
	sensible(&start);
}

/* The first line is the metadata of a commit, further ones are files; a first byte of 's' seals a file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct range ranges[POSITION_RANGES_MAX];
	struct fuzz fuzz = {data, data + size};
	struct checkpointfile files[FILES];
	struct position commit, positions[FILES];
	size_t count = 0, length;
	int64_t offset = (int64_t)(fuzz_number(&fuzz, 5));
	const char *text = fuzz_until(&fuzz, '\n', &length);
	read_metadata(text, length, offset, &commit, ranges);
	while (count < FILES && fuzz_left(&fuzz) > 12) {
		bool seal = fuzz_byte(&fuzz) == 's';
		text = fuzz_until(&fuzz, '\n', &length);
		if (!read_file(text, length, seal, &files[count]))
			break;
		positions[count] = files[count].position;
		count++;
	}
	decide(offset & 1 ? &commit : NULL, positions, count, &fuzz);
	while (count-- > 0)
		checkpointfile_free(&files[count]);
	return 0;
}
