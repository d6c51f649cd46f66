# SPDX-License-Identifier: Apache-2.0
# The stub domain's kernel for a machine without Xen: the product's objects, with
# tests/smap/xen.c in place of Xen, loaded above what QEMU's firmware uses.
SMAP_DIR   := $(BUILD)/smap
SMAP_OBJS  := $(filter-out %/hypercall.o,$(STUB_OBJS)) $(BUILD)/obj/tests/smap/xen.o
SMAP_LDS   := $(SMAP_DIR)/kernel.lds
SMAP_WRAPS := -Wl,--wrap=map_fixed,--wrap=file_close_all

$(BUILD)/obj/tests/smap/xen.o: CFLAGS := $(STUB_CFLAGS)
$(BUILD)/obj/tests/smap/nostac.o: tests/smap/nostac.S
	@mkdir -p $(@D)
	$(CC) -c $< -o $@

$(SMAP_LDS): $(STUB_DIR)/kernel.lds.S $(STUB_DIR)/layout.h
	@mkdir -p $(@D)
	$(CC) -E -P -x assembler-with-cpp -DLOAD_ADDRESS=0x100000 -I$(STUB_DIR) $< -o $@

define smap_kernel
$(SMAP_DIR)/$(1): $(2) $(SMAP_LDS)
	$$(CC) -nostdlib -static -no-pie -Wl,-T,$(SMAP_LDS) -Wl,--build-id=none \
		-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--gc-sections \
		$(SMAP_WRAPS) $(2) -o $$@
endef
$(eval $(call smap_kernel,kernel,$(SMAP_OBJS)))
$(eval $(call smap_kernel,kernel-nostac,$(filter-out %/copy.o,$(SMAP_OBJS)) $(BUILD)/obj/tests/smap/nostac.o))

# Random system calls; without a C library, which they would break.
$(SMAP_DIR)/chaos: tests/smap/chaos.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 -O2 $(WARN) -ffreestanding -fno-stack-protector -fno-pie \
		-no-pie -nostdlib -static -Wl,-z,noexecstack $< -o $@

TEST_PROGRAMS += $(addprefix $(SMAP_DIR)/,kernel kernel-nostac chaos)
