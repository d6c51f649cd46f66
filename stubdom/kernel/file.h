/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: the devices of /dev/xen, the standard three, and a page of figures. */
#ifndef STUB_FILE_H
#define STUB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/compiler.h"

#define FILE_MAX 32

/* The kinds of stat()'s st_mode, which the headers keep from code beside glibc's. */
#define FILE_CHARACTER 0020000
#define FILE_REGULAR   0100000

struct file;

/* A function that is NULL answers as Linux does for such a file.  Addresses are the
 * program's; sizes were bounded to INT_MAX. */
struct file_ops {
	uint64_t mode; /* FILE_* and permissions, for stat() */
	int (*open)(struct file *f);
	void (*close)(struct file *f);
	long (*read)(struct file *f, uint64_t to, size_t n);
	long (*write)(struct file *f, uint64_t from, size_t n);
	long (*ioctl)(struct file *f, uint32_t request, uint64_t argument);
	long (*mmap)(struct file *f, uint64_t hint, uint64_t size, unsigned int rights,
		     uint64_t offset);
	/* POLLIN, POLLOUT, POLLERR: what holds now, after evtchn_scan(). */
	unsigned int (*poll)(struct file *f);
};

struct file {
	const struct file_ops *ops; /* NULL: closed */
	void *state;		    /* the device's; usually one page */
	uint64_t position;
	bool nonblocking;
	bool close_on_exec;
};

/* Opens 0 (empty), 1 and 2 (the console). */
void file_init(void);
/* NULL: not an open file. */
struct file *file_get(uint64_t fd);
/* Ends the program's hold on everything: mappings first, event channels last, so
 * that the unmap notifications reach the peers. */
void file_close_all(void);
/* The operations of a device path, or NULL. */
const struct file_ops *file_lookup(const char *path);
/* A zeroed page as f->state, and its return. */
int __must_check file_alloc_state(struct file *f);
void file_free_state(struct file *f);

/* The system calls. */
long file_openat(uint64_t dir, uint64_t path, uint64_t flags);
long file_close(uint64_t fd);
long file_read(uint64_t fd, uint64_t to, uint64_t n);
long file_write(uint64_t fd, uint64_t from, uint64_t n);
long file_readv(uint64_t fd, uint64_t vector, uint64_t n);
long file_writev(uint64_t fd, uint64_t vector, uint64_t n);
long file_ioctl(uint64_t fd, uint64_t request, uint64_t argument);
long file_fcntl(uint64_t fd, uint64_t command, uint64_t argument);
long file_lseek(uint64_t fd);
long file_fstat(uint64_t fd, uint64_t to);
long file_statat(uint64_t dir, uint64_t path, uint64_t to, uint64_t flags);
long file_access(uint64_t path);
long file_readlink(uint64_t path, uint64_t to, uint64_t size);
long file_poll(uint64_t fds, uint64_t n, uint64_t until);

/* The devices, each in the file of its name. */
extern const struct file_ops console_ops, null_ops, evtchndev_ops, gntdev_ops,
	gntalloc_ops, xenbus_ops, counters_ops, watchdog_ops;

#endif
