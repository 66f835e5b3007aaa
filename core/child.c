/* Another program beside the loop: what it says is gathered, and it ends in time. */
#include "child.h"
#include "mem.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its end is looked for: SIGCHLD belongs to no thread of ours, and a pidfd needs a kernel of 2019. */
enum { LOOK_MS = 20 };

struct child {
	struct child_config config;
	pid_t pid;
	int output; /* our end of the pipe; -1 = it has said all */
	struct event *readable, *look, *deadline;
	struct buf said;
	bool late;
};

static void read_output(struct child *child)
{
	char bytes[4096];
	ssize_t got;
	while (child->output >= 0 && (got = read(child->output, bytes, sizeof bytes)) != 0) {
		size_t room = child->config.output_max - child->said.size;
		if (got > 0)
			buf_append(&child->said, bytes, (size_t)got < room ? (size_t)got : room);
		else if (errno != EINTR)
			break;
	}
	if (child->output >= 0 && got == 0)
		event_del(child->readable);
}

static void child_free(struct child *child)
{
	event_free(child->readable);
	event_free(child->look);
	event_free(child->deadline);
	close(child->output);
	buf_free(&child->said);
	mem_free(child);
}

static void look_again(struct child *child)
{
	struct timeval after = {.tv_usec = LOOK_MS * 1000};
	event_add(child->look, &after);
}

static void tell_end(struct child *child, int status)
{
	read_output(child);
	buf_append(&child->said, "", 0);
	struct child_end end = {.late = child->late,
	        .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
	        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
	        .said = {child->said.data ? child->said.data : "", child->said.size}};
	child->config.ended(child->config.context, &end);
	child_free(child);
}

static void on_look(evutil_socket_t fd, short what, void *context)
{
	struct child *child = context;
	int status = 0;
	(void)fd;
	(void)what;
	pid_t ended = waitpid(child->pid, &status, WNOHANG);
	if (ended == 0 || (ended < 0 && errno == EINTR)) {
		look_again(child);
		return;
	}
	kill(-child->pid, SIGKILL); /* what it left behind */
	tell_end(child, ended < 0 ? SIGKILL : status);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	read_output(context);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct child *child = context;
	(void)fd;
	(void)what;
	child->late = true;
	kill(-child->pid, SIGKILL);
}

static int spawn(const struct child_config *config, int output, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, output, 1);
	posix_spawn_file_actions_adddup2(&files, output, 2);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(
	        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	int failure = posix_spawn(
	        pid, config->argv[0], &files, &attributes, (char *const *)(size_t)config->argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return failure;
}

struct child *child_start(struct event_base *base, const struct child_config *config, struct err *err)
{
	int ends[2];
	pid_t pid;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		err_set(err, "a pipe cannot be made: %s", strerror(errno));
		return NULL;
	}
	int failure = spawn(config, ends[1], &pid);
	close(ends[1]);
	if (failure) {
		close(ends[0]);
		err_set(err, "%s cannot be started: %s", config->argv[0], strerror(failure));
		return NULL;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	struct child *child = mem_zalloc(1, sizeof *child);
	*child = (struct child){.config = *config, .pid = pid, .output = ends[0]};
	child->config.argv = NULL;
	child->readable = event_new(base, ends[0], EV_READ | EV_PERSIST, on_readable, child);
	child->look = event_new(base, -1, 0, on_look, child);
	child->deadline = event_new(base, -1, 0, on_deadline, child);
	struct timeval patience = {
	        .tv_sec = config->deadline_ms / 1000, .tv_usec = config->deadline_ms % 1000 * 1000};
	event_add(child->readable, NULL);
	event_add(child->deadline, &patience);
	look_again(child);
	return child;
}

void child_stop(struct child *child)
{
	if (child == NULL)
		return;
	kill(-child->pid, SIGKILL);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	child_free(child);
}
