/* Random histories of one partition: owners in turn take it, crash, hand it over, sleep through its loss;
 * folders are shared, stale, away or damaged; a person resets the group, brokers forget it, retention cuts
 * the log. Whatever happens: no record is skipped that was not finished, what a durable note covers is not
 * done again, and nothing is reordered in a lane. The files are real ones.
 *
 * MILLRACE_SEED=N runs one history, MILLRACE_ROUNDS=N so many. */
#include "checkpointfile.h"
#include "log.h"
#include "mem.h"
#include "offsets.h"
#include "positions.h"
#include "random.h"
#include "unit.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG = 600, OWNERS = 3, LANES = 6, OPEN_MOST = 40, TURNS = 14, ROUNDS = 500, LATE = 4 };
#define CLUSTER "cluster-1"

/* A commit, or a file that is not written yet. */
struct note {
	bool there;
	struct position position; /* ranges: of the note */
	struct range ranges[POSITION_RANGES_MAX];
};

struct history {
	/* the log */
	bool absent[LOG]; /* offsets that hold no record */
	int lane[LOG];    /* -1 = none */
	int64_t low, high;
	/* what is true: finished since the last reset, whatever it was that reset it */
	bool finished[LOG];
	bool ever[LOG]; /* in any life */
	/* what is known */
	struct {
		bool there;
		int64_t offset;
		char metadata[POSITION_METADATA_MAX + 1];
		size_t size;
	} commit;
	size_t metadata_limit;
	bool shared;   /* one folder for all owners, or each its own */
	bool reliable; /* the folder is always there, and no owner writes to it late */
	bool filed;    /* the lineage of now stands in a file of the shared folder */
	char dirs[OWNERS][96];
	unsigned keep;
	int64_t clock;
	struct note late[LATE]; /* files that owners of earlier days are still writing */
	int late_owner[LATE];
	/* the owner of now */
	int owner;
	bool away; /* its folder */
	char lineage[LINEAGE_SIZE];
	struct offsets *offsets;
	bool covered[LOG]; /* by what it could have known when it began */
	struct {
		int64_t offset;
		uint64_t ticket;
	} open[OPEN_MOST];
	size_t open_count;
	struct note sent; /* a commit on its way */
	/* what was seen */
	unsigned starts[POSITION_OUT_OF_RANGE + 1];
	size_t skipped, joined;
};

static struct history *history; /* of the test that runs */
static unsigned seed;
static char root[64];

#define promise(holds, ...)                                                                                  \
	do {                                                                                                 \
		if (!(holds)) {                                                                              \
			print_error(__VA_ARGS__);                                                            \
			fail_msg("in history MILLRACE_SEED=%u", seed);                                       \
		}                                                                                            \
	} while (0)

static bool chance(int percent)
{
	return rand() % 100 < percent;
}

static int64_t between(int64_t low, int64_t high)
{
	return high > low ? low + rand() % (high - low + 1) : low;
}

static const char *folder_of(const struct history *h, int owner)
{
	return h->dirs[h->shared ? 0 : owner];
}

/* ---- what may happen to the log and to the group ---- */

static void grow(struct history *h)
{
	h->high = between(h->high, LOG);
}

static void cut(struct history *h)
{
	h->low = between(h->low, h->low + 30 < h->high ? h->low + 30 : h->high);
}

static void commit_note(struct history *h, const struct position *position)
{
	struct buf metadata;
	buf_init(&metadata, h->metadata_limit);
	positions_encode(position, &metadata);
	h->commit.there = true;
	h->commit.offset = position->offset;
	h->commit.size = metadata.size;
	memcpy(h->commit.metadata, metadata.data, metadata.size);
	buf_free(&metadata);
}

/* From now on what is finished is what this position says: somebody wanted it so. */
static void begin_anew(struct history *h, const struct position *position)
{
	for (int64_t at = 0; at < LOG; at++)
		h->finished[at] = at < position->offset;
	for (size_t i = 0; i < position->range_count; i++)
		for (int64_t at = position->ranges[i].from; at < position->ranges[i].to; at++)
			h->finished[at] = true;
	for (int64_t at = 0; at < LOG; at++)
		h->ever[at] = h->ever[at] || h->finished[at];
	h->filed = false;
}

static void reset_by_foreign_tool(struct history *h)
{
	struct position there = {.offset = between(h->low, h->high)};
	begin_anew(h, &there);
	h->commit.there = true;
	h->commit.offset = there.offset;
	h->commit.size = (size_t)snprintf(
	        h->commit.metadata, sizeof h->commit.metadata, "%s", chance(50) ? "" : "set by hand");
}

static void reset_by_set(struct history *h)
{
	struct position there = {.offset = between(h->low, h->high), .until = -1};
	random_hex(there.lineage, sizeof there.lineage);
	begin_anew(h, &there);
	commit_note(h, &there);
}

static size_t read_folder(const struct history *h, int owner, struct checkpointfile **files)
{
	struct err err;
	size_t count;
	if (!checkpointfile_read_all(folder_of(h, owner), "g", "t", 0, files, &count, &err))
		fail_msg("%s", err.text);
	return count;
}

static void free_files(struct checkpointfile *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		checkpointfile_free(&files[i]);
	mem_free(files);
}

static struct position *positions_of(const struct checkpointfile *files, size_t count)
{
	struct position *positions = mem_zalloc(count, sizeof *positions);
	for (size_t i = 0; i < count; i++)
		positions[i] = files[i].position;
	return positions;
}

/* `offsets restore` of any file of this cluster. Its lineage stays where the folder that the command sees has
 * no more to say; other folders of other owners may. */
static void restore(struct history *h)
{
	struct checkpointfile *files;
	size_t count = read_folder(h, 0, &files), which = count ? (size_t)rand() % count : 0;
	if (count && h->shared && h->reliable && files[which].position.offset <= h->high &&
	        strcmp(files[which].position.cluster, CLUSTER) == 0) {
		struct position there = files[which].position, *positions = positions_of(files, count);
		bool exact = positions_exact(&there, positions, count, CLUSTER);
		begin_anew(h, &there);
		if (!exact) {
			random_hex(there.lineage, sizeof there.lineage);
			there.range_count = 0; /* they may not fit, and then they are done again */
			begin_anew(h, &there);
		}
		h->filed = exact && strcmp(files[0].position.lineage, there.lineage) == 0;
		commit_note(h, &there);
		mem_free(positions);
	}
	free_files(files, count);
}

/* Brokers forget, and the newest file of the owner's folder decides. Where that may be one of before the last
 * reset, it speaks of what was ever finished. */
static void forget_group(struct history *h)
{
	h->commit.there = false;
	for (int64_t at = 0; at < LOG && !(h->shared && h->reliable && h->filed); at++)
		h->finished[at] = h->finished[at] || h->ever[at];
}

/* A file newer than all others, by a clock far ahead, and cut off. */
static void damage(struct history *h)
{
	char *folder = checkpointfile_folder(folder_of(h, h->owner), "g", "t", 0);
	char *path = mem_printf("%s/20991122T132628123Z-00000000000000ff.json", folder);
	FILE *file = fopen(path, "w");
	if (file) {
		fputs("{\"version\":1,\"group\":\"g\",\"cluster\":\"cluster-1\",\"topic\":\"t\","
		      "\"partition\":0,",
		        file);
		fclose(file);
	}
	mem_free(path);
	mem_free(folder);
}

/* ---- files ---- */

static bool write_file(struct history *h, int owner, const struct note *note, const char *cluster)
{
	struct err err;
	struct checkpointfile file = {
	        .group = mem_strdup("g"), .topic = mem_strdup("t"), .position = note->position};
	/* Clocks of owners disagree, and are set back. */
	file.position.wall = h->clock + between(-100000, 100000);
	file.position.ranges = mem_alloc(sizeof note->ranges);
	memcpy(file.position.ranges, note->ranges, sizeof note->ranges);
	snprintf(file.position.cluster, sizeof file.position.cluster, "%s", cluster);
	if (!checkpointfile_write(folder_of(h, owner), &file, h->keep, &err))
		fail_msg("%s", err.text);
	checkpointfile_free(&file);
	return true;
}

static void plant_stranger(struct history *h)
{
	struct note note = {.position = {.offset = between(h->low, LOG), .until = -1}};
	random_hex(note.position.lineage, sizeof note.position.lineage);
	if (chance(50)) /* the worst: the lineage is the right one */
		memcpy(note.position.lineage, h->lineage, LINEAGE_SIZE);
	if (note.position.lineage[0])
		write_file(h, h->owner, &note, "cluster-2");
}

static void take_note(const struct history *h, struct note *note)
{
	*note = (struct note){.there = true,
	        .position = {.offset = offsets_safe(h->offsets), .until = -1, .partitions = 1}};
	memcpy(note->position.lineage, h->lineage, LINEAGE_SIZE);
	note->position.range_count = offsets_ranges(h->offsets, note->ranges, POSITION_RANGES_MAX);
}

static void commit_arrives(struct history *h)
{
	if (!h->sent.there)
		return;
	h->sent.position.ranges = h->sent.ranges;
	commit_note(h, &h->sent.position);
	h->sent.there = false;
}

/* Outputs acknowledged -> file -> commit; a crash may come between any two. False: it came. */
static bool checkpoint(struct history *h, bool may_crash)
{
	struct note note;
	commit_arrives(h);
	take_note(h, &note);
	if (!h->away && chance(90)) {
		if (!h->reliable && chance(5)) {
			int i = rand() % LATE; /* it hangs, and comes out of that some other day */
			h->late[i] = note;
			h->late_owner[i] = h->owner;
		} else {
			write_file(h, h->owner, &note, CLUSTER);
			h->filed = true;
		}
	}
	if (may_crash && chance(5))
		return false;
	h->sent = note;
	if (chance(70))
		commit_arrives(h);
	return true;
}

static void late_files_arrive(struct history *h)
{
	for (int i = 0; i < LATE; i++)
		if (h->late[i].there && chance(30)) {
			write_file(h, h->late_owner[i], &h->late[i], CLUSTER);
			h->late[i].there = false;
		}
}

/* ---- one owner's time ---- */

static void cover(struct history *h, const struct position *position)
{
	for (int64_t at = 0; at < LOG; at++)
		h->covered[at] = h->covered[at] || at < position->offset;
	for (size_t i = 0; i < position->range_count; i++)
		for (int64_t at = position->ranges[i].from; at < position->ranges[i].to; at++)
			h->covered[at] = true;
}

/* What the notes say, naively: each of them for itself. */
static void find_covered(
        struct history *h, const struct position *commit, const struct position *files, size_t count)
{
	memset(h->covered, 0, sizeof h->covered);
	if (commit == NULL)
		return;
	cover(h, commit);
	for (size_t i = 0; i < count && commit->lineage[0]; i++)
		if (strcmp(files[i].lineage, commit->lineage) == 0 && strcmp(files[i].cluster, CLUSTER) == 0)
			cover(h, &files[i]);
}

static void check_start(struct history *h, const struct position_decision *decision)
{
	promise(decision->offset >= h->low, "it starts at %lld, below the log\n",
	        (long long)decision->offset);
	for (int64_t at = h->low; at < decision->offset && at < LOG; at++)
		promise(h->finished[at] || h->absent[at],
		        "it starts at %lld: %lld is skipped and not finished\n", (long long)decision->offset,
		        (long long)at);
	bool again[LANES] = {false}; /* a record of the lane will be done again */
	size_t range = 0;
	for (int64_t at = decision->offset; at < LOG; at++) {
		while (range < decision->range_count && decision->ranges[range].to <= at)
			range++;
		bool skipped = range < decision->range_count && decision->ranges[range].from <= at;
		if (h->absent[at])
			continue;
		promise(!skipped || h->finished[at], "%lld is called finished and is not\n", (long long)at);
		if (h->lane[at] < 0)
			continue;
		promise(!skipped || !again[h->lane[at]], "an elder of %lld is done again after it\n",
		        (long long)at);
		again[h->lane[at]] = again[h->lane[at]] || !skipped;
	}
}

/* Finds out where to start as an inquiry does; the first commit of a new lineage before anything is taken. */
static void begin(struct history *h)
{
	static struct range ranges[POSITION_RANGES_MAX];
	static struct position_decision decision;
	struct checkpointfile *files = NULL;
	struct position commit;
	h->owner = rand() % OWNERS;
	h->away = !h->reliable && chance(15);
	size_t count = h->away ? 0 : read_folder(h, h->owner, &files);
	struct position *positions = positions_of(files, count);
	struct position_facts facts = {.files = positions,
	        .file_count = count,
	        .cluster = CLUSTER,
	        .low = h->low,
	        .high = h->high,
	        .configured_start = h->low};
	if (h->commit.there) {
		positions_decode(h->commit.metadata, h->commit.size, h->commit.offset, &commit, ranges);
		facts.commit = &commit;
	}
	positions_resolve(&facts, &decision);
	check_start(h, &decision);
	find_covered(h, facts.commit, positions, count);
	h->starts[decision.why]++;
	h->joined += decision.joined;
	h->offsets = offsets_open(decision.offset, decision.ranges, decision.range_count);
	memcpy(h->lineage, decision.lineage, LINEAGE_SIZE);
	if (decision.new_lineage)
		random_hex(h->lineage, LINEAGE_SIZE);
	mem_free(positions);
	free_files(files, count);
	if (decision.new_lineage) {
		struct note first;
		h->filed = false;
		take_note(h, &first);
		first.position.ranges = first.ranges;
		commit_note(h, &first.position);
	}
}

static void take(struct history *h)
{
	int64_t at = offsets_next(h->offsets);
	while (at < h->high && h->absent[at])
		at++;
	if (at >= h->high || h->open_count == OPEN_MOST)
		return;
	if (offsets_skip(h->offsets, at)) {
		promise(h->finished[at], "%lld is skipped and not finished\n", (long long)at);
		h->skipped++;
		return;
	}
	promise(!h->covered[at], "%lld is done again, although a note that could be read covers it\n",
	        (long long)at);
	h->open[h->open_count].offset = at;
	h->open[h->open_count++].ticket = offsets_begin(h->offsets, at);
}

static bool has_open_elder(const struct history *h, size_t which)
{
	int64_t offset = h->open[which].offset;
	for (size_t i = 0; i < h->open_count; i++)
		if (h->open[i].offset < offset && h->lane[h->open[i].offset] == h->lane[offset])
			return h->lane[offset] >= 0;
	return false;
}

/* The record that is chosen leaves: its elders in the lane must have left, in this life or an earlier one. */
static void check_order(const struct history *h, int64_t offset)
{
	for (int64_t at = h->low; at < offset && h->lane[offset] >= 0; at++)
		if (!h->absent[at] && h->lane[at] == h->lane[offset])
			promise(h->finished[at], "%lld leaves before its elder %lld\n", (long long)offset,
			        (long long)at);
}

static void finish(struct history *h)
{
	size_t which = h->open_count ? (size_t)rand() % h->open_count : 0;
	if (h->open_count == 0 || has_open_elder(h, which))
		return;
	check_order(h, h->open[which].offset);
	h->finished[h->open[which].offset] = h->ever[h->open[which].offset] = true;
	offsets_end(h->offsets, h->open[which].ticket);
	h->open[which] = h->open[--h->open_count];
}

static void end_life(struct history *h, bool clean)
{
	if (clean)
		checkpoint(h, false);
	if (clean || chance(50)) /* what was on its way arrives before the next owner asks, or never does */
		commit_arrives(h);
	h->sent.there = false;
	offsets_close(h->offsets);
	h->offsets = NULL;
	h->open_count = 0;
}

static void live(struct history *h, int steps)
{
	bool alive = true;
	for (int i = 0; alive && i < steps; i++) {
		int die = rand() % 100;
		if (die < 45)
			take(h);
		else if (die < 85)
			finish(h);
		else if (die < 93)
			alive = checkpoint(h, true);
		else if (die < 96)
			grow(h);
		else if (die < 98)
			commit_arrives(h);
		h->clock += rand() % 300;
	}
	end_life(h, alive && chance(40));
}

/* ---- one history ---- */

static void between_lives(struct history *h)
{
	int die = rand() % 100;
	if (die < 12)
		reset_by_foreign_tool(h);
	else if (die < 22)
		reset_by_set(h);
	else if (die < 30)
		restore(h);
	else if (die < 45)
		forget_group(h);
	if (chance(20))
		cut(h);
	if (chance(20))
		damage(h);
	if (chance(20))
		plant_stranger(h);
	late_files_arrive(h);
}

static void lay_out(struct history *h)
{
	*h = (struct history){.high = between(0, LOG / 3),
	        .keep = (unsigned)between(1, 4),
	        .metadata_limit = chance(30) ? (size_t)between(40, 120) : POSITION_METADATA_MAX,
	        .shared = chance(60),
	        .reliable = chance(60),
	        .clock = 1800000000000};
	for (int64_t at = 0; at < LOG; at++) {
		h->absent[at] = chance(8);
		h->lane[at] = chance(10) ? -1 : rand() % LANES;
	}
	for (int i = 0; i < OWNERS; i++) {
		snprintf(h->dirs[i], sizeof h->dirs[i], "%s/%u-%d", root, seed, i);
		assert_int_equal(mkdir(h->dirs[i], 0700), 0);
	}
}

/* A last owner that nobody disturbs: everything is done in the end. */
static void check_end(struct history *h)
{
	h->high = LOG;
	begin(h);
	while (offsets_next(h->offsets) < LOG || h->open_count) {
		int64_t next = offsets_next(h->offsets);
		take(h);
		finish(h);
		if (next == offsets_next(h->offsets) && h->open_count == 0)
			break; /* the rest of the log holds no records */
	}
	end_life(h, true);
	for (int64_t at = h->low; at < LOG; at++)
		promise(h->finished[at] || h->absent[at], "%lld was never finished\n", (long long)at);
}

static void run_history(unsigned number, struct history *h, unsigned starts[], size_t *skipped)
{
	seed = number;
	srand(seed);
	lay_out(h);
	for (int turn = 0; turn < TURNS; turn++) {
		begin(h);
		live(h, (int)between(0, 150));
		between_lives(h);
	}
	check_end(h);
	for (int why = 0; why <= POSITION_OUT_OF_RANGE; why++)
		starts[why] += h->starts[why];
	*skipped += h->skipped;
}

static unsigned number_of(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);
	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void no_history_skips_what_is_not_finished_or_reorders_a_lane(void **state)
{
	(void)state;
	unsigned starts[POSITION_OUT_OF_RANGE + 1] = {0}, given = number_of("MILLRACE_SEED", 0);
	unsigned rounds = given ? 1 : number_of("MILLRACE_ROUNDS", ROUNDS);
	size_t skipped = 0;
	for (unsigned i = 0; i < rounds; i++)
		run_history(given ? given : 1000 + i, history, starts, &skipped);
	if (given)
		return;
	/* They went everywhere, or they would prove nothing. */
	assert_true(skipped > rounds);
	assert_true(starts[POSITION_COMMIT] > rounds && starts[POSITION_FOREIGN] && starts[POSITION_FILE] &&
	            starts[POSITION_START] && starts[POSITION_OUT_OF_RANGE]);
}

static int remove_entry(const char *path, const struct stat *about, int flag, struct FTW *place)
{
	(void)about, (void)flag, (void)place;
	return remove(path);
}

static int open_world(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	history = mem_zalloc(1, sizeof *history);
	strcpy(root, "/dev/shm/millrace-histories-XXXXXX"); /* memory: thousands of files are flushed */
	if (mkdtemp(root))
		return 0;
	strcpy(root, "/tmp/millrace-histories-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int close_world(void **state)
{
	(void)state;
	mem_free(history);
	return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(no_history_skips_what_is_not_finished_or_reorders_a_lane),
	};
	return cmocka_run_group_tests(tests, open_world, close_world);
}
