/* Calls that take too long are interrupted, on their own thread, and only they. */
#include "watchdog.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MS = 1000000 };

struct call {
	pthread_t thread;
	volatile sig_atomic_t interrupts;
	volatile sig_atomic_t elsewhere; /* an interrupt on another thread */
};

static void interrupt(void *context)
{
	struct call *call = context;
	call->interrupts = call->interrupts + 1;
	if (!pthread_equal(call->thread, pthread_self()))
		call->elsewhere = 1;
}

static int64_t cpu_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void burn(int64_t ms)
{
	int64_t end = cpu_ms(CLOCK_THREAD_CPUTIME_ID) + ms;
	while (cpu_ms(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static void a_call_over_its_budget_is_interrupted(void **state)
{
	struct call call = {.thread = pthread_self()};
	int64_t took;
	(void)state;
	watchdog_begin(5 * MS, interrupt, &call);
	assert_int_equal(0, *watchdog_flag());
	while (!*watchdog_flag())
		;
	watchdog_acknowledge();
	assert_true(watchdog_end(&took));
	assert_true(took >= 5 * MS);
	assert_true(call.interrupts >= 1);
	assert_int_equal(0, call.elsewhere);
}

static void it_is_told_again_until_it_acknowledges(void **state)
{
	struct call call = {.thread = pthread_self()};
	(void)state;
	watchdog_begin(MS, interrupt, &call);
	while (call.interrupts < 5)
		;
	assert_true(watchdog_end(NULL));
}

static void after_it_acknowledged_it_is_left_alone(void **state)
{
	struct call call = {.thread = pthread_self()};
	(void)state;
	watchdog_begin(MS, interrupt, &call);
	while (!*watchdog_flag())
		;
	watchdog_acknowledge();
	int told = call.interrupts;
	burn(20);
	assert_true(call.interrupts <= told + 1); /* one may have been on its way */
	watchdog_end(NULL);
}

static void a_call_within_its_budget_is_not(void **state)
{
	struct call call = {.thread = pthread_self()};
	(void)state;
	for (int i = 0; i < 50; i++) {
		watchdog_begin(1000 * (int64_t)MS, interrupt, &call);
		burn(1);
		assert_false(watchdog_end(NULL));
	}
	assert_int_equal(0, call.interrupts);
}

static void waiting_costs_nothing_of_the_budget(void **state)
{
	struct call call = {.thread = pthread_self()};
	(void)state;
	watchdog_begin(30 * MS, interrupt, &call);
	struct timespec left = {0, 90 * MS};
	while (nanosleep(&left, &left) != 0)
		;
	assert_false(watchdog_end(NULL));
}

static void a_budget_can_grow_while_the_call_runs(void **state)
{
	struct call call = {.thread = pthread_self()};
	(void)state;
	watchdog_extend(1000); /* outside of a call: nothing */
	watchdog_begin(5 * MS, interrupt, &call);
	watchdog_extend(5000 * (int64_t)MS);
	burn(30);
	assert_false(watchdog_end(NULL));
}

static void a_stray_signal_interrupts_nobody(void **state)
{
	struct call call = {.thread = pthread_self()};
	(void)state;
	watchdog_begin(5000 * (int64_t)MS, interrupt, &call);
	raise(SIGUSR1);
	assert_false(watchdog_end(NULL));
	raise(SIGUSR1);
	assert_int_equal(0, call.interrupts);
}

static volatile sig_atomic_t foreign;

static void count_foreign(void)
{
	foreign++;
}

/* What kill(1) sends does not look like the watchdog's own, and the two do not disturb each other. */
static void who_sends_one_from_outside_is_told_apart(void **state)
{
	struct call call = {.thread = pthread_self()};
	(void)state;
	watchdog_foreign(count_foreign);
	watchdog_begin(5 * MS, interrupt, &call);
	while (!*watchdog_flag())
		kill(getpid(), SIGUSR1);
	assert_true(watchdog_end(NULL));
	assert_true(foreign > 0);
	sig_atomic_t before = foreign;
	watchdog_begin(MS, interrupt, &call);
	while (!*watchdog_flag())
		;
	assert_true(watchdog_end(NULL));
	assert_int_equal(before, foreign);
	watchdog_foreign(NULL);
	kill(getpid(), SIGUSR1);
}

static void *overtime(void *context)
{
	struct call *call = context;
	call->thread = pthread_self();
	for (int i = 0; i < 20; i++) {
		watchdog_begin(MS, interrupt, call);
		while (!*watchdog_flag())
			;
		watchdog_end(NULL);
	}
	return NULL;
}

static void threads_are_watched_each_by_its_own_clock(void **state)
{
	struct call calls[4] = {0};
	pthread_t threads[4];
	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, overtime, &calls[i]);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_true(calls[i].interrupts >= 20);
		assert_int_equal(0, calls[i].elsewhere);
	}
}

/* In a process of its own: nothing runs there but the watchdog. */
static void an_idle_process_is_not_woken(void **state)
{
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		struct call call = {.thread = pthread_self()};
		struct rusage before, after;
		watchdog_begin(1000 * (int64_t)MS, interrupt, &call);
		watchdog_end(NULL);
		usleep(100000);
		getrusage(RUSAGE_SELF, &before);
		usleep(300000);
		getrusage(RUSAGE_SELF, &after);
		_exit(after.ru_nvcsw - before.ru_nvcsw > 5); /* a look every 10 ms would be 30 */
	}
	int status;
	assert_int_equal(child, waitpid(child, &status, 0));
	assert_int_equal(0, status);
}

static void a_call_that_never_stops_ends_the_process(void **state)
{
	(void)state;
	if (getenv("MILLRACE_SLOW_TESTS") == NULL)
		skip();
	pid_t child = fork();
	if (child == 0) {
		struct call call = {.thread = pthread_self()};
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		close(STDERR_FILENO);
		watchdog_begin(MS, interrupt, &call);
		for (;;)
			;
	}
	int status;
	assert_int_equal(child, waitpid(child, &status, 0));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(SIGABRT, WTERMSIG(status));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_idle_process_is_not_woken), /* first: a child must not inherit a started
	                                                           watchdog */
	        cmocka_unit_test(a_call_that_never_stops_ends_the_process),
	        cmocka_unit_test(a_call_over_its_budget_is_interrupted),
	        cmocka_unit_test(it_is_told_again_until_it_acknowledges),
	        cmocka_unit_test(after_it_acknowledged_it_is_left_alone),
	        cmocka_unit_test(a_call_within_its_budget_is_not),
	        cmocka_unit_test(waiting_costs_nothing_of_the_budget),
	        cmocka_unit_test(a_budget_can_grow_while_the_call_runs),
	        cmocka_unit_test(a_stray_signal_interrupts_nobody),
	        cmocka_unit_test(who_sends_one_from_outside_is_told_apart),
	        cmocka_unit_test(threads_are_watched_each_by_its_own_clock),
	};
	return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
