/* What is configured about the TLS connections of one peer: the section `tls` of an upstream, of `schemas`,
 * of `streams`. */
#ifndef MILLRACE_TLS_H
#define MILLRACE_TLS_H

struct tls_config {
	char *ca;   /* file; NULL = the system's */
	char *cert; /* client certificate file; NULL = none */
	char *key;
};

/* Why a certificate is refused: X509_V_ERR_... of
 * https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/ */
enum tls_fault {
	TLS_NOT_YET_VALID = 9,
	TLS_EXPIRED = 10,
	TLS_SELF_SIGNED = 18, /* 18 to 21: nobody known vouches for it */
	TLS_UNVERIFIED_LEAF = 21,
};

#endif
