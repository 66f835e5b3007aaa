/* The diffs that scripts ask for: made one at a time, the oldest record's first, on a thread of its own. */
#include "differ.h"
#include "helper.h"
#include "mem.h"

#include <string.h>
#include <time.h>

/* A diff is bounded by its steps; this is for a thread that gets no processor at all. */
enum { DEADLINE_MS = 60000 };

/* What the thread works on: it alone, until the helper says done. */
struct diff_work {
	struct textdiff question; /* of the copies */
	char *copies;
	atomic_bool cancelled;
	enum textdiff_outcome outcome;
	struct buf text;
	double seconds;
	/* the loop's own */
	struct differ *differ;
	struct diff_task *task; /* NULL = nobody waits for it any more */
};

struct differ {
	struct helper *helper;
	struct list waiting; /* by age */
	struct diff_work *running;
	struct differ_hooks hooks;
	struct metrics *metrics;
	struct histogram *duration;
};

static double thread_seconds(void)
{
	struct timespec used = {0};
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* ---- on the thread ---- */

static void work_run(void *context)
{
	struct diff_work *work = context;
	double before = thread_seconds();
	work->outcome = textdiff(&work->question, &work->text);
	work->seconds = thread_seconds() - before;
}

/* ---- on the loop ---- */

static void work_free(void *context)
{
	struct diff_work *work = context;
	mem_free(work->copies);
	buf_free(&work->text);
	mem_free(work);
}

static void count(const struct differ *differ, enum textdiff_outcome outcome)
{
	*metrics_value(differ->metrics, METRIC_DIFFS, textdiff_outcome_name(outcome)) += 1;
}

static void work_done(void *context, bool late)
{
	struct diff_work *work = context;
	struct differ *differ = work->differ;
	struct diff_task *task = work->task;
	differ->running = NULL;
	work->task = NULL;
	if (late)
		atomic_store(&work->cancelled, true);
	else
		metrics_observe(differ->duration, work->seconds);
	if (task) {
		task->state = DIFF_IDLE;
		task->work = NULL;
		task->outcome = late ? TEXTDIFF_TIMEOUT : work->outcome;
		if (!late) {
			task->text = work->text;
			buf_init(&work->text, 0);
		}
		count(differ, task->outcome);
	}
	if (!late)
		work_free(work);
	if (task && differ->hooks.done)
		differ->hooks.done(differ->hooks.context, task);
	differ_go_on(differ);
}

static struct diff_work *work_new(struct differ *differ, struct diff_task *task)
{
	struct diff_work *work = mem_zalloc(1, sizeof *work);
	const struct bytes *from = &task->question.from, *to = &task->question.to;
	work->differ = differ;
	work->task = task;
	work->copies = mem_alloc(from->size + to->size + 1);
	memcpy(work->copies, from->data, from->size);
	memcpy(work->copies + from->size, to->data, to->size);
	work->question = task->question;
	work->question.from.data = work->copies;
	work->question.to.data = work->copies + from->size;
	work->question.cancelled = &work->cancelled;
	buf_init(&work->text, 0);
	return work;
}

void differ_go_on(struct differ *differ)
{
	struct list_node *first = list_first(&differ->waiting);
	if (first == NULL || differ->running)
		return;
	struct diff_task *task = container_of(first, struct diff_task, node);
	if (!differ->hooks.room(differ->hooks.context, task, textdiff_bytes(&task->question)))
		return;
	list_remove(&differ->waiting, first);
	task->state = DIFF_RUNNING;
	task->work = differ->running = work_new(differ, task);
	struct helper_job job = {.name = "a script's diff",
	        .context = task->work,
	        .run = work_run,
	        .done = work_done,
	        .forget = work_free,
	        .deadline_ms = DEADLINE_MS};
	helper_submit(differ->helper, &job);
}

void differ_submit(struct differ *differ, struct diff_task *task)
{
	struct list_node *behind = &differ->waiting.head;
	while (behind->prev != &differ->waiting.head &&
	        container_of(behind->prev, struct diff_task, node)->age > task->age)
		behind = behind->prev;
	list_insert_before(&differ->waiting, behind, &task->node);
	task->state = DIFF_WAITING;
	buf_init(&task->text, 0);
	differ_go_on(differ);
}

void differ_cancel(struct differ *differ, struct diff_task *task)
{
	if (task->state == DIFF_WAITING)
		list_remove(&differ->waiting, &task->node);
	if (task->state == DIFF_RUNNING) {
		task->work->task = NULL;
		atomic_store(&task->work->cancelled, true);
		task->work = NULL;
	}
	if (task->state != DIFF_IDLE)
		count(differ, TEXTDIFF_CANCELLED);
	task->state = DIFF_IDLE;
	buf_free(&task->text);
}

bool differ_busy(const struct differ *differ)
{
	return differ->running != NULL;
}

struct differ *differ_open(struct event_base *base, struct metrics *metrics, struct err *err)
{
	struct helper *helper = helper_open(base, err);
	if (helper == NULL)
		return NULL;
	struct differ *differ = mem_zalloc(1, sizeof *differ);
	differ->helper = helper;
	differ->metrics = metrics;
	differ->duration = metrics_histogram_at(metrics, METRIC_DIFF_DURATION, NULL);
	list_init(&differ->waiting, "waiting diffs");
	return differ;
}

void differ_attach(struct differ *differ, const struct differ_hooks *hooks)
{
	differ->hooks = *hooks;
}

void differ_close(struct differ *differ, int64_t wait_ms)
{
	if (differ == NULL)
		return;
	struct list_node *node;
	while ((node = list_first(&differ->waiting)) != NULL)
		differ_cancel(differ, container_of(node, struct diff_task, node));
	if (differ->running && differ->running->task)
		differ_cancel(differ, differ->running->task);
	helper_close(differ->helper, wait_ms);
	mem_free(differ);
}
