#!/bin/sh
# Tell how this host is.  Changes nothing; names processes, but not what they were called with.
#   --lines=N
set -uf
export LC_ALL=C

lines=
for word in "$@"; do
    case $word in
        --lines=*) lines=${word#*=} ;;
        *) echo "not taken: $word; nothing was done"; exit 64 ;;
    esac
done
case $lines in
    '' | 0* | *[!0-9]* | ????*) echo "not taken: --lines=$lines; nothing was done"; exit 64 ;;
esac

part() {  # TITLE MOST PROGRAM...: what is not on this host is left out
    title=$1; most=$2; shift 2
    command -v "$1" >/dev/null || return 0
    echo "== $title"
    timeout -k 5 20 "$@" </dev/null 2>&1 | head -n "$most"
}

part system 1 uname -srm
[ ! -r /etc/os-release ] || sed -n 's/^PRETTY_NAME=//p' /etc/os-release
part uptime 1 uptime
part memory 4 free -m
[ ! -d /proc/pressure ] || part 'pressure (share of the last 10, 60 and 300 s lost)' 8 \
    grep -H . /proc/pressure/cpu /proc/pressure/memory /proc/pressure/io
if ps --version >/dev/null 2>&1; then
    part 'processes by processor time' 11 ps -eo pid,user,pcpu,pmem,rss,stat,comm --sort=-pcpu
    part 'processes by memory' 11 ps -eo pid,user,pcpu,pmem,rss,stat,comm --sort=-rss
else  # busybox knows fewer words
    echo '== processes by memory (KiB, number, name)'
    (
        set +f
        awk '/^Name:/ { name = $2 } /^Pid:/ { pid = $2 } /^VmRSS:/ { print $2, pid, name }' \
            /proc/[0-9]*/status 2>/dev/null | sort -rn | head -n 10
    )
fi
if df --version >/dev/null 2>&1; then
    part filesystems 40 df -hPT -x tmpfs -x devtmpfs -x squashfs -x overlay
    part inodes 40 df -hPi -x tmpfs -x devtmpfs -x squashfs -x overlay
else
    part filesystems 40 df -hPT
    part inodes 40 df -hPi
fi
echo '== mounted read-only'
awk '($2 !~ /^\/(proc|sys|dev|run|snap)(\/|$)/) && ($4 ~ /(^|,)ro(,|$)/) { print $1, $2, $3 }' \
    /proc/mounts | head -n 20
part 'block devices' 40 lsblk -o NAME,SIZE,TYPE,FSTYPE,MOUNTPOINT,MODEL
part 'failed services' 30 systemctl list-units --failed --no-legend --no-pager --plain
part 'errors of the last day' "$lines" \
    journalctl --since=-24h --priority=err --lines="$lines" --no-pager --output=short-iso --quiet
if ip -brief address >/dev/null 2>&1; then
    part addresses 40 ip -brief address
else
    part addresses 60 ip address
fi
part 'routes' 20 ip route
part 'listening' 40 ss -Hltun
if [ -r /etc/resolv.conf ]; then
    echo '== name servers'
    sed -n 's/^nameserver[[:space:]]*//p' /etc/resolv.conf | head -n 5
fi
part clock 4 timedatectl show --property=NTPSynchronized --property=NTP --property=Timezone
if [ -e /run/reboot-required ] || [ -e /run/reboot-needed ]; then
    echo '== a restart is asked for'
    head -n 10 /run/reboot-required.pkgs 2>/dev/null
fi
echo '== end'
exit 0
