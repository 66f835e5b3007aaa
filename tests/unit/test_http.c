/* HTTP exchanges against a server of our own on the same loop, which misbehaves on demand. */
#include "clock.h"
#include "http.h"
#include "mem.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { GUARD_MS = 20000, MANY = 300 };

/* --- the server: the path of a request says how it is answered --- */

struct stub {
	struct event_base *base;
	struct evconnlistener *listener;
	struct list peers;
	uint16_t port;
	size_t accepted, requests;
	size_t generation; /* peers of an older one are reset at their next request */
};

struct peer {
	struct stub *stub;
	struct bufferevent *stream;
	struct event *timer;
	struct list_node node;
	size_t generation;
	char later[128]; /* sent after a while, or dripped */
};

static void peer_free(struct peer *peer)
{
	list_remove(&peer->stub->peers, &peer->node);
	if (peer->timer)
		event_free(peer->timer);
	bufferevent_free(peer->stream);
	mem_free(peer);
}

static void peer_reset(struct peer *peer)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};
	setsockopt(bufferevent_getfd(peer->stream), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	peer_free(peer);
}

static void peer_close_when_sent(struct bufferevent *stream, void *context)
{
	(void)stream;
	peer_free(context);
}

static void peer_on_end(struct bufferevent *stream, short what, void *context)
{
	(void)stream, (void)what;
	peer_free(context);
}

static void say(struct peer *peer, const char *text)
{
	bufferevent_write(peer->stream, text, strlen(text));
}

static void say_and_close(struct peer *peer, const char *text)
{
	say(peer, text);
	bufferevent_setcb(peer->stream, NULL, peer_close_when_sent, peer_on_end, peer);
}

static void say_body(struct peer *peer, const char *headers, const void *body, size_t size)
{
	char head[256];
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n", headers, size);
	say(peer, head);
	bufferevent_write(peer->stream, body, size);
}

static void drip(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	say(context, "x");
}

static void say_later(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	struct peer *peer = context;
	say_body(peer, "", peer->later, strlen(peer->later));
}

static void start_timer(struct peer *peer, short flags, event_callback_fn call, int ms)
{
	struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	if (peer->timer)
		event_free(peer->timer);
	peer->timer = event_new(peer->stub->base, -1, flags, call, peer);
	event_add(peer->timer, &wait);
}

/* A deflate stream of `matches` times 258 zeros: 13 bits each. */
static size_t make_bomb(unsigned char *out, size_t matches)
{
	static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
	uint64_t bits = 0;
	unsigned count = 0;
	size_t size = sizeof head;
	memcpy(out, head, sizeof head);
	bits = 1 | 1 << 1 |
	       0x0cu << 3; /* last block, fixed codes; the literal 0 is 00110000, sent from its top bit */
	count = 3 + 8;
	for (size_t i = 0; i < matches; i++) {
		bits |= (uint64_t)0xa3 << count; /* length 258 is code 11000101, distance 1 is 00000 */
		for (count += 13; count >= 8; count -= 8, bits >>= 8)
			out[size++] = (unsigned char)bits;
	}
	for (count += 7; count > 0; count -= count < 8 ? count : 8, bits >>= 8)
		out[size++] = (unsigned char)bits;
	return size;
}

static void say_bomb(struct peer *peer)
{
	enum { MATCHES = 200000 }; /* 51 MB */
	unsigned char *bomb = mem_alloc(MATCHES * 2);
	say_body(peer, "Content-Encoding: gzip\r\n", bomb, make_bomb(bomb, MATCHES));
	mem_free(bomb);
}

static void say_zeros(struct peer *peer, size_t size, bool announced)
{
	char *zeros = mem_zalloc(size, 1), line[64];
	if (announced) {
		say_body(peer, "", zeros, size);
	} else {
		snprintf(line, sizeof line, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
		        size);
		say(peer, line);
		bufferevent_write(peer->stream, zeros, size);
		say(peer, "\r\n0\r\n\r\n");
	}
	mem_free(zeros);
}

static void say_headers(struct peer *peer, int count, int size)
{
	char *value = mem_zalloc((size_t)size + 1, 1);
	memset(value, 'v', (size_t)size);
	say(peer, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof name, "X-Number-%d: ", i);
		say(peer, name);
		say(peer, value);
		say(peer, "\r\n");
	}
	say(peer, "Content-Length: 2\r\n\r\nok");
	mem_free(value);
}

static bool answer_broken(struct peer *peer, const char *path)
{
	static const struct {
		const char *path, *text;
	} broken[] = {
	        {"/truncated", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"},
	        {"/truncated-chunked",
	                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"},
	        {"/half-head", "HTTP/1.1 200 OK\r\nContent-Le"},
	        {"/no-length", "HTTP/1.1 200 OK\r\n\r\nwhole"},
	        {"/not-http", "220 mail.example.org ESMTP ready\r\n"},
	        {"/bad-gzip",
	                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip"},
	        {"/bad-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nxx"},
	        {"/nothing", ""},
	};
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
		if (strcmp(path, broken[i].path) == 0) {
			if (*broken[i].text)
				say_and_close(peer, broken[i].text);
			else
				peer_free(peer);
			return true;
		}
	return false;
}

static void answer(struct peer *peer, const char *path, const char *request)
{
	static const unsigned char gzip[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
	        7, 0, 0x86, 0xa6, 0x10, 0x36, 5, 0, 0, 0}; /* "hello" */
	if (answer_broken(peer, path))
		return;
	if (strcmp(path, "/reset") == 0)
		peer_reset(peer);
	else if (strcmp(path, "/silent") == 0)
		return;
	else if (strcmp(path, "/echo") == 0)
		say_body(peer, "", request, strlen(request));
	else if (strcmp(path, "/gzip") == 0)
		say_body(peer, "Content-Encoding: gzip\r\n", gzip, sizeof gzip);
	else if (strcmp(path, "/bomb") == 0)
		say_bomb(peer);
	else if (strcmp(path, "/large") == 0)
		say_zeros(peer, 300000, true);
	else if (strcmp(path, "/large-chunked") == 0)
		say_zeros(peer, 300000, false);
	else if (strcmp(path, "/many-headers") == 0)
		say_headers(peer, 150, 10);
	else if (strcmp(path, "/fat-headers") == 0)
		say_headers(peer, 20, 5000);
	else if (strcmp(path, "/redirect") == 0)
		say(peer, "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
	else if (strcmp(path, "/missing") == 0)
		say(peer, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
	else if (strcmp(path, "/interim") == 0)
		say(peer, "HTTP/1.1 103 Early Hints\r\nLink: early\r\n\r\n"
		          "HTTP/1.1 200 OK\r\nX-Late: \t yes \r\nContent-Length: 2\r\n\r\nok");
	else if (strcmp(path, "/drip") == 0) {
		say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
		start_timer(peer, EV_PERSIST, drip, 20);
	} else if (strncmp(path, "/later", 6) == 0) {
		snprintf(peer->later, sizeof peer->later, "%s", path);
		start_timer(peer, 0, say_later, 1 + atoi(path + 6) % 17);
	} else
		say_body(peer, "Content-Type: text/plain\r\n", "hello", strncmp(request, "HEAD", 4) ? 5 : 0);
}

static void peer_on_read(struct bufferevent *stream, void *context)
{
	struct peer *peer = context;
	struct evbuffer *input = bufferevent_get_input(stream);
	char *text = (char *)evbuffer_pullup(input, -1), path[256] = "";
	size_t size = evbuffer_get_length(input), body = 0;
	if (size > 0 && text[0] == 0x16) { /* TLS: not here */
		peer_free(peer);
		return;
	}
	char *end = text ? memmem(text, size, "\r\n\r\n", 4) : NULL;
	if (end == NULL)
		return;
	char *announced = memmem(text, (size_t)(end - text), "Content-Length: ", 16);
	if (announced)
		body = (size_t)atoi(announced + 16);
	size_t whole = (size_t)(end - text) + 4 + body;
	if (size < whole)
		return;
	char *request = mem_dup(text, whole);
	sscanf(request, "%*s %255s", path);
	evbuffer_drain(input, whole);
	peer->stub->requests++;
	if (peer->generation < peer->stub->generation)
		peer_reset(peer);
	else
		answer(peer, path, request);
	mem_free(request);
}

static void stub_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
        int size, void *context)
{
	(void)listener, (void)address, (void)size;
	struct stub *stub = context;
	struct peer *peer = mem_zalloc(1, sizeof *peer);
	peer->stub = stub;
	peer->generation = stub->generation;
	peer->stream = bufferevent_socket_new(stub->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(peer->stream, peer_on_read, NULL, peer_on_end, peer);
	bufferevent_enable(peer->stream, EV_READ | EV_WRITE);
	list_append(&stub->peers, &peer->node);
	stub->accepted++;
}

static void stub_open(struct stub *stub, struct event_base *base)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	*stub = (struct stub){.base = base};
	list_init(&stub->peers, "peers");
	stub->listener = evconnlistener_new_bind(base, stub_on_accept, stub, LEV_OPT_CLOSE_ON_FREE, 1024,
	        (struct sockaddr *)&address, sizeof address);
	assert_non_null(stub->listener);
	getsockname(evconnlistener_get_fd(stub->listener), (struct sockaddr *)&address, &size);
	stub->port = ntohs(address.sin_port);
}

static void stub_close(struct stub *stub)
{
	list_each (&stub->peers, node, after)
		peer_free(container_of(node, struct peer, node));
	evconnlistener_free(stub->listener);
}

/* --- the client under test --- */

struct fixture {
	struct event_base *base;
	struct event *tick; /* so that no turn of the loop waits for ever */
	struct stub stub;
	struct http *http;
	struct upstream_config upstream;
};

struct ask {
	struct http_transfer transfer; /* first: done gets it */
	char url[256];
	int done;
	struct ask *victim; /* cancelled in done */
	struct ask *next;   /* sent in done */
	struct fixture *fixture;
};

static int outstanding;
static bool sending;

static void on_done(struct http_transfer *transfer)
{
	struct ask *ask = (struct ask *)transfer;
	assert_false(sending);
	assert_false(list_linked(&transfer->node));
	ask->done++;
	outstanding--;
	if (ask->victim)
		http_cancel(ask->fixture->http, &ask->victim->transfer);
	if (ask->next)
		http_send(ask->fixture->http, &ask->next->transfer);
}

static void prepare(struct fixture *fixture, struct ask *ask, const char *path)
{
	*ask = (struct ask){.fixture = fixture};
	snprintf(ask->url, sizeof ask->url, "http://127.0.0.1:%u%s", fixture->stub.port, path);
	ask->transfer.upstream = &fixture->upstream;
	ask->transfer.method = "GET";
	ask->transfer.url = ask->url;
	ask->transfer.done = on_done;
}

static void send_it(struct ask *ask)
{
	sending = true;
	outstanding++;
	http_send(ask->fixture->http, &ask->transfer);
	sending = false;
}

static void nothing(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context;
}

/* Turns the loop until nothing is outstanding, or (never_mind) until the time is up. */
static void turn(struct fixture *fixture, int64_t until, bool never_mind)
{
	while ((never_mind || outstanding > 0) && clock_now() < until)
		event_base_loop(fixture->base, EVLOOP_ONCE);
}

static void run(struct fixture *fixture)
{
	turn(fixture, clock_now() + GUARD_MS, false);
	assert_int_equal(outstanding, 0);
}

static void run_for(struct fixture *fixture, int ms)
{
	turn(fixture, clock_now() + ms, true);
}

static void ask(struct fixture *fixture, struct ask *ask, const char *path)
{
	prepare(fixture, ask, path);
	send_it(ask);
	run(fixture);
	assert_int_equal(ask->done, 1);
}

static void fails(struct fixture *fixture, const char *path, enum http_failure failure, const char *words)
{
	struct ask one;
	ask(fixture, &one, path);
	assert_string_equal(http_failure_name(one.transfer.failure), http_failure_name(failure));
	if (strstr(one.transfer.reason, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", one.transfer.reason, words);
	assert_int_equal(one.transfer.status, 0);
	assert_null(one.transfer.answer_headers);
	assert_int_equal(one.transfer.answer.size, 0);
	http_transfer_free(&one.transfer);
}

static void answers(struct fixture *fixture, const char *path, int status, const char *body)
{
	struct ask one;
	ask(fixture, &one, path);
	assert_string_equal(http_failure_name(one.transfer.failure), "answered");
	assert_int_equal(one.transfer.status, status);
	assert_int_equal(one.transfer.answer.size, strlen(body));
	if (*body)
		assert_string_equal(one.transfer.answer.data, body);
	http_transfer_free(&one.transfer);
}

static int set_up(void **state)
{
	struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
	struct http_config config = {.user_agent = "millrace-test/1.0"};
	struct err err = {""};
	outstanding = 0;
	fixture->base = event_base_new();
	struct timeval tick = {.tv_usec = 20000};
	fixture->tick = event_new(fixture->base, -1, EV_PERSIST, nothing, NULL);
	event_add(fixture->tick, &tick);
	stub_open(&fixture->stub, fixture->base);
	fixture->upstream = (struct upstream_config){.name = "test",
	        .timeout_ms = 10000,
	        .connect_timeout_ms = 5000,
	        .concurrency = 64,
	        .max_body = 100000,
	        .max_idle_ms = 60000};
	fixture->http = http_open(fixture->base, &config, &err);
	http_keep_connections(fixture->http, 64);
	assert_non_null(fixture->http);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	http_close(fixture->http);
	stub_close(&fixture->stub);
	event_free(fixture->tick);
	event_base_free(fixture->base);
	mem_free(fixture);
	return 0;
}

/* --- the promises --- */

static void a_question_is_answered(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	ask(fixture, &one, "/hello?a=b");
	assert_int_equal(one.transfer.failure, HTTP_ANSWERED);
	assert_int_equal(one.transfer.status, 200);
	assert_string_equal(one.transfer.answer.data, "hello");
	assert_string_equal(
	        headers_get(one.transfer.answer_headers, one.transfer.answer_header_count, "content-type"),
	        "text/plain");
	assert_true(one.transfer.elapsed > 0);
	assert_int_equal(http_in_flight(fixture->http), 0);
	http_transfer_free(&one.transfer);
}

static void any_status_is_an_answer(void **state)
{
	answers(*state, "/missing", 404, "none");
}

static void names_of_answer_headers_are_lower_case_and_interim_ones_are_forgotten(void **state)
{
	struct ask one;
	ask(*state, &one, "/interim");
	assert_int_equal(one.transfer.status, 200);
	assert_int_equal(one.transfer.answer_header_count, 2);
	assert_string_equal(one.transfer.answer_headers[0].name, "x-late");
	assert_string_equal(one.transfer.answer_headers[0].value, "yes");
	http_transfer_free(&one.transfer);
}

static void echo_holds(struct ask *ask, const char *words)
{
	assert_int_equal(ask->transfer.status, 200);
	if (strstr(ask->transfer.answer.data, words) == NULL)
		fail_msg("no \"%s\" in: %s", words, ask->transfer.answer.data);
}

static void what_is_asked_is_what_is_sent(void **state)
{
	struct fixture *fixture = *state;
	struct header headers[] = {
	        {"X-Request-Id", "abc 1"}, {"X-Empty", ""}, {"Content-Type", "application/json"}};
	struct ask one;
	prepare(fixture, &one, "/echo");
	one.transfer.method = "POST";
	one.transfer.host = "xx.wikipedia.org";
	one.transfer.headers = headers;
	one.transfer.header_count = 3;
	one.transfer.body = "{\"a\":1}";
	one.transfer.body_size = 7;
	send_it(&one);
	run(fixture);
	echo_holds(&one, "POST /echo HTTP/1.1\r\n");
	echo_holds(&one, "Host: xx.wikipedia.org\r\n");
	echo_holds(&one, "User-Agent: millrace-test/1.0\r\n");
	echo_holds(&one, "Accept-Encoding: ");
	echo_holds(&one, "X-Request-Id: abc 1\r\n");
	echo_holds(&one, "X-Empty:\r\n");
	echo_holds(&one, "Content-Type: application/json\r\n");
	echo_holds(&one, "\r\n\r\n{\"a\":1}");
	assert_null(strstr(one.transfer.answer.data, "Expect"));
	http_transfer_free(&one.transfer);
}

static void a_large_body_is_sent_without_waiting_to_be_asked(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	prepare(fixture, &one, "/echo");
	char *body = mem_zalloc(50001, 1);
	memset(body, 'b', 50000);
	one.transfer.method = "POST";
	one.transfer.body = body;
	one.transfer.body_size = 50000;
	send_it(&one);
	run(fixture);
	echo_holds(&one, "Content-Length: 50000\r\n");
	assert_null(strstr(one.transfer.answer.data, "Expect"));
	assert_null(strstr(one.transfer.answer.data, "Content-Type"));
	mem_free(body);
	http_transfer_free(&one.transfer);
}

static void every_method_is_sent_as_it_is_named(void **state)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		struct ask one;
		char line[64];
		prepare(fixture, &one, "/echo");
		one.transfer.method = methods[i];
		send_it(&one);
		run(fixture);
		snprintf(line, sizeof line, "%s /echo HTTP/1.1\r\n", methods[i]);
		echo_holds(&one, line);
		http_transfer_free(&one.transfer);
	}
}

static void a_head_request_has_an_empty_answer(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	prepare(fixture, &one, "/hello");
	one.transfer.method = "HEAD";
	send_it(&one);
	run(fixture);
	assert_int_equal(one.transfer.status, 200);
	assert_int_equal(one.transfer.answer.size, 0);
	http_transfer_free(&one.transfer);
}

static void path_segments_of_dots_are_sent_as_they_are(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	ask(fixture, &one, "/a/../b");
	assert_int_equal(one.transfer.status, 200);
	http_transfer_free(&one.transfer);
	answers(fixture, "/x/../echo", 200, "hello"); /* not the path /echo */
}

static void invalid(struct fixture *fixture, struct ask *ask, const char *words)
{
	size_t before = fixture->stub.requests;
	send_it(ask);
	assert_int_equal(ask->done, 0);
	run(fixture);
	assert_string_equal(http_failure_name(ask->transfer.failure), "invalid");
	if (strstr(ask->transfer.reason, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", ask->transfer.reason, words);
	assert_int_equal(fixture->stub.requests, before);
	http_transfer_free(&ask->transfer);
}

static void nothing_can_be_smuggled_into_a_request(void **state)
{
	static const struct header bad[] = {{"X-A", "1\r\nX-B: 2"}, {"X-A", "1\n"}, {"X-A\r\nX-B", "1"},
	        {"X-A", "\x01"}, {"X A", "1"}, {"", "1"}, {"X-A:", "1"}, {"Content-Length", "5"},
	        {"transfer-encoding", "chunked"}, {"Host", "evil.example"}, {"CONNECTION", "close"}};
	static const char *const urls[] = {"/a b", "/a\r\nX-B: 2", "/a\tb", "/a#fragment", "/\x7f"};
	static const char *const hosts[] = {"", "a b", "a\r\nX-B: 2", "a/b", "user@a", "a?b", "a#b"};
	static const char *const methods[] = {"", "GET /x HTTP/1.1\r\nX-B: 2\r\n\r\n", "GE T"};
	struct fixture *fixture = *state;
	struct ask one;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		prepare(fixture, &one, "/hello");
		one.transfer.headers = &bad[i];
		one.transfer.header_count = 1;
		invalid(fixture, &one, "header");
	}
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		prepare(fixture, &one, urls[i]);
		invalid(fixture, &one, "the URL holds");
	}
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		prepare(fixture, &one, "/hello");
		one.transfer.host = hosts[i];
		invalid(fixture, &one, "the host is not");
	}
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		prepare(fixture, &one, "/hello");
		one.transfer.method = methods[i];
		invalid(fixture, &one, "the method");
	}
}

static void only_http_and_https_are_spoken(void **state)
{
	static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/x",
	        "gopher://127.0.0.1:70/", "//", "", "http://127.0.0.1:99999/", "http://"};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct ask one;
		prepare(fixture, &one, "");
		one.transfer.url = urls[i];
		invalid(fixture, &one, "URL");
	}
}

static void a_redirect_is_an_answer_and_not_followed(void **state)
{
	struct fixture *fixture = *state;
	answers(fixture, "/redirect", 302, "");
	assert_int_equal(fixture->stub.requests, 1);
}

static void a_proxy_of_the_environment_is_not_used(void **state)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	answers(*state, "/hello", 200, "hello");
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

static void a_compressed_answer_is_unpacked(void **state)
{
	answers(*state, "/gzip", 200, "hello");
}

static void a_gzip_bomb_is_cut_at_max_body(void **state)
{
	struct fixture *fixture = *state;
	fails(fixture, "/bomb", HTTP_TOO_LARGE, "larger than max_body");
	fixture->upstream.max_body = 60000000; /* the bomb is a true one */
	struct ask one;
	ask(fixture, &one, "/bomb");
	assert_int_equal(one.transfer.answer.size, 200000 * 258 + 1);
	http_transfer_free(&one.transfer);
}

static void a_large_answer_is_refused_whether_announced_or_not(void **state)
{
	struct fixture *fixture = *state;
	fails(fixture, "/large", HTTP_TOO_LARGE, "larger than max_body (100");
	fails(fixture, "/large-chunked", HTTP_TOO_LARGE, "larger than max_body");
	fixture->upstream.max_body = 300000;
	struct ask one;
	ask(fixture, &one, "/large-chunked");
	assert_int_equal(one.transfer.answer.size, 300000);
	http_transfer_free(&one.transfer);
}

static size_t room_for;

static bool has_room(struct http_transfer *transfer, size_t size)
{
	(void)transfer;
	return size <= room_for;
}

static void send_with_room(struct fixture *fixture, struct ask *one, const char *path, size_t room)
{
	room_for = room;
	prepare(fixture, one, path);
	one->transfer.room = has_room;
	send_it(one);
	run(fixture);
	assert_int_equal(one->done, 1);
}

static void an_answer_without_room_is_cut_and_tells_how_far_it_came(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	fixture->upstream.max_body = 1000000;
	send_with_room(fixture, &one, "/large-chunked", 100000);
	assert_int_equal(one.transfer.failure, HTTP_NO_ROOM);
	assert_non_null(strstr(one.transfer.reason, "no memory for the answer"));
	assert_int_equal(one.transfer.answer.size, 0);
	assert_true(one.transfer.came > 100000 && one.transfer.came <= 300000);
	assert_int_equal(one.transfer.announced, 0);
	http_transfer_free(&one.transfer);
	send_with_room(fixture, &one, "/large", 0);
	assert_int_equal(one.transfer.failure, HTTP_NO_ROOM);
	assert_true(one.transfer.announced > 100000);
	http_transfer_free(&one.transfer);
	send_with_room(fixture, &one, "/large-chunked", 300000);
	assert_int_equal(one.transfer.failure, HTTP_ANSWERED);
	assert_int_equal(one.transfer.came, 300000);
	http_transfer_free(&one.transfer);
	send_with_room(fixture, &one, "/gzip", 100); /* its header tells the size of what is packed */
	assert_int_equal(one.transfer.announced, 0);
	http_transfer_free(&one.transfer);
}

static void headers_are_bounded(void **state)
{
	fails(*state, "/many-headers", HTTP_MALFORMED, "too many headers");
	fails(*state, "/fat-headers", HTTP_MALFORMED, "too many headers");
}

static void a_slow_drip_times_out(void **state)
{
	struct fixture *fixture = *state;
	fixture->upstream.timeout_ms = 200;
	fails(fixture, "/drip", HTTP_TIMEOUT, "no whole answer from 127.0.0.1:");
	fails(fixture, "/silent", HTTP_TIMEOUT, "in time");
}

static void a_request_may_name_its_own_time(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	prepare(fixture, &one, "/silent");
	one.transfer.timeout_ms = 100;
	send_it(&one);
	run(fixture);
	assert_int_equal(one.transfer.failure, HTTP_TIMEOUT);
	assert_true(one.transfer.elapsed < 9);
	http_transfer_free(&one.transfer);
}

static void an_answer_cut_short_is_not_taken_for_whole(void **state)
{
	fails(*state, "/truncated", HTTP_TRUNCATED, "ended early");
	fails(*state, "/truncated-chunked", HTTP_TRUNCATED, "ended early");
}

static void an_answer_without_a_length_ends_where_it_ends(void **state)
{
	answers(*state, "/no-length", 200, "whole");
}

static void a_broken_connection_is_a_reset(void **state)
{
	fails(*state, "/reset", HTTP_RESET, "broke the connection");
	fails(*state, "/nothing", HTTP_RESET, "broke the connection");
}

static void what_is_not_http_is_malformed(void **state)
{
	fails(*state, "/not-http", HTTP_MALFORMED, "not proper HTTP");
	fails(*state, "/bad-gzip", HTTP_MALFORMED, "not proper HTTP");
}

static void other_broken_answers_are_failures_too(void **state)
{
	static const char *const paths[] = {"/half-head", "/bad-chunk"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct ask one;
		ask(*state, &one, paths[i]);
		if (one.transfer.failure == HTTP_ANSWERED)
			assert_int_equal(one.transfer.answer.size, 0);
		http_transfer_free(&one.transfer);
	}
}

static void a_closed_port_refuses_the_connection(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound and not listening: nobody else can take the port */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	getsockname(fd, (struct sockaddr *)&address, &size);
	char words[64];
	struct ask one;
	prepare(fixture, &one, "");
	snprintf(one.url, sizeof one.url, "http://127.0.0.1:%u/x?secret", ntohs(address.sin_port));
	snprintf(words, sizeof words, "connection refused by 127.0.0.1:%u", ntohs(address.sin_port));
	send_it(&one);
	run(fixture);
	assert_int_equal(one.transfer.failure, HTTP_CONNECT);
	assert_string_equal(one.transfer.reason, words);
	http_transfer_free(&one.transfer);
	close(fd);
}

static void a_connection_that_never_comes_about_is_a_connect_failure(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0), fill[8];
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 0), 0);
	getsockname(fd, (struct sockaddr *)&address, &size);
	for (int i = 0; i < 8; i++) { /* a full queue: the kernel drops further SYNs */
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&address, sizeof address);
	}
	struct ask one;
	prepare(fixture, &one, "");
	fixture->upstream.connect_timeout_ms = 150;
	snprintf(one.url, sizeof one.url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
	send_it(&one);
	run(fixture);
	assert_string_equal(http_failure_name(one.transfer.failure), "connect");
	assert_non_null(strstr(one.transfer.reason, "no connection to 127.0.0.1:"));
	http_transfer_free(&one.transfer);
	for (int i = 0; i < 8; i++)
		close(fill[i]);
	close(fd);
}

static void a_name_without_an_address_is_a_connect_failure(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	prepare(fixture, &one, "");
	snprintf(one.url, sizeof one.url, "http://no-such-host.invalid/x");
	send_it(&one);
	run(fixture);
	assert_string_equal(http_failure_name(one.transfer.failure), "connect");
	assert_string_equal(one.transfer.reason, "no address is known for no-such-host.invalid:80");
	http_transfer_free(&one.transfer);
}

static void tls_that_fails_is_a_connect_failure(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	prepare(fixture, &one, "");
	snprintf(one.url, sizeof one.url, "https://127.0.0.1:%u/", fixture->stub.port);
	send_it(&one);
	run(fixture);
	assert_string_equal(http_failure_name(one.transfer.failure), "connect");
	assert_non_null(strstr(one.transfer.reason, "TLS with 127.0.0.1:"));
	http_transfer_free(&one.transfer);
}

static void connections_are_used_again(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 50; i++)
		answers(fixture, "/hello", 200, "hello");
	assert_int_equal(fixture->stub.requests, 50);
	assert_int_equal(fixture->stub.accepted, 1);
	assert_int_equal(http_connections_opened(fixture->http), 1);
}

static void different_hosts_share_a_connection(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 20; i++) {
		char host[64];
		struct ask one;
		snprintf(host, sizeof host, "w%d.example.org", i);
		prepare(fixture, &one, "/hello");
		one.transfer.host = host;
		send_it(&one);
		run(fixture);
		assert_int_equal(one.transfer.status, 200);
		http_transfer_free(&one.transfer);
	}
	assert_int_equal(fixture->stub.accepted, 1);
}

static void a_fresh_one_takes_a_new_connection(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	answers(fixture, "/hello", 200, "hello");
	prepare(fixture, &one, "/hello");
	one.transfer.fresh = true;
	send_it(&one);
	run(fixture);
	assert_int_equal(one.transfer.status, 200);
	http_transfer_free(&one.transfer);
	assert_int_equal(fixture->stub.accepted, 2);
}

static void a_connection_idle_for_too_long_is_not_used_again(void **state)
{
	struct fixture *fixture = *state;
	fixture->upstream.max_idle_ms = 1;
	answers(fixture, "/hello", 200, "hello");
	run_for(fixture, 2300);
	answers(fixture, "/hello", 200, "hello");
	assert_int_equal(fixture->stub.accepted, 2);
}

static void open_idle_connections(struct fixture *fixture, struct ask *asks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		prepare(fixture, &asks[i], "/later9");
		send_it(&asks[i]);
	}
	run(fixture);
	for (size_t i = 0; i < count; i++)
		http_transfer_free(&asks[i].transfer);
	assert_int_equal(fixture->stub.accepted, count);
}

static void a_stale_connection_is_replaced_without_a_word(void **state)
{
	struct fixture *fixture = *state;
	struct ask one;
	open_idle_connections(fixture, &one, 1);
	fixture->stub.generation++;
	answers(fixture, "/hello", 200, "hello");
	assert_int_equal(fixture->stub.accepted, 2);
}

static void too_many_stale_connections_are_told_apart_from_a_reset(void **state)
{
	struct fixture *fixture = *state;
	struct ask asks[12];
	open_idle_connections(fixture, asks, 12);
	fixture->stub.generation++;
	fails(fixture, "/hello", HTTP_STALE, "had closed the idle connection");
	prepare(fixture, asks, "/hello");
	asks->transfer.fresh = true;
	send_it(asks);
	run(fixture);
	assert_int_equal(asks->transfer.status, 200);
	http_transfer_free(&asks->transfer);
}

static void many_at_once_get_each_their_own_answer(void **state)
{
	struct fixture *fixture = *state;
	struct ask *asks = mem_zalloc(MANY, sizeof *asks);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			char path[32];
			snprintf(path, sizeof path, "/later%d", i);
			prepare(fixture, &asks[i], path);
			send_it(&asks[i]);
		}
		assert_int_equal(http_in_flight(fixture->http), MANY);
		run(fixture);
		for (int i = 0; i < MANY; i++) {
			char path[32];
			snprintf(path, sizeof path, "/later%d", i);
			assert_int_equal(asks[i].done, 1);
			assert_int_equal(asks[i].transfer.status, 200);
			assert_string_equal(asks[i].transfer.answer.data, path);
			http_transfer_free(&asks[i].transfer);
		}
	}
	assert_int_equal(http_in_flight(fixture->http), 0);
	mem_free(asks);
}

static void a_cancelled_one_is_never_heard_of_again(void **state)
{
	struct fixture *fixture = *state;
	struct ask silent, drip, unsent;
	prepare(fixture, &silent, "/silent");
	prepare(fixture, &drip, "/drip");
	prepare(fixture, &unsent, "/hello");
	http_send(fixture->http, &silent.transfer);
	http_send(fixture->http, &drip.transfer);
	run_for(fixture, 100);
	http_cancel(fixture->http, &silent.transfer);
	http_cancel(fixture->http, &drip.transfer);
	http_cancel(fixture->http, &drip.transfer);
	http_cancel(fixture->http, &unsent.transfer);
	http_transfer_free(&silent.transfer);
	http_transfer_free(&drip.transfer);
	assert_int_equal(http_in_flight(fixture->http), 0);
	answers(fixture, "/hello", 200, "hello");
	assert_int_equal(silent.done + drip.done + unsent.done, 0);
}

static void one_may_be_cancelled_before_it_began(void **state)
{
	struct fixture *fixture = *state;
	struct ask soon, invalid_one;
	prepare(fixture, &soon, "/hello");
	prepare(fixture, &invalid_one, "/a b");
	http_send(fixture->http, &soon.transfer);
	http_send(fixture->http, &invalid_one.transfer);
	assert_int_equal(http_in_flight(fixture->http), 2);
	http_cancel(fixture->http, &soon.transfer);
	http_cancel(fixture->http, &invalid_one.transfer);
	run_for(fixture, 50);
	assert_int_equal(soon.done + invalid_one.done, 0);
	assert_int_equal(fixture->stub.requests, 0);
}

static void one_may_cancel_another_in_its_done(void **state)
{
	struct fixture *fixture = *state;
	struct ask first, second, third;
	prepare(fixture, &first, "/a b"); /* both are given back in the same turn */
	prepare(fixture, &second, "/a b");
	prepare(fixture, &third, "/drip");
	first.victim = &second;
	send_it(&first);
	http_send(fixture->http, &second.transfer);
	run(fixture);
	first.victim = &third;
	http_send(fixture->http, &third.transfer);
	send_it(&first);
	run(fixture);
	assert_int_equal(first.done, 2);
	assert_int_equal(second.done + third.done, 0);
	assert_int_equal(http_in_flight(fixture->http), 0);
	http_transfer_free(&third.transfer);
}

static void one_may_send_another_in_its_done(void **state)
{
	struct fixture *fixture = *state;
	struct ask first, second;
	prepare(fixture, &first, "/hello");
	prepare(fixture, &second, "/hello");
	first.next = &second;
	send_it(&first);
	outstanding++;
	run(fixture);
	assert_int_equal(second.transfer.status, 200);
	http_transfer_free(&first.transfer);
	http_transfer_free(&second.transfer);
}

static void an_invalid_one_sent_for_ever_does_not_keep_the_loop(void **state)
{
	struct fixture *fixture = *state;
	struct ask endless;
	prepare(fixture, &endless, "/a b");
	endless.next = &endless;
	send_it(&endless);
	for (int turn = 0; turn < 10; turn++)
		event_base_loop(fixture->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_in_range(endless.done, 1, 10);
	http_cancel(fixture->http, &endless.transfer);
}

static void any_mixture_ends_once_or_is_cancelled(void **state)
{
	static const char *const paths[] = {"/hello", "/later5", "/silent", "/drip", "/truncated", "/reset",
	        "/nothing", "/gzip", "/large-chunked", "/not-http", "/a b", "/missing", "/no-length"};
	struct fixture *fixture = *state;
	struct ask *asks = mem_zalloc(MANY, sizeof *asks);
	bool cancelled[MANY] = {false};
	srand(11);
	fixture->upstream.timeout_ms = 300;
	for (int i = 0; i < MANY; i++) {
		prepare(fixture, &asks[i], paths[(size_t)rand() % (sizeof paths / sizeof *paths)]);
		send_it(&asks[i]);
		if (rand() % 3 == 0)
			event_base_loop(fixture->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		int victim = rand() % (i + 1);
		if (rand() % 2 && !asks[victim].done && !cancelled[victim]) {
			http_cancel(fixture->http, &asks[victim].transfer);
			cancelled[victim] = true;
			outstanding--;
		}
	}
	run(fixture);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(asks[i].done, cancelled[i] ? 0 : 1);
		http_transfer_free(&asks[i].transfer);
	}
	assert_int_equal(http_in_flight(fixture->http), 0);
	mem_free(asks);
	answers(fixture, "/hello", 200, "hello");
}

static void closing_lets_go_of_what_is_in_flight(void **state)
{
	struct fixture *fixture = *state;
	struct ask asks[3];
	static const char *const paths[] = {"/silent", "/drip", "/a b"};
	for (int i = 0; i < 3; i++) {
		prepare(fixture, &asks[i], paths[i]);
		if (i == 2) /* the others are under way; this one is due to be given back */
			run_for(fixture, 50);
		http_send(fixture->http, &asks[i].transfer);
	}
	struct http_config config = {.user_agent = "millrace-test/1.0"};
	http_close(fixture->http);
	for (int i = 0; i < 3; i++)
		http_transfer_free(&asks[i].transfer);
	fixture->http = http_open(fixture->base, &config, NULL);
	answers(fixture, "/hello", 200, "hello");
}

#define promise(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        promise(a_question_is_answered),
	        promise(any_status_is_an_answer),
	        promise(names_of_answer_headers_are_lower_case_and_interim_ones_are_forgotten),
	        promise(what_is_asked_is_what_is_sent),
	        promise(a_large_body_is_sent_without_waiting_to_be_asked),
	        promise(every_method_is_sent_as_it_is_named),
	        promise(a_head_request_has_an_empty_answer),
	        promise(path_segments_of_dots_are_sent_as_they_are),
	        promise(nothing_can_be_smuggled_into_a_request),
	        promise(only_http_and_https_are_spoken),
	        promise(a_redirect_is_an_answer_and_not_followed),
	        promise(a_proxy_of_the_environment_is_not_used),
	        promise(a_compressed_answer_is_unpacked),
	        promise(a_gzip_bomb_is_cut_at_max_body),
	        promise(a_large_answer_is_refused_whether_announced_or_not),
	        promise(an_answer_without_room_is_cut_and_tells_how_far_it_came),
	        promise(headers_are_bounded),
	        promise(a_slow_drip_times_out),
	        promise(a_request_may_name_its_own_time),
	        promise(an_answer_cut_short_is_not_taken_for_whole),
	        promise(an_answer_without_a_length_ends_where_it_ends),
	        promise(a_broken_connection_is_a_reset),
	        promise(what_is_not_http_is_malformed),
	        promise(other_broken_answers_are_failures_too),
	        promise(a_closed_port_refuses_the_connection),
	        promise(a_connection_that_never_comes_about_is_a_connect_failure),
	        promise(a_name_without_an_address_is_a_connect_failure),
	        promise(tls_that_fails_is_a_connect_failure),
	        promise(connections_are_used_again),
	        promise(different_hosts_share_a_connection),
	        promise(a_fresh_one_takes_a_new_connection),
	        promise(a_connection_idle_for_too_long_is_not_used_again),
	        promise(a_stale_connection_is_replaced_without_a_word),
	        promise(too_many_stale_connections_are_told_apart_from_a_reset),
	        promise(many_at_once_get_each_their_own_answer),
	        promise(a_cancelled_one_is_never_heard_of_again),
	        promise(one_may_be_cancelled_before_it_began),
	        promise(one_may_cancel_another_in_its_done),
	        promise(one_may_send_another_in_its_done),
	        promise(an_invalid_one_sent_for_ever_does_not_keep_the_loop),
	        promise(any_mixture_ends_once_or_is_cancelled),
	        promise(closing_lets_go_of_what_is_in_flight),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
