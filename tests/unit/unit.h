/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes: cmocka in the order that it asks for. */
#ifndef XVTPM_UNIT_H
#define XVTPM_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
