#!/bin/sh
# Tell solid-state drives and thin storage which blocks are free.
#   --filesystem=all|/MOUNTPOINT
set -euf
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

wrong() { echo "not taken: $1; nothing was done"; exit 64; }

filesystem=
for word in "$@"; do
    case $word in
        --filesystem=*) filesystem=${word#*=} ;;
        *) wrong "$word" ;;
    esac
done
[ ${#filesystem} -le 201 ] || wrong "--filesystem"
case $filesystem in
    all) ;;
    '' | *[!A-Za-z0-9._/-]*) wrong "--filesystem=$filesystem" ;;
    /*) ;;
    *) wrong "--filesystem=$filesystem" ;;
esac
command -v fstrim >/dev/null || { echo "there is no fstrim here; nothing was done"; exit 69; }

if [ "$filesystem" = all ]; then
    status=0
    said=$(fstrim --all --verbose </dev/null 2>&1) || status=$?
    echo "${said:-nothing here takes it}"
    # 32 is none, 64 some.
    [ "$status" = 0 ] || { echo "not every filesystem was trimmed ($status)"; exit 1; }
    exit 0
fi
if ! awk -v place="$filesystem" '$2 == place { found = 1 } END { exit !found }' /proc/mounts; then
    echo "nothing is mounted at $filesystem; nothing was done"
    exit 66
fi
status=0
said=$(fstrim --verbose -- "$filesystem" </dev/null 2>&1) || status=$?
echo "$said"
case $status:$said in
    0:*) exit 0 ;;
    *'not supported'*) echo "$filesystem takes no trim; nothing was done"; exit 69 ;;
esac
exit 1
