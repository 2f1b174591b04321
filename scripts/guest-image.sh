#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the folder of a Debian guest made for trying vGPUs (all talk goes to stderr):
#
#   vmlinuz       bookworm's stock kernel, as packaged
#   initrd        a small ramdisk that mounts the root (scripts/guest/image/init)
#   root.squashfs the root file system, read-only: any number of guests may share it
#   packages.txt  what is in it, with versions;  kernel-version  the kernel's release
#
# It owns the image and its cache.  The cache key is a hash of the package list, of the files put
# in, and of this script: a second run downloads nothing, a changed list makes a new image.
# Works as root and as an ordinary user (mmdebstrap in a user namespace).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/guest/debian.sh"

SUITE=bookworm

packages() {
	sed 's/#.*//; /^ *$/d' "$here/guest/packages"
}

image_key() {
	{
		echo "$SUITE"
		packages
		cat "$here/guest-image.sh" "$here"/guest/image/*
	} | sha256sum | cut -c 1-12
}

need() {
	command -v "$1" >/dev/null || die "this machine has no $1, which makes the guest's image" \
		"install it: scripts/setup.sh guest   (package $2)"
}

# make_root: Debian's packages into a tar file; what differs is done by image/customise in there.
# X.Org depends on Mesa, of which nothing is used: its drivers and their compiler stay out.
make_root() {
	INITRD=No nice mmdebstrap --quiet --mode="${MEDIANT_MMDEBSTRAP_MODE:-auto}" \
		--variant=essential --architectures=amd64 \
		--include="$(packages | tr '\n' ',' | sed 's/,$//')" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/lib/*/libLLVM*' \
		--dpkgopt='path-exclude=/usr/lib/*/dri/*' \
		--customize-hook="upload $here/guest/image/init /tmp/mediant-init" \
		--customize-hook="upload $here/guest/image/customise /tmp/customise" \
		--customize-hook='chroot "$1" sh /tmp/customise' \
		--customize-hook='rm "$1/tmp/customise"' \
		--customize-hook='chroot "$1" dpkg-query -W >"$1/boot/packages.txt"' \
		"$SUITE" "$1" \
		"deb [signed-by=$DEBIAN_KEYRING] $(debian_mirror) $SUITE main" >&2
}

# take_boot TAR DIR: what QEMU loads itself.
take_boot() {
	mkdir "$2/boot"
	tar -C "$2/boot" -x -f "$1" --no-same-owner --strip-components=2 --wildcards \
		'./boot/vmlinuz-*' ./boot/initrd.mediant ./boot/packages.txt
	mv "$2/boot/initrd.mediant" "$2/initrd"
	mv "$2/boot/packages.txt" "$2/packages.txt"
	for kernel in "$2"/boot/vmlinuz-*; do
		echo "${kernel##*/vmlinuz-}" >"$2/kernel-version"
		mv "$kernel" "$2/vmlinuz"
	done
	rmdir "$2/boot"
	chmod 644 "$2/vmlinuz"
}

# forget_old_images: all but the newest three (a guest that runs keeps its open file).
forget_old_images() {
	# shellcheck disable=SC2012
	ls -dt "$MEDIANT_CACHE/guest-$SUITE"-* | tail -n +4 | while read -r old; do
		rm -rf "$old"
	done
}

# make_image: in a folder of its own, renamed when whole.  The root is stored uncompressed: under
# TCG the guest's own decompression costs more than the disk space.
make_image() {
	need mmdebstrap mmdebstrap
	need sqfstar squashfs-tools
	debian_keyring_check "$SUITE"
	tmp=$(mktemp -d "$MEDIANT_CACHE/.guest.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 130' INT TERM HUP
	chmod 755 "$tmp"
	mkdir "$tmp/image"
	say "guest: making a Debian $SUITE guest ($(packages | wc -l) packages and what they need" \
		"from $(debian_mirror)); a minute or two ..."
	make_root "$tmp/root.tar" || die "mmdebstrap could not make the guest" \
		"its words are above; if it lacks user namespaces, run this once as root"
	say "guest: packing the root file system ..."
	take_boot "$tmp/root.tar" "$tmp/image"
	nice sqfstar -quiet -no-progress -no-xattrs -noI -noId -noD -noF -b 128K \
		"$tmp/image/root.squashfs" boot <"$tmp/root.tar" >"$tmp/log" 2>&1 ||
		{ cat "$tmp/log" >&2; die "sqfstar could not pack the guest's root"; }
	mv "$tmp/image" "$1"
	rm -rf "$tmp"
	trap - EXIT
	forget_old_images
	say "guest: image is in $1"
}

image=$MEDIANT_CACHE/guest-$SUITE-$(image_key)
if [ ! -e "$image/root.squashfs" ]; then
	cache_lock guest
	[ -e "$image/root.squashfs" ] || make_image "$image"
fi
echo "$image"
