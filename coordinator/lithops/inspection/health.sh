# What a host has beside what the probe of the bootstrap tells, as key=value lines. POSIX sh.
export LC_ALL=C
echo lithops_health=1
printf 'clock=%s\n' "$(date +%s.%N)"
df -Pk "$HOME" 2>/dev/null | { read -r _ && read -r _ total _ && printf 'disk_kb=%s\n' "$total"; }
while read -r name amount _; do
    case $name in MemTotal: | MemAvailable:) printf '%s=%s\n' "${name%:}" "$amount" ;; esac
done < /proc/meminfo
socket=/var/run/docker.sock
case ${DOCKER_HOST:-} in unix://*) socket=${DOCKER_HOST#unix://} ;; esac
if [ ! -S "$socket" ]; then
    echo docker=none
elif [ ! -w "$socket" ]; then
    echo docker=forbidden
else
    # A socket stays behind when the engine is killed.
    version=
    command -v docker > /dev/null && version=$(timeout 5 docker version --format '{{.Server.Version}}' 2>/dev/null)
    printf 'docker=there\ndocker_version=%s\n' "$version"
fi
echo health_end=1
