/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `xl migrate` and `xl migrate-receive` say to each other, recognised as it passes by; no
 * I/O.  The sender's bytes are a saved domain, whose records tell where it ends, then the word
 * that lets the receiver start it.  The receiver's are plain texts alone.  So each text can be
 * held back, and nothing but the domain passes before its time, however it is cut into pieces.
 * Of the records only the lengths are read.
 */
#ifndef XVTPM_VTPMCTL_XLGATE_H
#define XVTPM_VTPMCTL_XLGATE_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xlgate_text {
	XLGATE_NONE,
	XLGATE_BANNER, /* receiver: send the domain */
	XLGATE_READY,  /* receiver: it is all there */
	XLGATE_GO, /* sender: start it; receiver: its copy is gone, go on with yours */
	XLGATE_REPORT, /* receiver: and one byte, 0: it runs */
};

/* Its bytes, as xl writes them; of a report without the last. */
const uint8_t *xlgate_bytes(enum xlgate_text text, size_t *len);

/* Zeroes: nothing has come yet. */
struct xlgate_stream {
	uint8_t part;	  /* enum xlgate_part */
	uint8_t head[48]; /* of that part, the first bytes */
	size_t have;
	uint64_t skip; /* bytes that mean nothing here */
	size_t go;     /* of GO, which have come */
};

/* The sender's next bytes; the first *pass of them are the domain's.  *go: the last of GO has
 * come.  -EBADMSG: it is no domain, or something else follows it. */
int __must_check xlgate_stream_take(struct xlgate_stream *s, const uint8_t *p, size_t n,
				    size_t *pass, bool *go);
/* Whether the domain has come as a whole. */
bool xlgate_stream_ended(const struct xlgate_stream *s);

/* Zeroes: nothing has come yet. */
struct xlgate_answer {
	enum xlgate_text last; /* that came, as a whole */
	size_t have;	       /* of the next */
	uint8_t code;	       /* of the report */
};

/* The receiver's next bytes, up to the end of a text: *used of them.  *found is that text, or
 * XLGATE_NONE: more has to come.  -EBADMSG: it is not what is due. */
int __must_check xlgate_answer_take(struct xlgate_answer *a, const uint8_t *p, size_t n,
				    size_t *used, enum xlgate_text *found);

#endif
