/* A program runs beside the loop, is heard, and ends in time whatever it does. */
#include "child.h"
#include "clock.h"
#include "mem.h"
#include "unit.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

static struct event_base *base;
static struct child_end got;
static char said[4096];
static bool ended;

static void on_end(void *context, const struct child_end *end)
{
	(void)context;
	got = *end;
	ended = true;
	assert_true(end->said.size < sizeof said);
	memcpy(said, end->said.data, end->said.size + 1);
	event_base_loopbreak(base);
}

static struct child *start(const char *script, int64_t deadline_ms, size_t output_max)
{
	struct err err = {""};
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	struct child_config config = {argv, deadline_ms, output_max, on_end, NULL};
	ended = false;
	struct child *child = child_start(base, &config, &err);
	if (child == NULL)
		fail_msg("%s", err.text);
	return child;
}

static void run(const char *script, int64_t deadline_ms, size_t output_max)
{
	start(script, deadline_ms, output_max);
	event_base_dispatch(base);
	assert_true(ended);
}

static int setup(void **state)
{
	(void)state;
	base = event_base_new();
	return base ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none is left, not even as a zombie */
	event_base_free(base);
	return 0;
}

static void its_words_and_its_exit_code_are_told(void **state)
{
	(void)state;
	run("echo one; echo two >&2; exit 3", PATIENCE_MS, 1000);
	assert_int_equal(got.code, 3);
	assert_string_equal(said, "one\ntwo\n");
	assert_false(got.late);
	run("true", PATIENCE_MS, 1000);
	assert_int_equal(got.code, 0);
	assert_string_equal(said, "");
}

static void a_program_that_is_not_there_is_told(void **state)
{
	(void)state;
	struct err err = {""};
	const char *const argv[] = {"/nowhere/at-all", NULL};
	struct child_config config = {argv, PATIENCE_MS, 100, on_end, NULL};
	assert_null(child_start(base, &config, &err));
	assert_string_equal(err.text, "/nowhere/at-all cannot be started: No such file or directory");
}

static void what_it_says_beyond_the_most_is_thrown_away(void **state)
{
	(void)state;
	run("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; exit 1", PATIENCE_MS, 25);
	assert_string_equal(said, "0123456789\n0123456789\n012");
	assert_int_equal(got.code, 1);
}

static void one_that_takes_too_long_is_killed_with_all_it_started(void **state)
{
	(void)state;
	run("sleep 1000 & echo $!; sleep 1000", 200, 100);
	assert_true(got.late);
	assert_int_equal(got.signal, SIGKILL);
	pid_t grandchild = (pid_t)atoi(said);
	int64_t until = clock_now() + PATIENCE_MS;
	char path[64], line[256] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", (int)grandchild);
	for (;;) { /* it is somebody else's to reap: dead is enough */
		FILE *file = fopen(path, "re");
		if (file == NULL)
			return;
		assert_non_null(fgets(line, sizeof line, file));
		fclose(file);
		if (strstr(line, ") Z"))
			return;
		assert_true(clock_now() < until);
		usleep(10000);
	}
}

static void one_that_leaves_something_behind_is_not_waited_for(void **state)
{
	(void)state;
	run("sleep 1000 & echo done", PATIENCE_MS, 100);
	assert_string_equal(said, "done\n");
	assert_int_equal(got.code, 0);
}

static void it_inherits_no_descriptor_and_no_blocked_signal(void **state)
{
	(void)state;
	sigset_t all, before;
	int fd = open("/dev/zero", O_RDONLY); /* not close-on-exec */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	signal(SIGPIPE, SIG_IGN);
	/* Of the ignored ones those above 31 are libc's. */
	run("ls -l /proc/self/fd | grep -c zero; grep SigBlk /proc/self/status;"
	    "echo $((0x$(awk '/SigIgn/ {print $2}' /proc/self/status) & 0x7fffffff))",
	        PATIENCE_MS, 1000);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_string_equal(said, "0\nSigBlk:\t0000000000000000\n0\n");
	close(fd);
}

static void one_that_is_stopped_tells_nothing_any_more(void **state)
{
	(void)state;
	child_stop(start("sleep 1000", PATIENCE_MS, 100));
	child_stop(NULL);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_false(ended);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        STORY(its_words_and_its_exit_code_are_told),
	        STORY(a_program_that_is_not_there_is_told),
	        STORY(what_it_says_beyond_the_most_is_thrown_away),
	        STORY(one_that_takes_too_long_is_killed_with_all_it_started),
	        STORY(one_that_leaves_something_behind_is_not_waited_for),
	        STORY(it_inherits_no_descriptor_and_no_blocked_signal),
	        STORY(one_that_is_stopped_tells_nothing_any_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
