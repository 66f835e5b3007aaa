/* meta.id of an output: a UUIDv5 that a repeat of the same output carries, too. */
#include "identity.h"
#include "digest.h"

/* A namespace of our own, drawn once at random. */
static const char namespace[] = "6f1d3a52-93c4-4b7e-8a0d-2c5be8f1a947";

void identity_make(const char *input_id, const struct script_input *input, const char *stream, size_t n,
        char out[IDENTITY_TEXT])
{
	struct buf name;
	buf_init(&name, 0);
	if (input_id)
		buf_append_text(&name, input_id);
	else
		buf_printf(
		        &name, "%s/%d/%lld", input->topic, (int)input->partition, (long long)input->offset);
	buf_printf(&name, "\n%s\n%zu", stream, n);
	digest_uuid5(namespace, name.data, name.size, out);
	buf_free(&name);
}
