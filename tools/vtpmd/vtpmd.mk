# SPDX-License-Identifier: Apache-2.0
CHANNEL_SRCS := lib/channel.c lib/cursor.c
UNIT_TESTS += channel
channel_UNIT_SRCS := $(CHANNEL_SRCS)
FUZZ_TESTS += channel
channel_FUZZ_SRCS := $(CHANNEL_SRCS)

UNIT_TESTS += hostchan
hostchan_UNIT_SRCS := stubdom/manager/hostchan.c stubdom/manager/hostchan_call.c \
                      stubdom/manager/hostchan_fd.c stubdom/manager/hostchan_vchan.c \
                      $(CHANNEL_SRCS) lib/error.c
hostchan_UNIT_LIBS := -lxenvchan
