# SPDX-License-Identifier: Apache-2.0
# The manager, build/bin/vtpm-manager: one static program, so that the stub domain's
# kernel can run it, linked from Debian's archives and small enough for 8 MiB.
# The client of the host's TPM and the key slots: vtpmctl recover has them too.
HOSTTPM_SRCS := stubdom/manager/hosttpm.c stubdom/manager/poolshare.c $(TPM2_SRCS) lib/tpm2/public.c lib/tpm2/policy.c lib/tpm2/duplicate.c
UNLOCK_SRCS := stubdom/manager/unlock.c stubdom/manager/unlock_config.c $(ENVELOPE_SRCS)

MANAGER_SRCS := $(wildcard stubdom/manager/*.c) $(MOVE_SRCS) lib/text.c lib/uuidtext.c lib/atomic.c lib/twin.c lib/channel.c lib/tpm2/quote.c $(HOSTTPM_SRCS) $(ENVELOPE_SRCS) lib/measure.c $(KMS_SRCS) \
                $(addprefix backend/,ring.c tpmif.c xen.c)
MANAGER_OBJS := $(sort $(MANAGER_SRCS:%.c=$(BUILD)/manager/%.o))
# What libssl itself needs is another thing in each Debian; asked when the recipe runs.
MANAGER_LIBS = -ltpms -lseccomp $(shell pkg-config --static --libs libssl libcrypto) -lxenvchan \
               -lxengnttab -lxenevtchn -lxentoolcore -lxentoollog -lxencall

$(BUILD)/manager/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Os -ffunction-sections -fdata-sections -MMD -MP -c $< -o $@

PROGRAMS += $(BUILD)/bin/vtpm-manager
$(BUILD)/bin/vtpm-manager: $(MANAGER_OBJS)
	@mkdir -p $(@D)
	$(CC) $(STATIC) $(ENGINE_WRAPS) -Wl,--gc-sections $^ -o $@.debug $(MANAGER_LIBS)
	strip $@.debug -o $@

# The same with sanitizers, for tests/host.
$(BUILD)/bin/vtpm-manager-san: $(sort $(MANAGER_SRCS:%.c=$(BUILD)/san/%.o))
	@mkdir -p $(@D)
	$(CC) $(SAN) $^ -o $@ $(ENGINE_LIBS) \
		$(filter-out -ltpms,$(MANAGER_LIBS))
TEST_PROGRAMS += $(BUILD)/bin/vtpm-manager-san

# libtpms behind six calls, which the linker leads past what libtpms has no option for.
ENGINE_SRCS := stubdom/manager/engine.c stubdom/manager/engine_aes.c
ENGINE_WRAPS := -Wl,--wrap=_plat__IsCanceled,--wrap=DAStartup,--wrap=AES_encrypt
ENGINE_LIBS := $(ENGINE_WRAPS) -Wl,-Bstatic -ltpms -Wl,-Bdynamic

UNIT_TESTS += control engine folder front plain lease xs
xs_UNIT_SRCS := stubdom/manager/xs.c
lease_UNIT_SRCS := stubdom/manager/lease.c
front_UNIT_SRCS := stubdom/manager/front.c
STATEBLOB_SRCS := stubdom/manager/stateblob.c lib/crypt.c lib/cursor.c lib/error.c
control_UNIT_SRCS := $(addprefix stubdom/manager/,control.c front.c socket.c) $(STATEBLOB_SRCS)
control_UNIT_LIBS := -lcrypto
FUZZ_TESTS += control stateblob
control_FUZZ_SRCS := $(control_UNIT_SRCS)
control_FUZZ_LIBS := -lcrypto
stateblob_FUZZ_SRCS := $(STATEBLOB_SRCS) stubdom/manager/swtpmkey.c lib/atomic.c
stateblob_FUZZ_LIBS := -lcrypto
UNIT_TESTS += stateblob sockspec
stateblob_UNIT_SRCS := $(stateblob_FUZZ_SRCS)
stateblob_UNIT_LIBS := -lcrypto
sockspec_UNIT_SRCS := stubdom/manager/sockspec.c lib/error.c
# folder.c itself is included by the test
folder_UNIT_SRCS := stubdom/manager/state.c lib/atomic.c lib/twin.c $(ENGINE_SRCS) $(ENVELOPE_SRCS)
folder_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
plain_UNIT_SRCS := $(addprefix stubdom/manager/,front.c socket.c) lib/cursor.c lib/error.c
plain_UNIT_LIBS := -Wl,--wrap=poll,--wrap=recv
engine_UNIT_SRCS := $(ENGINE_SRCS) stubdom/manager/state.c $(ENVELOPE_SRCS)
engine_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
UNIT_TESTS += firmware
firmware_UNIT_SRCS := $(ENGINE_SRCS) stubdom/manager/firmware.c $(TPM2_SRCS) lib/error.c
firmware_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
UNIT_TESTS += identity
identity_UNIT_SRCS := $(firmware_UNIT_SRCS) stubdom/manager/identity.c $(ENVELOPE_SRCS)
identity_UNIT_LIBS := $(ENGINE_LIBS) -Wl,--wrap=TPMLIB_GetVersion -lcrypto
UNIT_TESTS += certnv
certnv_UNIT_SRCS := $(firmware_UNIT_SRCS) stubdom/manager/certnv.c
certnv_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
UNIT_TESTS += firmware_clock
firmware_clock_UNIT_SRCS := $(firmware_UNIT_SRCS)
firmware_clock_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
UNIT_TESTS += firmware_banks
firmware_banks_UNIT_SRCS := $(firmware_UNIT_SRCS)
firmware_banks_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
UNIT_TESTS += firmware12
firmware12_UNIT_SRCS := $(firmware_UNIT_SRCS)
firmware12_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
UNIT_TESTS += engine_aes engine_kind
engine_aes_UNIT_SRCS := stubdom/manager/engine_aes.c
engine_aes_UNIT_LIBS := $(ENGINE_WRAPS) -lcrypto
engine_kind_UNIT_SRCS := $(ENGINE_SRCS) lib/cursor.c lib/error.c
engine_kind_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
EVENTLOG_SRCS := stubdom/manager/eventlog.c lib/measure.c lib/tpm2/marshal.c lib/crypt.c lib/cursor.c
UNIT_TESTS += eventlog vendor
eventlog_UNIT_SRCS := $(EVENTLOG_SRCS)
eventlog_UNIT_LIBS := -lcrypto
vendor_UNIT_SRCS := stubdom/manager/vendor.c $(EVENTLOG_SRCS)
vendor_UNIT_LIBS := -lcrypto
FUZZ_TESTS += vendor
vendor_FUZZ_SRCS := stubdom/manager/vendor.c $(EVENTLOG_SRCS)
vendor_FUZZ_LIBS := -lcrypto
UNIT_TESTS += launch
launch_UNIT_SRCS := $(sort $(firmware_UNIT_SRCS) stubdom/manager/launch.c $(EVENTLOG_SRCS))
launch_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
UNIT_TESTS += attest
attest_UNIT_SRCS := $(sort $(launch_UNIT_SRCS) stubdom/manager/attest.c lib/text.c lib/tpm2/quote.c $(TPM2_PUBLIC_SRCS))
attest_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto
MOVEJUDGE_SRCS := $(sort stubdom/manager/movejudge.c $(MOVE_SRCS) $(TPM2_PUBLIC_SRCS) lib/tpm2/quote.c lib/jsonread.c lib/text.c lib/error.c)
UNIT_TESTS += movejudge
movejudge_UNIT_SRCS := $(MOVEJUDGE_SRCS)
movejudge_UNIT_LIBS := -lcrypto
UNIT_TESTS += pool
pool_UNIT_SRCS := lib/pool.c lib/tpm2/quote.c $(TPM2_PUBLIC_SRCS)
pool_UNIT_LIBS := -lcrypto
FUZZ_TESTS += movejudge move
movejudge_FUZZ_SRCS := $(MOVEJUDGE_SRCS)
movejudge_FUZZ_LIBS := -lcrypto
move_FUZZ_SRCS := $(MOVE_SRCS) $(TPM2_PUBLIC_SRCS) lib/tpm2/quote.c
move_FUZZ_LIBS := -lcrypto
MOVESEAL_SRCS := $(sort stubdom/manager/moveseal.c $(MOVE_SRCS) $(TPM2_PUBLIC_SRCS) lib/tpm2/quote.c lib/channel.c $(ENVELOPE_SRCS))
UNIT_TESTS += moveseal
moveseal_UNIT_SRCS := $(MOVESEAL_SRCS)
moveseal_UNIT_LIBS := -lcrypto
FUZZ_TESTS += moveseal
moveseal_FUZZ_SRCS := $(MOVESEAL_SRCS)
moveseal_FUZZ_LIBS := -lcrypto
UNIT_TESTS += rekey
rekey_UNIT_SRCS := $(addprefix stubdom/manager/,rekey.c state.c) \
                   $(addprefix tools/vtpmd/,store.c store_folder.c work.c) lib/atomic.c lib/twin.c $(ENVELOPE_SRCS)
rekey_UNIT_LIBS := -lcrypto -luuid -levent -lpthread \
	$(patsubst %,-Wl$(comma)--wrap=%,openat write pwrite fsync fdatasync renameat linkat unlinkat)
FUZZ_TESTS += slot
slot_FUZZ_SRCS := $(HOSTTPM_SRCS) $(UNLOCK_SRCS) $(KMS_SRCS)
slot_FUZZ_LIBS := -lssl -lcrypto

INSTALL += install-manager
install-manager: $(BUILD)/bin/vtpm-manager
	install -D -m 0755 $< $(DESTDIR)$(PREFIX)/lib/xen-vtpm/vtpm-manager
.PHONY: install-manager
-include $(MANAGER_OBJS:.o=.d)
