/* A store that fails or hangs is given up, told, and taken up again; nobody waits for it longer than it has.
 */
#include "checkpoint.h"
#include "checkpoint_reader.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "unit.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* A disk that does as it is told. */
static atomic_bool broken, hanging, one_refused;
static atomic_int tests_made, files_written, prunes;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char group[32], topic[32], cluster[64], script[DIGEST_HEX];
	int32_t partition;
	int64_t offset, wall;
	size_t ranges;
	unsigned keep;
} last;

static bool answer(struct err *err)
{
	while (atomic_load(&hanging))
		usleep(1000);
	return !atomic_load(&broken) || err_set(err, "the disk is full");
}

static bool disk_test(const char *dir, const char *group, struct err *err)
{
	(void)dir, (void)group;
	atomic_fetch_add(&tests_made, 1);
	return answer(err);
}

static void disk_prune(const char *dir, const char *group, unsigned keep)
{
	(void)dir, (void)group, (void)keep;
	atomic_fetch_add(&prunes, 1);
}

static bool disk_write(const char *dir, struct checkpointfile *file, unsigned keep, struct err *err)
{
	(void)dir;
	if (!answer(err) || (atomic_load(&one_refused) && file->partition == 1))
		return false;
	pthread_mutex_lock(&mutex);
	snprintf(last.group, sizeof last.group, "%s", file->group);
	snprintf(last.topic, sizeof last.topic, "%s", file->topic);
	snprintf(last.cluster, sizeof last.cluster, "%s", file->position.cluster);
	snprintf(last.script, sizeof last.script, "%s", file->script);
	last.partition = file->partition;
	last.offset = file->position.offset;
	last.wall = file->position.wall;
	last.ranges = file->position.range_count;
	last.keep = keep;
	pthread_mutex_unlock(&mutex);
	atomic_fetch_add(&files_written, 1);
	return true;
}

static bool disk_read_all(const char *dir, const char *group, const char *topic, int32_t partition,
        struct checkpointfile **files, size_t *count, struct err *err)
{
	(void)dir;
	*count = 0;
	*files = NULL;
	if (!answer(err))
		return false;
	*files = mem_zalloc(2, sizeof **files);
	for (*count = 0; *count < 2; ++*count) {
		struct checkpointfile *file = &(*files)[*count];
		file->group = mem_strdup(group);
		file->topic = mem_strdup(topic);
		file->partition = partition;
		file->position.offset = 20 - 10 * (int64_t)*count;
		file->position.ranges = mem_zalloc(1, sizeof(struct range));
		file->position.range_count = 1;
	}
	return true;
}

static const struct checkpointfile_disk disk = {disk_test, disk_prune, disk_write, disk_read_all};

struct fixture {
	struct event_base *base;
	struct metrics *metrics;
	struct checkpoint *store;
	const struct source_checkpoints *verbs;
};

static struct fixture open_store(void)
{
	struct checkpoint_config config = {
	        .dir = "/d", .group = "g", .keep = 4, .deadline_ms = 400, .probe_ms = 50, .disk = &disk};
	struct fixture fixture = {event_base_new(), metrics_open(), NULL, NULL};
	struct err err;
	fixture.store = checkpoint_open(fixture.base, &config, fixture.metrics, &err);
	assert_non_null(fixture.store);
	fixture.verbs = checkpoint_verbs(fixture.store);
	return fixture;
}

static void close_store(struct fixture *fixture)
{
	checkpoint_close(fixture->store);
	metrics_close(fixture->metrics);
	event_base_free(fixture->base);
}

static int begin(void **state)
{
	(void)state;
	atomic_store(&broken, false);
	atomic_store(&hanging, false);
	atomic_store(&one_refused, false);
	atomic_store(&tests_made, 0);
	atomic_store(&files_written, 0);
	atomic_store(&prunes, 0);
	memset(&last, 0, sizeof last);
	return 0;
}

static double counted(const struct fixture *fixture, const char *outcome)
{
	return *metrics_value(fixture->metrics, METRIC_CHECKPOINT_WRITES, outcome);
}

static void turn(const struct fixture *fixture)
{
	event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	usleep(1000);
}

static bool write_notes(const struct fixture *fixture, size_t count, int64_t offset)
{
	struct range ranges[] = {{offset + 5, offset + 6}};
	struct source_note notes[3];
	for (size_t i = 0; i < count; i++) {
		notes[i] = (struct source_note){"in", (int32_t)i,
		        {.offset = offset, .cluster = "c", .until = -1, .ranges = ranges, .range_count = 1}};
	}
	return fixture->verbs->write(fixture->verbs->context, notes, count);
}

static enum source_writing outcome(const struct fixture *fixture)
{
	return fixture->verbs->outcome(fixture->verbs->context);
}

#define TURN_UNTIL(fixture, what)                                                                            \
	do {                                                                                                 \
		int64_t turn_deadline = clock_now() + 10000;                                                 \
		while (!(what)) {                                                                            \
			if (clock_now() > turn_deadline)                                                     \
				fail_msg("in vain waited for: %s", #what);                                   \
			turn(fixture);                                                                       \
		}                                                                                            \
	} while (0)

static void what_is_noted_is_written_with_the_script_that_runs(void **state)
{
	(void)state;
	struct fixture f = open_store();
	checkpoint_use_script(f.store, "abc");
	TURN_UNTIL(&f, write_notes(&f, 3, 100));
	assert_int_equal(outcome(&f), SOURCE_WRITING);
	assert_false(write_notes(&f, 1, 101)); /* one at a time */
	TURN_UNTIL(&f, outcome(&f) != SOURCE_WRITING);
	assert_int_equal(outcome(&f), SOURCE_WRITTEN);
	assert_int_equal(atomic_load(&files_written), 3);
	assert_string_equal(last.group, "g");
	assert_string_equal(last.topic, "in");
	assert_string_equal(last.cluster, "c");
	assert_string_equal(last.script, "abc");
	assert_int_equal(last.partition, 2);
	assert_true(last.offset == 100 && last.ranges == 1 && last.keep == 4 && last.wall > 1700000000000);
	assert_true(counted(&f, "ok") == 3 && counted(&f, "failed") == 0 && counted(&f, "skipped") >= 1);
	assert_true(*metrics_value(f.metrics, METRIC_LAST_CHECKPOINT, NULL) > 1700000000);
	assert_int_equal(atomic_load(&prunes), 1);
	close_store(&f);
}

static void a_store_that_fails_its_test_is_written_to_once_it_passes(void **state)
{
	(void)state;
	atomic_store(&broken, true);
	struct fixture f = open_store();
	for (int i = 0; i < 200; i++) {
		assert_false(write_notes(&f, 1, i));
		turn(&f);
	}
	int made = atomic_load(&tests_made);
	assert_true(made >= 2 && made < 30);
	assert_int_equal(atomic_load(&files_written), 0);
	assert_int_equal(atomic_load(&prunes), 0);
	atomic_store(&broken, false);
	TURN_UNTIL(&f, write_notes(&f, 1, 1000));
	TURN_UNTIL(&f, outcome(&f) == SOURCE_WRITTEN);
	close_store(&f);
}

static void a_disk_that_fills_up_is_away_until_there_is_room(void **state)
{
	(void)state;
	struct fixture f = open_store();
	TURN_UNTIL(&f, write_notes(&f, 1, 1));
	TURN_UNTIL(&f, outcome(&f) == SOURCE_WRITTEN);
	atomic_store(&broken, true);
	assert_true(write_notes(&f, 2, 2));
	TURN_UNTIL(&f, outcome(&f) == SOURCE_NOT_WRITTEN);
	assert_true(counted(&f, "failed") == 2);
	assert_false(write_notes(&f, 2, 3));
	atomic_store(&broken, false);
	TURN_UNTIL(&f, write_notes(&f, 2, 4));
	TURN_UNTIL(&f, outcome(&f) == SOURCE_WRITTEN);
	close_store(&f);
}

static void a_store_that_hangs_is_given_up_in_time_and_taken_up_again(void **state)
{
	(void)state;
	struct fixture f = open_store();
	TURN_UNTIL(&f, write_notes(&f, 1, 1));
	TURN_UNTIL(&f, outcome(&f) == SOURCE_WRITTEN);
	atomic_store(&hanging, true);
	assert_true(write_notes(&f, 2, 2));
	TURN_UNTIL(&f, outcome(&f) == SOURCE_NOT_WRITTEN);
	assert_true(counted(&f, "late") == 2);
	int made = atomic_load(&tests_made);
	for (int i = 0; i < 100; i++) { /* no second job behind the one that hangs */
		assert_false(write_notes(&f, 1, 3));
		turn(&f);
	}
	assert_int_equal(atomic_load(&tests_made), made);
	atomic_store(&hanging, false);
	TURN_UNTIL(&f, write_notes(&f, 1, 4));
	TURN_UNTIL(&f, outcome(&f) == SOURCE_WRITTEN);
	assert_true(last.offset == 4);
	close_store(&f);
}

static void a_store_that_hangs_from_the_start_holds_nothing_up(void **state)
{
	(void)state;
	atomic_store(&hanging, true);
	struct fixture f = open_store();
	for (int i = 0; i < 500; i++) {
		assert_false(write_notes(&f, 1, i));
		turn(&f);
	}
	assert_int_equal(atomic_load(&tests_made), 1);
	atomic_store(&hanging, false);
	TURN_UNTIL(&f, write_notes(&f, 1, 4));
	close_store(&f);
}

static void one_partition_that_cannot_be_written_takes_no_other_with_it(void **state)
{
	(void)state;
	struct fixture f = open_store();
	atomic_store(&one_refused, true);
	TURN_UNTIL(&f, write_notes(&f, 3, 1));
	TURN_UNTIL(&f, outcome(&f) == SOURCE_NOT_WRITTEN);
	assert_true(counted(&f, "ok") == 2 && counted(&f, "failed") == 1);
	assert_true(write_notes(&f, 3, 2)); /* it is not away */
	TURN_UNTIL(&f, outcome(&f) == SOURCE_NOT_WRITTEN);
	assert_true(last.offset == 2);
	close_store(&f);
}

static void files_are_read_as_positions(void **state)
{
	(void)state;
	struct fixture f = open_store();
	struct position *positions;
	size_t count = f.verbs->read(f.verbs->context, "in", 0, &positions);
	assert_int_equal(count, 2);
	assert_true(positions[0].offset == 20 && positions[1].offset == 10 && positions[1].range_count == 1);
	f.verbs->release(f.verbs->context, positions, count);
	atomic_store(&broken, true);
	assert_int_equal(f.verbs->read(f.verbs->context, "in", 0, &positions), 0);
	f.verbs->release(f.verbs->context, positions, 0);
	close_store(&f);
}

static void reading_waits_for_a_store_that_hangs_once_and_then_no_more(void **state)
{
	(void)state;
	struct checkpoint_reader *reader = checkpoint_reader_open(&disk, "/d", "g", 50);
	struct checkpointfile *files;
	size_t count;
	struct err err;
	atomic_store(&hanging, true);
	assert_false(checkpoint_reader_read(reader, "in", 0, &files, &count, &err));
	assert_non_null(strstr(err.text, "/d has not answered after 50 ms"));
	int64_t began = clock_now_ns();
	for (int i = 0; i < 100; i++)
		assert_false(checkpoint_reader_read(reader, "in", i, &files, &count, &err));
	assert_true(clock_now_ns() - began < 100 * 50 * 1000000ll); /* none of them waited */
	atomic_store(&hanging, false);
	int64_t deadline = clock_now() + 10000;
	while (!checkpoint_reader_read(reader, "in", 0, &files, &count, &err) && clock_now() < deadline)
		usleep(1000);
	assert_int_equal(count, 2);
	checkpointfile_free(&files[0]);
	checkpointfile_free(&files[1]);
	mem_free(files);
	checkpoint_reader_close(reader);
}

static void a_reader_that_is_closed_leaves_a_hanging_thread_in_peace(void **state)
{
	(void)state;
	struct checkpoint_reader *reader = checkpoint_reader_open(&disk, "/d", "g", 20);
	struct checkpointfile *files;
	size_t count;
	atomic_store(&hanging, true);
	assert_false(checkpoint_reader_read(reader, "in", 0, &files, &count, NULL));
	checkpoint_reader_close(reader);
	atomic_store(&hanging, false);
	usleep(20000); /* the thread comes back and frees what it had */
}

#define STORY(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        STORY(what_is_noted_is_written_with_the_script_that_runs),
	        STORY(a_store_that_fails_its_test_is_written_to_once_it_passes),
	        STORY(a_disk_that_fills_up_is_away_until_there_is_room),
	        STORY(a_store_that_hangs_is_given_up_in_time_and_taken_up_again),
	        STORY(a_store_that_hangs_from_the_start_holds_nothing_up),
	        STORY(one_partition_that_cannot_be_written_takes_no_other_with_it),
	        STORY(files_are_read_as_positions),
	        STORY(reading_waits_for_a_store_that_hangs_once_and_then_no_more),
	        STORY(a_reader_that_is_closed_leaves_a_hanging_thread_in_peace),
	};
	evthread_use_pthreads();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
