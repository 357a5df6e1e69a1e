#!/bin/sh
# Ends the agent of the login $2, and those of others that run from the folder $1, with all that they have; then
# removes the folder, and undoes what the notes in the folder $3 say of linger. Says what it did.
set -eu
place=$1 login=$2 notes=$3

# Runs as the owner of the agent, with its home as $1: what lies there is the owner's, links too.
# shellcheck disable=SC2016
end='
d=$1/.lithops/agent
[ -e "$d" ] || exit 0
word() { sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$d/fence.json" 2> /dev/null; }
program=$(word program) python=$(word python)
[ -e "$program" ] || program=$(ls -t "$d"/bundles/agent-*.zip "$2"/agent-*.zip 2> /dev/null | grep -v worker.zip | head -n 1)
XDG_RUNTIME_DIR="/run/user/$(id -u)"; export XDG_RUNTIME_DIR
[ -z "$program" ] || "${python:-python3}" "$program" end --home "$d" --ending remove < /dev/null
rm -rf "$d"
rmdir "$1/.lithops" 2> /dev/null
echo "ended: the agent of $(id -un)"
'
end_agent() {
    if [ "$(id -un)" = "$1" ]; then
        sh -c "$end" sh "$2" "$place"
    else
        runuser -u "$1" -- sh -c "$end" sh "$2" "$place"
    fi
}

# Nobody starts it again.
if [ "$(id -u)" = 0 ] && [ -e /etc/systemd/system/lithops-prepared@.service ]; then
    for unit in /etc/systemd/system/multi-user.target.wants/lithops-prepared@*.service; do
        systemctl disable --now --quiet "${unit##*/}"
    done
    rm -f /etc/systemd/system/lithops-prepared@.service
    systemctl daemon-reload
    echo "removed: lithops-prepared@.service"
fi

getent passwd | while IFS=: read -r user _ uid _ _ home _; do
    if [ "$user" = "$login" ]; then
        end_agent "$user" "$home"
    elif [ "$(id -u)" = 0 ] && [ -f "$home/.lithops/agent/fence.json" ] && grep -qsF "\"$place/agent-" "$home/.lithops/agent/fence.json"; then
        end_agent "$user" "$home"
    fi
done

if [ -d "$place" ]; then
    rm -rf "$place"
    echo "removed: $place"
    # Above it, in a home, there may be folders that were made for it.
    case $place in /usr/*) ;; *) rmdir "${place%/*}" "${place%/*/*}" 2> /dev/null || true ;; esac
fi
if [ "$(id -u)" = 0 ] && [ -e "$notes/linger" ]; then
    while read -r user; do
        loginctl disable-linger "$user" && echo "undone: linger of $user"
    done < "$notes/linger"
    rm -f "$notes/linger"
    rmdir "$notes" 2> /dev/null || true
fi
