/* Asks a running engine's admin port: one request, one answer, or one that goes on; blocking, bounded. */
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

/* Where the client asks; place is to be freed whatever is answered. */
static bool place_of(const struct adminclient *client, struct place *place, struct err *err)
{
	if (!read_url(client->url, place))
		return refuse_url(client->url, err);
	if (client->token && strpbrk(client->token, "\r\n"))
		return err_set(err, "%s: the token has more than one line", client->url);
	return true;
}

static bool known(char *const *urls, size_t count, const char *url)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(urls[i], url) == 0)
			return true;
	return false;
}

static char *url_of(const struct addrinfo *address, const struct place *place)
{
	char host[NI_MAXHOST];
	if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST) !=
	        0)
		return NULL;
	return mem_printf(address->ai_family == AF_INET6 ? "http://[%s]:%s%s" : "http://%s:%s%s", host,
	        place->port, place->prefix);
}

char **adminclient_addresses(const char *url, int64_t timeout_ms, size_t *count, struct err *err)
{
	char **urls = NULL;
	struct place place;
	struct err why = {""};
	*count = 0;
	if (!read_url(url, &place)) {
		place_free(&place);
		refuse_url(url, err);
		return NULL;
	}
	struct addrinfo *addresses = lookup_host(place.host, place.port, timeout_ms, &why);
	for (const struct addrinfo *at = addresses; at; at = at->ai_next) {
		char *found = url_of(at, &place);
		if (found == NULL || known(urls, *count, found)) {
			mem_free(found);
			continue;
		}
		urls = mem_realloc(urls, (*count + 1) * sizeof *urls);
		urls[(*count)++] = found;
	}
	if (*count == 0)
		err_set(err, "%s: %s", url, why.text[0] ? why.text : "it has no address");
	if (addresses)
		freeaddrinfo(addresses);
	place_free(&place);
	return urls;
}

void adminclient_free_addresses(char **urls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mem_free(urls[i]);
	mem_free(urls);
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
	const char *form = client->form ? client->form : "";
	if (strcmp(method, "GET") != 0)
		buf_printf(out, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n",
		        strlen(form));
	buf_printf(out, "\r\n%s", strcmp(method, "GET") != 0 ? form : "");
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

/* ---- an answer that goes on ---- */

enum { LOOK_MS = 200, PIECE = 65536, CHUNK_LINE = 1024 };

struct following {
	struct talk talk;
	const struct adminclient_follower *follower;
	struct buf raw;  /* as it came, not yet taken apart */
	struct buf text; /* what it says, up to the last newline not yet seen */
	size_t chunk; /* bytes of the present chunk that are still to come, with its line's end; 0 = a size is
	                 next */
	bool chunked, last; /* last: nothing comes any more */
	enum adminclient_end end;
};

static bool enough(const struct following *following)
{
	return following->follower->stop && following->follower->stop(following->follower->context);
}

static void take_away(struct buf *buf, size_t size)
{
	memmove(buf->data, buf->data + size, buf->size - size);
	buf->size -= size;
}

/* More bytes: false and end when there are none. deadline 0 = none. */
static bool more(struct following *following, int64_t deadline, struct err *err)
{
	struct pollfd wait = {.fd = following->talk.fd, .events = POLLIN};
	for (;;) {
		if (enough(following)) {
			following->end = ADMINCLIENT_ENOUGH;
			return false;
		}
		following->end = ADMINCLIENT_CUT;
		if (deadline && clock_now() >= deadline)
			return err_set(err, "%s", strerror(ETIMEDOUT));
		int got = poll(&wait, 1, LOOK_MS);
		char *room = got > 0 ? buf_reserve(&following->raw, PIECE) : NULL;
		if (got > 0 && room == NULL)
			return err_set(err, "a line is larger than %d MiB", ADMINCLIENT_BODY_MAX >> 20);
		ssize_t n = got > 0 ? recv(following->talk.fd, room, PIECE, 0) : -1;
		if (n == 0)
			return err_set(err, "it hung up");
		if (n > 0) {
			buf_commit(&following->raw, (size_t)n);
			return true;
		}
		if (errno != EAGAIN && errno != EINTR && got != 0)
			return err_set(err, "%s", strerror(errno));
	}
}

/* Of so many bytes that a chunk has left: without the line's end behind it. */
static size_t text_of(size_t chunk)
{
	return chunk > 2 ? chunk - 2 : 0;
}

/* The line that begins a chunk; nothing happens while it has not come whole. */
static bool begin_chunk(struct following *following, bool *whole, struct err *err)
{
	struct buf *raw = &following->raw;
	const char *line = memmem(raw->data, raw->size, "\r\n", 2);
	bool digits = strspn(raw->data, "0123456789abcdefABCDEF") > 0;
	unsigned long long size = digits ? strtoull(raw->data, NULL, 16) : 0;
	*whole = line != NULL;
	if (!digits || size > ADMINCLIENT_BODY_MAX || (line == NULL && raw->size > CHUNK_LINE))
		return err_set(err, "the answer is garbled");
	if (line) {
		following->last = size == 0;
		following->chunk = (size_t)size + 2;
		take_away(raw, (size_t)(line + 2 - raw->data));
	}
	return true;
}

/* Moves what has come from raw to text; false when it is garbled. */
static bool take_chunks(struct following *following, struct err *err)
{
	struct buf *raw = &following->raw;
	bool whole = true;
	while (whole && raw->size && !following->last) {
		if (following->chunked && following->chunk == 0) {
			if (!begin_chunk(following, &whole, err))
				return false;
			continue;
		}
		size_t here =
		        following->chunked && raw->size > following->chunk ? following->chunk : raw->size;
		size_t left = following->chunked ? following->chunk - here : 0;
		buf_append(&following->text, raw->data,
		        following->chunked ? text_of(following->chunk) - text_of(left) : here);
		following->chunk = left;
		take_away(raw, here);
	}
	return !following->text.full ||
	       err_set(err, "a line is larger than %d MiB", ADMINCLIENT_BODY_MAX >> 20);
}

/* False when the follower has enough. */
static bool give_lines(struct following *following)
{
	size_t from = 0;
	const char *newline;
	while (following->text.size > from &&
	        (newline = memchr(following->text.data + from, '\n', following->text.size - from)) != NULL) {
		const char *line = following->text.data + from;
		from = (size_t)(newline - following->text.data) + 1;
		if (!following->follower->line(following->follower->context, line, (size_t)(newline - line)))
			return false;
	}
	if (from)
		take_away(&following->text, from);
	return true;
}

static void follow_lines(struct following *following, struct err *err)
{
	for (;;) {
		bool sound = take_chunks(following, err);
		following->end = ADMINCLIENT_ENOUGH;
		if (!give_lines(following))
			return;
		following->end = ADMINCLIENT_CUT;
		if (!sound)
			return;
		following->end = ADMINCLIENT_ENDED;
		if (following->last || !more(following, 0, err))
			return;
	}
}

/* The status; what is behind the head is in raw. */
static int read_head(struct following *following, struct err *err)
{
	char *end;
	size_t size;
	struct buf *raw = &following->raw;
	while ((end = raw->size ? memmem(raw->data, raw->size, "\r\n\r\n", 4) : NULL) == NULL) {
		if (raw->size > HEAD_MAX) {
			err_set(err, "what answers there does not speak HTTP");
			return 0;
		}
		if (!more(following, following->talk.deadline, err))
			return 0;
	}
	int status = strncmp(raw->data, "HTTP/1.", 7) == 0 ? atoi(raw->data + 9) : 0;
	if (status < 100 || status > 599) {
		err_set(err, "what answers there does not speak HTTP");
		return 0;
	}
	if (status == 200) {
		const char *coding = header(raw->data, end, "Transfer-Encoding", &size);
		following->chunked = coding && size == 7 && strncasecmp(coding, "chunked", 7) == 0;
		take_away(raw, (size_t)(end + 4 - raw->data));
	}
	return status;
}

static int follow(const struct adminclient *client, const struct place *place, const char *path,
        struct following *following, struct buf *body, struct err *err)
{
	struct buf request;
	int status = 0;
	buf_init(&request, 0);
	write_request(client, place, "GET", path, &request);
	if (talk_open(&following->talk, place, err) && send_all(&following->talk, &request, err))
		status = read_head(following, err);
	if (status == 200)
		follow_lines(following, err);
	else if (status && receive_all(&following->talk, &following->raw, err))
		status = read_answer(&following->raw, body, err);
	buf_free(&request);
	return status;
}

int adminclient_follow(const struct adminclient *client, const char *path,
        const struct adminclient_follower *follower, struct buf *body, enum adminclient_end *end,
        struct err *err)
{
	struct place place;
	struct err why = {""};
	struct following following = {
	        .follower = follower, .talk = {.fd = -1, .deadline = clock_now() + client->timeout_ms}};
	int status = 0;
	buf_init(&following.raw, ADMINCLIENT_BODY_MAX + HEAD_MAX);
	buf_init(&following.text, ADMINCLIENT_BODY_MAX);
	if (place_of(client, &place, err)) {
		status = follow(client, &place, path, &following, body, &why);
		if (why.text[0])
			err_set(err, "%s: %s", client->url, why.text);
	}
	*end = status == 200 ? following.end : ADMINCLIENT_REFUSED;
	if (following.talk.fd >= 0)
		close(following.talk.fd);
	buf_free(&following.raw);
	buf_free(&following.text);
	place_free(&place);
	return status;
}

/* ---- one question ---- */

int adminclient_ask(const struct adminclient *client, const char *method, const char *path, struct buf *body,
        struct err *err)
{
	struct place place;
	struct err why = {""};
	int status = 0;
	if (place_of(client, &place, err)) {
		status = ask(client, &place, method, path, body, &why);
		if (status == 0)
			err_set(err, "%s: %s", client->url, why.text);
	}
	place_free(&place);
	return status;
}
