#!/bin/sh
# Makes a host image into one for a cloud: nobody can log in to it but whom cloud-init lets in.
set -eu

for user in user user2 admin; do
    userdel --remove "$user" 2>/dev/null
done
rm -f /etc/sudoers.d/admin
echo 'UseDNS no' >/etc/ssh/sshd_config.d/50-testbed.conf

# The login that images of Ubuntu have; what the seed says comes from the instance.
cat >/etc/cloud/cloud.cfg.d/90-testbed.cfg <<'END'
datasource_list: [NoCloud]
network: {config: disabled}
locale: C.UTF-8
growpart: {mode: "off"}
resize_rootfs: false
apt: {preserve_sources_list: true}
system_info:
  default_user:
    name: ubuntu
    gecos: Ubuntu
    lock_passwd: true
    groups: [adm, sudo]
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash
END
