# SPDX-License-Identifier: Apache-2.0
UNIT_TESTS += cursor
cursor_UNIT_SRCS := lib/cursor.c
