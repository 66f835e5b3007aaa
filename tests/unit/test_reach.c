/* Whether a TCP connection can be opened, tried on the loopback. */
#include "reach.h"
#include "mem.h"
#include "unit.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000 };

static int listener, port;

static int listen_somewhere(void **state)
{
	(void)state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 16) != 0 ||
	        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
		return -1;
	port = ntohs(address.sin_port);
	return 0;
}

static int stop_listening(void **state)
{
	(void)state;
	return close(listener);
}

static void whoever_listens_is_reached(void **state)
{
	(void)state;
	struct err err = {""};
	char *url = mem_printf("http://127.0.0.1:%d/w/api.php", port),
	     *servers = mem_printf("SSL://127.0.0.1:%d", port);
	assert_true(reach_url(url, PATIENCE_MS, &err));
	assert_true(reach_brokers(servers, PATIENCE_MS, &err));
	mem_free(url);
	mem_free(servers);
}

static void one_broker_of_several_is_enough(void **state)
{
	(void)state;
	struct err err = {""};
	char *servers = mem_printf("127.0.0.1:1, no-such-host.invalid:9092,127.0.0.1:%d", port);
	assert_true(reach_brokers(servers, PATIENCE_MS, &err));
	mem_free(servers);
}

static void the_reason_names_host_and_port(void **state)
{
	(void)state;
	struct err err = {""};
	assert_false(reach_brokers("127.0.0.1:1", PATIENCE_MS, &err));
	assert_string_equal(err.text, "127.0.0.1 port 1: Connection refused");
	assert_false(reach_url("http://[::ffff:127.0.0.1]:1/x", PATIENCE_MS, &err));
	assert_string_equal(err.text, "::ffff:127.0.0.1 port 1: Connection refused");
	assert_false(reach_brokers(" , ", PATIENCE_MS, &err));
	assert_string_equal(err.text, "no broker is named");
	assert_false(reach_brokers("SSL://", PATIENCE_MS, &err));
	assert_false(reach_url("https://:x", PATIENCE_MS, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(whoever_listens_is_reached),
	        cmocka_unit_test(one_broker_of_several_is_enough),
	        cmocka_unit_test(the_reason_names_host_and_port),
	};
	return cmocka_run_group_tests(tests, listen_somewhere, stop_listening);
}
