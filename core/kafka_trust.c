/* Why brokers and this client do not trust each other, in words. */
#include "kafka_trust.h"
#include "tls.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

enum {
	/* Beside those of tls.h */
	HOST_MISMATCH = 62,
	ADDRESS_MISMATCH = 64,
	/* Before librdkafka 2.6.1 the last message of SCRAM has the client's nonce twice, which Kafka 4.0
	 * refuses: https://github.com/confluentinc/librdkafka/pull/4895 */
	SCRAM_SINCE = 0x020601ff,
};

/* As the log event has it; what the callback says comes behind. */
static const char facility_of_refusals[] = "SSLCERTVRFY", said_before[] = "callback failed: ";

static const char *reason_of(int fault)
{
	switch (fault) {
	case TLS_NOT_YET_VALID: return "is not valid yet: compare the clocks of both machines";
	case TLS_EXPIRED: return "has expired: it is to be renewed on the broker";
	case HOST_MISMATCH:
	case ADDRESS_MISMATCH:
		return "is for another host: bootstrap.servers, and the brokers' advertised.listeners, are "
		       "to "
		       "name the hosts as the certificates do";
	default: break;
	}
	if (fault >= TLS_SELF_SIGNED && fault <= TLS_UNVERIFIED_LEAF)
		return "comes from an authority that is not trusted: ssl.ca.location is to be the file with "
		       "that "
		       "authority's certificate";
	return NULL;
}

/* https://github.com/confluentinc/librdkafka/blob/v2.0.2/src/rdkafka.h, rd_kafka_conf_set_ssl_cert_verify_cb
 */
static int on_certificate(rd_kafka_t *client, const char *broker, int32_t id, int *fault, int depth,
        const char *certificate, size_t certificate_size, char *text, size_t size, void *context)
{
	(void)client, (void)broker, (void)id, (void)depth, (void)certificate, (void)certificate_size,
	        (void)context;
	const char *reason = reason_of(*fault);
	if (*fault == 0)
		return 1;
	if (reason)
		snprintf(text, size, "%s", reason);
	else
		snprintf(text, size, "is not good (OpenSSL's error %d): look at it, and at ssl.ca.location",
		        *fault);
	return 0;
}

void kafka_trust_watch(rd_kafka_conf_t *conf)
{
	char verified[16] = "";
	size_t size = sizeof verified;
	rd_kafka_conf_get(conf, "enable.ssl.certificate.verification", verified, &size);
	if (strcmp(verified, "true") == 0)
		rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
}

bool kafka_trust_told(rd_kafka_event_t *event, char told[KAFKA_TRUST_SIZE])
{
	const char *facility, *text;
	int severity;
	if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_LOG ||
	        rd_kafka_event_log(event, &facility, &text, &severity) != 0 ||
	        strcmp(facility, facility_of_refusals) != 0)
		return false;
	const char *reason = strstr(text, said_before);
	snprintf(told, KAFKA_TRUST_SIZE, "%s", reason ? reason + strlen(said_before) : text);
	return true;
}

/* What is heard from a port that does not speak TLS. */
static bool says_no_tls(const char *said)
{
	static const char *const words[] = {
	        "unexpected eof", "wrong version number", "packet length", "PLAINTEXT broker listener"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strstr(said, words[i]))
			return true;
	return false;
}

const char *kafka_trust_advice(int code, const char *said, const char *told, char text[2 * KAFKA_TRUST_SIZE])
{
	size_t size = 2 * KAFKA_TRUST_SIZE;
	text[0] = '\0';
	if (*told && strstr(said, "certificate verify failed"))
		snprintf(text, size, "; the broker's certificate %s", told);
	else if (strstr(said, "SSL routines") && strstr(said, " alert "))
		snprintf(text, size,
		        "; the brokers want another client certificate, or one at all: "
		        "ssl.certificate.location "
		        "and ssl.key.location are to be files of an authority that they trust");
	else if (strstr(said, "SSL handshake failed") && says_no_tls(said))
		snprintf(text, size,
		        "; is it a port for TLS? See bootstrap.servers, and security.protocol (plaintext or "
		        "sasl_plaintext is without TLS)");
	else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION && strstr(said, "SCRAM") &&
	         !strstr(said, "Unsupported") && rd_kafka_version() < SCRAM_SINCE)
		snprintf(text, size,
		        "; check sasl.mechanism, sasl.username and sasl.password; and librdkafka %s cannot "
		        "log in by SCRAM "
		        "at "
		        "brokers of Kafka 4.0 or newer, which takes 2.6.1: there take PLAIN or a client "
		        "certificate",
		        rd_kafka_version_str());
	return text;
}
