# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A vTPM, web1, of host a, which moves between its folder and the pool, of which b is, too: behind
# pool.bash.
in_pool() { host_start "$1"; }                   # in_pool HOST: its vtpmd has its vTPMs in etcd
in_folder() { host_run "$1" --store "$dir/$1/own"; } # in_folder HOST: in its folder
move() { # move STATUS NAME [folder]
	ctl "$1" pool move "$2" ${3:+--to "$3"}
}
folder_of() { echo "$dir/a/own/$uuid"; }
has_folder() { [ -e "$(folder_of)/vtpm.json" ]; }
in_etcd() { [ -n "$(etcdctl get --prefix "/xen-vtpm/1/p1/v/$uuid/vtpm.json" --keys-only)" ]; }
count_up() { # count_up HOST: its web1 runs; the counter goes to $number
	at "$1" web1 tpm2_startup -c && at "$1" web1 tpm2_nvincrement -C o $nv && number=$(number "$1" web1)
}
same_count() { [ "$(number "$1" web1)" -eq "$number" ]; } # same_count HOST
