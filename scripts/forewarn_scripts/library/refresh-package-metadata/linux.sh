#!/bin/sh
# Fetch the lists of packages anew.  Installs nothing.
set -euf
export LC_ALL=C

for word in "$@"; do
    echo "not taken: $word; nothing was done"
    exit 64
done

LOCK_SECONDS=240
FETCH_SECONDS=240
log=$(mktemp)
trap 'rm -f "$log"' EXIT

try() {  # LOCKED COMMAND...: again while another holds the lock, which LOCKED finds in what is said
    locked=$1; shift
    waited=0
    while :; do
        status=0
        timeout -k 10 "$FETCH_SECONDS" "$@" </dev/null >"$log" 2>&1 || status=$?
        [ "$status" != 0 ] || return 0
        [ -n "$locked" ] && grep -Eq "$locked" "$log" || return "$status"
        if [ "$waited" -ge "$LOCK_SECONDS" ]; then
            echo "another program has held the package manager for too long; try again later"
            exit 75
        fi
        sleep 5
        waited=$((waited + 5))
    done
}

failed() {
    echo "not every list could be fetched:"
    said=$(grep -E '^(E:|W:|Err|Error|error|ERROR|WARNING|Skipping)|[Ff]ailed|[Cc]annot' "$log" | head -n 10)
    echo "${said:-$(tail -n 10 "$log")}"
    exit 1
}

kind=
# shellcheck source=/dev/null
[ ! -r /etc/os-release ] || kind=" $(. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}") "
case $kind in
    *' debian '* | *' ubuntu '*)
        # A source that cannot be reached is a mere warning unless asked for as an error; apt
        # before 2.3 does not know the option, and is read.
        try 'Could not get lock|Unable to acquire|Unable to lock' \
            apt-get -q -o Acquire::Retries=2 -o APT::Update::Error-Mode=any update || failed
        ! grep -Eq '^(Err:|W: Failed to fetch|W: Some index files failed)' "$log" || failed
        ;;
    *' fedora '* | *' rhel '* | *' centos '*)
        dnf=$(command -v dnf || command -v dnf5) || { echo "there is no dnf here"; exit 69; }
        case $(readlink -f "$dnf") in
            */dnf5*) try '' "$dnf" -q -y '--setopt=*.skip_if_unavailable=0' --refresh makecache || failed ;;
            *)
                try 'is locked by|already locked' "$dnf" -q -y --setopt=exit_on_lock=1 \
                    '--setopt=*.skip_if_unavailable=0' --refresh makecache || failed
                ;;
        esac
        ;;
    *suse*)
        try 'System management is locked' env "ZYPP_LOCK_TIMEOUT=$LOCK_SECONDS" \
            zypper --non-interactive refresh || failed
        ;;
    *' arch '*)
        echo "pacman's lists are fetched together with the updates, or later installs break: apply-updates"
        exit 69
        ;;
    *' alpine '*)
        try '' apk --wait "$LOCK_SECONDS" update || failed
        ! grep -q '^WARNING' "$log" || failed
        ;;
    *)
        echo "no package manager that is known is here; nothing was done"
        exit 69
        ;;
esac
echo "the lists of packages were fetched"
