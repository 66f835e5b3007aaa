/* TLS for what speaks by libcurl (http.h, fetch.h): which certificates and versions, and why it failed.
 *
 * TLS 1.2 is the least, and the peer is always verified: its certificate against `ca` alone where it is
 * given, and its name against the host of the URL, never against the Host header. There is no way to switch
 * that off. Certificate and key are read again for each new connection, `ca` after TLS_CURL_CA_SECONDS at the
 * latest; a connection lives on with what it began with. */
#ifndef MILLRACE_TLS_CURL_H
#define MILLRACE_TLS_CURL_H

#include "tls.h"

#include <stdbool.h>
#include <stddef.h>

enum { TLS_CURL_CA_SECONDS = 5 };

void tls_curl_set(void *easy, const struct tls_config *tls); /* a CURL */

/* An exchange that failed. */
struct tls_curl_failure {
	void *easy;
	int code;            /* a CURLcode */
	const char *said;    /* curl's error buffer; "" = curl said nothing */
	const char *section; /* the keys' beginning: "http.upstreams.api.tls" */
	const struct tls_config *tls;
};
/* Whether TLS was what failed; if so `reason` says what was wrong, and which key may mend it. */
bool tls_curl_explain(const struct tls_curl_failure *failure, char *reason, size_t size);
/* A server that closes at once may be gone before its refusal is read: where a new connection by https broke
 * without a word, a doubt about the client certificate is put behind the reason. */
void tls_curl_suspect(const struct tls_curl_failure *failure, char *reason, size_t size);

#endif
