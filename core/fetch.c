/* Fetches one small document by its URL, blocking: from a file, or by libcurl's easy interface. */
#include "fetch.h"
#include "mem.h"
#include "tls_curl.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_scheme[] = "file://";

struct body {
	struct buf *out;
	size_t max;
	bool too_large;
};

static bool begins_with(const char *text, const char *prefix)
{
	return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static bool names_host(const char *url, const char *scheme)
{
	const char *host = url + strlen(scheme);
	return begins_with(url, scheme) && *host && *host != '/' && strpbrk(url, " \t\r\n") == NULL;
}

bool fetch_url_valid(const char *url, struct err *err)
{
	if (begins_with(url, file_scheme) && url[strlen(file_scheme)] == '/')
		return true;
	if (names_host(url, "http://") || names_host(url, "https://"))
		return true;
	return err_set(err,
	        "\"%.200s\" is no URL to fetch from: expected file:///PATH, http://HOST/... or "
	        "https://HOST/...",
	        url);
}

/* --- files --- */

static enum fetch_outcome read_all(int fd, const char *url, size_t max, struct buf *out, struct err *err)
{
	char block[16384];
	ssize_t got;
	while ((got = read(fd, block, sizeof block)) > 0) {
		buf_append(out, block, (size_t)got);
		if (out->size > max) {
			err_set(err, "%.300s is larger than %zu bytes", url, max);
			return FETCH_AWAY;
		}
	}
	if (got == 0)
		return FETCH_GOT;
	err_set(err, "%.300s cannot be read: %s", url, strerror(errno));
	return errno == EISDIR ? FETCH_ABSENT : FETCH_AWAY;
}

static enum fetch_outcome fetch_file(
        const struct fetch_config *config, const char *url, struct buf *out, struct err *err)
{
	/* A pipe or a device in place of a document must not hold anybody up. */
	int fd = open(url + strlen(file_scheme), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat about;
	if (fd < 0) {
		err_set(err, "%.300s cannot be opened: %s", url, strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? FETCH_ABSENT : FETCH_AWAY;
	}
	enum fetch_outcome outcome = FETCH_ABSENT;
	if (fstat(fd, &about) == 0 && !S_ISREG(about.st_mode))
		err_set(err, "%.300s is no file", url);
	else
		outcome = read_all(fd, url, config->max_bytes, out, err);
	close(fd);
	return outcome;
}

/* --- HTTP --- */

static size_t on_body(char *data, size_t one, size_t count, void *context)
{
	struct body *body = context;
	size_t size = one * count;
	if (body->out->size + size > body->max) {
		body->too_large = true;
		return 0;
	}
	buf_append(body->out, data, size);
	return size;
}

/* "meta.wikimedia.org" or "host:8080" of an absolute http URL. */
static size_t authority(const char *url, const char **begin)
{
	*begin = strstr(url, "://") + 3;
	return strcspn(*begin, "/?#");
}

/* The URL to ask in place of this one, with the Host header that says what was meant; NULL header = its own.
 */
static char *route(const struct fetch_config *config, const char *url, char **host_header)
{
	*host_header = NULL;
	for (size_t i = 0; i < config->route_count; i++) {
		const struct fetch_route *route = &config->routes[i];
		size_t size = strlen(route->origin), to = strlen(route->to);
		while (size > 0 && route->origin[size - 1] == '/')
			size--;
		while (to > 0 && route->to[to - 1] == '/')
			to--;
		if (strncasecmp(url, route->origin, size) != 0 ||
		        (url[size] && strchr("/?#", url[size]) == NULL))
			continue;
		const char *host;
		size_t host_size = authority(url, &host);
		*host_header = mem_printf("Host: %.*s", (int)host_size, host);
		return mem_printf("%.*s%s", (int)to, route->to, url + size);
	}
	return mem_strdup(url);
}

static void set_options(
        CURL *easy, const struct fetch_config *config, const char *url, struct body *body, char *reason)
{
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, config->user_agent);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)config->timeout_ms);
	tls_curl_set(easy, &config->tls);
}

static void explain(CURL *easy, CURLcode code, const struct fetch_config *config, const char *url,
        const char *said, struct err *err)
{
	const struct tls_curl_failure failure = {
	        easy, (int)code, said, config->tls_section ? config->tls_section : "tls", &config->tls};
	char why[400];
	if (tls_curl_explain(&failure, why, sizeof why))
		err_set(err, "%.300s cannot be fetched: TLS failed: %s", url, why);
	else {
		snprintf(why, sizeof why, "%.200s", *said ? said : curl_easy_strerror(code));
		tls_curl_suspect(&failure, why, sizeof why);
		err_set(err, "%.300s cannot be fetched: %s", url, why);
	}
}

/* What the status means; bytes are told apart from answers of proxies by 200 alone. */
static enum fetch_outcome judge(CURL *easy, CURLcode code, const struct fetch_config *config, const char *url,
        const struct body *body, const char *reason, struct err *err)
{
	long status = 0;
	if (body->too_large) {
		err_set(err, "%.300s is larger than %zu bytes", url, body->max);
		return FETCH_AWAY;
	}
	if (code != CURLE_OK) {
		explain(easy, code, config, url, reason, err);
		return FETCH_AWAY;
	}
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		return FETCH_GOT;
	err_set(err, "%.300s answered %ld", url, status);
	return status == 404 || status == 410 ? FETCH_ABSENT : FETCH_AWAY;
}

/* `head`: asks for no document, and any status is an answer. */
static enum fetch_outcome fetch_http(
        const struct fetch_config *config, const char *url, bool head, struct buf *out, struct err *err)
{
	CURL *easy = curl_easy_init();
	struct body body = {.out = out, .max = config->max_bytes};
	char reason[CURL_ERROR_SIZE] = "", *host;
	char *asked = route(config, url, &host);
	struct curl_slist *headers = host ? curl_slist_append(NULL, host) : NULL;
	enum fetch_outcome outcome = FETCH_AWAY;
	if (easy == NULL || (host && headers == NULL)) {
		err_set(err, "%.300s cannot be fetched: libcurl has no memory", url);
	} else {
		set_options(easy, config, asked, &body, reason);
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(easy, CURLOPT_NOBODY, head ? 1L : 0L);
		CURLcode code = curl_easy_perform(easy);
		outcome = head && code == CURLE_OK ? FETCH_GOT
		                                   : judge(easy, code, config, url, &body, reason, err);
	}
	curl_slist_free_all(headers);
	if (easy)
		curl_easy_cleanup(easy);
	mem_free(host);
	mem_free(asked);
	return outcome;
}

enum fetch_outcome fetch(const struct fetch_config *config, const char *url, struct buf *out, struct err *err)
{
	if (!fetch_url_valid(url, err))
		return FETCH_AWAY;
	struct buf got;
	buf_init(&got, 0);
	enum fetch_outcome outcome = begins_with(url, file_scheme)
	                                     ? fetch_file(config, url, &got, err)
	                                     : fetch_http(config, url, false, &got, err);
	if (outcome == FETCH_GOT)
		buf_append(out, got.data ? got.data : "", got.size);
	buf_free(&got);
	return outcome;
}

bool fetch_answers(const struct fetch_config *config, const char *url, struct err *err)
{
	struct buf none;
	buf_init(&none, 0);
	bool answered = fetch_url_valid(url, err) && !begins_with(url, file_scheme) &&
	                fetch_http(config, url, true, &none, err) == FETCH_GOT;
	buf_free(&none);
	return answered;
}
