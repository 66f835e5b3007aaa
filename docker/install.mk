# `make install` puts the binary, the scripts, the manual page, the completion and the systemd unit where they belong;
# `make uninstall` takes them away again. PREFIX (/usr/local) and DESTDIR as usual. Included by the Makefile.

PREFIX  ?= /usr/local
DESTDIR ?=
BINDIR  = $(PREFIX)/bin
DATADIR = $(PREFIX)/share
UNITDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib,$(PREFIX)/lib)/systemd/system

install: all
	install -D -m 755 $(BUILD)/millrace $(DESTDIR)$(BINDIR)/millrace
	docker/host/manual $(BUILD)/millrace > $(BUILD)/millrace.1
	install -D -m 644 $(BUILD)/millrace.1 $(DESTDIR)$(DATADIR)/man/man1/millrace.1
	install -D -m 644 docker/host/millrace.bash $(DESTDIR)$(DATADIR)/bash-completion/completions/millrace
	install -D -m 644 README.md $(DESTDIR)$(DATADIR)/doc/millrace/README.md
	sed 's|@BINDIR@|$(BINDIR)|' docker/host/millrace.service > $(BUILD)/millrace.service
	install -D -m 644 $(BUILD)/millrace.service $(DESTDIR)$(UNITDIR)/millrace.service
	@set -e; cd scripts; find . -path ./template -prune -o \( -name '*.lua' -o -name '*.yaml' -o -name '*.jsonl' -o -name README.md \) -print | while read -r file; do \
		install -D -m 644 "$$file" "$(DESTDIR)$(DATADIR)/millrace/scripts/$$file"; done
	install -D -m 644 scripts/millrace/testing.lua $(DESTDIR)$(DATADIR)/lua/5.1/millrace/testing.lua
	install -D -m 755 $(BUILD)/lua/millrace/engine.so $(DESTDIR)$(PREFIX)/lib/lua/5.1/millrace/engine.so

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/millrace $(DESTDIR)$(DATADIR)/man/man1/millrace.1 \
		$(DESTDIR)$(DATADIR)/bash-completion/completions/millrace $(DESTDIR)$(UNITDIR)/millrace.service
	rm -rf $(DESTDIR)$(DATADIR)/millrace $(DESTDIR)$(DATADIR)/doc/millrace \
		$(DESTDIR)$(DATADIR)/lua/5.1/millrace $(DESTDIR)$(PREFIX)/lib/lua/5.1/millrace

# Installs into a folder of its own and looks over each piece.
install-test: all
	@tests/host $(BUILD)

.PHONY: install uninstall install-test
