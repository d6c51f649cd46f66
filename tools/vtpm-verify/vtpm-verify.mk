# SPDX-License-Identifier: Apache-2.0
# The verifier, build/bin/vtpm-verify: runs anywhere, shares no state with anything.
VERIFY_SRCS := $(wildcard tools/vtpm-verify/*.c) lib/tpm2/quote.c $(TPM2_PUBLIC_SRCS) \
               lib/text.c lib/binding.c
VERIFY_LIBS := -ljansson -lcrypto

PROGRAMS += $(BUILD)/bin/vtpm-verify
$(BUILD)/bin/vtpm-verify: $(VERIFY_SRCS:%.c=$(BUILD)/obj/%.o)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -o $@ $(VERIFY_LIBS)

# The same with sanitizers, for tests/host.
TEST_PROGRAMS += $(BUILD)/bin/vtpm-verify-san
$(BUILD)/bin/vtpm-verify-san: $(VERIFY_SRCS:%.c=$(BUILD)/san/%.o)
	@mkdir -p $(@D)
	$(CC) $(SAN) $^ -o $@ $(VERIFY_LIBS)

INSTALL += install-verify
install-verify: $(BUILD)/bin/vtpm-verify
	install -D -m 0755 $< $(DESTDIR)$(PREFIX)/bin/vtpm-verify
.PHONY: install-verify

VERIFY_PARTS := $(filter-out tools/vtpm-verify/main.c,$(VERIFY_SRCS))
UNIT_TESTS += verify_public verify_quote verify_signature verify_eventlog verify_evidence verify_policy verify_judge verify_firmware
FUZZ_TESTS += verify_public verify_quote verify_signature verify_eventlog verify_evidence
define verify_rule
verify_$(1)_UNIT_SRCS := $(VERIFY_PARTS)
verify_$(1)_UNIT_LIBS := $(VERIFY_LIBS)
verify_$(1)_FUZZ_SRCS := $(VERIFY_PARTS)
verify_$(1)_FUZZ_LIBS := $(VERIFY_LIBS)
endef
$(foreach p,public quote signature eventlog evidence policy judge firmware,$(eval $(call verify_rule,$(p))))
