/* How much CPU time a call may take, and the interruption of one that takes more. */
#include "watchdog.h"
#include "list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_NS = 10000000, SIGNAL_NS = 100000 };
static const int64_t abort_ns = 10000000000;

/* A thread that runs calls. Its numbers are written by it alone; the watchdog only reads them. */
struct watch {
	struct list_node node;
	pthread_t thread;
	clockid_t clock;
	_Atomic uint64_t call;    /* odd while a call runs */
	_Atomic int64_t deadline; /* CPU time of the thread, ns */
	_Atomic bool acknowledged;
	int64_t begun;
	uint64_t seen; /* the watchdog's: `call` at its last look */
	volatile sig_atomic_t running, interrupted;
	void (*interrupt)(void *context);
	void *context;
	bool known; /* on the list */
};

static _Thread_local struct watch mine;

static struct {
	pthread_once_t once;
	pthread_mutex_t mutex; /* of the list, and of `wake` */
	pthread_cond_t wake;
	pthread_key_t leave;
	struct list watches;
	_Atomic bool asleep;
	void (*_Atomic foreign)(void); /* for a SIGUSR1 that is not ours; NULL = nobody */
} dog = {.once = PTHREAD_ONCE_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER};

static int64_t cpu_now(clockid_t clock)
{
	struct timespec t;
	if (clock_gettime(clock, &t) != 0)
		return 0;
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Of ours by pthread_kill: SI_TKILL from this process. Whoever sends another from outside wants something
 * else. */
static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code != SI_TKILL || info->si_pid != getpid()) {
		void (*foreign)(void) = dog.foreign;
		if (foreign)
			foreign();
		return;
	}
	struct watch *watch = &mine;
	if (!watch->running || cpu_now(CLOCK_THREAD_CPUTIME_ID) < atomic_load(&watch->deadline))
		return;
	watch->interrupted = 1;
	watch->interrupt(watch->context);
}

static void give_up(void)
{
	static const char text[] =
	        "millrace: a script did not stop 10 s after its budget of CPU time was used up\n";
	ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
	(void)written;
	abort();
}

/* Looks at one thread; answers in how many ns to look again, or -1 when nothing happens there. */
static int64_t look(struct watch *watch)
{
	uint64_t call = atomic_load(&watch->call);
	bool quiet = call == watch->seen;
	watch->seen = call;
	if (call % 2 == 0)
		return quiet ? -1 : LOOK_NS;
	int64_t left = atomic_load(&watch->deadline) - cpu_now(watch->clock);
	bool same = atomic_load(&watch->call) == call;
	if (!same || left >= LOOK_NS)
		return LOOK_NS;
	if (left > 0)
		return left < SIGNAL_NS ? SIGNAL_NS : left;
	if (left < -abort_ns)
		give_up();
	if (atomic_load(&watch->acknowledged))
		return LOOK_NS;
	pthread_kill(watch->thread, SIGUSR1);
	return SIGNAL_NS;
}

static int64_t look_at_all(void)
{
	int64_t soonest = -1;
	list_each (&dog.watches, node, after) {
		int64_t wait = look(container_of(node, struct watch, node));
		if (wait >= 0 && (soonest < 0 || wait < soonest))
			soonest = wait;
	}
	return soonest;
}

static void wait_ns(int64_t ns)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t sum = until.tv_nsec + ns;
	until.tv_sec += (time_t)(sum / 1000000000);
	until.tv_nsec = (long)(sum % 1000000000);
	pthread_cond_timedwait(&dog.wake, &dog.mutex, &until);
}

static void *watch_over(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&dog.mutex);
	for (;;) {
		int64_t wait = look_at_all();
		if (wait < 0) {
			atomic_store(&dog.asleep, true); /* a call that begins from here on sees it */
			wait = look_at_all();
			if (wait < 0)
				pthread_cond_wait(&dog.wake, &dog.mutex);
			atomic_store(&dog.asleep, false);
		}
		if (wait >= 0)
			wait_ns(wait);
	}
	return NULL;
}

static void forget(void *value)
{
	struct watch *watch = value;
	pthread_mutex_lock(&dog.mutex);
	list_remove(&dog.watches, &watch->node);
	pthread_mutex_unlock(&dog.mutex);
	watch->known = false;
}

static void start(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
	pthread_condattr_t clock;
	sigset_t all, old;
	pthread_t thread;
	list_init(&dog.watches, "watched threads");
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&dog.wake, &clock);
	pthread_condattr_destroy(&clock);
	sigemptyset(&action.sa_mask);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* the new thread takes nobody's signals */
	if (pthread_key_create(&dog.leave, forget) != 0 || sigaction(SIGUSR1, &action, NULL) != 0 ||
	        pthread_create(&thread, NULL, watch_over, NULL) != 0)
		abort();
	pthread_setname_np(thread, "watchdog");
	pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void introduce(struct watch *watch)
{
	sigset_t usr1;
	pthread_once(&dog.once, start);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	watch->thread = pthread_self();
	if (pthread_getcpuclockid(watch->thread, &watch->clock) != 0)
		abort();
	pthread_setspecific(dog.leave, watch);
	pthread_mutex_lock(&dog.mutex);
	list_append(&dog.watches, &watch->node);
	pthread_mutex_unlock(&dog.mutex);
	watch->known = true;
}

static void wake(void)
{
	pthread_mutex_lock(&dog.mutex);
	pthread_cond_signal(&dog.wake);
	pthread_mutex_unlock(&dog.mutex);
}

void watchdog_foreign(void (*told)(void))
{
	dog.foreign = told;
	pthread_once(&dog.once, start);
}

void watchdog_begin(int64_t budget_ns, void (*interrupt)(void *context), void *context)
{
	struct watch *watch = &mine;
	if (!watch->known)
		introduce(watch);
	assert(!watch->running);
	watch->interrupt = interrupt;
	watch->context = context;
	watch->interrupted = 0;
	watch->begun = cpu_now(CLOCK_THREAD_CPUTIME_ID);
	atomic_store_explicit(&watch->deadline, watch->begun + budget_ns, memory_order_relaxed);
	atomic_store_explicit(&watch->acknowledged, false, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	watch->running = 1;
	atomic_fetch_add(&watch->call, 1);
	if (atomic_load(&dog.asleep) || budget_ns < LOOK_NS)
		wake();
}

void watchdog_extend(int64_t ns)
{
	if (mine.running)
		atomic_fetch_add(&mine.deadline, ns);
}

const volatile sig_atomic_t *watchdog_flag(void)
{
	return &mine.interrupted;
}

void watchdog_acknowledge(void)
{
	atomic_store(&mine.acknowledged, true);
}

bool watchdog_end(int64_t *cpu_ns)
{
	struct watch *watch = &mine;
	watch->running = 0; /* first: no interrupt after this */
	atomic_signal_fence(memory_order_seq_cst);
	atomic_fetch_add(&watch->call, 1);
	if (cpu_ns)
		*cpu_ns = cpu_now(CLOCK_THREAD_CPUTIME_ID) - watch->begun;
	bool interrupted = watch->interrupted;
	watch->interrupted = 0;
	return interrupted;
}
