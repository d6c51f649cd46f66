# SPDX-License-Identifier: Apache-2.0
# The manual pages: what runs on a host, and what a guest has.
MAN_DIR   := $(DESTDIR)$(PREFIX)/share/man
MAN_GUEST := docs/man/xen-tpmfront.4
MAN_HOST  := $(filter-out $(MAN_GUEST),$(wildcard docs/man/*.[1-9]))

INSTALL += install-man install-man-guest
install-man: $(MAN_HOST:%=%.install)
install-man-guest: $(MAN_GUEST:%=%.install)
$(addsuffix .install,$(MAN_HOST) $(MAN_GUEST)): %.install: %
	install -D -m 0644 $< $(MAN_DIR)/man$(subst .,,$(suffix $<))/$(notdir $<)
.PHONY: install-man install-man-guest $(addsuffix .install,$(MAN_HOST) $(MAN_GUEST))
