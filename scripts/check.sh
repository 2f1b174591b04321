#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything that is to hold, from the layout of the code to a Debian guest on the vGPU.
#
#   scripts/check.sh            all of it; logs go to out/check/
#   scripts/check.sh --quick    all but the real guest
#
# The last line is "N passed, N failed, N skipped": each case of each test program counts, and so
# does each step without cases.  The exit status is 0 when nothing failed.  Three builds are kept
# for the next time: build/ (gcc), build-asan/ (clang, ASan, UBSan, fuzzers), build-tsan/.
set -u
cd "$(dirname "$0")/.."
exec </dev/null
trap 'exit 130' INT TERM

quick=
case ${1:-} in
--quick) quick=yes ;;
'') ;;
*)
	sed -n '3,10s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac

# A first word of ours about the machine: without a compiler nothing below can run.
echo "== packages"
scripts/setup.sh check || {
	echo
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}

run() { python3 scripts/test-runner.py "$@"; }

# build NAME FOLDER [MESON OPTION...]: set up once, compile what changed.
build() {
	name=$1 folder=$2
	shift 2
	[ -f "$folder/build.ninja" ] ||
		run step "$name: meson setup" --quiet -- meson setup "$folder" "$@" || return 1
	run step "$name: compile" --quiet --limit 1200 -- ninja -C "$folder"
}

format() {
	run step "format" --quiet -- sh -c \
		'find src include tests fuzz bench examples -name "*.[ch]" | xargs clang-format --dry-run -Werror'
}

started=$(date +%s)
run begin

format
run step "layers: self-test" --quiet -- scripts/check-layers.py --self-test
run step "layers" -- scripts/check-layers.py
run step "test-runner: self-test" --quiet -- python3 tests/scripts/test_runner.py
run step "guest runner: self-test" --quiet -- python3 tests/scripts/test_guest_run.py

# Tests that want /dev/kvm: here, or further down in a machine that QEMU emulates.
nested=
[ -n "$quick" ] || { [ -r /dev/kvm ] && [ -w /dev/kvm ]; } || nested="--no-suite kvm"

sanitizers="-Db_lundef=false -Ddebug_checks=true"
if build "gcc" build; then
	run step "headers alone" --quiet -- scripts/check-headers build
	# shellcheck disable=SC2086
	run meson "tests as installed" build --slow 2 $nested
fi
# With lld: the sanitizers' runtimes are in every program, and ld takes a third longer over them.
if CC=clang CC_LD=lld build "ASan and UBSan" build-asan -Db_sanitize=address,undefined \
	-Dfuzz=true $sanitizers; then
	run step "static analysis" --quiet --limit 900 -- scripts/analyse.py build-asan
	# shellcheck disable=SC2086
	run meson "tests under ASan and UBSan" build-asan --slow 4 $nested
	run step "fuzz targets, 10 s each" --limit 300 -- scripts/fuzz.sh 10
fi
if build "TSan" build-tsan -Db_sanitize=thread -Dbench=false $sanitizers; then
	# shellcheck disable=SC2086
	run meson "tests under TSan" build-tsan --slow 6 --no-suite no-tsan $nested
fi

if [ -n "$quick" ]; then
	run step "real guest" --quiet -- sh -c 'echo "left out: --quick was asked for"; exit 77'
else
	run step "QEMU and the guest's image" --limit 1800 -- sh -c \
		'scripts/setup.sh guest && scripts/qemu.sh && scripts/guest-image.sh'
	# Under the sanitizers what is about KVM itself; the rest has been under them without it.
	# They come first: what takes longest would run on alone at the end.
	[ -z "$nested" ] || run step "tests on an emulated machine's KVM" --limit 900 -- \
		python3 tests/nested/run.py 'build-asan:kvm-[hk]|on-kvm|mediant-kvm' \
		'build-tsan:hammer|on-kvm' build
	run step "real guest" --limit 1500 -- python3 tests/guest/run.py
fi

echo
echo "check took $((($(date +%s) - started) / 60)) min $((($(date +%s) - started) % 60)) s"
run report
