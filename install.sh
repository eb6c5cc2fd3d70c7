#!/bin/sh
# Set up and start forewarn from a checkout.  POSIX sh: no bash is asked of anyone.
#
#   ./install.sh try [--once] [--json]   watch this very host: collector, agent, page, ticket receiver
#   ./install.sh test [PYTEST ARGUMENT…] run the tests
#   ./install.sh dev                     make the developers' environment in .venv
#   ./install.sh collector [--url https://NAME:PORT] [--agents HOST:PORT] [--operators HOST:PORT]
#                                        install the collector as a service; again: upgrade it
#   ./install.sh agent fw1.…             install the agent of this checkout as a service, enrolled
#   ./install.sh uninstall [--keep-services]
#                                        remove every environment and service that this script made
#
# Environments are made beside the checkout's files (build/env-*, .venv), or under
# ${XDG_CACHE_HOME:-~/.cache}/forewarn where the checkout cannot be written.
# Packages are installed by name, version and hash from lock/*.txt, through pip as it is set up here.
set -eu
umask 022
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

say() { printf '%s\n' "$*" >&2; }
stop() {
    say "install.sh: $1"
    [ $# -lt 2 ] || say "  $2"
    exit "${3:-1}"
}

usage() {
    sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$here/install.sh"
}

# -- Python ----------------------------------------------------------------------------------------

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

find_python() {
    for name in ${FOREWARN_PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3; do
        found=$(command -v "$name" 2>/dev/null) || continue
        if fits "$found"; then
            echo "$found"
            return
        fi
    done
    if command -v apt-get >/dev/null; then
        mend="apt-get install python3"
    elif command -v dnf >/dev/null; then
        mend="dnf install python3.12"
    else
        mend="install Python 3.11, 3.12, 3.13 or 3.14, or name one in FOREWARN_PYTHON"
    fi
    stop "no Python 3.11 to 3.14 found on PATH" "$mend" 3
}

# Print a folder that holds `pip`, importable, for a Python that came without it.
#
# Only Debian and its children split pip and ensurepip off, so their own package is where to get
# it: fetched and verified by apt, unpacked here, nothing installed, no root.
fetch_pip() {
    box=$1
    mkdir -p "$box/lists/partial" "$box/cache/archives/partial"
    wheel=$(find /usr/share/python-wheels -name 'pip-*.whl' 2>/dev/null | head -n 1)
    if [ -z "$wheel" ] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
        (
            cd "$box"
            set -- -qq -o Dir::State::Lists="$box/lists" -o Dir::Cache="$box/cache" \
                -o APT::Sandbox::User=root -o Debug::NoLocking=true
            apt-get "$@" update && apt-get "$@" download python3-pip-whl \
                && dpkg-deb -x python3-pip-whl_*.deb unpacked
        ) >"$box/apt.log" 2>&1 || true
        wheel=$(find "$box/unpacked" -name 'pip-*.whl' 2>/dev/null | head -n 1)
    fi
    [ -n "$wheel" ] || return 1
    echo "$wheel"
}

# -- environments ----------------------------------------------------------------------------------

home_of() {  # home_of NAME: where the environment of that name lives
    if [ "$1" = dev ]; then
        wanted="$here/.venv"
    else
        wanted="$here/build/env-$1"
    fi
    if mkdir -p "$here/build" 2>/dev/null && [ -w "$here" ]; then
        echo "$wanted"
    else
        echo "${XDG_CACHE_HOME:-$HOME/.cache}/forewarn/env-$1"
    fi
}

# make_environment NAME: make or refresh it from lock/NAME.txt and print its folder.
make_environment() {
    env=$(home_of "$1")
    lock="$here/lock/$1.txt"
    python=$(find_python)
    stamp="$("$python" -c 'import sys; print(sys.version_info[:2])') $(cksum <"$lock") $(cksum <"$here/pyproject.toml") $here"
    if [ "$(cat "$env/forewarn-stamp" 2>/dev/null)" = "$stamp" ]; then
        echo "$env"
        return
    fi
    say "forewarn: setting up Python packages in $env (once; about a minute)"
    log="$(dirname "$(home_of log)")/env-$1.log"
    mkdir -p "$(dirname "$env")" "$(dirname "$log")"
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv --clear "$env" >"$log" 2>&1 \
            || stop "could not make $env; see $log"
        pip="$env/bin/python -m pip"
    else
        "$python" -m venv --clear --without-pip "$env" >"$log" 2>&1 \
            || stop "could not make $env; see $log" "apt-get install python3-venv"
        wheel=$(fetch_pip "$env/pip-box") \
            || stop "this Python has no ensurepip, and pip's wheel could not be fetched (see $env/pip-box/apt.log)" \
                "apt-get install python3-venv, then run this again" 3
        pip="$env/bin/python $wheel/pip"
    fi
    # shellcheck disable=SC2086 # $pip is a command and its argument
    $pip install --disable-pip-version-check --no-input --quiet --require-hashes \
        --only-binary :all: --no-compile -r "$lock" >>"$log" 2>&1 \
        || { tail -n 5 "$log" >&2; stop "packages could not be installed; the whole story is in $log" \
            "check that a package index can be reached (pip's own settings are used)" 4; }
    # shellcheck disable=SC2086
    $pip install --disable-pip-version-check --no-input --quiet --no-deps --no-build-isolation \
        --no-index --editable "$here" >>"$log" 2>&1 \
        || { tail -n 5 "$log" >&2; stop "forewarn itself could not be installed; see $log"; }
    rm -rf "$env/pip-box"
    echo "$stamp" >"$env/forewarn-stamp"
    echo "$env"
}

# -- words -----------------------------------------------------------------------------------------

# The tests need a browser and smartctl.  Root gets them from the distribution; for anyone else the
# tests that need them say so and are skipped.
fetch_test_tools() {
    missing=""
    command -v chromium >/dev/null || missing="chromium"
    [ -x /usr/sbin/smartctl ] || command -v smartctl >/dev/null || missing="$missing smartmontools"
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "forewarn: installing$([ -z "$missing" ] || echo " $missing") for the tests"
        # shellcheck disable=SC2086 # a list of package names
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
            --no-install-recommends $missing; } >"$here/build/test-tools.log" 2>&1 \
            || say "forewarn: could not install $missing; the tests that need it are skipped"
    else
        say "forewarn: $missing not found; the tests that need it are skipped"
    fi
}

word=${1:-}
[ $# -eq 0 ] || shift
case $word in
try)
    env=$(make_environment collector)
    exec "$env/bin/python" -m forewarn_collector.trial "$@"
    ;;
test)
    env=$(make_environment dev)
    fetch_test_tools
    cd "$here"
    exec "$env/bin/python" -m pytest "$@"
    ;;
dev)
    env=$(make_environment dev)
    echo "$env"
    ;;
collector)
    # shellcheck source=collector/forewarn_collector/installer/collector.sh
    . "$here/collector/forewarn_collector/installer/collector.sh"
    install_collector "$@"
    ;;
agent)
    # shellcheck source=collector/forewarn_collector/installer/collector.sh
    . "$here/collector/forewarn_collector/installer/collector.sh"
    install_agent_from_checkout "$@"
    ;;
uninstall)
    for name in collector dev; do
        env=$(home_of "$name")
        rm -rf "$env" "$(dirname "$(home_of log)")/env-$name.log"
        say "forewarn: removed $env"
    done
    rmdir "$here/build" 2>/dev/null || true
    if [ -d /opt/forewarn ] && [ "${1:-}" != --keep-services ]; then
        # shellcheck source=collector/forewarn_collector/installer/collector.sh
        . "$here/collector/forewarn_collector/installer/collector.sh"
        need_root_and_systemd
        [ ! -e /opt/forewarn/agent ] || sh "$here/collector/forewarn_collector/installer/agent.sh" --uninstall
        [ ! -e /opt/forewarn/collector ] || uninstall_collector
    fi
    ;;
"" | -h | --help | help)
    usage
    ;;
*)
    usage >&2
    stop "there is no word '$word'" "" 2
    ;;
esac
