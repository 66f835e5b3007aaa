/* CPU time of one lookup through dispatch and curl, against a server in a process of its own.
 *
 *   bench_http [LOOKUPS [CONCURRENCY [BODY_BYTES [HOSTS]]]]
 */
#include "clock.h"
#include "dispatch.h"
#include "mem.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AHEAD = 4 }; /* lookups waiting for each one in flight */

struct bench {
	struct dispatch *dispatch;
	struct lookup *lookups;
	size_t wanted, submitted, ended, failed, hosts;
};

static void serve(struct evhttp_request *request, void *context)
{
	struct evbuffer *body = evbuffer_new();
	evbuffer_add_reference(body, context, strlen(context), NULL, NULL);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
	evhttp_send_reply(request, 200, "OK", body);
	evbuffer_free(body);
}

/* Serves until it is killed. */
static void run_server(int fd, size_t size)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = evhttp_new(base);
	char *body = mem_alloc(size + 1);
	memset(body, 'x', size);
	body[size] = '\0';
	evhttp_accept_socket(http, fd);
	evhttp_set_gencb(http, serve, body);
	event_base_dispatch(base);
	_exit(1);
}

static double cpu_seconds(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double some_random(void)
{
	return rand() / (RAND_MAX + 1.0);
}

static void submit_one(struct bench *bench, struct lookup *lookup)
{
	static char *names[1024];
	size_t host = bench->submitted % bench->hosts;
	if (names[host] == NULL)
		names[host] = mem_printf("w%zu.example.org", host);
	*lookup = (struct lookup){.age = bench->submitted++};
	lookup->request =
	        (struct request){.method = "GET", .host = names[host], .query = "action=query&revids=12345"};
	dispatch_submit(bench->dispatch, lookup, clock_now());
}

static enum answer take_answer(void *context, struct call *call, struct answer_detail *detail)
{
	(void)context, (void)call, (void)detail;
	return ANSWER_OK;
}

static void take_done(void *context, struct lookup *lookup)
{
	struct bench *bench = context;
	bench->ended++;
	bench->failed += lookup->response.error_type != NULL;
	response_free(&lookup->response);
	if (bench->submitted < bench->wanted)
		submit_one(bench, lookup);
}

static void run_client(struct bench *bench, const struct upstream_config *upstream, size_t open)
{
	struct event_base *base = event_base_new();
	struct http_config http_config = {.user_agent = "millrace-bench/1.0"};
	struct http *http = http_open(base, &http_config, NULL);
	struct dispatch_config config = {.upstreams = upstream, .upstream_count = 1, .random = some_random};
	struct dispatch_hooks hooks = {.context = bench, .answer = take_answer, .done = take_done};
	bench->dispatch = dispatch_open(http, &config, &hooks, NULL);
	bench->lookups = mem_zalloc(open, sizeof *bench->lookups);
	double cpu = cpu_seconds();
	int64_t start = clock_now();
	for (size_t i = 0; i < open && bench->submitted < bench->wanted; i++)
		submit_one(bench, &bench->lookups[i]);
	while (bench->ended < bench->wanted) {
		dispatch_tick(bench->dispatch, clock_now());
		event_base_loop(base, EVLOOP_ONCE);
	}
	cpu = cpu_seconds() - cpu;
	double elapsed = (double)(clock_now() - start) / 1000;
	printf("%zu lookups, %u in flight: %.1f us of CPU each, %.0f a second, %zu connections, %zu failed\n",
	        bench->ended, upstream->concurrency, cpu * 1e6 / (double)bench->ended,
	        (double)bench->ended / elapsed, http_connections_opened(http), bench->failed);
	dispatch_close(bench->dispatch);
	http_close(http);
	event_base_free(base);
	mem_free(bench->lookups);
}

int main(int argc, char **argv)
{
	size_t lookups = argc > 1 ? strtoul(argv[1], NULL, 10) : 50000;
	unsigned concurrency = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 64;
	size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 20000,
	       hosts = argc > 4 ? strtoul(argv[4], NULL, 10) : 100;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int on = 1; /* accepted sockets inherit it: the server's small writes do not wait for our late ACKs */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0)
		return 1;
	getsockname(fd, (struct sockaddr *)&address, &length);
	pid_t server = fork();
	if (server == 0)
		run_server(fd, size);
	char url[64];
	snprintf(url, sizeof url, "http://127.0.0.1:%u/w/api.php", ntohs(address.sin_port));
	struct upstream_config upstream = {.name = "bench",
	        .url = url,
	        .timeout_ms = 60000,
	        .connect_timeout_ms = 5000,
	        .concurrency = concurrency,
	        .max_body = 58720256,
	        .max_idle_ms = 3500,
	        .retry = {.attempts = 3, .base_ms = 100, .cap_ms = 1000}};
	struct bench bench = {.wanted = lookups, .hosts = hosts < 1 ? 1 : hosts > 1024 ? 1024 : hosts};
	run_client(&bench, &upstream, (size_t)concurrency * AHEAD);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	return bench.failed != 0;
}
