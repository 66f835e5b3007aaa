/* Small documents from files and from a server on this machine that answers as its path says. */
#include "fetch.h"
#include "mem.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* --- a server of one thread: one exchange a connection --- */

static int listener = -1, port;
static pthread_t server;
static char asked[4096]; /* the last request, as it came */

static void answer(int fd)
{
	size_t size = 0;
	ssize_t got;
	while (size < sizeof asked - 1 && (got = read(fd, asked + size, sizeof asked - 1 - size)) > 0) {
		size += (size_t)got;
		asked[size] = 0;
		if (strstr(asked, "\r\n\r\n"))
			break;
	}
	const char *path = strchr(asked, '/');
	const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
	if (path && strncmp(path, "/missing", 8) == 0)
		text = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
	else if (path && strncmp(path, "/broken", 7) == 0)
		text = "HTTP/1.1 503 Sorry\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	else if (path && strncmp(path, "/moved", 6) == 0)
		text = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: "
		       "close\r\n\r\n";
	else if (path && strncmp(path, "/cut", 4) == 0)
		text = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\nhel";
	ssize_t sent = path && strncmp(path, "/silent", 7) == 0 ? 0 : write(fd, text, strlen(text));
	(void)sent;
	if (path && strncmp(path, "/silent", 7) == 0)
		while (read(fd, asked, sizeof asked) > 0)
			;
}

static void *serve(void *nothing)
{
	int fd;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		answer(fd);
		close(fd);
	}
	return nothing;
}

static int start(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	(void)state;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8))
		return -1;
	getsockname(listener, (struct sockaddr *)&address, &size);
	port = ntohs(address.sin_port);
	return pthread_create(&server, NULL, serve, NULL);
}

static int stop(void **state)
{
	(void)state;
	shutdown(listener, SHUT_RDWR);
	pthread_join(server, NULL);
	return close(listener);
}

static struct fetch_config config(void)
{
	return (struct fetch_config){.user_agent = "millrace-test/1", .timeout_ms = 20000, .max_bytes = 1000};
}

static void expect(const struct fetch_config *with, const char *url, enum fetch_outcome outcome,
        const char *text, const char *said)
{
	struct err err = {""};
	struct buf out;
	buf_init(&out, 0);
	buf_append_text(&out, "before ");
	assert_int_equal(fetch(with, url, &out, &err), outcome);
	char all[64];
	snprintf(all, sizeof all, "before %s", text);
	assert_string_equal(out.data, all);
	if (said && strstr(err.text, said) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, said);
	buf_free(&out);
}

static void expect_http(const struct fetch_config *with, const char *path, enum fetch_outcome outcome,
        const char *text, const char *said)
{
	char url[200];
	snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
	expect(with, url, outcome, text, said);
}

/* --- stories --- */

static void a_file_is_fetched_by_its_url(void **state)
{
	(void)state;
	char folder[] = "/tmp/millrace-fetch-XXXXXX", path[100], url[120];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/1.0.0", folder);
	FILE *file = fopen(path, "w");
	fputs("title: x", file);
	fclose(file);
	struct fetch_config with = config();
	snprintf(url, sizeof url, "file://%s", path);
	expect(&with, url, FETCH_GOT, "title: x", NULL);
	with.max_bytes = 3;
	expect(&with, url, FETCH_AWAY, "", "larger than 3 bytes");
	snprintf(url, sizeof url, "file://%s", folder);
	expect(&with, url, FETCH_ABSENT, "", "is no file");
	snprintf(url, sizeof url, "file://%s/2.0.0", folder);
	expect(&with, url, FETCH_ABSENT, "", "No such file");
	snprintf(url, sizeof url, "file://%s/1.0.0/deeper", folder);
	expect(&with, url, FETCH_ABSENT, "", "Not a directory");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(url, sizeof url, "file://%s", path);
	expect(&with, url, FETCH_ABSENT, "", "is no file"); /* and does not wait for a writer */
	unlink(path);
	rmdir(folder);
}

static void what_is_not_there_is_told_from_what_nobody_knows(void **state)
{
	(void)state;
	struct fetch_config with = config();
	expect_http(&with, "/schema", FETCH_GOT, "hello", NULL);
	expect_http(&with, "/missing", FETCH_ABSENT, "", "answered 404");
	expect_http(&with, "/broken", FETCH_AWAY, "", "answered 503");
	expect_http(&with, "/moved", FETCH_AWAY, "", "answered 302");
	expect_http(&with, "/cut", FETCH_AWAY, "", "cannot be fetched");
	expect(&with, "http://127.0.0.1:1/", FETCH_AWAY, "", "cannot be fetched");
	expect(&with, "http://no-such-host.invalid/", FETCH_AWAY, "", "no-such-host.invalid");
	with.max_bytes = 4;
	expect_http(&with, "/schema", FETCH_AWAY, "", "larger than 4 bytes");
}

static void a_server_that_says_nothing_is_left_after_the_timeout(void **state)
{
	(void)state;
	struct fetch_config with = config();
	with.timeout_ms = 100;
	expect_http(&with, "/silent", FETCH_AWAY, "", "cannot be fetched");
}

static void a_route_keeps_the_host_that_was_meant(void **state)
{
	(void)state;
	struct fetch_config with = config();
	char to[40];
	snprintf(to, sizeof to, "http://127.0.0.1:%d/", port);
	struct fetch_route routes[] = {
	        {"https://other.example.org", "http://127.0.0.1:1"}, {"https://meta.example.org", to}};
	with.routes = routes;
	with.route_count = 2;
	expect(&with, "https://meta.example.org/w/api.php?streams=a", FETCH_GOT, "hello", NULL);
	assert_non_null(strstr(asked, "GET /w/api.php?streams=a HTTP/1.1\r\n"));
	assert_non_null(strstr(asked, "Host: meta.example.org\r\n"));
	assert_non_null(strstr(asked, "User-Agent: millrace-test/1\r\n"));
	/* A name that only begins alike is another host. */
	expect(&with, "https://meta.example.org.invalid/", FETCH_AWAY, "", "cannot be fetched");
	/* The environment's proxy has no say. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	expect_http(&with, "/schema", FETCH_GOT, "hello", NULL);
	unsetenv("http_proxy");
}

static void other_urls_are_refused(void **state)
{
	(void)state;
	struct fetch_config with = config();
	static const char *const wrong[] = {"", "schema", "/srv/schemas", "file://relative", "ftp://host/x",
	        "http://", "http:///x", "http://host/a b", "gopher://127.0.0.1/"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_false(fetch_url_valid(wrong[i], NULL));
		expect(&with, wrong[i], FETCH_AWAY, "", "expected file:///PATH");
	}
	assert_true(fetch_url_valid("HTTPS://Host.example.org:8080/x?y", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_file_is_fetched_by_its_url),
	        cmocka_unit_test(what_is_not_there_is_told_from_what_nobody_knows),
	        cmocka_unit_test(a_server_that_says_nothing_is_left_after_the_timeout),
	        cmocka_unit_test(a_route_keeps_the_host_that_was_meant),
	        cmocka_unit_test(other_urls_are_refused),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
