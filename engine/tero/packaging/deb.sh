#!/usr/bin/env bash
# Makes the Debian package of a program: deb.sh PROGRAM FOLDER [NOTICES]
# The manual pages and completions are the program's own. Prints the path of the package.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
program="$(realpath "$1")"
mkdir -p "$2"
folder="$(realpath "$2")"

stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT
# The place where cargo-deb looks for what was built.
built="$stage/target/release"
mkdir -p "$built/packaging/man" "$built/packaging/completions"
install -m 0755 "$program" "$built/tero"
strip --strip-unneeded "$built/tero"
"$program" man --folder "$built/packaging/man"
gzip -n9 "$built/packaging/man"/*.1
"$program" completions bash >"$built/packaging/completions/tero"
"$program" completions zsh >"$built/packaging/completions/_tero"
"$program" completions fish >"$built/packaging/completions/tero.fish"
if [ -n "${3:-}" ]; then
    cp "$3" "$built/packaging/NOTICES"
else
    python3 "$here/notices.py" "$root" >"$built/packaging/NOTICES"
fi
gzip -n9 "$built/packaging/NOTICES"
# Of one time, whenever it is packed.
: "${SOURCE_DATE_EPOCH:=$(git -C "$root" log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
cd "$root"
CARGO_TARGET_DIR="$stage/target" cargo deb --quiet --no-build --no-strip -p tero --output "$folder/"
ls "$folder"/tero_*.deb
