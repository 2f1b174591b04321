#!/bin/sh
# SPDX-License-Identifier: MIT
# Lets edid-decode (Debian: edid-decode) judge every EDID that the test program makes.
# usage: edid-decode.sh TEST-PROGRAM
set -eu

if ! command -v edid-decode >/dev/null; then
	echo "skipped: edid-decode is not installed"
	exit 77
fi
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
"$1" --write "$folder"
failed=0
for file in "$folder"/*.edid; do
	if ! edid-decode --check "$file" >"$folder/out" 2>&1; then
		echo "$(basename "$file"):"
		grep -A20 '^EDID conformity\|^Failures\|^Warnings' "$folder/out" || cat "$folder/out"
		failed=1
	fi
done
exit $failed
