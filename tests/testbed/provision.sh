#!/bin/sh
# Makes a debootstrapped tree into a host image. Runs inside the tree, by chroot, once an image.
set -eu

# Logins. Passwords and keys are set for each host, never in the image.
useradd --create-home --shell /bin/bash --uid 1000 user
useradd --create-home --shell /bin/bash --uid 1001 user2
useradd --create-home --shell /bin/bash --uid 1002 admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin
chmod 0440 /etc/sudoers.d/admin

# Keys lie outside the homes, so that an emptied, full or read-only home can still be logged in to.
mkdir -p /etc/ssh/sshd_config.d
cat >/etc/ssh/sshd_config.d/50-testbed.conf <<'END'
AuthorizedKeysFile /etc/ssh/testbed_keys .ssh/authorized_keys
UseDNS no
END
rm -f /etc/ssh/ssh_host_*

# As on a cloud's host, sshd is there at boot; once it answers, unprivileged logins work too.
mkdir -p /etc/systemd/system/ssh.service.d
cat >/etc/systemd/system/ssh.service.d/testbed.conf <<'END'
[Unit]
After=systemd-user-sessions.service
[Service]
RestartSec=100ms
END
systemctl set-default multi-user.target
systemctl enable ssh.service

# What a host in a container doesn't need costs time at each boot.
for unit in getty.target getty-static.service console-getty.service systemd-firstboot.service \
    systemd-machine-id-commit.service systemd-binfmt.service systemd-modules-load.service \
    systemd-random-seed.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-hwdb-update.service systemd-repart.service systemd-resolved.service \
    systemd-networkd.service systemd-networkd.socket systemd-timesyncd.service e2scrub_reap.service \
    e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
    systemd-tmpfiles-clean.timer kmod-static-nodes.service systemd-sysusers.service \
    proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount \
    systemd-ask-password-wall.path systemd-ask-password-console.path sshd-keygen.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
mkdir -p /etc/systemd/system.conf.d /etc/systemd/journald.conf.d
printf '[Manager]\nDefaultTimeoutStopSec=5s\n' >/etc/systemd/system.conf.d/testbed.conf
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >/etc/systemd/journald.conf.d/testbed.conf

# An empty machine-id would make each boot a first boot; each host gets its own.
: >/etc/machine-id
rm -rf /var/cache/apt/archives /var/lib/apt/lists /var/cache/debconf/*-old /usr/share/doc /usr/share/man \
    /usr/share/locale
mkdir -p /var/cache/apt/archives/partial /var/lib/apt/lists/partial
