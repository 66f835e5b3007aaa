/* Diffs are made beside the loop, one at a time, whatever becomes of who asked for them. */
#include "differ.h"
#include "clock.h"
#include "mem.h"
#include "unit.h"

#include <event2/event.h>
#include <unistd.h>

enum { TASKS = 3, SLOW_LINES = 40000 };

struct stage {
	struct event_base *base;
	struct metrics *metrics;
	struct differ *differ;
	struct diff_task tasks[TASKS];
	char diary[64]; /* numbers of the tasks that were done */
	bool room;
	size_t asked;
};

static bool has_room(void *context, struct diff_task *task, size_t bytes)
{
	struct stage *s = context;
	assert_true(bytes > task->question.from.size + task->question.to.size);
	s->asked++;
	return s->room;
}

static void done(void *context, struct diff_task *task)
{
	struct stage *s = context;
	snprintf(s->diary + strlen(s->diary), 3, "%d", (int)(task - s->tasks));
	assert_int_equal(task->state, DIFF_IDLE);
}

static void raise_curtain(struct stage *s)
{
	*s = (struct stage){.base = event_base_new(), .metrics = metrics_open(), .room = true};
	s->differ = differ_open(s->base, s->metrics, NULL);
	assert_non_null(s->differ);
	differ_attach(s->differ, &(struct differ_hooks){s, has_room, done});
}

static void drop_curtain(struct stage *s)
{
	differ_close(s->differ, 20000);
	for (int i = 0; i < TASKS; i++)
		buf_free(&s->tasks[i].text);
	metrics_close(s->metrics);
	event_base_free(s->base);
}

static void ask(struct stage *s, int i, const char *from, const char *to, uint64_t age)
{
	s->tasks[i] = (struct diff_task){.question = {.from = {from, strlen(from)},
	                                         .to = {to, strlen(to)},
	                                         .context = 3,
	                                         .max = 4 << 20},
	        .age = age};
	differ_submit(s->differ, &s->tasks[i]);
}

static void turn_until(struct stage *s, const char *wanted)
{
	int64_t deadline = clock_now() + 60000;
	while (strcmp(s->diary, wanted) != 0 && clock_now() < deadline) {
		event_base_loop(s->base, EVLOOP_NONBLOCK);
		usleep(500);
	}
	assert_string_equal(s->diary, wanted);
}

/* Texts that take a while: lines of which there are two kinds, in no order. */
static char *slow_text(unsigned seed)
{
	char *text = mem_alloc(2 * SLOW_LINES + 1);
	for (int i = 0; i < SLOW_LINES; i++) {
		text[2 * i] = (char)('a' + rand_r(&seed) % 2);
		text[2 * i + 1] = '\n';
	}
	text[2 * SLOW_LINES] = '\0';
	return text;
}

static double counted(struct stage *s, const char *outcome)
{
	return *metrics_value(s->metrics, METRIC_DIFFS, outcome);
}

static void the_oldest_record_is_served_first(void **state)
{
	struct stage s;
	(void)state;
	raise_curtain(&s);
	s.room = false;
	ask(&s, 0, "a\n", "b\n", 7);
	ask(&s, 1, "a\n", "c\n", 9);
	ask(&s, 2, "a\n", "a\n", 3);
	event_base_loop(s.base, EVLOOP_NONBLOCK);
	assert_string_equal(s.diary, "");
	s.room = true;
	differ_go_on(s.differ);
	turn_until(&s, "201");
	assert_string_equal(s.tasks[1].text.data, "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+c\n");
	assert_int_equal(s.tasks[2].text.size, 0);
	assert_true(counted(&s, "made") == 3);
	drop_curtain(&s);
}

static void who_asked_may_go_while_the_thread_works(void **state)
{
	struct stage s;
	(void)state;
	raise_curtain(&s);
	char *from = slow_text(1), *to = slow_text(2);
	ask(&s, 0, from, to, 1);
	ask(&s, 1, from, to, 2);
	assert_int_equal(s.tasks[0].state, DIFF_RUNNING);
	assert_int_equal(s.tasks[1].state, DIFF_WAITING);
	differ_cancel(s.differ, &s.tasks[0]);
	differ_cancel(s.differ, &s.tasks[1]);
	differ_cancel(s.differ, &s.tasks[1]); /* idle by now */
	s.tasks[0] = (struct diff_task){0};
	mem_free(from); /* the Lua state is gone */
	mem_free(to);
	ask(&s, 2, "x\n", "y\n", 5);
	turn_until(&s, "2");
	assert_true(counted(&s, "cancelled") == 2);
	drop_curtain(&s);
}

static void closing_waits_for_nobody(void **state)
{
	struct stage s;
	(void)state;
	raise_curtain(&s);
	char *from = slow_text(3), *to = slow_text(4);
	ask(&s, 0, from, to, 1);
	ask(&s, 1, from, to, 2);
	drop_curtain(&s);
	assert_string_equal(s.diary, "");
	mem_free(from);
	mem_free(to);
}

static void what_is_over_a_bound_is_told(void **state)
{
	struct stage s;
	(void)state;
	raise_curtain(&s);
	s.tasks[0] = (struct diff_task){
	        .question = {.from = {"long\n", 5}, .to = {"longer\n", 7}, .context = 3, .max = 8}};
	differ_submit(s.differ, &s.tasks[0]);
	turn_until(&s, "0");
	assert_int_equal(s.tasks[0].outcome, TEXTDIFF_TOO_LARGE);
	assert_int_equal(s.tasks[0].text.size, 0);
	s.tasks[1] = (struct diff_task){
	        .question = {.from = {"a\nb\n", 4}, .to = {"b\na\n", 4}, .context = 3, .max = 8, .steps = 2}};
	differ_submit(s.differ, &s.tasks[1]);
	turn_until(&s, "01");
	assert_int_equal(s.tasks[1].outcome, TEXTDIFF_TIMEOUT);
	drop_curtain(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_oldest_record_is_served_first),
	        cmocka_unit_test(who_asked_may_go_while_the_thread_works),
	        cmocka_unit_test(closing_waits_for_nobody),
	        cmocka_unit_test(what_is_over_a_bound_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
