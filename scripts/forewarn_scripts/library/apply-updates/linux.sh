#!/bin/sh
# Install updates: show what would be done, and with --yes do it.  Never asks, never removes
# packages, keeps configuration files that were changed, and downloads before it touches anything.
#   --which=security|all --reboot=never|if-required|in-window --window=HHMM-HHMM [--yes]
set -euf
export LC_ALL=C

wrong() { echo "not taken: $1; nothing was done"; exit 64; }

which=
reboot=never
window=2200-0500
yes=no
for word in "$@"; do
    case $word in
        --which=security | --which=all) which=${word#*=} ;;
        --reboot=never | --reboot=if-required | --reboot=in-window) reboot=${word#*=} ;;
        --window=????-????) window=${word#*=} ;;
        --yes) yes=yes ;;
        *) wrong "$word" ;;
    esac
done
[ -n "$which" ] || wrong "--which must be given"
for time in "${window%-*}" "${window#*-}"; do
    case $time in
        [01][0-9][0-5][0-9] | 2[0-3][0-5][0-9]) ;;
        *) wrong "--window=$window" ;;
    esac
done

LOCK_SECONDS=300  # how long another package manager is waited for
FETCH_SECONDS=1200
FOR_EVER=86400     # what was begun on the packages themselves is never cut off from here
limit=$FETCH_SECONDS

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
plan=$work/plan
stale=no

busy() { echo "another program has held the package manager for too long; try again later"; exit 75; }

failed() {  # WHAT CODE
    echo "failed: $1; the last it said:"
    tail -n 25 "$log"
    exit "$2"
}

half_installed() {
    echo "packages are half installed; a person must look, and run: $1"
    exit 70
}

quietly() {  # COMMAND...: its words go to the log; gives its exit code
    status=0
    "$@" </dev/null >"$log" 2>&1 || status=$?
    return "$status"
}

no_lists() {
    stale=yes
    said=$(grep -E '^(E:|W:|Err|Error|error|ERROR|WARNING|Skipping)|[Ff]ailed|[Cc]annot' "$log" | head -n 5)
    echo "not every package list could be fetched:"
    echo "${said:-$(tail -n 5 "$log")}"
}

# -- apt ------------------------------------------------------------------------------------------

# shellcheck disable=SC2317  # all these are called by `quietly`
apt_do() {
    timeout -k 10 "$limit" \
        env DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none \
        NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1 \
        apt-get -q -y -o "DPkg::Lock::Timeout=$LOCK_SECONDS" -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

apt_locked() { grep -Eq 'Could not get lock|Unable to acquire|Unable to lock' "$log"; }

apt_is_whole() { [ -z "$(dpkg --audit 2>&1)" ]; }

apt_lists() {
    waited=0
    until quietly timeout -k 10 "$FETCH_SECONDS" \
        apt-get -q -o Acquire::Retries=2 -o APT::Update::Error-Mode=any update; do
        apt_locked || { no_lists; return; }
        [ "$waited" -lt "$LOCK_SECONDS" ] || busy
        sleep 5
        waited=$((waited + 5))
    done
    ! grep -Eq '^(Err:|W: Failed to fetch|W: Some index files failed)' "$log" || no_lists
}

# Rows of name, installed and offered version.  Debian's security archive is known by its label,
# that of Ubuntu by its suite.
apt_plan() {
    quietly apt-get -s -o Debug::NoLocking=true --with-new-pkgs upgrade || failed "the simulation" 1
    awk -v which="$which" '
        /^Inst / && $3 ~ /^\[/ {
            origin = substr($0, index($0, "("))
            if (which == "all" || origin ~ /[ ,]Debian-Security:/ || origin ~ /-security[], )]/)
                print $2, substr($3, 2, length($3) - 2), substr($4, 2)
        }' "$log" >"$1"
}

# shellcheck disable=SC2317
apt_install() {  # OPTION...
    if [ "$which" = all ]; then
        apt_do "$@" --with-new-pkgs upgrade
        return
    fi
    while read -r name _ offered; do set -- "$@" "$name=$offered"; done <"$plan"
    apt_do --only-upgrade --no-remove install "$@"
}

with_apt() {
    apt_is_whole || half_installed "dpkg --configure -a"
    apt_lists
    apt_plan "$plan"
    show_plan
    quietly apt_install -s -o Debug::NoLocking=true || failed "the simulation" 1
    only_with_yes
    quietly apt_install --download-only || { apt_locked && busy; failed "the download" 1; }
    limit=$FOR_EVER
    quietly apt_install || {
        apt_is_whole || { tail -n 25 "$log"; half_installed "dpkg --configure -a"; }
        apt_locked && busy
        failed "the installation" 1
    }
    apt_is_whole || half_installed "dpkg --configure -a"
    apt_plan "$work/left"
}

# -- dnf 4 and 5 ----------------------------------------------------------------------------------

# shellcheck disable=SC2317
dnf_do() {
    if [ "$dnf" = dnf ]; then
        timeout -k 10 "$limit" dnf -y --setopt=exit_on_lock=1 "$@"
    else
        timeout -k 10 "$limit" dnf5 -y "$@"
    fi
}

# shellcheck disable=SC2317
dnf_upgrade() {  # OPTION...
    [ "$which" = all ] || set -- "$@" --security
    dnf_do upgrade "$@"
}

dnf_wait() {  # COMMAND...: again while another one holds the lock, which dnf 4 tells by 200
    waited=0
    while :; do
        quietly "$@" && return 0
        [ "$status" = 200 ] || return "$status"
        [ "$waited" -lt "$LOCK_SECONDS" ] || busy
        sleep 5
        waited=$((waited + 5))
    done
}

dnf_plan() {
    only=--security
    [ "$which" = security ] || only=
    # shellcheck disable=SC2086  # one word or none
    dnf_wait dnf_do -q check-update $only || [ "$status" = 100 ] || failed "asking for updates" 1
    # Three columns, until the packages that replace others; a long name breaks its row.
    awk '
        /^Obsolet/ { exit }
        /^(Last metadata|Security:|Updating|Repositories|Upgrades$|No )/ { next }
        { for (i = 1; i <= NF; i++) word[n++] = $i }
        END { for (i = 0; i + 2 < n; i += 3) print word[i], "-", word[i + 1] }' "$log" >"$1"
}

with_dnf() {
    dnf_wait dnf_do '--setopt=*.skip_if_unavailable=0' --refresh makecache || no_lists
    dnf_plan "$plan"
    show_plan
    # A simulation that works ends with 1, as if a person had said no.
    dnf_wait dnf_upgrade --assumeno || grep -q 'Operation aborted' "$log" || failed "the simulation" 1
    only_with_yes
    dnf_wait dnf_upgrade --downloadonly || failed "the download" 1
    limit=$FOR_EVER
    dnf_wait dnf_upgrade || failed "the installation" 1
    dnf_plan "$work/left"
}

# -- zypper ---------------------------------------------------------------------------------------

# Patches that want a restart, those of the kernel first of all, are left out unless asked for so.
# shellcheck disable=SC2317
zypper_do() {
    timeout -k 10 "$limit" env "ZYPP_LOCK_TIMEOUT=$LOCK_SECONDS" \
        zypper --non-interactive --non-interactive-include-reboot-patches "$@"
}

# shellcheck disable=SC2317
zypper_upgrade() {  # OPTION...
    if [ "$which" = all ]; then
        zypper_do --no-refresh update --auto-agree-with-licenses "$@"
    else
        zypper_do --no-refresh patch --category security --auto-agree-with-licenses "$@"
    fi
}

# 102 wants a restart of the host, 103 of zypper itself; 106 left repositories out, as was told.
zypper_ended() {  # WHAT
    case $status in
        0 | 102) return 0 ;;
        106) stale=yes; return 0 ;;
        103) return 1 ;;
        7) busy ;;
        107) tail -n 25 "$log"; half_installed "zypper verify" ;;
        *) failed "$1 ($status)" 1 ;;
    esac
}

zypper_plan() {
    if [ "$which" = all ]; then
        quietly zypper_do --no-refresh list-updates || zypper_ended "asking for updates" || true
        awk -F ' *[|] *' '$1 == "v" { print $3, $4, $5 }' "$log" >"$1"
    else
        quietly zypper_do --no-refresh list-patches --category security ||
            zypper_ended "asking for patches" || true
        awk -F ' *[|] *' 'NF >= 6 && $3 == "security" { print $2, "-", $4 }' "$log" >"$1"
    fi
}

with_zypper() {
    quietly zypper_do refresh || { [ "$status" != 7 ] || busy; no_lists; }
    zypper_plan "$plan"
    show_plan
    quietly zypper_upgrade --dry-run || zypper_ended "the simulation" || true
    only_with_yes
    quietly zypper_upgrade --download-only || zypper_ended "the download" || true
    limit=$FOR_EVER
    for _ in 1 2; do  # once for zypper itself, then for the rest
        if quietly zypper_upgrade || zypper_ended "the installation"; then break; fi
    done
    zypper_plan "$work/left"
}

# -- pacman and apk, which cannot tell updates of security ----------------------------------------

only_all() {
    [ "$which" = all ] || {
        echo "$1 cannot tell updates of security from others: --which=all; nothing was done"
        exit 69
    }
}

pacman_plan() {  # against lists in a folder of our own: fetched alone they would break later installs
    quietly pacman --dbpath "$work/db" --logfile /dev/null -Sy --noconfirm || no_lists
    quietly pacman --dbpath "$work/db" -Qu || true
    awk '$3 == "->" && $5 != "[ignored]" { print $1, $2, $4 }' "$log" >"$1"
}

with_pacman() {
    only_all pacman
    database=$(pacman-conf DBPath)
    mkdir "$work/db"
    ln -s "${database%/}/local" "$work/db/local"
    pacman_plan "$plan"
    show_plan
    quietly pacman --dbpath "$work/db" -Su --print --noconfirm || failed "the simulation" 1
    only_with_yes
    waited=0
    while [ -e "${database%/}/db.lck" ]; do
        [ "$waited" -lt "$LOCK_SECONDS" ] || busy
        sleep 5
        waited=$((waited + 5))
    done
    quietly timeout -k 10 "$FETCH_SECONDS" pacman -Syuw --noconfirm || failed "the download" 1
    quietly pacman -Syu --noconfirm || failed "the installation" 1
    pacman_plan "$work/left"
}

apk_plan() {
    quietly apk --wait "$LOCK_SECONDS" upgrade --simulate || failed "the simulation" 1
    sed -n 's/^([0-9/]*) Upgrading \([^ ]*\) (\([^ ]*\) -> \([^ ]*\))$/\1 \2 \3/p' "$log" >"$1"
}

with_apk() {
    only_all apk
    quietly apk --wait "$LOCK_SECONDS" update || no_lists
    apk_plan "$plan"
    show_plan
    only_with_yes
    quietly apk --wait "$LOCK_SECONDS" upgrade || failed "the installation" 1
    apk_plan "$work/left"
}

# -- what all have in common ----------------------------------------------------------------------

# An empty list is good news only where somebody would have put an update of security on it.
tells_security() {
    case $manager in
        apt) apt-cache policy 2>/dev/null | grep -Eq 'l=Debian-Security|a=[^,]*-security' ;;
        dnf)
            if [ "$dnf" = dnf ]; then
                dnf_wait dnf_do -q updateinfo list --all
            else
                quietly dnf_do -q advisory list --all
            fi
            grep -Eqi '(^| )security |/Sec\.' "$log" ;;
        zypper) quietly zypper_do --no-refresh patches && grep -q '| security *|' "$log" ;;
    esac
}

rows() {  # FILE: name, installed version (or -), offered version
    head -n 100 "$1" |
        awk '$2 == "-" { print "  " $1, $3; next } { print "  " $1, $2, "->", $3 }'
}

show_plan() {
    count=$(wc -l <"$plan")
    if [ "$count" -eq 0 ]; then
        if [ "$stale" = yes ]; then
            echo "nobody can say what is missing before the lists can be fetched"
            exit 1
        fi
        if [ "$which" = security ] && ! tells_security; then
            echo "no source of packages here says which updates are of security: --which=all"
            exit 69
        fi
        echo "no updates ($which) to install"
        after_updates
    fi
    echo "updates ($which): $count"
    rows "$plan"
}

only_with_yes() {
    [ "$yes" = no ] || return 0
    echo "simulated only; with --yes they are installed.  Nothing was changed"
    exit 0
}

needs_restart() {
    for flag in /run/reboot-required /run/reboot-needed; do
        [ ! -e "$flag" ] || return 0
    done
    case $manager in
        apt)
            running=$(uname -r)
            [ -d "/lib/modules/$running" ] || return 1
            newest=$(find /lib/modules -mindepth 1 -maxdepth 1 -name "*-${running##*[0-9]-}" | sort -V | tail -n 1)
            [ -n "$newest" ] && [ "$newest" != "/lib/modules/$running" ] ;;
        dnf) quietly dnf_do -q needs-restarting -r || grep -q 'Reboot is required' "$log" ;;
        zypper) quietly zypper_do needs-rebooting || [ "$status" = 102 ] ;;
        pacman) [ -d /usr/lib/modules ] && [ ! -d "/usr/lib/modules/$(uname -r)" ] ;;
        *) return 1 ;;
    esac
}

minutes_of() { hours=${1%??}; rest=${1#??}; echo $((${hours#0} * 60 + ${rest#0})); }

minutes_to_window() {
    now=$(minutes_of "$(date +%H%M)")
    begin=$(minutes_of "${window%-*}")
    end=$(minutes_of "${window#*-}")
    if [ $(((now - begin + 1440) % 1440)) -lt $(((end - begin + 1440) % 1440)) ]; then
        echo 2
    else
        wait=$(((begin - now + 1440) % 1440))
        echo $((wait < 2 ? 2 : wait))
    fi
}

after_updates() {
    if ! needs_restart; then
        echo "no restart is needed"
        exit 0
    fi
    if [ "$reboot" = never ] || [ "$yes" = no ]; then
        echo "a restart is needed; none was ordered"
        exit 0
    fi
    if [ -e /run/systemd/shutdown/scheduled ]; then
        echo "a restart is needed, and one is ordered already"
        exit 0
    fi
    minutes=2  # time for this answer to leave
    [ "$reboot" != in-window ] || minutes=$(minutes_to_window)
    quietly shutdown -r "+$minutes" "restart for updates" || failed "ordering a restart" 1
    echo "a restart is needed, and comes in $minutes minutes (shutdown -c stops it)"
    exit 0
}

# By what the system says it is: on some hosts more than one package manager is installed.
find_manager() {
    kind=
    # shellcheck source=/dev/null
    [ ! -r /etc/os-release ] || kind=" $(. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}") "
    dnf=dnf
    case $kind in
        *' debian '* | *' ubuntu '*) manager=apt ;;
        *' fedora '* | *' rhel '* | *' centos '*) manager=dnf ;;
        *suse*) manager=zypper ;;
        *' arch '*) manager=pacman ;;
        *' alpine '*) manager=apk ;;
        *) manager= ;;
    esac
    if [ "$manager" = dnf ]; then
        program=$(command -v dnf || true)
        case $(readlink -f "${program:-/usr/bin/dnf5}") in */dnf5*) dnf=dnf5 ;; esac
        command -v "$dnf" >/dev/null || manager=
    elif [ "$manager" = apt ]; then
        command -v apt-get >/dev/null || manager=
    elif [ -n "$manager" ]; then
        command -v "$manager" >/dev/null || manager=
    fi
    [ -n "$manager" ] || {
        echo "no package manager that is known is here; nothing was done"
        exit 69
    }
}

find_manager
case $manager in
    apt) with_apt ;;
    dnf) with_dnf ;;
    zypper) with_zypper ;;
    pacman) with_pacman ;;
    apk) with_apk ;;
esac
if [ -s "$work/left" ]; then
    echo "installed, but $(wc -l <"$work/left") are still on offer: held, or waiting for others:"
    rows "$work/left"
else
    echo "installed: $count"
fi
[ "$stale" = no ] || echo "some package lists were not fetched; there may be more updates"
after_updates
