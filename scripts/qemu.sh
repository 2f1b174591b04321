#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the path of a qemu-system-x86_64 that has vfio-user-pci (all talk goes to stderr).
#
# It owns the choice of QEMU: the machine's own when that has the device (QEMU 10.1 or newer),
# else the one of Debian's trixie-backports, fetched once into the user's cache folder with the
# libraries it needs and run through the loader it came with.  Nothing is installed, no apt state
# of the system is touched, and an ordinary user can do it.
#
#   scripts/qemu.sh             the path
#   scripts/qemu.sh --accel     "kvm" or "tcg": what a stock guest kernel can really run on here
#   scripts/qemu.sh --fetch     the fetched one, whatever the machine has
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/guest/debian.sh"

QEMU_RELEASE=trixie
QEMU_PACKAGES="qemu-system-x86 seabios ipxe-qemu"
FORMAT=2	# of the cache folder; raise it when its layout changes

has_vfio_user() {
	"$1" -device help 2>/dev/null | grep -q '"vfio-user-pci"'
}

# unpack_archives DIR: the fetched packages, less what a QEMU without a desktop never opens.
unpack_archives() {
	mkdir -p "$1"
	for deb in "$side"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -C "$1" -x --no-same-owner \
			--exclude=./usr/share/doc --exclude=./usr/share/man \
			--exclude=./usr/share/locale --exclude=./usr/share/info
	done
}

# write_launcher ROOT: a program that runs the binary by the loader and libraries beside it.  It
# finds its folder at run time, so the cache may be moved; QEMU is told its data folder by -L and
# its modules' folder by the environment.
write_launcher() {
	cat >"$1/qemu-system-x86_64" <<-'SH'
	#!/bin/sh
	root=$(dirname "$(readlink -f "$0")")
	lib=$root/root/usr/lib/x86_64-linux-gnu
	QEMU_MODULE_DIR=$lib/qemu
	export QEMU_MODULE_DIR
	exec "$lib/ld-linux-x86-64.so.2" --argv0 "$0" \
		--library-path "$lib:$lib/pulseaudio:$lib/ceph:$root/root/lib/x86_64-linux-gnu" \
		"$root/root/usr/bin/qemu-system-x86_64" \
		-L "$root/root/usr/share/qemu" -L "$root/root/usr/share/seabios" "$@"
	SH
	chmod 755 "$1/qemu-system-x86_64"
}

# fetch_qemu: into a folder of its own first, then renamed: a half-fetched one is never used.
fetch_qemu() {
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
		die "this machine has no apt, and its own QEMU has no vfio-user-pci" \
			"install QEMU 10.1 or newer and put it on the PATH"
	debian_keyring_check "$QEMU_RELEASE"
	tmp=$(mktemp -d "$MEDIANT_CACHE/.qemu.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 130' INT TERM HUP
	side_apt_init "$tmp/apt" "$QEMU_RELEASE" "$QEMU_RELEASE-backports"
	say "qemu: fetching QEMU with vfio-user-pci from $QEMU_RELEASE-backports ($mirror) ..."
	side_apt update || die "could not read the package lists of $mirror" \
		"check the network, or name another mirror: MEDIANT_DEBIAN_MIRROR=http://.../debian"
	# shellcheck disable=SC2086
	side_apt install --download-only -t "$QEMU_RELEASE-backports" $QEMU_PACKAGES ||
		die "could not fetch QEMU's packages from $mirror" \
			"try again, or name another mirror: MEDIANT_DEBIAN_MIRROR=http://.../debian"
	say "qemu: unpacking ..."
	unpack_archives "$tmp/qemu/root"
	write_launcher "$tmp/qemu"
	version=$("$tmp/qemu/qemu-system-x86_64" --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p')
	has_vfio_user "$tmp/qemu/qemu-system-x86_64" ||
		die "the QEMU fetched (${version:-not runnable}) has no vfio-user-pci" \
			"please report this; meanwhile put a QEMU 10.1 or newer on the PATH"
	: >"$tmp/qemu/complete-$FORMAT"
	rm -rf "$MEDIANT_CACHE/qemu-$version"
	mv "$tmp/qemu" "$MEDIANT_CACHE/qemu-$version"
	rm -rf "$tmp"
	trap - EXIT
	say "qemu: QEMU $version is in $MEDIANT_CACHE/qemu-$version"
}

# cached_qemu: the newest complete one.
cached_qemu() {
	for mark in "$MEDIANT_CACHE"/qemu-*/complete-"$FORMAT"; do
		[ -e "$mark" ] && echo "${mark%/*}/qemu-system-x86_64"
	done | sort -V | tail -n 1
}

find_qemu() {
	if [ -n "${MEDIANT_QEMU:-}" ]; then
		has_vfio_user "$MEDIANT_QEMU" || die "MEDIANT_QEMU=$MEDIANT_QEMU has no vfio-user-pci"
		echo "$MEDIANT_QEMU"
		return
	fi
	own=$(command -v qemu-system-x86_64 || :)
	if [ -z "$fetch_only" ] && [ -n "$own" ] && has_vfio_user "$own"; then
		echo "$own"
		return
	fi
	if [ -z "$(cached_qemu)" ]; then
		cache_lock qemu
		[ -n "$(cached_qemu)" ] || fetch_qemu
	fi
	cached_qemu
}

fetch_only=
case ${1:-} in
--accel) exec python3 "$here/../tests/guest/accel.py" ;;
--fetch) fetch_only=1; find_qemu ;;
'') find_qemu ;;
*) say "usage: scripts/qemu.sh [--accel | --fetch]"; exit 2 ;;
esac
