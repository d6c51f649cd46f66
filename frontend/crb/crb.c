/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/crb/crb.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <string.h>

enum {
	LOC_STATE = 0x00,
	LOC_CTRL = 0x08,
	LOC_STS = 0x0c,
	INTF_ID = 0x30,
	INTF_ID_HIGH = 0x34,
	CTRL_REQ = 0x40,
	CTRL_STS = 0x44,
	CTRL_CANCEL = 0x48,
	CTRL_START = CRB_CTRL_START,
	INT_ENABLE = 0x50,
	CTRL_CMD_SIZE = 0x58,
	CTRL_CMD_ADDR = 0x5c,
	CTRL_RSP_SIZE = 0x64,
	CTRL_RSP_ADDR = 0x68,
	DATA = 0x80,
};

#define STATE_NO_LAUNCH 0x01u /* tpmEstablished is inverse: no _TPM_Hash_End has come */
#define STATE_ASSIGNED	0x02u
#define STATE_LOCALITY	2 /* shift of the active one */
#define STATE_VALID	0x80u
#define CTRL_REQUEST	0x01u
#define CTRL_RELINQUISH 0x02u
#define CTRL_SEIZE	0x04u
#define STS_GRANTED	0x01u
#define STS_SEIZED	0x02u
#define REQ_CMD_READY	0x01u
#define REQ_GO_IDLE	0x02u
#define STS_ERROR	0x01u
#define STS_IDLE	0x02u
#define START_BIT	0x01u
#define CANCEL_BIT	0x01u
#define INT_ENABLE_MASK 0x8000000fu
#define TPM_HEADER	10
#define LOCALITY_HARDWARE \
	4 /* the processor's, for a measured launch: never the guest's */
#define INTF_CRB	0x1u	     /* InterfaceType: CRB */
#define INTF_VERSION	(0x1u << 4)  /* CRB interface, version 1 */
#define INTF_LOCALITIES (0x1u << 8)  /* five localities */
#define INTF_TRANSFER	(0x3u << 11) /* 64 bytes */
#define INTF_CAP_CRB	(0x1u << 14)
#define INTF_SELECTED	(0x1u << 17) /* CRB */
#define INTF_LOCKED	(0x1u << 19)
#define INTF_VENDOR	0x5853u /* "XS", as no PCI vendor id is Xen's for a TPM */
#define INTF_DEVICE	0x0001u

void crb_reset(struct crb_state *s)
{
	memset(s, 0, sizeof(*s));
	s->active = CRB_NO_LOCALITY;
}

static bool is_executing(const struct crb_state *s)
{
	return s->start & CRB_EXECUTING;
}

static void forget_response(struct crb_state *s)
{
	s->rsp_len = 0;
	explicit_bzero(s->rsp, sizeof(s->rsp));
}

/* A guest that reads 0 has the response in its RAM, and may write there from now on. */
static uint32_t read_start(struct crb_state *s)
{
	if (!is_executing(s) && s->rsp_len)
		forget_response(s);
	return s->start & CRB_EXECUTING;
}

static uint32_t read_location(const struct crb *c)
{
	uint32_t v = STATE_VALID | STATE_NO_LAUNCH;

	if (c->s->active != CRB_NO_LOCALITY)
		v |= STATE_ASSIGNED | (uint32_t)c->s->active << STATE_LOCALITY;
	return v;
}

static uint32_t read_register(const struct crb *c, unsigned int locality, uint32_t reg)
{
	const struct crb_state *s = c->s;

	switch (reg) {
	case LOC_STATE:
		return read_location(c);
	case LOC_STS:
		return (s->active == locality ? STS_GRANTED : 0) |
		       (s->seized >> locality & 1 ? STS_SEIZED : 0);
	case INTF_ID:
		return INTF_CRB | INTF_VERSION | INTF_LOCALITIES | INTF_TRANSFER |
		       INTF_CAP_CRB | INTF_SELECTED | INTF_LOCKED;
	case INTF_ID_HIGH:
		return INTF_VENDOR | INTF_DEVICE << 16;
	case CTRL_STS:
		return (s->failed ? STS_ERROR : 0) | (s->ready ? 0 : STS_IDLE);
	case CTRL_CANCEL:
		return s->cancel;
	case CTRL_START:
		return read_start(c->s);
	case INT_ENABLE:
		return s->int_enable;
	case CTRL_CMD_SIZE:
	case CTRL_RSP_SIZE:
		return CRB_BUFFER_MAX;
	case CTRL_CMD_ADDR:
	case CTRL_RSP_ADDR:
		return CRB_BUFFER;
	default:
		return 0;
	}
}

uint64_t crb_read(const struct crb *c, uint32_t at, unsigned int size)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < size && i < 8; i++, at++) {
		unsigned int locality = at >> 12;
		uint32_t off = at & 0xfff;
		uint8_t byte = 0xff;

		if (locality >= CRB_LOCALITIES)
			;
		else if (off >= DATA)
			byte = c->s->active == locality ? c->buffer[off - DATA] : 0xff;
		else
			byte = (uint8_t)(read_register(c, locality, off & ~3u) >>
					 (off & 3) * 8);
		v |= (uint64_t)byte << i * 8;
	}
	return v;
}

static bool is_allowed(const struct crb *c, unsigned int locality)
{
	return locality != LOCALITY_HARDWARE && c->localities >> locality & 1;
}

static void assign(struct crb_state *s, unsigned int locality)
{
	s->pending &= (uint8_t) ~(1u << locality);
	s->seized &= (uint8_t) ~(1u << locality);
	s->active = (uint8_t)locality;
}

/* The highest locality that has asked gets the TPM. */
static void relinquish(struct crb_state *s)
{
	s->active = CRB_NO_LOCALITY;
	for (unsigned int n = CRB_LOCALITIES; n-- > 0;)
		if (s->pending >> n & 1) {
			assign(s, n);
			return;
		}
}

static void write_location(struct crb *c, unsigned int locality, uint32_t v)
{
	struct crb_state *s = c->s;

	if (!is_allowed(c, locality))
		return;
	if (v & CTRL_RELINQUISH) {
		s->pending &= (uint8_t) ~(1u << locality);
		/* what executes ends for the locality that sent it */
		if (s->active == locality && !is_executing(s))
			relinquish(s);
	} else if (v & CTRL_SEIZE) {
		if (s->active != CRB_NO_LOCALITY && s->active < locality &&
		    !is_executing(s)) {
			s->seized |= (uint8_t)(1u << s->active);
			assign(s, locality);
		} else if (s->active == CRB_NO_LOCALITY) {
			assign(s, locality);
		}
	} else if (v & CTRL_REQUEST) {
		if (s->active == CRB_NO_LOCALITY)
			assign(s, locality);
		else if (s->active != locality)
			s->pending |= (uint8_t)(1u << locality);
	}
}

static void keep_response(struct crb_state *s, const uint8_t *rsp, size_t len)
{
	memcpy(s->rsp, rsp, len);
	s->rsp_len = (uint32_t)len;
}

static void keep_code(struct crb_state *s, uint32_t code)
{
	uint8_t rsp[TPM_HEADER];
	struct cursor w = cursor_writer(rsp, sizeof(rsp));

	cursor_put_u16(&w, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&w, sizeof(rsp));
	cursor_put_u32(&w, code);
	keep_response(s, rsp, sizeof(rsp));
}

static void copy_in(uint8_t *to, const volatile uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[i];
}

/* START: the command is copied once; its size is that of the copied header. */
static void execute(struct crb *c)
{
	struct crb_state *s = c->s;
	uint8_t cmd[CRB_BUFFER_MAX];
	struct cursor r;
	uint32_t size;

	copy_in(cmd, c->buffer, TPM_HEADER);
	r = cursor_reader(cmd, TPM_HEADER);
	(void)cursor_u16(&r);
	size = cursor_u32(&r);
	forget_response(s);
	s->cancel = 0;
	s->locality = s->active;
	if (s->failed || size < TPM_HEADER || size > sizeof(cmd)) {
		keep_code(s, s->failed ? TPM2_RC_FAILURE : TPM2_RC_COMMAND_SIZE);
		s->start = c->vcpu << 1;
		crb_deliver(c);
		return;
	}
	copy_in(cmd + TPM_HEADER, c->buffer + TPM_HEADER, size - TPM_HEADER);
	c->ops->prepare(c->ctx, s->locality, cmd, size);
	s->start = c->vcpu << 1 | CRB_EXECUTING;
	c->ops->send(c->ctx);
	explicit_bzero(cmd, size);
}

static void write_control(struct crb *c, uint32_t reg, uint32_t v)
{
	struct crb_state *s = c->s;

	switch (reg) {
	case CTRL_REQ:
		if (is_executing(s))
			break;
		if (v & (REQ_CMD_READY | REQ_GO_IDLE))
			forget_response(s);
		if (v & REQ_CMD_READY)
			s->ready = 1;
		else if (v & REQ_GO_IDLE)
			s->ready = 0;
		break;
	case CTRL_CANCEL:
		if (is_executing(s) && (v & CANCEL_BIT) && !s->cancel)
			c->ops->cancel(c->ctx);
		s->cancel = v & CANCEL_BIT;
		break;
	case CTRL_START:
		if ((v & START_BIT) && !is_executing(s)) {
			s->ready = 1;
			execute(c);
		}
		break;
	case INT_ENABLE:
		s->int_enable = v & INT_ENABLE_MASK;
		break;
	}
}

/* A write of some bytes of a register writes 0 to the others, which all of them take for
 * nothing. */
void crb_write(struct crb *c, uint32_t at, unsigned int size, uint64_t value)
{
	unsigned int i = 0;

	while (i < size && i < 8) {
		uint32_t off = (at + i) & 0xfff, reg = off & ~3u, v = 0;
		unsigned int locality = (at + i) >> 12;

		if (locality >= CRB_LOCALITIES)
			return;
		if (off >= DATA) {
			if (c->s->active == locality && c->s->ready &&
			    !is_executing(c->s))
				c->buffer[off - DATA] = (uint8_t)(value >> i * 8);
			i++;
			continue;
		}
		do {
			v |= (uint32_t)(value >> i * 8 & 0xff) << (off & 3) * 8;
			i++, off++;
		} while (i < size && i < 8 && off & 3);
		if (reg == LOC_CTRL)
			write_location(c, locality, v);
		else if (c->s->active == locality)
			write_control(c, reg, v);
	}
}

void crb_complete(struct crb *c, const uint8_t *rsp, size_t len)
{
	struct crb_state *s = c->s;

	if (!is_executing(s))
		return;
	if (len < TPM_HEADER || len > sizeof(s->rsp))
		keep_code(s, TPM2_RC_FAILURE);
	else
		keep_response(s, rsp, len);
	crb_deliver(c);
}

void crb_deliver(struct crb *c)
{
	struct crb_state *s = c->s;

	for (uint32_t i = 0; i < s->rsp_len; i++)
		c->buffer[i] = s->rsp[i];
	/* the bytes before START reads 0 */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	s->start &= ~CRB_EXECUTING;
}

void crb_abort(struct crb *c)
{
	crb_complete(c, NULL, 0);
}

void crb_fail(struct crb *c)
{
	c->s->failed = 1;
	crb_abort(c);
}
