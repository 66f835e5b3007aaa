/* Tells a service manager how the process does: datagrams to $NOTIFY_SOCKET, as sd_notify(3) describes them.
 *
 * Without that variable nothing is told and nothing fails. READY=1 is said once the loop runs, whether or not
 * brokers and upstreams are there: waiting for them is the engine's work, and no reason to be killed by a
 * start's time-out. */
#ifndef MILLRACE_NOTIFY_H
#define MILLRACE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment. Call once,
 * before threads begin. False when there is no service manager. */
bool notify_open(void);
/* Lines such as "READY=1\nSTATUS=reading"; lost without a word when nobody takes them. */
void notify_say(const char *lines);
/* Says WATCHDOG=1 when half of the service manager's patience is over; call it each turn of the loop. */
void notify_alive(int64_t now);
void notify_close(void);

#endif
