#!/usr/bin/env bash
# Looks through a package, and installs, starts, upgrades and removes it in a Debian of its own: deb-check.sh PACKAGE [MIRROR]
# Runs as root, with lintian and debootstrap. The Debian is made once and kept (TERO_CHROOT, else below ~/.cache/tero-ci).
set -euo pipefail
package="$(realpath "$1")"
mirror="${2:-http://deb.debian.org/debian}"
base="${TERO_CHROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/tero-ci/bookworm}"

lintian --fail-on error,warning --tag-display-limit 0 "$package"
megabytes="$(($(dpkg-deb -f "$package" Installed-Size) / 1024))"
echo "the installed package has $megabytes MiB"

if [ ! -e "$base/etc/debian_version" ]; then
    mkdir -p "$(dirname "$base")"
    rm -rf "$base.new"
    debootstrap --variant=minbase --include=adduser,ca-certificates,logrotate,man-db,procps bookworm "$base.new" "$mirror" >/dev/null
    mv "$base.new" "$base"
fi
chroot="$(mktemp -d)"
trap 'stop; umount -l "$chroot/proc" 2>/dev/null || true; rm -rf --one-file-system "$chroot"' EXIT
stop() {
    for process in $(pids); do kill -9 "$process" 2>/dev/null || true; done
}
# The processes whose root is the chroot and that run tero, the newest last.
pids() {
    local process
    for process in /proc/[0-9]*; do
        if [ "$(readlink "$process/root" 2>/dev/null)" = "$chroot" ] &&
            tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q '^/usr/bin/tero serve'; then
            basename "$process"
        fi
    done | sort -n
}
cp -a "$base/." "$chroot/"
mount -t proc proc "$chroot/proc"
run() { chroot "$chroot" "$@"; }
eventually() { # WHAT COMMAND…
    local what="$1" try
    shift
    for try in $(seq 100); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    echo "deb-check.sh: $what: not after 20 s" >&2
    exit 1
}
expect() { # WHAT COMMAND…
    local what="$1"
    shift
    "$@" || { echo "deb-check.sh: $what" >&2 && exit 1; }
}

cp "$package" "$chroot/tero.deb"
run dpkg --install /tero.deb
expect "the program works" run /usr/bin/tero --version
expect "the configuration is right" run tero check /etc/tero/tero.toml
expect "there is a manual page" test -s "$chroot/usr/share/man/man1/tero.1.gz"
for named in $(grep -ohE '/usr/share/doc/tero/[a-z./-]*[a-z]' "$chroot/etc/tero/tero.toml" "$chroot/usr/lib/systemd/system/tero.service"); do
    expect "$named, which the configuration or the unit names, is there" test -s "$chroot$named"
done
expect "it can be read" run sh -c 'MANWIDTH=80 man tero | grep -q "caching edge server"'
expect "commands are completed" run bash -c '. /usr/share/bash-completion/completions/tero && complete -p tero'
expect "licences are there" zgrep -q wasmtime "$chroot/usr/share/doc/tero/NOTICES.gz"
expect "the log is rotated" run logrotate --debug /etc/logrotate.d/tero
expect "the user is there" run id tero
expect "no other user reads the configuration" test "$(stat -c '%a %U' "$chroot/etc/tero/tero.toml")" = "640 root"

start() { run setpriv --reuid tero --regid tero --init-groups /usr/bin/tero serve --config /etc/tero/tero.toml >"$chroot/log" 2>&1 & }
start
eventually "it serves" run tero stats
first="$(pids)"
[ -f "$chroot/var/log/tero/access.log" ] || expect "its log is there" test -f "$chroot/var/log/tero/access.log"

# An upgrade by a package: the files are replaced while the process runs, which then starts the new program.
run dpkg --install /tero.deb
expect "the configuration of the operator stays" test -f "$chroot/etc/tero/tero.toml"
run tero upgrade
eventually "the old process ends" sh -c "! kill -0 $first"
second="$(pids)"
expect "another process serves" test "$second" != "$first"
expect "it answers" run tero stats --json

# What an operator has changed or removed stays so.
run chmod 0600 /etc/tero/tero.toml
run dpkg --install /tero.deb
expect "the mode of the configuration stays" test "$(stat -c %a "$chroot/etc/tero/tero.toml")" = 600
run rm /etc/tero/tero.toml
run dpkg --install /tero.deb
expect "a configuration that was removed stays away" test ! -e "$chroot/etc/tero/tero.toml"

run dpkg --remove tero
expect "the program is gone" test ! -e "$chroot/usr/bin/tero"
expect "the state stays" test -d "$chroot/var/lib/tero"
stop
run dpkg --purge tero
for left in /etc/tero /var/lib/tero /var/cache/tero /var/log/tero; do
    expect "$left is gone" test ! -e "$chroot$left"
done
echo "the package can be installed, started, upgraded and removed"
