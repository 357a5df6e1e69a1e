# Looks at what is left of an agent and, with $1 and without a living agent, ends it. POSIX sh.
# Set before it: agent_dir (below the home), how (a way to end of the agent; empty: only look).
export LC_ALL=C
XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"
export XDG_RUNTIME_DIR
d=$HOME/$agent_dir
echo lithops_look=1

# As in probe.sh: a file of an earlier boot names a process that is another one now.
boot=none
read -r boot < /proc/sys/kernel/random/boot_id
state=
[ -r "$d/agent.json" ] && IFS= read -r state < "$d/agent.json"
if [ -n "$state" ]; then
    pid=${state#*\"pid\":}
    pid=${pid# }
    pid=${pid%%[!0-9]*}
    case $state in
        *"$boot"*)
            if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
                printf 'agent=%s\nend=1\n' "$state"
                exit 0
            fi
            ;;
    esac
fi

# No agent is alive. What it has left: its files, and perhaps a fence that waits for its deadline.
left() {
    for file in "$d"/* "$d"/.[!.]*; do
        [ -e "$file" ] || continue
        case $how:$file in keep:*/bundles | keep:*/environments) ;; *) return 0 ;; esac
    done
    return 1
}
if [ -n "$how" ] && left; then
    word() { sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$d/fence.json" 2> /dev/null; }
    python=$(word python)
    program=$(word program)
    if [ ! -e "$program" ] || ! "$python" "$program" end --home "$d" --ending "$how" < /dev/null; then
        for file in "$d"/* "$d"/.[!.]*; do
            case $how:$file in keep:*/bundles | keep:*/environments) ;; *) rm -rf "$file" ;; esac
        done
        rmdir "$d" "${d%/*}" 2> /dev/null
    fi
fi
left && echo left=1
echo end=1
