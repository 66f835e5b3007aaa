/* Tells a service manager how the process does, by systemd's datagram protocol. */
#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int notify_fd = -1;
static int64_t alive_every, alive_at; /* ms; 0 = nobody watches */

static void read_watchdog(void)
{
	const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	bool ours = pid == NULL || strtol(pid, NULL, 10) == (long)getpid();
	alive_every = interval && ours ? (int64_t)(strtoll(interval, NULL, 10) / 1000 / 2) : 0;
	if (alive_every < 0)
		alive_every = 0;
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* A path, or "@name" in the abstract name space. */
static bool connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(name);
	if ((*name != '/' && *name != '@') || size >= sizeof address.sun_path)
		return false;
	memcpy(address.sun_path, name, size);
	if (*name == '@')
		address.sun_path[0] = 0;
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*name == '/'));
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify_fd >= 0 && connect(notify_fd, (struct sockaddr *)&address, length) == 0)
		return true;
	notify_close();
	return false;
}

bool notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	bool open = name && connect_to(name);
	if (open)
		read_watchdog();
	unsetenv("NOTIFY_SOCKET");
	return open;
}

void notify_say(const char *lines)
{
	if (notify_fd >= 0) {
		ssize_t sent = send(notify_fd, lines, strlen(lines), MSG_NOSIGNAL);
		(void)sent; /* a manager that does not listen must not hold up the loop */
	}
}

void notify_alive(int64_t now)
{
	if (notify_fd < 0 || alive_every == 0 || now < alive_at)
		return;
	alive_at = now + alive_every;
	notify_say("WATCHDOG=1");
}

void notify_close(void)
{
	if (notify_fd >= 0)
		close(notify_fd);
	notify_fd = -1;
	alive_every = alive_at = 0;
}
