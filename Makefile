# octavo: one Makefile for the whole tree. `make help` lists the targets.
#
# CONFIG names a build: objects go to build/CONFIG/, and every config but `release` keeps its octavo there too.
# CUDA=0 leaves CUDA out, CUDA=1 insists on it, CUDA=auto takes it where nvcc is.
# SAN=address,undefined or SAN=thread chooses a config of its own. Any other mixture wants a name:
#     make CONFIG=clang CC=clang          gives build/clang/octavo
VERSION := 0.1.0

comma := ,
SAN     ?=
CONFIG  ?= $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
CFLAGS  ?= $(if $(SAN),-O1 -g -fno-omit-frame-pointer,-O3 -g)
PREFIX  ?= /usr/local
DESTDIR ?=
DEFINES :=
PYTHON  ?= $(firstword $(wildcard /usr/bin/python3) python3)
T       ?= 60

OBJ := build/$(CONFIG)
BIN := $(if $(filter release,$(CONFIG)),build,$(OBJ))/octavo

# ---- flags -----------------------------------------------------------------------------------------------------
PACKAGES  := jansson libarchive libxxhash libcrypto libpcre2-8 zlib
PKG_FOUND := $(shell pkg-config --exists $(PACKAGES) 2>/dev/null && echo yes)
PKG_FLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS  := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
CHECK_LIBS = $(shell pkg-config --libs check)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Wwrite-strings -Werror=implicit $(if $(WERROR),-Werror)
LANGUAGE := -std=c11 -D_GNU_SOURCE -I. -pthread
# Behind CFLAGS, so that nobody's CFLAGS can change what the numbers are (spec/quant.md).
NUMERICS := -fno-fast-math -ffp-contract=off -fno-trapping-math -fno-math-errno
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
COMPILE   = $(CC) $(LANGUAGE) $(WARNINGS) $(PKG_FLAGS) $(DEFINES) $(CPPFLAGS) $(CFLAGS) $(NUMERICS) $(SANITIZE) \
    -ffile-prefix-map=$(CURDIR)=. -MMD -MP
# Linked with one of these, gcc's programs start with subnormals flushed to zero.
FLUSHING := -Ofast -ffast-math -funsafe-math-optimizations
LINK      = $(CC) $(filter-out $(FLUSHING),$(CFLAGS)) $(NUMERICS) $(SANITIZE) $(LDFLAGS) -pthread
LIBS      = $(PKG_LIBS) $(CUDA_LIBS) $(LDLIBS) -lm

include gpu/cuda.mk

# ---- sources ---------------------------------------------------------------------------------------------------
# A levelled source is a template: compiled once for each instruction level, with KERNEL_LEVEL in its names.
LEVELLED := $(wildcard quant/*_kernel.c verify/*_kernel.c)
LEVELS   := baseline $(if $(filter x86_64%,$(shell $(CC) -dumpmachine 2>/dev/null)),v3 v4)
ARCH_v3  := -march=x86-64-v3
ARCH_v4  := -march=x86-64-v4 -mprefer-vector-width=512

LIB_SRC   := $(filter-out $(LEVELLED),$(sort $(wildcard format/*.c quant/*.c convert/*.c verify/*.c)) $(GPU_SRC))
BIN_SRC   := $(sort $(wildcard bin/*.c))
UNIT_SRC  := $(filter-out $(if $(CUDA_FOUND),,tests/unit/test_gpu_%),$(sort $(wildcard tests/unit/test_*.c)))
FUZZ_SRC  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/bench_*.c))

LIB_OBJ   := $(LIB_SRC:%.c=$(OBJ)/%.o) $(GPU_OBJ) $(foreach l,$(LEVELS),$(LEVELLED:%.c=$(OBJ)/%.$l.o))
BIN_OBJ   := $(BIN_SRC:%.c=$(OBJ)/%.o)
AID_OBJ   := $(patsubst %.c,$(OBJ)/%.o,$(filter-out tests/unit/test_%,$(sort $(wildcard tests/unit/*.c)))) $(GPU_AID)
UNIT_BIN  := $(UNIT_SRC:%.c=$(OBJ)/%)
UNIT_RUN  := $(patsubst %.c,$(OBJ)/%,$(filter $(UNIT_SRC),$(wildcard $(if $(UNIT),$(UNIT:%=tests/unit/test_%.c),$(UNIT_SRC)))))
FUZZ_BIN  := $(FUZZ_SRC:%.c=$(OBJ)/%)
BENCH_BIN := $(BENCH_SRC:%.c=$(OBJ)/%)
# Programs of tests/ take from these what they use; those that test a file of bin/ bring their own main.
LIBRARY   := $(OBJ)/liboctavo.a
TEST_AID  := $(OBJ)/tests/libaid.a

# ---- rules -----------------------------------------------------------------------------------------------------
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
.PHONY: FORCE all demo test test-programs test-unit test-fuzz test-cli test-python test-interop test-scale test-builds \
    fuzz fuzz-programs fuzz-run bench lint format format-check man completion install uninstall clean \
    help

Q   := $(if $(V),,@)
# $(call say,WHAT,FILE): the short form of a command, unless V=1 shows it or `make -s` wants silence.
say  = $(if $(or $(V),$(findstring s,$(firstword -$(MAKEFLAGS)))),@:,@printf '  %-5s %s\n' '$(1)' '$(2)')
# $(call stamp,TEXT): the file holds TEXT and is younger than what depends on it only if TEXT changed.
quote = '$(subst ','\'',$(1))'
stamp = @mkdir -p $(@D); printf '%s\n' $(call quote,$(1)) | cmp -s - $@ || printf '%s\n' $(call quote,$(1)) >$@

all: $(BIN) ## build build/octavo (the default)

$(OBJ)/flags: FORCE
	$(if $(PKG_FOUND),,@tests/setup.sh --check)
	$(call stamp,$(COMPILE) | $(LINK) $(LIBS))

$(OBJ)/objects: FORCE
	$(call stamp,$(LIB_OBJ) $(BIN_OBJ) $(AID_OBJ))

GIT_ID := $(or $(shell git describe --always --dirty 2>/dev/null),unknown)
$(OBJ)/git-id: FORCE
	$(call stamp,$(VERSION) $(GIT_ID))

$(OBJ)/bin/version.o: $(OBJ)/git-id
$(OBJ)/bin/version.o: private DEFINES := -DOCTAVO_VERSION='"$(VERSION)"' -DOCTAVO_GIT='"$(GIT_ID)"'

$(OBJ)/%.o: %.c $(OBJ)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<

define LEVEL_RULE
$$(OBJ)/%.$(1).o: %.c $$(OBJ)/flags
	$$(call say,CC,$$< [$(1)])
	@mkdir -p $$(@D)
	$$(Q)$$(COMPILE) $$(ARCH_$(1)) -DKERNEL_LEVEL=$(1) -c -o $$@ $$<
endef
$(foreach l,$(LEVELS),$(eval $(call LEVEL_RULE,$l)))

$(LIBRARY): $(LIB_OBJ) $(BIN_OBJ)
$(TEST_AID): $(AID_OBJ)
$(LIBRARY) $(TEST_AID): $(OBJ)/objects
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $(filter %.o,$^)

$(BIN): $(BIN_OBJ) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(UNIT_BIN): %: %.o $(TEST_AID) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(CHECK_LIBS) $(LIBS)

$(BENCH_BIN): %: %.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

# Under clang's libFuzzer (CONFIG=fuzz) a target fuzzes; elsewhere the driver replays the files it is given.
FUZZ_MAIN := $(if $(filter fuzz,$(CONFIG)),,$(OBJ)/tests/fuzz/driver.o)
$(FUZZ_BIN): %: %.o $(FUZZ_MAIN) $(TEST_AID) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(LINK) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) -o $@ $^ $(LIBS)

-include $(patsubst %,%.d,$(basename $(LIB_OBJ) $(BIN_OBJ) $(AID_OBJ) $(FUZZ_MAIN)) $(UNIT_BIN) $(FUZZ_BIN) $(BENCH_BIN))

# ---- tests -----------------------------------------------------------------------------------------------------
# A second make: quiet unless V=1, on all processors unless the caller said -j.
SUB = $(MAKE) $(if $(V),,-s) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
# What test programs find in their environment.
export ROOT     := $(CURDIR)
export TESTDATA := $(CURDIR)/tests/data
export BUILD    := $(CURDIR)/$(OBJ)
export OCTAVO   := $(CURDIR)/$(BIN)
export PYTHON
export CK_TIMEOUT_MULTIPLIER := $(if $(SAN),20,4)
export THIN ?= $(if $(SAN),37,1)

demo: ## install what is missing, build, convert the built-in checkpoint, inspect, verify and run the result
	@tests/setup.sh
	+@$(SUB) all
	@mkdir -p build/demo
	$(BIN) convert tests/data/ring-micro-linear -o build/demo/ring-micro.octavo -f
	$(BIN) inspect build/demo/ring-micro.octavo
	$(BIN) verify build/demo/ring-micro.octavo
	$(BIN) verify build/demo/ring-micro.octavo --against tests/data/ring-micro-linear
	$(BIN) verify build/demo/ring-micro.octavo --against tests/data/ring-micro-linear --only forward \
	    --text LICENSE --length 256

test: ## install what is missing, build, run all tests but interop and scale
	@tests/setup.sh
	+@$(SUB) test-programs
	+@$(SUB) test-unit && $(SUB) test-fuzz && $(SUB) test-python && $(SUB) test-cli

test-programs: $(BIN) $(UNIT_BIN) $(FUZZ_BIN)

test-unit: $(UNIT_RUN) ## unit tests; UNIT='dtype js*' chooses
	@tests/run_unit.sh $(UNIT_RUN)

test-fuzz: $(FUZZ_BIN) ## replay the stored inputs of every fuzz target
	@tests/run_fuzz.sh replay $(FUZZ_BIN)

test-cli: $(BIN) ## command line tests; CLI='convert_* help' chooses
	@set -f; tests/run_cli.sh $(CLI)

test-python: $(BIN) ## Python's reader, quantizer and writer agree with octavo; hostile files; the checkpoint maker
	@tests/interop/run_plain.sh
	@tests/hostile/run.sh
	@$(PYTHON) tests/test_make_checkpoint.py >$(OBJ)/maker.log 2>&1 || { cat $(OBJ)/maker.log; exit 1; }
	@sed -n 's/^Ran \([0-9]* tests\).*/maker: \1 passed/p' $(OBJ)/maker.log

test-interop: $(BIN) $(OBJ)/tests/unit/test_safetensors_write ## compare with ml_dtypes, safetensors, tokenizers in a venv
	@tests/interop/run.sh

test-builds: ## gcc and clang, -O0 and -O3 make the same packed files
	@tests/same_builds.sh

test-scale: $(BIN) ## convert and verify more than 8 GB, compare memory; by hand, needs 30 GB of disk
	@tests/scale.sh

fuzz: ## build the fuzz targets with clang's libFuzzer
	+@$(SUB) CONFIG=fuzz CC=clang SAN=address,undefined,fuzzer-no-link fuzz-programs

fuzz-programs: $(FUZZ_BIN)

fuzz-run: fuzz ## fuzz every target for T=60 seconds
	@tests/run_fuzz.sh $(T) $(FUZZ_SRC:%.c=build/fuzz/%)

bench: $(BIN) $(BENCH_BIN) ## measure speeds and print them
	@tests/bench/run.sh $(OBJ)/tests/bench

# ---- source text -----------------------------------------------------------------------------------------------
C_FILES := $(sort $(wildcard $(foreach d,format quant convert verify gpu bin tests tests/*,$d/*.c $d/*.h $d/*.cu $d/*.cuh)))

lint: ## format, clang-tidy, cppcheck, shellcheck, mandoc, include law, and more
	@CC='$(CC)' CFLAGS='$(LANGUAGE) $(WARNINGS) $(PKG_FLAGS) $(CUDA_FLAGS)' tests/lint.sh

format: ## let clang-format lay out all C files
	clang-format -i $(C_FILES)

format-check: ## name the places that `make format` would change
	@clang-format --dry-run --Werror $(C_FILES)

# ---- manual, completions, installation -------------------------------------------------------------------------
COMMANDS := convert verify inspect unpack diff export tokenize devices bench help

man: $(BIN) ## write spec/man/*.1 from the option table
	@mkdir -p spec/man
	$(BIN) help --man >spec/man/octavo.1
	for c in $(COMMANDS); do $(BIN) help --man $$c >spec/man/octavo-$$c.1 || exit 1; done

completion: $(BIN) ## write build/completion/ for bash, zsh and fish
	@mkdir -p build/completion
	$(Q)for s in bash zsh fish; do $(BIN) help --completion $$s >build/completion/octavo.$$s || exit 1; done

MAN_DIR  := $(DESTDIR)$(PREFIX)/share/man/man1
BASH_DIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_DIR  := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_DIR := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
PAGES    := $(sort $(wildcard spec/man/*.1))

install: $(BIN) completion ## install below $(DESTDIR)$(PREFIX), default /usr/local
	install -d $(DESTDIR)$(PREFIX)/bin $(MAN_DIR) $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR)
	install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/octavo
	install -m 644 $(PAGES) $(MAN_DIR)
	install -m 644 build/completion/octavo.bash $(BASH_DIR)/octavo
	install -m 644 build/completion/octavo.zsh $(ZSH_DIR)/_octavo
	install -m 644 build/completion/octavo.fish $(FISH_DIR)/octavo.fish

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/octavo $(PAGES:spec/man/%=$(MAN_DIR)/%)
	rm -f $(BASH_DIR)/octavo $(ZSH_DIR)/_octavo $(FISH_DIR)/octavo.fish

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile
