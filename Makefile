# SPDX-License-Identifier: Apache-2.0
# xen-vtpm: a TPM 2.0 for every Xen guest.  `make help` lists what an operator
# and a developer run.  Every part brings its own fragment, NAME/NAME.mk, which
# adds to the lists below and touches nothing outside its folder.

BUILD   := build
CC      := gcc
CLANG   := clang
PREFIX  ?= /usr
DESTDIR ?=

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wvla -Wformat=2 -Wno-unused-parameter -Werror
CPPFLAGS := -D_GNU_SOURCE -Iinclude -I.
HARDEN   := -fPIE -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=3
CFLAGS   := -std=gnu11 -O2 -g $(WARN) $(HARDEN)
LDFLAGS  := -pie -Wl,-z,relro,-z,now,-z,noexecstack
# For a static program; its relocations are packed, which in 8 MiB is worth it.
STATIC   := -static-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,pack-relative-relocs,--no-eh-frame-hdr
# What the sanitizers check the checked functions of glibc would hide.
SAN      := -fsanitize=address,undefined -fno-sanitize-recover=all \
            -fno-omit-frame-pointer -U_FORTIFY_SOURCE

# Lists that the fragments add to:
#   PROGRAMS    what `make` builds           UNIT_TESTS  names of cmocka units
#   FUZZ_TESTS  names of libFuzzer targets   INSTALL     extra install targets
#   TEST_PROGRAMS  what tests and bench run besides
# For a unit N:   N_UNIT_SRCS (besides tests/unit/N_test.c), N_UNIT_LIBS; N_UNIT_STEPS: unit.mk
# For a fuzzer N: N_FUZZ_SRCS (besides tests/fuzz/N_fuzz.c), N_FUZZ_LIBS;
#                 corpus in tests/fuzz/corpus/N/
PROGRAMS   :=
TEST_PROGRAMS :=
UNIT_TESTS :=
FUZZ_TESTS :=
INSTALL    :=

all:

include lib/lib.mk
include $(wildcard stubdom/*/*.mk backend/*.mk frontend/*.mk frontend/*/*.mk tools/*/*.mk)
include docs/man/man.mk
include $(wildcard firmware/*.mk)
include $(wildcard tests/*/*.mk)

all: $(PROGRAMS)
test-programs: $(TEST_PROGRAMS)

# Objects: build/obj/PATH.o; sanitized ones: build/san/PATH.o; those whose steps are counted:
# build/steps/PATH.o
$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/san/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -O1 -MMD -MP -c $< -o $@

$(BUILD)/steps/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -O1 -fsanitize-coverage=trace-pc -MMD -MP -c $< -o $@

$(BUILD)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) $(CFLAGS) $(SAN) -O1 -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

# What each target needs is installed first, once, from Debian.
deps: $(BUILD)/.deps
$(BUILD)/.deps: tools/install-deps.sh
	@mkdir -p $(BUILD)
	sh tools/install-deps.sh
	@touch $@

check: deps
	+@tests/run

check-long: deps
	+@tests/run --long

demo: deps
	+@$(MAKE) --no-print-directory all test-programs
	@tests/system/demo

bench: deps
	+@$(MAKE) --no-print-directory all test-programs $(BUILD)/bin/unit/vtpmd_xen
	@tests/bench/run

fuzz: deps
	+@tests/fuzz/run --forever

style:
	@clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h')

install: all $(INSTALL)

deb: deps
	@tools/build-deb.sh

# Apart: it downloads sources and takes ten minutes, and `make deb` does neither.
deb-firmware: deps
	+@$(MAKE) --no-print-directory firmware firmware-ovmf
	@tools/build-deb-firmware.sh

clean:
	rm -rf $(BUILD)/obj $(BUILD)/san $(BUILD)/steps $(BUILD)/fuzz $(BUILD)/bin

help:
	@echo 'make demo     build everything, boot a virtual Xen host, do the main job in it'
	@echo 'make check    all tests; needs root and network for Debian packages'
	@echo 'make check-long  those, and the ones that take hours'
	@echo 'make bench    the figures, beside their peers; writes build/bench.json'
	@echo 'make fuzz     the fuzzers, without limit'
	@echo 'make prove    that the code on the way of a hostile byte has no run-time error'
	@echo 'make prove-record  the same, and writes down what is proved, for make check'
	@echo 'make prove-mutants  that faults put into it are not proved'
	@echo 'make install  the programs, the stub domain image and the units (DESTDIR, PREFIX)'
	@echo 'make deb      Debian packages, in build/deb'
	@echo 'make firmware  firmware for HVM guests that measures, from Debian sources; needs network'
	@echo 'make firmware-ovmf  the same with UEFI: ten minutes'
	@echo 'make firmware-ovmf-enrolled  the same with keys: Secure Boot is on'
	@echo 'make deb-firmware  Debian packages of both, in build/deb-firmware'
	@echo 'make style    check the layout of the sources'

.PHONY: all test-programs deps check check-long demo bench fuzz style install deb deb-firmware clean help
-include $(shell find $(addprefix $(BUILD)/,obj san steps fuzz) -name '*.d' 2>/dev/null)
