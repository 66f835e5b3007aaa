/* What runs: our version and those of the libraries that decide how it behaves. */
#ifndef MILLRACE_VERSIONS_H
#define MILLRACE_VERSIONS_H

struct versions {
	char millrace[32], revision[48], luajit[64], librdkafka[32], libcurl[32], libevent[32], libyaml[32];
};

void versions_read(struct versions *versions);

#endif
