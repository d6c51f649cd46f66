# SPDX-License-Identifier: Apache-2.0
# What the acceptance tests take into dom0 besides the product itself.
TEST_PROGRAMS += $(BUILD)/bin/wiretap.so
$(BUILD)/bin/wiretap.so: tests/system/wiretap/wiretap.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@ -ldl

# With it xl starts no guest that came.
TEST_PROGRAMS += $(BUILD)/bin/nounpause.so
$(BUILD)/bin/nounpause.so: tests/system/nounpause/nounpause.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@

# What runs in a stub domain to try its kernel out, and in dom0 as its vchan's client.
STUBPROBE_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/system/stubprobe/*.c)) \
		  $(BUILD)/obj/backend/xen.o
TEST_PROGRAMS += $(BUILD)/bin/stubprobe
$(BUILD)/bin/stubprobe: $(STUBPROBE_OBJS)
	@mkdir -p $(@D)
	$(CC) $(STATIC) $^ -o $@ -lxenvchan -lxenstore -lxengnttab -lxenevtchn \
		-lxentoollog -lxentoolcore

# A client of a TPM 1.2, for guests and for tests/host.
TPM12_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/system/tpm12/*.c)) \
	      $(BUILD)/obj/lib/cursor.o
TEST_PROGRAMS += $(BUILD)/bin/tpm12
$(BUILD)/bin/tpm12: $(TPM12_OBJS)
	@mkdir -p $(@D)
	$(CC) -static $^ -o $@ $(shell pkg-config --static --libs libcrypto)

# A hostile driver of an HVM guest's TPM; it runs in the guest.
TEST_PROGRAMS += $(BUILD)/bin/crb-fuzz
$(BUILD)/bin/crb-fuzz: $(BUILD)/obj/tests/system/crbfuzz/crbfuzz.o
	@mkdir -p $(@D)
	$(CC) -static $^ -o $@

# How long a guest stood still; it runs in the guest.
TEST_PROGRAMS += $(BUILD)/bin/gap
$(BUILD)/bin/gap: $(BUILD)/obj/tests/system/gap/gap.o
	@mkdir -p $(@D)
	$(CC) -static $^ -o $@

# A guest that is no operating system, to sleep: a boot sector, and 32-bit code behind it.
SLEEPER := tests/system/sleeper
TEST_PROGRAMS += $(BUILD)/bin/sleeper.img
$(BUILD)/bin/sleeper.img: $(addprefix $(SLEEPER)/,boot.S sleeper.c sleeper.lds)
	@mkdir -p $(@D)
	$(CC) -m32 -march=i686 -std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -nostdlib -static \
		-fno-pie -no-pie -fno-stack-protector -fcf-protection=none -mno-sse \
		-fno-asynchronous-unwind-tables -Wl,--build-id=none,-z,noexecstack,--no-warn-rwx-segments \
		-T $(SLEEPER)/sleeper.lds $(SLEEPER)/boot.S $(SLEEPER)/sleeper.c -o $@.elf
	objcopy -O binary -j .image $@.elf $@
