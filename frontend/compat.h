/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels, and what the headers package leaves out.
 *
 * drivers/char/tpm/tpm.h declares the interface between the TPM core and its
 * drivers, but is not installed with the headers.  The symbols are exported and
 * these are their types from 6.1 to this day; where one changes, modpost's symbol
 * versions refuse the module instead of letting it crash.
 */
#ifndef XEN_TPMFRONT_COMPAT_H
#define XEN_TPMFRONT_COMPAT_H

#include <linux/tpm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "xen-tpmfront needs Linux 6.1 or later; use the driver of your kernel"
#endif

struct tpm_chip *tpm_chip_alloc(struct device *parent, const struct tpm_class_ops *ops);
int tpm_chip_register(struct tpm_chip *chip);
void tpm_chip_unregister(struct tpm_chip *chip);
int tpm_chip_start(struct tpm_chip *chip);
void tpm_chip_stop(struct tpm_chip *chip);
int tpm2_probe(struct tpm_chip *chip);
unsigned long tpm_calc_ordinal_duration(struct tpm_chip *chip, u32 ordinal);
int tpm_pm_suspend(struct device *dev);
int tpm_pm_resume(struct device *dev);

/* The arguments of tpm_class_ops.send: 6.17 put the size of the buffer before the
 * length of the command. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define COMPAT_SEND_ARGS struct tpm_chip *chip, u8 *buf, size_t size, size_t len
#else
#define COMPAT_SEND_ARGS struct tpm_chip *chip, u8 *buf, size_t len
#endif

#endif
