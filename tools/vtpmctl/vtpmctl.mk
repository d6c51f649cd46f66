# SPDX-License-Identifier: Apache-2.0
# What an operator types: build/bin/vtpmctl.
VTPMCTL_SRCS := $(wildcard tools/vtpmctl/*.c) $(KMS_SRCS) lib/audit.c lib/tpm2/quote.c lib/text.c lib/uuidtext.c lib/measure.c lib/firmwarelog.c \
                $(addprefix tools/vtpmd/etcd/,etcd.c grpc.c proto.c where.c) \
                tools/vtpm-verify/eventlog.c stubdom/manager/stateblob.c stubdom/manager/swtpmkey.c lib/atomic.c \
                $(HOSTCONF_SRCS) $(MOVE_SRCS) lib/poolconf.c $(HOSTTPM_SRCS) $(UNLOCK_SRCS)
VTPMCTL_LIBS := -ltss2-esys -ltss2-mu -ltss2-rc -ltss2-tctildr -ljansson -levent -levent_extra -levent_openssl -lnghttp2 \
                -lssl -lcrypto -lxlutil -lxenlight -lxenctrl -lxenstore -lxentoollog -luuid

# The firmware that measures, by its SHA-256: of each build, whichever host made it.
VTPMCTL_MEASURING := $(wildcard firmware/*/sha256*)
$(BUILD)/measuring/tools/vtpmctl/measuring.h: $(VTPMCTL_MEASURING) tools/vtpmctl/vtpmctl.mk
	@mkdir -p $(@D)
	{ echo 'static const struct { const char *sha256, *bios; } measuring[] = {'; \
	  for f in $(VTPMCTL_MEASURING); do bios=$${f%/*}; \
	  sed -n "s/^\([0-9a-f]\{64\}\)$$/	{\"\1\", \"$${bios##*/}\"},/p" $$f; done; echo '};'; } >$@
$(BUILD)/obj/tools/vtpmctl/firmware.o $(BUILD)/san/tools/vtpmctl/firmware.o: CPPFLAGS += -I$(BUILD)/measuring
$(BUILD)/obj/tools/vtpmctl/firmware.o $(BUILD)/san/tools/vtpmctl/firmware.o: $(BUILD)/measuring/tools/vtpmctl/measuring.h

PROGRAMS += $(BUILD)/bin/vtpmctl
$(BUILD)/bin/vtpmctl: $(sort $(VTPMCTL_SRCS:%.c=$(BUILD)/obj/%.o))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -o $@ $(VTPMCTL_LIBS)

# The same with sanitizers, for tests/host.
$(BUILD)/bin/vtpmctl-san: $(sort $(VTPMCTL_SRCS:%.c=$(BUILD)/san/%.o))
	@mkdir -p $(@D)
	$(CC) $(SAN) $^ -o $@ $(VTPMCTL_LIBS)
TEST_PROGRAMS += $(BUILD)/bin/vtpmctl-san

INSTALL += install-vtpmctl
install-vtpmctl: $(BUILD)/bin/vtpmctl
	install -D -m 0755 $< $(DESTDIR)$(PREFIX)/sbin/vtpmctl
	install -D -m 0644 tools/vtpmctl/xen-vtpm-guest@.service \
		$(DESTDIR)/lib/systemd/system/xen-vtpm-guest@.service
	install -D -m 0755 tools/vtpmctl/xen-vtpm-auto \
		$(DESTDIR)/lib/systemd/system-generators/xen-vtpm-auto
	install -m 0644 tools/vtpmctl/xen-vtpm-guest-again@.service \
		tools/vtpmctl/xen-vtpm-backup.service tools/vtpmctl/xen-vtpm-backup.timer \
		tools/vtpmctl/xen-vtpm-migrate-receive.service \
		$(DESTDIR)/lib/systemd/system
	install -D -m 0644 tools/vtpmctl/completion.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/vtpmctl
	install -D -m 0644 tools/vtpmctl/apt-predict.conf \
		$(DESTDIR)$(PREFIX)/share/xen-vtpm/apt-predict.conf

VTPMCTL_DOC := $(DESTDIR)$(PREFIX)/share/doc/xen-vtpm
INSTALL += install-docs
install-docs:
	install -d $(VTPMCTL_DOC)/docs
	install -m 0644 README.md $(VTPMCTL_DOC)
	install -m 0644 docs/*.md $(VTPMCTL_DOC)/docs
	for f in $$(find ansible -type f); do \
		install -D -m 0644 $$f $(VTPMCTL_DOC)/examples/$$f || exit 1; done
	install -m 0755 tools/libvirt/hook $(VTPMCTL_DOC)/examples/libvirt-hook
.PHONY: install-vtpmctl install-docs

UNIT_TESTS += certfile
CERTFILE_SRCS := tools/vtpmctl/certfile.c tools/vtpmctl/x509.c lib/cursor.c lib/error.c lib/text.c
certfile_UNIT_SRCS := $(CERTFILE_SRCS)
certfile_UNIT_LIBS := -ljansson -lcrypto
FUZZ_TESTS += certfile
certfile_FUZZ_SRCS := $(CERTFILE_SRCS)
certfile_FUZZ_LIBS := -ljansson -lcrypto
UNIT_TESTS += latency vtpmctl_table
latency_UNIT_SRCS := stubdom/manager/vtpm_status.c tools/vtpmctl/table.c lib/channel.c lib/cursor.c
vtpmctl_table_UNIT_SRCS := tools/vtpmctl/table.c
vtpmctl_table_UNIT_LIBS := -ljansson
UNIT_TESTS += vtpmctl_args vtpmctl_kmsurl vtpmctl_approval hostconf
vtpmctl_args_UNIT_SRCS := tools/vtpmctl/args.c lib/error.c
UNIT_TESTS += memroom
memroom_UNIT_SRCS := tools/vtpmctl/memroom.c
UNIT_TESTS += linelimit
linelimit_UNIT_SRCS := tools/vtpmctl/linelimit.c lib/text.c
vtpmctl_kmsurl_UNIT_SRCS := tools/vtpmctl/kmsurl.c lib/text.c $(KMS_SRCS)
vtpmctl_kmsurl_UNIT_LIBS := -lssl -lcrypto
vtpmctl_approval_UNIT_SRCS := lib/tpm2/policy.c lib/tpm2/quote.c $(TPM2_PUBLIC_SRCS) tools/vtpmctl/policykey.c \
	tools/vtpmctl/file.c lib/text.c lib/error.c
vtpmctl_approval_UNIT_LIBS := -lcrypto
hostconf_UNIT_SRCS := $(HOSTCONF_SRCS) tools/vtpmctl/hostfile.c \
	$(vtpmctl_approval_UNIT_SRCS)
hostconf_UNIT_LIBS := -ljansson -lcrypto
latency_UNIT_LIBS := -ljansson
UNIT_TESTS += vtpmctl_firmware
vtpmctl_firmware_UNIT_SRCS := $(addprefix tools/vtpmctl/,firmware.c measure.c refusal.c) lib/measure.c lib/cursor.c \
	lib/text.c lib/crypt.c lib/tpm2/marshal.c
vtpmctl_firmware_UNIT_LIBS := -lxlutil -lcrypto

UNIT_TESTS += vtpmctl_predict
vtpmctl_predict_UNIT_SRCS := $(addprefix tools/vtpmctl/,predict.c pefile.c) tools/vtpm-verify/eventlog.c \
	lib/firmwarelog.c lib/measure.c lib/text.c lib/error.c lib/tpm2/quote.c $(TPM2_PUBLIC_SRCS)
vtpmctl_predict_UNIT_LIBS := -lcrypto
FUZZ_TESTS += pefile
pefile_FUZZ_SRCS := tools/vtpmctl/pefile.c lib/cursor.c lib/crypt.c
pefile_FUZZ_LIBS := -lcrypto

UNIT_TESTS += xlgate
xlgate_UNIT_SRCS := tools/vtpmctl/xlgate.c
FUZZ_TESTS += xlgate
xlgate_FUZZ_SRCS := tools/vtpmctl/xlgate.c
UNIT_TESTS += xlboot
XLBOOT_SRCS := $(addprefix tools/vtpmctl/,xlboot.c measure.c) lib/measure.c lib/cursor.c lib/text.c lib/tpm2/marshal.c lib/crypt.c
xlboot_UNIT_SRCS := $(XLBOOT_SRCS)
xlboot_UNIT_LIBS := -ljansson -lxlutil -lcrypto
FUZZ_TESTS += xlboot
xlboot_FUZZ_SRCS := $(XLBOOT_SRCS)
xlboot_FUZZ_LIBS := -ljansson -lxlutil -lcrypto
