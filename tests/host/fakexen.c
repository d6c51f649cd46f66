/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Xen of files, for LD_PRELOAD, in the folder that FAKEXEN names: as much of it as vtpmd
 * asks for.
 *
 *   domains/DOMID	the domain's uuid, 32 hexadecimal digits, and its state: "up", "ended",
 *			"reboots", "suspended", "watchdog"
 *   store/PATH/=	the value of xenstore's node PATH
 *   ram/DOMID.FRAME	a page of that domain's
 *   opened/N		what the Nth open() of a device of /dev/xen opens, of a process
 *   vchan.DOMID	a socket at which that domain's manager listens
 *
 * A watch is met 20 times a second, whether something changed or not.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#include <libxenvchan.h> /* behind xenctrl.h, which wants to be first */

#define TICK_NS	 50000000
#define RELEASED "@releaseDomain"

struct fake_vchan {
	struct libxenvchan vchan;
	int fd;
	int edge; /* readable once for what came, as an event channel is */
};

static int ticks = -1;

static void place(char out[512], const char *kind, const char *path)
{
	snprintf(out, 512, "%s/%s%s", getenv("FAKEXEN"), kind, path);
}

int access(const char *path, int mode)
{
	return strcmp(path, "/dev/xen/privcmd") ? faccessat(AT_FDCWD, path, mode, 0) : 0;
}

int open(const char *path, int flags, ...)
{
	static unsigned int count;
	char name[32], whole[512];
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (strncmp(path, "/dev/xen/", 9))
		return openat(AT_FDCWD, path, flags, mode);
	snprintf(name, sizeof(name), "/%d-%u", getpid(), ++count);
	place(whole, "opened", name);
	return openat(AT_FDCWD, whole, flags | O_CREAT, 0600);
}

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild,
				unsigned int flags)
{
	return (xc_interface *)&ticks;
}

int xc_interface_close(xc_interface *xc)
{
	return 0;
}

static long next_domain(uint32_t first)
{
	char path[512];
	struct dirent *entry;
	long next = -1;
	DIR *dir;

	place(path, "domains", "");
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		long id = entry->d_name[0] == '.' ? -1 : atol(entry->d_name);

		if (id >= (long)first && (next < 0 || id < next))
			next = id;
	}
	if (dir)
		closedir(dir);
	return next;
}

/* XEN_DOMINF_shutdown, and the reason's number */
static uint32_t flags_of(const char *state)
{
	uint32_t reason = !strcmp(state, "reboots")	? 1u
			  : !strcmp(state, "suspended") ? 2u
			  : !strcmp(state, "watchdog")	? 4u
							: 3u;

	return strcmp(state, "up")
		       ? XEN_DOMINF_shutdown | reason << XEN_DOMINF_shutdownshift
		       : 0;
}

static void tell(long id, xc_domaininfo_t *info)
{
	char path[512], name[24], state[16] = "";
	bool known = true;
	FILE *f;

	snprintf(name, sizeof(name), "/%ld", id);
	place(path, "domains", name);
	memset(info, 0, sizeof(*info));
	info->domain = (domid_t)id;
	f = fopen(path, "re");
	for (unsigned int i = 0; f && i < 16; i++) {
		unsigned int byte;

		known = known && fscanf(f, "%2x", &byte) == 1;
		info->handle[i] = known ? (uint8_t)byte : 0;
	}
	if (f && fscanf(f, " %15s", state) == 1)
		info->flags = flags_of(state);
	if (f)
		fclose(f);
}

int xc_domain_getinfolist(xc_interface *xc, uint32_t first, unsigned int max,
			  xc_domaininfo_t *info)
{
	unsigned int n;
	long id;

	for (n = 0; n < max && (id = next_domain(first)) >= 0; n++) {
		tell(id, &info[n]);
		first = (uint32_t)id + 1;
	}
	return (int)n;
}

/* The file that is a frame of a domain's; -1: it has no RAM there. */
static int open_frame(uint32_t domid, xen_pfn_t frame, int flags)
{
	char name[64], whole[512];

	snprintf(name, sizeof(name), "%u.%llx", domid, (unsigned long long)frame);
	place(whole, "ram/", name);
	return openat(AT_FDCWD, whole, flags | O_CLOEXEC, 0600);
}

int xc_domain_populate_physmap_exact(xc_interface *xc, uint32_t domid,
				     unsigned long count, unsigned int order,
				     unsigned int flags, xen_pfn_t *frames)
{
	for (unsigned long i = 0; i < count; i++) {
		int fd = open_frame(domid, frames[i], O_RDWR | O_CREAT | O_TRUNC);

		if (fd < 0 || ftruncate(fd, XC_PAGE_SIZE))
			return -1;
		close(fd);
	}
	return 0;
}

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *logger,
					       unsigned int flags)
{
	return (xenforeignmemory_handle *)&ticks;
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t domid, int prot,
			   size_t count, const xen_pfn_t frames[], int errors[])
{
	uint8_t *at = mmap(NULL, count * XC_PAGE_SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	for (size_t i = 0; at != MAP_FAILED && i < count; i++) {
		int fd = open_frame(domid, frames[i], O_RDWR);

		errors[i] = fd < 0 ? -EINVAL : 0;
		if (fd < 0)
			continue;
		(void)!mmap(at + i * XC_PAGE_SIZE, XC_PAGE_SIZE, prot,
			    MAP_SHARED | MAP_FIXED, fd, 0);
		close(fd);
	}
	return at == MAP_FAILED ? NULL : at;
}

struct xs_handle *xs_open(unsigned long flags)
{
	const struct itimerspec tick = {{0, TICK_NS}, {0, TICK_NS}};

	ticks = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	timerfd_settime(ticks, 0, &tick, NULL);
	return (struct xs_handle *)&ticks;
}

void xs_close(struct xs_handle *h)
{
	close(ticks);
}

int xs_fileno(struct xs_handle *h)
{
	return ticks;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	return true;
}

char **xs_check_watch(struct xs_handle *h)
{
	char **event;
	uint64_t n;

	if (read(ticks, &n, sizeof(n)) != sizeof(n))
		return NULL;
	event = malloc(2 * sizeof(*event) + sizeof(RELEASED));
	event[XS_WATCH_PATH] = event[XS_WATCH_TOKEN] = (char *)&event[2];
	strcpy(event[XS_WATCH_PATH], RELEASED);
	return event;
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	char whole[512], *at;

	place(whole, "store", path);
	for (at = strchr(whole + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = 0;
		if (mkdir(whole, 0700) && errno != EEXIST)
			return false;
		*at = '/';
	}
	return !mkdir(whole, 0700) || errno == EEXIST;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
			struct xs_permissions *perms, unsigned int count)
{
	return true;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
	      unsigned int *len)
{
	char whole[512], node[400], *value;
	ssize_t n;
	int fd;

	snprintf(node, sizeof(node), "%s/=", path);
	place(whole, "store", node);
	fd = open(whole, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	value = calloc(1, 4097);
	n = read(fd, value, 4096);
	close(fd);
	*len = n < 0 ? 0 : (unsigned int)n;
	value[*len] = 0;
	return value;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
	      unsigned int len)
{
	char whole[512], node[400];
	bool done;
	int fd;

	if (!xs_mkdir(h, t, path))
		return false;
	snprintf(node, sizeof(node), "%s/=", path);
	place(whole, "store", node);
	fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	done = fd >= 0 && write(fd, data, len) == (ssize_t)len;
	if (fd >= 0)
		close(fd);
	return done;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	char whole[512];

	place(whole, "store", path);
	return !nftw(whole, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path,
		    unsigned int *count)
{
	enum { MOST = 64, EACH = 64 };
	char whole[512], **names, *text;
	struct dirent *entry;
	DIR *dir;

	*count = 0;
	place(whole, "store", path);
	dir = opendir(whole);
	if (!dir)
		return NULL;
	names = malloc(MOST * (sizeof(*names) + EACH));
	text = (char *)&names[MOST];
	while (*count < MOST && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || entry->d_name[0] == '=')
			continue;
		names[*count] = text + *count * EACH;
		snprintf(names[(*count)++], EACH, "%.63s", entry->d_name);
	}
	closedir(dir);
	return names;
}

struct libxenvchan *libxenvchan_client_init(struct xentoollog_logger *logger, int domain,
					    const char *xs_path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct epoll_event in = {.events = EPOLLIN | EPOLLET};
	struct fake_vchan *v = calloc(1, sizeof(*v));

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/vchan.%d", getenv("FAKEXEN"),
		 domain);
	v->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	v->edge = epoll_create1(EPOLL_CLOEXEC);
	if (!connect(v->fd, (struct sockaddr *)&at, sizeof(at)) &&
	    !epoll_ctl(v->edge, EPOLL_CTL_ADD, v->fd, &in))
		return &v->vchan;
	libxenvchan_close(&v->vchan);
	return NULL;
}

int libxenvchan_fd_for_select(struct libxenvchan *c)
{
	return ((struct fake_vchan *)c)->edge;
}

int libxenvchan_wait(struct libxenvchan *c)
{
	struct epoll_event taken;

	return epoll_wait(((struct fake_vchan *)c)->edge, &taken, 1, 0) < 0 ? -1 : 0;
}

int libxenvchan_read(struct libxenvchan *c, void *data, size_t size)
{
	ssize_t n = recv(((struct fake_vchan *)c)->fd, data, size, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	return n > 0 ? (int)n : -1;
}

int libxenvchan_write(struct libxenvchan *c, const void *data, size_t size)
{
	ssize_t n = send(((struct fake_vchan *)c)->fd, data, size, MSG_NOSIGNAL);

	return n < 0 ? -1 : (int)n;
}

void libxenvchan_close(struct libxenvchan *c)
{
	close(((struct fake_vchan *)c)->edge);
	close(((struct fake_vchan *)c)->fd);
	free(c);
}
