# SPDX-License-Identifier: Apache-2.0
CHANNEL_SRCS := lib/channel.c lib/cursor.c
UNIT_TESTS += channel
channel_UNIT_SRCS := $(CHANNEL_SRCS)
FUZZ_TESTS += channel
channel_FUZZ_SRCS := $(CHANNEL_SRCS)
