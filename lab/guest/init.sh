#!/bin/bash
# Process 1 of a guest. The root is the host's folder, read-only; the kernel's
# command line says the guest's name, the host's folder to mount at /lab, and
# the address of each interface. Then it takes commands: the host leaves
# in.N (a script) and go.N; the guest leaves out.N and, last, rc.N.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devpts devpts /dev/pts 2>/dev/null || { mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; }
for d in /run /tmp /var/log; do mount -t tmpfs tmpfs "$d"; done
mkdir -p /run/lock /run/xl2tpd /run/pluto /dev/net
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
[ -e /dev/ppp ] || mknod /dev/ppp c 108 0
for l in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -sfn "/proc/self/${l#*:}" "/dev/${l%%:*}"; done

declare -A arg
for word in $(cat /proc/cmdline); do arg[${word%%=*}]=${word#*=}; done
mount -t hostfs none /lib/modules -o /usr/lib/uml/modules
mount -t hostfs none /lab -o "${arg[labshare]}"
hostname "${arg[labname]}"
ip link set dev lo up
sysctl -qw net.core.rmem_max=4194304 net.core.wmem_max=4194304 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
for i in 0 1 2 3; do
  [ -n "${arg[labaddr$i]}" ] || continue
  ip link set dev "vec$i" up
  ip addr add "${arg[labaddr$i]}" dev "vec$i"
  sysctl -qw "net.ipv4.conf.vec$i.rp_filter=0"
done
[ -n "${arg[labgw]}" ] && ip route add default via "${arg[labgw]}"
modprobe -qa esp4 esp6 af_key xfrm_user tun l2tp_ppp ppp_async ppp_generic authenc echainiv seqiv gcm cbc drbg sha256_generic sha512_generic des_generic 2>/dev/null
# The first ESP SA of a kernel waits seconds for modules; better now than under a test.
{ ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode transport auth 'hmac(sha1)' 0x0102030405060708090a0b0c0d0e0f1011121314 \
    enc 'cbc(aes)' 0x0102030405060708090a0b0c0d0e0f100102030405060708090a0b0c0d0e0f10 && ip xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 1; } >/dev/null 2>&1 &
cut -d' ' -f1 /proc/uptime >/lab/ready

# Waiting on a pipe with a time limit costs no fork; forks are dear here.
mkfifo /run/wait
exec 9<>/run/wait
while :; do
  for g in /lab/go.*; do
    [ -e "$g" ] || continue
    n=${g##*.}
    rm -f "$g"
    if [ "$n" = halt ]; then
      echo o >/proc/sysrq-trigger
      read -rt 5 -u 9
    fi
    ( bash "/lab/in.$n" >"/lab/out.$n" 2>&1 </dev/null; echo $? >"/lab/rc.$n.tmp"; mv "/lab/rc.$n.tmp" "/lab/rc.$n" ) &
  done
  read -rt 0.02 -u 9
done
