/* Who dies in a hook is known to whoever comes next, and nobody else is accused. */
#include "unit.h"

#include "clock.h"
#include "hookpage.h"
#include "log.h"
#include "mem.h"

#include <dirent.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char store[64];
static const struct hookpage_record first = {"eqiad.mediawiki.page_change.v1", 3, 977},
                                    second = {"eqiad.mediawiki.page_change.v1", 3, 978};

struct process {
	struct event_base *base;
	struct hookpage *page;
};

static void turn(struct process *process)
{
	struct timeval soon = {.tv_usec = 1000};
	event_base_loopexit(process->base, &soon);
	event_base_loop(process->base, 0);
}

static struct process start(void)
{
	struct err err = {""};
	struct process process = {.base = event_base_new()};
	process.page = hookpage_open(process.base, store, "a group", &err);
	while (process.page && hookpage_reading(process.page))
		turn(&process);
	return process;
}

static void stop(struct process *process)
{
	hookpage_close(process->page);
	event_base_free(process->base);
}

static void in_a_hook(struct hookpage *page)
{
	hookpage_enter(page, "decoding", &second);
	hookpage_leave(page);
	hookpage_enter(page, "transform", &first);
}

static void between_hooks(struct hookpage *page)
{
	hookpage_enter(page, "request", &first);
	hookpage_leave(page);
}

static void in_a_shared_call(struct hookpage *page)
{
	hookpage_enter(page, "split", &first);
	hookpage_add(page, &first);
	hookpage_add(page, &second);
	for (int i = 0; i < 100; i++)
		hookpage_add(page, &(struct hookpage_record){"t", i, i});
}

/* A process that does this and is killed. */
static void dies(void (*where)(struct hookpage *page))
{
	pid_t child = fork();
	if (child == 0) {
		struct process process = start();
		where(process.page);
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(child, waitpid(child, &status, 0));
	assert_true(WIFSIGNALED(status));
}

static size_t files(void)
{
	size_t count = 0;
	char *folder = mem_printf("%s/a%%20group", store);
	DIR *stream = opendir(folder);
	mem_free(folder);
	for (const struct dirent *entry; stream && (entry = readdir(stream)) != NULL;)
		count += entry->d_name[0] != '.';
	if (stream)
		closedir(stream);
	return count;
}

static int setup(void **state)
{
	(void)state;
	log_init(LOG_TEXT, LOG_ERROR + 1, "test");
	evthread_use_pthreads();
	snprintf(store, sizeof store, "/tmp/millrace-hookpage-XXXXXX");
	return mkdtemp(store) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char *command = mem_printf("rm -rf %s", store);
	int result = system(command);
	mem_free(command);
	return result;
}

static unsigned deaths(const struct process *process, const struct hookpage_record *record)
{
	return hookpage_deaths(process->page, record, NULL);
}

static void a_death_in_a_hook_is_known_at_the_next_start(void **state)
{
	const char *hook = "";
	(void)state;
	dies(in_a_hook);
	struct process process = start();
	assert_int_equal(1, hookpage_deaths(process.page, &first, &hook));
	assert_string_equal("transform", hook);
	assert_int_equal(0, deaths(&process, &second));
	assert_int_equal(0, deaths(&process, &(struct hookpage_record){"other", 3, 977}));
	assert_int_equal(0, deaths(&process, &(struct hookpage_record){first.topic, 4, 977}));
	stop(&process);
}

static void a_death_between_hooks_accuses_nobody(void **state)
{
	(void)state;
	dies(between_hooks);
	struct process process = start();
	assert_int_equal(0, deaths(&process, &first));
	assert_int_equal(1, files()); /* its own */
	stop(&process);
}

static void deaths_are_counted_over_starts(void **state)
{
	(void)state;
	dies(in_a_hook);
	dies(between_hooks);
	dies(in_a_hook);
	struct process process = start();
	assert_int_equal(HOOKPAGE_DEATHS, deaths(&process, &first));
	stop(&process);
	process = start(); /* what was not settled meanwhile is not forgotten */
	assert_int_equal(HOOKPAGE_DEATHS, deaths(&process, &first));
	stop(&process);
}

static void what_settles_is_forgotten_on_the_disk_too(void **state)
{
	(void)state;
	dies(in_a_hook);
	dies(in_a_hook);
	struct process process = start();
	hookpage_settled(process.page, &second);
	assert_int_equal(3, files());
	hookpage_settled(process.page, &first);
	assert_int_equal(0, deaths(&process, &first));
	for (int64_t until = clock_now() + 20000; files() > 1 && clock_now() < until;)
		turn(&process);
	stop(&process);
	assert_int_equal(0, files());
	process = start();
	assert_int_equal(0, deaths(&process, &first));
	stop(&process);
}

static void all_records_of_a_shared_call_are_suspects_each_once(void **state)
{
	(void)state;
	dies(in_a_shared_call);
	struct process process = start();
	assert_int_equal(1, deaths(&process, &first));
	assert_int_equal(1, deaths(&process, &second));
	assert_int_equal(1, deaths(&process, &(struct hookpage_record){"t", 60, 60}));
	hookpage_settled(process.page, &first);
	for (int i = 0; i < 100; i++)
		turn(&process);
	stop(&process);
	process = start();
	assert_int_equal(0, deaths(&process, &first));
	assert_int_equal(1, deaths(&process, &second));
	stop(&process);
}

static void the_page_of_a_living_process_is_left_alone(void **state)
{
	int tell[2];
	char byte;
	(void)state;
	assert_int_equal(0, pipe(tell));
	pid_t child = fork();
	if (child == 0) {
		struct process process = start();
		in_a_hook(process.page);
		ssize_t written = write(tell[1], "x", 1);
		(void)written;
		for (;;)
			pause();
	}
	assert_int_equal(1, read(tell[0], &byte, 1));
	struct process process = start();
	assert_int_equal(0, deaths(&process, &first));
	assert_int_equal(2, files());
	stop(&process);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	process = start();
	assert_int_equal(1, deaths(&process, &first));
	stop(&process);
	close(tell[0]);
	close(tell[1]);
}

static void an_orderly_end_leaves_nothing(void **state)
{
	(void)state;
	struct process process = start();
	in_a_hook(process.page);
	assert_int_equal(1, files());
	stop(&process);
	assert_int_equal(0, files());
}

static void without_a_store_it_does_without(void **state)
{
	(void)state;
	char *command = mem_printf("rm -rf %s && touch %s", store, store);
	assert_int_equal(0, system(command));
	mem_free(command);
	struct process process = start();
	in_a_hook(process.page);
	hookpage_leave(process.page);
	hookpage_settled(process.page, &first);
	assert_int_equal(0, deaths(&process, &first));
	stop(&process);
	hookpage_enter(NULL, "request", &first);
	hookpage_add(NULL, &first);
	hookpage_leave(NULL);
	hookpage_settled(NULL, &first);
	hookpage_close(NULL);
	assert_false(hookpage_reading(NULL));
	assert_int_equal(0, hookpage_deaths(NULL, &first, NULL));
}

static void rubbish_is_passed_over(void **state)
{
	(void)state;
	char *command = mem_printf("mkdir -p '%s/a%%20group/hook-folder' && cd '%s/a%%20group' && echo short "
	                           "> hook-1 && head -c 20000 /dev/urandom > hook-2 && ln -s hook-2 hook-3",
	        store, store);
	assert_int_equal(0, system(command));
	mem_free(command);
	dies(in_a_hook);
	struct process process = start();
	assert_int_equal(1, deaths(&process, &first));
	stop(&process);
}

int main(void)
{
#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        story(a_death_in_a_hook_is_known_at_the_next_start),
	        story(a_death_between_hooks_accuses_nobody),
	        story(deaths_are_counted_over_starts),
	        story(what_settles_is_forgotten_on_the_disk_too),
	        story(all_records_of_a_shared_call_are_suspects_each_once),
	        story(the_page_of_a_living_process_is_left_alone),
	        story(an_orderly_end_leaves_nothing),
	        story(without_a_store_it_does_without),
	        story(rubbish_is_passed_over),
	};
	return cmocka_run_group_tests_name("hookpage", tests, NULL, NULL);
}
