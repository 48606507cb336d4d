# Manual pages, shell completions, installation: included by the Makefile.

# ---- manual, completions, installation -------------------------------------------------------------------------
COMMANDS := convert verify inspect unpack diff export tokenize devices bench help

man: $(BIN) ## write spec/man/*.1 from the option table
	$(call say,MAN,spec/man/)
	@mkdir -p spec/man
	$(Q)$(BIN) help --man >spec/man/octavo.1
	$(Q)for c in $(COMMANDS); do $(BIN) help --man $$c >spec/man/octavo-$$c.1 || exit 1; done

completion: $(BIN) ## write build/completion/ for bash, zsh and fish
	$(call say,COMP,build/completion/)
	@mkdir -p build/completion
	$(Q)for s in bash zsh fish; do $(BIN) help --completion $$s >build/completion/octavo.$$s || exit 1; done

MAN_DIR  := $(DESTDIR)$(PREFIX)/share/man/man1
BASH_DIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_DIR  := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_DIR := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
PAGES    := $(sort $(wildcard spec/man/*.1))

install: $(BIN) completion ## install below $(DESTDIR)$(PREFIX), default /usr/local
	$(call say,COPY,$(DESTDIR)$(PREFIX)/{bin$(comma)share})
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(MAN_DIR) $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR)
	$(Q)install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/octavo
	$(Q)install -m 644 $(PAGES) $(MAN_DIR)
	$(Q)install -m 644 build/completion/octavo.bash $(BASH_DIR)/octavo
	$(Q)install -m 644 build/completion/octavo.zsh $(ZSH_DIR)/_octavo
	$(Q)install -m 644 build/completion/octavo.fish $(FISH_DIR)/octavo.fish

uninstall: ## remove what install put there
	$(call say,RM,$(DESTDIR)$(PREFIX))
	$(Q)rm -f $(DESTDIR)$(PREFIX)/bin/octavo $(PAGES:spec/man/%=$(MAN_DIR)/%)
	$(Q)rm -f $(BASH_DIR)/octavo $(ZSH_DIR)/_octavo $(FISH_DIR)/octavo.fish

