/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that tries the stub domain's kernel out from inside: an ordinary static
 * Linux program, started by xl as the ramdisk= of a domain.  Prints TAP.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line of TAP; returns `holds`. */
bool probe_ok(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line beside the tests. */
void probe_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct probe_figures {
	uint64_t hypercalls, notifications, uptime_ns, free_kib;
};
/* Reads /proc/xen-stub: 0 or -1. */
int probe_figures(struct probe_figures *f);

/* The groups of tests. */
void probe_memory(void);
void probe_pointers(void);
void probe_calls(void);
void probe_flags(void);
void probe_places(void);
void probe_store(void);
void probe_devices(void);
/* Serves one client at "data/probe"; checks what a message costs. */
void probe_vchan(void);
/* In dom0: sends `count` messages to domain domid's probe_vchan(). */
int probe_vchan_client(int domid, int count);
/* Ends the domain in the way of this name; returns if there is no such way. */
void probe_crash(const char *way);

#endif
