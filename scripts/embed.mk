# Puts the shipped scripts, sample events and the status page into the binary: build/gen/embedded.c, see include/embedded.h.
# Included by the Makefile after OBJECTS is set and before it is used. Needs od and sed, nothing else.

.DEFAULT_GOAL := all

EMBEDDED := $(sort $(wildcard scripts/*.lua scripts/lib/*.lua scripts/types/*.lua \
	scripts/samples/*.jsonl scripts/template/* scripts/template/scripts/* scripts/template/samples/*))
EMBEDDED := $(filter-out scripts/template/scripts scripts/template/samples,$(EMBEDDED))
PAGE := $(sort $(wildcard core/page/*))
OBJECTS += $(BUILD)/gen/embedded.o

$(BUILD)/gen/embedded.c: $(EMBEDDED) $(PAGE) $(BUILD)/gen/embedded.list scripts/embed.mk
	@{ printf '/* Made by scripts/embed.mk. */\n#include "embedded.h"\n\n'; n=0; \
	for file in $(EMBEDDED) $(PAGE); do \
		printf 'static const unsigned char file_%d[] = {\n' $$n; \
		od -An -v -tx1 $$file | sed 's/ \(..\)/0x\1,/g'; \
		printf '0x00};\n'; n=$$((n + 1)); \
	done; \
	printf '\nconst struct embedded_file embedded_files[] = {\n'; n=0; \
	for file in $(EMBEDDED) $(PAGE); do \
		printf '\t{"%s", file_%d, sizeof(file_%d) - 1},\n' "$$(echo $$file | sed "s,^scripts/,,; s,^core/,,")" $$n $$n; n=$$((n + 1)); \
	done; \
	printf '};\nconst size_t embedded_count = %d, embedded_all = %d;\n' $(words $(EMBEDDED)) $$n; } > $@.new
	@mv $@.new $@

# Changes when a file comes or goes, which no file's own time would tell.
$(BUILD)/gen/embedded.list: FORCE
	@mkdir -p $(@D)
	@echo '$(EMBEDDED) $(PAGE)' | cmp -s - $@ || echo '$(EMBEDDED) $(PAGE)' > $@

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	@$(say) CC $<
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

FORCE:
.PHONY: FORCE
