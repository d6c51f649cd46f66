# SPDX-License-Identifier: Apache-2.0
# The stub domain's kernel, build/stubdom/vtpm-stubdom: a PVH ELF file that xl starts
# as kernel=, with the manager as ramdisk=.  Nothing is linked but our own objects.
STUB_DIR  := stubdom/kernel
STUB_SRCS := $(wildcard $(STUB_DIR)/*.c)
STUB_ASMS := $(wildcard $(STUB_DIR)/*.S)
STUB_ASMS := $(filter-out %.lds.S,$(STUB_ASMS))
STUB_OBJS := $(STUB_SRCS:%.c=$(BUILD)/obj/%.o) $(STUB_ASMS:%.S=$(BUILD)/obj/%.o)
STUB_LDS  := $(BUILD)/obj/$(STUB_DIR)/kernel.lds

# No vector registers: those are the program's, and are never saved.
STUB_CFLAGS := -std=gnu11 -O2 -g $(WARN) -include stdint.h \
	-D__XEN_INTERFACE_VERSION__=__XEN_LATEST_INTERFACE_VERSION__ -ffreestanding -fno-builtin -fno-pic -fno-pie \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-strict-aliasing \
	-fno-asynchronous-unwind-tables -fcf-protection=none -fno-common \
	-fno-omit-frame-pointer -fstack-protector-strong -mstack-protector-guard=global \
	-fno-delete-null-pointer-checks -fno-tree-loop-distribute-patterns \
	-ffunction-sections -fdata-sections

$(STUB_OBJS): CFLAGS := $(STUB_CFLAGS)

$(BUILD)/obj/$(STUB_DIR)/%.o: $(STUB_DIR)/%.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -I$(STUB_DIR) -fno-pic -MMD -MP -c $< -o $@

$(STUB_LDS): $(STUB_DIR)/kernel.lds.S $(STUB_DIR)/layout.h
	@mkdir -p $(@D)
	$(CC) -E -P -x assembler-with-cpp -I$(STUB_DIR) $< -o $@

PROGRAMS += $(BUILD)/stubdom/vtpm-stubdom
$(BUILD)/stubdom/vtpm-stubdom: $(STUB_OBJS) $(STUB_LDS)
	@mkdir -p $(@D)
	$(CC) -nostdlib -static -no-pie -Wl,-T,$(STUB_LDS) -Wl,--build-id=none \
		-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--gc-sections \
		$(STUB_OBJS) -o $@.debug
	objcopy --strip-debug $@.debug $@

INSTALL += install-stubdom
install-stubdom: $(BUILD)/stubdom/vtpm-stubdom
	install -D -m 0644 $< $(DESTDIR)$(PREFIX)/lib/xen-vtpm/vtpm-stubdom
.PHONY: install-stubdom

# The parts that are pure run on the host, too.
UNIT_TESTS += stub_poll stub_watch stub_region stub_elf stub_page stub_ring stub_print
stub_poll_UNIT_SRCS   := $(STUB_DIR)/poll.c
stub_watch_UNIT_SRCS  := $(STUB_DIR)/watch.c
stub_region_UNIT_SRCS := $(STUB_DIR)/region.c
stub_elf_UNIT_SRCS    := $(STUB_DIR)/elf.c
stub_page_UNIT_SRCS   := $(STUB_DIR)/page.c
stub_ring_UNIT_SRCS   := $(STUB_DIR)/ring.c
stub_print_UNIT_SRCS  := $(STUB_DIR)/print.c

FUZZ_TESTS += stub_memory stub_watch
stub_memory_FUZZ_SRCS := $(addprefix $(STUB_DIR)/,memory.c page.c region.c) lib/cursor.c
stub_watch_FUZZ_SRCS  := $(STUB_DIR)/watch.c lib/cursor.c
