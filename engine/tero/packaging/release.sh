#!/usr/bin/env bash
# Makes a release: release.sh [--no-pgo] FOLDER
#
# The folder then has the program (stripped, profile `dist`, optimised by cargo-pgo for the runs of tero-bench), the licences of what is in it,
# an inventory (CycloneDX), the Debian package, an archive, and SHA256SUMS.
#
#   --no-pgo                  without the profile: half the time; a hit takes some 11 % more CPU time
#   --build-only              the program and the licences alone, without a profile (the image is made so)
#   --profile NAME            another profile of Cargo.toml than `dist`, for tries
#   --check-reproducible      builds once more from a copy in another folder, and compares the bytes (implies --no-pgo)
#
# The same commit gives the same bytes from any folder and on any machine with the same toolchain and C compiler: paths are taken out, and times
# are that of the commit. A profile is a measurement, so that programs made with one differ.
set -euo pipefail
root="$(cd "$(dirname "$0")/../../.." && pwd)"
cd "$root"

pgo=yes only= profile=dist compare=
while [ "${1:-}" != "${1#--}" ]; do
    case "$1" in
    --no-pgo) pgo= ;;
    --build-only) only=yes pgo= ;;
    --check-reproducible) compare=yes pgo= ;;
    --profile) profile="$2" && shift ;;
    *) echo "release.sh: what is $1?" >&2 && exit 2 ;;
    esac
    shift
done
mkdir -p "${1:?name a folder}"
out="$(realpath "$1")"

# Before anything is built, which takes long.
missing=
need() { # WHAT COMMAND…
    local what="$1"
    shift
    "$@" >/dev/null 2>&1 || missing="$missing${missing:+, }$what"
}
need python3 command -v python3
if [ -n "$pgo" ]; then
    need "cargo-pgo (cargo install cargo-pgo)" command -v cargo-pgo
    need "llvm-profdata (rustup component add llvm-tools)" bash -c 'ls "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-profdata'
    need wrk command -v wrk
fi
if [ -z "$only" ]; then
    need "cargo-cyclonedx (cargo install cargo-cyclonedx)" command -v cargo-cyclonedx
    need "cargo-deb (cargo install cargo-deb)" command -v cargo-deb
fi
[ -z "$missing" ] || { echo "release.sh: missing: $missing" >&2 && exit 1; }

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)"
fi
if [ -z "${TERO_COMMIT:-}" ]; then
    TERO_COMMIT="$(git rev-parse --short=12 HEAD)"
fi
export SOURCE_DATE_EPOCH TERO_COMMIT
target="${CARGO_TARGET_DIR:-$root/target}"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"

# The flags of the C compiler are words.
case "$root$target$cargo_home$(rustc --print sysroot)${TMPDIR:-}" in
*[[:space:]]*) echo "release.sh: a folder with a space in its name: $root, $target, $cargo_home, $(rustc --print sysroot) or TMPDIR; move it" >&2 && exit 1 ;;
esac

# What stands for the folders of this machine, in the program and in what the C compiler makes.
flags_for() { # ROOT TARGET
    local separator=$'\x1f' prefix
    rust_flags= c_flags=
    for prefix in "$1=/tero" "$cargo_home=/cargo" "$(rustc --print sysroot)=/rust" "$2=/target"; do
        rust_flags="$rust_flags${rust_flags:+$separator}--remap-path-prefix=$prefix"
        c_flags="$c_flags -ffile-prefix-map=$prefix"
    done
}

build() { # ROOT TARGET
    flags_for "$1" "$2"
    (cd "$1" && CARGO_ENCODED_RUSTFLAGS="$rust_flags" CFLAGS="$c_flags" CXXFLAGS="$c_flags" \
        CARGO_TARGET_DIR="$2" cargo build --locked --profile "$profile" --features cluster,otlp -p tero)
}

folder_of() { # TARGET: the folder of the profile's programs
    echo "$1/$([ "$profile" = dev ] && echo debug || echo "$profile")"
}

if [ -n "$pgo" ]; then
    flags_for "$root" "$target"
    export CARGO_TARGET_DIR="$target" CFLAGS="$c_flags" CXXFLAGS="$c_flags"
    # cargo-pgo adds its flags to RUSTFLAGS, which are words.
    export RUSTFLAGS="${rust_flags//$'\x1f'/ }"
    host="$(rustc -vV | sed -n 's/^host: //p')"
    built="$target/$host/$profile"
    cargo pgo build -- --locked --profile "$profile" --features cluster,otlp -p tero
    run_bench() {
        RUSTFLAGS= cargo run --locked --release -p tero-bench -- "$@" --tero "$built/tero" --rounds 1 --seconds 2
    }
    run_bench --only tero,tero-bare --cases hit-1k,hit-100k,not-modified,range,miss,mixed,new-connections,zipf-1000
    # The folder for temporary files may be in memory, where disks are read by other threads.
    run_bench disk --only tero --bodies-mib 32 --folder "$target"
    cargo pgo optimize build -- --locked --profile "$profile" --features cluster,otlp -p tero
    unset RUSTFLAGS
else
    build "$root" "$target"
    built="$(folder_of "$target")"
fi
strip --strip-all -o "$out/tero" "$built/tero"
touch -d "@$SOURCE_DATE_EPOCH" "$out/tero"
python3 "$root/engine/tero/packaging/notices.py" "$root" >"$out/NOTICES"

# Nothing of a release may tell where it was made.
names_no_path() { # FILE…
    local path
    for path in "$root" "$target" "$cargo_home" "$(rustc --print sysroot)" "$HOME/"; do
        # A root of one letter is everywhere.
        if [ "${#path}" -gt 5 ] && grep -laF -- "$path" "$@"; then
            echo "release.sh: it names $path" >&2
            exit 1
        fi
    done
}
names_no_path "$out/tero" "$out/NOTICES"

if [ -n "$compare" ]; then
    other="$(mktemp -d)/a-folder-of-another-length"
    mkdir -p "$other"
    git archive HEAD | tar -x -C "$other"
    build "$other" "$other/target"
    strip --strip-all -o "$other/tero" "$(folder_of "$other/target")/tero"
    cmp "$out/tero" "$other/tero"
    echo "the same bytes from two folders"
    rm -rf "$(dirname "$other")"
fi
[ -n "$only" ] && exit 0

version="$("$out/tero" --version | sed -n '1s/^tero //p')"
name="tero-$version-$(uname -m)-linux"
flags_for "$root" "$target"
cargo cyclonedx --quiet --manifest-path engine/tero/Cargo.toml --format json --spec-version 1.5 --features cluster,otlp \
    --target "$(rustc -vV | sed -n 's/^host: //p')" --override-filename "$name.cdx"
# What identifies crates of the workspace is where they lie.
sed "s|path+file://$root/|path+file:///tero/|g" "engine/tero/$name.cdx.json" >"$out/$name.cdx.json"
names_no_path "$out/$name.cdx.json"
find . -name "$name.cdx.json" -not -path './target/*' -delete
bash engine/tero/packaging/deb.sh "$out/tero" "$out" "$out/NOTICES"

stage="$(mktemp -d)"
mkdir -p "$stage/$name"
cp "$out/tero" "$out/NOTICES" LICENSE-APACHE LICENSE-MIT README.md CHANGELOG.md "$stage/$name/"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    -C "$stage" -c "$name" | gzip -n9 >"$out/$name.tar.gz"
rm -rf "$stage"
(cd "$out" && rm -f SHA256SUMS && sha256sum -- *.deb *.tar.gz *.cdx.json tero NOTICES >SHA256SUMS && cat SHA256SUMS)
