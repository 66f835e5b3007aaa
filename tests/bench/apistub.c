/* An Action API for benchmarks: answers after a delay, cheap enough not to be what is measured.
 *
 * usage: apistub BYTES MILLISECONDS [TAIL_EVERY TAIL_MILLISECONDS [LARGE_EVERY LARGE_BYTES]]
 *
 * Prints its port, serves until stdin ends, prints how many calls waited at once at the most. Every revision
 * exists, is visible and has BYTES bytes of text as JSON writes it (page_text.h). The delay is the same for
 * all calls; with a tail one call in TAIL_EVERY, by chance, takes TAIL_MILLISECONDS and the others are spread
 * exponentially, so that MILLISECONDS is the mean of all. Revisions that LARGE_EVERY divides have LARGE_BYTES
 * of text. One thread, epoll, keep-alive; each connection asks one thing at a time, as HTTP/1.1 clients do.
 */
#include "page_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, QUESTION_MAX = 16384, REVISIONS_MAX = 50, ID_MAX = 24, PAGE_ROOM = 400 };

struct connection {
	int fd;
	char question[QUESTION_MAX];
	size_t asked; /* bytes of it */
	char *answer;
	size_t size, sent;
	int64_t due; /* when the answer may go, ns */
	bool waits, gone;
};

struct text {
	char *bytes;
	size_t size;
};

static struct {
	int epoll;
	struct text usual, large; /* of revisions, escaped */
	size_t large_every;       /* 0 = none */
	double delay, tail;       /* mean of those that are not in the tail, and of those that are, ns */
	double tail_share;
	uint64_t chance;
	struct connection **waiting; /* a heap, the soonest first */
	size_t waiters, most, room;
} stub = {.chance = 88172645463325252u};

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* In (0, 1]; xorshift, the same in every run. */
static double chance(void)
{
	stub.chance ^= stub.chance << 13;
	stub.chance ^= stub.chance >> 7;
	stub.chance ^= stub.chance << 17;
	return ((double)(stub.chance >> 11) + 1) / 9007199254740992.0;
}

static double delay_ns(void)
{
	if (stub.tail_share == 0)
		return stub.delay;
	return chance() <= stub.tail_share ? stub.tail : -log(chance()) * stub.delay;
}

static void wait_for_turn(struct connection *connection)
{
	if (stub.waiters == stub.room) {
		stub.room = stub.room * 2 + 64;
		stub.waiting = realloc(stub.waiting, stub.room * sizeof *stub.waiting);
	}
	size_t i = stub.waiters++;
	stub.most = stub.waiters > stub.most ? stub.waiters : stub.most;
	for (; i > 0 && stub.waiting[(i - 1) / 2]->due > connection->due; i = (i - 1) / 2)
		stub.waiting[i] = stub.waiting[(i - 1) / 2];
	stub.waiting[i] = connection;
	connection->waits = true;
}

static struct connection *take_turn(void)
{
	struct connection *first = stub.waiting[0], *last = stub.waiting[--stub.waiters];
	size_t i = 0;
	for (size_t next; (next = 2 * i + 1) < stub.waiters; i = next) {
		if (next + 1 < stub.waiters && stub.waiting[next + 1]->due < stub.waiting[next]->due)
			next++;
		if (stub.waiting[next]->due >= last->due)
			break;
		stub.waiting[i] = stub.waiting[next];
	}
	stub.waiting[i] = last;
	first->waits = false;
	return first;
}

static void close_connection(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	connection->gone = true;
	if (connection->waits)
		return; /* its turn in the queue frees it */
	free(connection->answer);
	free(connection);
}

/* Writes what is left of the answer; the socket's buffer may want to be asked again. */
static void send_answer(struct connection *connection)
{
	while (connection->sent < connection->size) {
		ssize_t sent = send(connection->fd, connection->answer + connection->sent,
		        connection->size - connection->sent, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN)
			return;
		if (sent <= 0) {
			close_connection(connection);
			return;
		}
		connection->sent += (size_t)sent;
	}
	free(connection->answer);
	connection->answer = NULL;
	connection->size = connection->sent = 0;
}

/* The ids of "revids=1%7C2" or "revids=1|2". */
static size_t read_ids(const char *question, char ids[][ID_MAX])
{
	const char *at = strstr(question, "revids=");
	size_t count = 0;
	for (at = at ? at + 7 : ""; *at >= '0' && *at <= '9' && count < REVISIONS_MAX; count++) {
		size_t digits = strspn(at, "0123456789");
		snprintf(ids[count], ID_MAX, "%.*s", (int)digits, at);
		at += digits;
		at += *at == '|' ? 1 : strncmp(at, "%7C", 3) == 0 ? 3 : 0;
	}
	return count;
}

static const struct text *text_of(const char *id)
{
	bool large = stub.large_every && strtoull(id, NULL, 10) % stub.large_every == 0;
	return large ? &stub.large : &stub.usual;
}

static void make_answer(struct connection *connection)
{
	char ids[REVISIONS_MAX][ID_MAX];
	size_t count = read_ids(connection->question, ids), head = 160, room = head + 100;
	for (size_t i = 0; i < count; i++)
		room += text_of(ids[i])->size + PAGE_ROOM;
	char *answer = malloc(room), *at = answer + head;
	at += sprintf(at, "{\"batchcomplete\":true,\"query\":{\"pages\":[");
	for (size_t i = 0; i < count; i++) {
		const struct text *page = text_of(ids[i]);
		at += sprintf(at,
		        "%s{\"pageid\":%zu,\"ns\":0,\"title\":\"Mill "
		        "%s\",\"revisions\":[{\"revid\":%s,\"minor\":false,"
		        "\"slots\":{\"main\":{\"size\":%zu,\"contentmodel\":\"wikitext\",\"contentformat\":"
		        "\"text/x-wiki\","
		        "\"content\":\"",
		        i ? "," : "", i + 1, ids[i], ids[i], page->size);
		memcpy(at, page->bytes, page->size);
		at += page->size;
		at += sprintf(at, "\"}}}]}");
	}
	at += sprintf(at, "]}}");
	char text[160];
	size_t size = (size_t)snprintf(text, sizeof text,
	        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	        (size_t)(at - answer) - head);
	memcpy(answer + head - size, text, size);
	connection->size = (size_t)(at - answer) - (head - size);
	memmove(answer, answer + head - size, connection->size);
	connection->answer = answer;
}

static void take_question(struct connection *connection)
{
	make_answer(connection);
	connection->asked = 0;
	if (stub.delay == 0) {
		send_answer(connection);
		return;
	}
	connection->due = now_ns() + (int64_t)delay_ns();
	wait_for_turn(connection);
}

static void read_question(struct connection *connection)
{
	ssize_t got = recv(connection->fd, connection->question + connection->asked,
	        QUESTION_MAX - 1 - connection->asked, 0);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		close_connection(connection);
		return;
	}
	connection->asked += (size_t)got;
	connection->question[connection->asked] = '\0';
	if (strstr(connection->question, "\r\n\r\n"))
		take_question(connection);
}

static void accept_all(int listener)
{
	int fd, yes = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *connection = calloc(1, sizeof *connection);
		struct epoll_event want = {
		        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
		connection->fd = fd;
		epoll_ctl(stub.epoll, EPOLL_CTL_ADD, fd, &want);
	}
}

static void serve_due(void)
{
	int64_t now = now_ns();
	while (stub.waiters && stub.waiting[0]->due <= now) {
		struct connection *connection = take_turn();
		if (connection->gone)
			close_connection(connection);
		else
			send_answer(connection);
	}
}

static int wait_ms(void)
{
	if (stub.waiters == 0)
		return -1;
	int64_t left = stub.waiting[0]->due - now_ns();
	return left <= 0 ? 0 : (int)(left / 1000000) + 1;
}

static int listen_anywhere(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0) {
		perror("apistub");
		exit(1);
	}
	getsockname(fd, (struct sockaddr *)&address, &size);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void serve(int listener)
{
	struct epoll_event events[EVENTS];
	char byte;
	for (;;) {
		int count = epoll_wait(stub.epoll, events, EVENTS, wait_ms());
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;
			if (events[i].data.ptr == &stub)
				accept_all(listener);
			else if (events[i].data.ptr == NULL && read(STDIN_FILENO, &byte, 1) <= 0)
				return;
			else if (connection && connection->size && !connection->waits &&
			         (events[i].events & EPOLLOUT))
				send_answer(connection);
			else if (connection && (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)))
				read_question(connection);
		}
		serve_due();
	}
}

static void read_arguments(int argc, char **argv)
{
	stub.usual.size = strtoull(argv[1], NULL, 10);
	stub.usual.bytes = page_text(stub.usual.size);
	stub.delay = strtod(argv[2], NULL) * 1e6;
	if (argc > 4) {
		stub.tail_share = 1 / strtod(argv[3], NULL);
		stub.tail = strtod(argv[4], NULL) * 1e6;
		stub.delay = (stub.delay - stub.tail_share * stub.tail) / (1 - stub.tail_share);
	}
	if (argc > 6) {
		stub.large_every = strtoull(argv[5], NULL, 10);
		stub.large.size = strtoull(argv[6], NULL, 10);
		stub.large.bytes = page_text(stub.large.size);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 5 && argc != 7) {
		fputs("usage: apistub BYTES MILLISECONDS [TAIL_EVERY TAIL_MILLISECONDS [LARGE_EVERY "
		      "LARGE_BYTES]]\n",
		        stderr);
		return 2;
	}
	read_arguments(argc, argv);
	stub.epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = listen_anywhere();
	epoll_ctl(stub.epoll, EPOLL_CTL_ADD, listener,
	        &(struct epoll_event){.events = EPOLLIN, .data.ptr = &stub});
	epoll_ctl(stub.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){.events = EPOLLIN});
	serve(listener);
	printf("%zu\n", stub.most);
	return 0;
}
