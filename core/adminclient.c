/* Asks a running engine's admin port: one request, one answer, blocking, bounded in time and size. */
#include "adminclient.h"
#include "clock.h"
#include "lookup.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 64 * 1024 };

struct place {
	char *host, *port, *authority,
	        *prefix; /* authority as it stands in the URL; prefix without its last slash */
};

/* ---- the address ---- */

static bool port_good(const char *port)
{
	size_t size = strlen(port);
	return size > 0 && size <= 5 && strspn(port, "0123456789") == size && atoi(port) > 0 &&
	       atoi(port) <= 65535;
}

static void place_free(struct place *place)
{
	mem_free(place->host);
	mem_free(place->port);
	mem_free(place->authority);
	mem_free(place->prefix);
}

static bool read_url(const char *url, struct place *place)
{
	const char *rest = url + 7, *colon = NULL;
	*place = (struct place){.host = NULL};
	if (strncmp(url, "http://", 7) != 0 || strpbrk(url, " \t\r\n?#@"))
		return false;
	size_t size = strcspn(rest, "/"), path = strlen(rest + size);
	place->authority = mem_dup(rest, size);
	place->prefix = mem_dup(rest + size, path - (path && rest[size + path - 1] == '/'));
	if (rest[0] == '[') {
		size_t end = strcspn(place->authority, "]");
		colon = place->authority[end] ? place->authority + end + 1 : NULL;
		place->host = mem_dup(rest + 1, end ? end - 1 : 0);
		if (colon == NULL || (*colon != ':' && *colon != '\0'))
			return false;
	} else {
		place->host = mem_dup(rest, strcspn(place->authority, ":"));
		colon = place->authority + strlen(place->host);
	}
	place->port = mem_strdup(*colon == ':' ? colon + 1 : "80");
	return place->host[0] && port_good(place->port);
}

static bool refuse_url(const char *url, struct err *err)
{
	return err_set(err, "'%.200s' is no address: expected something like http://127.0.0.1:9464", url);
}

bool adminclient_url_good(const char *url, struct err *err)
{
	struct place place;
	bool good = read_url(url, &place);
	place_free(&place);
	return good || refuse_url(url, err);
}

/* ---- the connection ---- */

struct talk {
	int fd;
	int64_t deadline;
};

/* 0 when the socket is ready for it, else an errno. */
static int await(const struct talk *talk, short what)
{
	struct pollfd wait = {.fd = talk->fd, .events = what};
	for (;;) {
		int64_t left = talk->deadline - clock_now();
		int got = left > 0 ? poll(&wait, 1, left > 1000 ? 1000 : (int)left) : 0;
		if (got > 0)
			return 0;
		if (got < 0 && errno != EINTR)
			return errno;
		if (left <= 0)
			return ETIMEDOUT;
	}
}

static int connect_one(struct talk *talk, const struct addrinfo *address)
{
	int failure = 0;
	socklen_t size = sizeof failure;
	talk->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (talk->fd < 0)
		return errno;
	if (connect(talk->fd, address->ai_addr, address->ai_addrlen) != 0) {
		failure = errno == EINPROGRESS ? await(talk, POLLOUT) : errno;
		if (failure == 0)
			getsockopt(talk->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
	}
	if (failure) {
		close(talk->fd);
		talk->fd = -1;
	}
	return failure;
}

static bool talk_open(struct talk *talk, const struct place *place, struct err *err)
{
	struct addrinfo *addresses = lookup_host(place->host, place->port, talk->deadline - clock_now(), err);
	if (addresses == NULL)
		return false;
	int failure = ECONNREFUSED;
	for (const struct addrinfo *at = addresses; at && failure; at = at->ai_next)
		failure = connect_one(talk, at);
	freeaddrinfo(addresses);
	return failure == 0 || err_set(err, "%s", strerror(failure));
}

static bool send_all(const struct talk *talk, const struct buf *request, struct err *err)
{
	for (size_t sent = 0; sent < request->size;) {
		int failure = await(talk, POLLOUT);
		ssize_t n =
		        failure ? -1
		                : send(talk->fd, request->data + sent, request->size - sent, MSG_NOSIGNAL);
		if (failure || (n < 0 && errno != EAGAIN && errno != EINTR))
			return err_set(err, "%s", strerror(failure ? failure : errno));
		sent += n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Everything until the other side hangs up, which `Connection: close` asks for. */
static bool receive_all(const struct talk *talk, struct buf *answer, struct err *err)
{
	for (;;) {
		int failure = await(talk, POLLIN);
		char *room = failure ? NULL : buf_reserve(answer, 16384);
		if (failure == 0 && room == NULL)
			return err_set(err, "the answer is larger than %d MiB", ADMINCLIENT_BODY_MAX >> 20);
		ssize_t n = failure ? -1 : recv(talk->fd, room, 16384, 0);
		if (failure || (n < 0 && errno != EAGAIN && errno != EINTR))
			return err_set(err, "%s", strerror(failure ? failure : errno));
		if (n == 0)
			return true;
		buf_commit(answer, n > 0 ? (size_t)n : 0);
	}
}

/* ---- the answer ---- */

/* The value of a header in the head, or NULL; *size without what surrounds it. */
static const char *header(const char *head, const char *end, const char *name, size_t *size)
{
	size_t length = strlen(name);
	for (const char *line = head; (line = memmem(line, (size_t)(end - line), "\r\n", 2)) != NULL;) {
		line += 2;
		if ((size_t)(end - line) <= length || strncasecmp(line, name, length) != 0 ||
		        line[length] != ':')
			continue;
		const char *value = line + length + 1;
		value += strspn(value, " \t");
		*size = strcspn(value, "\r\n");
		return value;
	}
	return NULL;
}

/* RFC 9112 §7.1; in place. False when a chunk is cut or its size is none. */
static bool join_chunks(char *data, size_t *size)
{
	char *at = data, *end = data + *size, *to = data;
	for (;;) {
		char *after;
		if (at == end || strspn(at, "0123456789abcdefABCDEF") == 0)
			return false;
		unsigned long long chunk = strtoull(at, &after, 16);
		char *line = memmem(after, (size_t)(end - after), "\r\n", 2);
		if (line == NULL || chunk > (unsigned long long)(end - line - 2))
			return false;
		if (chunk == 0)
			break;
		memmove(to, line + 2, (size_t)chunk);
		to += chunk;
		at = line + 2 + chunk;
		if (end - at < 2 || memcmp(at, "\r\n", 2) != 0)
			return false;
		at += 2;
	}
	*size = (size_t)(to - data);
	return true;
}

/* Cuts the body out of what came; false when it did not come whole. */
static bool find_body(char *answer, size_t size, char **body, size_t *body_size)
{
	char *end = memmem(answer, size, "\r\n\r\n", 4);
	size_t length;
	if (end == NULL || end - answer > HEAD_MAX)
		return false;
	*body = end + 4;
	*body_size = size - (size_t)(*body - answer);
	const char *coding = header(answer, end, "Transfer-Encoding", &length);
	if (coding && length == 7 && strncasecmp(coding, "chunked", 7) == 0)
		return join_chunks(*body, body_size);
	const char *declared = header(answer, end, "Content-Length", &length);
	if (declared == NULL)
		return true;
	unsigned long long wanted = strtoull(declared, NULL, 10);
	if (*body_size < wanted)
		return false;
	*body_size = (size_t)wanted;
	return true;
}

static int read_answer(struct buf *answer, struct buf *body, struct err *err)
{
	char *start = NULL;
	size_t size = 0;
	int status =
	        answer->size > 12 && strncmp(answer->data, "HTTP/1.", 7) == 0 ? atoi(answer->data + 9) : 0;
	if (status < 100 || status > 599) {
		err_set(err, answer->size ? "what answers there does not speak HTTP"
		                          : "it hung up without an answer");
		return 0;
	}
	if (!find_body(answer->data, answer->size, &start, &size)) {
		err_set(err, "the answer ended in the middle");
		return 0;
	}
	if (body)
		buf_append(body, start, size);
	return status;
}

static void write_request(const struct adminclient *client, const struct place *place, const char *method,
        const char *path, struct buf *out)
{
	buf_printf(out, "%s %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: millrace\r\n",
	        method, place->prefix, path, place->authority);
	if (client->token)
		buf_printf(out, "Authorization: Bearer %s\r\n", client->token);
	if (strcmp(method, "GET") != 0)
		buf_append_text(out, "Content-Length: 0\r\n");
	buf_append_text(out, "\r\n");
}

static int ask(const struct adminclient *client, const struct place *place, const char *method,
        const char *path, struct buf *body, struct err *err)
{
	struct talk talk = {.fd = -1, .deadline = clock_now() + client->timeout_ms};
	struct buf request, answer;
	int status = 0;
	buf_init(&request, 0);
	buf_init(&answer, ADMINCLIENT_BODY_MAX + HEAD_MAX);
	write_request(client, place, method, path, &request);
	if (talk_open(&talk, place, err) && send_all(&talk, &request, err) &&
	        receive_all(&talk, &answer, err))
		status = read_answer(&answer, body, err);
	if (talk.fd >= 0)
		close(talk.fd);
	buf_free(&request);
	buf_free(&answer);
	return status;
}

int adminclient_ask(const struct adminclient *client, const char *method, const char *path, struct buf *body,
        struct err *err)
{
	struct place place;
	struct err why = {""};
	int status = 0;
	if (!read_url(client->url, &place)) {
		refuse_url(client->url, err);
	} else if (client->token && strpbrk(client->token, "\r\n")) {
		err_set(err, "%s: the token has more than one line", client->url);
	} else {
		status = ask(client, &place, method, path, body, &why);
		if (status == 0)
			err_set(err, "%s: %s", client->url, why.text);
	}
	place_free(&place);
	return status;
}
