# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Where Debian packages come from, for the scripts that fetch some without installing them.
# Sourced by qemu.sh and guest-image.sh. It owns two questions: which mirror this machine uses,
# and how to run apt on the side (own lists, own cache, own status: the system's are never
# touched, no root needed). Trust comes from Debian's archive keyring and nothing else.

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $1"; shift; for line; do say "  $line"; done; exit 1; }

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
MEDIANT_CACHE=${MEDIANT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mediant}

# debian_mirror: the mirror that the machine's own apt uses for Debian itself.  Fetched lists
# know their origin; where nothing was fetched yet the sources' files are read.
debian_mirror() {
	if [ -n "${MEDIANT_DEBIAN_MIRROR:-}" ]; then
		echo "$MEDIANT_DEBIAN_MIRROR"
		return
	fi
	found=$({
		apt-get indextargets --format '$(REPO_URI)' \
			'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null || :
		debian_uris_in_sources
	} | sed -n 's,/*$,,; /^https\{0,1\}:/p' | head -n 1)
	[ -n "$found" ] || die "apt on this machine names no Debian mirror" \
		"name one: MEDIANT_DEBIAN_MIRROR=http://HOST/debian $0"
	echo "$found"
}

# debian_uris_in_sources: what apt's own files name, in both of their styles.
debian_uris_in_sources() {
	{
		cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
			sed -n 's/^ *deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p'
		cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
			sed -n 's/^[Uu][Rr][Ii][Ss]: *\([^ ]*\).*/\1/p'
	} | sed -n '/\/debian\/*$/p'
}

# debian_keyring_check RELEASE: the keyring is there and knows the release's keys.
debian_keyring_check() {
	[ -r "$DEBIAN_KEYRING" ] || die "no $DEBIAN_KEYRING on this machine" \
		"install it: scripts/setup.sh guest   (package debian-archive-keyring)"
	[ -r "/usr/share/keyrings/debian-archive-$1-stable.gpg" ] ||
		[ -r "/usr/share/keyrings/debian-archive-$1-stable.pgp" ] ||
		die "the Debian keyring of this machine does not know the release '$1'" \
			"bring it up to date: apt-get update && apt-get install debian-archive-keyring"
}

# apt_acquire_settings: what the machine says about getting files (proxies, retries, date checks).
apt_acquire_settings() {
	apt-config dump | grep -E '^Acquire::(https?|ftp|Retries|Check-|Max-|ForceIPv|By-Hash|Queue)' || :
}

# side_apt_init DIR SUITE...: an apt of our own in DIR, for these suites of the machine's mirror.
side_apt_init() {
	side=$1
	shift
	mkdir -p "$side/lists/partial" "$side/archives/partial" "$side/etc/none.d"
	: >"$side/status"
	mirror=$(debian_mirror)
	for suite; do
		echo "deb [signed-by=$DEBIAN_KEYRING] $mirror $suite main"
	done >"$side/etc/sources.list"
	{
		apt_acquire_settings
		cat <<-CONF
		Acquire::Languages "none";
		Dir::Etc::main "$side/etc/none";
		Dir::Etc::parts "$side/etc/none.d";
		Dir::Etc::sourcelist "$side/etc/sources.list";
		Dir::Etc::sourceparts "$side/etc/none.d";
		Dir::Etc::preferences "$side/etc/none";
		Dir::Etc::preferencesparts "$side/etc/none.d";
		Dir::State "$side";
		Dir::State::lists "$side/lists";
		Dir::State::status "$side/status";
		Dir::State::extended_states "$side/extended_states";
		Dir::Cache "$side";
		Dir::Cache::archives "$side/archives";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		Dir::Log "$side";
		APT::Sandbox::User "root";
		APT::Architecture "amd64";
		APT::Architectures "amd64";
		APT::Install-Recommends "false";
		Debug::NoLocking "true";
		CONF
	} >"$side/etc/apt.conf"
}

# side_apt ARGS...: apt-get there; its own talk goes to stderr.
side_apt() {
	APT_CONFIG=$side/etc/apt.conf nice apt-get -q -y "$@" >&2
}

# cache_lock NAME: one at a time makes things in the cache; the others wait and then find it made.
cache_lock() {
	mkdir -p "$MEDIANT_CACHE"
	exec 9>"$MEDIANT_CACHE/.$1.lock"
	flock -n 9 || { say "$1: another run is making it; waiting ..."; flock 9; }
}
