/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/crb/crb.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <stdatomic.h>
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

/*@ requires \valid_read(s);
    assigns \nothing;
    ensures \result <==> crb_executes(s); */
static bool is_executing(const struct crb_state *s)
{
	return s->start & CRB_EXECUTING;
}

/*@ requires \valid(s);
    assigns s->rsp_len, s->rsp[0 .. CRB_BUFFER_MAX - 1];
    ensures s->rsp_len == 0; */
static void forget_response(struct crb_state *s)
{
	s->rsp_len = 0;
	explicit_bzero(s->rsp, sizeof(s->rsp));
}

/* A guest that reads 0 has the response in its RAM, and may write there from now on. */
/*@ requires \valid(s);
    assigns s->rsp_len, s->rsp[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_executes(s) ==> s->rsp_len == \old(s->rsp_len);
    ensures !crb_executes(s) ==> s->rsp_len == 0; */
static uint32_t read_start(struct crb_state *s)
{
	if (!is_executing(s) && s->rsp_len)
		forget_response(s);
	return s->start & CRB_EXECUTING;
}

/*@ requires crb_holds(c);
    assigns \nothing; */
static uint32_t read_location(const struct crb *c)
{
	uint32_t v = STATE_VALID | STATE_NO_LAUNCH;

	if (c->s->active != CRB_NO_LOCALITY)
		v |= STATE_ASSIGNED | (uint32_t)c->s->active << STATE_LOCALITY;
	return v;
}

/*@ requires crb_holds(c) && locality < CRB_LOCALITIES;
    assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures crb_kept{Pre, Post}(c); */
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

/*@ requires crb_holds(c);
    assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures crb_kept{Pre, Post}(c); */
static uint8_t read_byte(const struct crb *c, uint32_t at)
{
	uint32_t locality = at / CRB_PAGE, off = at % CRB_PAGE;

	if (locality >= CRB_LOCALITIES)
		return 0xff;
	if (off >= DATA)
		return c->s->active == locality ? c->buffer[off - DATA] : 0xff;
	return (uint8_t)(read_register(c, locality, off - off % 4) >> off % 4 * 8);
}

uint64_t crb_read(const struct crb *c, uint32_t at, unsigned int size)
{
	uint64_t v = 0;

	/*@ loop invariant 0 <= i <= 8 && crb_holds(c) && crb_kept{Pre, Here}(c);
	    loop assigns i, v, c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
	    loop variant 8 - i; */
	for (unsigned int i = 0; i < size && i < 8; i++)
		v |= (uint64_t)read_byte(c, at + i) << i * 8;
	return v;
}

/*@ requires \valid_read(c) && locality < CRB_LOCALITIES;
    assigns \nothing;
    ensures \result <==> crb_may(c, locality); */
static bool is_allowed(const struct crb *c, unsigned int locality)
{
	return locality != CRB_LOCALITY_HARDWARE && c->localities >> locality & 1;
}

bool crb_is_sound(const struct crb *c)
{
	const struct crb_state *s = c->s;

	if (s->rsp_len > sizeof(s->rsp))
		return false;
	if (s->active == CRB_NO_LOCALITY)
		return !is_executing(s);
	return s->active < CRB_LOCALITIES && is_allowed(c, s->active);
}

/*@ requires \valid(s) && locality < CRB_LOCALITIES;
    assigns s->active, s->pending, s->seized;
    ensures s->active == locality; */
static void assign(struct crb_state *s, unsigned int locality)
{
	s->pending &= (uint8_t) ~(1u << locality);
	s->seized &= (uint8_t) ~(1u << locality);
	s->active = (uint8_t)locality;
}

/* The highest locality that has asked gets the TPM. */
/*@ requires crb_holds(c) && !crb_executes(c->s);
    assigns c->s->active, c->s->pending, c->s->seized;
    ensures crb_holds(c); */
static void relinquish(struct crb *c)
{
	struct crb_state *s = c->s;

	s->active = CRB_NO_LOCALITY;
	/*@ loop invariant 0 <= n <= CRB_LOCALITIES && s->active == CRB_NO_LOCALITY;
	    loop assigns n;
	    loop variant n; */
	for (unsigned int n = CRB_LOCALITIES; n > 0; n--)
		if (s->pending >> (n - 1) & 1 && is_allowed(c, n - 1)) {
			assign(s, n - 1);
			return;
		}
}

/* What executes ends for the locality that sent it. */
/*@ requires crb_holds(c) && locality < CRB_LOCALITIES;
    assigns c->s->active, c->s->pending, c->s->seized;
    ensures crb_holds(c);
    ensures crb_executes(c->s) ==> c->s->active == \old(c->s->active); */
static void give_up(struct crb *c, unsigned int locality)
{
	struct crb_state *s = c->s;

	s->pending &= (uint8_t) ~(1u << locality);
	if (s->active == locality && !is_executing(s))
		relinquish(c);
}

/*@ requires crb_holds(c) && crb_may(c, locality);
    assigns c->s->active, c->s->pending, c->s->seized;
    ensures crb_holds(c);
    ensures crb_executes(c->s) ==> c->s->active == \old(c->s->active); */
static void seize(struct crb *c, unsigned int locality)
{
	struct crb_state *s = c->s;

	if (s->active == CRB_NO_LOCALITY) {
		assign(s, locality);
	} else if (s->active < locality && !is_executing(s)) {
		s->seized |= (uint8_t)(1u << s->active);
		assign(s, locality);
	}
}

/*@ requires crb_holds(c) && crb_may(c, locality);
    assigns c->s->active, c->s->pending, c->s->seized;
    ensures crb_holds(c);
    ensures \old(c->s->active) != CRB_NO_LOCALITY ==> c->s->active == \old(c->s->active); */
static void request(struct crb *c, unsigned int locality)
{
	struct crb_state *s = c->s;

	if (s->active == CRB_NO_LOCALITY)
		assign(s, locality);
	else if (s->active != locality)
		s->pending |= (uint8_t)(1u << locality);
}

/*@ requires crb_holds(c) && locality < CRB_LOCALITIES;
    assigns c->s->active, c->s->pending, c->s->seized;
    ensures crb_holds(c);
    ensures crb_kept{Pre, Post}(c); */
static void write_location(struct crb *c, unsigned int locality, uint32_t v)
{
	if (!is_allowed(c, locality))
		return;
	if (v & CTRL_RELINQUISH)
		give_up(c, locality);
	else if (v & CTRL_SEIZE)
		seize(c, locality);
	else if (v & CTRL_REQUEST)
		request(c, locality);
}

/*@ requires \valid(s) && \valid_read(rsp + (0 .. len - 1)) && len <= CRB_BUFFER_MAX;
    requires \separated(s, rsp + (0 .. len - 1));
    assigns s->rsp_len, s->rsp[0 .. CRB_BUFFER_MAX - 1];
    ensures s->rsp_len == len; */
static void keep_response(struct crb_state *s, const uint8_t *rsp, size_t len)
{
	memcpy(s->rsp, rsp, len);
	s->rsp_len = (uint32_t)len;
}

/*@ requires \valid(s);
    assigns s->rsp_len, s->rsp[0 .. CRB_BUFFER_MAX - 1];
    ensures s->rsp_len == TPM_HEADER; */
static void keep_code(struct crb_state *s, uint32_t code)
{
	uint8_t rsp[TPM_HEADER];
	struct cursor w = cursor_writer(rsp, sizeof(rsp));

	cursor_put_u16(&w, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&w, sizeof(rsp));
	cursor_put_u32(&w, code);
	keep_response(s, rsp, sizeof(rsp));
}

/*@ requires \valid(to + (0 .. n - 1)) && \valid_read(from + (0 .. n - 1));
    requires \separated(to + (0 .. n - 1), from + (0 .. n - 1));
    assigns to[0 .. n - 1]; */
static void copy_in(uint8_t *to, const volatile uint8_t *from, size_t n)
{
	/*@ loop invariant 0 <= i <= n;
	    loop assigns i, to[0 .. n - 1];
	    loop variant n - i; */
	for (size_t i = 0; i < n; i++)
		to[i] = from[i];
}

/* Copies the command's header out of the buffer.  Returns the size that it tells, or 0:
 * no command can have that one. */
/*@ requires crb_apart(c) && \valid(cmd + (0 .. CRB_BUFFER_MAX - 1));
    requires \separated(cmd + (0 .. CRB_BUFFER_MAX - 1), c,
			c->buffer + (0 .. CRB_BUFFER_MAX - 1));
    assigns cmd[0 .. TPM_HEADER - 1];
    ensures \result == 0 || TPM_HEADER <= \result <= CRB_BUFFER_MAX; */
static uint32_t take_header(const struct crb *c, uint8_t *cmd)
{
	struct cursor r;
	uint32_t size;

	copy_in(cmd, c->buffer, TPM_HEADER);
	r = cursor_reader(cmd, TPM_HEADER);
	(void)cursor_u16(&r); /* tag */
	size = cursor_u32(&r);
	return size >= TPM_HEADER && size <= CRB_BUFFER_MAX ? size : 0;
}

/* START: the command is copied once; its size is that of the copied header. */
/*@ requires crb_holds(c) && crb_calls(c) && !crb_executes(c->s);
    requires c->s->active != CRB_NO_LOCALITY;
    assigns c->s->cancel, c->s->locality, c->s->start;
    assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    assigns c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c) && c->s->locality == c->s->active; */
static void execute(struct crb *c)
{
	struct crb_state *s = c->s;
	uint8_t cmd[CRB_BUFFER_MAX];
	uint32_t size = take_header(c, cmd);

	forget_response(s);
	s->cancel = 0;
	s->locality = s->active;
	if (s->failed || !size) {
		keep_code(s, s->failed ? TPM2_RC_FAILURE : TPM2_RC_COMMAND_SIZE);
		s->start = c->vcpu << 1;
		crb_deliver(c);
		return;
	}
	copy_in(cmd + TPM_HEADER, c->buffer + TPM_HEADER, size - TPM_HEADER);
	/*@ calls axiom_crb_prepare; */
	c->ops->prepare(c->ctx, s->locality, cmd, size);
	s->start = c->vcpu << 1 | CRB_EXECUTING;
	/*@ calls axiom_crb_send; */
	c->ops->send(c->ctx);
	explicit_bzero(cmd, size);
}

/*@ requires \valid(s);
    assigns s->ready, s->rsp_len, s->rsp[0 .. CRB_BUFFER_MAX - 1];
    ensures s->rsp_len == 0 || s->rsp_len == \old(s->rsp_len);
    ensures crb_executes(s) ==> s->ready == \old(s->ready) && s->rsp_len == \old(s->rsp_len); */
static void write_request(struct crb_state *s, uint32_t v)
{
	if (is_executing(s))
		return;
	if (v & (REQ_CMD_READY | REQ_GO_IDLE))
		forget_response(s);
	if (v & REQ_CMD_READY)
		s->ready = 1;
	else if (v & REQ_GO_IDLE)
		s->ready = 0;
}

/*@ requires crb_holds(c) && crb_calls(c);
    assigns c->s->cancel; */
static void write_cancel(struct crb *c, uint32_t v)
{
	if (is_executing(c->s) && (v & CANCEL_BIT) && !c->s->cancel)
		/*@ calls axiom_crb_cancel; */
		c->ops->cancel(c->ctx);
	c->s->cancel = v & CANCEL_BIT;
}

/*@ requires crb_holds(c) && crb_calls(c);
    requires c->s->active != CRB_NO_LOCALITY;
    assigns c->s->ready, c->s->cancel, c->s->locality, c->s->start;
    assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    assigns c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures crb_kept{Pre, Post}(c); */
static void write_start(struct crb *c, uint32_t v)
{
	if (!(v & START_BIT) || is_executing(c->s))
		return;
	c->s->ready = 1;
	execute(c);
}

/*@ requires crb_holds(c) && crb_calls(c);
    requires c->s->active != CRB_NO_LOCALITY;
    assigns c->s->ready, c->s->cancel, c->s->locality, c->s->start, c->s->int_enable;
    assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    assigns c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures crb_kept{Pre, Post}(c); */
static void write_control(struct crb *c, uint32_t reg, uint32_t v)
{
	switch (reg) {
	case CTRL_REQ:
		write_request(c->s, v);
		break;
	case CTRL_CANCEL:
		write_cancel(c, v);
		break;
	case CTRL_START:
		write_start(c, v);
		break;
	case INT_ENABLE:
		c->s->int_enable = v & INT_ENABLE_MASK;
		break;
	}
}

/* The buffer is the guest's to write through its window when it may be in its RAM. */
/*@ requires crb_holds(c) && off < CRB_BUFFER_MAX;
    assigns c->buffer[off]; */
static void write_data(struct crb *c, unsigned int locality, uint32_t off, uint8_t v)
{
	const struct crb_state *s = c->s;

	if (s->active == locality && s->ready && !is_executing(s))
		c->buffer[off] = v;
}

/* Writes the bytes of one word, a register's or one of the window's. */
/*@ requires crb_holds(c) && crb_calls(c);
    requires locality < CRB_LOCALITIES && off < CRB_PAGE && 1 <= n <= 4 - off % 4;
    assigns c->s->active, c->s->pending, c->s->seized, c->s->ready, c->s->cancel;
    assigns c->s->locality, c->s->start, c->s->int_enable;
    assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
    assigns c->buffer[0 .. CRB_BUFFER_MAX - 1];
    ensures crb_holds(c);
    ensures crb_kept{Pre, Post}(c); */
static void write_word(struct crb *c, unsigned int locality, uint32_t off, unsigned int n,
		       uint32_t v)
{
	uint32_t in_word = off % 4;

	if (off >= DATA) {
		/*@ loop invariant 0 <= i <= n;
		    loop assigns i, c->buffer[0 .. CRB_BUFFER_MAX - 1];
		    loop variant n - i; */
		for (unsigned int i = 0; i < n; i++)
			write_data(c, locality, off - DATA + i, (uint8_t)(v >> i * 8));
	} else if (off - in_word == LOC_CTRL) {
		write_location(c, locality, v << in_word * 8);
	} else if (c->s->active == locality) {
		write_control(c, off - in_word, v << in_word * 8);
	}
}

/* A write of some bytes of a register writes 0 to the others, which all of them take for
 * nothing. */
void crb_write(struct crb *c, uint32_t at, unsigned int size, uint64_t value)
{
	unsigned int end = size < 8 ? size : 8, n;

	/*@ loop invariant 0 <= i <= end && end <= 8;
	    loop invariant crb_holds(c) && crb_calls(c) && crb_kept{Pre, Here}(c);
	    loop assigns i, n;
	    loop assigns c->s->active, c->s->pending, c->s->seized, c->s->ready, c->s->cancel;
	    loop assigns c->s->locality, c->s->start, c->s->int_enable;
	    loop assigns c->s->rsp_len, c->s->rsp[0 .. CRB_BUFFER_MAX - 1];
	    loop assigns c->buffer[0 .. CRB_BUFFER_MAX - 1];
	    loop variant end - i; */
	for (unsigned int i = 0; i < end; i += n) {
		uint32_t locality = (at + i) / CRB_PAGE, off = (at + i) % CRB_PAGE;

		n = 4 - off % 4 < end - i ? 4 - off % 4 : end - i;
		if (locality < CRB_LOCALITIES)
			write_word(c, locality, off, n,
				   (uint32_t)(value >> i * 8) &
					   UINT32_MAX >> (4 - n) * 8);
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

	/*@ loop invariant 0 <= i <= s->rsp_len;
	    loop assigns i, c->buffer[0 .. CRB_BUFFER_MAX - 1];
	    loop variant s->rsp_len - i; */
	for (uint32_t i = 0; i < s->rsp_len; i++)
		c->buffer[i] = s->rsp[i];
	/* the bytes before START reads 0 */
	atomic_thread_fence(memory_order_release);
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
