#!/bin/sh
# Has the agent of the login that runs this run from the bundle $1, without time-outs until a script comes with
# some. An agent of another bundle that has jobs goes on. Says what it did.
set -eu
bundle=$1
home=$(getent passwd "$(id -u)" | cut -d: -f6)/.lithops/agent
XDG_RUNTIME_DIR=/run/user/$(id -u)
export XDG_RUNTIME_DIR

# As scripts choose it: systemd looks after the agent where the login may ask it to.
unit=none
if [ -d /run/systemd/system ]; then
    if [ "$(id -u)" = 0 ] || sudo -n true > /dev/null 2>&1 < /dev/null; then
        unit=system
    elif [ -e "/var/lib/systemd/linger/$(id -un)" ] && [ -S "$XDG_RUNTIME_DIR/systemd/private" ]; then
        unit=user
    fi
fi
running() { sed -n 's/.*"agent_id": "\([^"]*\)".*"pid": \([0-9]*\).*/\1 \2/p' "$home/agent.json" 2> /dev/null || true; }

before=$(running)
code=0
python3 "$bundle" start --home "$home" --soft=-1 --ending keep --unit "$unit" > /dev/null || code=$?
case $code in
    0) [ "$before" = "$(running)" ] || echo "started: the agent of $(id -un)" ;;
    # Another release is at work. It gives way to that of a newer script once it is idle.
    75) ;;
    *) exit "$code" ;;
esac
