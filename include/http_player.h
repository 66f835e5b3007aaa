/* Answers in place of a network: who gives them is asked at once, they come when they are due.
 *
 * http.c hands calls on to it where http_config.player is set: for `millrace test`, for `enrich --replay`. */
#ifndef MILLRACE_HTTP_PLAYER_H
#define MILLRACE_HTTP_PLAYER_H

#include "http.h"

#include <stdint.h>

struct playing;

/* over: the transfer is answered and the caller's again; called from the loop, not from within playing_send.
 */
struct playing *playing_open(struct event_base *base, const struct http_player *player,
        void (*over)(void *context, struct http_transfer *transfer), void *context);
void playing_close(struct playing *playing); /* forgets what is in flight; NULL is fine */
/* False: the player leaves it to the network. */
bool playing_send(struct playing *playing, struct http_transfer *transfer);
void playing_cancel(struct playing *playing, struct http_transfer *transfer);
size_t playing_in_flight(const struct playing *playing);
int64_t playing_next(
        const struct playing *playing); /* steady ms of the next answer; -1: nothing is in flight */

#endif
