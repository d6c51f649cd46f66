# SPDX-License-Identifier: Apache-2.0
# The daemon of domain 0, build/bin/vtpmd, and the channel that it shares with
# the manager.
CHANNEL_SRCS := lib/channel.c lib/cursor.c
VTPMD_SRCS := $(wildcard tools/vtpmd/*.c tools/vtpmd/etcd/*.c) $(CHANNEL_SRCS) lib/text.c lib/uuidtext.c lib/atomic.c lib/twin.c lib/witness.c \
              $(HOSTCONF_SRCS) $(MOVE_SRCS) lib/poolconf.c lib/tpm2/quote.c lib/error.c lib/measure.c lib/ppi.c $(TPM2_PUBLIC_SRCS) lib/binding.c $(AUDIT_SRCS)
VTPMD_LIBS := -levent -levent_extra -levent_openssl -lnghttp2 -lssl -ljansson -lsystemd -luuid \
              -lxenvchan -lxenstore -lxenctrl -lxenforeignmemory -lcrypto -lpthread

# The SSDT of HVM guests, as an array.
$(BUILD)/crb/tpm.hex: tools/vtpmd/tpm.asl
	@mkdir -p $(@D)
	cd $(@D) && iasl -vs -p tpm -tc $(abspath $<) >tpm.log || { cat tpm.log; exit 1; }
$(BUILD)/obj/tools/vtpmd/acpi.o $(BUILD)/san/tools/vtpmd/acpi.o: CPPFLAGS += -I$(BUILD)/crb
$(BUILD)/obj/tools/vtpmd/acpi.o $(BUILD)/san/tools/vtpmd/acpi.o: $(BUILD)/crb/tpm.hex

PROGRAMS += $(BUILD)/bin/vtpmd
$(BUILD)/bin/vtpmd: $(sort $(VTPMD_SRCS:%.c=$(BUILD)/obj/%.o))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -o $@ $(VTPMD_LIBS)

# The same with sanitizers, for tests/host.
TEST_PROGRAMS += $(BUILD)/bin/vtpmd-san
$(BUILD)/bin/vtpmd-san: $(sort $(VTPMD_SRCS:%.c=$(BUILD)/san/%.o))
	@mkdir -p $(@D)
	$(CC) $(SAN) $^ -o $@ $(VTPMD_LIBS)

INSTALL += install-vtpmd
install-vtpmd: $(BUILD)/bin/vtpmd
	install -D -m 0755 $< $(DESTDIR)$(PREFIX)/sbin/vtpmd
	install -D -m 0644 tools/vtpmd/vtpmd.service \
		$(DESTDIR)/lib/systemd/system/vtpmd.service
	install -D -m 0644 tools/vtpmd/xen-vtpm.logrotate \
		$(DESTDIR)/etc/logrotate.d/xen-vtpm
	install -D -m 0644 tools/vtpmd/sysusers.conf \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/xen-vtpm.conf
	install -D -m 0644 tools/vtpmd/grafana-dashboard.json \
		$(DESTDIR)$(PREFIX)/share/xen-vtpm/grafana-dashboard.json
	install -D -m 0644 tools/vtpmd/prometheus-alerts.yml \
		$(DESTDIR)$(PREFIX)/share/xen-vtpm/prometheus-alerts.yml
.PHONY: install-vtpmd

UNIT_TESTS += handover
handover_UNIT_SRCS := tools/vtpmd/handover.c
UNIT_TESTS += handover_recover
handover_recover_UNIT_SRCS := tools/vtpmd/handover.c
UNIT_TESTS += move_record
move_record_UNIT_SRCS := $(addprefix tools/vtpmd/,move_record.c move_file.c log.c bucket.c) lib/atomic.c lib/twin.c lib/crypt.c lib/cursor.c lib/text.c lib/error.c
move_record_UNIT_LIBS := -lsystemd -luuid -lcrypto -Wl,--wrap=fsync -Wl,--wrap=fdatasync
FUZZ_TESTS += move_record
move_record_FUZZ_SRCS := tools/vtpmd/move_record.c lib/cursor.c lib/text.c

UNIT_TESTS += move_carry
move_carry_UNIT_SRCS := tools/vtpmd/move_carry.c lib/text.c

UNIT_TESTS += move_board
move_board_UNIT_SRCS := tools/vtpmd/move_board.c lib/cursor.c
FUZZ_TESTS += move_board
move_board_FUZZ_SRCS := tools/vtpmd/move_board.c lib/cursor.c

UNIT_TESTS += channel
channel_UNIT_SRCS := $(CHANNEL_SRCS)
FUZZ_TESTS += channel
channel_FUZZ_SRCS := $(CHANNEL_SRCS)

UNIT_TESTS += hostchan
hostchan_UNIT_SRCS := $(addprefix stubdom/manager/,hostchan.c transport.c) \
                      $(CHANNEL_SRCS) lib/error.c
hostchan_UNIT_LIBS := -lxenvchan

STORE_SRCS := $(addprefix tools/vtpmd/,store.c store_folder.c work.c) lib/atomic.c lib/twin.c $(ENVELOPE_SRCS)
STORE_LIBS := -levent -lpthread -luuid -lcrypto
UNIT_TESTS += vtpmd_store
vtpmd_store_UNIT_SRCS := $(STORE_SRCS) tools/vtpmd/meta.c lib/ppi.c lib/text.c
vtpmd_store_UNIT_LIBS := -ljansson $(STORE_LIBS) -Wl,--wrap=fsync,--wrap=syncfs,--wrap=open,--wrap=pread,--wrap=flock

# all of vtpmd but its main(), above a store in memory
UNIT_TESTS += vtpmd_store_ops
vtpmd_store_ops_UNIT_SRCS := $(filter-out tools/vtpmd/main.c,$(VTPMD_SRCS))
vtpmd_store_ops_UNIT_LIBS := $(VTPMD_LIBS)
# the same, beside a TPM that the test plays
UNIT_TESTS += move_mark
move_mark_UNIT_SRCS := $(filter-out tools/vtpmd/main.c tools/vtpmd/helper.c,$(VTPMD_SRCS))
move_mark_UNIT_LIBS := $(VTPMD_LIBS)
UNIT_TESTS += move_hear
move_hear_UNIT_SRCS := $(move_mark_UNIT_SRCS)
move_hear_UNIT_LIBS := $(VTPMD_LIBS)
UNIT_TESTS += move_other
move_other_UNIT_SRCS := $(move_mark_UNIT_SRCS)
move_other_UNIT_LIBS := $(VTPMD_LIBS)
UNIT_TESTS += move_offer
move_offer_UNIT_SRCS := $(move_mark_UNIT_SRCS)
move_offer_UNIT_LIBS := $(VTPMD_LIBS)

# the same, where what grows with the square of its vTPMs is told by the steps
VTPMD_STEPS_SRCS := $(addprefix tools/vtpmd/,anchor.c anchor_known.c ask.c child.c move.c move_may.c move_mark.c move_over.c queue.c \
                    quote.c registry.c store.c tree.c vtpm.c vtpm_life.c vtpm_peer.c vtpm_wait.c vtpms.c witness.c)
UNIT_TESTS += vtpmd_steps
vtpmd_steps_UNIT_STEPS := $(VTPMD_STEPS_SRCS)
vtpmd_steps_UNIT_SRCS := $(filter-out tools/vtpmd/main.c tools/vtpmd/log.c $(VTPMD_STEPS_SRCS),$(VTPMD_SRCS))
vtpmd_steps_UNIT_LIBS := $(VTPMD_LIBS) -Wl,--wrap=helper_init,--wrap=helper_run,--wrap=helper_end \
                         -Wl,--wrap=peer_is_greeted,--wrap=peer_is_held,--wrap=peer_event,--wrap=peer_refuse,--wrap=clone,--wrap=waitpid \
                         -Wl,--wrap=store_etcd_connection,--wrap=store_etcd_host,--wrap=move_read_pool,--wrap=pool_open,--wrap=pool_next_host

UNIT_TESTS += vtpmd_identity
vtpmd_identity_UNIT_SRCS := tools/vtpmd/identity.c tools/vtpmd/meta.c lib/ppi.c lib/channel.c $(TPM2_PUBLIC_SRCS) lib/text.c $(STORE_SRCS)
vtpmd_identity_UNIT_LIBS := -ljansson $(STORE_LIBS)

UNIT_TESTS += vtpmd_cert
vtpmd_cert_UNIT_SRCS := tools/vtpmd/cert.c lib/channel.c lib/tpm2/marshal.c lib/text.c $(STORE_SRCS)
vtpmd_cert_UNIT_LIBS := -ljansson $(STORE_LIBS)

UNIT_TESTS += vtpmd_config
vtpmd_config_UNIT_SRCS := tools/vtpmd/config.c tools/vtpmd/tunnel.c lib/atomic.c $(HOSTCONF_SRCS)
vtpmd_config_UNIT_LIBS := -ljansson -levent -levent_extra -lcrypto

UNIT_TESTS += peer
peer_UNIT_SRCS := $(addprefix tools/vtpmd/,peer.c bucket.c relay.c tunnel.c tpm_filter.c log.c) \
                  lib/text.c $(STORE_SRCS) $(CHANNEL_SRCS)
peer_UNIT_LIBS := -levent_extra -lsystemd $(STORE_LIBS)

UNIT_TESTS += helper work
helper_UNIT_SRCS := $(addprefix tools/vtpmd/,helper.c child.c tree.c) lib/text.c lib/error.c
helper_UNIT_LIBS := -ljansson -levent -Wl,--wrap=waitpid
work_UNIT_SRCS := tools/vtpmd/work.c
work_UNIT_LIBS := -levent -lpthread

LAUNCH_SRCS := tools/vtpmd/launch.c lib/atomic.c lib/measure.c lib/cursor.c
UNIT_TESTS += vtpmd_guests
vtpmd_guests_UNIT_SRCS := tools/vtpmd/guests.c $(LAUNCH_SRCS) lib/crypt.c
vtpmd_guests_UNIT_LIBS := -luuid -lcrypto
UNIT_TESTS += vtpmd_xen
vtpmd_xen_UNIT_STEPS := $(addprefix tools/vtpmd/,xen.c tree.c)
vtpmd_xen_UNIT_LIBS := -levent_core -lxenstore -lxenctrl -lxenforeignmemory
UNIT_TESTS += vtpmd_launch
vtpmd_launch_UNIT_SRCS := $(LAUNCH_SRCS)
vtpmd_launch_UNIT_LIBS := -luuid

UNIT_TESTS += http
http_UNIT_SRCS := tools/vtpmd/http.c
FUZZ_TESTS += http
http_FUZZ_SRCS := tools/vtpmd/http.c

UNIT_TESTS += relay
relay_UNIT_SRCS := tools/vtpmd/relay.c tools/vtpmd/work.c lib/cursor.c
relay_UNIT_LIBS := -levent -lpthread -Wl,--wrap=close

UNIT_TESTS += vtpm_status
vtpm_status_UNIT_SRCS := stubdom/manager/vtpm_status.c $(CHANNEL_SRCS)

UNIT_TESTS += tpm_filter
tpm_filter_UNIT_SRCS := tools/vtpmd/tpm_filter.c lib/cursor.c
FUZZ_TESTS += tpm_filter
tpm_filter_FUZZ_SRCS := tools/vtpmd/tpm_filter.c lib/cursor.c

ANCHOR_TABLE_SRCS := tools/vtpmd/anchor_file.c lib/atomic.c lib/crypt.c lib/cursor.c lib/text.c
UNIT_TESTS += anchor_table anchor_file anchor_header anchor_known
anchor_table_UNIT_SRCS := $(ANCHOR_TABLE_SRCS)
anchor_table_UNIT_LIBS := -lcrypto
anchor_file_UNIT_SRCS := tools/vtpmd/anchor_file.c lib/atomic.c lib/crypt.c $(ANCHOR_TABLE_SRCS)
anchor_file_UNIT_LIBS := -lcrypto $(DISK_WRAPS)
anchor_known_UNIT_SRCS := tools/vtpmd/anchor_known.c tools/vtpmd/trail.c $(ANCHOR_TABLE_SRCS) \
                          tools/vtpmd/log.c tools/vtpmd/bucket.c lib/text.c $(STORE_SRCS) $(AUDIT_SRCS)
anchor_known_UNIT_LIBS := -ljansson -lsystemd $(STORE_LIBS)
anchor_header_UNIT_SRCS := $(STORE_SRCS) $(ANCHOR_TABLE_SRCS)
anchor_header_UNIT_LIBS := $(STORE_LIBS) $(DISK_WRAPS)
FUZZ_TESTS += anchor_table
anchor_table_FUZZ_SRCS := $(ANCHOR_TABLE_SRCS)
anchor_table_FUZZ_LIBS := -lcrypto

UNIT_TESTS += bucket image vtpm_fsm wear
wear_UNIT_SRCS := tools/vtpmd/bucket.c
bucket_UNIT_SRCS := tools/vtpmd/bucket.c
image_UNIT_SRCS := tools/vtpmd/image.c lib/error.c
image_UNIT_LIBS := -lcrypto

UNIT_TESTS += domain_file
domain_file_UNIT_SRCS := tools/vtpmd/domain_file.c tools/vtpmd/image.c lib/atomic.c lib/cursor.c \
                         lib/text.c lib/error.c
domain_file_UNIT_LIBS := -lcrypto -luuid
UNIT_TESTS += acpi
acpi_UNIT_SRCS := tools/vtpmd/acpi.c

# all of vtpmd but its main(), in front of an etcd and a TPM in memory
UNIT_TESTS += pool_move
pool_move_UNIT_SRCS := $(filter-out $(addprefix tools/vtpmd/,main.c log.c etcd/etcd.c etcd/grpc.c),$(VTPMD_SRCS))
pool_move_UNIT_LIBS := $(VTPMD_LIBS) -Wl,--wrap=helper_init,--wrap=helper_run,--wrap=helper_end,--wrap=fsync,--wrap=unlinkat

UNIT_TESTS += etcd_proto store_etcd
store_etcd_UNIT_STEPS := $(addprefix tools/vtpmd/,store_etcd.c store_etcd_txn.c etcd/mirror.c)
store_etcd_UNIT_SRCS := $(addprefix tools/vtpmd/,etcd/members.c etcd/session.c etcd/where.c etcd/proto.c log.c bucket.c) lib/text.c lib/error.c $(STORE_SRCS)
store_etcd_UNIT_LIBS := -lsystemd $(STORE_LIBS)
etcd_proto_UNIT_SRCS := tools/vtpmd/etcd/proto.c lib/cursor.c
FUZZ_TESTS += etcd_proto grpc
etcd_proto_FUZZ_SRCS := tools/vtpmd/etcd/proto.c lib/cursor.c
grpc_FUZZ_SRCS := tools/vtpmd/etcd/grpc.c lib/cursor.c
grpc_FUZZ_LIBS := -levent -lnghttp2
