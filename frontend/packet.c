// SPDX-License-Identifier: GPL-2.0-only
#include "packet.h"

#define TPM2_TAG	0x8001 /* TPM_ST_NO_SESSIONS */
#define TPM1_TAG	0x00c1 /* TPM_TAG_RQU_COMMAND */
#define TPM2_STARTUP	0x144
#define TPM1_STARTUP	0x99
#define TPM2_READ_CLOCK 0x181
#define READ_LOG	0x20005601
#define READ_LOG_CHUNK	2048
#define TPM2_CLEAR	0
#define TPM2_STATE	1
#define TPM1_CLEAR	1
#define TPM1_STATE	2
#define OFFSET_LENGTH	2
#define OFFSET_CODE	6
/* TPMS_TIME_INFO: u64 time | u64 clock | u32 resets | u32 restarts | u8 safe */
#define CLOCK_LENGTH  (PACKET_HEADER_SIZE + 25)
#define OFFSET_RESETS (PACKET_HEADER_SIZE + 16)
/* u32 total | u16 length | bytes */
#define OFFSET_TOTAL PACKET_HEADER_SIZE
#define OFFSET_PART  (PACKET_HEADER_SIZE + 4)
#define OFFSET_BYTES (PACKET_HEADER_SIZE + 6)

/*@ requires \valid_read(p + (0 .. 3));
    assigns \nothing; */
static u32 get_be32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

/*@ requires \valid(p + (0 .. 1));
    assigns p[0 .. 1]; */
static void put_be16(u8 *p, u16 v)
{
	p[0] = v >> 8;
	p[1] = v & 0xff;
}

/*@ requires \valid(p + (0 .. 3));
    assigns p[0 .. 3]; */
static void put_be32(u8 *p, u32 v)
{
	put_be16(p, v >> 16);
	put_be16(p + 2, v & 0xffff);
}

int xtpm_packet_check_length(u32 length, size_t room)
{
	if (length < PACKET_HEADER_SIZE || length > PACKET_MAX || length > room)
		return -EBADMSG;
	return 0;
}

int xtpm_packet_check(const u8 *packet, size_t len)
{
	if (len < PACKET_HEADER_SIZE || get_be32(packet + OFFSET_LENGTH) != len)
		return -EBADMSG;
	return 0;
}

u32 xtpm_packet_code(const u8 *packet)
{
	return get_be32(packet + OFFSET_CODE);
}

void xtpm_packet_startup(u8 packet[PACKET_STARTUP_SIZE], bool tpm2, bool saved)
{
	put_be16(packet, tpm2 ? TPM2_TAG : TPM1_TAG);
	put_be32(packet + OFFSET_LENGTH, PACKET_STARTUP_SIZE);
	put_be32(packet + OFFSET_CODE, tpm2 ? TPM2_STARTUP : TPM1_STARTUP);
	if (tpm2)
		put_be16(packet + PACKET_HEADER_SIZE, saved ? TPM2_STATE : TPM2_CLEAR);
	else
		put_be16(packet + PACKET_HEADER_SIZE, saved ? TPM1_STATE : TPM1_CLEAR);
}

void xtpm_packet_clock(u8 packet[PACKET_CLOCK_SIZE])
{
	put_be16(packet, TPM2_TAG);
	put_be32(packet + OFFSET_LENGTH, PACKET_CLOCK_SIZE);
	put_be32(packet + OFFSET_CODE, TPM2_READ_CLOCK);
}

int xtpm_packet_resets(const u8 *rsp, size_t len, u32 *resets)
{
	if (len != CLOCK_LENGTH || xtpm_packet_check(rsp, len) || xtpm_packet_code(rsp))
		return -EBADMSG;
	*resets = get_be32(rsp + OFFSET_RESETS);
	return 0;
}

void xtpm_packet_read_log(u8 packet[PACKET_LOG_SIZE], u32 offset)
{
	put_be16(packet, TPM2_TAG);
	put_be32(packet + OFFSET_LENGTH, PACKET_LOG_SIZE);
	put_be32(packet + OFFSET_CODE, READ_LOG);
	put_be32(packet + PACKET_HEADER_SIZE, offset);
}

int xtpm_packet_log(const u8 *rsp, size_t len, u32 offset, struct packet_log *part)
{
	u32 left;

	if (xtpm_packet_check(rsp, len))
		return -EBADMSG;
	if (xtpm_packet_code(rsp))
		return -ENODATA;
	if (len < OFFSET_BYTES)
		return -EBADMSG;
	part->total = get_be32(rsp + OFFSET_TOTAL);
	part->len = (u32)rsp[OFFSET_PART] << 8 | rsp[OFFSET_PART + 1];
	part->bytes = rsp + OFFSET_BYTES;
	if (!part->total)
		return -ENODATA;
	if (part->len != len - OFFSET_BYTES || offset >= part->total)
		return -EBADMSG;
	/* A size of one byte would take 65,536 reads. */
	left = part->total - offset;
	return part->len == (left < READ_LOG_CHUNK ? left : READ_LOG_CHUNK) ? 0
									    : -EBADMSG;
}
