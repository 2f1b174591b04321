#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the fuzz targets, each for a while, from the corpora of fuzz/corpus/.
#
#   scripts/fuzz.sh [-b BUILD] [-j JOBS] [SECONDS [TARGET...]]
#
# 10 s of each; BUILD: build-asan/; JOBS at a time: as many as there are CPUs.
#
# What they find new is kept in out/fuzz/TARGET/ and used the next time; an input that breaks
# something is left as out/fuzz/TARGET-crash-... and the run fails.
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
-h | --help)
	sed -n '3,10s/^# \{0,1\}//p' "$0"
	exit
	;;
esac
build=build-asan jobs=$(nproc)
while getopts b:j: option; do
	case $option in
	b) build=$OPTARG ;;
	j) jobs=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
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

fuzz() {
	corpus=fuzz/corpus/$(echo "$1" | tr - _)
	[ -d "$corpus" ] || corpus=fuzz/corpus/$1
	found=out/fuzz/$1
	mkdir -p "$found"
	if "$build/fuzz/fuzz-$1" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
		-artifact_prefix="out/fuzz/$1-" "$found" $([ ! -d "$corpus" ] || echo "$corpus") \
		>"out/fuzz/$1.log" 2>&1; then
		sed -n "s/^stat::number_of_executed_units: */    $1, inputs: /p" "out/fuzz/$1.log"
	else
		tail -40 "out/fuzz/$1.log"
		echo "FAIL $1: see out/fuzz/$1.log"
		return 1
	fi
}

passed=0 failed=0 started=

# What runs at the moment has all begun together and ends together.
await() {
	for pid in $started; do
		if wait "$pid"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	done
	started=
}

for target; do
	echo "fuzz: $target for $seconds s ..."
	fuzz "$target" &
	started="$started $!"
	[ "$(echo $started | wc -w)" -lt "$jobs" ] || await
done
await
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
