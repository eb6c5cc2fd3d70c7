#!/bin/sh
# Delete old temporary files and downloaded packages; without --yes only say how much there is.
#   --older-than-days=N [--yes]
set -euf
export LC_ALL=C

wrong() { echo "not taken: $1; nothing was done"; exit 64; }

days=
yes=no
for word in "$@"; do
    case $word in
        --older-than-days=*) days=${word#*=} ;;
        --yes) yes=yes ;;
        *) wrong "$word" ;;
    esac
done
case $days in
    '' | 0* | *[!0-9]* | ?????*) wrong "--older-than-days=$days" ;;
esac

# Anybody may write to these folders, and swap one below them for a link while we work.  GNU find
# holds on to the folders it goes through; of any other only the top is asked, where names cannot
# be led elsewhere.
gnu_find=no
if find / --version 2>/dev/null | grep -q 'GNU findutils'; then gnu_find=yes; fi

old_files() {  # FOLDER ACTION...: only plain files, and not those of services and snaps
    folder=$1; shift
    if [ "$gnu_find" = yes ]; then
        find "$folder" -xdev -mindepth 1 \
            '(' -type d '(' -name 'systemd-private-*' -o -name 'snap-private-tmp' -o -name 'snap.*' ')' -prune ')' \
            -o '(' -type f -mtime "+$days" -ctime "+$days" -atime "+$days" "$@" ')' 2>/dev/null || true
    else
        find "$folder" -xdev -mindepth 1 -maxdepth 1 \
            -type f -mtime "+$days" -ctime "+$days" -atime "+$days" "$@" 2>/dev/null || true
    fi
}

sum() { awk '{ blocks += $1; files++ } END { printf "%d %d", blocks / 2, files }'; }

say() { echo "$1: $(($2 / 1024)) MiB in $3 files"; }

total=0
failed=0

clean_folder() {
    [ -d "$1" ] && [ ! -L "$1" ] || return 0
    # shellcheck disable=SC2046  # two numbers
    set -- "$1" $(old_files "$1" -exec stat -c %b '{}' + | sum)
    say "$1, older than $days days" "$2" "$3"
    total=$((total + $2))
    [ "$yes" = yes ] || return 0
    # -execdir goes to the folder it holds and names the file alone.
    if [ "$gnu_find" = yes ]; then
        old_files "$1" -execdir rm -f -- '{}' +
    else
        old_files "$1" -exec rm -f -- '{}' +
    fi
    left=$(old_files "$1" -exec stat -c %b '{}' + | sum)
    [ "${left#* }" = 0 ] || { echo "failed: ${left#* } of them are still there"; failed=1; }
}

clean_cache() {  # FOLDER NAME COMMAND...: what a package manager can fetch again
    [ -d "$1" ] && command -v "$3" >/dev/null || return 0
    folder=$1; name=$2; shift 2
    # shellcheck disable=SC2046  # two numbers
    set -- $(find "$folder" -xdev -type f -name "$name" -exec stat -c %b '{}' + 2>/dev/null | sum) "$@"
    say "$folder, downloaded packages" "$1" "$2"
    total=$((total + $1))
    shift 2
    [ "$yes" = no ] || timeout 120 "$@" </dev/null >/dev/null || {
        echo "failed: $*"
        failed=1
    }
}

free() { df -Pk / | awk 'NR == 2 { print $4 }'; }

before=$(free)
clean_folder /tmp
clean_folder /var/tmp
clean_cache /var/cache/apt/archives '*.deb' apt-get clean
if [ -d /var/cache/libdnf5 ]; then
    clean_cache /var/cache/libdnf5 '*.rpm' dnf5 clean packages
fi
clean_cache /var/cache/dnf '*.rpm' dnf clean packages
clean_cache /var/cache/zypp/packages '*.rpm' zypper --non-interactive clean
# Of pacman's packages those that are installed stay: an update that fails is taken back by them.
clean_cache /var/cache/pacman/pkg '*.pkg.tar*' pacman -Sc --noconfirm
clean_cache /var/cache/apk '*.apk' apk cache clean

if [ "$yes" = no ]; then
    echo "$((total / 1024)) MiB could go at most; with --yes they do.  Nothing was changed"
else
    echo "free on /: $((before / 1024)) MiB before, $(($(free) / 1024)) MiB now"
fi
exit "$failed"
