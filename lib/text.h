/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of others (a manager, a KMS, a certificate, a file, another program) on its way to
 * a terminal, the journal, the audit log or JSON: printable UTF-8.  It is made so where
 * it comes in; what is not printable becomes '?'.
 *
 * Not printable are bytes that are no UTF-8 (RFC 3629), the control characters (with
 * which a terminal is told what to do), line and paragraph separators, characters without
 * width, and those that change the direction of what follows.
 */
#ifndef XVTPM_LIB_TEXT_H
#define XVTPM_LIB_TEXT_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes at most room - 1 bytes and a zero; a character that does not fit as a whole, and
 * all after it, is left out. out may be in: it never gets longer. */
void text_clean(char *out, size_t room, const void *in, size_t len);
/* Whether text_clean() would change nothing. */
bool __must_check text_is_clean(const void *in, size_t len);
/* The first line of a configuration file, from 1, in which text_clean() would change something
 * outside of a comment (# outside of quotes), but tabs and ends of lines, or that writes a
 * character in quotes as an escape, which may stand for such a one; 0: there is none. */
unsigned int text_unclean_line(const char *text, size_t len);
/* Whether text_clean() would change nothing of these arguments of a program, which its sentences
 * quote.  If not, out gets the first that it would change, cleaned. */
bool __must_check text_are_clean(int count, char *const words[], char *out, size_t room);

/* out has room for 2 * len + 1. */
void hex_encode(const uint8_t *in, size_t len, char *out);
/* *len: in, room; out, bytes. -EINVAL for odd or other digits, -ENOSPC. */
int __must_check hex_decode(const char *in, uint8_t *out, size_t *len);

/* RFC 4648, section 5, without padding, as RFC 9711 wants bytes in JSON. */

/* Characters for n bytes, without the terminating zero. */
#define BASE64URL_SIZE(n) (((n)*4 + 2) / 3)

/* out has room for BASE64URL_SIZE(len) + 1. */
void base64url_encode(const uint8_t *in, size_t len, char *out);
/* *len: in, room; out, bytes.  Each byte string has one encoding: others, with bits that
 * carry nothing set, are refused.  -EINVAL, -ENOSPC */
int __must_check base64url_decode(const char *in, uint8_t *out, size_t *len);

/*
 * Times as texts, "2026-01-31T12:00:00.250Z": UTC, and in the order of strcmp().  They tell
 * people when something was; the time of day can be set, so no duration is taken from them.
 */

#define STAMP_SIZE 32

void stamp_now(char out[STAMP_SIZE]);
/* Whether a text is such a time; the fraction may be left out. */
bool stamp_ok(const char *text);
/* Whether a was surely later than b.  Of times without fraction in one second: no. */
bool stamp_later(const char *a, const char *b);
/* Whether what is stamped so was surely done since that time, and before now.  A stamp that
 * lies ahead was made by a clock that was wrong, and proves nothing. */
bool stamp_since(const char *stamp, const char *since, const char *now);

/* Milliseconds of CLOCK_MONOTONIC, never 0: what durations are measured with. */
int64_t stamp_ms(void);

/*
 * The addresses of one KMS, in the order in which they are tried: HOST:PORT, or
 * several of them with commas between, as host.json and CONFIG_KMS_ADDRESS have
 * them.  An IPv6 address stands in brackets.
 */

#define ADDRESS_MAX  272 /* one, with its zero */
#define ADDRESSES    4	 /* at most, so that a start that tries all ends in time */
#define ADDRESS_LIST (ADDRESSES * ADDRESS_MAX)

/* The n-th, from 0; -ENOENT: there are not so many, -EINVAL: it is no address. */
int __must_check address_nth(const char *list, unsigned int n, char out[ADDRESS_MAX]);
/* How many there are; 0: the list is not usable. */
unsigned int address_count(const char *list);

#endif
