#!/bin/sh
# Install, upgrade or remove the forewarn agent on this Linux host.  Needs root, systemd and a
# Python from 3.11 to 3.14; fetches everything else from the collector that the string names.
#
#   sh -s -- fw1.…                 install, enrol and start; again: upgrade
#   sh -s -- --string-file FILE    the same, with the string out of a file (- is not the terminal)
#   sh -s --                       upgrade an enrolled host from its collector
#   sh -s -- --uninstall           remove the agent with all it kept
#
# --packages FOLDER takes the wheels from a folder instead.  Nothing is ever asked.
# Exit codes: 1 could not be done; 2 wrong usage; 3 something is missing on this host; 4 the
# collector refused or was not reached; 5 installed, but the agent does not run well.
set -eu
umask 022

home=/opt/forewarn
state=/var/lib/forewarn-agent
units=/etc/systemd/system
user=forewarn
command=/usr/local/bin/forewarn-agent

say() { printf 'forewarn: %s\n' "$*" >&2; }
stop() {
    printf 'forewarn: %s\n' "$1" >&2
    exit "${2:-1}"
}

# -- what this host has ----------------------------------------------------------------------------

need_root_and_systemd() {
    [ "$(id -u)" = 0 ] || stop "run this as root, e.g. with sudo" 3
    if ! command -v systemctl >/dev/null || [ ! -d /run/systemd/system ]; then
        stop "this host is not run by systemd; such hosts are not supported yet" 3
    fi
    for tool in useradd userdel runuser mktemp; do
        command -v "$tool" >/dev/null || stop "$tool is missing; install passwd (shadow-utils) and util-linux" 3
    done
}

find_python() {
    for name in ${FOREWARN_PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3; do
        found=$(command -v "$name" 2>/dev/null) || continue
        # The real one behind wrappers; one in somebody's home is closed to the service.
        if real=$("$found" -I -c 'import ssl, sys, venv
(3, 11) <= sys.version_info[:2] <= (3, 14) or sys.exit(1)
print(sys._base_executable)' 2>/dev/null </dev/null); then
            case $real in
            /home/* | /root/*) continue ;;
            esac
            echo "$real"
            return
        fi
    done
    if command -v apt-get >/dev/null; then
        mend="apt-get install python3"
    elif command -v dnf >/dev/null; then
        mend="dnf install python3.12"
    else
        mend="install one, or name one in FOREWARN_PYTHON"
    fi
    stop "no Python from 3.11 to 3.14 found: $mend" 3
}

# -- packages --------------------------------------------------------------------------------------

# fetch URL TRUST FOLDER: the wheels for this host out of the collector.  TRUST is the fingerprint
# of the collector's authority, or the file of the authority.
fetch() {
    "$python" -I - "$@" <<'PY'
import hashlib, hmac, pathlib, platform, re, ssl, sys, urllib.error, urllib.request

url, trust, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
kind = f"linux-{platform.machine()}-cp{sys.version_info[0]}{sys.version_info[1]}"


def opener(context):
    # No proxy out of some environment: whom we ask is what the string says.
    handlers = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)


def authority():
    if not re.fullmatch("[0-9a-f]{64}", trust):
        return pathlib.Path(trust).read_text()
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE  # the fingerprint is the check
    with opener(blind).open(f"{url}/v1/ca.pem", timeout=30) as answer:
        text = answer.read(65536).decode("ascii", "replace")
    for pem in re.findall("-----BEGIN CERT.*?END CERTIFICATE-----", text, re.DOTALL):
        der = ssl.PEM_cert_to_DER_cert(pem)
        if hmac.compare_digest(hashlib.sha256(der).hexdigest(), trust):
            return pem + "\n"
    sys.exit(f"forewarn: whoever answers at {url} is not the collector that the string names")


try:
    trusted = None
    if url.startswith("https:"):
        trusted = ssl.create_default_context(cadata=authority())
    ask = opener(trusted)
    try:
        with ask.open(f"{url}/packages/{kind}.txt", timeout=30) as answer:
            listed = answer.read(1 << 20).decode("ascii")
    except urllib.error.HTTPError as error:
        sys.exit(f"forewarn: {url} has no packages for {kind} (it answered {error.code})")
    for line in listed.splitlines():
        wanted = re.fullmatch(r"([0-9a-f]{64}) (\d{1,10}) ([A-Za-z0-9][\w.+-]*\.whl)", line)
        if wanted is None:
            sys.exit("forewarn: the collector's list of packages cannot be read")
        digest, size, name = wanted[1], int(wanted[2]), wanted[3]
        with ask.open(f"{url}/packages/{name}", timeout=60) as answer:
            content = answer.read(size + 1)
        if hashlib.sha256(content).hexdigest() != digest:
            sys.exit(f"forewarn: {name} is not what the list says; nothing was installed")
        (folder / name).write_bytes(content)
    (folder / "list").write_text(listed)
except (OSError, ValueError) as error:
    sys.exit(f"forewarn: {url} cannot be reached or understood: {error}")
PY
}

# make_release FOLDER-OF-WHEELS: print the folder of a release made of them, complete or not at all.
make_release() {
    stamp=$({ cat "$1/list" && "$python" -VV; } | sha256sum | cut -c 1-12)
    release="$home/agent-$stamp"
    if [ ! -e "$release/complete" ]; then
        rm -rf "$release"
        "$python" -I -m venv --without-pip "$release" </dev/null
        sed -n "s|^\([0-9a-f]*\) [0-9]* \(.*\)|$1/\2 --hash=sha256:\1|p" "$1/list" \
            | grep -v '/pip-[^/]*\.whl' >"$1/requirements"
        # Compiles bytecode too: the agent cannot write it later, and would be larger without.
        "$release/bin/python" "$(echo "$1"/pip-*.whl)/pip" install --quiet --no-index --no-deps \
            --require-hashes --no-cache-dir --disable-pip-version-check --no-input \
            --root-user-action ignore --no-warn-script-location -r "$1/requirements" </dev/null >&2
        cp "$1/list" "$release/complete"
    fi
    echo "$release"
}

units_of() { # units_of RELEASE: the unit files that it brings
    find "$1"/lib/python3*/site-packages/forewarn_agent/units -type f \
        \( -name '*.service' -o -name '*.socket' -o -name '*.timer' \) 2>/dev/null | sort
}

installed_units() { # the agent's units on this host; a collector may live here too
    find "$units" -maxdepth 1 -type f -name 'forewarn-*' ! -name 'forewarn-collector*' -printf '%f\n'
}

# -- users and services ----------------------------------------------------------------------------

make_user() {
    getent passwd "$user" >/dev/null \
        || useradd --system --user-group --home-dir "$state" --no-create-home \
            --shell /usr/sbin/nologin --comment "forewarn agent" "$user"
    install -d -m 0700 -o "$user" -g "$user" "$state"
}

as_user() { runuser -u "$user" -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"; }

# use RELEASE: make it the one that runs, and start what it brings.
use() {
    ln -sfn "$1" "$home/agent.new" && mv -T "$home/agent.new" "$home/agent"
    ln -sfn "$home/agent/bin/forewarn-agent" "$command"
    for old in $(installed_units); do
        units_of "$1" | grep -q "/$old\$" || remove_unit "$old" # this release brings it no longer
    done
    for unit in $(units_of "$1"); do
        install -m 0644 "$unit" "$units/${unit##*/}"
    done
    systemctl daemon-reload
    for unit in $(units_of "$1"); do
        grep -q '^\[Install\]' "$unit" || continue
        systemctl --quiet enable "${unit##*/}"
        # It comes back only once READY was said.
        systemctl restart "${unit##*/}" || return 1
    done
}

remove_unit() {
    systemctl --quiet disable --now "$1" 2>/dev/null || true
    systemctl reset-failed "$1" 2>/dev/null || true
    rm -f "$units/$1"
}

runs_well() { # the running agent has said something of itself, and a batch went through
    tries=0
    while [ $tries -lt 40 ]; do
        tries=$((tries + 1))
        told=$(as_user "$home/agent/bin/forewarn-agent" status --json --dir "$state" 2>/dev/null </dev/null) || true
        case $told in
        *'"received_at": "2'*) [ "$(systemctl is-active forewarn-agent.service)" = active ] && return 0 ;;
        esac
        sleep 1
    done
    return 1
}

# -- words -----------------------------------------------------------------------------------------

install_agent() {
    enrolled=$([ -e "$state/identity.json" ] && echo yes || echo no)
    if [ -n "$string" ]; then
        trust=${string##*.}
        url=${string%.*}
        url=${url%.*}
        url=${url#fw1.}
    elif [ "$enrolled" = yes ]; then
        trust="$state/ca.pem"
        url=$("$python" -I -c 'import json, sys; print(json.load(open(sys.argv[1]))["url"])' "$state/identity.json" </dev/null)
    else
        stop "give the string that the collector's token create printed: sh -s -- fw1.…" 2
    fi
    mkdir -p "$home"
    # Not below /tmp: that may be mounted noexec, and others may look into it.
    box=$(mktemp -d "$home/.fetched-XXXXXX")
    trap 'rm -rf "$box"' EXIT
    trap 'exit 1' INT TERM HUP
    if [ -n "$packages" ]; then
        cp "$packages"/* "$box/"
    else
        fetch "$url" "$trust" "$box" || exit 4
    fi
    release=$(make_release "$box")
    before=$(readlink "$home/agent" 2>/dev/null || true)
    make_user
    if [ "$enrolled" = no ]; then
        # On stdin: arguments can be read by every user of this host.
        printf '%s\n' "$string" | as_user "$release/bin/forewarn-agent" enrol - --dir "$state" \
            || { [ -n "$before" ] || remove_all; exit 4; }
    elif [ -n "$string" ]; then
        say "this host is enrolled already; its identity stays"
    fi
    if [ "$before" = "$release" ] && systemctl is-active --quiet forewarn-agent.service; then
        say "the agent is at this release already and runs"
        return
    fi
    if use "$release" && runs_well; then
        drop_other_releases "$release"
        say "the agent runs, and the collector has its first samples"
    elif [ -n "$before" ] && [ "$before" != "$release" ] && [ -e "$before/complete" ]; then
        say "the new release does not run well; going back to the one before"
        use "$before" || true
        rm -rf "$release"
        exit 5
    else
        say "installed, but the agent does not run well; its own words:"
        journalctl --no-pager --quiet -n 10 -u forewarn-agent.service >&2 2>/dev/null || true
        exit 5
    fi
}

drop_other_releases() {
    for other in "$home"/agent-*; do
        [ "$other" = "$1" ] || rm -rf "$other"
    done
}

remove_all() {
    for unit in $(installed_units); do
        remove_unit "$unit"
    done
    systemctl daemon-reload
    rm -rf "$home"/agent "$home"/agent-* "$home"/.fetched-* "$state" /var/lib/forewarn-helper \
        /run/forewarn /etc/forewarn "$command"
    rmdir "$home" 2>/dev/null || true
    if getent passwd "$user" >/dev/null; then
        userdel "$user" 2>/dev/null || say "the user $user could not be removed: userdel $user"
    fi
}

main() {
    string="" packages="" word=install
    while [ $# -gt 0 ]; do
        case $1 in
        fw1.*) string=$1 ;;
        --string-file)
            [ $# -gt 1 ] || stop "--string-file wants a file" 2
            string=$(cat "$2") || exit 2
            shift
            ;;
        --packages)
            [ $# -gt 1 ] || stop "--packages wants a folder" 2
            packages=$2
            shift
            ;;
        --uninstall) word=uninstall ;;
        *) stop "what does '$1' mean?  A string begins with fw1. ; else --uninstall" 2 ;;
        esac
        shift
    done
    need_root_and_systemd
    if [ "$word" = uninstall ]; then
        remove_all
        say "the agent is gone, with its identity and all it kept"
        return
    fi
    python=$(find_python)
    install_agent
}

# Last, so that a script cut off on its way does nothing.
main "$@"
