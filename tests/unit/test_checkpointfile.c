/* A checkpoint file is whole or it is not there; what is damaged is told apart from what is good. */
#include "checkpointfile.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int remove_entry(const char *path, const struct stat *about, int flag, struct FTW *place)
{
	(void)about, (void)flag, (void)place;
	return remove(path);
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/millrace-checkpoint-XXXXXX");
	log_set_level(LOG_ERROR);
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char lineage[] = "9f86d081884c7d65";

static struct checkpointfile file_at(int64_t offset, int64_t wall)
{
	struct checkpointfile file = {.group = mem_strdup("a group"),
	        .topic = mem_strdup("in.v1"),
	        .partition = 2,
	        .position = {.offset = offset, .wall = wall, .until = -1}};
	strcpy(file.position.lineage, lineage);
	strcpy(file.position.cluster, "cluster-1");
	return file;
}

static void write_at(int64_t offset, int64_t wall, unsigned keep)
{
	struct err err;
	struct checkpointfile file = file_at(offset, wall);
	if (!checkpointfile_write(dir, &file, keep, &err))
		fail_msg("%s", err.text);
	checkpointfile_free(&file);
}

/* The offsets of the good files, newest first: "30 20 10 ". */
static const char *offsets_there(void)
{
	static char text[1024];
	struct checkpointfile *files;
	size_t count;
	struct err err;
	text[0] = '\0';
	if (!checkpointfile_read_all(dir, "a group", "in.v1", 2, &files, &count, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < count; i++) {
		snprintf(text + strlen(text), 32, "%lld ", (long long)files[i].position.offset);
		checkpointfile_free(&files[i]);
	}
	mem_free(files);
	return text;
}

static char *folder(void)
{
	return checkpointfile_folder(dir, "a group", "in.v1", 2);
}

/* Path of the n-th newest entry of the folder that ends so. */
static char *entry(size_t n, const char *end)
{
	struct dirent **names;
	char *path = NULL, *where = folder();
	int count = scandir(where, &names, NULL, alphasort);
	assert_true(count >= 0);
	for (int i = count - 1; i >= 0; i--) {
		size_t size = strlen(names[i]->d_name);
		if (path == NULL && size > strlen(end) &&
		        strcmp(names[i]->d_name + size - strlen(end), end) == 0 && n-- == 0)
			path = mem_printf("%s/%s", where, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	mem_free(where);
	return path;
}

static size_t entries(void)
{
	size_t count = 0;
	char *path;
	while ((path = entry(count, "")) != NULL) {
		mem_free(path);
		count++;
	}
	return count - 2; /* . and .. */
}

static void overwrite(const char *path, const char *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
	assert_true(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

static void what_is_written_is_read_back(void **state)
{
	(void)state;
	struct range ranges[] = {{130, 140}, {150, 151}, {INT64_MAX - 2, INT64_MAX}};
	struct checkpointfile file = file_at(120, 1763818000123), back;
	struct buf text;
	struct err err;
	mem_free(file.group);
	file.group = mem_strdup("a \"group\" \\ /\tof\x01 \xc3\xa4");
	file.position.ranges = ranges;
	file.position.range_count = 3;
	file.position.until = 900;
	file.position.partitions = 12;
	memset(file.script, 'a', DIGEST_HEX - 1);
	buf_init(&text, 0);
	checkpointfile_print(&file, &text);
	if (!checkpointfile_parse(text.data, text.size, &back, &err))
		fail_msg("%s\n%s", err.text, text.data);
	assert_string_equal(back.group, file.group);
	assert_string_equal(back.topic, "in.v1");
	assert_string_equal(back.script, file.script);
	assert_string_equal(back.position.lineage, lineage);
	assert_string_equal(back.position.cluster, "cluster-1");
	assert_int_equal(back.partition, 2);
	assert_true(back.position.offset == 120 && back.position.wall == 1763818000123);
	assert_true(back.position.until == 900 && back.position.partitions == 12);
	assert_int_equal(back.position.range_count, 3);
	assert_memory_equal(back.position.ranges, ranges, sizeof ranges);
	file.position.ranges = NULL;
	checkpointfile_free(&file);
	checkpointfile_free(&back);
	buf_free(&text);
}

static void no_changed_byte_and_no_cut_passes(void **state)
{
	(void)state;
	struct checkpointfile file = file_at(120, 1763818000123), back;
	struct buf text;
	buf_init(&text, 0);
	checkpointfile_print(&file, &text);
	for (size_t i = 0; i < text.size; i++) {
		text.data[i] ^= 1;
		assert_false(checkpointfile_parse(text.data, text.size, &back, NULL));
		text.data[i] ^= 1;
		assert_false(checkpointfile_parse(text.data, i, &back, NULL));
	}
	assert_true(checkpointfile_parse(text.data, text.size, &back, NULL));
	checkpointfile_free(&file);
	checkpointfile_free(&back);
	buf_free(&text);
}

/* Puts a right checksum under any text. */
static bool parse_sealed(const char *text, struct checkpointfile *file, struct err *err)
{
	struct buf all;
	char digest[DIGEST_HEX];
	struct bytes bytes = {text, strlen(text)};
	digest_hex(DIGEST_SHA256, &bytes, 1, digest);
	buf_init(&all, 0);
	buf_printf(&all, "%s,\"sha256\":\"%s\"}\n", text, digest);
	bool good = checkpointfile_parse(all.data, all.size, file, err);
	buf_free(&all);
	return good;
}

#define REST                                                                                                 \
	"\"group\":\"g\",\"cluster\":\"c\",\"topic\":\"t\",\"partition\":0,\"lineage\":"                     \
	"\"9f86d081884c7d65\","                                                                              \
	"\"time\":\"2026-11-22T13:26:28.123Z\""

static void members_of_a_later_version_are_passed_over(void **state)
{
	(void)state;
	struct checkpointfile file;
	struct err err;
	if (!parse_sealed("{\"version\":1,\"new\":{\"a\":[1,{\"b\":\"}]\\\"\"}],\"c\":null},\"offset\":7,"
	                  "\"x\":-1.5e3," REST,
	            &file, &err))
		fail_msg("%s", err.text);
	assert_true(file.position.offset == 7 && file.position.until == -1);
	checkpointfile_free(&file);
	assert_false(parse_sealed("{\"version\":2,\"offset\":7," REST, &file, &err));
	assert_non_null(strstr(err.text, "version 2"));
}

static void a_seal_does_not_make_nonsense_true(void **state)
{
	(void)state;
	static const char *const nonsense[] = {
	        "{\"version\":1," REST,
	        "{\"version\":1,\"offset\":-7," REST,
	        "{\"version\":1,\"offset\":99999999999999999999," REST,
	        "{\"version\":1,\"offset\":7,\"finished\":[[3,4]]," REST,
	        "{\"version\":1,\"offset\":7,\"finished\":[[9,9]]," REST,
	        "{\"version\":1,\"offset\":7,\"finished\":[[9,12],[11,13]]," REST,
	        "{\"version\":1,\"offset\":7,\"finished\":[[9,12],[13]]," REST,
	        "{\"version\":1,\"offset\":7,\"finished\":[],\"finished\":[]," REST,
	        "{\"version\":1,\"offset\":7,\"x\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]," REST,
	        "{\"version\":1,\"offset\":7,\"x\":," REST,
	        "{\"version\":1,\"offset\":7,\"x\":\"\\u0000\"," REST,
	        "{\"version\":1,\"offset\":7,\"lineage\":\"9F86D081884C7D65\",\"topic\":\"t\"",
	        "{\"version\":1,\"offset\":7,\"partition\":4294967296," REST,
	        "{\"version\":1,\"offset\":7,\"group\":\"twice\"," REST,
	        "{\"version\":1 ,\"offset\":7," REST,
	        "{\"version\":1,\"offset\":7,\"script\":\"no digest\"," REST,
	        "{\"version\":1,\"offset\":7,\"x\":\"no UTF-8: \xe1\"," REST,
	        "[1",
	        "",
	};
	struct checkpointfile file;
	for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
		if (parse_sealed(nonsense[i], &file, NULL))
			fail_msg("taken: %s", nonsense[i]);
}

static void files_come_newest_first_and_only_so_many_are_kept(void **state)
{
	(void)state;
	for (int i = 1; i <= 7; i++)
		write_at(10 * i, 1000000000000 + i, 3);
	assert_string_equal(offsets_there(), "70 60 50 ");
	assert_int_equal(entries(), 3);
	write_at(80, 1000000000008, 1);
	assert_string_equal(offsets_there(), "80 ");
}

static void a_clock_set_back_makes_no_older_file(void **state)
{
	(void)state;
	write_at(10, 1763818000123, 5);
	write_at(20, 1000000000000, 5);
	write_at(30, 1763818000124, 5);
	assert_string_equal(offsets_there(), "30 20 10 ");
}

static void a_damaged_newest_file_gives_way_to_the_one_before(void **state)
{
	(void)state;
	for (int i = 1; i <= 4; i++)
		write_at(10 * i, 1000000000000 + i, 9);
	char *newest = entry(0, ".json"), *second = entry(1, ".json");
	assert_int_equal(truncate(newest, 100), 0);
	overwrite(second, "", 0);
	assert_string_equal(offsets_there(), "20 10 ");
	mem_free(newest);
	mem_free(second);
}

static void what_lies_there_but_is_no_checkpoint_is_left_alone(void **state)
{
	(void)state;
	static const char *const names[] = {"notes.txt", "20261122T132628123Z-9f86d081884c7d65.jsonx",
	        "20261322T132628123Z-9f86d081884c7d65.json", "zzz.json"};
	write_at(10, 1000000000000, 1);
	char *where = folder();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *path = mem_printf("%s/%s", where, names[i]);
		overwrite(path, "x", 1);
		mem_free(path);
	}
	char *pipe = mem_printf("%s/20261122T132628123Z-9f86d081884c7d65.json", where);
	assert_int_equal(mkfifo(pipe, 0600), 0); /* reading it would wait for ever */
	assert_string_equal(offsets_there(), "10 ");
	write_at(20, 1000000000001, 9);
	assert_string_equal(offsets_there(), "20 10 ");
	assert_int_equal(entries(), 2 + 4 + 1);
	mem_free(pipe);
	mem_free(where);
}

static void a_file_of_another_partition_is_not_believed(void **state)
{
	(void)state;
	write_at(10, 1000000000000, 9);
	char *from = entry(0, ".json"), *where = checkpointfile_folder(dir, "a group", "in.v1", 3);
	char *to = mem_printf("%s/%s", where, strrchr(from, '/') + 1);
	struct checkpointfile *files;
	size_t count;
	assert_int_equal(mkdir(where, 0700), 0);
	assert_int_equal(link(from, to), 0);
	assert_true(checkpointfile_read_all(dir, "a group", "in.v1", 3, &files, &count, NULL));
	assert_int_equal(count, 0);
	mem_free(files);
	mem_free(from);
	mem_free(to);
	mem_free(where);
}

static char *make_temporary(const char *name, time_t age)
{
	char *where = folder(), *path = mem_printf("%s/%s", where, name);
	time_t then = (time_t)(clock_wall() / 1000) - age;
	struct timespec times[] = {{.tv_sec = then}, {.tv_sec = then}};
	overwrite(path, "half", 4);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	mem_free(where);
	return path;
}

static void what_a_crash_left_is_removed_and_what_is_being_written_is_not(void **state)
{
	(void)state;
	write_at(10, 1000000000000, 9);
	char *stale = make_temporary("20261122T132628123Z-9f86d081884c7d65.json.tmp", 3600);
	char *fresh = make_temporary("20261122T132628124Z-9f86d081884c7d65.json.tmp", 1);
	write_at(20, 1000000000001, 9);
	assert_int_not_equal(access(stale, F_OK), 0);
	assert_int_equal(access(fresh, F_OK), 0);
	mem_free(stale);
	mem_free(fresh);
}

static void pruning_reaches_every_partition_of_the_group(void **state)
{
	(void)state;
	for (int i = 1; i <= 5; i++)
		write_at(10 * i, 1000000000000 + i, 9);
	char *stale = make_temporary("x.tmp", 3600);
	checkpointfile_prune(dir, "another group", 1);
	assert_int_equal(entries(), 6);
	checkpointfile_prune(dir, "a group", 2);
	assert_string_equal(offsets_there(), "50 40 ");
	assert_int_equal(entries(), 2);
	mem_free(stale);
}

enum { WRITERS = 4, WRITES = 40 };

struct writer {
	pthread_t thread;
	int64_t first; /* offset; one more with each file */
	bool good;
};

static void *write_many(void *context)
{
	struct writer *writer = context;
	struct err err;
	writer->good = true;
	for (int i = 0; i < WRITES && writer->good; i++) {
		struct checkpointfile file = file_at(writer->first + i, 1800000000000 + i);
		writer->good = checkpointfile_write(dir, &file, 3, &err);
		checkpointfile_free(&file);
	}
	return NULL;
}

static void owners_that_write_at_the_same_moment_do_not_clash(void **state)
{
	(void)state;
	struct writer writers[WRITERS];
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.first = 1000 * (i + 1)};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		assert_true(writers[i].good);
	}
	/* The newest is the last one of whoever wrote last. */
	assert_int_equal(atoi(offsets_there()) % 1000, WRITES - 1);
	write_at(9000, 1800000009000, 2);
	assert_int_equal(entries(), 2);
	assert_memory_equal(offsets_there(), "9000 ", 5);
}

static void a_group_may_be_called_anything(void **state)
{
	(void)state;
	static const char *const groups[] = {
	        "..", ".", "a/b", "../../etc", "%2E%2E", "gr\xc3\xbc\xc3\x9f", "a b"};
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		char *path = checkpointfile_group_folder(dir, groups[i]);
		assert_null(strchr(path + strlen(dir) + 1, '/'));
		assert_int_not_equal(path[strlen(dir) + 1], '.');
		for (size_t j = 0; j < i; j++) {
			char *other = checkpointfile_group_folder(dir, groups[j]);
			assert_string_not_equal(path, other);
			mem_free(other);
		}
		struct err err;
		if (!checkpointfile_try(dir, groups[i], &err))
			fail_msg("%s", err.text);
		mem_free(path);
	}
}

static void a_store_that_is_not_there_is_not_made(void **state)
{
	(void)state;
	struct checkpointfile file = file_at(1, 1000000000000);
	struct err err;
	char *nowhere = mem_printf("%s/not/mounted", dir);
	assert_false(checkpointfile_try(nowhere, "a group", &err));
	assert_non_null(strstr(err.text, "No such file"));
	assert_false(checkpointfile_write(nowhere, &file, 3, &err));
	assert_int_not_equal(access(nowhere, F_OK), 0);
	checkpointfile_free(&file);
	mem_free(nowhere);
}

static void the_test_of_a_store_leaves_nothing_behind(void **state)
{
	(void)state;
	struct err err;
	if (!checkpointfile_try(dir, "g", &err))
		fail_msg("%s", err.text);
	char *path = mem_printf("%s/g", dir);
	assert_int_equal(rmdir(path), 0);
	mem_free(path);
}

static void a_store_that_all_may_write_to_is_warned_of(void **state)
{
	(void)state;
	struct err err = {""};
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_true(checkpointfile_try(dir, "open", &err));
	assert_string_equal(err.text, "");
	char *path = mem_printf("%s/open", dir);
	assert_int_equal(chmod(path, 0777), 0);
	assert_true(checkpointfile_try(dir, "open", &err));
	assert_non_null(strstr(err.text, "/open: take that right away (chmod o-w)"));
	err.text[0] = '\0';
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	assert_true(checkpointfile_try(dir, "open", &err));
	assert_string_equal(err.text, "");
	unsetenv("KUBERNETES_SERVICE_HOST");
	rmdir(path);
	mem_free(path);
}

static void nobody_else_may_write_to_a_store_whatever_the_umask(void **state)
{
	(void)state;
	struct checkpointfile file = file_at(1, 1000000000000);
	struct stat about;
	struct err err;
	mode_t before = umask(0);
	assert_true(checkpointfile_write(dir, &file, 3, &err));
	umask(before);
	char *folder = checkpointfile_folder(dir, file.group, file.topic, file.partition);
	assert_int_equal(stat(folder, &about), 0);
	assert_int_equal(about.st_mode & 0777, 0775);
	mem_free(folder);
	checkpointfile_free(&file);
}

static void a_folder_that_is_a_file_is_told(void **state)
{
	(void)state;
	struct checkpointfile file = file_at(1, 1000000000000);
	struct err err;
	char *path = mem_printf("%s/a%%20group", dir);
	overwrite(path, "", 0);
	assert_false(checkpointfile_try(dir, "a group", &err));
	assert_non_null(strstr(err.text, "a%20group"));
	assert_false(checkpointfile_write(dir, &file, 3, &err));
	checkpointfile_free(&file);
	mem_free(path);
}

/* A full disk, as far as a process can have one of its own: no file may grow beyond 64 bytes. */
static void a_short_write_leaves_the_old_file_and_nothing_else(void **state)
{
	(void)state;
	write_at(10, 1000000000000, 9);
	struct rlimit before, small = {64, 64};
	struct checkpointfile file = file_at(20, 1000000000001);
	struct err err;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	bool written = checkpointfile_write(dir, &file, 9, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(written);
	assert_non_null(strstr(err.text, "cannot be written"));
	assert_string_equal(offsets_there(), "10 ");
	assert_int_equal(entries(), 1);
	checkpointfile_free(&file);
}

/* Any cut and any flipped bit, seeded. */
static void random_damage_never_passes_and_never_crashes(void **state)
{
	(void)state;
	srand(unit_seed());
	struct range ranges[] = {{130, 140}, {150, 151}};
	struct checkpointfile file = file_at(120, 1763818000123), back;
	struct buf text;
	file.position.ranges = ranges;
	file.position.range_count = 2;
	buf_init(&text, 0);
	checkpointfile_print(&file, &text);
	char *damaged = mem_alloc(text.size);
	for (int round = 0; round < 3000; round++) {
		/* sealed again, so that the damage reaches the reader */
		size_t body = text.size - 78;
		memcpy(damaged, text.data, body);
		damaged[body] = '\0';
		for (int i = rand() % 4; i >= 0; i--)
			damaged[(size_t)rand() % body] = (char)(rand() % 127 + 1);
		if (parse_sealed(damaged, &back, NULL))
			checkpointfile_free(&back);
	}
	mem_free(damaged);
	file.position.ranges = NULL;
	checkpointfile_free(&file);
	buf_free(&text);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_written_is_read_back),
	        cmocka_unit_test(no_changed_byte_and_no_cut_passes),
	        cmocka_unit_test(members_of_a_later_version_are_passed_over),
	        cmocka_unit_test(a_seal_does_not_make_nonsense_true),
	        cmocka_unit_test(random_damage_never_passes_and_never_crashes),
	        STORY(files_come_newest_first_and_only_so_many_are_kept),
	        STORY(a_clock_set_back_makes_no_older_file),
	        STORY(a_damaged_newest_file_gives_way_to_the_one_before),
	        STORY(what_lies_there_but_is_no_checkpoint_is_left_alone),
	        STORY(a_file_of_another_partition_is_not_believed),
	        STORY(what_a_crash_left_is_removed_and_what_is_being_written_is_not),
	        STORY(pruning_reaches_every_partition_of_the_group),
	        STORY(owners_that_write_at_the_same_moment_do_not_clash),
	        STORY(a_group_may_be_called_anything),
	        STORY(a_store_that_is_not_there_is_not_made),
	        STORY(the_test_of_a_store_leaves_nothing_behind),
	        STORY(a_store_that_all_may_write_to_is_warned_of),
	        STORY(nobody_else_may_write_to_a_store_whatever_the_umask),
	        STORY(a_folder_that_is_a_file_is_told),
	        STORY(a_short_write_leaves_the_old_file_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
