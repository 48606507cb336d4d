# octavo: one Makefile for the whole tree. `make help` lists the targets.
#
# CONFIG names a build: objects go to build/CONFIG/, and every config but `release` keeps its octavo there too.
# CUDA=0 leaves CUDA out, CUDA=1 insists on it, CUDA=auto takes it where nvcc is.
# SAN=address,undefined or SAN=thread chooses a config of its own. Any other mixture wants a name:
#     make CONFIG=clang CC=clang          gives build/clang/octavo
# CC, AR and PKG_CONFIG name the tools. A compiler for another machine brings its own of the others, where they are:
#     make CONFIG=aarch64 CC=aarch64-linux-gnu-gcc
#     make CONFIG=aarch64-clang CC='clang --target=aarch64-linux-gnu'
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

# The prefix of a cross compiler, as in aarch64-linux-gnu-gcc-12 or --target=aarch64-linux-gnu, if its tools are there.
CROSS     := $(shell printf '%s\n' '$(CC)' | \
    sed -nE 's/.*--target=([^ ]+).*/\1-/p; t; s/.*[^ ]* //; s/^(.+-)(gcc|cc|clang)(-[0-9.]+)?$$/\1/p')
cross_tool = $(or $(if $(CROSS),$(shell command -v $(CROSS)$(1) 2>/dev/null)),$(1))
ifeq ($(origin AR),default)
AR := $(call cross_tool,ar)
endif
PKG_CONFIG ?= $(call cross_tool,pkg-config)
# What the compiler compiles for: x86_64-linux-gnu, aarch64-unknown-linux-gnu.
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
NATIVE  := $(filter $(shell uname -m)-%,$(MACHINE))

OBJ := build/$(CONFIG)
BIN := $(if $(filter release,$(CONFIG)),build,$(OBJ))/octavo

# ---- flags -----------------------------------------------------------------------------------------------------
PACKAGES  := jansson libarchive libxxhash nettle libpcre2-8 libutf8proc zlib
PKG_FOUND := $(shell $(PKG_CONFIG) --exists $(PACKAGES) 2>/dev/null && echo yes)
PKG_FLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS  := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)

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

# Rooms hold folders, folders hold files; no folder holds another.
ROOMS    := format quant convert verify gpu bin
sources   = $(sort $(foreach r,$(1),$(wildcard $r/*.c $r/*/*.c)))

include gpu/cuda.mk

# ---- sources ---------------------------------------------------------------------------------------------------
# A levelled source is a template: compiled once for each instruction level, with KERNEL_LEVEL in its names.
LEVELLED := $(filter %_kernel.c,$(call sources,quant verify))
LEVELS   := baseline $(if $(filter x86_64%,$(MACHINE)),v3 v4)
ARCH_v3  := -march=x86-64-v3
ARCH_v4  := -march=x86-64-v4 -mprefer-vector-width=512

LIB_SRC   := $(filter-out $(LEVELLED),$(call sources,format quant convert verify) $(GPU_SRC))
BIN_SRC   := $(call sources,bin)

LIB_OBJ   := $(LIB_SRC:%.c=$(OBJ)/%.o) $(GPU_OBJ) $(foreach l,$(LEVELS),$(LEVELLED:%.c=$(OBJ)/%.$l.o))
BIN_OBJ   := $(BIN_SRC:%.c=$(OBJ)/%.o)
# What is below bin/, and what tests of a file of bin/ take from it: they bring a main of their own.
LIBRARY   := $(OBJ)/liboctavo.a
COMMANDS  := $(OBJ)/commands.a

# ---- rules -----------------------------------------------------------------------------------------------------
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
.PHONY: FORCE all demo test test-programs test-unit test-fuzz test-cli test-python test-interop test-scale test-builds \
    test-aarch64 test-valgrind fault mutate count coverage coverage-more fuzz fuzz-programs fuzz-run bench lint lint-all format \
    format-check man completion install uninstall clean help

Q   := $(if $(V),,@)
# $(call say,WHAT,FILE): the short form of a command, unless V=1 shows it or `make -s` wants silence.
say  = $(if $(or $(V),$(findstring s,$(firstword -$(MAKEFLAGS)))),@:,@printf '  %-5s %s\n' '$(1)' '$(2)')
# $(call stamp,TEXT): the file holds TEXT and is younger than what depends on it only if TEXT changed.
quote = '$(subst ','\'',$(1))'
stamp = @mkdir -p $(@D); printf '%s\n' $(call quote,$(1)) | cmp -s - $@ || printf '%s\n' $(call quote,$(1)) >$@

all: $(BIN) ## build build/octavo (the default)

$(OBJ)/flags: FORCE
	$(if $(PKG_FOUND),,$(if $(NATIVE),@tests/setup.sh --check,$(error $(PKG_CONFIG) does not find all of: $(PACKAGES))))
	$(call stamp,$(COMPILE) | $(LINK) $(LIBS))

$(OBJ)/objects: FORCE
	$(call stamp,$(LIB_OBJ) | $(BIN_OBJ))

GIT_ID := $(or $(shell git describe --always --dirty 2>/dev/null),unknown)
$(OBJ)/git-id: FORCE
	$(call stamp,$(VERSION) $(GIT_ID))

$(OBJ)/bin/cli/version.o: $(OBJ)/git-id
$(OBJ)/bin/cli/version.o: private DEFINES := -DOCTAVO_VERSION='"$(VERSION)"' -DOCTAVO_GIT='"$(GIT_ID)"'

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

$(LIBRARY): $(LIB_OBJ)
$(COMMANDS): $(BIN_OBJ)
$(LIBRARY) $(COMMANDS): $(OBJ)/objects
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $(filter %.o,$^)

$(BIN): $(BIN_OBJ) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

include tests/tests.mk
include spec/man.mk

-include $(patsubst %,%.d,$(basename $(LIB_OBJ) $(BIN_OBJ) $(TEST_OBJ)))

# ---- source text -----------------------------------------------------------------------------------------------
C_FILES := $(sort $(wildcard $(foreach d,$(ROOMS) $(ROOMS:%=%/*) tests tests/* tests/unit/*,$d/*.c $d/*.h $d/*.cu $d/*.cuh)))

lint: ## format, clang-tidy of what changed, cppcheck, shellcheck, mandoc, include law...; CHECKS='shell names' chooses
	@CC='$(CC)' CFLAGS='$(LANGUAGE) $(WARNINGS) $(PKG_FLAGS) $(CUDA_FLAGS)' tests/lint.sh $(CHECKS)

lint-all: ## the same, clang-tidy of everything; names this commit in tests/lint_base, to be committed
	@$(MAKE) --no-print-directory lint CHECKS=--all

format: ## let clang-format lay out all C files
	@clang-format -i $(C_FILES)

format-check: ## name the places that `make format` would change
	@clang-format --dry-run --Werror $(C_FILES)

clean: ## remove build/
	$(call say,RM,build/)
	$(Q)rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
