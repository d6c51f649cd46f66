/* SPDX-License-Identifier: Apache-2.0 */
/* The one program: loaded from the boot module, started in ring 3, ended. */
#ifndef STUB_PROCESS_H
#define STUB_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#define PROCESS_NAME "manager" /* argv[0] */
#define PROCESS_PATH "/vtpm-manager"

/* Maps the ELF file at physical address pa and runs it with the words of `arguments`
 * as argv[1] and so on.  The file's pages become the program's, or free memory. */
void process_run(uint64_t pa, size_t size, char *arguments) __attribute__((noreturn));
/* Lets go of everything; 0: SHUTDOWN_poweroff, any other status: SHUTDOWN_crash. */
void process_exit(int status) __attribute__((noreturn));
/* Ends all that the program has of devices, and the domain. */
void process_end(unsigned int reason) __attribute__((noreturn));
/* Nanoseconds since the kernel's first instruction. */
uint64_t process_uptime(void);

#endif
