# SPDX-License-Identifier: Apache-2.0
UNIT_TESTS += cursor
cursor_UNIT_SRCS := lib/cursor.c

ENVELOPE_SRCS := lib/envelope.c lib/crypt.c lib/cursor.c lib/error.c
UNIT_TESTS += envelope
envelope_UNIT_SRCS := $(ENVELOPE_SRCS)
envelope_UNIT_LIBS := -lcrypto
FUZZ_TESTS += envelope
envelope_FUZZ_SRCS := $(ENVELOPE_SRCS)
envelope_FUZZ_LIBS := -lcrypto

KMS_SRCS := lib/kms.c lib/tls.c lib/kmip.c lib/ttlv.c lib/crypt.c lib/cursor.c lib/error.c
