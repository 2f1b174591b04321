#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the fuzz targets one after the other, each for a while, from the corpora of fuzz/corpus/.
#
#   scripts/fuzz.sh [-b BUILD] [SECONDS [TARGET...]]     10 s of each; BUILD: build-asan/
#
# What they find new is kept in out/fuzz/TARGET/ and used the next time; an input that breaks
# something is left as out/fuzz/TARGET-crash-... and the run fails.
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
-h | --help)
	sed -n '3,8s/^# \{0,1\}//p' "$0"
	exit
	;;
esac
build=build-asan
if [ "${1:-}" = -b ]; then
	build=$2
	shift 2
fi
seconds=${1:-10}
[ $# -eq 0 ] || shift
targets=$(find "$build/fuzz" -maxdepth 1 -name 'fuzz-*' -type f 2>/dev/null |
	sed 's|.*/fuzz-||' | sort)
[ -n "$targets" ] || {
	echo "error: $build/ has no fuzz targets: make quick builds those of build-asan/" >&2
	exit 1
}
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $targets
for target; do
	[ -x "$build/fuzz/fuzz-$target" ] || {
		echo "error: no fuzz target $target: there are" $targets >&2
		exit 2
	}
done

export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
passed=0 failed=0
for target; do
	corpus=fuzz/corpus/$(echo "$target" | tr - _)
	[ -d "$corpus" ] || corpus=fuzz/corpus/$target
	found=out/fuzz/$target
	mkdir -p "$found"
	echo "fuzz: $target for $seconds s ..."
	if "$build/fuzz/fuzz-$target" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
		-artifact_prefix="out/fuzz/$target-" "$found" $([ ! -d "$corpus" ] || echo "$corpus") \
		>"out/fuzz/$target.log" 2>&1; then
		sed -n 's/^stat::number_of_executed_units: */    inputs: /p' "out/fuzz/$target.log"
		passed=$((passed + 1))
	else
		tail -40 "out/fuzz/$target.log"
		echo "FAIL $target: see out/fuzz/$target.log"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
