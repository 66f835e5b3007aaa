/* Whatever hangs on the helper's thread, the loop hears of it in time. */
#include "helper.h"
#include "clock.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct work {
	atomic_bool *gate; /* waits until it is open; NULL = at once */
	char name;
	struct diary *diary;
	atomic_bool ran;
};

struct diary {
	char text[64]; /* a done, A late, ~a forgotten */
};

static void note(struct work *work, const char *mark, char name)
{
	snprintf(work->diary->text + strlen(work->diary->text), 8, "%s%c", mark, name);
}

static void run(void *context)
{
	struct work *work = context;
	while (work->gate && !atomic_load(work->gate))
		usleep(1000);
	atomic_store(&work->ran, true);
}

static void done(void *context, bool late)
{
	struct work *work = context;
	note(work, "", (char)(late ? work->name - 'a' + 'A' : work->name));
}

static void forget(void *context)
{
	note(context, "~", ((struct work *)context)->name);
}

static void submit(struct helper *helper, struct work *work, int64_t deadline_ms)
{
	struct helper_job job = {"a job", work, run, done, forget, deadline_ms};
	helper_submit(helper, &job);
}

static void turn_until(struct event_base *base, const struct diary *diary, const char *wanted)
{
	int64_t deadline = clock_now() + 5000;
	while (strcmp(diary->text, wanted) != 0 && clock_now() < deadline) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_string_equal(diary->text, wanted);
}

static void jobs_answer_in_the_order_given(void **state)
{
	(void)state;
	struct event_base *base = event_base_new();
	struct helper *helper = helper_open(base, NULL);
	struct diary diary = {""};
	struct work works[3];
	for (int i = 0; i < 3; i++) {
		works[i] = (struct work){NULL, (char)('a' + i), &diary, false};
		submit(helper, &works[i], 5000);
	}
	turn_until(base, &diary, "abc");
	helper_close(helper, 1000);
	event_base_free(base);
}

static void a_hanging_job_is_late_and_its_answer_thrown_away(void **state)
{
	(void)state;
	struct event_base *base = event_base_new();
	struct helper *helper = helper_open(base, NULL);
	struct diary diary = {""};
	atomic_bool gate = false;
	struct work hangs = {&gate, 'a', &diary, false}, behind = {NULL, 'b', &diary, false},
	            patient = {NULL, 'c', &diary, false};
	submit(helper, &hangs, 30);
	submit(helper, &behind, 60);
	submit(helper, &patient, 60000);
	turn_until(base, &diary, "AB~b"); /* the one behind never began */
	assert_false(atomic_load(&behind.ran));
	atomic_store(&gate, true);
	turn_until(base, &diary, "AB~b~ac");
	helper_close(helper, 1000);
	event_base_free(base);
}

static void closing_waits_for_the_running_job_and_forgets_the_queued(void **state)
{
	(void)state;
	struct event_base *base = event_base_new();
	struct helper *helper = helper_open(base, NULL);
	struct diary diary = {""};
	struct work first = {NULL, 'a', &diary, false};
	atomic_bool gate = true;
	first.gate = &gate;
	submit(helper, &first, 5000);
	while (!atomic_load(&first.ran))
		usleep(1000);
	helper_close(helper, 5000);
	assert_string_equal(diary.text, "a");
	event_base_free(base);
}

static void closing_leaves_a_job_behind_that_never_comes_back(void **state)
{
	(void)state;
	struct event_base *base = event_base_new();
	struct helper *helper = helper_open(base, NULL);
	static struct diary diary;
	static atomic_bool gate;
	static struct work hangs = {&gate, 'a', &diary, false}, queued = {NULL, 'b', &diary, false};
	submit(helper, &hangs, 60000);
	submit(helper, &queued, 60000);
	usleep(50000); /* for the thread to begin the first */
	helper_close(helper, 20);
	assert_string_equal(diary.text, "~b");
	atomic_store(&gate, true); /* the thread ends by itself */
	while (!atomic_load(&hangs.ran))
		usleep(1000);
	usleep(50000);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(jobs_answer_in_the_order_given),
	        cmocka_unit_test(a_hanging_job_is_late_and_its_answer_thrown_away),
	        cmocka_unit_test(closing_waits_for_the_running_job_and_forgets_the_queued),
	        cmocka_unit_test(closing_leaves_a_job_behind_that_never_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
