/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/xl.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void be_xl(char *const argv[], int out)
{
	int null = out >= 0 ? open("/dev/null", O_WRONLY) : -1;

	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	execvp(argv[0], argv);
	if (out < 0)
		fprintf(stderr,
			"vtpmctl: xl cannot be run: %s; `apt install xen-system-amd64` "
			"brings it\n",
			strerror(errno));
	_exit(XL_MISSING);
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		fprintf(stderr, "vtpmctl: xl cannot be run: %s\n", strerror(errno));
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : VTPMCTL_FAILED;
}

/* xl ends with the absolute value of libxl's error: 3 for ERROR_FAIL, 5 for ERROR_NOMEM, ... */
static int status_of_xl(int status)
{
	if (!status)
		return VTPMCTL_OK;
	return status == XL_MISSING ? VTPMCTL_NOT_CONFIGURED : VTPMCTL_XL;
}

int xl_run(char *const argv[], int out)
{
	int status;

	/* signals from the terminal are for xl; what comes of it is its exit status */
	void (*interrupt)(int) = signal(SIGINT, SIG_IGN);
	void (*quit)(int) = signal(SIGQUIT, SIG_IGN);
	pid_t pid = fork();

	if (!pid) {
		signal(SIGINT, interrupt);
		signal(SIGQUIT, quit);
		/* vtpmctl ignores it, and xl would inherit that */
		signal(SIGPIPE, SIG_DFL);
		be_xl(argv, out);
	}
	status = wait_for(pid);
	return out < 0 ? status_of_xl(status) : status;
}

/* Whether /proc/PID/stat is of a child of this process that is an xl.  A process has its
 * program's name in parentheses, and a fork the same until it executes another one. */
static bool is_our_xl(const char *pid)
{
	char path[64], line[256], *end;
	FILE *f;
	bool is = false;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f)) {
		end = strrchr(line, ')');
		/* "PID (xl) S PPID ..." */
		is = end && end - line > 3 && !strncmp(end - 3, "(xl) ", 5) &&
		     strlen(end) > 4 && atol(end + 4) == getpid();
	}
	if (f)
		fclose(f);
	return is;
}

static bool has_xl(void)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	bool has = !proc; /* then until no child is left */

	while (proc && !has && (entry = readdir(proc)))
		has = isdigit((unsigned char)entry->d_name[0]) &&
		      is_our_xl(entry->d_name);
	if (proc)
		closedir(proc);
	return has;
}

/* Becomes the parent of what xl leaves behind, tells xl's exit status, and stays as long as one
 * of that is an xl. */
void xl_hold(char *const argv[], int told)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned char status;

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	status = (unsigned char)xl_run(argv, -1);
	/* nobody shall wait for what is open here, nor the terminal's end be this process's */
	(void)setsid();
	for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	(void)!chdir("/");
	(void)!write(told, &status, 1);
	close(told);
	while (has_xl())
		if (waitpid(-1, NULL, 0) < 0 && errno != EINTR)
			break;
	_exit(0);
}

int xl_lease(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_SH | LOCK_NB))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int xl_run_held(char *const argv[])
{
	void (*interrupt)(int) = signal(SIGINT, SIG_IGN);
	void (*quit)(int) = signal(SIGQUIT, SIG_IGN);
	unsigned char status = VTPMCTL_XL;
	int told[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(told, O_CLOEXEC))
		return wait_for(-1);
	pid = fork();
	if (!pid) {
		signal(SIGINT, interrupt);
		signal(SIGQUIT, quit);
		/* whoever ends it ends the launch */
		signal(SIGTERM, SIG_DFL);
		close(told[0]);
		xl_hold(argv, told[1]);
	}
	close(told[1]);
	if (pid < 0)
		(void)!wait_for(pid);
	while ((n = read(told[0], &status, 1)) < 0 && errno == EINTR)
		;
	close(told[0]);
	if (pid > 0 && n < 1)
		fprintf(stderr,
			"vtpmctl: the process that ran xl for this launch was killed, and "
			"what became of the guest is not known: see `xl list`, `xl "
			"destroy` the guest if it is there, and launch it again\n");
	return status;
}
