/* Where a partition starts: positions are joined, a foreign commit wins alone, nothing unfinished is skipped.
 */
#include "positions.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define OURS "00000000000000aa"
#define THEIRS "00000000000000bb"

static struct position_decision decision;

static struct position file_of(const char *lineage, const char *cluster, int64_t offset, int64_t wall)
{
	struct position file = {.offset = offset, .wall = wall, .until = -1};
	snprintf(file.lineage, sizeof file.lineage, "%s", lineage);
	snprintf(file.cluster, sizeof file.cluster, "%s", cluster);
	return file;
}

static struct position commit_of(const char *lineage, int64_t offset)
{
	return file_of(lineage, "", offset, 0);
}

static struct position_facts facts_of(
        const struct position *commit, const struct position *files, size_t count)
{
	return (struct position_facts){.commit = commit,
	        .files = files,
	        .file_count = count,
	        .cluster = "c1",
	        .low = 100,
	        .high = 1000,
	        .configured_start = 1000};
}

static void nothing_known_starts_where_the_configuration_says(void **state)
{
	(void)state;
	struct position_facts facts = facts_of(NULL, NULL, 0);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_START);
	assert_int_equal(decision.offset, 1000);
	assert_true(decision.new_lineage);
	assert_string_equal(decision.lineage, "");
	assert_int_equal(decision.until, -1);
}

static void a_new_partition_of_a_known_topic_starts_at_its_beginning(void **state)
{
	(void)state;
	struct position_facts facts = facts_of(NULL, NULL, 0);
	facts.topic_known = true;
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_BEGINNING);
	assert_int_equal(decision.offset, 100);
	assert_true(decision.new_lineage);
}

static void a_commit_and_its_files_are_joined(void **state)
{
	(void)state;
	struct range in_commit[] = {{420, 430}, {500, 510}};
	struct range in_file[] = {{405, 421}, {700, 701}};
	struct position commit = commit_of(OURS, 400), file = file_of(OURS, "c1", 390, 5);
	commit.ranges = in_commit;
	commit.range_count = 2;
	commit.until = 900;
	commit.partitions = 3;
	file.ranges = in_file;
	file.range_count = 2;
	struct position_facts facts = facts_of(&commit, &file, 1);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_COMMIT);
	assert_int_equal(decision.offset, 400);
	assert_int_equal(decision.range_count, 3);
	assert_int_equal(decision.ranges[0].from, 405);
	assert_int_equal(decision.ranges[0].to, 430);
	assert_int_equal(decision.ranges[2].from, 700);
	assert_false(decision.new_lineage);
	assert_string_equal(decision.lineage, OURS);
	assert_int_equal(decision.until, 900);
	assert_int_equal(decision.partitions, 3);
}

static void a_file_that_is_ahead_of_the_commit_counts(void **state)
{
	(void)state;
	struct range behind[] = {{450, 470}};
	struct position commit = commit_of(OURS, 400), file = file_of(OURS, "c1", 450, 5);
	commit.ranges = behind;
	commit.range_count = 1;
	struct position_facts facts = facts_of(&commit, &file, 1);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.offset, 470); /* what is finished right there is passed over */
	assert_int_equal(decision.range_count, 0);
}

static void files_of_another_lineage_or_cluster_are_dead(void **state)
{
	(void)state;
	struct position commit = commit_of(OURS, 400);
	struct position files[] = {
	        file_of(THEIRS, "c1", 800, 9), file_of(OURS, "c2", 900, 9), file_of(OURS, "", 950, 9)};
	struct position_facts facts = facts_of(&commit, files, 3);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_COMMIT);
	assert_int_equal(decision.offset, 400);
}

static void a_commit_that_is_not_ours_wins_alone(void **state)
{
	(void)state;
	struct position commit = commit_of("", 300), file = file_of(OURS, "c1", 800, 9);
	struct position_facts facts = facts_of(&commit, &file, 1);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_FOREIGN);
	assert_int_equal(decision.offset, 300);
	assert_true(decision.new_lineage);
	commit.offset = 50;
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_OUT_OF_RANGE);
	assert_int_equal(decision.offset, 100);
	assert_int_equal(decision.gap, 50);
	assert_true(decision.new_lineage);
}

static void without_a_commit_the_newest_file_of_this_cluster_decides(void **state)
{
	(void)state;
	struct position files[] = {file_of(OURS, "c1", 500, 10), file_of(THEIRS, "c1", 700, 8),
	        file_of(THEIRS, "c2", 900, 20), file_of(OURS, "c1", 510, 9)};
	struct position_facts facts = facts_of(NULL, files, 4);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_FILE);
	assert_string_equal(decision.lineage, OURS);
	assert_int_equal(decision.offset, 510); /* an older file of its lineage is ahead */
	assert_false(decision.new_lineage);
}

static void what_the_log_has_dropped_is_a_gap_that_is_counted(void **state)
{
	(void)state;
	struct range finished[] = {{80, 90}, {98, 105}, {200, 210}};
	struct position commit = commit_of(OURS, 70);
	commit.ranges = finished;
	commit.range_count = 3;
	struct position_facts facts = facts_of(&commit, NULL, 0);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_OUT_OF_RANGE);
	assert_int_equal(decision.gap, 18); /* 70..99 without 80..89 and 98, 99 */
	assert_int_equal(decision.offset, 105);
	assert_int_equal(decision.range_count, 1);
	assert_false(decision.new_lineage);
}

static void a_position_beyond_the_end_is_kept_until_the_broker_refuses_it(void **state)
{
	(void)state;
	struct position commit = commit_of(OURS, 5000);
	struct position_facts facts = facts_of(&commit, NULL, 0);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.offset, 5000);
	assert_int_equal(decision.why, POSITION_COMMIT);
	facts.refused = true;
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.why, POSITION_OUT_OF_RANGE);
	assert_int_equal(decision.offset, 100);
	assert_true(decision.new_lineage);
}

static void members_that_start_a_fresh_group_together_do_not_fool_each_other(void **state)
{
	(void)state;
	struct position others[] = {commit_of(OURS, 10), commit_of(OURS, 20)};
	others[0].partitions = others[1].partitions = 4;
	assert_false(positions_appeared_later(3, others, 2));
	assert_true(positions_appeared_later(4, others, 2));
	assert_false(positions_appeared_later(0, others, 0));
	others[1].lineage[0] = '\0'; /* another program's commit */
	assert_true(positions_appeared_later(3, others, 2));
}

static void every_reason_has_a_sentence(void **state)
{
	(void)state;
	decision.joined = 1;
	for (int why = POSITION_COMMIT; why <= POSITION_OUT_OF_RANGE; why++) {
		decision.why = (enum position_why)why;
		assert_true(strlen(position_why_text(&decision)) > 20);
	}
}

static void files_are_spoken_of_only_where_there_were_any(void **state)
{
	(void)state;
	struct position commit = commit_of(OURS, 400);
	struct position files[] = {file_of(THEIRS, "c1", 800, 9), file_of(OURS, "c2", 900, 9),
	        file_of(OURS, "", 950, 9), file_of(OURS, "c1", 390, 9)};
	struct position_facts facts = facts_of(&commit, files, 3);
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.joined, 0);
	assert_int_equal(decision.strangers, 2);
	assert_string_equal(position_why_text(&decision), "the group's commit");
	facts.file_count = 4;
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.joined, 1);
	assert_non_null(strstr(position_why_text(&decision), "checkpoints"));
	facts.commit = NULL;
	facts.file_count = 0;
	positions_resolve(&facts, &decision);
	assert_int_equal(decision.joined, 0);
	assert_int_equal(decision.strangers, 0);
}

static size_t random_ranges(int64_t offset, struct range *ranges, size_t count)
{
	int64_t at = offset;
	for (size_t i = 0; i < count; i++) {
		int64_t from = at + 1 + (rand() % 4 ? rand() % 10 : (int64_t)rand() * 1000);
		ranges[i] = (struct range){from, from + 1 + rand() % 1000};
		at = ranges[i].to;
	}
	return count;
}

static void what_is_encoded_comes_back(void **state)
{
	(void)state;
	struct range ranges[POSITION_RANGES_MAX], back[POSITION_RANGES_MAX];
	for (unsigned seed = 1; seed <= 500; seed++) {
		srand(seed);
		struct position position = commit_of(OURS, rand() % 3 ? rand() : (int64_t)1 << 50), read;
		position.until = rand() % 2 ? -1 : position.offset + rand();
		position.partitions = rand() % 2 ? 0 : rand() % 100;
		position.ranges = ranges;
		position.range_count =
		        random_ranges(position.offset, ranges, (size_t)rand() % (POSITION_RANGES_MAX + 1));
		struct buf out;
		buf_init(&out, 0);
		positions_encode(&position, &out);
		assert_true(out.size <= POSITION_METADATA_MAX);
		assert_true(positions_decode(out.data, out.size, position.offset, &read, back));
		assert_string_equal(read.lineage, position.lineage);
		assert_int_equal(read.until, position.until);
		assert_int_equal(read.partitions, position.partitions);
		assert_true(read.range_count <= position.range_count);
		if (position.range_count < 100)
			assert_int_equal(read.range_count, position.range_count);
		assert_memory_equal(back, ranges, read.range_count * sizeof *ranges);
		buf_free(&out);
	}
}

static void what_one_position_has_finished_beyond_another_is_counted(void **state)
{
	(void)state;
	struct range some[] = {{20, 25}, {30, 32}}, other[] = {{22, 31}};
	struct position a = commit_of(OURS, 15), b = commit_of(OURS, 10);
	assert_int_equal(positions_beyond(&a, &b, 0), 5);
	assert_int_equal(positions_beyond(&b, &a, 0), 0);
	assert_int_equal(positions_beyond(&a, &b, 12), 3);
	a.ranges = some;
	a.range_count = 2;
	b.ranges = other;
	b.range_count = 1;
	assert_int_equal(positions_beyond(&a, &b, 0), 5 + 2 + 1); /* 10..14, 20 and 21, 31 */
	assert_int_equal(positions_beyond(&b, &a, 0), 5);         /* 25..29 */
	b.offset = 100;
	b.range_count = 0;
	assert_int_equal(positions_beyond(&a, &b, 0), 0);
	assert_int_equal(positions_beyond(&b, &a, 0), 85 - 7);
}

/* One more range would not have fitted: nothing is left out that has room. */
static void the_metadata_is_filled_to_its_last_byte(void **state)
{
	(void)state;
	struct range ranges[POSITION_RANGES_MAX], back[POSITION_RANGES_MAX];
	for (unsigned seed = 1; seed <= 200; seed++) {
		srand(seed);
		struct position position = commit_of(OURS, rand()), read;
		position.ranges = ranges;
		position.range_count = random_ranges(position.offset, ranges, POSITION_RANGES_MAX);
		struct buf out, more;
		buf_init(&out, 0);
		buf_init(&more, 0);
		positions_encode(&position, &out);
		assert_true(out.size <= POSITION_METADATA_MAX);
		assert_true(positions_decode(out.data, out.size, position.offset, &read, back));
		size_t fitted = read.range_count;
		assert_in_range(fitted, 300, POSITION_RANGES_MAX - 1);
		buf_printf(&more, "+%lld+%lld", (long long)(ranges[fitted].from - ranges[fitted - 1].to),
		        (long long)(ranges[fitted].to - ranges[fitted].from));
		assert_true(out.size + more.size > POSITION_METADATA_MAX);
		buf_free(&out);
		buf_free(&more);
	}
}

static void a_tighter_limit_leaves_the_higher_ranges_out(void **state)
{
	(void)state;
	struct range ranges[] = {{11, 12}, {13, 14}, {15, 16}}, back[POSITION_RANGES_MAX];
	struct position position = commit_of(OURS, 10), read;
	position.ranges = ranges;
	position.range_count = 3;
	struct buf out;
	buf_init(&out, strlen("mr1;l=") + strlen(OURS) + strlen(";r=+1+1+1+1"));
	positions_encode(&position, &out);
	assert_string_equal(out.data, "mr1;l=" OURS ";r=+1+1+1+1");
	assert_true(positions_decode(out.data, out.size, 10, &read, back));
	assert_int_equal(read.range_count, 2);
	buf_free(&out);
}

static void metadata_of_others_is_not_ours(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "m", "mr1", "mr2;l=" OURS, "mr1;l=00000000000000AA",
	        "mr1;l=" OURS ";r=", "mr1;l=" OURS ";r=+1", "mr1;l=" OURS ";r=+1+0",
	        "mr1;l=" OURS ";u=", "mr1;l=" OURS ";u=-4", "mr1;l=" OURS ";u=99999999999999999999",
	        "mr1;l=" OURS ";l=" OURS, "mr1;l=" OURS "x",
	        "mr1;l=" OURS ";r=+9223372036854775807+9223372036854775807", "mr1;u=4", "1700000000"};
	struct range ranges[POSITION_RANGES_MAX];
	struct position position;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (positions_decode(texts[i], strlen(texts[i]), 7, &position, ranges))
			fail_msg("taken for ours: %s", texts[i]);
		assert_int_equal(position.offset, 7);
		assert_string_equal(position.lineage, "");
	}
	const char *later = "mr1;x=whatever;l=" OURS;
	assert_true(positions_decode(later, strlen(later), 7, &position, ranges));
}

static void garbage_never_crashes(void **state)
{
	(void)state;
	static const char seed[] = "mr1;l=" OURS ";p=4;u=900;r=+1+1+20+3+4+5+6+7";
	static const char letters[] = "+0123456789;=lrupa\0\xff";
	struct range ranges[POSITION_RANGES_MAX];
	struct position position;
	srand(11);
	for (int round = 0; round < 200000; round++) {
		size_t size = sizeof seed - 1 - (rand() % 8 ? 0 : (size_t)rand() % sizeof seed % 40);
		char *text = mem_alloc(size); /* exactly sized, so that a sanitizer sees a step beyond */
		memcpy(text, seed, size);
		for (int changes = rand() % 4; changes > 0; changes--)
			text[(size_t)rand() % size] = letters[(size_t)rand() % (sizeof letters - 1)];
		if (positions_decode(text, size, rand(), &position, ranges))
			for (size_t i = 0; i < position.range_count; i++)
				assert_true(
				        ranges[i].to > ranges[i].from && ranges[i].from >= position.offset);
		mem_free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_known_starts_where_the_configuration_says),
	        cmocka_unit_test(a_new_partition_of_a_known_topic_starts_at_its_beginning),
	        cmocka_unit_test(a_commit_and_its_files_are_joined),
	        cmocka_unit_test(a_file_that_is_ahead_of_the_commit_counts),
	        cmocka_unit_test(files_of_another_lineage_or_cluster_are_dead),
	        cmocka_unit_test(a_commit_that_is_not_ours_wins_alone),
	        cmocka_unit_test(without_a_commit_the_newest_file_of_this_cluster_decides),
	        cmocka_unit_test(what_the_log_has_dropped_is_a_gap_that_is_counted),
	        cmocka_unit_test(a_position_beyond_the_end_is_kept_until_the_broker_refuses_it),
	        cmocka_unit_test(members_that_start_a_fresh_group_together_do_not_fool_each_other),
	        cmocka_unit_test(every_reason_has_a_sentence),
	        cmocka_unit_test(files_are_spoken_of_only_where_there_were_any),
	        cmocka_unit_test(what_is_encoded_comes_back),
	        cmocka_unit_test(what_one_position_has_finished_beyond_another_is_counted),
	        cmocka_unit_test(the_metadata_is_filled_to_its_last_byte),
	        cmocka_unit_test(a_tighter_limit_leaves_the_higher_ranges_out),
	        cmocka_unit_test(metadata_of_others_is_not_ours),
	        cmocka_unit_test(garbage_never_crashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
