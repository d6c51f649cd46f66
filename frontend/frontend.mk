# SPDX-License-Identifier: GPL-2.0-only
# The guest's module.  Built in a copy: Kbuild writes next to its sources, and
# everything generated belongs below build/.
FRONT_FILES := front.c front.h chip.c chip.h eventlog.c eventlog.h ring.c ring.h packet.c packet.h \
               compat.h Kbuild Makefile dkms.conf
FRONT_BUILD := $(BUILD)/frontend
FRONT_VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"$$/\1/p' frontend/dkms.conf)
FRONT_SRC := $(DESTDIR)/usr/src/xen-vtpm-frontend-$(FRONT_VERSION)
# Asked when the recipe runs: `make deps` may only just have installed them.
# KDIR=... names another kernel's.
FRONT_KDIR = $(or $(KDIR),$(shell ls -d /usr/src/linux-headers-6.*-amd64 2>/dev/null | \
               sort -V | tail -n 1))

PROGRAMS += $(FRONT_BUILD)/xen-tpmfront.ko
# The checks of what a backend says are pure code, and attacked in user space.
UNIT_TESTS += front_packet
front_packet_UNIT_SRCS := frontend/packet.c

$(FRONT_BUILD)/xen-tpmfront.ko: $(addprefix frontend/,$(FRONT_FILES))
	@test -n "$(FRONT_KDIR)" || { echo "no kernel headers for the guest's module;" \
		"install linux-headers-amd64"; exit 1; }
	@mkdir -p $(@D)
	cp -p $^ $(@D)
	+@$(MAKE) --no-print-directory -C $(FRONT_KDIR) M=$(abspath $(@D)) \
		CC=$(CC) modules

# In the guest, or into an image of one (DESTDIR): then `dkms install
# xen-vtpm-frontend/VERSION` and `update-initramfs -u` or `dracut -f`.
install-guest:
	install -d $(FRONT_SRC) $(DESTDIR)/usr/share/initramfs-tools/hooks \
		$(DESTDIR)/usr/lib/dracut/dracut.conf.d
	install -m 644 $(addprefix frontend/,$(FRONT_FILES)) $(FRONT_SRC)
	install -m 755 frontend/initramfs-hook \
		$(DESTDIR)/usr/share/initramfs-tools/hooks/xen-tpmfront
	install -m 644 frontend/dracut.conf \
		$(DESTDIR)/usr/lib/dracut/dracut.conf.d/50-xen-vtpm.conf

.PHONY: install-guest
