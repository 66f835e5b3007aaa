/* What a service manager hears, on a socket of our own. */
#include "notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static int manager = -1;

static void listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	assert_int_equal(bind(manager, (struct sockaddr *)&address, size), 0);
}

static void expect(const char *said)
{
	char got[200] = "";
	ssize_t size = recv(manager, got, sizeof got - 1, 0);
	if (said)
		assert_string_equal(got, said);
	else
		assert_int_equal(size, -1);
}

static void without_a_manager_nothing_happens(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_false(notify_open());
	notify_say("READY=1");
	notify_alive(1);
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	assert_false(notify_open());
	setenv("NOTIFY_SOCKET", "not a path", 1);
	assert_false(notify_open());
	notify_say("READY=1");
	notify_close();
}

static void the_manager_hears_and_is_reassured(void **state)
{
	(void)state;
	char folder[] = "/tmp/millrace-notify-XXXXXX", path[100], pid[20];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/socket", folder);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	listen_at(path);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", "10000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	assert_true(notify_open());
	assert_null(getenv("NOTIFY_SOCKET")); /* no child speaks in our name */
	assert_null(getenv("WATCHDOG_USEC"));
	notify_say("READY=1\nSTATUS=reading");
	expect("READY=1\nSTATUS=reading");
	notify_alive(1000);
	expect("WATCHDOG=1");
	notify_alive(5999);
	expect(NULL); /* only when half of its patience is over */
	notify_alive(6000);
	expect("WATCHDOG=1");
	close(manager);
	notify_say("STATUS=nobody listens"); /* neither fails nor waits */
	notify_close();
	unlink(path);
	rmdir(folder);
}

static void an_abstract_socket_does_as_well_and_a_watch_of_another_process_is_none(void **state)
{
	(void)state;
	char name[60];
	snprintf(name, sizeof name, "millrace-notify-%d", (int)getpid());
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path + 1, name, strlen(name));
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	assert_int_equal(bind(manager, (struct sockaddr *)&address, size), 0);
	char variable[80];
	snprintf(variable, sizeof variable, "@%s", name);
	setenv("NOTIFY_SOCKET", variable, 1);
	setenv("WATCHDOG_USEC", "1000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_true(notify_open());
	notify_alive(1000);
	expect(NULL);
	notify_say("STOPPING=1");
	expect("STOPPING=1");
	notify_close();
	close(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(without_a_manager_nothing_happens),
	        cmocka_unit_test(the_manager_hears_and_is_reassured),
	        cmocka_unit_test(an_abstract_socket_does_as_well_and_a_watch_of_another_process_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
