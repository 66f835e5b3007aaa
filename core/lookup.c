/* A host's addresses, looked up for so long and no longer. */
#include "lookup.h"
#include "mem.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* The thread's and the asker's; the last to let go frees it. */
struct question {
	pthread_mutex_t mutex;
	pthread_cond_t answer;
	pthread_t thread;
	bool answered, left; /* under the mutex */
	char *host, *port;
	int failure;
	struct addrinfo *addresses;
};

static int resolve(const char *host, const char *port, int flags, struct addrinfo **addresses)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
	*addresses = NULL;
	return getaddrinfo(host, port, &hints, addresses);
}

static void question_free(struct question *question)
{
	if (question->addresses)
		freeaddrinfo(question->addresses);
	pthread_mutex_destroy(&question->mutex);
	pthread_cond_destroy(&question->answer);
	mem_free(question->host);
	mem_free(question->port);
	mem_free(question);
}

static struct question *question_make(const char *host, const char *port)
{
	struct question *question = mem_zalloc(1, sizeof *question);
	pthread_condattr_t steady;
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_mutex_init(&question->mutex, NULL);
	pthread_cond_init(&question->answer, &steady);
	pthread_condattr_destroy(&steady);
	question->host = mem_strdup(host);
	question->port = mem_strdup(port);
	return question;
}

static void *lookup_main(void *context)
{
	struct question *question = context;
	question->failure = resolve(question->host, question->port, 0, &question->addresses);
	pthread_mutex_lock(&question->mutex);
	question->answered = true;
	bool left = question->left;
	pthread_cond_signal(&question->answer);
	pthread_mutex_unlock(&question->mutex);
	if (left)
		question_free(question);
	return NULL;
}

static bool start_thread(struct question *question)
{
	sigset_t all, before; /* signals belong to the main thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&question->thread, NULL, lookup_main, question);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed == 0;
}

/* False when the thread was left behind; the question is its own then. */
static bool wait_for(struct question *question, int64_t timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&question->mutex);
	while (!question->answered &&
	        pthread_cond_timedwait(&question->answer, &question->mutex, &until) == 0)
		;
	bool answered = question->answered;
	if (!answered) {
		question->left = true;
		pthread_detach(question->thread);
	}
	pthread_mutex_unlock(&question->mutex);
	if (answered)
		pthread_join(question->thread, NULL);
	return answered;
}

struct addrinfo *lookup_host(const char *host, const char *port, int64_t timeout_ms, struct err *err)
{
	struct addrinfo *addresses;
	if (resolve(host, port, AI_NUMERICHOST | AI_NUMERICSERV, &addresses) == 0)
		return addresses;
	struct question *question = question_make(host, port);
	if (!start_thread(question)) {
		question_free(question);
		err_set(err, "no thread to look the name up with");
		return NULL;
	}
	if (!wait_for(question, timeout_ms)) {
		err_set(err, "looking the name up took longer than %lld ms", (long long)timeout_ms);
		return NULL;
	}
	addresses = question->addresses;
	question->addresses = NULL;
	if (question->failure)
		err_set(err, "%s", gai_strerror(question->failure));
	question_free(question);
	return addresses;
}
