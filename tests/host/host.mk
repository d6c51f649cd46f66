# SPDX-License-Identifier: Apache-2.0
KEYS_PROBE_SRCS := tests/host/keys-probe.c $(HOSTTPM_SRCS) $(UNLOCK_SRCS) \
                   $(KMS_SRCS)
$(BUILD)/bin/keys-probe: $(KEYS_PROBE_SRCS:%.c=$(BUILD)/san/%.o)
	@mkdir -p $(@D)
	$(CC) $(SAN) $^ -o $@ -lssl -lcrypto
TEST_PROGRAMS += $(BUILD)/bin/keys-probe

UNIT_TESTS += unlock
unlock_UNIT_SRCS := $(HOSTTPM_SRCS) $(UNLOCK_SRCS) $(ENGINE_SRCS) \
	lib/tpm2/quote.c lib/channel.c lib/text.c tools/vtpmd/tpm_filter.c $(addprefix tools/vtpmctl/,policykey.c file.c)
unlock_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto -Wl,--wrap=nanosleep

UNIT_TESTS += poolshare
poolshare_UNIT_SRCS := $(unlock_UNIT_SRCS)
poolshare_UNIT_LIBS := $(ENGINE_LIBS) -lcrypto

UNIT_TESTS += wiped
wiped_UNIT_SRCS := $(UNLOCK_SRCS) lib/channel.c
wiped_UNIT_LIBS := -lcrypto $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc free crypt_hkdf EVP_MAC_init EVP_MAC_final \
	EVP_CipherInit_ex EVP_CipherUpdate EVP_CipherFinal_ex EVP_PKEY_derive RAND_priv_bytes)

PRELOADS := $(addprefix $(BUILD)/bin/,faultdisk.so stepclock.so)
TEST_PROGRAMS += $(PRELOADS)
$(PRELOADS): $(BUILD)/bin/%.so: tests/host/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@ -ldl

TEST_PROGRAMS += $(BUILD)/bin/fakexen.so
$(BUILD)/bin/fakexen.so: tests/host/fakexen.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@

TEST_PROGRAMS += $(BUILD)/bin/fakelibxl.so
$(BUILD)/bin/fakelibxl.so: tests/host/fakelibxl.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(filter-out -W%,$(CFLAGS)) -shared -fPIC $< -o $@

TEST_PROGRAMS += $(BUILD)/bin/faultcrypt.so
$(BUILD)/bin/faultcrypt.so: tests/host/faultcrypt.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@

ATTEST_FLIPS_SRCS := tests/host/attest-flips.c $(filter-out tools/vtpm-verify/main.c,$(VERIFY_SRCS))
$(BUILD)/bin/attest-flips: $(ATTEST_FLIPS_SRCS:%.c=$(BUILD)/obj/%.o)
	@mkdir -p $(@D)
	$(CC) $^ -o $@ $(VERIFY_LIBS)
TEST_PROGRAMS += $(BUILD)/bin/attest-flips

TEST_PROGRAMS += $(BUILD)/bin/crbxen.so
$(BUILD)/bin/crbxen.so: tests/attack/crbxen.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -D__XEN_TOOLS__ $(CFLAGS) -shared -fPIC $< -o $@

TEST_PROGRAMS += $(BUILD)/bin/fixeduuid.so
$(BUILD)/bin/fixeduuid.so: tests/attack/uuid.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@ -luuid

TEST_PROGRAMS += $(BUILD)/bin/steps.so
$(BUILD)/bin/steps.so: tests/attack/steps.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $< -o $@ -ldl

# For tests/host/thousand and tests/bench/density.
TEST_PROGRAMS += $(BUILD)/bin/lightmanager
LIGHTMANAGER_SRCS := tests/host/lightmanager.c $(CHANNEL_SRCS)
$(BUILD)/bin/lightmanager: $(LIGHTMANAGER_SRCS:%.c=$(BUILD)/obj/%.o)
	@mkdir -p $(@D)
	$(CC) $^ -o $@

# The only program of the machines of tests/long/qemu.
TEST_PROGRAMS += $(BUILD)/bin/firmware-init
$(BUILD)/bin/firmware-init: tests/host/firmware_init.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(filter-out $(HARDEN),$(CFLAGS)) -static $< -o $@
