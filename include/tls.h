/* What is configured about the TLS connections of one peer: the section `tls` of an upstream, of `schemas`,
 * of `streams`. */
#ifndef MILLRACE_TLS_H
#define MILLRACE_TLS_H

struct tls_config {
	char *ca;   /* file; NULL = the system's */
	char *cert; /* client certificate file; NULL = none */
	char *key;
};

#endif
