#!/bin/sh
# Puts the agent and all that belongs to it where the package has it; deb.sh makes the package with this script.
#
#   sudo deploy/edge/install.sh PROGRAM            on the station itself, without a package
#   deploy/edge/install.sh --root DIRECTORY PROGRAM   into a folder, and nothing else is done
#
# PROGRAM is `edge`, built for this machine (.ci/pi build). A configuration that is there already is left alone.

set -eu

root=
if [ "${1-}" = --root ]; then
    root=$2
    shift 2
fi
if [ $# -ne 1 ] || [ ! -f "$1" ]; then
    echo "usage: install.sh [--root DIRECTORY] PROGRAM" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
name=thermal-watch-edge

if [ -z "$root" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "run this with sudo" >&2
        exit 1
    fi
    if ! "$1" --version >/dev/null; then
        echo "$1 does not run on this machine; is it built for $(uname -m), and for a system no newer than this one?" >&2
        exit 1
    fi
fi

file() {
    install -D -m "$1" "$2" "$root$3"
}

file 755 "$1" /usr/bin/edge
file 755 "$here/prepare-pi" /usr/lib/thermal-watch/prepare-pi
file 755 "$here/fetch-onnxruntime" /usr/lib/thermal-watch/fetch-onnxruntime
file 644 "$here/$name.service" /usr/lib/systemd/system/$name.service
file 644 "$here/$name-once.service" /usr/lib/systemd/system/$name-once.service
file 644 "$here/$name-once.timer" /usr/lib/systemd/system/$name-once.timer
file 644 "$here/60-thermal-watch.rules" /usr/lib/udev/rules.d/60-thermal-watch.rules
file 644 "$here/sysusers.conf" /usr/lib/sysusers.d/$name.conf
file 644 "$here/tmpfiles.conf" /usr/lib/tmpfiles.d/$name.conf
file 644 "$here/modules-load.conf" /usr/lib/modules-load.d/$name.conf
file 644 "$here/journald.conf" /usr/share/doc/$name/examples/journald.conf
file 644 "$here/../edge.md" /usr/share/doc/$name/edge.md
file 644 "$here/debian/copyright" /usr/share/doc/$name/copyright

# The commented file, with the one key set that a command outside the service must know, too.
settings=/etc/thermal-watch/edge.toml
if [ -e "$root$settings" ]; then
    echo "$root$settings is there and stays as it is"
else
    install -d "$root/etc/thermal-watch"
    sed 's|^#+ state_dir = .*|state_dir = "/var/lib/thermal-watch"|' "$here/../edge.toml" >"$root$settings"
    chmod 644 "$root$settings"
    if ! grep -q '^state_dir = ' "$root$settings"; then
        echo "deploy/edge.toml has no line \"#+ state_dir = …\" to put the state directory in" >&2
        exit 1
    fi
fi

if [ -z "$root" ]; then
    # What the package does after unpacking.
    sh "$here/debian/postinst" configure
fi
