# SPDX-License-Identifier: Apache-2.0
# The stub domain's kernel for a machine without Xen: the product's objects, with
# tests/smap/xen.c in place of Xen, loaded above what QEMU's firmware uses.
SMAP_DIR   := $(BUILD)/smap
SMAP_OBJS  := $(filter-out %/hypercall.o,$(STUB_OBJS)) $(BUILD)/obj/tests/smap/xen.o
SMAP_LDS   := $(SMAP_DIR)/kernel.lds
SMAP_WRAPS := -Wl,--wrap=map_fixed,--wrap=file_close_all,--wrap=syscall_entry,--wrap=trap_exception

$(BUILD)/obj/tests/smap/xen.o: CFLAGS := $(STUB_CFLAGS)

# Mutants, each the product's source with one thing left out; the suite has to see it:
# copies do not lift SMAP; exceptions, and system calls, leave the program's AC set.
$(SMAP_DIR)/nostac.S: $(STUB_DIR)/copy.S
	@mkdir -p $(@D)
	sed 's/\<stac\>/nop/' $< >$@
$(SMAP_DIR)/noclac.S: $(STUB_DIR)/entry.S
	@mkdir -p $(@D)
	sed 's/\<clac\>/nop/' $< >$@
$(SMAP_DIR)/nomask.c: $(STUB_DIR)/cpu.c
	@mkdir -p $(@D)
	sed 's/X86_MSR_FMASK, X86_FLAGS_SYSCALL/X86_MSR_FMASK, 0/' $< >$@
$(SMAP_DIR)/%.o: $(SMAP_DIR)/%.S
	$(CC) $(CPPFLAGS) -I$(STUB_DIR) -fno-pic -c $< -o $@
$(SMAP_DIR)/%.o: $(SMAP_DIR)/%.c
	$(CC) $(CPPFLAGS) $(STUB_CFLAGS) -c $< -o $@

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
$(eval $(call smap_kernel,kernel-nostac,$(filter-out %/copy.o,$(SMAP_OBJS)) $(SMAP_DIR)/nostac.o))
$(eval $(call smap_kernel,kernel-noclac,$(filter-out %/entry.o,$(SMAP_OBJS)) $(SMAP_DIR)/noclac.o))
$(eval $(call smap_kernel,kernel-nomask,$(filter-out %/cpu.o,$(SMAP_OBJS)) $(SMAP_DIR)/nomask.o))

# Random system calls; without a C library, which they would break.
$(SMAP_DIR)/chaos: tests/smap/chaos.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 -O2 $(WARN) -ffreestanding -fno-stack-protector -fno-pie \
		-no-pie -nostdlib -static -Wl,-z,noexecstack $< -o $@

TEST_PROGRAMS += $(addprefix $(SMAP_DIR)/,kernel kernel-nostac kernel-noclac kernel-nomask chaos)
