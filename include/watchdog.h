/* How much CPU time a call may take, and the interruption of one that takes more.
 *
 * A call runs on its thread between watchdog_begin and watchdog_end; each thread has at most one. The budget
 * is CPU time of that thread (never wall-clock: a throttled process stands still and nobody is to blame). One
 * watchdog thread for the process looks at running calls every 10 ms, and sleeps without waking while none
 * begin. When a deadline has passed it sends SIGUSR1 to the call's thread every 100 us until the call
 * acknowledges; the handler runs `interrupt` on the call's own thread, only between begin and end. A call
 * that is still running when it has used 10 s more than its deadline ends the process (abort). SIGUSR1
 * belongs to this file: its own are told from others by where they come from (SI_TKILL of this process), and
 * others interrupt nobody. */
#ifndef MILLRACE_WATCHDOG_H
#define MILLRACE_WATCHDOG_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* A SIGUSR1 that somebody else sent is handed to `told`, in the signal handler, on any thread; NULL = to
 * nobody. From the first call of this or of watchdog_begin on such a signal does no harm. */
void watchdog_foreign(void (*told)(void));
/* interrupt must be safe in a signal handler; it may run several times. */
void watchdog_begin(int64_t budget_ns, void (*interrupt)(void *context), void *context);
void watchdog_extend(int64_t ns); /* more time for the running call; a no-op outside of one */
/* Set once the running call of this thread was interrupted; cleared by its end. For loops in C. */
const volatile sig_atomic_t *watchdog_flag(void);
void watchdog_acknowledge(void); /* the interruption works: no more signals for this call */
/* After this no interrupt runs. True when the call was interrupted; *cpu_ns (may be NULL) is what it took. */
bool watchdog_end(int64_t *cpu_ns);

#endif
