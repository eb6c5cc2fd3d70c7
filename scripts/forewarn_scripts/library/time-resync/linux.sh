#!/bin/sh
# Have the time service set the clock by its servers now, and see that it did.
set -euf
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

for word in "$@"; do
    echo "not taken: $word; nothing was done"
    exit 64
done

is_active() { systemctl is-active --quiet -- "$1" 2>/dev/null; }

with_chrony() {
    tell() { chronyc -n tracking 2>&1 | grep -E '^(Reference ID|System time|Leap status)' || true; }
    echo "before:"; tell
    timeout 10 chronyc -n online >/dev/null 2>&1 || true
    timeout 10 chronyc -n burst 4/4 >/dev/null 2>&1 || true
    # Forty seconds for an answer; what is left to mend of the clock may then be any amount.
    if ! timeout 60 chronyc -n waitsync 20 0 0 2 >/dev/null 2>&1; then
        echo "no time server answered:"
        timeout 10 chronyc -n sources 2>&1 | tail -n 10
        exit 1
    fi
    timeout 10 chronyc -n makestep >/dev/null || {
        echo "chronyd did not set the clock; in a container that is the host's to do"
        exit 1
    }
    echo "after:"; tell
}

with_timesyncd() {
    stamp=/run/systemd/timesync/synchronized
    before=$(stat -c %Y "$stamp" 2>/dev/null || echo 0)
    echo "before: $(timedatectl show --property=NTPSynchronized 2>/dev/null || echo unknown)"
    timeout 60 systemctl restart systemd-timesyncd.service || { echo "systemd-timesyncd did not start"; exit 1; }
    waited=0
    # It touches this file each time a server answered.
    until [ -e "$stamp" ] && [ "$(stat -c %Y "$stamp")" != "$before" ]; do
        if [ "$waited" -ge 45 ]; then
            echo "no time server answered:"
            journalctl --unit=systemd-timesyncd --lines=5 --no-pager --output=cat 2>/dev/null || true
            exit 1
        fi
        sleep 1
        waited=$((waited + 1))
    done
    journalctl --unit=systemd-timesyncd --lines=2 --no-pager --output=cat 2>/dev/null || true
}

with_ntpd() {  # UNIT
    timeout 60 systemctl restart -- "$1" || { echo "$1 did not start"; exit 1; }
    waited=0
    until timeout 10 ntpq -pn 2>/dev/null | grep -q '^\*'; do
        if [ "$waited" -ge 90 ]; then
            echo "no time server was chosen:"
            timeout 10 ntpq -pn 2>&1 | tail -n 10
            exit 1
        fi
        sleep 5
        waited=$((waited + 5))
    done
    timeout 10 ntpq -pn | grep '^\*'
}

if [ -d /run/systemd/system ]; then
    if is_active chronyd.service || is_active chrony.service; then
        with_chrony
    elif is_active ntpsec.service; then
        with_ntpd ntpsec.service
    elif is_active ntpd.service; then
        with_ntpd ntpd.service
    elif is_active ntp.service; then
        with_ntpd ntp.service
    elif is_active systemd-timesyncd.service; then
        with_timesyncd
    else
        echo "no time service runs here (chrony, ntp, systemd-timesyncd); nothing was done"
        exit 69
    fi
elif command -v chronyc >/dev/null; then
    with_chrony
else
    echo "no time service that is known is here; nothing was done"
    exit 69
fi
echo "the clock was set by its servers"
