# SPDX-License-Identifier: Apache-2.0
# The manual pages: what runs on a host, and what a guest has.
MAN_DIR   := $(DESTDIR)$(PREFIX)/share/man
MAN_GUEST := docs/man/xen-tpmfront.4
# Of the tools that a guest has, and of the verifier, which runs anywhere.
MAN_TOOLS := docs/man/vtpm-attest.1
MAN_VERIFY := docs/man/vtpm-verify.1
MAN_HOST  := $(filter-out $(MAN_GUEST) $(MAN_TOOLS) $(MAN_VERIFY),$(wildcard docs/man/*.[1-9]))

INSTALL += install-man install-man-guest install-man-tools install-man-verify
install-man: $(MAN_HOST:%=%.install)
install-man-guest: $(MAN_GUEST:%=%.install)
install-man-tools: $(MAN_TOOLS:%=%.install)
install-man-verify: $(MAN_VERIFY:%=%.install)
$(addsuffix .install,$(MAN_HOST) $(MAN_GUEST) $(MAN_TOOLS) $(MAN_VERIFY)): %.install: %
	install -D -m 0644 $< $(MAN_DIR)/man$(subst .,,$(suffix $<))/$(notdir $<)
.PHONY: install-man install-man-guest install-man-tools install-man-verify $(addsuffix .install,$(MAN_HOST) $(MAN_GUEST) $(MAN_TOOLS) $(MAN_VERIFY))
