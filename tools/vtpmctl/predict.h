/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCRs that the host will have when it boots next, of the event log of the present boot and
 * of the files that are there now.  The log is replayed with other digests where GRUB and shim
 * measured what is in files:
 *
 *   4  images that the firmware and shim started: their PE hash (pefile.h)
 *   8  GRUB's commands and the command lines of what it started: their text
 *   9  files that GRUB read: their bytes
 *
 * What the firmware measured is taken to stay.  GRUB's commands are what its configuration
 * says, of which nothing here is an interpreter: when a .cfg that it read is another one now,
 * PCR 8 is not known.
 */
#ifndef XVTPM_VTPMCTL_PREDICT_H
#define XVTPM_VTPMCTL_PREDICT_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/tpm2/policy.h"

#include <stddef.h>
#include <stdint.h>

#define PREDICT_LOG	"/sys/kernel/security/tpm0/binary_bios_measurements"
#define PREDICT_ESP	"/boot/efi"
#define PREDICT_RENAMES 8

/* Where its files are. */
struct predict_from {
	const char *root; /* of GRUB's root file system; "": / */
	const char *esp;  /* of the EFI system partition, below root */
	/* "OLD=NEW,OLD=NEW": texts that are others in paths and commands; NULL: none */
	const char *replace;
};

struct predicted {
	uint8_t logged[APPROVAL_PCRS][APPROVAL_HASH_SIZE]; /* what the log leads to */
	uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	uint32_t unknown; /* bit n: value[n] is none */
};

/* Tells stderr, a line each, what will be another one, and why a value is not known.
 * -EBADMSG: the log does not parse, or has no SHA-256 digests; -EINVAL: so does replace */
int __must_check predict_run(const uint8_t *log, size_t len,
			     const struct predict_from *from, struct predicted *out,
			     struct error *e);

#endif
