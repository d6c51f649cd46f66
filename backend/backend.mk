# SPDX-License-Identifier: Apache-2.0
# The manager links all of backend/*.c, with -lxengnttab -lxenevtchn and what those
# ask for.  The tests include ring.c, to play the guest at each access of it.
BACKEND_TEST_SRCS := backend/tpmif.c stubdom/manager/front.c lib/cursor.c lib/error.c lib/uuidtext.c
backend_ring_UNIT_SRCS   := $(BACKEND_TEST_SRCS)
backend_xenbus_UNIT_SRCS := $(BACKEND_TEST_SRCS) backend/ring.c
ring_request_FUZZ_SRCS   := $(BACKEND_TEST_SRCS)
backend_FUZZ_SRCS        := $(BACKEND_TEST_SRCS)
backend_xenstore_UNIT_SRCS := backend/xen.c
backend_xenstore_UNIT_LIBS := -lxengnttab -lxenevtchn -lxentoollog
UNIT_TESTS += backend_ring backend_xenbus backend_xenstore
FUZZ_TESTS += ring_request backend

# A hostile guest for the system tests; static, so that it runs in any dom0.
TEST_PROGRAMS += $(BUILD)/bin/hostile-front
$(BUILD)/bin/hostile-front: $(BUILD)/obj/tests/system/hostile/main.o \
			    $(BUILD)/obj/tests/system/hostile/front.o
	@mkdir -p $(@D)
	$(CC) -static $^ -o $@ -lxenstore -lxengnttab -lxenevtchn -lxentoollog -lxentoolcore

# A guest that asks its TPM one thing, for as many vTPMs as a host takes (tests/long/density).
TEST_PROGRAMS += $(BUILD)/bin/front-asks
$(BUILD)/bin/front-asks: $(BUILD)/obj/tests/system/asks/main.o \
			 $(BUILD)/obj/tests/system/hostile/front.o
	@mkdir -p $(@D)
	$(CC) -static $^ -o $@ -lxenstore -lxengnttab -lxenevtchn -lxentoollog -lxentoolcore
