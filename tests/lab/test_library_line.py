"""Scripts of the library on their whole way: signed, fetched, judged, run in a unit, verified.

Needs root, systemd-nspawn and debootstrap; one machine lives through the whole file, in order.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator

import pytest
from tests.lab.machine import bare_tree
from tests.lab.signing_site import install, order, prepared
from tests.lab.site import AGENT, Site, items

POLICY = """mode = "signed"
[limits]
max_timeout = "2h"
max_runs_per_hour = 100
[[class]]
name = "maintenance"
threshold = 1
run_as = ["root"]
keys = ["{key}"]
"""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root"),
    pytest.mark.skipif(
        not (shutil.which("systemd-nspawn") and shutil.which("debootstrap")),
        reason="apt-get install systemd-container debootstrap",
    ),
]

# Two archives as Debian has them: one of security, one without.  Each package has a newer version
# on offer, and a configuration file that this host changed.
ARCHIVES = r"""
set -e
package() {  # ARCHIVE NAME VERSION
    at=/tmp/deb/$2; rm -rf $at; mkdir -p $at/DEBIAN $at/etc $at/usr/share/$2
    echo "$3" > $at/usr/share/$2/version; echo "of version $3" > $at/etc/$2.conf
    echo "/etc/$2.conf" > $at/DEBIAN/conffiles
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: lab\nDescription: lab\n' \
        $2 $3 > $at/DEBIAN/control
    if [ "$4" ]; then
        printf '#!/bin/sh\n%s\n' "$4" > $at/DEBIAN/postinst; chmod 755 $at/DEBIAN/postinst
    fi
    mkdir -p /srv/$1; dpkg-deb --root-owner-group -b $at /srv/$1/$2_$3_all.deb >/dev/null
}
sum() { sha256sum $1 | cut -d ' ' -f 1; }
archive() {  # NAME LABEL SUITE
    cd /srv/$1
    for one in *.deb; do
        dpkg-deb -f $one
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $one $(stat -c %s $one) $(sum $one)
    done > Packages
    printf '%s\n' 'Origin: Debian' "Label: $2" "Suite: $3" 'Version: 12' 'Codename: bookworm' \
        "Date: $(date -u -R | sed s/+0000/UTC/)" SHA256: \
        " $(sum Packages) $(stat -c %s Packages) Packages" > Release
}
"""
FIRST = """
package security lab-tls 3.0.1; package main lab-shell 5.1
archive security Debian-Security stable-security; archive main Debian stable
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/security ./' > /etc/apt/sources.list
echo 'deb [trusted=yes] file:/srv/main ./' >> /etc/apt/sources.list
apt-get -q update; apt-get -q -y install lab-tls lab-shell
echo 'changed here' > /etc/lab-tls.conf
"""
NEWER = """
package security lab-tls 3.0.7; package main lab-shell 5.2
archive security Debian-Security stable-security; archive main Debian stable
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A machine with both installed, and packages of which newer versions are on offer."""
    made = prepared(bare_tree(tmp_path_factory.mktemp("library")))
    made.machine.boot()
    try:
        install(made, POLICY)
        log = "exec >/root/archives.log 2>&1\n"  # from here on there are these archives alone
        made.machine.run(f"{log}{ARCHIVES}{FIRST}{NEWER}apt-get -q update")
        (host,) = items(made.ask("/hosts"))
        made.host = str(host["id"])
        often = '[checks.patches]\nevery = "15s"\n'
        made.machine.run(
            f"cat > {AGENT}/agent.toml; chown forewarn: {AGENT}/agent.toml", given=often
        )
        made.machine.run("systemctl restart forewarn-agent")
        yield made
    finally:
        made.machine.power_off()


def missing(site: Site) -> dict[str, float]:
    """Return how many updates the collector believes to be missing, by kind."""
    found = {}
    for one in site.readings():
        assert isinstance(one, dict)
        if one["metric"] == "patches_missing":
            found[str(one["labels"]["kind"])] = float(one["value"])
    return found


def wait_for_missing(site: Site, wanted: dict[str, float], seconds: float = 90) -> float:
    """Wait until the collector believes that; return how long it took."""
    began = time.monotonic()
    while missing(site) != wanted:
        assert time.monotonic() - began < seconds, missing(site)
        time.sleep(0.5)
    return time.monotonic() - began


def version(site: Site, package: str) -> str:
    return site.machine.run(f"dpkg-query -W -f '${{Version}}' {package}")


def done(result: dict[str, object], code: int = 0) -> str:
    """Return the output of a script that ran to its end with this code."""
    assert (result["ended"], result["exit_code"]) == ("done", code), result
    print(f"\n{result['output']}")
    return str(result["output"])


def test_the_collector_knows_what_is_missing(site: Site) -> None:
    wait_for_missing(site, {"security": 1, "other": 1})


def test_a_simulation_shows_and_changes_nothing(site: Site) -> None:
    said = done(order(site, "apply-updates"))
    assert "lab-tls 3.0.1 -> 3.0.7" in said
    assert "lab-shell" not in said
    assert (version(site, "lab-tls"), version(site, "lab-shell")) == ("3.0.1", "5.1")


def test_updates_of_security_are_applied_and_the_next_sample_says_so(site: Site) -> None:
    """The changed configuration file stays; what is not of security stays as it is."""
    began = time.monotonic()
    said = done(order(site, "apply-updates", "-- --which=security --yes"))
    took = time.monotonic() - began
    assert "installed: 1" in said
    assert (version(site, "lab-tls"), version(site, "lab-shell")) == ("3.0.7", "5.1")
    assert site.machine.run("cat /etc/lab-tls.conf").strip() == "changed here"
    told = wait_for_missing(site, {"security": 0, "other": 1})
    print(f"signed to result {took:.1f} s, then {told:.1f} s to the sample that shows it")


def test_a_second_time_nothing_is_left_to_do(site: Site) -> None:
    log = site.machine.run("sha256sum /var/log/dpkg.log")
    assert "no updates (security) to install" in done(
        order(site, "apply-updates", "-- --which=security --yes")
    )
    assert site.machine.run("sha256sum /var/log/dpkg.log") == log


def test_all_updates_are_applied(site: Site) -> None:
    done(order(site, "apply-updates", "-- --which=all --yes"))
    assert version(site, "lab-shell") == "5.2"
    wait_for_missing(site, {"security": 0, "other": 0})


def test_a_lock_is_waited_for(site: Site) -> None:
    """Another apt holds dpkg for a while."""
    site.machine.run(ARCHIVES + "package main lab-shell 5.3; archive main Debian stable")
    site.machine.run(
        'setsid python3 -c \'import fcntl, time; f = open("/var/lib/dpkg/lock-frontend", "w");'
        " fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(8)' >/dev/null 2>&1 & sleep 0.5"
    )
    began = time.monotonic()
    done(order(site, "apply-updates", "-- --which=all --yes"))
    assert 5 < time.monotonic() - began < 60
    assert version(site, "lab-shell") == "5.3"


def test_a_package_that_breaks_is_left_to_a_person(site: Site) -> None:
    """It is told which and what to run; later orders begin nothing until it is mended."""
    broken = "package main lab-shell 5.4 'exit 1'; archive main Debian stable"
    site.machine.run(ARCHIVES + broken)
    assert "dpkg --configure -a" in done(order(site, "apply-updates", "-- --which=all --yes"), 70)
    assert "dpkg --configure -a" in done(order(site, "apply-updates", "-- --which=all --yes"), 70)
    mend = "echo exit 0 > /var/lib/dpkg/info/lab-shell.postinst; dpkg --configure -a"
    site.machine.run(mend)
    done(order(site, "apply-updates", "-- --which=all --yes"))


def test_a_dead_source_is_told_of_and_the_rest_refreshed(site: Site) -> None:
    done(order(site, "refresh-package-metadata"))
    dead = "/etc/apt/sources.list.d/dead.list"
    site.machine.run(f"echo 'deb [trusted=yes] file:/srv/gone ./' > {dead}")
    assert "/srv/gone" in done(order(site, "refresh-package-metadata"), 1)
    assert "/srv/gone" in done(order(site, "apply-updates"), 1)
    site.machine.run(f"rm {dead}")
    done(order(site, "refresh-package-metadata"))


def test_a_service_is_restarted_and_watched(site: Site) -> None:
    unit = "[Service]\nExecStart=/bin/sleep 1000\n"
    site.machine.run("cat > /etc/systemd/system/lab-well.service", given=unit)
    unit = "[Service]\nExecStart=/bin/sh -c 'echo it broke; sleep 1; exit 7'\n"
    site.machine.run("cat > /etc/systemd/system/lab-ill.service", given=unit)
    site.machine.run("systemctl daemon-reload; systemctl start lab-well")
    before = site.pid("lab-well")
    done(order(site, "restart-service", "-- --service=lab-well"))
    assert site.pid("lab-well") not in (0, before)
    assert "it broke" in done(order(site, "restart-service", "-- --service=lab-ill"), 1)
    done(order(site, "restart-service", "-- --service=lab-none"), 66)


def test_the_agent_itself_can_be_restarted(site: Site) -> None:
    """It carries the order: the answer waits at the helper until it is back."""
    before = site.pid("forewarn-agent")
    done(order(site, "restart-service", "-- --service=forewarn-agent"))
    assert site.pid("forewarn-agent") not in (0, before)


def test_temporary_files_and_downloads_go(site: Site) -> None:
    site.machine.run(
        "apt-get clean; mkdir -p /var/tmp/a; head -c 3000000 /dev/urandom > /var/tmp/a/old;"
        " echo x > /var/tmp/young; head -c 2000000 /dev/urandom > /var/cache/apt/archives/x.deb"
    )
    said = done(order(site, "clean-temporary-files"))
    assert "downloaded packages: 1 MiB in 1 files" in said
    assert site.machine.try_run("test -e /var/cache/apt/archives/x.deb")
    done(order(site, "clean-temporary-files", "-- --yes"))
    assert not site.machine.try_run("test -e /var/cache/apt/archives/x.deb")
    assert site.machine.try_run("test -e /var/tmp/young")


def test_diagnostics_are_told(site: Site) -> None:
    said = done(order(site, "collect-diagnostics"))
    assert "== failed services" in said
    assert "lab-ill.service" in said
    assert "== end" in said


def test_a_restart_is_ordered_once_and_taken_back(site: Site) -> None:
    scheduled = "test -e /run/systemd/shutdown/scheduled"
    done(order(site, "reboot-with-warning", "-- --minutes=60 '--message=Save it, please!'"))
    assert site.machine.try_run(scheduled)
    again = done(order(site, "reboot-with-warning", "-- --minutes=60"))
    assert "ordered already" in again
    done(order(site, "reboot-with-warning", "-- --cancel"))
    assert not site.machine.try_run(scheduled)
    done(order(site, "reboot-with-warning", "-- --cancel"))


def test_a_restart_for_updates_waits_for_its_window(site: Site) -> None:
    """Ordered only where a package asks for it, and only as the order says."""
    scheduled = "/run/systemd/shutdown/scheduled"
    site.machine.run("touch /run/reboot-required")
    words = "-- --which=all --yes --reboot"
    assert "none was ordered" in done(order(site, "apply-updates", f"{words}=never"))
    assert not site.machine.try_run(f"test -e {scheduled}")
    begin, end = site.machine.run("date -d +2hour +%H%M; date -d +3hour +%H%M").split()
    window = f"--window={begin}-{end}"
    done(order(site, "apply-updates", f"{words}=in-window {window}"))
    told = dict(line.split("=", 1) for line in site.machine.run(f"cat {scheduled}").splitlines())
    seconds = int(told["USEC"]) / 1e6 - float(site.machine.run("date +%s"))
    assert 6900 < seconds < 7260
    assert told["MODE"] == "reboot"
    assert "ordered already" in done(order(site, "apply-updates", f"{words}=if-required"))
    site.machine.run("shutdown -c; rm /run/reboot-required")


def test_what_is_not_taken_is_never_signed(site: Site) -> None:
    """Exit code 2, and the collector hears nothing of it."""
    count = "forewarn orders --json"
    before = len(items(json.loads(site.machine.run(count))))
    for words in ("'--service=a;touch /root/ran'", "--service=", "x", "'--service=$(id)'"):
        command = f"forewarn run restart-service --on client:acme --reason x --yes -- {words}"
        code, said = site.machine.told(command)
        assert (code, "no order" in said) == (2, True), said
    assert len(items(json.loads(site.machine.run(count)))) == before


def test_a_policy_that_allows_one_script_allows_no_other(site: Site) -> None:
    """What `forewarn scripts policy` prints, pasted into the file of a host."""
    entry = site.machine.run("forewarn scripts policy restart-service -- --service=lab-well")
    policy = f'mode = "allowlist"\n[limits]\nmax_runs_per_hour = 1000\n{entry}'
    site.machine.run("cat > /etc/forewarn/policy.toml", given=policy)
    done(order(site, "restart-service", "-- --service=lab-well"))
    for words in ("restart-service -- --service=lab-ill", "collect-diagnostics"):
        script, _, rest = words.partition(" ")
        assert order(site, script, rest)["ended"] == "refused"
