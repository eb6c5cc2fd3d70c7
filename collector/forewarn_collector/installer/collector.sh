# Install, upgrade and remove the collector as a service.  Sourced by install.sh, whose say, stop,
# find_python and fetch_pip it uses.
# shellcheck shell=sh disable=SC2154 # $here is set there

collector_home=/opt/forewarn
collector_state=/var/lib/forewarn
collector_user=forewarn-collector
collector_unit=forewarn-collector.service
collector_command=/usr/local/bin/forewarn-collector
operator_command=/usr/local/bin/forewarn

need_root_and_systemd() {
    [ "$(id -u)" = 0 ] || stop "this makes a system service: run it as root, e.g. with sudo" "" 3
    if ! command -v systemctl >/dev/null || [ ! -d /run/systemd/system ]; then
        stop "this machine is not run by systemd" "use the Containerfile, or run forewarn-collector serve yourself" 3
    fi
    for tool in useradd userdel runuser; do
        command -v "$tool" >/dev/null || stop "$tool is missing" "install passwd (shadow-utils) and util-linux" 3
    done
}

# -- releases --------------------------------------------------------------------------------------

# fill FOLDER LOCK…: make an environment with pip and what the locks name.
fill() {
    env=$1
    log=$1.log
    shift
    rm -rf "$env"
    mkdir -p "$(dirname "$env")"
    "$python" -I -m venv --without-pip "$env" >"$log" 2>&1 || stop "could not make $env; see $log"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$env/bin/python" -m ensurepip --default-pip >>"$log" 2>&1 || stop "could not make $env; see $log"
        pip="$env/bin/python -m pip"
    else
        wheel=$(fetch_pip "$env/pip-box") \
            || stop "this Python has no ensurepip, and pip's wheel could not be fetched" \
                "apt-get install python3-venv, then run this again" 3
        pip="$env/bin/python $wheel/pip"
    fi
    # The pip that came along only fetches the one that is pinned.
    for lock in "$here/lock/pip.txt" "$@"; do
        # shellcheck disable=SC2086 # $pip is a command and its argument
        $pip install --disable-pip-version-check --no-input --quiet --require-hashes --no-deps \
            --only-binary :all: --root-user-action ignore -r "$lock" >>"$log" 2>&1 \
            || { tail -n 5 "$log" >&2; stop "packages could not be installed; the whole story is in $log" \
                "check that a package index can be reached (pip's own settings are used)" 4; }
        pip="$env/bin/python -m pip"
    done
    rm -rf "$env/pip-box" "$log"
}

# make_wheel PYTHON-WITH-HATCHLING FOLDER: build forewarn's own wheel there.
make_wheel() {
    "$1" -m pip wheel --disable-pip-version-check --quiet --no-deps --no-build-isolation --no-index \
        --wheel-dir "$2" "$here" >&2 || stop "forewarn's own wheel could not be built"
}

stamp_of_checkout() {
    {
        cd "$here" || exit
        "$python" -VV
        find agent checks collector scripts lock pyproject.toml -type f ! -name '*.pyc' -exec sha256sum {} + | sort
    } | sha256sum | cut -c 1-12
}

# make_collector_release: print its folder, complete or not at all.
make_collector_release() {
    release="$collector_home/collector-$(stamp_of_checkout)"
    if [ ! -e "$release/complete" ]; then
        say "forewarn: installing packages into $release (about two minutes)"
        fill "$release" "$here/lock/collector.txt"
        make_wheel "$release/bin/python" "$release/share/forewarn"
        "$release/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps --no-index \
            --root-user-action ignore "$release"/share/forewarn/forewarn-*.whl >&2
        if [ "$with_packages" = yes ]; then
            "$release/bin/forewarn-collector" packages build --wheel "$release"/share/forewarn/forewarn-*.whl \
                --lock "$here/lock/agent.txt" --lock "$here/lock/pip.txt" >&2 \
                || say "forewarn: hosts cannot be installed from here until forewarn-collector packages build succeeds"
        fi
        # Builds that bring their own Python, as lock/standalone.py makes them.
        for build in "$here"/build/standalone/forewarn-agent-*; do
            [ ! -e "$build" ] || "$release/bin/forewarn-collector" packages add "$build" >&2
        done
        : >"$release/complete"
    fi
    echo "$release"
}

# -- service ---------------------------------------------------------------------------------------


use_collector() { # use_collector RELEASE: make it the one that runs, and start it
    ln -sfn "$1" "$collector_home/collector.new" && mv -T "$collector_home/collector.new" "$collector_home/collector"
    ln -sfn "$collector_home/collector/bin/forewarn-collector" "$collector_command"
    ln -sfn "$collector_home/collector/bin/forewarn" "$operator_command"
    install -m 0644 "$(find "$1/lib" -path "*/forewarn_collector/units/$collector_unit")" "/etc/systemd/system/$collector_unit"
    systemctl daemon-reload
    systemctl --quiet enable "$collector_unit"
    # It comes back only once both listeners answer.
    systemctl restart "$collector_unit"
}

collector_is_ready() {
    tries=0
    while [ $tries -lt 20 ]; do
        tries=$((tries + 1))
        if runuser -u "$collector_user" -- "$collector_home/collector/bin/python" -I -m forewarn_collector.ready "$collector_state" </dev/null; then
            return 0
        fi
        sleep 1
    done
    return 1
}

run_collector() { # run_collector RELEASE: let it take over; false when it cannot do its work
    use_collector "$1" && collector_is_ready
}

install_collector() {
    operator=admin with_packages=yes
    init_words=""
    while [ $# -gt 0 ]; do
        case $1 in
        --url | --agents | --operators | --operator)
            [ $# -gt 1 ] || stop "$1 wants a value" "" 2
            case $2 in
            *[!A-Za-z0-9.:/@_\[\]-]*) stop "$1 $2 has a character that no address or name has" "" 2 ;;
            esac
            if [ "$1" = --operator ]; then operator=$2; else init_words="$init_words $1 $2"; fi
            shift
            ;;
        --no-packages) with_packages=no ;;
        *) stop "what does '$1' mean?" "words: --url --agents --operators --operator NAME --no-packages" 2 ;;
        esac
        shift
    done
    need_root_and_systemd
    python=$(find_python)
    release=$(make_collector_release)
    before=$(readlink "$collector_home/collector" 2>/dev/null || true)
    getent passwd "$collector_user" >/dev/null \
        || useradd --system --user-group --home-dir "$collector_state" --no-create-home \
            --shell /usr/sbin/nologin --comment "forewarn collector" "$collector_user"
    install -d -m 0700 -o "$collector_user" -g "$collector_user" "$collector_state"
    if [ -e "$collector_state/collector.toml" ]; then
        [ -z "$init_words" ] || say "forewarn: this collector is made already; change $collector_state/collector.toml"
        upgrade_collector
    else
        # shellcheck disable=SC2086 # words without blanks, see above
        runuser -u "$collector_user" -- "$release/bin/forewarn-collector" init --dir "$collector_state" $init_words --json >/dev/null
        # Before it starts: whatever happens then, the one login that can mend it was shown.
        password=$(runuser -u "$collector_user" -- "$release/bin/forewarn-collector" user create "$operator" --role admin --dir "$collector_state" 2>/dev/null)
        say "forewarn: $operator may log in; the password is shown only now:"
        echo "$password"
        if ! run_collector "$release"; then
            journalctl --no-pager -q -n 10 -u "$collector_unit" >&2
            stop "the collector does not run; its last words are above" "" 5
        fi
    fi
    tidy_releases "$release"
    say "forewarn: the collector runs. Next, for every client and site:"
    say "  sudo -u $collector_user forewarn-collector token create --client NAME --site NAME"
}

upgrade_collector() {
    if [ "$before" = "$release" ] && systemctl is-active --quiet "$collector_unit"; then
        say "forewarn: the collector is at this release already and runs"
        return
    fi
    kept="$collector_state.before"
    rm -rf "$kept"
    systemctl stop "$collector_unit"
    say "forewarn: keeping the state as it was in $kept"
    runuser -u "$collector_user" -- "$release/bin/python" -I -m forewarn_collector.backup "$collector_state" "$collector_state/.before" \
        || { systemctl start "$collector_unit"; stop "the state could not be copied; nothing was changed"; }
    mv "$collector_state/.before" "$kept"
    if run_collector "$release"; then
        rm -rf "$kept"
        return
    fi
    if [ -z "$before" ] || [ ! -e "$before/complete" ]; then
        stop "the collector does not run; its state as it was is in $kept" "" 5
    fi
    say "forewarn: the new release does not run; going back to the one before, and to its state"
    journalctl --no-pager -q -n 10 -u "$collector_unit" >&2
    systemctl stop "$collector_unit"
    mv "$collector_state" "$collector_state.failed"
    mv "$kept" "$collector_state"
    rm -rf "$collector_state.failed"
    run_collector "$before" || stop "the release before does not run either" "" 5
    rm -rf "$release"
    stop "the upgrade was taken back; the collector runs as before" "" 5
}

tidy_releases() {
    for other in "$collector_home"/collector-*; do
        [ "$other" = "$1" ] || rm -rf "$other"
    done
}

uninstall_collector() {
    systemctl --quiet disable --now "$collector_unit" 2>/dev/null || true
    systemctl reset-failed "$collector_unit" 2>/dev/null || true
    rm -f "/etc/systemd/system/$collector_unit" "$collector_command" "$operator_command"
    systemctl daemon-reload
    rm -rf "$collector_home"/collector "$collector_home"/collector-* "$collector_state" "$collector_state".before
    rmdir "$collector_home" 2>/dev/null || true
    if getent passwd "$collector_user" >/dev/null; then
        userdel "$collector_user" 2>/dev/null || say "the user $collector_user could not be removed"
    fi
    say "forewarn: the collector is gone, with all it kept"
}

# -- the agent, out of this checkout ---------------------------------------------------------------

install_agent_from_checkout() {
    need_root_and_systemd
    python=$(find_python)
    box=$(mktemp -d)
    trap 'rm -rf "$box"' EXIT
    say "forewarn: building packages from this checkout"
    fill "$box/env" "$here/lock/wheel.txt"
    mkdir "$box/wheels"
    for lock in agent pip; do
        "$box/env/bin/python" -m pip download --disable-pip-version-check --quiet --no-deps --require-hashes \
            --only-binary :all: --dest "$box/wheels" -r "$here/lock/$lock.txt" >&2 \
            || stop "packages could not be fetched" "check that a package index can be reached (pip's own settings are used)" 4
    done
    make_wheel "$box/env/bin/python" "$box/wheels"
    (
        cd "$box/wheels" || exit
        for wheel in *.whl; do
            echo "$(sha256sum <"$wheel" | cut -d ' ' -f 1) $(wc -c <"$wheel") $wheel"
        done >list
    )
    FOREWARN_PYTHON=$python sh "$here/collector/forewarn_collector/installer/agent.sh" --packages "$box/wheels" "$@"
}
