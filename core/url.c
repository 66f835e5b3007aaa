/* The URL of a call: the upstream's, the host in it, the path, the query, the merged values. */
#include "url.h"

#include <string.h>
#include <strings.h>

static const char host_place[] = "{host}";

bool url_holds_host(const struct upstream_config *upstream)
{
	return strstr(upstream->url, host_place) != NULL;
}

/* Letters, digits and what stands between them; a port or an IPv6 address in brackets too. */
static bool looks_like_host(const char *host)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]";
	return *host != '\0' && host[strspn(host, allowed)] == '\0';
}

bool url_host_matches(const char *host, const char *pattern)
{
	if (strcmp(pattern, "*") == 0)
		return true;
	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, host) == 0;
	size_t suffix = strlen(pattern) - 1, size = strlen(host);
	return size > suffix && host[0] != '.' && strcasecmp(host + size - suffix, pattern + 1) == 0;
}

bool url_host_allowed(const struct upstream_config *upstream, const char *host)
{
	if (!looks_like_host(host))
		return false;
	for (size_t i = 0; i < upstream->host_count; i++)
		if (url_host_matches(host, upstream->hosts[i]))
			return true;
	return upstream->host_count == 0;
}

static bool host_fits(const struct upstream_config *upstream, const char *host, struct err *err)
{
	if (host == NULL)
		return !url_holds_host(upstream) ||
		       err_set(err, "the request names no host, but the URL of upstream %s needs one: %s",
		               upstream->name, upstream->url);
	if (url_host_allowed(upstream, host))
		return true;
	return looks_like_host(host) ? err_set(err, "host %.253s is not among the `hosts` of upstream %s",
	                                       host, upstream->name)
	                             : err_set(err, "the request's host is not the name of a host");
}

static void append_base(struct buf *out, const char *url, const char *host)
{
	const char *place;
	while (host && (place = strstr(url, host_place))) {
		buf_append(out, url, (size_t)(place - url));
		buf_append_text(out, host);
		url = place + sizeof host_place - 1;
	}
	buf_append_text(out, url);
}

static void append_path(struct buf *out, const char *path)
{
	if (path && *path == '/' && out->size && out->data[out->size - 1] == '/')
		path++;
	if (path)
		buf_append_text(out, path);
}

/* RFC 3986 §2.3: what needs no escape. */
static bool is_unreserved(unsigned char c)
{
	return (unsigned)(c | 0x20) - 'a' < 26 || (unsigned)c - '0' < 10 || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

void url_append_encoded_bytes(struct buf *out, const char *text, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < size;) {
		size_t plain = i;
		while (plain < size && is_unreserved((unsigned char)text[plain]))
			plain++;
		buf_append(out, text + i, plain - i);
		i = plain;
		if (i < size) {
			unsigned char c = (unsigned char)text[i++];
			buf_append(out, (char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
		}
	}
}

void url_append_encoded(struct buf *out, const char *text)
{
	url_append_encoded_bytes(out, text, strlen(text));
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	                              : -1;
}

void url_append_decoded(struct buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		int high = text[i] == '%' && i + 2 < size ? hex_digit(text[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
		buf_append_byte(out, low >= 0 ? (char)(high * 16 + low) : text[i] == '+' ? ' ' : text[i]);
		i += low >= 0 ? 2 : 0;
	}
}

bool url_build(struct buf *out, const struct upstream_config *upstream, const struct request *request,
        const char *const *values, size_t count, struct err *err)
{
	if (!host_fits(upstream, request->host, err))
		return false;
	size_t start = out->size;
	append_base(out, upstream->url, request->host);
	append_path(out, request->path);
	char separator = memchr(out->data + start, '?', out->size - start) ? '&' : '?';
	if (request->query && *request->query) {
		buf_append_byte(out, separator);
		buf_append_text(out, request->query);
		separator = '&';
	}
	for (size_t i = 0; request->merge_param && i < count; i++) {
		if (i == 0) {
			buf_append_byte(out, separator);
			url_append_encoded(out, request->merge_param);
			buf_append_byte(out, '=');
		} else {
			buf_append_text(out, "%7C");
		}
		url_append_encoded(out, values[i]);
	}
	return true;
}
