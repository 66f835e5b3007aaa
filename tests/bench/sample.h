/* The event that benchmarks of one part work on: a page change as it comes in life, with a text in it or
 * without. */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include "buf.h"

/* clang-format off */
static const char sample_head[] =
	"{\"$schema\":\"/mediawiki/page/change/1.2.0\",\"changelog_kind\":\"update\",\"comment\":\"/* History */ typo\","
	"\"dt\":\"2024-03-01T12:00:00Z\",\"meta\":{\"domain\":\"en.example.org\",\"dt\":\"2024-03-01T12:00:00.123Z\","
	"\"id\":\"0d0d6a3c-3a5e-4bb1-9b5a-111111111111\",\"request_id\":\"7d1a6a3c-3a5e-4bb1-9b5a-222222222222\","
	"\"stream\":\"mediawiki.page_change.v1\",\"uri\":\"https://en.example.org/wiki/Alpha_Centauri\"},"
	"\"page\":{\"is_redirect\":false,\"namespace_id\":0,\"page_id\":4321987,\"page_title\":\"Alpha_Centauri\"},"
	"\"page_change_kind\":\"edit\",\"performer\":{\"edit_count\":12345,\"groups\":[\"extendedconfirmed\",\"*\","
	"\"user\",\"autoconfirmed\"],\"is_bot\":false,\"is_system\":false,\"is_temp\":false,"
	"\"registration_dt\":\"2010-01-01T00:00:00Z\",\"user_id\":987654,\"user_text\":\"Jos\xC3\xA9 Example\"},"
	"\"revision\":{\"comment\":\"typo\",\"is_comment_visible\":true,\"is_content_visible\":true,"
	"\"is_editor_visible\":true,\"is_minor_edit\":false,\"rev_dt\":\"2024-03-01T12:00:00Z\","
	"\"rev_id\":1187654321,\"rev_parent_id\":1187650000,\"rev_sha1\":\"5g2rbk3hu47jydbxkl4n7597248pjg5\","
	"\"rev_size\":10234,\"content_slots\":{\"main\":{\"content_format\":\"text/x-wiki\","
	"\"content_model\":\"wikitext\",\"content_sha1\":\"5g2rbk3hu47jydbxkl4n7597248pjg5\",\"content_size\":10234,"
	"\"origin_rev_id\":1187654321,\"slot_role\":\"main\"";
/* clang-format on */

/* In place of what out holds. text: JSON, repeated until body bytes are there; body 0 = no content_body. */
static inline void sample_event(struct buf *out, const char *text, size_t body)
{
	buf_clear(out);
	buf_append_text(out, sample_head);
	if (body) {
		buf_append_text(out, ",\"content_body\":\"");
		for (size_t start = out->size; out->size < start + body;)
			buf_append_text(out, text);
		buf_append_byte(out, '"');
	}
	buf_append_text(out, "}}},\"wiki_id\":\"enwiki\"}");
}

#endif
