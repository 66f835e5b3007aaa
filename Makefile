# Millrace: `make` builds build/millrace; `make demo` shows it; `make test` proves it.

CC      ?= cc
BUILD   ?= build
VERSION := 1.0.0
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

PACKAGES := luajit rdkafka libcurl libevent libevent_pthreads yaml-0.1 libpcre2-8 libcrypto
WARNINGS := -Wall -Wextra -Wformat=2 -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
# What makes a mistake in C end the process and not become somebody's way in (core/THREATS.md); tests/hardening reads
# the built binary for it. The optional ones depend on the compiler and the processor.
knows = $(shell echo 'int main(void) { return 0; }' | $(CC) -Werror $(1) -x c -c -o /dev/null - 2>/dev/null && echo '$(1)')
FORTIFY := $(shell printf '\043include <features.h>\n\043if __USE_FORTIFY_LEVEL < 3\n\043error\n\043endif\n' | \
	$(CC) -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -Werror -x c -c -o /dev/null - 2>/dev/null && echo 3 || echo 2)
HARDEN   := -fstack-protector-strong -fPIC -fvisibility=hidden $(call knows,-fstack-clash-protection) \
	$(call knows,-fcf-protection=full) $(call knows,-mbranch-protection=standard)
CFLAGS   ?= -O2 -g
SANITIZE ?=
WERROR   ?=

override CFLAGS += -std=c11 -D_GNU_SOURCE -pthread $(WARNINGS) $(HARDEN) -Iinclude -MMD -MP \
	-DMILLRACE_VERSION='"$(VERSION)"' -DMILLRACE_REVISION='"$(REVISION)"' \
	$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LDLIBS  := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -llua5.1-cjson -lm
LDFLAGS += -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code

ifneq ($(WERROR),)
override CFLAGS += -Werror
endif
ifneq ($(SANITIZE),)
override CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=$(SANITIZE)
else
override CFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(FORTIFY)
endif
ifneq ($(FAULTS),)
override CFLAGS += -DMILLRACE_FAULTS
endif

# jemalloc takes a sixth of the CPU time off a run (core/README.md); without it, or under a sanitizer, libc's malloc.
ALLOCATOR ?= $(if $(SANITIZE),,$(shell pkg-config --exists jemalloc 2>/dev/null && echo jemalloc))

# testing.c is no part of the binary: it is the Lua module for specs, below.
SOURCES := $(filter-out core/testing.c,$(wildcard core/*.c))
OBJECTS := $(SOURCES:core/%.c=$(BUILD)/core/%.o)

include scripts/embed.mk

LIBRARY := $(filter-out $(BUILD)/core/main.o,$(OBJECTS))
UNITS   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))

all: $(BUILD)/millrace $(BUILD)/lua/millrace/engine.so

# One short line per step; `make V=1` shows the whole commands.
Q   := $(if $(V),,@)
say = $(if $(V),:,printf '  %-5s %s\n')

$(BUILD)/millrace: $(OBJECTS)
	@$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(if $(ALLOCATOR),$(shell pkg-config --libs $(ALLOCATOR)))

$(BUILD)/core/%.o: core/%.c
	@mkdir -p $(@D)
	@$(say) CC $<
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

# versions.o is made anew when what it says has changed.
$(BUILD)/core/versions.o: $(BUILD)/revision
$(BUILD)/revision: .FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(REVISION)' | cmp -s - $@ || echo '$(VERSION) $(REVISION)' > $@

# Every unit test links the whole library: a test needs no list of files.
$(BUILD)/libmillrace.a: $(LIBRARY)
	@$(say) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

# `require "millrace.testing"` (scripts/millrace/testing.lua) finds it by package.cpath. It stays loaded when a Lua state
# closes: its watchdog runs on.
$(BUILD)/lua/millrace/engine.so: $(BUILD)/core/testing.o $(BUILD)/libmillrace.a
	@mkdir -p $(@D)
	@$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(filter-out -pie,$(LDFLAGS)) -shared -Wl,--as-needed,-z,nodelete -o $@ $^ $(LDLIBS)

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libmillrace.a
	@mkdir -p $(@D)
	@$(say) CC $<
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Itests/unit -o $@ $< $(BUILD)/libmillrace.a $(LDLIBS) -lcmocka

unit: $(UNITS)
	@set -e; for t in $(UNITS); do $$t; done

# Writes the reference of the configuration into the README, and of the metrics into helm/METRICS.md; `make lint` fails when
# they are not those of the binary.
reference: $(BUILD)/millrace
	MILLRACE=$(BUILD)/millrace tests/reference write

clean:
	rm -rf $(BUILD)

.PHONY: all unit reference clean .FORCE
-include $(OBJECTS:.o=.d) $(BUILD)/core/testing.d $(UNITS:=.d)

include tests/tests.mk
include helm/chart.mk
include docker/image.mk
include docker/install.mk
