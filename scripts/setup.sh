#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes sure the Debian packages that Mediant needs are on this machine; says nothing when they are.
#
# It owns the list of packages.  Looks first (no root, no network), installs only what is missing,
# through apt-get, as root or with sudo; where it may do neither it prints the line to ask for.
#
#   scripts/setup.sh build    compiler, libraries, test and check tools
#   scripts/setup.sh guest    what makes the Debian guest and fetches QEMU
#   scripts/setup.sh all      both (the default)
set -eu

BUILD="build-essential meson ninja-build pkg-config python3 git
	libjansson-dev libpng-dev libvncserver-dev libseccomp-dev libcap-ng-dev libcmocka-dev
	clang clang-format clang-tidy edid-decode"
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
	done
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

install_packages() {
	can_be_root || {
		say "error: these packages are missing, and this user may not install them"
		say "  ask an administrator for:  apt-get install --no-install-recommends $*"
		exit 1
	}
	known "$@" || {
		say "setup: fetching the package lists ..."
		as_root apt-get -q update >&2
	}
	say "setup: installing $* ..."
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@" >&2 || {
		say "setup: trying once more with fresh package lists ..."
		as_root apt-get -q update >&2
		as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get -q -y install --no-install-recommends "$@" >&2
	} || {
		say "error: apt-get could not install: $*"
		say "  see its words above; mend that, then run scripts/setup.sh $group again"
		exit 1
	}
}

ensure() {
	# shellcheck disable=SC2046
	set -- $(missing "$@")
	[ $# = 0 ] || install_packages "$@"
}

group=${1:-all}
case $group in
build | guest | all) ;;
*) say "usage: scripts/setup.sh [build | guest | all]"; exit 2 ;;
esac
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
	say "error: this is no Debian: install by hand what scripts/setup.sh lists"
	exit 1
}
# shellcheck disable=SC2086
case $group in
build) ensure $BUILD; ensure $(with_fuzzer) ;;
guest) ensure $GUEST ;;
all) ensure $BUILD $GUEST; ensure $(with_fuzzer) ;;
esac
