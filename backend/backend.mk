# SPDX-License-Identifier: Apache-2.0
# The manager links all of backend/*.c, with -lxengnttab -lxenevtchn and what those
# ask for.  The tests include ring.c, to play the guest at each access of it.
backend_ring_UNIT_SRCS   := backend/backend.c backend/xenbus.c lib/cursor.c
backend_xenbus_UNIT_SRCS := backend/backend.c backend/xenbus.c backend/ring.c lib/cursor.c
ring_request_FUZZ_SRCS   := backend/backend.c backend/xenbus.c lib/cursor.c
UNIT_TESTS += backend_ring backend_xenbus
FUZZ_TESTS += ring_request
