/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/user.h"

size_t copy_bytes(void *to, const void *from, size_t n);

bool user_range(uint64_t at, uint64_t n)
{
	return at >= LAYOUT_USER_BOTTOM && at < LAYOUT_USER_TOP &&
	       n <= LAYOUT_USER_TOP - at;
}

int copy_from_user(void *to, uint64_t from, size_t n)
{
	if (!n)
		return 0;
	if (!user_range(from, n))
		return -EFAULT;
	return copy_bytes(to, (const void *)from, n) ? -EFAULT : 0;
}

int copy_to_user(uint64_t to, const void *from, size_t n)
{
	if (!n)
		return 0;
	if (!user_range(to, n))
		return -EFAULT;
	return copy_bytes((void *)to, from, n) ? -EFAULT : 0;
}

int copy_text_from_user(char *to, uint64_t from, size_t size)
{
	/*@ loop invariant 0 <= i <= size;
	    loop assigns i, to[0 .. size - 1];
	    loop variant size - i; */
	for (size_t i = 0; i < size; i++) {
		int rc = copy_from_user(&to[i], from + i, 1);

		if (rc || !to[i])
			return rc;
	}
	return -ENAMETOOLONG;
}
