/* Which error events a replay takes. */
#include "errorpick.h"
#include "mem.h"
#include "source.h"

#include <string.h>

enum { MET_MOST = 200000 }; /* about 20 MB */

void errorpicker_init(
        struct errorpicker *picker, const struct errorfilter *filter, const struct source_config *source)
{
	*picker = (struct errorpicker){.filter = filter, .source = source, .met = origins_open(MET_MOST)};
	errorevent_reader_init(&picker->reader);
}

void errorpicker_free(struct errorpicker *picker)
{
	origins_close(picker->met);
	errorevent_reader_free(&picker->reader);
}

/* Number of the origin's topic among the source's, or -1. */
static int32_t topic_of(const struct errorpicker *picker, const struct origin *origin)
{
	for (size_t i = 0; i < picker->source->topic_count; i++)
		if (strlen(picker->source->topics[i]) == origin->topic_size &&
		        memcmp(picker->source->topics[i], origin->topic, origin->topic_size) == 0)
			return (int32_t)i;
	return -1;
}

static enum errorpick judge(struct errorpicker *picker, const struct errorpick_message *message,
        struct errorevent *event, const char **topic)
{
	if (!errorevent_read(&picker->reader, message->value, message->headers, message->header_count, event))
		return ERRORPICK_UNREADABLE;
	int32_t number = event->placed ? topic_of(picker, &event->origin) : -1;
	if (number < 0)
		return ERRORPICK_FOREIGN;
	if (!errorfilter_takes(picker->filter, event))
		return ERRORPICK_FILTERED;
	struct origins_note note = {
	        number, event->origin.partition, event->origin.offset, message->partition, message->offset};
	if (!origins_first(picker->met, &note))
		return ERRORPICK_REPEATED;
	*topic = picker->source->topics[number];
	return ERRORPICK_TAKEN;
}

enum errorpick errorpicker_judge(struct errorpicker *picker, const struct errorpick_message *message,
        struct errorevent *event, const char **topic)
{
	enum errorpick pick = judge(picker, message, event, topic);
	picker->counts[pick]++;
	return pick;
}
