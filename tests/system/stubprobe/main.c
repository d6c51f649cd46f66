/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "probe.h"

static unsigned int number, failures;

bool probe_ok(bool holds, const char *format, ...)
{
	va_list list;

	printf("%sok %u - ", holds ? "" : "not ", ++number);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	failures += !holds;
	return holds;
}

void probe_say(const char *format, ...)
{
	va_list list;

	printf("# ");
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
}

int probe_figures(struct probe_figures *f)
{
	FILE *in = fopen("/proc/xen-stub", "r");
	int n;

	if (!in)
		return -1;
	n = fscanf(in, "hypercalls %lu\nnotifications %lu\nuptime_ns %lu\nfree_kib %lu\n",
		   &f->hypercalls, &f->notifications, &f->uptime_ns, &f->free_kib);
	fclose(in);
	return n == 4 ? 0 : -1;
}

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{"memory", probe_memory},   {"pointers", probe_pointers}, {"calls", probe_calls},
	{"flags", probe_flags},	    {"places", probe_places},	  {"store", probe_store},
	{"devices", probe_devices}, {"vchan", probe_vchan},
};

static void run(const char *name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(name, groups[i].name))
			groups[i].run();
}

static void test_start(int argc, char **argv)
{
	struct probe_figures f = {0};

	probe_ok(!strcmp(argv[0], "manager"), "argv[0] is %s", argv[0]);
	probe_ok(!strcmp(argv[argc - 1], "end"), "argv[%d] is %s", argc - 1,
		 argv[argc - 1]);
	probe_ok(!probe_figures(&f), "the kernel tells its figures");
	probe_say(
		"%lu hypercalls, %lu notifications, %lu us since the first instruction, "
		"%lu KiB free",
		f.hypercalls, f.notifications, f.uptime_ns / 1000, f.free_kib);
}

/* stubprobe GROUP... end | --crash WAY | --client DOMID COUNT (in dom0) */
int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "--crash")) {
		probe_say("%s", argv[2]);
		probe_crash(argv[2]);
		return 99;
	}
	if (argc == 4 && !strcmp(argv[1], "--client"))
		return probe_vchan_client(atoi(argv[2]), atoi(argv[3]));
	test_start(argc, argv);
	for (int i = 1; i < argc; i++)
		run(argv[i]);
	printf("1..%u\n", number);
	return failures ? 1 : 0;
}
