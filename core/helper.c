/* One thread for everything that blocks: each job has a deadline and answers on the loop. */
#include "helper.h"
#include "clock.h"
#include "list.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Jobs move queued -> running -> answered; a job is on exactly one of the lists, or is `running`. */
struct job {
	struct helper_job job;
	int64_t deadline;       /* steady ms */
	bool late;              /* done(late) was called; what is left of it is forgotten. Loop only */
	struct list_node node;  /* in queued or answered. Under the mutex */
	struct list_node order; /* in outstanding. Loop only */
};

/* What the thread may touch after helper_close has left it behind. The last of both to leave frees it. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t work, idle;
	struct list queued, answered;
	struct job *running;
	bool closing;
	bool abandoned; /* by helper_close: the thread frees this when it comes back */
	int wake;       /* eventfd of the loop */
};

struct helper {
	struct shared *shared;
	pthread_t thread;
	struct list outstanding; /* every job not done or late yet, in order of submission */
	bool closing;            /* what is submitted now is forgotten at once */
	struct event *answers, *deadline;
};

static void shared_free(struct shared *shared)
{
	pthread_mutex_destroy(&shared->mutex);
	pthread_cond_destroy(&shared->work);
	pthread_cond_destroy(&shared->idle);
	close(shared->wake);
	mem_free(shared);
}

static void wake_loop(struct shared *shared)
{
	uint64_t one = 1;
	ssize_t written = write(shared->wake, &one, sizeof one);
	(void)written; /* full means that the loop is awake already */
}

static void *helper_main(void *context)
{
	struct shared *shared = context;
	pthread_mutex_lock(&shared->mutex);
	for (;;) {
		while (list_empty(&shared->queued) && !shared->closing)
			pthread_cond_wait(&shared->work, &shared->mutex);
		if (shared->closing)
			break;
		struct job *job = container_of(list_first(&shared->queued), struct job, node);
		list_remove(&shared->queued, &job->node);
		shared->running = job;
		pthread_mutex_unlock(&shared->mutex);
		job->job.run(job->job.context);
		pthread_mutex_lock(&shared->mutex);
		shared->running = NULL;
		list_append(&shared->answered, &job->node);
		pthread_cond_signal(&shared->idle);
		wake_loop(shared);
	}
	bool abandoned = shared->abandoned;
	pthread_mutex_unlock(&shared->mutex);
	if (abandoned) {
		list_each (&shared->answered, node, after)
			mem_free(container_of(node, struct job, node));
		shared_free(shared);
	}
	return NULL;
}

static void arm_deadline(struct helper *helper)
{
	int64_t first = INT64_MAX;
	list_each (&helper->outstanding, node, after) {
		struct job *job = container_of(node, struct job, order);
		if (job->deadline < first)
			first = job->deadline;
	}
	if (first == INT64_MAX) {
		evtimer_del(helper->deadline);
		return;
	}
	int64_t wait = first - clock_now();
	if (wait < 0)
		wait = 0;
	struct timeval timeout = {wait / 1000, (suseconds_t)(wait % 1000) * 1000};
	evtimer_add(helper->deadline, &timeout);
}

static void answer(struct helper *helper, struct job *job)
{
	if (job->late) {
		job->job.forget(job->job.context);
	} else {
		list_remove(&helper->outstanding, &job->order);
		job->job.done(job->job.context, false);
	}
	mem_free(job);
}

static struct job *next_answer(struct shared *shared)
{
	pthread_mutex_lock(&shared->mutex);
	struct list_node *node = list_first(&shared->answered);
	if (node)
		list_remove(&shared->answered, node);
	pthread_mutex_unlock(&shared->mutex);
	return node ? container_of(node, struct job, node) : NULL;
}

static void on_answers(evutil_socket_t fd, short what, void *context)
{
	(void)what;
	struct helper *helper = context;
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof count);
	(void)got;
	struct job *job;
	while ((job = next_answer(helper->shared)) != NULL)
		answer(helper, job);
	arm_deadline(helper);
}

/* Takes a late job back when it has not begun; true when it was still queued. */
static bool take_back(struct shared *shared, struct job *job)
{
	bool queued = false;
	pthread_mutex_lock(&shared->mutex);
	list_each (&shared->queued, node, after) {
		if (node == &job->node) {
			list_remove(&shared->queued, node);
			queued = true;
			break;
		}
	}
	pthread_mutex_unlock(&shared->mutex);
	return queued;
}

static void give_up(struct helper *helper, struct job *job)
{
	struct helper_job own = job->job;
	log_throttled(LOG_WARN, "helper", "%s has not answered after %lld ms", own.name,
	        (long long)own.deadline_ms);
	list_remove(&helper->outstanding, &job->order);
	job->late = true;
	bool never = take_back(helper->shared, job);
	own.done(own.context, true);
	if (never) {
		own.forget(own.context);
		mem_free(job);
	}
}

static struct job *overdue(struct helper *helper, int64_t now)
{
	list_each (&helper->outstanding, node, after) {
		struct job *job = container_of(node, struct job, order);
		if (job->deadline <= now)
			return job;
	}
	return NULL;
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	struct helper *helper = context;
	int64_t now = clock_now();
	struct job *job;
	while ((job = overdue(helper, now)) != NULL)
		give_up(helper, job);
	arm_deadline(helper);
}

static bool start_thread(struct helper *helper)
{
	sigset_t all, before; /* signals belong to the loop's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&helper->thread, NULL, helper_main, helper->shared);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed == 0;
}

struct helper *helper_open(struct event_base *base, struct err *err)
{
	int wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wake < 0) {
		err_set(err, "cannot open an eventfd: %s", strerror(errno));
		return NULL;
	}
	struct helper *helper = mem_zalloc(1, sizeof *helper);
	struct shared *shared = helper->shared = mem_zalloc(1, sizeof *shared);
	pthread_condattr_t steady;
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_mutex_init(&shared->mutex, NULL);
	pthread_cond_init(&shared->work, NULL);
	pthread_cond_init(&shared->idle, &steady);
	pthread_condattr_destroy(&steady);
	list_init(&shared->queued, "queued");
	list_init(&shared->answered, "answered");
	list_init(&helper->outstanding, "outstanding");
	shared->wake = wake;
	if (!start_thread(helper)) {
		err_set(err, "cannot start the helper thread");
		shared_free(shared);
		mem_free(helper);
		return NULL;
	}
	helper->answers = event_new(base, wake, EV_READ | EV_PERSIST, on_answers, helper);
	helper->deadline = evtimer_new(base, on_deadline, helper);
	event_add(helper->answers, NULL);
	return helper;
}

void helper_submit(struct helper *helper, const struct helper_job *own)
{
	if (helper->closing) {
		own->forget(own->context);
		return;
	}
	struct job *job = mem_zalloc(1, sizeof *job);
	job->job = *own;
	job->deadline = clock_now() + own->deadline_ms;
	list_append(&helper->outstanding, &job->order);
	arm_deadline(helper);
	pthread_mutex_lock(&helper->shared->mutex);
	list_append(&helper->shared->queued, &job->node);
	pthread_cond_signal(&helper->shared->work);
	pthread_mutex_unlock(&helper->shared->mutex);
}

/* Waits until the thread is idle; false when it is still busy after wait_ms. Mutex held. */
static bool wait_idle(struct shared *shared, int64_t wait_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += wait_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (shared->running)
		if (pthread_cond_timedwait(&shared->idle, &shared->mutex, &until) == ETIMEDOUT)
			return shared->running == NULL;
	return true;
}

static void forget(struct helper *helper, struct job *job)
{
	if (!job->late)
		list_remove(&helper->outstanding, &job->order);
	job->job.forget(job->job.context);
	mem_free(job);
}

static void take_all(struct list *from, struct list *to)
{
	struct list_node *node;
	while ((node = list_first(from)) != NULL) {
		list_remove(from, node);
		list_append(to, node);
	}
}

void helper_close(struct helper *helper, int64_t wait_ms)
{
	if (helper == NULL)
		return;
	struct shared *shared = helper->shared;
	struct list queued, answered;
	list_init(&queued, "queued");
	list_init(&answered, "answered");
	helper->closing = true;
	pthread_mutex_lock(&shared->mutex);
	shared->closing = true;
	pthread_cond_signal(&shared->work);
	take_all(&shared->queued, &queued);
	bool idle = wait_idle(shared, wait_ms);
	take_all(&shared->answered, &answered);
	shared->abandoned = !idle;
	if (!idle) {
		struct job *job = shared->running;
		log_warn("helper", "%s still runs after %lld ms more and is left behind", job->job.name,
		        (long long)wait_ms);
		if (!job->late)
			list_remove(&helper->outstanding, &job->order);
	}
	pthread_mutex_unlock(&shared->mutex); /* from here on an abandoned `shared` is the thread's */
	event_free(helper->answers);
	event_free(helper->deadline);
	list_each (&answered, node, after)
		answer(helper, container_of(node, struct job, node));
	list_each (&queued, rest, next)
		forget(helper, container_of(rest, struct job, node));
	if (idle) {
		pthread_join(helper->thread, NULL);
		shared_free(shared);
	} else {
		pthread_detach(helper->thread);
	}
	mem_free(helper);
}
