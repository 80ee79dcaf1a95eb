#!/usr/bin/env bash
# Makes the Debian package of the agent, with dpkg-deb alone. The same program gives the same package, to the bit.
#
#   deploy/edge/deb.sh ARCHITECTURE PROGRAM DIRECTORY     ARCHITECTURE as Debian says it: arm64, amd64
#
#   SOURCE_DATE_EPOCH     the time that files get; that of the last commit if it is not set
#   DEBFULLNAME, DEBEMAIL whom the package names as its maintainer
#
# Prints where the package is. `.ci/pi deb` builds the program first.

set -euo pipefail

if [[ $# -ne 3 || ! -f $2 ]]; then
    echo "usage: deb.sh ARCHITECTURE PROGRAM DIRECTORY" >&2
    exit 2
fi
architecture=$1
program=$(realpath "$2")
directory=$(realpath -m "$3")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

name=thermal-watch-edge
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
if [[ -z ${SOURCE_DATE_EPOCH-} ]]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)
fi
export SOURCE_DATE_EPOCH
maintainer="${DEBFULLNAME:-Thermal Watch authors} <${DEBEMAIL:-authors@thermal-watch.example}>"
# The umask of whoever runs this must not be in the package.
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/DEBIAN"

case $architecture in
arm64) machine=AArch64 triple=aarch64-unknown-linux-gnu ;;
amd64) machine=X86-64 triple=x86_64-unknown-linux-gnu ;;
*)
    echo "packages are made for arm64 and amd64, not for $architecture" >&2
    exit 2
    ;;
esac
if ! LC_ALL=C readelf -h "$program" | grep -q "Machine: .*$machine"; then
    echo "$program is not built for $architecture" >&2
    exit 1
fi
# The newest version of the C library that the program asks for is the oldest that will do.
glibc=$(LC_ALL=C readelf -V "$program" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -V | tail -n 1)

deploy/edge/install.sh --root "$root" "$program"

# What is linked into the program: names, versions, licences and, once each, their texts.
third_party() {
    local crates crate version_ folder text digest seen=''
    crates=$("${CARGO:-cargo}" tree --locked --package edge --edges normal --target "$triple" --prefix none \
        --no-dedupe --format '{p}|{l}' | sed 's/ (proc-macro)//; s/ (\*)//' | LC_ALL=C sort -u | grep -v ' (/')
    echo "Libraries in this program, and their licences."
    echo
    printf '%s\n' "${crates//|/: }"
    while IFS='|' read -r crate _; do
        version_=${crate#* v} crate=${crate%% *}
        for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$crate-$version_"; do
            for text in "$folder"/{LICEN[CS]E,COPYING,NOTICE,UNLICENSE,COPYRIGHT}*; do
                if [[ ! -f $text ]]; then
                    continue
                fi
                digest=$(sha256sum <"$text")
                printf '\n==== %s %s, %s' "$crate" "$version_" "${text##*/}"
                if [[ $seen == *"$digest"* ]]; then
                    printf ': as above, %s\n' "${digest:0:12}"
                else
                    printf ' (%s)\n\n' "${digest:0:12}"
                    cat "$text"
                    seen+=$digest
                fi
            done
        done
    done <<<"$crates"
}
documentation=$root/usr/share/doc/$name
third_party >"$documentation/third-party.txt"
if ! grep -q '^==== ' "$documentation/third-party.txt"; then
    echo "the sources of the libraries, which hold their licences, are not where cargo puts them" >&2
    exit 1
fi
printf '%s (%s) stable; urgency=medium\n\n  * As of this commit; see the log of the repository.\n\n -- %s  %s\n' \
    "$name" "$version" "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" >"$documentation/changelog"
gzip -9n "$documentation/third-party.txt" "$documentation/changelog"

for script in postinst prerm postrm; do
    install -m 755 "deploy/edge/debian/$script" "$root/DEBIAN/$script"
done
echo /etc/thermal-watch/edge.toml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<END
Package: $name
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: libc6 (>= $glibc), libgcc-s1, systemd, udev
Suggests: i2c-tools, python3-pip
Section: net
Priority: optional
Description: thermal camera to Notecard, the agent of Thermal Watch
 Reads an MLX90640 thermal camera, learns what a machine normally looks like,
 says what is hot or unusual, and queues notes on a Blues Notecard, which sends
 them over the cellular network. Nothing is lost while there is no network.
END
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$root" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$directory"
package=$directory/${name}_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"
