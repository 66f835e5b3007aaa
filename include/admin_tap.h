/* `GET /-/tap`: a tap on the running engine, as JSON lines for as long as somebody reads.
 *
 * Query: stage (in, request, response, out, error, all; several with commas; out), n, follow, rate (items a
 * second), buffer (a size such as 4MiB), time (such as 30s). Only from this machine or with the token;
 * events, requests, answers and outputs are shown to who bears the token, and to nobody where admin.token
 * sets none.
 */
#ifndef MILLRACE_ADMIN_TAP_H
#define MILLRACE_ADMIN_TAP_H

#include "admin.h"
#include "tap.h"

/* Adds the page; borrows the tap. */
void admin_tap_route(struct admin *admin, struct tap *tap);

#endif
