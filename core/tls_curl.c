/* TLS for libcurl: which certificates and versions, and why a handshake failed. */
#include "tls_curl.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	SAID_MAX = 160,
};

void tls_curl_set(void *easy, const struct tls_config *tls)
{
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Its default is a day: a renewed authority would be refused as long. */
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, (long)TLS_CURL_CA_SECONDS);
#endif
	if (tls->ca) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* Debian's would be trusted beside it */
	}
	if (tls->cert)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert);
	if (tls->key)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key);
}

static bool says(const struct tls_curl_failure *failure, const char *words)
{
	return strstr(failure->said, words) != NULL;
}

/* What the other side sends when it does not like our certificate, or that there is none (RFC 8446 §6.2).
 * With TLS 1.3 it comes after the handshake, as an answer that cannot be read. */
static bool refused_by_peer(const struct tls_curl_failure *failure)
{
	static const char *const alerts[] = {"alert certificate required", "alert bad certificate",
	        "alert unknown ca", "alert certificate expired", "alert certificate revoked",
	        "alert certificate unknown", "alert unsupported certificate", "alert handshake failure",
	        "alert access denied"};
	for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
		if (says(failure, alerts[i]))
			return true;
	return false;
}

static void explain_authority(const struct tls_curl_failure *failure, char *reason, size_t size)
{
	const char *ca = failure->tls->ca;
	snprintf(reason, size,
	        "its certificate comes from an authority that is not trusted: %s.ca is to be the file with "
	        "that authority's certificate, and is %.100s",
	        failure->section, ca ? ca : "not set (the system's)");
}

/* Why the peer's certificate was not accepted. */
static void explain_peer(const struct tls_curl_failure *failure, char *reason, size_t size)
{
	long verdict = 0;
	curl_easy_getinfo(failure->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
	if (says(failure, "subject name"))
		snprintf(reason, size,
		        "its certificate is for another name (%.*s): the url is to name the host as its "
		        "certificate does; the Host header plays no part",
		        SAID_MAX, failure->said);
	else if (verdict == TLS_EXPIRED)
		snprintf(reason, size, "its certificate has expired: it is to be renewed there");
	else if (verdict == TLS_NOT_YET_VALID)
		snprintf(reason, size,
		        "its certificate is not valid yet: compare the clocks of both machines");
	else if (verdict >= TLS_SELF_SIGNED && verdict <= TLS_UNVERIFIED_LEAF)
		explain_authority(failure, reason, size);
	else
		snprintf(reason, size, "%.*s; see %s.ca", SAID_MAX, failure->said, failure->section);
}

static void explain_refusal(const struct tls_curl_failure *failure, char *reason, size_t size)
{
	const char *alert = strstr(failure->said, "alert ");
	if (failure->tls->cert)
		snprintf(reason, size,
		        "it refuses the client certificate (%.60s): look at %s.cert (%.100s), and at whom "
		        "the "
		        "other side trusts",
		        alert, failure->section, failure->tls->cert);
	else
		snprintf(reason, size, "it wants a client certificate (%.60s): set %s.cert and %s.key", alert,
		        failure->section, failure->section);
}

static void explain_own(const struct tls_curl_failure *failure, char *reason, size_t size)
{
	const struct tls_config *tls = failure->tls;
	snprintf(reason, size,
	        "the client certificate cannot be used: %s.cert (%.100s) and %s.key (%.100s) are to be PEM "
	        "files that belong together, and readable",
	        failure->section, tls->cert ? tls->cert : "not set", failure->section,
	        tls->key ? tls->key : "not set");
}

void tls_curl_suspect(const struct tls_curl_failure *failure, char *reason, size_t size)
{
	const char *scheme = NULL;
	long header_bytes = 0, connects = 0;
	size_t used = strlen(reason);
	bool broken = failure->code == CURLE_SEND_ERROR || failure->code == CURLE_RECV_ERROR ||
	              failure->code == CURLE_GOT_NOTHING;
	curl_easy_getinfo(failure->easy, CURLINFO_SCHEME, &scheme);
	curl_easy_getinfo(failure->easy, CURLINFO_HEADER_SIZE, &header_bytes);
	curl_easy_getinfo(failure->easy, CURLINFO_NUM_CONNECTS, &connects);
	if (broken && scheme && strcasecmp(scheme, "https") == 0 && header_bytes == 0 && connects > 0)
		snprintf(reason + used, size - used,
		        "; perhaps it %s client certificate: see %s.cert and %s.key",
		        failure->tls->cert ? "does not like the" : "wants a", failure->section,
		        failure->section);
}

bool tls_curl_explain(const struct tls_curl_failure *failure, char *reason, size_t size)
{
	if (refused_by_peer(failure)) {
		explain_refusal(failure, reason, size);
		return true;
	}
	switch ((CURLcode)failure->code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR: explain_peer(failure, reason, size); return true;
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(reason, size, "%s.ca (%.100s) cannot be read, or holds no certificate",
		        failure->section, failure->tls->ca ? failure->tls->ca : "not set");
		return true;
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CLIENTCERT: explain_own(failure, reason, size); return true;
	case CURLE_SSL_CONNECT_ERROR:
		snprintf(reason, size, "%.*s; is it a port for https, and does it speak TLS 1.2 or newer?",
		        SAID_MAX, failure->said);
		return true;
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
		snprintf(reason, size, "%.*s", SAID_MAX,
		        *failure->said ? failure->said : curl_easy_strerror((CURLcode)failure->code));
		return true;
	default: return false;
	}
}
