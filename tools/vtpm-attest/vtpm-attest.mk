# SPDX-License-Identifier: Apache-2.0
# What a guest asks its TPM for evidence with: build/bin/vtpm-attest.
ATTEST_TOOL_SRCS := tools/vtpm-attest/main.c $(addprefix lib/tpm2/,cmd.c marshal.c) lib/crypt.c lib/cursor.c lib/text.c lib/firmwarelog.c
ATTEST_TOOL_LIBS := -ltss2-rc -ltss2-tctildr -lcrypto

PROGRAMS += $(BUILD)/bin/vtpm-attest
$(BUILD)/bin/vtpm-attest: $(ATTEST_TOOL_SRCS:%.c=$(BUILD)/obj/%.o)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -o $@ $(ATTEST_TOOL_LIBS)

# The same with sanitizers, for tests/host.
TEST_PROGRAMS += $(BUILD)/bin/vtpm-attest-san
$(BUILD)/bin/vtpm-attest-san: $(ATTEST_TOOL_SRCS:%.c=$(BUILD)/san/%.o)
	@mkdir -p $(@D)
	$(CC) $(SAN) $^ -o $@ $(ATTEST_TOOL_LIBS)

INSTALL += install-attest
install-attest: $(BUILD)/bin/vtpm-attest
	install -D -m 0755 $< $(DESTDIR)$(PREFIX)/bin/vtpm-attest
.PHONY: install-attest
