/* What signals mean to a running worker. */
#include "signals.h"
#include "watchdog.h"
#include "worker.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static struct worker *volatile running;
static volatile sig_atomic_t asked;

static void on_signal(int number)
{
	struct worker *worker = running;
	if (asked++ > 0)
		_exit(128 + number);
	if (worker)
		worker_stop_by(worker, number == SIGINT ? "of SIGINT" : "of SIGTERM");
}

static void on_hangup(int number)
{
	struct worker *worker = running;
	(void)number;
	if (worker)
		worker_reload(worker);
}

static void on_usr1(void)
{
	struct worker *worker = running;
	if (worker)
		worker_dump(worker);
}

static void on_usr2(int number)
{
	struct worker *worker = running;
	(void)number;
	if (worker)
		worker_debug(worker);
}

void signals_prepare(void)
{
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
}

void signals_install(struct worker *worker, bool reloads)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigemptyset(&action.sa_mask);
	running = worker;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write */
	action.sa_handler = on_hangup;
	if (reloads)
		sigaction(SIGHUP, &action, NULL);
	action.sa_handler = on_usr2;
	sigaction(SIGUSR2, &action, NULL);
	watchdog_foreign(on_usr1);
}

void signals_forget(void)
{
	running = NULL;
}
