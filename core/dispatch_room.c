/* Room for answers while they come: where there is none, the youngest calls are cut. */
#include "dispatch_private.h"

static struct call *youngest_call(const struct dispatch *dispatch)
{
	struct call *youngest = NULL;
	list_each (&dispatch->calls, node, after) {
		struct call *call = container_of(node, struct call, node);
		if (!call->doomed && (youngest == NULL || dispatch_is_older(dispatch_oldest_of(youngest),
		                                                  dispatch_oldest_of(call))))
			youngest = call;
	}
	return youngest;
}

/* Its room is free from now on; it ends when curl is not at work. */
static void doom(struct dispatch *dispatch, struct call *call)
{
	call->doomed = true;
	dispatch->doomed++;
	list_each (&call->lookups, node, after)
		dispatch_yield(dispatch, container_of(node, struct lookup, node));
}

/* Where there is no room for an answer, the youngest calls make it: this one, if it is the youngest. */
bool dispatch_may_grow(struct http_transfer *transfer, size_t size)
{
	struct call *call = container_of(transfer, struct call, transfer);
	struct dispatch *dispatch = call->dispatch;
	if (call->doomed)
		return false;
	while (dispatch->hooks.grow &&
	        !dispatch->hooks.grow(dispatch->hooks.context, call, size, transfer->announced)) {
		struct call *youngest = youngest_call(dispatch);
		if (youngest == call)
			return false;
		doom(dispatch, youngest);
	}
	return true;
}

void dispatch_cut_doomed(struct dispatch *dispatch, int64_t now)
{
	if (dispatch->doomed == 0)
		return;
	list_each (&dispatch->calls, node, after) {
		struct call *call = container_of(node, struct call, node);
		struct fate fate = {.kind = FATE_CUT};
		if (!call->doomed || call->transfer.status) /* all of it is there: it ends by itself */
			continue;
		http_cancel(dispatch->http, &call->transfer);
		*call->upstream->bytes += (double)call->transfer.came;
		dispatch_probe_lost(call, now);
		dispatch_apply(call, now, &fate);
		dispatch_free_call(call);
	}
}
