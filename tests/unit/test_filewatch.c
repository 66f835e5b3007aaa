/* What a watch of files sees: editors, kubelet, links, folders that come and go; and what it costs. */
#include "clock.h"
#include "filewatch.h"
#include "log.h"
#include "mem.h"
#include "text.h"
#include "unit.h"

#include <dirent.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTLE_MS = 20, PATIENCE_MS = 20000, NEVER_MS = 3600 * 1000 };

static char home[64];

struct fixture {
	struct event_base *base;
	struct filewatch *watch;
	char sha256[DIGEST_HEX]; /* of the last look */
	size_t looks;
	bool partial;
	char only[DIGEST_HEX]; /* what every look must find from now on; "" = anything */
};

/* ---- what happens on disk ---- */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* A new folder with a date, then `..data` leads there in one step, then the old one goes: as kubelet does. */
static void kubelet_writes(unsigned version, const char *script, const char *module)
{
	char *dated = mem_printf("volume/..2026_11_22_%u", version),
	     *old = mem_printf("volume/..2026_11_22_%u", version - 1);
	char *file = mem_printf("%s/job.lua", dated), *folder = mem_printf("%s/lib", dated);
	char *part = mem_printf("%s/lib/part.lua", dated), *leads = mem_printf("..2026_11_22_%u", version);
	mkdir("volume", 0755);
	assert_int_equal(mkdir(dated, 0755), 0);
	assert_int_equal(mkdir(folder, 0755), 0);
	write_file(file, script);
	write_file(part, module);
	assert_int_equal(symlink(leads, "volume/..data_tmp"), 0);
	assert_int_equal(rename("volume/..data_tmp", "volume/..data"), 0);
	if (symlink("..data/job.lua", "volume/job.lua") == 0)
		assert_int_equal(symlink("..data/lib", "volume/lib"), 0);
	char *remove_old = mem_printf("rm -rf %s", old);
	run(remove_old);
	mem_free(remove_old);
	mem_free(dated);
	mem_free(old);
	mem_free(file);
	mem_free(folder);
	mem_free(part);
	mem_free(leads);
}

/* ---- the watch ---- */

static void on_look(void *context, const struct fileset_look *look)
{
	struct fixture *f = context;
	if (f->only[0])
		assert_string_equal(look->sha256, f->only);
	memcpy(f->sha256, look->sha256, sizeof f->sha256);
	f->partial = look->partial;
	f->looks++;
}

static void turn(struct fixture *f)
{
	struct timeval soon = {.tv_usec = 10000};
	event_base_loopexit(f->base, &soon);
	event_base_dispatch(f->base);
}

static void await_looks(struct fixture *f, size_t looks)
{
	int64_t deadline = clock_now() + PATIENCE_MS;
	while (f->looks < looks && clock_now() < deadline)
		turn(f);
	assert_true(f->looks >= looks);
}

static void await_change(struct fixture *f, const char *before)
{
	int64_t deadline = clock_now() + PATIENCE_MS;
	while (strcmp(f->sha256, before) == 0 && clock_now() < deadline)
		turn(f);
	if (strcmp(f->sha256, before) == 0)
		fail_msg("not seen after %zu looks", f->looks);
}

/* Until the events of what has happened so far are through: nothing else is seen for a while. */
static void settle(struct fixture *f)
{
	size_t before;
	do {
		before = f->looks;
		for (int i = 0; i < 8; i++)
			turn(f);
	} while (f->looks != before);
}

static void begin(struct fixture *f, const char *script, int64_t poll_ms)
{
	struct err err = {""};
	char *folder = text_folder(script);
	struct fileset set = {.folder = folder, .files = {script}, .file_count = 1};
	struct filewatch_config config = {SETTLE_MS, poll_ms, on_look, f};
	f->watch = filewatch_open(f->base, &config, &set, &err);
	assert_non_null(f->watch);
	mem_free(folder);
	await_looks(f, 1);
	if (poll_ms == NEVER_MS)
		settle(f);
}

/* Does what the command says, and sees it. */
static void seen(struct fixture *f, const char *command)
{
	char before[DIGEST_HEX];
	memcpy(before, f->sha256, sizeof before);
	run(command);
	await_change(f, before);
	settle(f);
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(1, sizeof *f);
	evthread_use_pthreads();
	log_init(LOG_TEXT, LOG_ERROR, "test");
	snprintf(home, sizeof home, "/tmp/millrace-watch-XXXXXX");
	if (mkdtemp(home) == NULL || chdir(home) != 0)
		return -1;
	mkdir("scripts", 0755);
	mkdir("scripts/lib", 0755);
	write_file("scripts/job.lua", "return 1\n");
	write_file("scripts/lib/part.lua", "return 1\n");
	f->base = event_base_new();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	filewatch_close(f->watch);
	event_base_free(f->base);
	mem_free(f);
	char *command = mem_printf("rm -rf %s", home);
	int result = chdir("/") == 0 ? system(command) : -1;
	mem_free(command);
	return result;
}

/* ---- the stories ---- */

static void an_edit_in_place_and_one_by_rename_are_seen(void **state)
{
	struct fixture *f = *state;
	begin(f, "scripts/job.lua", NEVER_MS);
	seen(f, "echo 'return 2' >scripts/job.lua");
	seen(f, "echo 'return 3' >scripts/.job.lua.swp && mv scripts/.job.lua.swp scripts/job.lua");
	seen(f, "mv scripts/job.lua scripts/job.lua~ && echo 'return 4' >scripts/job.lua");
	seen(f, "echo 'return 2' >scripts/lib/part.lua");
	seen(f, "rm scripts/lib/part.lua");
}

static void the_swap_of_a_config_map_is_seen_each_time(void **state)
{
	struct fixture *f = *state;
	char before[DIGEST_HEX];
	kubelet_writes(1, "return 1\n", "return 1\n");
	begin(f, "volume/job.lua", NEVER_MS);
	for (unsigned version = 2; version < 6; version++) {
		memcpy(before, f->sha256, sizeof before);
		kubelet_writes(version, version % 2 ? "return 1\n" : "return 2\n",
		        version < 4 ? "return 1\n" : "return 2\n");
		await_change(f, before);
		settle(f);
	}
}

static void a_folder_that_is_replaced_is_watched_in_its_new_place(void **state)
{
	struct fixture *f = *state;
	begin(f, "scripts/job.lua", NEVER_MS);
	seen(f, "cp -r scripts/lib scripts/new && echo 'return 2' >scripts/new/part.lua");
	seen(f, "rm -r scripts/lib && mv scripts/new scripts/lib");
	seen(f, "echo 'return 3' >scripts/lib/part.lua");
	seen(f, "mkdir scripts/lib/deeper && echo 'return 3' >scripts/lib/deeper/part.lua");
	seen(f, "echo 'return 4' >scripts/lib/deeper/part.lua");
}

static void a_folder_that_goes_and_comes_back_is_watched_again(void **state)
{
	struct fixture *f = *state;
	begin(f, "scripts/job.lua", NEVER_MS);
	seen(f, "rm -r scripts");
	seen(f, "mkdir scripts && echo 'return 5' >scripts/job.lua");
	seen(f, "echo 'return 6' >scripts/job.lua");
	seen(f, "mv scripts gone");
	seen(f, "mkdir scripts && echo 'return 7' >scripts/job.lua");
	seen(f, "echo 'return 8' >scripts/job.lua");
}

static void the_file_that_a_link_leads_to_is_watched(void **state)
{
	struct fixture *f = *state;
	run("mkdir links && ln -s ../scripts/job.lua links/job.lua");
	begin(f, "links/job.lua", NEVER_MS);
	seen(f, "echo 'return 2' >scripts/.new && mv scripts/.new scripts/job.lua");
	seen(f, "echo 'return 9' >other.lua && ln -s ../other.lua links/.tmp && mv -T links/.tmp "
	        "links/job.lua");
	seen(f, "echo 'return 10' >other.lua");
}

static void a_folder_that_is_a_link_to_a_release_may_lead_elsewhere(void **state)
{
	struct fixture *f = *state;
	run("cp -r scripts release-2 && echo 'return 2' >release-2/job.lua && ln -s scripts current");
	begin(f, "current/job.lua", NEVER_MS);
	seen(f, "ln -s release-2 .tmp && mv -T .tmp current");
	seen(f, "echo 'return 3' >release-2/job.lua");
}

static void what_inotify_does_not_see_is_found_by_polling(void **state)
{
	struct fixture *f = *state;
	run("mkdir far && echo 'return 1' >far/part.lua && ln -s ../../far/part.lua scripts/lib/far.lua");
	begin(f, "scripts/job.lua", 100);
	char before[DIGEST_HEX];
	memcpy(before, f->sha256, sizeof before);
	run("echo 'return 2' >far/part.lua");
	await_change(f, before);
}

static void the_same_content_is_the_same_whatever_its_time(void **state)
{
	struct fixture *f = *state;
	begin(f, "scripts/job.lua", NEVER_MS);
	char before[DIGEST_HEX];
	size_t looks = f->looks;
	memcpy(before, f->sha256, sizeof before);
	run("touch -d '2001-01-01' scripts/job.lua && cp scripts/job.lua scripts/.c && mv scripts/.c "
	    "scripts/job.lua");
	run("echo x >scripts/notes.txt && mkdir scripts/.git && echo 'return 1' >scripts/.git/x.lua");
	await_looks(f, looks + 1);
	settle(f);
	assert_string_equal(f->sha256, before);
}

static void a_folder_that_is_never_quiet_is_looked_at_nevertheless(void **state)
{
	struct fixture *f = *state;
	begin(f, "scripts/job.lua", NEVER_MS);
	size_t looks = f->looks;
	int64_t deadline = clock_now() + PATIENCE_MS;
	while (f->looks < looks + 2 && clock_now() < deadline) {
		write_file("scripts/noise", "x");
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(2000);
	}
	assert_true(f->looks >= looks + 2);
}

static size_t watches_of_this_process(void)
{
	char line[256];
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fdinfo");
	for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
		char *path = mem_printf("/proc/self/fdinfo/%s", entry->d_name);
		FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		while (file && fgets(line, sizeof line, file))
			count += strncmp(line, "inotify wd:", 11) == 0;
		if (file)
			fclose(file);
		mem_free(path);
	}
	closedir(dir);
	return count;
}

static void folders_that_were_moved_away_are_watched_no_longer(void **state)
{
	struct fixture *f = *state;
	begin(f, "scripts/job.lua", NEVER_MS);
	size_t before = watches_of_this_process();
	assert_true(before >= 3);
	for (int i = 0; i < 5; i++) {
		char *command = mem_printf("mv scripts/lib old%d && mkdir scripts/lib && echo 'return %d' "
		                           ">scripts/lib/part.lua",
		        i, i + 10);
		seen(f, command);
		mem_free(command);
	}
	assert_int_equal(watches_of_this_process(), before);
}

static void a_folder_too_large_is_looked_at_in_part_and_said_so(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < FILESET_ENTRIES + 100; i++) {
		char path[64];
		snprintf(path, sizeof path, "scripts/lib/%d.lua", i);
		assert_true(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)) == 0);
	}
	begin(f, "scripts/job.lua", NEVER_MS);
	assert_true(f->partial);
	seen(f, "echo 'return 2' >scripts/job.lua");
	assert_true(watches_of_this_process() <= FILESET_FOLDERS + 3);
}

static void what_is_no_file_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	run("mkfifo scripts/pipe.lua && ln -s /nowhere scripts/dead.lua && ln -s .. scripts/round && mkdir "
	    "scripts/d.lua");
	begin(f, "scripts/job.lua", NEVER_MS);
	seen(f, "rm scripts/job.lua && mkfifo scripts/job.lua");
	assert_false(f->partial);
}

static void a_look_under_way_is_not_told_once_another_set_is_given(void **state)
{
	struct fixture *f = *state;
	struct fileset_look look;
	const struct fileset first = {.folder = "scripts"},
	                     other = {.files = {"scripts/lib/part.lua"}, .file_count = 1};
	begin(f, "scripts/job.lua", NEVER_MS);
	fileset_look(&other, &look, NULL, NULL);
	memcpy(f->only, look.sha256, sizeof f->only);
	for (int i = 0; i < 10; i++) {
		size_t looks = f->looks;
		filewatch_use(f->watch, &first);
		filewatch_use(f->watch, &other);
		await_looks(f, looks + 1);
	}
}

static void closing_in_the_middle_of_a_look_is_fine(void **state)
{
	struct fixture *f = *state;
	begin(f, "scripts/job.lua", 1);
	for (int i = 0; i < 20; i++) {
		filewatch_close(f->watch);
		f->watch = NULL;
		f->looks = 0;
		begin(f, "scripts/job.lua", NEVER_MS);
		write_file("scripts/job.lua", i % 2 ? "return 1\n" : "return 2\n");
		filewatch_use(f->watch, &(struct fileset){.folder = "scripts"});
		filewatch_use(f->watch, &(struct fileset){.folder = "scripts/lib"});
	}
}

static void sets_that_hold_the_same_have_the_same_digest(void **state)
{
	(void)state;
	struct fileset_look first, second;
	struct fileset set = {
	        .folder = "scripts", .files = {"scripts/job.lua", "nowhere.yaml"}, .file_count = 2};
	fileset_look(&set, &first, NULL, NULL);
	fileset_look(&set, &second, NULL, NULL);
	assert_string_equal(first.sha256, second.sha256);
	assert_int_equal(first.files, 2);
	write_file("nowhere.yaml", "");
	fileset_look(&set, &second, NULL, NULL);
	assert_string_not_equal(first.sha256, second.sha256);
}

static void files_too_large_count_by_size_and_time(void **state)
{
	(void)state;
	struct fileset_look first, second;
	struct fileset set = {.folder = "scripts"};
	run("truncate -s 17M scripts/large.lua && touch -d 2001-01-01 scripts/large.lua");
	fileset_look(&set, &first, NULL, NULL);
	run("touch -d 2001-01-02 scripts/large.lua");
	fileset_look(&set, &second, NULL, NULL);
	assert_string_not_equal(first.sha256, second.sha256);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        STORY(an_edit_in_place_and_one_by_rename_are_seen),
	        STORY(the_swap_of_a_config_map_is_seen_each_time),
	        STORY(a_folder_that_is_replaced_is_watched_in_its_new_place),
	        STORY(a_folder_that_goes_and_comes_back_is_watched_again),
	        STORY(the_file_that_a_link_leads_to_is_watched),
	        STORY(a_folder_that_is_a_link_to_a_release_may_lead_elsewhere),
	        STORY(what_inotify_does_not_see_is_found_by_polling),
	        STORY(the_same_content_is_the_same_whatever_its_time),
	        STORY(a_folder_that_is_never_quiet_is_looked_at_nevertheless),
	        STORY(folders_that_were_moved_away_are_watched_no_longer),
	        STORY(a_folder_too_large_is_looked_at_in_part_and_said_so),
	        STORY(what_is_no_file_is_not_waited_for),
	        STORY(a_look_under_way_is_not_told_once_another_set_is_given),
	        STORY(closing_in_the_middle_of_a_look_is_fine),
	        STORY(sets_that_hold_the_same_have_the_same_digest),
	        STORY(files_too_large_count_by_size_and_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
