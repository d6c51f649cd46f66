# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2046
# A Xen of files in $dir/xen, on which vtpmd (vtpmd_start) makes stub domains, in each of
# which is a stand-in for the manager; behind common.bash.
export FAKEXEN=$dir/xen
vtpmd_by=(env FAKEXEN="$FAKEXEN" "LD_PRELOAD=$root/build/bin/fakexen.so" "PATH=$dir/bin:$PATH" "$root/build/bin/vtpmd")

xen_up() { # and what vtpmd needs besides
	mkdir -p "$FAKEXEN"/{domains,opened,ram,store} "$dir"/{bin,run,store,unix}
	printf '#!/bin/bash\nexec bash %s/tests/host/fakexen_xl "$@"\n' "$root" >"$dir/bin/xl"
	chmod +x "$dir/bin/xl"
	echo kernel >"$dir/stubdom"
	echo manager >"$dir/manager"
	manager=$dir/manager
	echo "{\"version\": 3, \"tpm\": $(host_tpm_json)}" >"$dir/host.json"
	tpm_up
}
xen_down() { kill $(cat "$FAKEXEN"/pid.* 2>/dev/null) 2>/dev/null; }
vtpmd_here() { vtpmd_start --placement stubdom --stubdom "$dir/stubdom" "$@"; }

node() { cat "$FAKEXEN/store$1/=" 2>/dev/null; } # node PATH
set_node() { # set_node PATH VALUE
	mkdir -p "$FAKEXEN/store$1" && printf '%s' "$2" >"$FAKEXEN/store$1/="
}
domid_of() { cat "$FAKEXEN/name.$1"; }                     # domid_of DOMAIN
domain_is() { grep -q "$2" "$FAKEXEN/domains/$1" 2>/dev/null; } # domain_is DOMID STATE
shuts_down() { set_node "/local/domain/$1/control/shutdown" poweroff; } # `xl shutdown`, without its wait
heard() { [ -z "$(node "/local/domain/$1/control/shutdown")" ]; }

guest_up() { # guest_up DOMID NAME BACKEND-DOMID VTPM-UUID: a guest with a vTPM device, as libxl makes it
	local back=/local/domain/$3/backend/vtpm/$1/0
	printf '%032x up\n' "$1" >"$FAKEXEN/domains/$1"
	set_node "/local/domain/$1/name" "$2"
	set_node "$back/uuid" "$4"
	set_node "/libxl/$1/device/vtpm/0/backend" "$back"
	set_node "/libxl/$1/device/vtpm/0/backend-id" "$3"
	set_node "/libxl/$1/device/vtpm/0/uuid" "$4"
}
guest_down() { # guest_down DOMID
	rm -rf "$FAKEXEN/domains/$1" "$FAKEXEN/ram/$1".* "$FAKEXEN/store/local/domain/$1" "$FAKEXEN/store/libxl/$1" \
		"$FAKEXEN"/store/local/domain/*/backend/vtpm/"$1"
}
