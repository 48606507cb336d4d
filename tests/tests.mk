# Tests and benchmarks: included by the Makefile.

UNIT_SRC  := $(filter-out $(if $(CUDA_FOUND),,tests/unit/gpu/test_gpu_%),$(sort $(wildcard tests/unit/*/test_*.c)))
FUZZ_SRC  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/bench_*.c))

AID_OBJ   := $(patsubst %.c,$(OBJ)/%.o,$(sort $(wildcard tests/aid/*.c))) $(GPU_AID)
UNIT_BIN  := $(UNIT_SRC:%.c=$(OBJ)/%)
UNIT_RUN  := $(patsubst %.c,$(OBJ)/%,$(filter $(UNIT_SRC),$(wildcard $(if $(UNIT),$(UNIT:%=tests/unit/*/test_%.c),$(UNIT_SRC)))))
FUZZ_BIN  := $(FUZZ_SRC:%.c=$(OBJ)/%)
FUZZ_RUN  := $(patsubst %.c,build/fuzz/%,$(filter $(FUZZ_SRC),$(wildcard $(if $(FUZZ),$(FUZZ:%=tests/fuzz/fuzz_%.c),$(FUZZ_SRC)))))
BENCH_BIN := $(BENCH_SRC:%.c=$(OBJ)/%)
# Under clang's libFuzzer (CONFIG=fuzz) a target fuzzes; elsewhere the driver replays the files it is given.
FUZZ_MAIN := $(if $(filter fuzz,$(CONFIG)),,$(OBJ)/tests/fuzz/driver.o)
# Programs of tests/ take what they use from the archives of the Makefile and from here.
TEST_AID  := $(OBJ)/tests/libaid.a
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)
TEST_OBJ  := $(AID_OBJ) $(FUZZ_MAIN) $(UNIT_BIN:%=%.o) $(FUZZ_BIN:%=%.o) $(BENCH_BIN:%=%.o)

# ---- programs --------------------------------------------------------------------------------------------------
$(OBJ)/test-objects: FORCE
	$(call stamp,$(AID_OBJ))

$(TEST_AID): $(AID_OBJ) $(OBJ)/test-objects
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $(filter %.o,$^)

$(UNIT_BIN): %: %.o $(TEST_AID) $(COMMANDS) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(CHECK_LIBS) $(LIBS)

$(BENCH_BIN): %: %.o $(COMMANDS) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(FUZZ_BIN): %: %.o $(FUZZ_MAIN) $(TEST_AID) $(COMMANDS) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(LINK) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) -o $@ $^ $(LIBS)

# ---- tests -----------------------------------------------------------------------------------------------------
# A second make: quiet unless V=1, on all processors unless the caller said -j.
SUB = $(MAKE) $(if $(V),,-s) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
# What test programs find in their environment.
export ROOT     := $(CURDIR)
export TESTDATA := $(CURDIR)/tests/data
export BUILD    := $(CURDIR)/$(OBJ)
export OCTAVO   := $(CURDIR)/$(BIN)
export PYTHON
export CK_TIMEOUT_MULTIPLIER := $(if $(SAN)$(filter coverage,$(CONFIG)),20,4)
# The sandbox would keep gcov from writing its counts.
ifeq ($(CONFIG),coverage)
export OCTAVO_SANDBOX := off
endif
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
	+@$(SUB) test-unit && $(SUB) test-fuzz && $(SUB) test-python && $(SUB) test-compat && $(SUB) test-cli

test-programs: $(BIN) $(UNIT_BIN) $(FUZZ_BIN)

test-unit: $(UNIT_RUN) ## unit tests; UNIT='dtype js*' chooses
	@tests/run_unit.sh $(UNIT_RUN)

# Nothing is suppressed. Leaks that count are those of memory that nothing points to any more.
VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
test-valgrind: $(UNIT_RUN) ## install what is missing, run the unit tests under valgrind; UNIT='dtype js*' chooses
	@tests/setup.sh --valgrind
	@THIN=37 CK_TIMEOUT_MULTIPLIER=200 UNDER='$(VALGRIND)' tests/run_unit.sh $(UNIT_RUN)

test-fuzz: $(FUZZ_BIN) ## replay the stored inputs of every fuzz target
	@tests/run_fuzz.sh replay $(FUZZ_BIN)

test-cli: $(BIN) ## command line tests; CLI='convert/* help/text' chooses
	@set -f; tests/run_cli.sh $(CLI)

test-python: $(BIN) ## Python's reader, quantizer and writer agree with octavo; hostile files; the checkpoint maker
	@tests/interop/run_plain.sh
	@tests/hostile/run.sh
	@$(PYTHON) tests/test_make_checkpoint.py >$(OBJ)/maker.log 2>&1 || { cat $(OBJ)/maker.log; exit 1; }
	@sed -n 's/^Ran \([0-9]* tests\).*/maker: \1 passed/p' $(OBJ)/maker.log

test-compat: $(BIN) ## checkpoints of every kind, exported for every runtime; CASE='fp8-* moe' chooses
	@set -f; tests/compat/run.sh $(CASE)

test-interop: $(BIN) $(OBJ)/tests/unit/format/test_safetensors_write ## compare with ml_dtypes, safetensors, tokenizers in a venv
	@tests/interop/run.sh

test-builds: $(BIN) ## gcc and clang, -O0 and -O3 make the same packed files
	@tests/same_builds.sh

test-aarch64: $(BIN) ## install what is missing, cross-build for AArch64, compare what that writes under qemu
	@tests/setup.sh --aarch64
	@tests/same_machines.sh

test-scale: $(BIN) ## convert and verify more than 8 GB, compare memory; by hand, needs 30 GB of disk
	@tests/scale.sh

fuzz: ## build the fuzz targets with clang's libFuzzer
	+@$(SUB) CONFIG=fuzz CC=clang SAN=address,undefined,fuzzer-no-link fuzz-programs

fuzz-programs: $(FUZZ_BIN)

fuzz-run: fuzz ## fuzz every target for T=60 seconds; FUZZ='pack j*' chooses
	@tests/run_fuzz.sh $(T) $(FUZZ_RUN)

fault: $(BIN) $(OBJ)/tests/fault/shim.so count ## everything that can fail fails in turn; prints a table; CLASS='kill memory' chooses
	@OCTAVO=$(abspath $(BIN)) SHIM=$(abspath $(OBJ))/tests/fault/shim.so COUNTED=$(abspath build/count/octavo) \
	    $(PYTHON) tests/fault/run.py $(CLASS)

gate: $(BIN) ## verify --forward finds every planted fault and gives no false alarm; prints tables; GATE='faults rounding' chooses; by hand
	@for what in $(or $(GATE),faults rounding alarms); do $(PYTHON) tests/gate/gate.py $$what || exit 1; done

mutate: ## remove each check of the reader in turn; prints those that no test misses; FILE='format/pack/pack_record.c' chooses
	@$(PYTHON) tests/fault/mutate.py --quick $(FILE)

$(OBJ)/tests/fault/shim.so: tests/fault/shim.c
	$(Q)mkdir -p $(@D) && $(CC) -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o $@ $<

# What is counted, and what is not: spec/reliability.md section 12.
COUNTING = CONFIG=coverage CUDA=0 CFLAGS='-O1 -fno-early-inlining -g --coverage' CPPFLAGS=-DNDEBUG THIN=8

coverage: ## which lines and branches the tests reach, by room; FILES=1 lists the files as well; by hand
	@tests/setup.sh --coverage
	+@$(SUB) $(COUNTING) test-programs
	@find build/coverage -name '*.gcda' -delete
	+-@CLI_TIMEOUT=1800 $(MAKE) -s -k -j1 $(COUNTING) test-unit test-fuzz test-python test-compat test-cli CLI='[!ls]*/*'
	@BUILD=build/coverage tests/coverage/table.sh

coverage-more: ## the same of single tests, added to what was counted before: UNIT='json*', CLI='diff/*'
	+@$(SUB) $(COUNTING) $(if $(UNIT),test-unit) $(if $(CLI),test-cli)
	@BUILD=build/coverage tests/coverage/table.sh

ifeq ($(CONFIG),coverage)
$(BIN): $(OBJ)/tests/coverage/raise.o
endif

# A program that counts its own steps (tests/fault/count.c): for the class `worst`.
COUNT_SO := build/count/tests/fault/count.so

count: $(COUNT_SO) ## build build/count/octavo, which counts its steps, for make fault CLASS=worst
	+@$(SUB) CONFIG=count CUDA=0 CFLAGS='-O1 -fsanitize-coverage=trace-pc' LDLIBS='$(abspath $(COUNT_SO))' all

$(COUNT_SO): tests/fault/count.c
	$(Q)mkdir -p $(@D) && $(CC) -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o $@ $<

bench: $(BIN) $(BENCH_BIN) ## measure speeds and print them
	@tests/bench/run.sh $(OBJ)/tests/bench

