/* Why brokers and this client do not trust each other, in words: what librdkafka's own words leave out.
 *
 * Of a certificate that it refuses librdkafka says that, and not why. The reason is handed to a callback on
 * the thread of the connection, the only one of ours on a foreign thread: it keeps nothing, judges as was
 * judged before, and its words come back as a log event, before the error itself. */
#ifndef MILLRACE_KAFKA_TRUST_H
#define MILLRACE_KAFKA_TRUST_H

#include <stdbool.h>
#include <stddef.h>

struct rd_kafka_conf_s;
struct rd_kafka_op_s;

enum { KAFKA_TRUST_SIZE = 200 };

/* Whatever the properties say about verification stays true. */
void kafka_trust_watch(struct rd_kafka_conf_s *conf);
/* Whether the event is the reason why a certificate was refused, which is put into `told`. */
bool kafka_trust_told(struct rd_kafka_op_s *event, char told[KAFKA_TRUST_SIZE]);
/* What a person can do about an error of that code (librdkafka's), of which librdkafka says `said`; `told` as
 * it was told last, "" = nothing. "; ...", or "" where the error is not about trust, or the code alone says
 * as much. */
const char *kafka_trust_advice(int code, const char *said, const char *told, char text[2 * KAFKA_TRUST_SIZE]);

#endif
