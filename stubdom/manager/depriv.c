/* SPDX-License-Identifier: Apache-2.0 */
#include "depriv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#define ADDRESSES_MAX	(64u << 20)
#define DESCRIPTORS_MAX 64

/* What libtpms, OpenSSL, libxen* and glibc call once all is open. */
static const int calls[] = {
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(accept4),
	SCMP_SYS(close),
	SCMP_SYS(munmap),
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sysinfo),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Of vtpm-crb: a mapping of its guest's RAM, to which the file is restricted. */
static const unsigned long crb_requests[] = {
	IOCTL_EVTCHN_NOTIFY,
	IOCTL_PRIVCMD_MMAPBATCH_V2,
};

/* Of a manager: /dev/xen/evtchn and /dev/xen/gntdev. */
static const unsigned long requests[] = {
	IOCTL_EVTCHN_NOTIFY,	      IOCTL_EVTCHN_BIND_INTERDOMAIN,
	IOCTL_EVTCHN_UNBIND,	      IOCTL_GNTDEV_MAP_GRANT_REF,
	IOCTL_GNTDEV_UNMAP_GRANT_REF, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR,
};

/* Takes a decimal that is not 0, nor -1, which set*id() takes for "as it is". */
static bool take_id(const char **at, char end, unsigned int *id)
{
	uint64_t v = 0;
	size_t n;

	for (n = 0; n < 10 && **at >= '0' && **at <= '9'; n++, ++*at)
		v = v * 10 + (uint64_t)(**at - '0');
	*id = (unsigned int)v;
	return n && *(*at)++ == end && v > 0 && v < UINT32_MAX;
}

bool depriv_parse(const char *text, struct depriv_user *user)
{
	return take_id(&text, ':', &user->uid) && take_id(&text, '\0', &user->gid);
}

static int lead_nowhere(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), rc = 0, i;

	if (fd < 0)
		return -errno;
	for (i = STDIN_FILENO; i <= STDERR_FILENO && !rc; i++)
		if (fd != i && dup2(fd, i) < 0)
			rc = -errno;
	if (fd > STDERR_FILENO)
		close(fd);
	return rc;
}

/* Takes an empty root: nothing of the host is left in this mount namespace. */
static int leave_files(void)
{
	/* gmtime() would read it later */
	tzset();
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/tmp", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=4k,nr_inodes=1,mode=0555") ||
	    chdir("/tmp") || syscall(SYS_pivot_root, ".", ".") ||
	    umount2(".", MNT_DETACH) || chdir("/"))
		return -errno;
	return 0;
}

static int limit(int resource, rlim_t max)
{
	const struct rlimit r = {.rlim_cur = max, .rlim_max = max};

	return setrlimit((__rlimit_resource_t)resource, &r) ? -errno : 0;
}

static int limit_all(void)
{
	int rc = limit(RLIMIT_CORE, 0);

	if (!rc)
		rc = limit(RLIMIT_FSIZE, 0);
	if (!rc)
		rc = limit(RLIMIT_NPROC, 0);
	if (!rc)
		rc = limit(RLIMIT_MSGQUEUE, 0);
	if (!rc)
		rc = limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
	return rc ? rc : limit(RLIMIT_AS, ADDRESSES_MAX);
}

/* Drops each capability that the kernel knows from what this process can ever have. */
static int empty_bounding_set(void)
{
	unsigned long cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return -errno;
	return 0;
}

static int leave_root(const struct depriv_user *user, bool bound)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	int rc = empty_bounding_set();

	if (rc)
		return rc;
	if (setgroups(0, NULL) || setresgid(user->gid, user->gid, user->gid) ||
	    setresuid(user->uid, user->uid, user->uid) ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
	    syscall(SYS_capset, &head, none) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    /* another user had it set to what fs.suid_dumpable says */
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    /* ... and took back what vtpmd had set */
	    (bound && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)))
		return -errno;
	return setuid(0) == 0 ? -EPERM : 0;
}

/* Allows mmap and mprotect, but of code; abort() of this process; the ioctls of Xen. */
static int allow_some(scmp_filter_ctx f, const unsigned long *ioctls, size_t count)
{
	const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	size_t i;
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code);

	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code);
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	for (i = 0; i < count && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				      SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
	return rc;
}

static int install_filter(const unsigned long *ioctls, size_t count)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	size_t i;
	int rc = 0;

	if (!f)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(calls) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
	if (!rc)
		rc = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!rc)
		rc = allow_some(f, ioctls, count);
	if (!rc)
		rc = seccomp_load(f);
	seccomp_release(f);
	return rc;
}

static int failed(struct error *e, int rc, const char *what)
{
	return error_set(
		e, rc, error_of_host(rc),
		"It could not give up its rights (%s: %s): vtpmd has to "
		"run as root, with the capabilities that vtpmd.service gives it, "
		"on a kernel with name spaces and seccomp.",
		what, strerror(-rc));
}

static int give_up_rights(const struct depriv_user *user, bool bound,
			  const unsigned long *ioctls, size_t count, struct error *e)
{
	int rc;

#ifdef __SANITIZE_ADDRESS__
	return 0;
#endif
	rc = lead_nowhere();
	if (rc)
		return failed(e, rc, "/dev/null");
	rc = leave_files();
	if (rc)
		return failed(e, rc, "an empty root");
	rc = limit_all();
	if (rc)
		return failed(e, rc, "limits");
	rc = leave_root(user, bound);
	if (rc)
		return failed(e, rc, "user and capabilities");
	rc = install_filter(ioctls, count);
	return rc ? failed(e, rc, "seccomp") : 0;
}

int depriv(const struct depriv_user *user, struct error *e)
{
	return give_up_rights(user, true, requests, ARRAY_SIZE(requests), e);
}

int depriv_crb(const struct depriv_user *user, struct error *e)
{
	return give_up_rights(user, false, crb_requests, ARRAY_SIZE(crb_requests), e);
}
