#!/bin/sh
# Installs the packages $2... that are missing, and notes in the folder $1 what came along. Says what it did.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
notes=$1
shift

present() { dpkg-query --show --showformat='${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii *//p' | sort -u; }

before=$(present)
missing=
for package in "$@"; do
    printf '%s\n' "$before" | grep -qxF -- "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 "$@" < /dev/null >&2; }
apt update || echo "The lists of packages could not be brought up to date; going on with what is known." >&2
umask 022
mkdir -p "$notes"
# Also after a failure: what it has left behind is noted, too.
note() {
    code=$?
    present > "$notes/present"
    came=$(printf '%s\n' "$before" | comm -13 - "$notes/present")
    rm -f "$notes/present"
    [ -z "$came" ] || printf '%s\n' "$came" >> "$notes/packages"
    rmdir "$notes" 2> /dev/null || true
    [ "$code" -ne 0 ] || printf 'installed: %s\n' "$(echo $came)"
}
trap note EXIT
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing
