/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vTPM front in user space, for tests: it stands in dom0, plays the toolstack and
 * the guest's driver for a backend in domain `backend`, and lets its user break
 * every rule.  Its device number is far from any that xl gives out.
 */
#ifndef XVTPM_HOSTILE_FRONT_H
#define XVTPM_HOSTILE_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define FRONT_DEVID 77
#define FRONT_EXTRA 2

enum { FRONT_IDLE, FRONT_SUBMIT, FRONT_FINISH, FRONT_CANCEL };

struct front {
	struct xs_handle *xs;
	void *gntshr; /* xengntshr_handle */
	struct xenevtchn_handle *evtchn;
	uint32_t backend; /* the domain that the vTPM lives in */
	unsigned int devid;
	char leaf[96]; /* the backend's folder */
	char dir[96];  /* our own */
	volatile uint8_t *page;
	uint32_t ref, port;
	uint8_t *extra; /* FRONT_EXTRA pages */
	uint32_t extra_refs[FRONT_EXTRA];
};

/* Opens the devices, grants the pages, makes the port; says on stderr what failed. */
int __must_check front_open(struct front *f, uint32_t backend, unsigned int devid);
void front_close(struct front *f);

/* The toolstack's part: both folders, as libxl writes them, with nothing of an earlier front
 * in them. */
int __must_check front_create(struct front *f, const char *uuid);
/* online = 0, our folder gone; waits until the backend has removed its leaf.  -ESRCH: the
 * backend's domain is gone. */
int __must_check front_destroy(struct front *f);

/* Whether the backend refuses the device: within ms milliseconds its state is gone and its
 * node error has these words.  The toolstack's part then: both folders are removed. */
bool front_refused(struct front *f, const char *words, unsigned int ms);

void front_write(struct front *f, const char *name, const char *value);
void front_write_number(struct front *f, const char *name, uint32_t value);
/* Whether there is a domain that has the backend's number. */
bool front_backend_lives(struct front *f);
/* The backend's state, 0 when there is none. */
int front_backend_state(struct front *f);
/* Waits for it; false after ms milliseconds. */
bool front_wait_state(struct front *f, int state, unsigned int ms);
/* The driver's part: writes the three nodes and state 3, waits for Connected. */
int __must_check front_connect(struct front *f);

/* Writes the header, state last, and notifies. */
void front_submit(struct front *f, uint32_t length, uint8_t locality, uint8_t nr_extra);
void front_notify(struct front *f);
uint8_t front_state(const struct front *f);
/* Waits for FINISH or IDLE; false after ms milliseconds. */
bool front_wait_done(struct front *f, unsigned int ms);
/* The TPM response code behind nr_extra references; UINT32_MAX: not a response. */
uint32_t front_code(const struct front *f, uint8_t nr_extra);
uint32_t front_length(const struct front *f);

/* A share of one page with domain domid; the reference. */
int __must_check front_share(struct front *f, uint32_t domid, bool writable,
			     uint32_t *ref);

#endif
