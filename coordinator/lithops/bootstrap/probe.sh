# Looks at a host and prints what it finds as key=value lines. POSIX sh; starts as few processes as it can.
# Set before it: agent_dir (below the home), bundle (file name), bundle_id, prepared_dirs (by colons), want (3.12),
# explicit (or empty), ask_root (or empty).
export LC_ALL=C
printf 'lithops_probe=1\nhome=%s\nuser=%s\n' "$HOME" "${USER:-$(id -un)}"
uid=$(id -u)
printf 'uid=%s\n' "$uid"

# The agent that runs here, if one does. A file of an earlier boot names a process that is another one now.
boot=none
read -r boot < /proc/sys/kernel/random/boot_id
state=
[ -r "$HOME/$agent_dir/agent.json" ] && IFS= read -r state < "$HOME/$agent_dir/agent.json"
alive=0
if [ -n "$state" ]; then
    printf 'state=%s\n' "$state"
    pid=${state#*\"pid\":}
    pid=${pid# }
    pid=${pid%%[!0-9]*}
    case $state in *"$boot"*) [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && alive=1 ;; esac
fi
printf 'alive=%s\n' "$alive"

# Interpreters, by their names: python3.X says its version without being started.
# Shims of pyenv and the like are passed over, for they are slow and may have nothing behind them.
ok=
look() {
    case $1 in */shims | '' | /bin | /sbin | /usr/games | /usr/local/games) return ;; esac
    for found in "$1"/python3.[0-9] "$1"/python3.[0-9][0-9]; do
        [ -x "$found" ] && [ -f "$found" ] || continue
        printf 'python=%s\n' "$found"
        [ -z "$ok" ] && [ "${found##*/}" = "python$want" ] && full=$("$found" -V 2>&1) && ok="${full#Python } $found"
    done
}
IFS=:
for dir in $PATH; do
    look "${dir%/}"
done
unset IFS
for dir in /usr/local/bin /usr/bin /opt/python*/bin /opt/conda/bin /opt/conda/envs/*/bin "$HOME/.local/bin" \
    "$HOME"/.pyenv/versions/*/bin "$HOME"/miniconda3/bin "$HOME"/miniforge3/bin "$HOME"/anaconda3/bin \
    "$HOME"/miniconda3/envs/*/bin "$HOME"/miniforge3/envs/*/bin "$HOME"/anaconda3/envs/*/bin \
    "$HOME"/.local/share/uv/python/cpython-*/bin; do
    [ -d "$dir" ] || continue
    case :$PATH: in *:"$dir":*) continue ;; esac
    look "$dir"
done
[ -n "$ok" ] && printf 'ok=%s\n' "$ok"
if [ -n "$explicit" ]; then
    case $explicit in '~/'*) explicit=$HOME/${explicit#??} ;; esac
    path=$(command -v -- "$explicit") && full=$("$path" -V 2>&1) && printf 'explicit=%s %s\n' "${full#Python }" "$path"
fi

can_sudo() { command -v sudo > /dev/null && sudo -n true > /dev/null 2>&1 < /dev/null; }
if [ -n "$ask_root" ]; then
    if [ "$uid" = 0 ] || can_sudo; then echo root=1; fi
fi

case $alive$state in 1*\""$bundle_id"\"*)
    echo end=1
    exit 0
    ;;
esac

# Nothing runs: what is needed to start it.
cpus=$(nproc 2>/dev/null) && printf 'cpus=%s\n' "$cpus"
# A home that is not there yet, or is not ours, can't be written either.
trial=$HOME/.lithops-probe.$$
if reason=$( (: > "$trial") 2>&1) && [ -e "$trial" ]; then
    rm -f "$trial"
    echo writable=1
else
    printf 'writable=0\nwhy_not=%s\n' "${reason##*: }"
fi
df -Pk "$HOME" 2>/dev/null | { read -r _ && read -r _ _ _ free _ && printf 'free_kb=%s\n' "$free"; }
[ -f "$HOME/$agent_dir/bundles/$bundle" ] && printf 'bundle_size=%s\n' "$(($(wc -c < "$HOME/$agent_dir/bundles/$bundle")))"

# A bundle that the host was prepared with: this very one, or another one of the same release.
prepared=
IFS=:
for dir in $prepared_dirs; do
    case $dir in '~/'*) dir=$HOME/${dir#??} ;; esac
    for found in "$dir/$bundle" "$dir/agent-$bundle_id"-????????????????.zip; do
        [ -z "$prepared" ] && [ -r "$found" ] && prepared=$found
    done
done
unset IFS
[ -n "$prepared" ] && printf 'prepared=%s\nprepared_size=%s\n' "$prepared" "$(($(wc -c < "$prepared")))"
if [ -d /run/systemd/system ] && command -v systemd-run > /dev/null; then
    echo systemd=1
    [ -e "/var/lib/systemd/linger/${USER:-$(id -un)}" ] && echo linger=1
    [ -S "/run/user/$uid/systemd/private" ] && echo user_manager=1
    [ "$uid" != 0 ] && can_sudo && echo sudo=1
fi
echo end=1
