/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of `vtpmctl pool` that change which pool this host is in, or its list of hosts. */
#ifndef XVTPM_VTPMCTL_POOL_JOIN_H
#define XVTPM_VTPMCTL_POOL_JOIN_H

int pool_init_main(int argc, char **argv);
int pool_join_main(int argc, char **argv);
int pool_publish_main(int argc, char **argv);
int pool_leave_main(int argc, char **argv);
/* pool_move.c */
int pool_move_main(int argc, char **argv);

#endif
