/* Can a TCP connection be opened? For `millrace check --connect`; blocks for as long as it is told. */
#ifndef MILLRACE_REACH_H
#define MILLRACE_REACH_H

#include "err.h"

#include <stdbool.h>

/* Looks the name up, and tries each address in turn, each for so long; err names host, port and the reason of
 * the last one. */
bool reach_host(const char *host, const char *port, int timeout_ms, struct err *err);
/* The host of an http or https URL. */
bool reach_url(const char *url, int timeout_ms, struct err *err);
/* Any broker of "host:port,host:port" (an entry may begin with "PROTOCOL://"; port 9092 unless given). */
bool reach_brokers(const char *servers, int timeout_ms, struct err *err);

#endif
