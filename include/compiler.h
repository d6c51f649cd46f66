/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_COMPILER_H
#define XVTPM_COMPILER_H

#define __must_check  __attribute__((warn_unused_result))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
