#!/bin/bash
# A virtual machine with drives of four kinds: NVMe, SATA, SCSI and USB, to be read for real.
#
#   drives_vm.sh build DIR REPOSITORY   a Debian 12 in DIR; about a minute
#   drives_vm.sh run DIR REPOSITORY     start it; ends when its power goes off
#
# The repository is mounted read-only at its own path.  A second serial line, DIR/guest.sock, leads
# to drives_guest.py in the guest, DIR/qmp.sock to QEMU itself.  Needs root and Debian's packages
# debootstrap, qemu-system-x86, seabios, busybox-static, cpio and e2fsprogs.
set -euo pipefail

fail() { echo "drives_vm: $*" >&2; exit 3; }

mirror() {  # the archive that this very system takes its packages from
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | head -n 1
}

build() {  # DIR REPOSITORY
    local tool dir=$1 repository=$2 version
    for tool in debootstrap qemu-system-x86_64 busybox cpio mkfs.ext4; do
        command -v "$tool" > /dev/null || fail "no $tool here: apt-get install" \
            "--no-install-recommends debootstrap qemu-system-x86 seabios busybox-static cpio e2fsprogs"
    done
    mkdir -p "$dir"; cd "$dir"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,udev,kmod,python3,smartmontools,lvm2,thin-provisioning-tools,mdadm \
        bookworm root "$(mirror)" > debootstrap.log 2>&1 || fail "debootstrap: see $dir/debootstrap.log"
    (apt-get download -qq "$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/{print $2}')" &&
        dpkg -x linux-image-*.deb kernel) > kernel.log 2>&1 || fail "no kernel: see $dir/kernel.log"
    version=$(ls kernel/lib/modules)
    mkdir -p root/lib/modules
    cp -a "kernel/lib/modules/$version" root/lib/modules/
    rm -rf "root/lib/modules/$version/kernel"/{sound,drivers/{gpu,media,net,infiniband,staging,iio}}
    chroot root depmod "$version"
    initial "$version"
    service "$repository"
    mkfs.ext4 -q -d root root.img 1800M
}

initial() {  # VERSION: the first file system, which only finds the second
    local module number=10
    mkdir -p first/{bin,proc,dev,mnt,m}
    cp "$(command -v busybox)" first/bin/
    for module in virtio_pci virtio_blk crc32c_generic ext4; do
        chroot root modprobe -S "$1" --show-depends "$module" | awk '/^insmod/ {print $2}'
    done | awk '!seen[$0]++' | while read -r module; do
        cp "root/$module" "first/m/$number-$(basename "$module")"; number=$((number + 1))
    done
    cat > first/init <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in /m/*; do /bin/busybox insmod "$module"; done
for _ in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda ] && break; /bin/busybox sleep 0.3; done
/bin/busybox mount -t ext4 /dev/vda /mnt && exec /bin/busybox switch_root /mnt /lib/systemd/systemd
INIT
    chmod +x first/init
    (cd first && find . | cpio -o -H newc --quiet | gzip -1) > first.gz
}

service() {  # REPOSITORY
    mkdir -p "root$1"
    cat > root/etc/systemd/system/guest.service <<UNIT
[Unit]
After=systemd-udev-settle.service
Wants=systemd-udev-settle.service
[Service]
ExecStartPre=/bin/mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144 repository $1
ExecStart=/usr/bin/python3 $1/tests/lab/drives_guest.py $1
[Install]
WantedBy=multi-user.target
UNIT
    chroot root systemctl -q enable guest.service
}

run() {  # DIR REPOSITORY
    local drive; cd "$1"
    for drive in nvme worn sata scsi usb; do rm -f "$drive.img"; truncate -s 64M "$drive.img"; done
    rm -f ./*.sock
    exec qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max -smp 1 -m 1024 \
        -nodefaults -display none -no-reboot -serial file:console.log \
        -serial unix:guest.sock,server=on,wait=off -qmp unix:qmp.sock,server=on,wait=off \
        -kernel kernel/boot/vmlinuz-* -initrd first.gz -append "console=ttyS0 quiet" \
        -fsdev "local,id=fs,path=$2,security_model=none,readonly=on" \
        -device virtio-9p-pci,fsdev=fs,mount_tag=repository \
        -drive file=root.img,if=none,id=r,format=raw,snapshot=on -device virtio-blk-pci,drive=r \
        -drive file=nvme.img,if=none,id=n0,format=raw -device nvme,id=nvme0,drive=n0,serial=LABNVME1 \
        -drive file=worn.img,if=none,id=n1,format=raw \
        -device nvme,id=nvme1,drive=n1,serial=LABNVME2,smart_critical_warning=8 \
        -drive file=sata.img,if=none,id=a0,format=raw \
        -device ide-hd,drive=a0,bus=ide.0,serial=LABSATA1,rotation_rate=7200 \
        -device virtio-scsi-pci,id=vs -drive file=scsi.img,if=none,id=s0,format=raw \
        -device scsi-hd,id=scsi0,drive=s0,bus=vs.0,serial=LABSCSI1,vendor=LAB,product=SCSIDISK \
        -device qemu-xhci,id=x -drive file=usb.img,if=none,id=u0,format=raw \
        -device usb-storage,id=stick,bus=x.0,drive=u0,serial=LABUSB1
}

case ${1:-} in
    build) [ "$(id -u)" = 0 ] || fail "needs root"; build "$2" "$3" ;;
    run) run "$2" "$3" ;;
    *) fail "build DIR REPOSITORY, or run DIR REPOSITORY" ;;
esac
