#!/bin/sh
# Have drives test themselves.  A test that runs already is left alone.
#   --drive=all|/dev/NAME --test=short|long [--wait]
set -euf
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

wrong() { echo "not taken: $1; nothing was done"; exit 64; }

drive=
test=short
wait=no
for word in "$@"; do
    case $word in
        --drive=*) drive=${word#*=} ;;
        --test=short | --test=long) test=${word#*=} ;;
        --wait) wait=yes ;;
        *) wrong "$word" ;;
    esac
done
[ ${#drive} -le 46 ] || wrong "--drive"
case $drive in
    all) ;;
    '' | *[!a-z0-9/]*) wrong "--drive=$drive" ;;
    /dev/?*) ;;
    *) wrong "--drive=$drive" ;;
esac
command -v smartctl >/dev/null || { echo "there is no smartctl; install smartmontools"; exit 69; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One drive a row, as smartctl wants it called: "/dev/sda -d sat".
smartctl --scan-open 2>/dev/null | sed 's/ *#.*//' | grep '^/dev/' >"$work/drives" || true
if [ "$drive" != all ]; then
    grep -E "^$drive( |\$)" "$work/drives" >"$work/one" || true
    [ -s "$work/one" ] || { echo "smartctl finds no $drive here; nothing was done"; exit 66; }
    mv "$work/one" "$work/drives"
fi
[ -s "$work/drives" ] || { echo "smartctl finds no drive here; nothing was done"; exit 69; }

ask() {  # ROW OPTION...
    row=$1; shift
    # shellcheck disable=SC2086  # the row is words: a path, -d and a type
    timeout -k 5 60 smartctl "$@" $row 2>&1 || true
}

runs() {  # ROW: the capabilities of ATA drives say so, the log of NVMe and SCSI ones
    ask "$1" -c -l selftest | grep -Eqi 'in progress \(|[0-9]+% of test remaining|self-test in progress|Self test in progress'
}

failed=0
: >"$work/begun"
while read -r row; do
    if runs "$row"; then
        echo "${row%% *}: a test runs already; it is left alone"
        echo "$row" >>"$work/begun"
        continue
    fi
    ask "$row" -t "$test" >"$work/said"
    if grep -Eqi 'has begun|testing has begun|successfully started' "$work/said"; then
        echo "${row%% *}: $test test begun"
        echo "$row" >>"$work/begun"
    else
        said=$(grep . "$work/said" | tail -n 1 | cut -c 1-200)
        echo "${row%% *}: no test begun: ${said:-smartctl does not say why}"
        failed=$((failed + 1))
    fi
done <"$work/drives"
if [ ! -s "$work/begun" ]; then
    echo "no drive here began a test"
    exit 1
fi
[ "$wait" = yes ] || exit 0

waited=0
while read -r row; do
    while runs "$row" && [ "$waited" -lt 480 ]; do
        sleep 10
        waited=$((waited + 10))
    done
    if runs "$row"; then
        echo "${row%% *}: not done yet; look again later"
        continue
    fi
    newest=$(ask "$row" -l selftest | grep -E '^ *(# *1|0) ' | head -n 1)
    echo "${row%% *}: ${newest:-no test in its log}"
    case $newest in *ailure* | *ailed*) failed=$((failed + 1)) ;; esac
done <"$work/begun"
[ "$failed" -eq 0 ] || exit 1
