/* The door for operators: metrics, probes and what else is told or done over HTTP. */
#include "admin.h"
#include "clock.h"
#include "list.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { HEADERS_MAX = 16 * 1024, BODY_MAX = 64 * 1024, ROUTES_MAX = 32, SWEEP_MS = 250 };

struct admin {
	struct admin_config config;
	struct admin_hooks hooks;
	struct metrics *metrics;
	struct evhttp *http;
	uint16_t port;
	struct admin_route routes[ROUTES_MAX];
	size_t route_count;
	struct list streams;
	struct list late; /* answers that are to come */
	struct list guests;
	int64_t swept; /* steady ms */
};

/* An open connection. libevent says nothing of those that send no whole request, so a reference to its
 * bufferevent is kept: once libevent has let go of it, it has no callbacks any more. It closes its descriptor
 * itself: one that libevent closed could be another connection's before our reference is gone. */
struct guest {
	struct list_node node;
	struct bufferevent *bev;
	int64_t since; /* steady ms: when it came, or its last request was answered */
	bool cut;
};

struct admin_later {
	struct list_node node;
	struct admin *admin;
	struct evhttp_request *request; /* NULL = nobody is there any more */
};

/* One answer that goes on. */
struct streaming {
	struct list_node node;
	struct admin_stream stream;
	struct evhttp_request *request;
	bool sending; /* a slice is with the connection */
	bool lost;    /* the connection has gone; freed by the next turn */
};

bool admin_check(struct buf *why, const char *name, bool good, const char *reason)
{
	if (good)
		buf_printf(why, "[+] %s ok\n", name);
	else
		buf_printf(why, "[-] %s: %s\n", name, reason);
	return good;
}

bool admin_asked(const struct admin_request *request, const char *name)
{
	size_t size = strlen(name);
	for (const char *at = request->query; *at; at += strcspn(at, "&"), at += *at == '&')
		if (strncmp(at, name, size) == 0 && strchr("=&", at[size])) /* "" ends it, too */
			return true;
	return false;
}

static void show_metrics(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct admin *admin = context;
	enum metrics_form form = expose_wanted(request->accept);
	if (admin->hooks.refresh)
		admin->hooks.refresh(admin->hooks.context);
	metrics_process(admin->metrics);
	metrics_print(admin->metrics, form, &answer->body);
	answer->type = expose_type(form);
	answer->varies = true;
}

static void show_checks(struct admin *admin, bool (*check)(void *, struct buf *),
        const struct admin_request *request, struct admin_answer *answer)
{
	bool good = check == NULL || check(admin->hooks.context, &answer->body);
	if (good && !admin_asked(request, "verbose"))
		buf_clear(&answer->body);
	if (good)
		buf_append_text(&answer->body, "ok\n");
	else
		answer->status = 503;
}

static void show_live(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct admin *admin = context;
	show_checks(admin, admin->hooks.live, request, answer);
}

static void show_ready(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	struct admin *admin = context;
	show_checks(admin, admin->hooks.ready, request, answer);
}

static void show_index(void *context, const struct admin_request *request, struct admin_answer *answer)
{
	const struct admin *admin = context;
	(void)request;
	buf_printf(&answer->body, "millrace %s\n\n", MILLRACE_VERSION);
	for (size_t i = 0; i < admin->route_count; i++)
		buf_printf(&answer->body, "%-4s %-16s %s\n", admin->routes[i].method, admin->routes[i].path,
		        admin->routes[i].about);
}

static int hex_digit(char digit)
{
	const char *digits = "0123456789abcdef";
	const char *at = digit ? strchr(digits, digit | 32) : NULL;
	return at ? (int)(at - digits) : -1;
}

static bool decode_value(const char *at, size_t left, char *value, size_t size)
{
	size_t used = 0;
	while (left > 0 && used + 1 < size) {
		size_t step = 1;
		value[used] = *at == '+' ? ' ' : *at;
		if (*at == '%' && left > 2 && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
			value[used] = (char)(hex_digit(at[1]) * 16 + hex_digit(at[2]));
			step = 3;
		}
		used++;
		at += step;
		left -= step;
	}
	value[used] = '\0';
	return left == 0;
}

bool admin_value(const struct admin_request *request, const char *name, char *value, size_t size)
{
	size_t length = strlen(name);
	for (const char *at = request->query; *at; at += strcspn(at, "&"), at += *at == '&')
		if (strncmp(at, name, length) == 0 && at[length] == '=')
			return decode_value(at + length + 1, strcspn(at + length + 1, "&"), value, size);
	return false;
}

bool admin_pair(const char **text, char *name, size_t name_size, char *value, size_t value_size)
{
	const char *at = *text;
	size_t size = strcspn(at, "&\r\n"), left = strcspn(at, "=&\r\n");
	if (at[left] != '=' || !decode_value(at, left, name, name_size) ||
	        !decode_value(at + left + 1, size - left - 1, value, value_size))
		return false;
	*text = at + size + strspn(at + size, "&\r\n");
	return true;
}

static bool is_loopback(struct evhttp_request *request)
{
	char *address = NULL;
	uint16_t port;
	evhttp_connection_get_peer(evhttp_request_get_connection(request), &address, &port);
	return address && (strcmp(address, "::1") == 0 || strncmp(address, "127.", 4) == 0 ||
	                          strncmp(address, "::ffff:127.", 11) == 0);
}

static const char *authorization(struct evhttp_request *request)
{
	return evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");
}

/* Compares all of it whatever differs first: the time tells nothing about the token. */
static bool bears_token(const struct admin *admin, struct evhttp_request *request)
{
	static const char scheme[] = "Bearer ";
	const char *given = authorization(request);
	if (admin->config.token == NULL || given == NULL || strncmp(given, scheme, sizeof scheme - 1) != 0)
		return false;
	given += sizeof scheme - 1;
	size_t size = strlen(admin->config.token), given_size = strlen(given);
	unsigned char differs = size != given_size || size == 0;
	for (size_t i = 0; i < given_size && i < size; i++)
		differs |= (unsigned char)(given[i] ^ admin->config.token[i]);
	return !differs;
}

/* A browser on this machine sends what any site's page tells it to, but says so: by `Origin`, and newer ones
 * by `Sec-Fetch-Site`, which is "none" for what a person typed. Our own page ("same-origin") may look. */
static bool is_a_pages_doing(struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	const char *site = evhttp_find_header(headers, "Sec-Fetch-Site");
	bool changes = evhttp_request_get_command(request) == EVHTTP_REQ_POST;
	bool ours = site && !changes && strcmp(site, "same-origin") == 0;
	return evhttp_find_header(headers, "Origin") || (site && !ours && strcmp(site, "none") != 0);
}

static bool may_change(const struct admin *admin, struct evhttp_request *request)
{
	if (bears_token(admin, request))
		return true;
	return is_loopback(request) && !is_a_pages_doing(request);
}

static bool is_address(const char *host)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	size_t size = strlen(host);
	char inner[INET6_ADDRSTRLEN];
	if (host[0] != '[')
		return inet_pton(AF_INET, host, bytes) == 1;
	if (size < 3 || size - 2 >= sizeof inner || host[size - 1] != ']')
		return false;
	memcpy(inner, host + 1, size - 2);
	inner[size - 2] = '\0';
	return inet_pton(AF_INET6, inner, bytes) == 1;
}

/* A web page whose name was made to mean this machine (DNS rebinding) is of the same origin for its browser,
 * which then sends no Origin and lets it read; but it calls us by that name. Who calls from elsewhere may
 * change nothing anyway. */
static bool is_called_right(const struct admin *admin, struct evhttp_request *request)
{
	const char *given = evhttp_find_header(evhttp_request_get_input_headers(request), "Host");
	char host[256];
	if (!is_loopback(request) || bears_token(admin, request) || given == NULL)
		return true; /* a browser always says Host */
	const char *bracket = given[0] == '[' ? strchr(given, ']') : NULL;
	size_t size = bracket ? (size_t)(bracket - given) + 1 : strcspn(given, ":");
	if (size == 0 || size >= sizeof host)
		return false;
	memcpy(host, given, size);
	host[size] = '\0';
	bool known = strcasecmp(host, "localhost") == 0 || is_address(host);
	for (size_t i = 0; !known && i < admin->config.host_count; i++)
		known = strcasecmp(host, admin->config.hosts[i]) == 0;
	return known;
}

static enum admin_caller caller_of(const struct admin *admin, struct evhttp_request *request)
{
	if (bears_token(admin, request))
		return ADMIN_TRUSTED;
	if (authorization(request))
		return ADMIN_WRONG_TOKEN;
	return may_change(admin, request) ? ADMIN_LOCAL : ADMIN_STRANGER;
}

static const char *method_of(struct evhttp_request *request)
{
	switch (evhttp_request_get_command(request)) {
	case EVHTTP_REQ_GET:
	case EVHTTP_REQ_HEAD: return "GET";
	case EVHTTP_REQ_POST: return "POST";
	default: return "";
	}
}

/* The page of that method; else any of that path, or NULL. */
static const struct admin_route *find_route(const struct admin *admin, const char *method, const char *path)
{
	const struct admin_route *found = NULL;
	for (size_t i = 0; i < admin->route_count; i++) {
		const struct admin_route *route = &admin->routes[i];
		if (strcmp(route->path, path) == 0 && (found == NULL || strcmp(route->method, method) == 0))
			found = route;
	}
	return found;
}

static void name_methods(const struct admin *admin, const char *path, struct evhttp_request *request)
{
	struct buf names;
	buf_init(&names, 0);
	for (size_t i = 0; i < admin->route_count; i++) {
		const struct admin_route *route = &admin->routes[i];
		if (strcmp(route->path, path) == 0)
			buf_printf(&names, "%s%s", names.size ? ", " : "",
			        strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method);
	}
	evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", names.data);
	buf_free(&names);
}

static void refuse(struct admin_answer *answer, int status, const char *why)
{
	answer->status = status;
	buf_append_text(&answer->body, why);
}

static void answer_to(struct admin *admin, struct evhttp_request *request, struct admin_answer *answer)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL,
	           *query = uri ? evhttp_uri_get_query(uri) : NULL;
	struct evbuffer *body = evhttp_request_get_input_buffer(request);
	const struct admin_route *route = find_route(admin, method_of(request), path ? path : "");
	if (!is_called_right(admin, request)) {
		refuse(answer, 421,
		        "On this machine it is called localhost or by an address; other names are to be "
		        "listed in admin.hosts.\n");
		return;
	}
	if (route == NULL) {
		refuse(answer, 404, "There is no such page; / lists those there are.\n");
		return;
	}
	if (strcmp(route->method, method_of(request)) != 0) {
		name_methods(admin, path, request);
		refuse(answer, 405, "This page does not know that method; see the header Allow.\n");
		return;
	}
	if (strcmp(route->method, "POST") == 0 && !may_change(admin, request)) {
		refuse(answer, 403,
		        "Only from this machine (and from no web page), or with "
		        "\"Authorization: Bearer TOKEN\" as set by admin.token.\n");
		return;
	}
	struct admin_request asked = {
	        .path = path, .query = query ? query : "", .caller = caller_of(admin, request)};
	asked.accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
	asked.body.size = evbuffer_get_length(body);
	asked.body.data = (const char *)evbuffer_pullup(body, -1);
	route->handler(route->context, &asked, answer);
}

static void add_headers(struct evhttp_request *request, const struct admin_answer *answer)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Content-Type", answer->type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	if (answer->varies)
		evhttp_add_header(headers, "Vary", "Accept");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
	if (answer->policy)
		evhttp_add_header(headers, "Content-Security-Policy", answer->policy);
}

/* ---- streams ---- */

/* libevent keeps a request that is being answered when its connection goes, and asks that the answer be ended
 * all the same; this is called from where neither may be freed yet. */
static void on_lost(struct evhttp_connection *connection, void *context)
{
	struct streaming *streaming = context;
	(void)connection;
	streaming->lost = true;
}

static void on_sent(struct evhttp_connection *connection, void *context)
{
	struct streaming *streaming = context;
	(void)connection;
	streaming->sending = false;
}

static void end_stream(struct admin *admin, struct streaming *streaming)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(streaming->request);
	if (!streaming->lost && connection)
		evhttp_connection_set_closecb(connection, NULL, NULL);
	list_remove(&admin->streams, &streaming->node);
	streaming->stream.closed(streaming->stream.context);
	evhttp_send_reply_end(streaming->request);
	mem_free(streaming);
}

/* Its reader may say nothing for as long as it likes, but has to take what it is sent. */
static void set_patience(struct evhttp_connection *connection)
{
	const struct timeval stalled = {.tv_sec = ADMIN_STALLED_S};
	bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection), NULL, &stalled);
}

static void start_stream(
        struct admin *admin, struct evhttp_request *request, const struct admin_answer *answer)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);
	struct streaming *streaming = mem_zalloc(1, sizeof *streaming);
	streaming->stream = answer->stream;
	streaming->request = request;
	list_append(&admin->streams, &streaming->node);
	add_headers(request, answer);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
	evhttp_connection_set_closecb(connection, on_lost, streaming);
	set_patience(connection);
	evhttp_send_reply_start(request, answer->status, NULL);
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
		end_stream(admin, streaming);
}

static void send_slice(struct admin *admin, struct streaming *streaming, struct evbuffer *chunk)
{
	struct buf slice;
	buf_init(&slice, 0);
	bool more = streaming->stream.fill(streaming->stream.context, &slice);
	if (slice.size) {
		evbuffer_add(chunk, slice.data, slice.size);
		streaming->sending = true;
		evhttp_send_reply_chunk_with_cb(streaming->request, chunk, on_sent, streaming);
	}
	buf_free(&slice);
	if (!more)
		end_stream(admin, streaming);
}

static void send_streams(struct admin *admin)
{
	if (list_empty(&admin->streams))
		return;
	struct evbuffer *chunk = evbuffer_new();
	list_each (&admin->streams, node, after) {
		struct streaming *streaming = container_of(node, struct streaming, node);
		if (streaming->lost)
			end_stream(admin, streaming);
		else if (!streaming->sending && chunk)
			send_slice(admin, streaming, chunk);
	}
	if (chunk)
		evbuffer_free(chunk);
}

/* ---- guests ---- */

static bool is_of(struct evhttp_request *request, const struct bufferevent *bev)
{
	struct evhttp_connection *connection = request ? evhttp_request_get_connection(request) : NULL;
	return connection && evhttp_connection_get_bufferevent(connection) == bev;
}

/* It waits for us. */
static bool is_served(const struct admin *admin, const struct guest *guest)
{
	list_each (&admin->streams, node, after) {
		const struct streaming *streaming = container_of(node, struct streaming, node);
		if (!streaming->lost && is_of(streaming->request, guest->bev))
			return true;
	}
	list_each (&admin->late, node, after)
		if (is_of(container_of(node, struct admin_later, node)->request, guest->bev))
			return true;
	return false;
}

static bool has_left(const struct guest *guest)
{
	bufferevent_event_cb event = NULL;
	bufferevent_getcb(guest->bev, NULL, NULL, &event, NULL);
	return event == NULL;
}

static void forget_guest(struct admin *admin, struct guest *guest)
{
	list_remove(&admin->guests, &guest->node);
	bufferevent_decref(guest->bev);
	mem_free(guest);
}

/* libevent sees the end of the connection, and closes it. */
static void cut_off(struct guest *guest)
{
	if (!guest->cut)
		shutdown(bufferevent_getfd(guest->bev), SHUT_RDWR);
	guest->cut = true;
}

static void sweep(struct admin *admin, int64_t now)
{
	int64_t patience = admin->config.patience_ms ? admin->config.patience_ms : ADMIN_PATIENCE_MS;
	admin->swept = now;
	list_each (&admin->guests, node, after) {
		struct guest *guest = container_of(node, struct guest, node);
		if (has_left(guest))
			forget_guest(admin, guest);
		else if (is_served(admin, guest))
			guest->since = now;
		else if (now - guest->since > patience)
			cut_off(guest);
	}
}

/* The one that has been there for longest without being served; those that are served are few. */
static void make_room(struct admin *admin, int64_t now)
{
	size_t most = admin->config.connections ? admin->config.connections : ADMIN_CONNECTIONS, open = 0;
	struct guest *oldest = NULL;
	if (admin->guests.count < most)
		return;
	sweep(admin, now);
	list_each (&admin->guests, node, after) {
		struct guest *guest = container_of(node, struct guest, node);
		open += !guest->cut;
		if (!guest->cut && !is_served(admin, guest) &&
		        (oldest == NULL || guest->since < oldest->since))
			oldest = guest;
	}
	if (open >= most && oldest)
		cut_off(oldest);
}

/* Called by libevent for each connection that it takes. */
static struct bufferevent *on_guest(struct event_base *base, void *context)
{
	struct admin *admin = context;
	int64_t now = clock_now();
	make_room(admin, now);
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		return NULL;
	struct guest *guest = mem_zalloc(1, sizeof *guest);
	*guest = (struct guest){.bev = bev, .since = now};
	bufferevent_incref(bev);
	list_append(&admin->guests, &guest->node);
	return bev;
}

static void note_request(struct admin *admin, struct evhttp_request *request)
{
	list_each (&admin->guests, node, after) {
		struct guest *guest = container_of(node, struct guest, node);
		if (is_of(request, guest->bev))
			guest->since = clock_now();
	}
}

void admin_turn(struct admin *admin)
{
	int64_t now = clock_now();
	send_streams(admin);
	if (now - admin->swept >= SWEEP_MS)
		sweep(admin, now);
}

/* libevent would send the body of an answer to HEAD, too. */
static void send_answer(struct evhttp_request *request, const struct admin_answer *answer)
{
	bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
	struct evbuffer *body = evbuffer_new();
	char length[24];
	snprintf(length, sizeof length, "%zu", answer->body.size);
	add_headers(request, answer);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Length", length);
	if (body && !head && answer->body.size > 0)
		evbuffer_add(body, answer->body.data, answer->body.size);
	evhttp_send_reply(request, answer->status, NULL, body);
	if (body)
		evbuffer_free(body);
}

/* ---- answers that take their time ---- */

struct admin_later *admin_later(struct admin_answer *answer)
{
	struct admin_later *later = answer->later;
	answer->later = NULL;
	return later;
}

/* libevent frees the request with its connection, but for one that it has parted from it. */
static void on_asker_lost(struct evhttp_connection *connection, void *context)
{
	struct admin_later *later = context;
	(void)connection;
	if (evhttp_request_get_connection(later->request))
		later->request = NULL;
}

static void forget_later(struct admin_later *later)
{
	struct evhttp_connection *connection =
	        later->request ? evhttp_request_get_connection(later->request) : NULL;
	if (connection)
		evhttp_connection_set_closecb(connection, NULL, NULL);
	list_remove(&later->admin->late, &later->node);
	mem_free(later);
}

void admin_answer_late(struct admin_later *later, int status, const char *type, struct buf *body)
{
	struct admin_answer answer = {.status = status, .type = type, .body = *body};
	struct evhttp_request *request = later->request;
	*body = (struct buf){0};
	forget_later(later);
	if (request)
		send_answer(request, &answer);
	buf_free(&answer.body);
}

static struct admin_later *may_be_late(struct admin *admin, struct evhttp_request *request)
{
	struct admin_later *later = mem_zalloc(1, sizeof *later);
	*later = (struct admin_later){.admin = admin, .request = request};
	list_append(&admin->late, &later->node);
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_asker_lost, later);
	return later;
}

static void on_request(struct evhttp_request *request, void *context)
{
	struct admin_answer answer = {
	        .status = 200, .type = "text/plain; charset=utf-8", .later = may_be_late(context, request)};
	buf_init(&answer.body, 0);
	note_request(context, request);
	answer_to(context, request, &answer);
	bool late = answer.later == NULL; /* somebody took it */
	if (!late)
		forget_later(answer.later);
	if (!late && answer.stream.fill)
		start_stream(context, request, &answer);
	else if (!late)
		send_answer(request, &answer);
	buf_free(&answer.body);
}

/* Splits "HOST:PORT" or "[HOST]:PORT" into two texts; the port is a number. */
static bool split_listen(const char *listen, char host[256], char port[6])
{
	const char *colon = strrchr(listen, ':');
	if (colon == NULL || (size_t)(colon - listen) > 255)
		return false;
	size_t size = (size_t)(colon - listen), digits = strspn(colon + 1, "0123456789");
	if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' || atoi(colon + 1) > 65535)
		return false;
	bool brackets = size >= 2 && listen[0] == '[' && listen[size - 1] == ']';
	if (!brackets && memchr(listen, ':', size))
		return false;
	if (brackets) {
		listen++;
		size -= 2;
	}
	memcpy(host, listen, size);
	host[size] = '\0';
	memcpy(port, colon + 1, digits + 1);
	return true;
}

static struct evconnlistener *listen_at(struct event_base *base, const char *listen, struct err *err)
{
	char host[256], port[6];
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
	if (!split_listen(listen, host, port)) {
		err_set(err,
		        "admin.listen: \"%s\" is not HOST:PORT; expected something like \"127.0.0.1:9464\" "
		        "or \"[::1]:9464\"",
		        listen);
		return NULL;
	}
	int unknown = getaddrinfo(*host ? host : "0.0.0.0", port, &hints, &found);
	if (unknown) {
		err_set(err, "admin.listen: the host of \"%s\" is not known: %s", listen,
		        gai_strerror(unknown));
		return NULL;
	}
	errno = 0;
	struct evconnlistener *listener = evconnlistener_new_bind(base, NULL, NULL,
	        LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, -1, found->ai_addr,
	        (int)found->ai_addrlen);
	int why = errno;
	freeaddrinfo(found);
	if (listener == NULL)
		err_set(err, "admin.listen: cannot listen on \"%s\": %s%s", listen, strerror(why),
		        why == EADDRINUSE ? "; stop what is there, or choose another port (0 = any free one)"
		                          : "");
	return listener;
}

static uint16_t port_of(struct evconnlistener *listener)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof address;
	getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &size);
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
	                                           : ((struct sockaddr_in *)&address)->sin_port);
}

static void limit_requests(struct evhttp *http, int64_t patience_ms)
{
	evhttp_set_max_headers_size(http, HEADERS_MAX);
	evhttp_set_max_body_size(http, BODY_MAX);
	const struct timeval patience = {patience_ms / 1000, patience_ms % 1000 * 1000};
	evhttp_set_timeout_tv(http, &patience);
	evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
	                                         EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
}

struct admin *admin_open(struct event_base *base, const struct admin_config *config,
        const struct admin_hooks *hooks, struct metrics *metrics, struct err *err)
{
	struct evconnlistener *listener = listen_at(base, config->listen, err);
	if (listener == NULL)
		return NULL;
	struct admin *admin = mem_zalloc(1, sizeof *admin);
	admin->config = *config;
	admin->hooks = *hooks;
	admin->metrics = metrics;
	admin->port = port_of(listener);
	list_init(&admin->late, "late answers");
	list_init(&admin->streams, "streams");
	list_init(&admin->guests, "guests");
	admin->http = evhttp_new(base);
	if (admin->http == NULL || evhttp_bind_listener(admin->http, listener) == NULL) {
		err_set(err, "admin.listen: no memory for the listener");
		evconnlistener_free(listener);
		admin_close(admin);
		return NULL;
	}
	limit_requests(admin->http, config->patience_ms ? config->patience_ms : ADMIN_PATIENCE_MS);
	evhttp_set_bevcb(admin->http, on_guest, admin);
	evhttp_set_gencb(admin->http, on_request, admin);
	admin_route(admin, &(struct admin_route){"GET", "/", "this list", show_index, admin});
	admin_route(admin,
	        &(struct admin_route){"GET", "/metrics", "for Prometheus, text format", show_metrics, admin});
	admin_route(admin, &(struct admin_route){"GET", "/livez", "200 while the process works; ?verbose",
	                           show_live, admin});
	admin_route(
	        admin, &(struct admin_route){"GET", "/readyz",
	                       "200 when it is ready for work, else why not; ?verbose", show_ready, admin});
	return admin;
}

void admin_close(struct admin *admin)
{
	if (admin == NULL)
		return;
	struct list_node *node;
	while ((node = list_first(&admin->late)) != NULL)
		forget_later(container_of(node, struct admin_later, node));
	while ((node = list_first(&admin->streams)))
		end_stream(admin, container_of(node, struct streaming, node));
	if (admin->http)
		evhttp_free(admin->http);
	while ((node = list_first(&admin->guests)))
		forget_guest(admin, container_of(node, struct guest, node));
	mem_free(admin);
}

void admin_route(struct admin *admin, const struct admin_route *route)
{
	size_t i = 0;
	while (i < admin->route_count && (strcmp(admin->routes[i].path, route->path) != 0 ||
	                                         strcmp(admin->routes[i].method, route->method) != 0))
		i++;
	if (i == ROUTES_MAX) {
		log_error("admin", "there is no room for the page %s", route->path);
		return;
	}
	admin->routes[i] = *route;
	admin->route_count += i == admin->route_count;
}

uint16_t admin_port(const struct admin *admin)
{
	return admin->port;
}
