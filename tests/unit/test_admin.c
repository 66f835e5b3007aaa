/* What operators are told over HTTP, asked through a plain socket on the same loop. */
#include "admin.h"
#include "clock.h"
#include "mem.h"
#include "metrics.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
	struct event_base *base;
	struct metrics *metrics;
	struct admin *admin;
	const char *token;
	size_t connections; /* of the configuration, as is patience_ms; 0 = the usual ones */
	int64_t patience_ms;
	const char *sick; /* why it is not ready; NULL = it is */
	size_t refreshed, posted;
	struct admin_later *later;
	bool hasty;                           /* what may take its time does not */
	size_t slices, slice, filled, closed; /* of streams */
	bool endless, valued;
	enum admin_caller caller;
	char value[8];
	char answer[256 * 1024];
};

static void on_refresh(void *context)
{
	struct fixture *f = context;
	f->refreshed++;
	*metrics_value(f->metrics, METRIC_OPEN_RECORDS, NULL) = 42;
}

static bool on_live(void *context, struct buf *why)
{
	(void)context;
	return admin_check(why, "loop", true, NULL);
}

static bool on_ready(void *context, struct buf *why)
{
	struct fixture *f = context;
	bool good = admin_check(why, "source", true, NULL);
	return admin_check(why, "sink", f->sick == NULL, f->sick) && good;
}

static void on_post(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct fixture *f = context;
	f->posted++;
	answer->status = 202;
	answer->type = "application/json";
	buf_printf(&answer->body, "{\"got\":%zu}\n", request->body.size);
}

static void give_slow(struct fixture *f)
{
	struct buf body;
	buf_init(&body, 0);
	buf_append_text(&body, "at last\n");
	admin_answer_late(f->later, 409, "text/plain", &body);
	assert_null(body.data);
}

static void on_slow(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct fixture *f = context;
	(void)request;
	f->later = admin_later(answer);
	if (f->hasty)
		give_slow(f);
}

/* As many slices as `slices`, each of f->slice bytes, then the end. */
static bool on_fill(void *context, struct buf *out)
{
	struct fixture *f = context;
	for (size_t i = 0; i < f->slice && f->filled < f->slices; i++)
		buf_append_byte(out, (char)('a' + f->filled % 26));
	f->filled += f->filled < f->slices;
	return f->filled < f->slices || f->endless;
}

static void on_closed(void *context)
{
	((struct fixture *)context)->closed++;
}

static void on_stream(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct fixture *f = context;
	f->caller = request->caller;
	f->valued = admin_value(request, "v", f->value, sizeof f->value);
	answer->stream = (struct admin_stream){.context = f, .fill = on_fill, .closed = on_closed};
}

static bool open_admin(struct fixture *f, const char *listen, struct err *err)
{
	static char *const names[] = {"millrace.example.org"};
	const struct admin_config config = {.listen = listen,
	        .token = f->token,
	        .hosts = names,
	        .host_count = 1,
	        .connections = f->connections,
	        .patience_ms = f->patience_ms};
	const struct admin_hooks hooks = {f, on_refresh, on_live, on_ready};
	f->admin = admin_open(f->base, &config, &hooks, f->metrics, err);
	if (f->admin)
		admin_route(f->admin,
		        &(struct admin_route){"POST", "/-/reload", "loads the script again", on_post, f});
	if (f->admin)
		admin_route(f->admin, &(struct admin_route){"GET", "/slow", "takes its time", on_slow, f});
	if (f->admin)
		admin_route(f->admin, &(struct admin_route){"GET", "/stream", "goes on", on_stream, f});
	return f->admin != NULL;
}

static int connect_to(struct fixture *f, int family)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(admin_port(f->admin))};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(admin_port(f->admin))};
	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = in6addr_loopback;
	int fd = socket(family, SOCK_STREAM, 0);
	int connected = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof v4)
	                                  : connect(fd, (struct sockaddr *)&v6, sizeof v6);
	assert_int_equal(connected, 0);
	return fd;
}

/* Sends bytes and serves the loop until the other side hangs up; the whole answer is in f->answer. */
static int converse(struct fixture *f, int fd, const char *request, size_t size)
{
	size_t got = 0, sent = 0;
	int64_t patience = clock_now() + 20000;
	while (clock_now() < patience) {
		ssize_t n =
		        sent < size ? send(fd, request + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		sent += n > 0 ? (size_t)n : 0;
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		admin_turn(f->admin);
		n = recv(fd, f->answer + got, sizeof f->answer - 1 - got, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	assert_true(clock_now() < patience);
	f->answer[got] = '\0';
	close(fd);
	return strncmp(f->answer, "HTTP/1.", 7) == 0 ? atoi(f->answer + 9) : 0;
}

static int ask(struct fixture *f, const char *method, const char *path, const char *headers)
{
	char request[4096];
	int size = snprintf(request, sizeof request,
	        "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", method, path, headers);
	return converse(f, connect_to(f, AF_INET), request, (size_t)size);
}

static const char *body(struct fixture *f)
{
	const char *end = strstr(f->answer, "\r\n\r\n");
	assert_non_null(end);
	return end + 4;
}

static bool answered(struct fixture *f, const char *text)
{
	return strstr(f->answer, text) != NULL;
}

static int setup_closed(void **state)
{
	struct fixture *f = mem_zalloc(1, sizeof *f);
	f->base = event_base_new();
	f->metrics = metrics_open();
	*state = f;
	return 0;
}

static int setup(void **state)
{
	setup_closed(state);
	return open_admin(*state, "127.0.0.1:0", NULL) ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	admin_close(f->admin);
	metrics_close(f->metrics);
	event_base_free(f->base);
	mem_free(f);
	return 0;
}

static void metrics_are_refreshed_and_printed(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "GET", "/metrics", ""), 200);
	assert_true(answered(f, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_true(answered(f, "\nmillrace_open_records 42\n"));
	assert_true(answered(f, "\nprocess_resident_memory_bytes "));
	assert_int_equal(f->refreshed, 1);
}

static void a_live_process_says_ok(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "GET", "/livez", ""), 200);
	assert_string_equal(body(f), "ok\n");
	assert_int_equal(ask(f, "GET", "/livez?verbose", ""), 200);
	assert_string_equal(body(f), "[+] loop ok\nok\n");
}

static void a_process_that_is_not_ready_says_why(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "GET", "/readyz", ""), 200);
	assert_string_equal(body(f), "ok\n");
	assert_int_equal(ask(f, "GET", "/readyz?x=verbose&verbose=1", ""), 200);
	assert_string_equal(body(f), "[+] source ok\n[+] sink ok\nok\n");
	assert_int_equal(ask(f, "GET", "/readyz?verbosely&x=verbose", ""), 200);
	assert_string_equal(body(f), "ok\n");
	f->sick = "no metadata of its topic yet";
	assert_int_equal(ask(f, "GET", "/readyz", ""), 503);
	assert_string_equal(body(f), "[+] source ok\n[-] sink: no metadata of its topic yet\n");
	assert_int_equal(ask(f, "GET", "/livez", ""), 200);
}

static void the_first_page_lists_the_others(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "GET", "/", ""), 200);
	assert_true(answered(f, "/metrics"));
	assert_true(answered(f, "/livez"));
	assert_true(answered(f, "/readyz"));
	assert_true(answered(f, "POST /-/reload        loads the script again\n"));
}

static void head_gives_no_body(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "HEAD", "/metrics", ""), 200);
	assert_string_equal(body(f), "");
	assert_int_equal(ask(f, "HEAD", "/livez", ""), 200);
	assert_true(answered(f, "Content-Length: 3\r\n"));
}

static void what_is_not_there_is_404(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "GET", "/nothing", ""), 404);
	assert_int_equal(ask(f, "GET", "/metrics/", ""), 404);
	assert_int_equal(ask(f, "GET", "/metrics/../livez", ""), 404);
}

static void other_methods_are_405(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", "/metrics", "Content-Length: 0\r\n"), 405);
	assert_true(answered(f, "Allow: GET, HEAD\r\n"));
	assert_int_equal(ask(f, "DELETE", "/livez", ""), 405);
	assert_int_equal(ask(f, "GET", "/-/reload", ""), 405);
	assert_true(answered(f, "Allow: POST\r\n"));
	assert_int_equal(f->posted, 0);
}

static void from_this_machine_things_can_be_changed(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", "/-/reload", "Content-Length: 3\r\n\r\nabc"), 202);
	assert_true(answered(f, "Content-Type: application/json\r\n"));
	assert_string_equal(body(f), "{\"got\":3}\n");
	assert_int_equal(f->posted, 1);
}

static void another_sites_page_changes_nothing(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(
	        ask(f, "POST", "/-/reload", "Origin: https://elsewhere.example\r\nContent-Length: 0\r\n"),
	        403);
	assert_int_equal(f->posted, 0);
}

static void the_token_opens_and_a_wrong_one_does_not(void **state)
{
	static const struct {
		const char *header;
		int status;
	} cases[] = {
	        {"Authorization: Bearer open sesame\r\n", 202},
	        {"Authorization: Bearer open sesam\r\n", 403},
	        {"Authorization: Bearer open sesame2\r\n", 403},
	        {"Authorization: Bearer open Sesame\r\n", 403},
	        {"Authorization: Basic open sesame\r\n", 403},
	        {"Authorization: Bearer \r\n", 403},
	        {"", 403},
	};
	struct fixture *f = *state;
	f->token = "open sesame";
	assert_true(open_admin(f, "127.0.0.1:0", NULL));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char headers[200];
		snprintf(headers, sizeof headers, "Origin: http://x\r\nContent-Length: 0\r\n%s",
		        cases[i].header);
		assert_int_equal(ask(f, "POST", "/-/reload", headers), cases[i].status);
	}
}

static void a_page_can_be_replaced(void **state)
{
	struct fixture *f = *state;
	admin_route(f->admin, &(struct admin_route){"GET", "/", "the status page", on_post, f});
	assert_int_equal(ask(f, "GET", "/", ""), 202);
}

/* Sends the question and serves the loop until the handler has it. */
static int begin_slow(struct fixture *f)
{
	static const char request[] = "GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	int fd = connect_to(f, AF_INET);
	int64_t patience = clock_now() + 20000;
	f->later = NULL;
	assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
	while (f->later == NULL && clock_now() < patience)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	assert_non_null(f->later);
	return fd;
}

static void an_answer_may_take_its_time(void **state)
{
	struct fixture *f = *state;
	int fd = begin_slow(f);
	assert_int_equal(ask(f, "GET", "/livez", ""), 200); /* nobody else waits for it */
	give_slow(f);
	assert_int_equal(converse(f, fd, "", 0), 409);
	assert_string_equal(body(f), "at last\n");
	f->hasty = true;
	assert_int_equal(ask(f, "GET", "/slow", ""), 409);
	assert_string_equal(body(f), "at last\n");
}

static void who_does_not_wait_for_the_answer_harms_nobody(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 20; i++) {
		close(begin_slow(f));
		for (int turn = 0; turn < i; turn++)
			event_base_loop(f->base, EVLOOP_NONBLOCK);
		give_slow(f);
	}
	assert_int_equal(ask(f, "GET", "/livez", ""), 200);
	close(begin_slow(f));
	int fd = begin_slow(f); /* teardown closes with both of them open */
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	close(fd);
}

static void one_connection_serves_many_requests(void **state)
{
	struct fixture *f = *state;
	const char text[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: "
	                    "localhost\r\nConnection: close\r\n\r\n";
	assert_int_equal(converse(f, connect_to(f, AF_INET), text, sizeof text - 1), 200);
	const char *second = strstr(f->answer + 1, "HTTP/1.1 200");
	assert_non_null(second);
}

static void too_much_is_refused(void **state)
{
	struct fixture *f = *state;
	struct buf request;
	buf_init(&request, 0);
	buf_append_text(&request, "GET /livez HTTP/1.1\r\nX: ");
	for (int i = 0; i < 100 * 1024; i++)
		buf_append_byte(&request, 'x');
	buf_append_text(&request, "\r\n\r\n");
	assert_int_not_equal(converse(f, connect_to(f, AF_INET), request.data, request.size), 200);
	buf_clear(&request);
	buf_append_text(
	        &request, "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n");
	assert_int_equal(converse(f, connect_to(f, AF_INET), request.data, request.size), 413);
	assert_int_equal(f->posted, 0);
	buf_free(&request);
}

static int called(struct fixture *f, const char *method, const char *path, const char *name)
{
	char request[512];
	int size =
	        snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n",
	                method, path, name, *method == 'P' ? "Content-Length: 0\r\n" : "");
	return converse(f, connect_to(f, AF_INET), request, (size_t)size);
}

/* DNS rebinding: the page of evil.example whose name means 127.0.0.1 by now. */
static void on_this_machine_it_is_called_only_by_its_names(void **state)
{
	struct fixture *f = *state;
	static const char *const good[] = {"localhost", "LOCALHOST:9464", "127.0.0.1", "127.0.0.1:9464",
	        "[::1]:9464", "10.1.2.3", "millrace.example.org:80"};
	static const char *const bad[] = {"evil.example", "evil.example:9464", "localhost.evil.example",
	        "127.0.0.1.evil.example", "[::1", "[x]", ":9464", "1.2.3"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_int_equal(called(f, "POST", "/-/reload", good[i]), 202);
	f->posted = 0;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(called(f, "POST", "/-/reload", bad[i]), 421);
		assert_int_equal(called(f, "GET", "/metrics", bad[i]), 421);
		assert_true(answered(f, "admin.hosts"));
	}
	assert_int_equal(f->posted, 0);
}

static void a_browser_that_says_whose_page_asks_is_believed(void **state)
{
	struct fixture *f = *state;
	static const char *const sites[] = {"cross-site", "same-site", "same-origin"};
	char header[64];
	for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
		snprintf(header, sizeof header, "Sec-Fetch-Site: %s\r\nContent-Length: 0\r\n", sites[i]);
		assert_int_equal(ask(f, "POST", "/-/reload", header), 403);
	}
	assert_int_equal(ask(f, "POST", "/-/reload", "Sec-Fetch-Site: none\r\nContent-Length: 0\r\n"), 202);
	assert_int_equal(f->posted, 1);
}

static void two_methods_of_one_path_are_two_pages(void **state)
{
	struct fixture *f = *state;
	admin_route(f->admin, &(struct admin_route){"POST", "/slow", "posted", on_post, f});
	f->hasty = true;
	assert_int_equal(ask(f, "GET", "/slow", ""), 409);
	assert_int_equal(ask(f, "POST", "/slow", "Content-Length: 0\r\n"), 202);
	assert_int_equal(ask(f, "PUT", "/slow", "Content-Length: 0\r\n"), 405);
	assert_true(answered(f, "Allow: GET, HEAD, POST\r\n"));
}

/* ---- who keeps others out ---- */

enum { GUESTS = 20 };

static void serve(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	admin_turn(f->admin);
}

/* Serves until the other side has hung up, doing something each time; false when it does not come to it. */
static bool hung_up(struct fixture *f, int fd, const char *trickle)
{
	char bytes[64];
	for (int64_t end = clock_now() + 20000; clock_now() < end;) {
		serve(f);
		if (trickle)
			(void)!send(fd, trickle, strlen(trickle), MSG_DONTWAIT | MSG_NOSIGNAL);
		ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		usleep(1000);
	}
	return false;
}

static size_t open_files(void)
{
	DIR *all = opendir("/proc/self/fd");
	size_t count = 0;
	assert_non_null(all);
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

static void connections_that_ended_leave_nothing_open(void **state)
{
	struct fixture *f = *state;
	ask(f, "GET", "/livez", "");
	for (int64_t end = clock_now() + 600; clock_now() < end; usleep(1000))
		serve(f);
	size_t before = open_files();
	for (int i = 0; i < 50; i++)
		assert_int_equal(ask(f, "GET", "/livez", ""), 200);
	for (int64_t end = clock_now() + 20000; clock_now() < end && open_files() > before; usleep(1000))
		serve(f);
	assert_int_equal(open_files(), before);
}

static void many_idle_connections_keep_nobody_out(void **state)
{
	struct fixture *f = *state;
	int guests[GUESTS], gone = 0;
	char byte;
	f->connections = 4;
	assert_true(open_admin(f, "127.0.0.1:0", NULL));
	for (int i = 0; i < GUESTS; i++) {
		guests[i] = connect_to(f, AF_INET);
		for (int turn = 0; turn < 5; turn++)
			serve(f);
	}
	assert_int_equal(ask(f, "GET", "/livez", ""), 200);
	for (int i = 0; i < GUESTS; i++) {
		gone += recv(guests[i], &byte, 1, MSG_DONTWAIT) == 0;
		close(guests[i]);
	}
	assert_in_range(gone, GUESTS - 4, GUESTS - 1); /* the oldest made room */
}

static void who_sends_a_byte_now_and_then_is_cut_off(void **state)
{
	struct fixture *f = *state;
	f->patience_ms = 400;
	assert_true(open_admin(f, "127.0.0.1:0", NULL));
	int head = connect_to(f, AF_INET), content = connect_to(f, AF_INET);
	const char begun[] = "GET /livez HTTP/1.1\r\nX: ",
	           posted[] = "POST /-/reload HTTP/1.1\r\nContent-Length: 60000\r\n\r\n";
	assert_true(send(head, begun, sizeof begun - 1, MSG_NOSIGNAL) > 0);
	assert_true(send(content, posted, sizeof posted - 1, MSG_NOSIGNAL) > 0);
	assert_true(hung_up(f, head, "x"));
	assert_true(hung_up(f, content, "x"));
	assert_int_equal(ask(f, "GET", "/livez", ""), 200);
	assert_int_equal(f->posted, 0);
	close(head);
	close(content);
}

static void on_much(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	(void)context;
	(void)request;
	for (int i = 0; i < 8 << 20; i++)
		buf_append_byte(&answer->body, 'x');
}

/* Reads a little now and then, so that no timeout of a single write is ever over. */
static void who_reads_its_answer_for_ever_is_cut_off(void **state)
{
	struct fixture *f = *state;
	f->patience_ms = 400;
	assert_true(open_admin(f, "127.0.0.1:0", NULL));
	admin_route(f->admin, &(struct admin_route){"GET", "/much", "", on_much, f});
	int never = connect_to(f, AF_INET), slow = connect_to(f, AF_INET);
	const char request[] = "GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n";
	assert_true(send(never, request, sizeof request - 1, MSG_NOSIGNAL) > 0);
	assert_true(send(slow, request, sizeof request - 1, MSG_NOSIGNAL) > 0);
	size_t got = 0;
	char bytes[65536];
	for (int64_t end = clock_now() + 1600; clock_now() < end; usleep(1000)) {
		serve(f);
		ssize_t n = recv(slow, bytes, 64, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	for (ssize_t n; (n = recv(slow, bytes, sizeof bytes, 0)) > 0;) /* nothing is served: what was sent */
		got += (size_t)n;
	assert_in_range(got, 1, (8 << 20) - 1);
	for (got = 0;;) {
		ssize_t n = recv(never, bytes, sizeof bytes, 0);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	assert_in_range(got, 1, (8 << 20) - 1);
	assert_int_equal(ask(f, "GET", "/livez", ""), 200);
	close(never);
	close(slow);
}

static void a_stream_may_last_longer_than_any_patience(void **state)
{
	struct fixture *f = *state;
	f->patience_ms = 200;
	f->endless = true;
	assert_true(open_admin(f, "127.0.0.1:0", NULL));
	int fd = connect_to(f, AF_INET);
	const char request[] = "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
	assert_true(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0);
	for (int64_t end = clock_now() + 1500; clock_now() < end; usleep(1000))
		serve(f);
	assert_int_equal(f->closed, 0);
	close(fd);
}

/* An address of this machine that is not loopback: who calls by it might be anybody. */
static bool address_outside(struct sockaddr_in *address)
{
	struct ifaddrs *all = NULL;
	bool found = false;
	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
		if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(address, one->ifa_addr, sizeof *address);
		found = (ntohl(address->sin_addr.s_addr) >> 24) != 127;
	}
	freeifaddrs(all);
	return found;
}

static void who_comes_from_elsewhere_needs_the_token(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in address;
	static const char plain[] =
	        "POST /-/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
	                  borne[] = "POST /-/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	                            "Authorization: Bearer sesame\r\nContent-Length: 0\r\n\r\n";
	if (!address_outside(&address))
		skip();
	for (int token = 0; token < 2; token++) {
		f->token = token ? "sesame" : NULL;
		assert_true(open_admin(f, "0.0.0.0:0", NULL));
		address.sin_port = htons(admin_port(f->admin));
		for (int bears = 0; bears < 2; bears++) {
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
			assert_int_equal(converse(f, fd, bears ? borne : plain,
			                         (bears ? sizeof borne : sizeof plain) - 1),
			        token && bears ? 202 : 403);
		}
		admin_close(f->admin);
		f->admin = NULL;
	}
	assert_int_equal(f->posted, 1);
}

static void nonsense_harms_nobody(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = {"\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
	        "NONE / HTTP/1.1\r\n\r\n", "GET http:// HTTP/1.1\r\n\r\n",
	        "GET %zz HTTP/1.1\r\nConnection: close\r\n\r\n", "GET /livez?%00 HTTP/1.0\r\n\r\n",
	        "POST /-/reload HTTP/1.0\r\nContent-Length: -5\r\n\r\n"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		int fd = connect_to(f, AF_INET);
		assert_int_equal(send(fd, texts[i], strlen(texts[i]), MSG_NOSIGNAL), strlen(texts[i]));
		shutdown(fd, SHUT_WR);
		converse(f, fd, "", 0);
	}
	assert_int_equal(ask(f, "GET", "/livez", ""), 200);
}

static void a_stream_goes_on_in_chunks_until_it_ends(void **state)
{
	struct fixture *f = *state;
	f->slices = 3;
	f->slice = 5;
	assert_int_equal(ask(f, "GET", "/stream", ""), 200);
	assert_true(answered(f, "Transfer-Encoding: chunked"));
	assert_string_equal(body(f), "5\r\naaaaa\r\n5\r\nbbbbb\r\n5\r\nccccc\r\n0\r\n\r\n");
	assert_int_equal(f->closed, 1);
	assert_int_equal(ask(f, "HEAD", "/stream", ""), 200);
	assert_string_equal(body(f), "");
	assert_int_equal(f->closed, 2);
}

/* Serves the loop for as long as something happens, and a little longer. */
static void serve_for(struct fixture *f, size_t turns)
{
	for (size_t i = 0; i < turns; i++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		admin_turn(f->admin);
		if (i % 100 == 0)
			usleep(1000);
	}
}

static int open_stream(struct fixture *f)
{
	static const char request[] = "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd = connect_to(f, AF_INET);
	assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
	return fd;
}

static void a_reader_that_takes_nothing_is_given_what_fits_and_no_more(void **state)
{
	struct fixture *f = *state;
	f->slices = 100000;
	f->slice = ADMIN_SLICE;
	int fd = open_stream(f);
	serve_for(f, 5000);
	size_t stuck = f->filled;
	assert_in_range(stuck, 1, 400); /* what sockets hold */
	serve_for(f, 5000);
	assert_int_equal(f->filled, stuck);
	assert_int_equal(ask(f, "GET", "/livez", ""), 200); /* and others are served */
	assert_int_equal(f->closed, 0);
	close(fd);
	serve_for(f, 1000);
	assert_int_equal(f->closed, 1);
}

static void a_stream_without_news_ends_with_its_reader_or_with_the_port(void **state)
{
	struct fixture *f = *state;
	f->endless = true;
	close(open_stream(f));
	int fd = open_stream(f);
	serve_for(f, 1000);
	assert_int_equal(f->closed, 1);
	admin_close(f->admin);
	assert_int_equal(f->closed, 2);
	close(fd);
	assert_true(open_admin(f, "127.0.0.1:0", NULL));
}

static void who_asks_is_known(void **state)
{
	struct fixture *f = *state;
	f->token = "sesame";
	assert_true(open_admin(f, "127.0.0.1:0", NULL));
	static const struct {
		const char *header;
		enum admin_caller caller;
	} all[] = {{"", ADMIN_LOCAL}, {"Origin: http://site.example\r\n", ADMIN_STRANGER},
	        {"Authorization: Bearer sesame\r\n", ADMIN_TRUSTED},
	        {"Authorization: Bearer sesam\r\n", ADMIN_WRONG_TOKEN},
	        {"Authorization: Basic sesame\r\n", ADMIN_WRONG_TOKEN}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		assert_int_equal(ask(f, "GET", "/stream", all[i].header), 200);
		assert_int_equal(f->caller, all[i].caller);
	}
}

static void values_of_a_query_are_decoded(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *query, *value;
	} all[] = {{"?v=1", "1"}, {"?a&v=x+y%2C%zz&v=2", "x y,%zz"}, {"?v=", ""}, {"?w=1", NULL},
	        {"?v", NULL}, {"", NULL}, {"?v=12345678", NULL}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		char path[64];
		snprintf(path, sizeof path, "/stream%s", all[i].query);
		assert_int_equal(ask(f, "GET", path, ""), 200);
		assert_int_equal(f->valued, all[i].value != NULL);
		if (all[i].value)
			assert_string_equal(f->value, all[i].value);
	}
}

static void an_ipv6_address_stands_in_brackets(void **state)
{
	struct fixture *f = *state;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	bool usable = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0;
	if (fd >= 0)
		close(fd);
	if (!usable)
		skip();
	struct err err;
	if (!open_admin(f, "[::1]:0", &err))
		fail_msg("%s", err.text);
	const char text[] = "POST /-/reload HTTP/1.0\r\nContent-Length: 0\r\n\r\n";
	assert_int_equal(converse(f, connect_to(f, AF_INET6), text, sizeof text - 1), 202);
}

static void what_cannot_be_listened_on_is_named(void **state)
{
	static const char *const wrong[] = {"", "9464", "localhost", "127.0.0.1:", "127.0.0.1:x",
	        "127.0.0.1:70000", "::1:9464", "[::1:9464", "127.0.0.1:-1", "nowhere.invalid:9464",
	        "192.0.2.1:9464"};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct err err = {""};
		if (open_admin(f, wrong[i], &err))
			fail_msg("%s", wrong[i]);
		if (strncmp(err.text, "admin.listen: ", 14) != 0 || strstr(err.text, wrong[i]) == NULL)
			fail_msg("%s", err.text);
	}
}

static void a_port_in_use_is_told(void **state)
{
	struct fixture *f = *state;
	struct err err = {""};
	char listen[32];
	assert_true(open_admin(f, "127.0.0.1:0", &err));
	struct admin *first = f->admin;
	snprintf(listen, sizeof listen, "127.0.0.1:%u", admin_port(first));
	assert_false(open_admin(f, listen, &err));
	assert_non_null(
	        strstr(err.text, "Address already in use; stop what is there, or choose another port"));
	f->admin = first;
}

int main(void)
{
#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define story_closed(name) cmocka_unit_test_setup_teardown(name, setup_closed, teardown)
	const struct CMUnitTest tests[] = {
	        story(metrics_are_refreshed_and_printed),
	        story(a_live_process_says_ok),
	        story(a_process_that_is_not_ready_says_why),
	        story(the_first_page_lists_the_others),
	        story(head_gives_no_body),
	        story(what_is_not_there_is_404),
	        story(other_methods_are_405),
	        story(from_this_machine_things_can_be_changed),
	        story(another_sites_page_changes_nothing),
	        story_closed(the_token_opens_and_a_wrong_one_does_not),
	        story(a_page_can_be_replaced),
	        story(an_answer_may_take_its_time),
	        story(who_does_not_wait_for_the_answer_harms_nobody),
	        story(one_connection_serves_many_requests),
	        story(too_much_is_refused),
	        story(on_this_machine_it_is_called_only_by_its_names),
	        story(a_browser_that_says_whose_page_asks_is_believed),
	        story(two_methods_of_one_path_are_two_pages),
	        story(connections_that_ended_leave_nothing_open),
	        story_closed(many_idle_connections_keep_nobody_out),
	        story_closed(who_sends_a_byte_now_and_then_is_cut_off),
	        story_closed(who_reads_its_answer_for_ever_is_cut_off),
	        story_closed(a_stream_may_last_longer_than_any_patience),
	        story_closed(who_comes_from_elsewhere_needs_the_token),
	        story(nonsense_harms_nobody),
	        story(a_stream_goes_on_in_chunks_until_it_ends),
	        story(a_reader_that_takes_nothing_is_given_what_fits_and_no_more),
	        story(a_stream_without_news_ends_with_its_reader_or_with_the_port),
	        story_closed(who_asks_is_known),
	        story(values_of_a_query_are_decoded),
	        story_closed(an_ipv6_address_stands_in_brackets),
	        story_closed(what_cannot_be_listened_on_is_named),
	        story_closed(a_port_in_use_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
