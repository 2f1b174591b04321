#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes sure the Debian packages that Mediant needs are on this machine; says nothing when they are.
#
# It owns the list of packages.  Looks first (no root, no network), installs only what is missing,
# through apt-get, as root or with sudo; where it may do neither it prints the line to ask for.
#
#   scripts/setup.sh build    compiler and libraries, those of the tests as well
#   scripts/setup.sh check    these, and what else the checks run: clang with its tools
#   scripts/setup.sh guest    what makes the Debian guest and fetches QEMU
#   scripts/setup.sh all      everything (the default); several groups may be named
set -eu

BUILD="build-essential meson ninja-build pkg-config python3 git
	libjansson-dev libpng-dev libvncserver-dev libseccomp-dev libcap-ng-dev libcmocka-dev"
CHECK="clang lld clang-format clang-tidy edid-decode"
GUEST="python3 mmdebstrap squashfs-tools debian-archive-keyring util-linux mount uidmap ca-certificates"

say() { printf '%s\n' "$*" >&2; }

installed() {
	dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'
}

# with_fuzzer: libFuzzer and the sanitizers' runtimes come in a package named after clang's version.
with_fuzzer() {
	version=$(clang --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p')
	if [ -z "$version" ]; then
		version=$(apt-cache depends clang 2>/dev/null |
			sed -n 's/.*Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -n 1)
	fi
	[ -z "$version" ] || echo "libclang-rt-$version-dev"
}

missing() {
	for package; do
		installed "$package" || echo "$package"
	done | awk '!seen[$0]++'
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

can_be_root() {
	[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }
}

# known PACKAGE...: apt has heard of them; if not its lists are old or were never fetched.
known() {
	for package; do
		apt-cache show "$package" >/dev/null 2>&1 || return 1
	done
}

fetch_and_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
		install --no-install-recommends "$@" >&2
}

install_packages() {
	can_be_root || {
		say "error: packages are missing, and this user may not install them"
		say "  ask an administrator for:  apt-get install --no-install-recommends $*"
		# shellcheck disable=SC2005,SC2046
		every=$(echo $(missing $(packages_of all)))
		[ "$every" = "$*" ] || say "  or, for all that make can do:  apt-get install" \
			"--no-install-recommends $every"
		exit 1
	}
	known "$@" || {
		say "setup: fetching the package lists ..."
		as_root apt-get -qq update >&2
	}
	say "setup: installing $* ..."
	fetch_and_install "$@" || {
		say "setup: trying once more with fresh package lists ..."
		as_root apt-get -qq update >&2
		fetch_and_install "$@"
	} || {
		say "error: apt-get could not install: $*"
		say "  see its words above; mend that, then run scripts/setup.sh $groups again"
		exit 1
	}
}

ensure() {
	# shellcheck disable=SC2046
	set -- $(missing "$@")
	[ $# = 0 ] || install_packages "$@"
}

# packages_of GROUP...
packages_of() {
	for group; do
		case $group in
		build) echo "$BUILD" ;;
		check) echo "$BUILD $CHECK $(with_fuzzer)" ;;
		guest) echo "$GUEST" ;;
		all) packages_of check guest ;;
		esac
	done
}

groups=${*:-all}
for group in $groups; do
	case $group in
	build | check | guest | all) ;;
	*) say "usage: scripts/setup.sh [build | check | guest | all]..."; exit 2 ;;
	esac
done
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
	say "error: this is no Debian: install by hand what scripts/setup.sh lists"
	exit 1
}
# shellcheck disable=SC2046,SC2086
ensure $(packages_of $groups)
