# SPDX-License-Identifier: Apache-2.0
# What an operator types: build/bin/vtpmctl.
VTPMCTL_SRCS := $(wildcard tools/vtpmctl/*.c) $(KMS_SRCS)
VTPMCTL_LIBS := -ltss2-esys -ltss2-mu -ltss2-rc -ltss2-tctildr -ljansson -lssl -lcrypto

PROGRAMS += $(BUILD)/bin/vtpmctl
$(BUILD)/bin/vtpmctl: $(sort $(VTPMCTL_SRCS:%.c=$(BUILD)/obj/%.o))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -o $@ $(VTPMCTL_LIBS)

INSTALL += install-vtpmctl
install-vtpmctl: $(BUILD)/bin/vtpmctl
	install -D -m 0755 $< $(DESTDIR)$(PREFIX)/sbin/vtpmctl
.PHONY: install-vtpmctl
