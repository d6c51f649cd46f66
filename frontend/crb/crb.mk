# SPDX-License-Identifier: Apache-2.0
# vtpm-crb, build/bin/vtpm-crb: the TPM on an HVM guest's board.
CRB_SRCS := $(addprefix frontend/crb/,main.c serve.c crb.c ring.c ioreq.c) lib/ppi.c stubdom/manager/depriv.c \
            lib/cursor.c lib/error.c
CRB_LIBS := -lxendevicemodel -lxenforeignmemory -lxenevtchn -lxenstore -lseccomp
CRB_OBJS := $(sort $(CRB_SRCS:%.c=$(BUILD)/obj/%.o))

$(BUILD)/obj/frontend/crb/%.o: CPPFLAGS += -D__XEN_TOOLS__

PROGRAMS += $(BUILD)/bin/vtpm-crb
$(BUILD)/bin/vtpm-crb: $(CRB_OBJS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -o $@ $(CRB_LIBS)

INSTALL += install-crb
install-crb: $(BUILD)/bin/vtpm-crb
	install -D -m 0755 $< $(DESTDIR)$(PREFIX)/lib/xen-vtpm/vtpm-crb
.PHONY: install-crb

UNIT_TESTS += crb
crb_UNIT_SRCS := frontend/crb/crb.c lib/cursor.c
FUZZ_TESTS += crb
crb_FUZZ_SRCS := frontend/crb/crb.c lib/ppi.c frontend/crb/ring.c lib/cursor.c
UNIT_TESTS += ppi
ppi_UNIT_SRCS := lib/ppi.c
UNIT_TESTS += crb_serve
crb_serve_UNIT_SRCS := $(addprefix frontend/crb/,serve.c crb.c ring.c ioreq.c) lib/ppi.c lib/cursor.c
crb_serve_UNIT_LIBS := $(CRB_LIBS)
UNIT_TESTS += crb_ioreq
crb_ioreq_UNIT_SRCS := frontend/crb/ioreq.c
$(BUILD)/san/frontend/crb/%.o $(BUILD)/san/tests/unit/crb_serve_test.o $(BUILD)/san/tests/unit/crb_ioreq_test.o: CPPFLAGS += -D__XEN_TOOLS__
