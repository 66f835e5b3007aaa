/* What a lookup costs at the least: libcurl's multi interface on epoll, and nothing else.
 *
 * usage: bare_http URL CALLS ACTIVE [2]. Asks for so many revisions, one a call, so many calls at once, over
 * kept connections (2: over HTTP/2 with prior knowledge), as the shipped script asks. The answers are
 * gathered in memory and thrown away. */
#include "usage.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS = 256, HOSTS = 7, READ_BYTES = 64 << 10 };

struct call {
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	size_t size, room;
};

static struct {
	CURLM *multi;
	int epoll;
	double due; /* when curl wants to be woken, seconds; negative = never */
	const char *url;
	size_t wanted, begun, ended, failed, bytes;
	bool http2;
} loop = {.due = -1};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t take_body(char *data, size_t one, size_t size, void *context)
{
	struct call *call = context;
	(void)one;
	if (call->size + size > call->room) {
		call->room = (call->size + size) * 2;
		call->body = realloc(call->body, call->room);
	}
	memcpy(call->body + call->size, data, size);
	call->size += size;
	return size;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
	(void)easy, (void)context;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(loop.epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	struct epoll_event want = {.data.fd = fd,
	        .events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0)};
	epoll_ctl(loop.epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &want);
	curl_multi_assign(loop.multi, fd, &loop);
	return 0;
}

static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
	(void)multi, (void)context;
	loop.due = timeout_ms < 0 ? -1 : now() + (double)timeout_ms / 1000;
	return 0;
}

static void begin(struct call *call)
{
	char url[600], host[64], id[64];
	size_t n = loop.begun++;
	snprintf(url, sizeof url,
	        "%s?action=query&format=json&formatversion=2&prop=revisions&rvslots=*&rvprop=ids%%"
	        "7Ctimestamp%%7C"
	        "size%%7Csha1%%7Ccontent%%7Ccontentmodel%%7Cslotsize%%7Cslotsha1%%7Cflags&revids=%zu",
	        loop.url, 1000000 + n);
	snprintf(host, sizeof host, "Host: w%zu.example.org", n % HOSTS);
	snprintf(id, sizeof id, "X-Request-Id: 11111111-0000-4000-8000-%012zu", n);
	curl_slist_free_all(call->headers);
	call->headers = curl_slist_append(curl_slist_append(NULL, host), id);
	call->size = 0;
	curl_easy_setopt(call->easy, CURLOPT_URL, url);
	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
	curl_multi_add_handle(loop.multi, call->easy);
}

static void open_call(struct call *call)
{
	long version = loop.http2 ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_1_1;
	call->easy = curl_easy_init();
	curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION, version);
	curl_easy_setopt(call->easy, CURLOPT_PIPEWAIT, loop.http2 ? 1L : 0L);
	curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(call->easy, CURLOPT_NOPROGRESS, 1L);
	curl_easy_setopt(call->easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(call->easy, CURLOPT_BUFFERSIZE, (long)READ_BYTES);
	curl_easy_setopt(call->easy, CURLOPT_USERAGENT, "millrace-bench/1.0 (tests@example.org)");
	begin(call);
}

static void collect(void)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(loop.multi, &left)) != NULL) {
		struct call *call;
		long status = 0;
		loop.failed += message->data.result != CURLE_OK;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
		loop.failed += status != 200;
		loop.bytes += call->size;
		loop.ended++;
		curl_multi_remove_handle(loop.multi, call->easy);
		if (loop.begun < loop.wanted)
			begin(call);
	}
}

static int wait_ms(void)
{
	double left = loop.due - now();
	return loop.due < 0 ? -1 : left <= 0 ? 0 : (int)(left * 1000) + 1;
}

static void run(void)
{
	struct epoll_event events[EVENTS];
	int running;
	while (loop.ended < loop.wanted) {
		int count = epoll_wait(loop.epoll, events, EVENTS, wait_ms());
		if (loop.due >= 0 && loop.due <= now()) {
			loop.due = -1; /* curl tells when it wants another */
			curl_multi_socket_action(loop.multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		for (int i = 0; i < count; i++) {
			unsigned what = events[i].events;
			int bits = (what & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
			           (what & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			           (what & EPOLLERR ? CURL_CSELECT_ERR : 0);
			curl_multi_socket_action(loop.multi, events[i].data.fd, bits, &running);
		}
		collect();
	}
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: bare_http URL CALLS ACTIVE [2]\n", stderr);
		return 2;
	}
	size_t active = strtoul(argv[3], NULL, 10);
	loop.url = argv[1];
	loop.wanted = strtoul(argv[2], NULL, 10);
	loop.http2 = argc > 4;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	loop.multi = curl_multi_init();
	loop.epoll = epoll_create1(EPOLL_CLOEXEC);
	curl_multi_setopt(loop.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(loop.multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(loop.multi, CURLMOPT_MAXCONNECTS, (long)active);
	struct call *calls = calloc(active, sizeof *calls);
	struct usage before = usage_now();
	for (size_t i = 0; i < active && loop.begun < loop.wanted; i++)
		open_call(&calls[i]);
	run();
	usage_print(before, usage_now(), loop.ended);
	fprintf(stderr, "%zu bytes, %zu failed\n", loop.bytes, loop.failed);
	for (size_t i = 0; i < active; i++) {
		curl_easy_cleanup(calls[i].easy);
		curl_slist_free_all(calls[i].headers);
		free(calls[i].body);
	}
	free(calls);
	curl_multi_cleanup(loop.multi);
	curl_global_cleanup();
	return loop.failed != 0;
}
