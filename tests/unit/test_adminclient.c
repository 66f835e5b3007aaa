/* One question to an admin port: whatever answers there, the client ends in time and says what was wrong. */
#include "adminclient.h"
#include "clock.h"
#include "mem.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server for one connection: reads a request's head, sends its answer in two parts, hangs up (or does not).
 */
struct server {
	int fd;
	uint16_t port;
	const char *answer;
	size_t size; /* of the answer; 0 = strlen */
	bool hangs;  /* keeps the connection open afterwards, until the client has gone */
	bool floods; /* sends the answer's last byte again and again */
	char asked[4096];
	pthread_t thread;
};

static void send_bytes(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		data += n;
		size -= (size_t)n;
	}
}

static void flood(int fd, char byte)
{
	static char many[65536];
	memset(many, byte, sizeof many);
	while (send(fd, many, sizeof many, MSG_NOSIGNAL) > 0)
		continue;
}

static void *serve(void *context)
{
	struct server *server = context;
	int fd = accept(server->fd, NULL, NULL);
	size_t got = 0, size = server->size ? server->size : strlen(server->answer);
	while (got < sizeof server->asked - 1 && strstr(server->asked, "\r\n\r\n") == NULL) {
		ssize_t n = recv(fd, server->asked + got, sizeof server->asked - 1 - got, 0);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	send_bytes(fd, server->answer, size / 2);
	usleep(1000);
	send_bytes(fd, server->answer + size / 2, size - size / 2);
	if (server->floods)
		flood(fd, server->answer[size - 1]);
	char byte;
	while (server->hangs && recv(fd, &byte, 1, 0) > 0)
		continue;
	close(fd);
	return NULL;
}

static void server_start(struct server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	server->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server->fd, 1), 0);
	getsockname(server->fd, (struct sockaddr *)&address, &size);
	server->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static int ask_at(struct server *server, const char *format, const char *method, int64_t timeout_ms,
        struct buf *body, struct err *err)
{
	server_start(server);
	char *url = mem_printf("http://127.0.0.1:%u%s", server->port, format);
	struct adminclient client = {.url = url, .token = "s3cret", .timeout_ms = timeout_ms};
	buf_init(body, 0);
	*err = (struct err){""};
	int status = adminclient_ask(&client, method, "/api/v1/status?x=1", body, err);
	pthread_join(server->thread, NULL);
	close(server->fd);
	mem_free(url);
	return status;
}

static void assert_answer(const char *answer, int status, const char *text)
{
	struct server server = {.answer = answer};
	struct buf body;
	struct err err;
	int got = ask_at(&server, "", "GET", 20000, &body, &err);
	if (got != status || (text && strcmp(body.data ? body.data : "", text) != 0))
		fail_msg("%d '%s' (%s) for %s", got, body.data ? body.data : "", err.text, answer);
	buf_free(&body);
}

static void the_body_comes_by_length_by_chunks_or_to_the_end(void **state)
{
	(void)state;
	assert_answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellogarbage", 200, "hello");
	assert_answer("HTTP/1.1 422 No\r\ncontent-type: x\r\ncontent-length:3\r\n\r\nno\n", 422, "no\n");
	assert_answer("HTTP/1.0 200 OK\r\n\r\nall of it", 200, "all of it");
	assert_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, "
	              "world\r\n0\r\n\r\n",
	        200, "hello, world");
	assert_answer("HTTP/1.1 204 Nothing\r\nX-Content-Length: 99\r\n\r\n", 204, "");
}

static void an_answer_that_is_cut_is_none(void **state)
{
	(void)state;
	assert_answer("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", 0, "");
	assert_answer("HTTP/1.1 200 OK\r\nContent-Le", 0, "");
	assert_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 0, "");
	assert_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", 0, "");
	assert_answer(
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello", 0, "");
	assert_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, "");
	assert_answer("", 0, "");
	assert_answer("SSH-2.0-OpenSSH_9.2p1 Debian\r\n", 0, "");
	assert_answer("HTTP/1.1 999 Strange\r\n\r\n", 0, "");
}

static void the_request_says_where_what_and_who(void **state)
{
	(void)state;
	struct server server = {.answer = "HTTP/1.1 200 OK\r\n\r\n"};
	struct buf body;
	struct err err;
	assert_int_equal(ask_at(&server, "/behind/", "POST", 20000, &body, &err), 200);
	assert_int_equal(strncmp(server.asked, "POST /behind/api/v1/status?x=1 HTTP/1.1\r\n", 41), 0);
	char *host = mem_printf("\r\nHost: 127.0.0.1:%u\r\n", server.port);
	assert_non_null(strstr(server.asked, host));
	assert_non_null(strstr(server.asked, "\r\nAuthorization: Bearer s3cret\r\n"));
	assert_non_null(strstr(server.asked, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(server.asked, "\r\nContent-Length: 0\r\n"));
	mem_free(host);
	buf_free(&body);
}

static void a_server_that_never_ends_is_left_in_time(void **state)
{
	(void)state;
	struct server server = {
	        .answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", .hangs = true};
	struct buf body;
	struct err err;
	int64_t before = clock_now();
	assert_int_equal(ask_at(&server, "", "GET", 100, &body, &err), 0);
	assert_true(clock_now() - before >= 100);
	assert_non_null(strstr(err.text, "timed out"));
	buf_free(&body);
}

static void an_answer_without_end_is_left_at_its_limit(void **state)
{
	(void)state;
	struct server server = {.answer = "HTTP/1.1 200 OK\r\n\r\nx", .floods = true};
	struct buf body;
	struct err err;
	assert_int_equal(ask_at(&server, "", "GET", 60000, &body, &err), 0);
	assert_non_null(strstr(err.text, "larger than 16 MiB"));
	assert_int_equal(body.size, 0);
	buf_free(&body);
}

static void nobody_there_is_said_with_the_address(void **state)
{
	(void)state;
	struct server server = {.answer = ""};
	struct err err = {""};
	server_start(&server); /* to have a port that is free afterwards */
	char *url = mem_printf("http://127.0.0.1:%u", server.port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET,
	        .sin_port = htons(server.port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);
	pthread_join(server.thread, NULL);
	close(server.fd);
	struct adminclient client = {.url = url, .timeout_ms = 5000};
	assert_int_equal(adminclient_ask(&client, "GET", "/", NULL, &err), 0);
	assert_non_null(strstr(err.text, url));
	assert_non_null(strstr(err.text, "refused"));
	client.url = "http://no-such-host.invalid:1";
	assert_int_equal(adminclient_ask(&client, "GET", "/", NULL, &err), 0);
	assert_non_null(strstr(err.text, "no-such-host.invalid"));
	mem_free(url);
}

static void a_token_of_two_lines_is_not_sent(void **state)
{
	(void)state;
	struct err err = {""};
	struct adminclient client = {.url = "http://127.0.0.1:1", .token = "a\r\nX: y", .timeout_ms = 1000};
	assert_int_equal(adminclient_ask(&client, "GET", "/", NULL, &err), 0);
	assert_non_null(strstr(err.text, "more than one line"));
}

static void addresses_are_checked_before_they_are_used(void **state)
{
	(void)state;
	static const char *const good[] = {"http://127.0.0.1:9464", "http://localhost", "http://[::1]:9464/",
	        "http://[::1]", "http://x.example:80/a/b/"};
	static const char *const bad[] = {"", "127.0.0.1:9464", "https://x", "http://", "http://:80",
	        "http://x:", "http://x:0", "http://x:65536", "http://x:12a", "http://u:p@x", "http://x/?a",
	        "http://x y", "http://[::1", "http://[::1]x", "http://[]:80", "http://x\r\n:80"};
	struct err err;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!adminclient_url_good(good[i], &err))
			fail_msg("%s: %s", good[i], err.text);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (adminclient_url_good(bad[i], &err))
			fail_msg("%s was taken", bad[i]);
}

/* ---- an answer that goes on ---- */

struct heard {
	struct buf text;
	size_t lines, enough; /* enough: after so many, 0 = never */
	bool stops;
};

static bool hear(void *context, const char *line, size_t size)
{
	struct heard *heard = context;
	buf_printf(&heard->text, "[%.*s]", (int)size, line);
	return ++heard->lines != heard->enough;
}

static bool stops(void *context)
{
	const struct heard *heard = context;
	return heard->stops && heard->lines > 0;
}

static int follow(struct server *server, struct heard *heard, enum adminclient_end *end, struct err *err)
{
	char url[64];
	struct buf body = {0};
	server_start(server);
	snprintf(url, sizeof url, "http://127.0.0.1:%u", server->port);
	const struct adminclient client = {.url = url, .timeout_ms = 20000};
	const struct adminclient_follower follower = {.context = heard, .line = hear, .stop = stops};
	int status = adminclient_follow(&client, "/-/tap", &follower, &body, end, err);
	pthread_join(server->thread, NULL);
	close(server->fd);
	buf_free(&body);
	return status;
}

static void lines_come_whole_however_they_are_cut(void **state)
{
	static const char *const answers[] = {
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
	        "chunked\r\n\r\n3\r\none\r\n6\r\n\ntwo\nt\r\n5\r\nhree\n\r\n0\r\n\r\n",
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
	        "chunked\r\n\r\nE;x=y\r\none\ntwo\nthree\n\r\n0\r\n\r\n"};
	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct server server = {.answer = answers[i]};
		struct heard heard = {.lines = 0};
		struct err err = {""};
		enum adminclient_end end;
		assert_int_equal(follow(&server, &heard, &end, &err), 200);
		assert_int_equal(end, ADMINCLIENT_ENDED);
		assert_string_equal(heard.text.data, "[one][two][three]");
		buf_free(&heard.text);
	}
}

static void whoever_has_enough_stops(void **state)
{
	(void)state;
	for (int by_line = 0; by_line < 2; by_line++) {
		struct server server = {.hangs = true,
		        .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\none\ntwo\n\r\n"};
		struct heard heard = {.enough = by_line ? 1 : 0, .stops = !by_line};
		struct err err = {""};
		enum adminclient_end end;
		assert_int_equal(follow(&server, &heard, &end, &err), 200);
		assert_int_equal(end, ADMINCLIENT_ENOUGH);
		assert_string_equal(heard.text.data, by_line ? "[one]" : "[one][two]");
		buf_free(&heard.text);
	}
}

static void a_stream_that_breaks_off_is_told(void **state)
{
	static const char *const answers[] = {
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n4\r\ntw",
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\nnonsense\r\n",
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\nffffffffffffffff\r\nx"};
	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct server server = {.answer = answers[i]};
		struct heard heard = {.lines = 0};
		struct err err = {""};
		enum adminclient_end end;
		assert_int_equal(follow(&server, &heard, &end, &err), 200);
		assert_int_equal(end, ADMINCLIENT_CUT);
		assert_string_equal(heard.text.data, "[one]");
		assert_true(err.text[0]);
		buf_free(&heard.text);
	}
}

static void a_refusal_is_no_stream(void **state)
{
	struct server server = {.answer = "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nno\n"};
	struct heard heard = {.lines = 0};
	struct err err = {""};
	enum adminclient_end end;
	(void)state;
	assert_int_equal(follow(&server, &heard, &end, &err), 403);
	assert_int_equal(end, ADMINCLIENT_REFUSED);
	assert_int_equal(heard.lines, 0);
}

static void a_name_stands_for_each_of_its_addresses_once(void **state)
{
	struct err err = {""};
	size_t count;
	(void)state;
	char **urls = adminclient_addresses("http://127.0.0.1:9464/x/", 5000, &count, &err);
	assert_int_equal(count, 1);
	assert_string_equal(urls[0], "http://127.0.0.1:9464/x");
	adminclient_free_addresses(urls, count);
	urls = adminclient_addresses("http://[::1]:9464", 5000, &count, &err);
	assert_int_equal(count, 1);
	assert_string_equal(urls[0], "http://[::1]:9464");
	adminclient_free_addresses(urls, count);
	urls = adminclient_addresses("http://localhost:9464", 5000, &count, &err);
	assert_true(count >= 1);
	for (size_t i = 0; i < count; i++) {
		assert_true(adminclient_url_good(urls[i], &err));
		for (size_t n = 0; n < i; n++)
			assert_string_not_equal(urls[i], urls[n]);
	}
	adminclient_free_addresses(urls, count);
}

static void a_name_without_addresses_is_told(void **state)
{
	struct err err = {""};
	size_t count = 7;
	(void)state;
	assert_null(adminclient_addresses("http://nobody.invalid:9464", 5000, &count, &err));
	assert_int_equal(count, 0);
	assert_non_null(strstr(err.text, "http://nobody.invalid:9464: "));
	assert_null(adminclient_addresses("ftp://x", 5000, &count, &err));
	assert_non_null(strstr(err.text, "'ftp://x' is no address"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_body_comes_by_length_by_chunks_or_to_the_end),
	        cmocka_unit_test(an_answer_that_is_cut_is_none),
	        cmocka_unit_test(the_request_says_where_what_and_who),
	        cmocka_unit_test(a_server_that_never_ends_is_left_in_time),
	        cmocka_unit_test(an_answer_without_end_is_left_at_its_limit),
	        cmocka_unit_test(nobody_there_is_said_with_the_address),
	        cmocka_unit_test(a_token_of_two_lines_is_not_sent),
	        cmocka_unit_test(addresses_are_checked_before_they_are_used),
	        cmocka_unit_test(lines_come_whole_however_they_are_cut),
	        cmocka_unit_test(whoever_has_enough_stops),
	        cmocka_unit_test(a_stream_that_breaks_off_is_told),
	        cmocka_unit_test(a_refusal_is_no_stream),
	        cmocka_unit_test(a_name_stands_for_each_of_its_addresses_once),
	        cmocka_unit_test(a_name_without_addresses_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
