#!/bin/sh
# Restart one service, and see that it stays up.
#   --service=NAME
set -euf
export LC_ALL=C

wrong() { echo "not taken: $1; nothing was done"; exit 64; }

service=
for word in "$@"; do
    case $word in
        --service=*) service=${word#*=} ;;
        *) wrong "$word" ;;
    esac
done
[ ${#service} -le 100 ] || wrong "--service"
case $service in
    '' | [!A-Za-z0-9_]* | *[!A-Za-z0-9@._-]*) wrong "--service=$service" ;;
    forewarn-helper*) wrong "it is forewarn-helper that runs this" ;;
    *.service) ;;
    *.target | *.socket | *.mount | *.automount | *.swap | *.device | *.slice | *.scope | *.timer | *.path)
        wrong "$service is no service" ;;
esac

seconds() { awk '{ print int($1) }' /proc/uptime; }

with_systemd() {
    unit=${service%.service}.service
    show() { systemctl show --property="$1" -- "$unit" | sed 's/^[^=]*=//'; }
    if [ "$(show LoadState)" != loaded ]; then
        echo "there is no service $unit here ($(show LoadState)); nothing was done"
        exit 66
    fi
    echo "before: $(show ActiveState) ($(show SubState)), process $(show MainPID)"
    began=$(seconds)
    status=0
    timeout 120 systemctl restart -- "$unit" || status=$?
    sleep 3  # what dies right after its start dies within that
    state=$(show ActiveState)
    echo "after:  $state ($(show SubState)), process $(show MainPID), $(($(seconds) - began)) s"
    case $status:$state:$(show Type) in
        0:active:* | 0:inactive:oneshot) echo "$unit was restarted"; exit 0 ;;
    esac
    echo "$unit did not come up; the last it said:"
    journalctl --unit="$unit" --lines=15 --no-pager --output=short-iso 2>/dev/null | tail -n 15 || true
    exit 1
}

with_init() {  # rc-service of OpenRC, or service of System V: both take a name and a verb
    program=$1
    if [ ! -x "/etc/init.d/$service" ]; then
        echo "there is no /etc/init.d/$service here; nothing was done"
        exit 66
    fi
    timeout 120 "$program" "$service" restart </dev/null || { echo "$service did not restart"; exit 1; }
    sleep 3
    timeout 30 "$program" "$service" status </dev/null || { echo "$service did not stay up"; exit 1; }
    echo "$service was restarted"
}

if [ -d /run/systemd/system ]; then
    with_systemd
elif command -v rc-service >/dev/null; then
    with_init rc-service
elif command -v service >/dev/null; then
    with_init service
else
    echo "nothing here looks after services; nothing was done"
    exit 69
fi
