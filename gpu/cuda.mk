# CUDA in the build: included by the Makefile.
#
# Kernels (*.cu) are compiled by nvcc, for all devices that they are to run on, and embedded in the program as data;
# everything else is C. CUDA=0 builds without CUDA, CUDA=1 requires it, CUDA=auto uses it if nvcc of CUDA 12.8 or later is
# found, with the runtime for the machine that CC compiles for. The runtime is linked statically, so that the program also
# runs where there is no driver.
CUDA ?= auto
NVCC ?= $(or $(shell command -v nvcc 2>/dev/null),$(wildcard /usr/local/cuda/bin/nvcc))

CUDA_HOME  ?= $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
# When cross-compiling: the toolkit's part for the target machine. NVIDIA calls AArch64 sbsa.
CUDA_PART  := $(CUDA_HOME)$(if $(NATIVE),,/targets/$(if $(filter aarch64-%,$(MACHINE)),sbsa,none)-linux)
# "yes" or empty.
CUDA_FOUND := $(if $(filter-out 0,$(CUDA)),$(if $(NVCC),$(shell $(NVCC) --version 2>/dev/null | \
    sed -n 's/.*release \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | awk '$$1 * 100 + $$2 >= 1208 { print "yes" }')))
ifeq ($(NATIVE)$(wildcard $(CUDA_PART)/lib/libcudart_static.a),)
CUDA_FOUND :=
endif
ifeq ($(CUDA)$(CUDA_FOUND),1)
$(error CUDA=1 needs nvcc of CUDA 12.8 or later, on the PATH or NVCC=FILE, and its runtime for $(MACHINE))
endif

ifneq ($(CUDA_FOUND),)
CUDA_FLAGS := -isystem $(CUDA_PART)/include
CUDA_LIBS  := -L$(CUDA_PART)/lib$(if $(NATIVE),64) -lcudart_static -lrt -ldl
GPU_SRC    := $(filter-out gpu/none.c,$(call sources,gpu))
GPU_OBJ    := $(OBJ)/gpu/quantize/kernels_image.o
GPU_AID    := $(OBJ)/tests/aid/oracle_image.o
else
GPU_SRC    := gpu/none.c
endif

# Machine code for the compute capabilities of GPU_REAL; for all others from GPU_VIRTUAL on (11.0, and future ones) PTX,
# which their driver compiles. The lowest one decides which devices are usable: gpu/device/device.c.
GPU_REAL     := 80 89 90 100 120
GPU_VIRTUAL  := 100
GPU_CODE     := $(foreach a,$(GPU_REAL),-gencode arch=compute_$a,code=sm_$a) \
    $(foreach a,$(GPU_VIRTUAL),-gencode arch=compute_$a,code=compute_$a)
GPU_NUMERICS := -ftz=false -prec-div=true -prec-sqrt=true -fmad=false
COMPILE_GPU   = $(NVCC) -fatbin --compress-mode=size -std=c++17 -O3 -I. $(GPU_CODE) $(GPU_NUMERICS) \
    $(if $(WERROR),-Werror all-warnings)

# Private: otherwise the prerequisites that these objects share with all others would inherit it.
$(OBJ)/gpu/%.o $(OBJ)/tests/unit/gpu/test_%.o: private DEFINES := $(CUDA_FLAGS)

# This test presents one device as two.
$(OBJ)/tests/unit/gpu/test_gpu_pair: private LDFLAGS += -Wl,--wrap=device_find_all,--wrap=cudaSetDevice

# Kernels are the same in all configurations: built once.
FATBIN := build/fatbin
$(FATBIN)/flags: FORCE
	$(call stamp,$(COMPILE_GPU))

$(FATBIN)/%.fatbin: %.cu $(FATBIN)/flags
	$(call say,NVCC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE_GPU) -MD -MP -MF $(@:.fatbin=.d) -MT $@ -o $@ $<

# EMBED_RULE,OBJECT,NAME,FATBIN: an object that holds the kernels as a symbol of that name.
define EMBED_RULE
$(1): gpu/quantize/kernels.S $(3)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -c -DNAME=$(2) -DIMAGE='"$(3)"' -o $$@ $$<
endef
$(if $(CUDA_FOUND),$(eval $(call EMBED_RULE,$(GPU_OBJ),kernels_image,$(FATBIN)/gpu/quantize/quantize.fatbin)))
$(if $(CUDA_FOUND),$(eval $(call EMBED_RULE,$(GPU_AID),oracle_image,$(FATBIN)/tests/aid/gpu_oracle.fatbin)))

-include $(FATBIN)/gpu/quantize/quantize.d $(FATBIN)/tests/aid/gpu_oracle.d
