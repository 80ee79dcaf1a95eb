#!/bin/sh
# Puts the service, its units and its scripts in place on a machine with systemd.
#
#   sudo deploy/systemd/install.sh PROGRAM           PROGRAM is `cloud`, built by `cargo build --release -p cloud`
#   deploy/systemd/install.sh --root FOLDER PROGRAM  into a folder, and nothing else is done
#
# Secrets that are missing are made; a configuration and secrets that are there stay as they are. Nothing is started.

set -eu

root=
if [ "${1-}" = --root ]; then
    root=$2
    shift 2
fi
if [ $# -ne 1 ] || [ ! -f "$1" ]; then
    echo "usage: install.sh [--root FOLDER] PROGRAM" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
    echo "run this with sudo" >&2
    exit 1
fi

file() {
    install -D -m "$1" "$2" "$root$3"
}

file 755 "$1" /usr/local/bin/cloud
for unit in thermal-watch-cloud.service thermal-watch-backup.service thermal-watch-backup.timer; do
    file 644 "$here/$unit" "/etc/systemd/system/$unit"
done
file 755 "$here/../backup" /usr/local/lib/thermal-watch/backup
file 755 "$here/../restore" /usr/local/lib/thermal-watch/restore
file 644 "$here/../postgres/client.sh" /usr/local/lib/thermal-watch/postgres/client.sh
file 755 "$here/../postgres/10-roles.sh" /usr/local/lib/thermal-watch/postgres/10-roles.sh
for guide in "$here"/../*.md; do
    file 644 "$guide" "/usr/local/share/doc/thermal-watch/${guide##*/}"
done

secrets=$root/etc/thermal-watch/secrets
install -d "$root/etc/thermal-watch"
install -d -m 700 "$secrets"
made() {
    if [ ! -s "$secrets/$1" ]; then
        (
            umask 077
            printf '%s\n' "$2" >"$secrets/$1"
        )
        echo "$secrets/$1: made"
    fi
}
random() { od -An -v -N 32 -tx1 /dev/urandom | tr -d ' \n'; }
for secret in notehub_token people_token database_password grafana_database_password; do
    made "$secret" "$(random)"
done
made database_url "postgres://thermal_watch:$(cat "$secrets/database_password")@localhost/thermal_watch"

settings=$root/etc/thermal-watch/cloud.toml
if [ -e "$settings" ]; then
    echo "$settings is there and stays as it is"
else
    file 644 "$here/cloud.toml" /etc/thermal-watch/cloud.toml
fi
