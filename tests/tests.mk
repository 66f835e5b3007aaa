# The targets that prove and show things. Each installs what it needs by tests/setup, then calls make again:
# compiler flags come from pkg-config and are right only once the packages are there.

PYTEST ?= /usr/bin/python3 -m pytest -p no:cacheprovider -q -ra --tb=short
PYTEST_ARGS ?=
# The system tests mostly wait: all of them run in two processes, each with brokers of its own, file by file.
SIDE_BY_SIDE ?= $(if $(PYTEST_ARGS),,-n 2 --dist loadfile)
AGAIN := @$(MAKE) --no-print-directory

# Everything that can go wrong, told as promises: C units, Lua specs, the binary against a real Kafka.
test:
	@tests/setup test
	@tests/tally $(MAKE) --no-print-directory .test-unit .test-scripts .test-system

test-unit:
	@tests/setup test
	$(AGAIN) .test-unit

test-scripts:
	@tests/setup test
	$(AGAIN) .test-scripts

# One test: make test-system PYTEST_ARGS='-k sigkill'
test-system:
	@tests/setup test
	$(AGAIN) .test-system

# The status page in a real browser.
test-page:
	@tests/setup page
	@MILLRACE_BROWSER=required $(MAKE) --no-print-directory .test-system PYTEST_ARGS="-k test_page.py"

# The shipped script against a real MediaWiki: Debian's package on SQLite and PHP's own web server.
test-wiki:
	@tests/setup wiki
	@MILLRACE_WIKI=required $(MAKE) --no-print-directory .test-system PYTEST_ARGS="-k test_mediawiki.py"

demo:
	@tests/setup demo
	$(AGAIN) all
	@$(BUILD)/millrace demo $(DEMO_ARGS)

lint:
	@tests/setup lint
	$(AGAIN) .lint

# What Millrace costs beside the bare work, as one table; BENCH=full for all of it, tests/bench/README.md.
bench:
	@tests/setup bench
	$(AGAIN) .bench

fuzz:
	@tests/setup fuzz
	$(AGAIN) .fuzz

# All of them, also after a failure.
.test-unit: $(UNITS)
	@status=0; for t in $(UNITS); do $$t || { echo "$$t failed" >&2; status=1; }; done; exit $$status

.unit-programs: $(UNITS)

.test-scripts: all
	$(BUILD)/millrace test scripts
	luacheck scripts tests/lua tests/system/scripts tests/chaos/scripts
	MILLRACE_LUA=$(BUILD)/lua busted --lua=/usr/bin/luajit

# The build that dies on purpose is a second one, so that the tested binary is the shipped one.
MORTAL := $(if $(SANITIZE)$(FAULTS),,$(BUILD)-faults)

.test-system: all $(BUILD)/mockbroker $(BUILD)/schemacheck
	@[ -z "$(MORTAL)" ] || $(MAKE) --no-print-directory FAULTS=1 BUILD=$(MORTAL) all
	MILLRACE=$(BUILD)/millrace MILLRACE_FAULTS=$(MORTAL)/millrace MILLRACE_MOCKBROKER=$(BUILD)/mockbroker \
		MILLRACE_SCHEMACHECK=$(BUILD)/schemacheck $(PYTEST) $(SIDE_BY_SIDE) $(PYTEST_ARGS) tests/system

$(BUILD)/mockbroker: tests/system/mockbroker.c
	@mkdir -p $(@D)
	@$(say) CC $<
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -lrdkafka

$(BUILD)/schemacheck: tests/system/schemacheck.c $(BUILD)/libmillrace.a
	@mkdir -p $(@D)
	@$(say) CC $<
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(BUILD)/libmillrace.a $(LDLIBS)

C_FILES = $(wildcard core/*.c include/*.h tests/unit/*.c tests/unit/*.h tests/system/*.c tests/bench/*.c tests/fuzz/*.c tests/fuzz/*.h)

.lint: all
	@echo "clang-format, $(words $(C_FILES)) files"
	@clang-format --dry-run --Werror $(C_FILES)
	tests/layers
	tests/leftovers
	tests/declared
	MILLRACE=$(BUILD)/millrace tests/reference
	tests/hardening $(BUILD)/millrace $(BUILD)/lua/millrace/engine.so
	luacheck scripts tests/lua tests/system/scripts tests/chaos/scripts
	@echo "clang-tidy, $(words $(wildcard core/*.c)) files"
	@printf '%s\n' $(wildcard core/*.c) | xargs -P $(shell nproc) -n 1 tests/tidy -std=c11 -D_GNU_SOURCE -Iinclude \
		$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null) --

BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
BENCH ?= quick
BENCH_ARGS ?=

.bench: all $(BENCHES)
	@/usr/bin/python3 tests/bench/run.py $(BUILD)/millrace --size $(BENCH) $(BENCH_ARGS)

# What the watchdog costs is seen by linking around it.
$(BUILD)/bench/bench_script: private override LDFLAGS += -Wl,--wrap=watchdog_begin,--wrap=watchdog_end
$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/libmillrace.a
	@mkdir -p $(@D)
	@$(say) CC $<
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(BUILD)/libmillrace.a $(LDLIBS)

# Each tests/fuzz/fuzz_*.c is a libFuzzer program; they are built apart, by clang with sanitizers (tests/fuzz/README.md).
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 30
FUZZ_FLAGS := -detect_leaks=0 -timeout=120 -rss_limit_mb=3000 -artifact_prefix=build-fuzz/
FUZZ_ENV := ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=tests/leaks.supp:print_suppressions=0
.fuzz: .fuzz-build
	@set -e; for f in $(FUZZERS); do echo "$$f: $(FUZZ_SECONDS) s"; mkdir -p build-fuzz/corpus/$$f; \
		$(FUZZ_ENV) build-fuzz/fuzz/$$f $(FUZZ_FLAGS) -max_total_time=$(FUZZ_SECONDS) -print_final_stats=0 \
			-verbosity=0 build-fuzz/corpus/$$f tests/fuzz/corpus/$$f; done

# Every input of the corpora once more: what was ever found stays found.
.fuzz-replay: .fuzz-build
	@set -e; for f in $(FUZZERS); do printf '%s: ' $$f; find tests/fuzz/corpus/$$f -type f | wc -l; \
		$(FUZZ_ENV) build-fuzz/fuzz/$$f $(FUZZ_FLAGS) -runs=0 -verbosity=0 tests/fuzz/corpus/$$f; done

# Keeps of each corpus, and of what was found beside it, the smallest inputs that reach the same places.
fuzz-corpora: .fuzz-build
	@set -e; for f in $(FUZZERS); do rm -rf build-fuzz/merged; mkdir -p build-fuzz/merged build-fuzz/corpus/$$f; \
		$(FUZZ_ENV) build-fuzz/fuzz/$$f -detect_leaks=0 -set_cover_merge=1 -use_counters=0 -max_len=3000 \
			-verbosity=0 build-fuzz/merged \
			tests/fuzz/corpus/$$f build-fuzz/corpus/$$f; \
		rm -rf tests/fuzz/corpus/$$f; mv build-fuzz/merged tests/fuzz/corpus/$$f; \
		du -sh --apparent-size tests/fuzz/corpus/$$f; done

.fuzz-build:
	+$(AGAIN) BUILD=build-fuzz CC=clang WERROR=1 SANITIZE=fuzzer-no-link,address,undefined .fuzz-programs

.fuzz-programs: $(FUZZERS:%=$(BUILD)/fuzz/%)

$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/libmillrace.a
	@mkdir -p $(@D)
	@$(say) CC $<
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/libmillrace.a $(LDLIBS)

.PHONY: test test-unit test-scripts test-system test-page test-wiki demo lint bench fuzz .test-unit .test-scripts .test-system .lint \
	.unit-programs .bench .fuzz .fuzz-build .fuzz-programs .fuzz-replay fuzz-corpora

# Every fault alone and mixed, under load, seeded; tests/chaos/README.md. A few minutes: make chaos SIZE=ci
SIZE ?= nightly
chaos:
	@tests/setup test
	$(AGAIN) .chaos

.chaos: all
	@[ -z "$(MORTAL)" ] || $(MAKE) --no-print-directory FAULTS=1 BUILD=$(MORTAL) all
	CHAOS_SIZE=$(SIZE) MILLRACE=$(BUILD)/millrace MILLRACE_FAULTS=$(MORTAL)/millrace \
		$(PYTEST) $(PYTEST_ARGS) tests/system/test_ledger.py tests/chaos

.PHONY: chaos .chaos
