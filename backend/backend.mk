# SPDX-License-Identifier: Apache-2.0
# The manager links all of backend/*.c, with -lxengnttab -lxenevtchn and what those
# ask for.  The tests include ring.c, to play the guest at each access of it.
backend_ring_UNIT_SRCS   := backend/backend.c backend/xenbus.c lib/cursor.c
backend_xenbus_UNIT_SRCS := backend/backend.c backend/xenbus.c backend/ring.c lib/cursor.c
ring_request_FUZZ_SRCS   := backend/backend.c backend/xenbus.c lib/cursor.c
backend_FUZZ_SRCS        := backend/backend.c backend/xenbus.c lib/cursor.c
backend_xenstore_UNIT_SRCS := backend/xenstore.c
UNIT_TESTS += backend_ring backend_xenbus backend_xenstore
FUZZ_TESTS += ring_request backend

# A hostile guest for the system tests; static, so that it runs in any dom0.
TEST_PROGRAMS += $(BUILD)/bin/hostile-front
$(BUILD)/bin/hostile-front: $(BUILD)/obj/tests/system/hostile/main.o \
			    $(BUILD)/obj/tests/system/hostile/front.o
	@mkdir -p $(@D)
	$(CC) -static $^ -o $@ -lxenstore -lxengnttab -lxenevtchn -lxentoollog -lxentoolcore
