#!/bin/bash
# Package managers of other distributions, each in a tree of its own over this very system.
#
#   patches_lab.sh build DIR            repositories and trees: dnf, zypper, pacman.  About a minute
#   patches_lab.sh enter DIR TREE CMD   run CMD as root in a tree; what it changes stays
#   patches_lab.sh try DIR TREE CMD     the same in a copy that is gone afterwards
#
# A tree is an overlay of / that lives in a mount namespace: nothing outside DIR is changed, and
# the programs find everything where they expect it.  Needs root, overlayfs, and Debian's archive.
# Each tree has four updates on offer: two of security (Important; Critical, with a restart), one
# with a bug-fix advisory and one without any; pacman's has three.
set -euo pipefail

fail() { echo "patches_lab: $*" >&2; exit 3; }

enter() {  # KEEP DIR TREE CMD
    local dir tree keep=$1; shift
    dir=$(readlink -f "$1"); tree=$dir/$2; shift 2
    mkdir -p "$tree"/{upper,work,root} "$dir/shared"
    unshare --mount --propagation private -- bash -c '
        keep=$1 dir=$2 tree=$3 repository=$4 python=$5; shift 5
        upper=$tree/upper work=$tree/work
        if [ "$keep" = no ]; then  # a tree may not be a layer below: it lies in / already
            mount -t tmpfs tmpfs "$work"; cp -a "$upper" "$work/upper"; mkdir "$work/work"
            upper=$work/upper work=$work/work
        fi
        below=/; [ -d "$tree/below" ] && below=$tree/below
        mount -t overlay overlay -o "lowerdir=$below,upperdir=$upper,workdir=$work" "$tree/root" ||
            exit 97
        cd "$tree/root"
        if [ "$below" != / ]; then  # another system: it borrows the Python of this one
            mkdir -p ".$python"; mount --bind "$python" ".$python"; chmod 755 root
        fi
        mount -t proc proc proc; mount --rbind /dev dev; mount -t tmpfs tmpfs run
        mkdir -p lab ".$repository"
        mount --bind "$dir/shared" lab; mount --bind "$repository" ".$repository"
        exec chroot . env -i HOME=/root LC_ALL=C TERM=dumb DEBIAN_FRONTEND=noninteractive \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' enter "$keep" "$dir" "$tree" "$(readlink -f "$(dirname "$0")/../..")" "$(python_of_this)" "$@"
}

python_of_this() {  # the folder that the environment of the repository was made from
    local python; python=$(readlink -f "$(dirname "$0")/../../.venv/bin/python")
    dirname "$(dirname "$python")"
}

install() {  # TREE PACKAGES: from Debian, without starting any service
    local dir=$1 tree=$2; shift 2
    enter yes "$dir" "$tree" sh -c '
        printf "#!/bin/sh\nexit 101\n" > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
        apt-get install -y --no-install-recommends "$@" > /lab/install.log 2>&1 ||
            { apt-get update > /lab/install.log 2>&1 &&
              apt-get install -y --no-install-recommends "$@" >> /lab/install.log 2>&1; }
    ' install "$@" || fail "Debian could not install $*; see $dir/shared/install.log"
}

install_dnf5() {  # DIR: only Debian's unstable has it; its lists may be old by the clock here
    local dir=$1 mirror
    [ "$(python_of_this)" != /usr ] || return 1  # it would cover the other system's own programs
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
    mkdir -p "$dir/dnf5"
    debootstrap --variant=minbase trixie "$dir/dnf5/below" "$mirror" > "$dir/shared/dnf5.log" 2>&1 &&
        echo "deb $mirror sid main" > "$dir/dnf5/below/etc/apt/sources.list" &&
        chroot "$dir/dnf5/below" sh -c '
            apt-get -q -o Acquire::Check-Valid-Until=false update
            DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
                dnf5 createrepo-c rpm' >> "$dir/shared/dnf5.log" 2>&1
}

build() {
    [ "$(id -u)" = 0 ] || fail "needs root"
    local dir; mkdir -p "$1"; dir=$(readlink -f "$1")
    rm -rf "$dir"/{dnf,dnf5,zypper,pacman,shared}
    enter yes "$dir" probe true 2>/dev/null || fail "cannot mount an overlay of / on $dir"
    install "$dir" dnf dnf dnf-plugins-core rpm createrepo-c
    enter yes "$dir" dnf bash -c "$(declare -f rpm_repository advisory); rpm_repository" >&2
    enter yes "$dir" dnf bash -c "$(declare -f dnf_host); dnf_host" >&2
    if install_dnf5 "$dir"; then
        enter yes "$dir" dnf5 bash -c "$(declare -f dnf_host); dnf_host dnf5" >&2
    else
        rm -rf "$dir/dnf5"  # its scenes are skipped
    fi
    install "$dir" zypper zypper rpm
    enter yes "$dir" zypper bash -c "$(declare -f zypper_host); zypper_host" >&2
    install "$dir" pacman pacman-package-manager makepkg libarchive-tools zstd
    enter yes "$dir" pacman bash -c "$(declare -f pacman_package pacman_host); pacman_host" >&2
}

advisory() {  # ID TYPE SEVERITY DAY NAME VERSION RELEASE [EXTRA]
    printf '<update from="lab@example.invalid" status="final" type="%s" version="1"><id>%s</id>' "$2" "$1"
    printf '<title>%s of %s</title><issued date="2026-%s 10:00:00"/>' "$2" "$5" "$4"
    printf '<updated date="2026-%s 10:00:00"/><severity>%s</severity>' "$4" "$3"
    printf '<description>A line that looks like a row:\n  Update ID: none</description>'
    printf '<references><reference href="https://example.invalid/1" id="CVE-2026-1" type="cve"/></references>'
    printf '<pkglist><collection short="lab"><name>lab</name>'
    printf '<package name="%s" version="%s" release="%s" epoch="0" arch="noarch" src="s.src.rpm">' "$5" "$6" "$7"
    printf '<filename>%s-%s-%s.noarch.rpm</filename>%s</package></collection></pkglist></update>\n' "$5" "$6" "$7" "${8:-}"
}

rpm_repository() {
    set -e
    mkdir -p /lab/rpms /tmp/build
    while read -r name version release provides; do
        printf 'Name: %s\nVersion: %s\nRelease: %s\nSummary: %s of the lab\nLicense: MIT\nBuildArch: noarch\nProvides: %s\n%%description\nlab\n%%files\n' \
            "$name" "$version" "$release" "$name" "${provides:-$name-itself}" > /tmp/build/one.spec
        rpmbuild -bb --quiet --define '_topdir /tmp/build' /tmp/build/one.spec 2>/dev/null
    done <<< 'lab-tls 3.0.1 1.el9
lab-tls 3.0.7 2.el9_4
lab-shell 5.1 1.el9
lab-shell 5.2 1.el9
lab-fetch 7.76 1.el9
lab-fetch 7.76 3.el9_5
lab-same 1.0 1.el9
lab-release 9 1 system-release(releasever) = 9
kernel 5.14.0 1.el9
kernel 5.14.0 2.el9'
    cp /tmp/build/RPMS/noarch/*.rpm /lab/rpms/
    { echo '<?xml version="1.0" encoding="UTF-8"?><updates>'
      advisory LABSA-2026:0001 security Important 11-01 lab-tls 3.0.7 2.el9_4
      advisory LABSA-2026:0002 security Critical 11-05 kernel 5.14.0 2.el9 '<reboot_suggested>1</reboot_suggested>'
      advisory LABBA-2026:0003 bugfix '' 11-06 lab-fetch 7.76 3.el9_5
      echo '</updates>'; } > /tmp/updateinfo.xml
    createrepo_c -q /lab/rpms
    modifyrepo_c --mdtype=updateinfo /tmp/updateinfo.xml /lab/rpms/repodata >/dev/null
}

dnf_host() {
    set -e
    mkdir -p /etc/rpm
    echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros.lab  # Debian keeps it in the home of the user
    rm -rf /etc/yum.repos.d /var/lib/rpm; mkdir -p /etc/yum.repos.d /var/lib/rpm
    printf '[lab]\nname=Lab\nbaseurl=file:///lab/rpms\nenabled=1\ngpgcheck=0\n' > /etc/yum.repos.d/lab.repo
    printf 'ID=fedora\nNAME="Lab Linux"\nVERSION_ID=9\nPLATFORM_ID="platform:el9"\nSUPPORT_END=2027-05-31\n' > /tmp/os-release
    rm -f /etc/os-release; cp /tmp/os-release /etc/os-release
    [ "${1:-dnf}" = dnf ] || { dnf() { dnf5 "$@"; }; rm -f /etc/dnf/libdnf5-plugins/*local*; }
    [ ! -e /etc/dnf/dnf.conf ] || sed -i '/^plugins=/d' /etc/dnf/dnf.conf
    mkdir -p /etc/dnf/plugins; rm -f /etc/dnf/plugins/local.conf; printf '[main]\nenabled=0\n' > /etc/dnf/plugins/local.conf
    dnf -q -y --releasever=9 install lab-tls-3.0.1 lab-shell-5.1 lab-fetch-7.76-1.el9 lab-same lab-release kernel-5.14.0-1.el9
}

zypper_host() {
    set -e
    mkdir -p /etc/rpm; echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros.lab
    rm -rf /var/lib/rpm; mkdir -p /etc/zypp/repos.d /var/lib/rpm
    printf '[lab]\nname=Lab\nenabled=1\nautorefresh=0\nbaseurl=dir:///lab/rpms\ntype=rpm-md\ngpgcheck=0\n' > /etc/zypp/repos.d/lab.repo
    printf 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nNAME="Lab SUSE"\nVERSION_ID="15.6"\n' > /tmp/os-release
    rm -f /etc/os-release; cp /tmp/os-release /etc/os-release
    ln -sf repo2solv /usr/bin/repo2solv.sh  # Debian names it otherwise than zypper calls it
    zypper -q --non-interactive --no-gpg-checks refresh
    zypper -q --non-interactive --no-gpg-checks install --no-recommends lab-tls=3.0.1 lab-shell=5.1 lab-fetch=7.76-1.el9 lab-same kernel=5.14.0-1.el9 || true
    rpm -q lab-tls kernel
}

pacman_package() {  # NAME VERSION
    local tree; tree=$(mktemp -d)
    mkdir -p "$tree/usr/share/$1"; echo "$2" > "$tree/usr/share/$1/version"
    printf 'pkgname = %s\npkgbase = %s\npkgver = %s\npkgdesc = lab\nurl = https://example.invalid\nbuilddate = 1790000000\npackager = lab\nsize = 10\narch = any\nlicense = MIT\n' "$1" "$1" "$2" > "$tree/.PKGINFO"
    (cd "$tree"
     bsdtar -czf .MTREE --format=mtree --options='!all,use-set,type,uid,gid,mode,time,size,sha256,link' .PKGINFO usr
     bsdtar -cf - .PKGINFO .MTREE usr | zstd -q -f -o "/lab/pacman/$1-$2-any.pkg.tar.zst")
    rm -rf "$tree"
}

pacman_host() {
    set -e
    mkdir -p /lab/pacman /var/lib/pacman
    for one in 'lab-tls 3.0.1-1' 'lab-tls 3.0.7-1' 'lab-shell 5.1-1' 'lab-shell 5.2-1' 'linux 6.1.1.arch1-1' 'linux 6.1.9.arch1-1' 'lab-same 1-1'; do
        # shellcheck disable=SC2086 - a name and a version
        pacman_package $one
    done
    printf '[options]\nSigLevel = Never\nArchitecture = auto\n[lab]\nServer = file:///lab/pacman\n' > /etc/pacman.conf
    printf 'ID=arch\nNAME="Lab Arch"\nBUILD_ID=rolling\n' > /tmp/os-release
    rm -f /etc/os-release; cp /tmp/os-release /etc/os-release
    cd /lab/pacman
    repo-add -q lab.db.tar.gz lab-tls-3.0.1* lab-shell-5.1* linux-6.1.1* lab-same* 2>/dev/null
    pacman -Sy --noconfirm lab-tls lab-shell linux lab-same >/dev/null 2>&1
    repo-add -q lab.db.tar.gz lab-tls-3.0.7* lab-shell-5.2* linux-6.1.9* 2>/dev/null
    pacman -Syy >/dev/null
}

case ${1:-} in
    build) build "$2" ;;
    enter) shift; enter yes "$@" ;;
    try) shift; enter no "$@" ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
