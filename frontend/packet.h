/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a TPM packet looks like, and whether to believe one.  Pure: no kernel calls,
 * so that the checks are also compiled and attacked in user space.
 *
 *   offset 0  u16 tag | u32 length of the whole packet | u32 code, big-endian
 *   (TPM 1.2 Main Part 2, 6; TPM 2.0 Part 1, 18.2)
 *
 * The code is the command's ordinal or the response's result.
 *
 * The contracts are proved for every packet (docs/proofs.md).
 */
#ifndef XEN_TPMFRONT_PACKET_H
#define XEN_TPMFRONT_PACKET_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/errno.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
#endif

#define PACKET_HEADER_SIZE  10
#define PACKET_STARTUP_SIZE 12
#define PACKET_CLOCK_SIZE   10
#define PACKET_LOG_SIZE	    14
/* The longest packet, either way: the TPM core's buffer, and what a TPM 2.0 reports
 * as TPM_PT_MAX_COMMAND_SIZE and TPM_PT_MAX_RESPONSE_SIZE. */
#define PACKET_MAX 4096

/* "It has been started": TPM_RC_INITIALIZE, TPM_INVALID_POSTINIT. */
#define PACKET_TPM2_STARTED 0x100
#define PACKET_TPM1_STARTED 38

/* The length that a peer claims, before a byte of the packet is copied; room: how
 * many bytes there is space for.  -EBADMSG: no packet can be that long. */
/*@ assigns \nothing;
    ensures \result == 0 || \result == -EBADMSG;
    ensures \result == 0 <==> PACKET_HEADER_SIZE <= length <= PACKET_MAX && length <= room; */
int xtpm_packet_check_length(u32 length, size_t room);

/* A private copy of len bytes.  -EBADMSG: shorter than a header, or its own length
 * is another one. */
/*@ requires \valid_read(packet + (0 .. len - 1));
    assigns \nothing;
    ensures \result == 0 || \result == -EBADMSG;
    ensures \result == 0 ==> len >= PACKET_HEADER_SIZE; */
int xtpm_packet_check(const u8 *packet, size_t len);

/* The code of a packet that xtpm_packet_check() accepted. */
/*@ requires \valid_read(packet + (0 .. PACKET_HEADER_SIZE - 1));
    assigns \nothing; */
u32 xtpm_packet_code(const u8 *packet);

/* TPM2_Startup (TPM 2.0 Part 3, 9.3) or TPM_Startup (TPM 1.2 Main Part 3, 3.2) with
 * the saved state, or without it. */
/*@ requires \valid(packet + (0 .. PACKET_STARTUP_SIZE - 1));
    assigns packet[0 .. PACKET_STARTUP_SIZE - 1]; */
void xtpm_packet_startup(u8 packet[PACKET_STARTUP_SIZE], bool tpm2, bool saved);

/* TPM2_ReadClock (TPM 2.0 Part 3, 29.1), and how often the TPM has been reset, which
 * its response tells.  -EBADMSG: it does not. */
/*@ requires \valid(packet + (0 .. PACKET_CLOCK_SIZE - 1));
    assigns packet[0 .. PACKET_CLOCK_SIZE - 1]; */
void xtpm_packet_clock(u8 packet[PACKET_CLOCK_SIZE]);
/*@ requires \valid_read(rsp + (0 .. len - 1)) && \valid(resets);
    assigns *resets;
    ensures \result == 0 || \result == -EBADMSG;
    ensures \result != 0 ==> *resets == \old(*resets); */
int xtpm_packet_resets(const u8 *rsp, size_t len, u32 *resets);

/* A part of the event log of this guest's launch. */
struct packet_log {
	u32 total;	 /* bytes of the whole log */
	u32 len;	 /* of this part */
	const u8 *bytes; /* in the response */
};

/* XVTPM_CC_READ_LOG (include/vendor.h of xen-vtpm), and what its response tells.
 * -EBADMSG: not a part from offset on, as long as one can be; -ENODATA: there is no
 * such log. */
/*@ requires \valid(packet + (0 .. PACKET_LOG_SIZE - 1));
    assigns packet[0 .. PACKET_LOG_SIZE - 1]; */
void xtpm_packet_read_log(u8 packet[PACKET_LOG_SIZE], u32 offset);
/*@ requires \valid_read(rsp + (0 .. len - 1)) && \valid(part);
    requires \separated(part, rsp + (0 .. len - 1));
    assigns *part;
    ensures \result == 0 || \result == -EBADMSG || \result == -ENODATA;
    ensures \result == 0 ==> part->len > 0 && offset + part->len <= part->total;
    ensures \result == 0 ==> \valid_read(part->bytes + (0 .. part->len - 1));
    ensures \result == 0 ==> rsp <= part->bytes && part->bytes + part->len == rsp + len; */
int xtpm_packet_log(const u8 *rsp, size_t len, u32 offset, struct packet_log *part);

#endif
