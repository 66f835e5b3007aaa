/* libFuzzer: any text is a configuration or a report that says why not; what `config show` prints of one is
 * one again. */
#include "config.h"
#include "fuzz.h"
#include "mem.h"

#include <unistd.h>

static struct config *parse(const char *text, size_t size, struct buf *told)
{
	struct config_report report = {0};
	struct config *config = config_parse("fuzz.yaml", text, size, &report);
	fuzz_require((config == NULL) == (report.errors > 0), "%u errors", report.errors);
	fuzz_require(
	        config || (report.text.size && strstr(report.text.data, "error")), "no reason was given");
	fuzz_require(config || strstr(report.text.data, "fuzz.yaml"), "the file is not named: %s",
	        report.text.data);
	if (told && report.text.size)
		buf_append(told, report.text.data, report.text.size);
	config_report_free(&report);
	return config;
}

/* Secrets are not shown, `auto` depends on the machine; everything else must survive. */
static void show_again(const struct config *config)
{
	struct buf shown, told;
	buf_init(&shown, 0);
	buf_init(&told, 0);
	config_show(config, &shown);
	if (!strstr(shown.data, "<redacted>")) {
		struct config *again = parse(shown.data, shown.size, &told);
		fuzz_require(again, "what was shown is refused:\n%s\n%s", shown.data, told.data);
		config_free(again);
	}
	buf_free(&shown);
	buf_free(&told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy((const char *)data, size);
	struct config *config = parse(text, size, NULL);
	if (config) {
		struct script_world world;
		config_world(config, &world);
		mem_free((void *)world.sinks);
		show_again(config);
		config_free(config);
	}
	free(text);
	return 0;
}
