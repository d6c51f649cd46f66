# SPDX-License-Identifier: Apache-2.0
comma := ,
UNIT_TESTS += address
address_UNIT_SRCS := lib/text.c
UNIT_TESTS += error
error_UNIT_SRCS := lib/error.c
UNIT_TESTS += cursor text uuidtext
cursor_UNIT_SRCS := lib/cursor.c
text_UNIT_SRCS := lib/text.c
uuidtext_UNIT_SRCS := lib/uuidtext.c
FUZZ_TESTS += text
text_FUZZ_SRCS := lib/text.c
text_FUZZ_LIBS := -ljansson

ENVELOPE_SRCS := $(wildcard lib/slot/*.c) lib/crypt.c lib/cursor.c lib/error.c
UNIT_TESTS += envelope
envelope_UNIT_SRCS := $(ENVELOPE_SRCS)
envelope_UNIT_LIBS := -lcrypto
FUZZ_TESTS += envelope
envelope_FUZZ_SRCS := $(ENVELOPE_SRCS)
envelope_FUZZ_LIBS := -lcrypto

KMS_SRCS := lib/kms.c lib/tls.c lib/vault.c lib/httpread.c lib/jsonread.c lib/text.c lib/kmip.c lib/crypt.c lib/cursor.c lib/error.c

UNIT_TESTS += crypt ttlv kmip
crypt_UNIT_SRCS := lib/crypt.c
crypt_UNIT_LIBS := -lcrypto
ttlv_UNIT_SRCS := lib/kmip.c lib/cursor.c
kmip_UNIT_SRCS := lib/kmip.c lib/cursor.c
FUZZ_TESTS += kmip
kmip_FUZZ_SRCS := lib/kmip.c lib/cursor.c
UNIT_TESTS += jsonread httpread
jsonread_UNIT_SRCS := lib/jsonread.c
httpread_UNIT_SRCS := lib/httpread.c
FUZZ_TESTS += vault
vault_FUZZ_SRCS := $(KMS_SRCS)
vault_FUZZ_LIBS := -lssl -lcrypto
UNIT_TESTS += kms
kms_UNIT_SRCS := $(KMS_SRCS)
kms_UNIT_LIBS := -lssl -lcrypto -lpthread

UNIT_TESTS += atomic
atomic_UNIT_SRCS := lib/atomic.c
DISK_WRAPS := $(patsubst %,-Wl$(comma)--wrap=%,openat write read pwrite pread fstat statx fsync \
                fdatasync close renameat linkat unlinkat)
atomic_UNIT_LIBS := $(DISK_WRAPS)

TWIN_SRCS := lib/twin.c lib/atomic.c lib/crypt.c lib/cursor.c
UNIT_TESTS += twin twin_beside
twin_UNIT_SRCS := $(TWIN_SRCS)
twin_UNIT_LIBS := -lcrypto $(DISK_WRAPS)
twin_beside_UNIT_SRCS := $(TWIN_SRCS)
twin_beside_UNIT_LIBS := -lcrypto
FUZZ_TESTS += twin
twin_FUZZ_SRCS := $(TWIN_SRCS)
twin_FUZZ_LIBS := -lcrypto

UNIT_TESTS += recovery
recovery_UNIT_SRCS := $(ENVELOPE_SRCS)
recovery_UNIT_LIBS := -lcrypto

# Commands to a TPM; also with the policies and approvals of the host's.
TPM2_SRCS := $(addprefix lib/tpm2/,cmd.c code.c commands.c marshal.c) lib/crypt.c lib/cursor.c
# What TPMs say of keys, and what they sign with them.
TPM2_PUBLIC_SRCS := $(addprefix lib/tpm2/,public.c marshal.c) lib/crypt.c lib/cursor.c

UNIT_TESTS += tpm2_code
tpm2_code_UNIT_SRCS := lib/tpm2/code.c

UNIT_TESTS += tpmbusy
tpmbusy_UNIT_SRCS := $(TPM2_SRCS)
tpmbusy_UNIT_LIBS := -lcrypto -Wl,--wrap=nanosleep

UNIT_TESTS += stamp
stamp_UNIT_SRCS := lib/text.c

UNIT_TESTS += previous_key
previous_key_UNIT_SRCS := $(ENVELOPE_SRCS)
previous_key_UNIT_LIBS := -lcrypto
FUZZ_TESTS += previous_key
previous_key_FUZZ_SRCS := $(ENVELOPE_SRCS)
previous_key_FUZZ_LIBS := -lcrypto

UNIT_TESTS += tpm2_public
tpm2_public_UNIT_SRCS := $(TPM2_PUBLIC_SRCS) lib/text.c
tpm2_public_UNIT_LIBS := -lcrypto
FUZZ_TESTS += tpm2_public
tpm2_public_FUZZ_SRCS := $(TPM2_PUBLIC_SRCS)
tpm2_public_FUZZ_LIBS := -lcrypto

AUDIT_SRCS := lib/audit.c lib/crypt.c lib/text.c
UNIT_TESTS += audit
audit_UNIT_SRCS := $(AUDIT_SRCS)
audit_UNIT_LIBS := -ljansson -lcrypto

UNIT_TESTS += measure
measure_UNIT_SRCS := lib/measure.c lib/tpm2/marshal.c lib/crypt.c lib/cursor.c
measure_UNIT_LIBS := -lcrypto
FUZZ_TESTS += measure
measure_FUZZ_SRCS := lib/measure.c lib/cursor.c

UNIT_TESTS += ecdsa
ecdsa_UNIT_SRCS := lib/tpm2/quote.c $(TPM2_PUBLIC_SRCS)
ecdsa_UNIT_LIBS := -lcrypto

UNIT_TESTS += base64url binding
base64url_UNIT_SRCS := lib/text.c
binding_UNIT_SRCS := lib/binding.c lib/cursor.c
FUZZ_TESTS += binding
binding_FUZZ_SRCS := lib/binding.c lib/cursor.c

# What two hosts say to each other, and which may.
MOVE_SRCS := lib/move.c lib/pool.c lib/crypt.c lib/cursor.c

# What hosts of a pool ask each other about vTPMs.
UNIT_TESTS += witness
witness_UNIT_SRCS := lib/witness.c lib/cursor.c
FUZZ_TESTS += witness
witness_FUZZ_SRCS := lib/witness.c lib/cursor.c

HOSTCONF_SRCS := lib/hostconf.c lib/tpm2/policy.c lib/tpm2/marshal.c lib/channel.c lib/text.c $(ENVELOPE_SRCS)
