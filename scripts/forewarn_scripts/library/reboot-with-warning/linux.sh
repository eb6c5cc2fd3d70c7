#!/bin/sh
# Restart this host after some minutes, with a message to those who are logged in.
#   --minutes=N --message=TEXT [--if-required] [--cancel]
set -euf
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

wrong() { echo "not taken: $1; nothing was done"; exit 64; }

minutes=
message=
if_required=no
cancel=no
for word in "$@"; do
    case $word in
        --minutes=*) minutes=${word#*=} ;;
        --message=*) message=${word#*=} ;;
        --if-required) if_required=yes ;;
        --cancel) cancel=yes ;;
        *) wrong "$word" ;;
    esac
done
case $minutes in
    '' | 0* | *[!0-9]* | ?????*) wrong "--minutes=$minutes" ;;
esac
[ "$minutes" -le 1440 ] || wrong "--minutes=$minutes"
[ ${#message} -le 160 ] || wrong "--message"
case $message in
    '' | [!A-Za-z0-9]* | *[!A-Za-z0-9\ .,!?\(\)_-]*) wrong "--message" ;;
esac
command -v shutdown >/dev/null || { echo "there is no shutdown here; nothing was done"; exit 69; }

scheduled() { [ -e /run/systemd/shutdown/scheduled ] || [ -e /run/shutdown.pid ]; }

is_required() {
    if [ -e /run/reboot-required ] || [ -e /run/reboot-needed ]; then return 0; fi
    if command -v zypper >/dev/null && [ ! -e /etc/debian_version ]; then
        status=0
        timeout 60 zypper --non-interactive needs-rebooting </dev/null >/dev/null 2>&1 || status=$?
        [ "$status" = 102 ]
        return
    fi
    if command -v dnf >/dev/null && timeout 60 dnf -q needs-restarting -r </dev/null 2>/dev/null |
        grep -q 'Reboot is required'; then
        return 0
    fi
    running=$(uname -r)
    # A newer kernel of the same kind, or the one that runs is gone already.
    [ -d /lib/modules ] && [ -n "$(find /lib/modules/ -mindepth 1 -maxdepth 1)" ] || return 1
    [ -d "/lib/modules/$running" ] || return 0
    newest=$(find /lib/modules/ -mindepth 1 -maxdepth 1 -name "*-${running##*[0-9]-}" | sort -V | tail -n 1)
    [ -n "$newest" ] && [ "${newest##*/}" != "$running" ]
}

if [ "$cancel" = yes ]; then
    if ! scheduled; then
        echo "no restart is ordered; nothing was done"
        exit 0
    fi
    shutdown -c </dev/null 2>&1 || { echo "the restart was not taken back"; exit 1; }
    echo "the restart was taken back"
    exit 0
fi
if [ "$if_required" = yes ] && ! is_required; then
    echo "nothing waits for a restart; nothing was done"
    exit 0
fi
if scheduled; then
    echo "a restart is ordered already; nothing was done"
    exit 0
fi
shutdown -r "+$minutes" "$message" </dev/null 2>&1 || { echo "no restart could be ordered"; exit 1; }
echo "this host restarts in $minutes minutes; --cancel takes it back"
