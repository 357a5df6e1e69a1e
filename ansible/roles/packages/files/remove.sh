#!/bin/sh
# Removes the packages that the notes in the folder $1 name, then the notes. Says what it did.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
notes=$1
[ -d "$notes" ] || exit 0

installed() { dpkg-query --show --showformat='${db:Status-Abbrev}' "$1" 2> /dev/null | grep -q '^[^u][^n]'; }

if [ -s "$notes/packages" ]; then
    ours=$(sort -u "$notes/packages")
    there=
    for package in $ours; do
        ! installed "$package" || there="$there $package"
    done
    # shellcheck disable=SC2086
    plan=$(apt-get -s -qq purge $there | sed -n 's/^Purg \([^ ]*\).*/\1/p' | sort -u)
    others=$(printf '%s\n' "$plan" | while read -r name; do printf '%s\n' "$ours" | grep -qxF -- "$name" || echo "$name"; done)
    if [ -n "$others" ]; then
        echo "The packages that were installed are needed by others by now:" $others >&2
        echo "Remove these first, or remove the file $notes/packages to keep all of them." >&2
        exit 1
    fi
    case " $there " in *" docker.io "*) systemctl stop docker.socket docker containerd 2> /dev/null || true ;; esac
    # shellcheck disable=SC2086
    [ -z "$there" ] || apt-get -qq -o DPkg::Lock::Timeout=300 purge -y $there < /dev/null > /dev/null
    # What Docker makes when it runs belongs to no package.
    case " $(echo $ours) " in
        *" docker.io "*)
            for folder in /var/lib/docker /var/lib/containerd /etc/docker /run/docker /run/containerd; do
                # Somebody may have mounted a disk there, which stays.
                [ ! -d "$folder" ] || find "$folder" -mindepth 1 -delete
                rmdir "$folder" 2> /dev/null || true
            done
            ip link delete docker0 2> /dev/null || true
            ! getent group docker > /dev/null || groupdel docker
            ;;
    esac
    echo "removed:" $there
fi
rm -rf "$notes"
echo "removed: the notes"
