"""Installed like a product: services on a bare Debian with systemd, without any package index.

Needs root, systemd-nspawn and debootstrap; one machine lives through the whole file, in order.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator

import pytest
from tests.lab.machine import Machine, bare_tree
from tests.lab.site import AGENT, CHECKOUT, ROOT, STATE, TOKEN, Site, copy_checkout, files_of, items

SENT = f'forewarn-agent status --json --dir {AGENT} | grep \'"send_problem": ""\''

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root"),
    pytest.mark.skipif(
        not (shutil.which("systemd-nspawn") and shutil.which("debootstrap")),
        reason="apt-get install systemd-container debootstrap",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("installed")
    tree = bare_tree(folder)
    copy_checkout(tree)
    made = Site(tree)
    made.machine.boot()
    made.before = files_of(tree)
    try:
        yield made
    finally:
        made.machine.power_off()
        print("\n" + json.dumps({name: round(took, 1) for name, took in made.took.items()}))


def test_one_command_installs_the_collector(site: Site) -> None:
    """Out of a checkout, with a package index: user, release, state, service, first operator."""
    url = "--url https://localhost:8440"
    told = site.timed(
        "collector installed",
        lambda: site.machine.run(f"cd {CHECKOUT} && ./install.sh collector {url}"),
    )
    site.password = told.strip().splitlines()[-1]
    assert site.machine.run("systemctl is-active forewarn-collector").strip() == "active"
    assert "linux-x86_64-cp311" in site.machine.run("forewarn-collector packages list")
    size = site.machine.run("du -sm /opt/forewarn | cut -f1").strip()
    print(f"\n/opt/forewarn: {size} MB")


def test_again_changes_nothing(site: Site) -> None:
    """The same command on the same release: nothing restarts, no second operator."""
    before = site.pid("forewarn-collector")
    code, told = site.machine.told(f"cd {CHECKOUT} && ./install.sh collector")
    assert (code, "at this release already" in told) == (0, True), told
    assert site.pid("forewarn-collector") == before


def test_it_comes_back_after_a_reboot(site: Site) -> None:
    """From here on the machine has no network but loopback: no package index can be reached."""
    site.machine.power_off()
    site.machine = Machine(site.tree, network=False)
    site.timed("boot until the collector answers", site.boot)
    assert site.machine.run("ip -br link").split()[0] == "lo"
    assert len(site.machine.run("ip -br link").splitlines()) == 1


def test_the_printed_line_installs_and_enrols(site: Site) -> None:
    """First samples through the API within a minute of the line being run."""
    told = site.machine.run(TOKEN)
    *_, site.line, _string = told.splitlines()
    assert site.line.startswith("curl -fsSk --pinnedpubkey 'sha256//")

    def install() -> str:
        site.machine.run(site.line)
        (host,) = items(site.ask("/hosts"))
        site.host = str(host["id"])
        deadline = time.monotonic() + 60
        while not site.readings():
            assert time.monotonic() < deadline
            time.sleep(0.5)
        return ""

    site.timed("line run until samples are seen", install)
    assert site.took["line run until samples are seen"] <= 60
    assert site.machine.run("systemctl is-active forewarn-agent").strip() == "active"


def test_the_line_again_changes_nothing(site: Site) -> None:
    """The token is used up by now; the host is enrolled, so that no token is needed."""
    before = site.pid("forewarn-agent")
    code, told = site.machine.told(site.line)
    assert (code, "already" in told) == (0, True), told
    assert site.pid("forewarn-agent") == before


def test_the_disk_check_sees_home(site: Site) -> None:
    """The hardened unit measures what the host has, and does not fall back on its own view."""
    # A tree without an archive of security updates is told so, which is no good health.
    told = site.machine.run(f"forewarn-agent status --json --dir {AGENT} || true")
    checks = json.loads(told)["agent"]["checks"]
    print("\n" + json.dumps({name: (c["outcome"], c["error"]) for name, c in checks.items()}))
    for name in ("disk", "memory", "cpu", "uptime"):
        assert checks[name]["outcome"] == "ok", checks[name]


def test_no_secret_can_be_read_by_others(site: Site) -> None:
    """Neither folder can be entered, and no file in them is for anybody else."""
    for folder in (STATE, AGENT):
        assert site.machine.run(f"stat -c %a {folder}").strip() == "700"
        assert site.machine.run(f"find {folder} -type f -perm /077").strip() == ""
    writable = "find /opt/forewarn ! -type l \\( -perm /022 -o ! -user root \\)"
    assert site.machine.run(writable).strip() == ""


def test_the_token_is_in_no_database_log_or_process_list(site: Site) -> None:
    """A token of the line that was run, looked for everywhere it could have stuck."""
    token = next(part for part in site.line.split(".") if part.startswith("fwe_"))
    places = f"{STATE} {AGENT} /var/log /run /etc /opt/forewarn/agent/"
    assert not site.machine.try_run(
        f"grep -rlaF -e {token} {places} --exclude-dir=udev --exclude-dir=journal"
    )
    journal = site.machine.run(f"journalctl --no-pager | grep -F {token} || true")
    # sudo writes down the command that it was asked to run; nothing of ours may.
    assert all("sudo[" in line for line in journal.splitlines()), journal
    assert token not in site.machine.run("ps axww -o args | grep -v grep")


@pytest.mark.parametrize("unit", ["forewarn-collector", "forewarn-agent"])
def test_a_killed_process_comes_back(site: Site, unit: str) -> None:
    """Kill -9: systemd starts it again, and readings go on."""
    before = site.pid(unit)
    site.machine.run(f"kill -9 {before}")
    took = site.wait(
        f'p=$(systemctl show -P MainPID {unit}); [ "$p" != 0 ] && [ "$p" != {before} ] '
        f"&& systemctl is-active {unit}",
        30,
    )
    print(f"\n{unit} killed and ready again: {took:.1f} s")
    site.wait("curl -fsSk https://localhost:8441/readyz", 30)


@pytest.mark.parametrize("unit", ["forewarn-collector", "forewarn-agent"])
def test_the_watchdog_is_on_and_the_unit_is_hardened(site: Site, unit: str) -> None:
    """What systemd itself says of the running unit."""
    shown = site.machine.run(
        f"systemctl show {unit} -p WatchdogUSec -p NoNewPrivileges -p ProtectSystem -p User"
    )
    assert "WatchdogUSec=2min" in shown
    assert "NoNewPrivileges=yes" in shown
    assert "ProtectSystem=strict" in shown
    site.machine.run(f"systemd-analyze security --no-pager --threshold=15 {unit}")


def test_memory_of_the_installed_services(site: Site) -> None:
    """Bytecode came compiled: PSS of both, as the kernel counts it."""
    for unit, most in (("forewarn-agent", 36), ("forewarn-collector", 400)):
        pss = site.machine.run(f"awk '/^Pss:/ {{print $2}}' /proc/{site.pid(unit)}/smaps_rollup")
        print(f"\n{unit}: PSS {int(pss) / 1024:.1f} MB")
        assert int(pss) / 1024 <= most


def test_both_come_back_after_a_reboot(site: Site) -> None:
    """And the host is heard of again."""
    site.machine.power_off()
    site.timed("reboot until the collector answers", site.boot)
    site.wait("systemctl is-active forewarn-agent", 30)
    site.wait(SENT, 60)


def test_both_doctors_are_content(site: Site) -> None:
    """On a fresh installation nothing is in trouble."""
    for command in (
        f"forewarn-agent doctor --dir {AGENT}",
        f"forewarn-collector doctor --dir {STATE}",
    ):
        code, told = site.machine.told(command)
        print("\n" + told)
        assert code == 0


def test_behind_nginx_signatures_hold_and_only_it_names_clients(site: Site) -> None:
    """TLS ends at nginx: batches go on, and a client cannot name itself another address."""
    shutil.copy(ROOT / "docs/examples/nginx.conf", site.tree / "etc/nginx/conf.d/forewarn.conf")
    settings = site.tree / "var/lib/forewarn/collector.toml"
    direct = settings.read_text()
    moved = direct.replace('"0.0.0.0:8440"', '"127.0.0.1:18440"')
    moved = moved.replace('"127.0.0.1:8441"', '"127.0.0.1:18441"')
    settings.write_text(f'{moved}\n[proxy]\naddresses = ["127.0.0.1"]\nplain_http = true\n')
    site.machine.run("rm -f /etc/nginx/sites-enabled/default")
    site.machine.run("systemctl restart forewarn-collector && nginx -t && nginx")
    try:
        site.machine.run("curl -fsSk https://localhost:8441/readyz")
        received = f"forewarn-agent status --json --dir {AGENT} | grep received_at"
        before = site.machine.run(received).strip()
        site.wait(f"{received} | grep -vF '{before}'", 90)
        site.machine.run(
            "curl -sSk --interface 127.0.0.5 -H 'X-Forwarded-For: 6.6.6.6' "
            "-d '{}' https://localhost:8440/v1/enrol"
        )
        told = site.machine.run("journalctl -u forewarn-collector -b --no-pager | tail -40")
        assert "127.0.0.5" in told
        assert "6.6.6.6" not in told
    finally:
        site.machine.run("nginx -s stop; rm /etc/nginx/conf.d/forewarn.conf")
        settings.write_text(direct)
        site.machine.run("systemctl restart forewarn-collector")


def test_a_backup_of_the_running_collector_comes_back(site: Site) -> None:
    """The drill of the operating guide, word for word: back up, lose all, restore."""
    user = "sudo -u forewarn-collector forewarn-collector"
    site.machine.run("install -d -o forewarn-collector /var/backups/forewarn")
    told = site.machine.run(f"{user} backup /var/backups/forewarn/monday")
    print("\n" + told)
    site.machine.run(f"systemctl stop forewarn-collector && rm -rf {STATE}/* {STATE}/.[a-z]*")
    site.machine.run(f"{user} restore /var/backups/forewarn/monday")
    site.machine.run("systemctl start forewarn-collector")
    (host,) = items(site.ask("/hosts"))
    assert host["id"] == site.host
    assert site.readings()
    site.wait(SENT, 60)
    site.machine.run("rm -rf /var/backups/forewarn")


def test_again_with_a_new_release_upgrades_both(site: Site) -> None:
    """The same two commands; identity, hosts and logins stay, and the old release goes."""
    site.machine.power_off()
    site.machine = Machine(site.tree)  # the collector's packages come from an index
    site.boot()
    project = site.tree / CHECKOUT.removeprefix("/") / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.1.1"'))
    site.timed("collector upgraded", lambda: site.machine.run(f"{CHECKOUT}/install.sh collector"))
    site.timed("agent upgraded", lambda: site.machine.run(site.line))
    (host,) = items(site.ask("/hosts"))
    assert host["id"] == site.host
    assert '"version": "0.1.1"' in site.machine.run(
        f"forewarn-agent status --json --dir {AGENT} || true"
    )
    assert len(site.machine.run("ls -d /opt/forewarn/*-*").split()) == 2


def test_a_release_that_does_not_run_is_taken_back(site: Site) -> None:
    """Of the collector, with the state as it was; of the agent too."""
    source = site.tree / CHECKOUT.removeprefix("/")
    for broken, word in (
        ("collector/forewarn_collector/serve.py", "collector"),
        ("agent/forewarn_agent/main.py", "agent"),
    ):
        whole = (source / broken).read_text()
        (source / broken).write_text("raise SystemExit(9)\n")
        code, told = site.machine.told(f"{CHECKOUT}/install.sh {word} ")
        (source / broken).write_text(whole)
        assert (code, "before" in told) == (5, True), told
        site.wait(f"systemctl is-active forewarn-{word}", 30)
    (host,) = items(site.ask("/hosts"))
    assert host["id"] == site.host
    site.wait(SENT, 60)


def test_uninstall_leaves_nothing(site: Site) -> None:
    """Agent first, then the collector; users, units, folders: all gone."""
    fetched = site.line.partition("|")[0]
    site.timed("agent removed", lambda: site.machine.run(f"{fetched} | sh -s -- --uninstall"))
    assert site.machine.try_run("systemctl is-active forewarn-collector")
    site.machine.run(f"cd {CHECKOUT} && ./install.sh uninstall")
    assert not site.machine.try_run("getent passwd forewarn forewarn-collector")
    assert site.machine.run("ls /etc/systemd/system | grep forewarn || true").strip() == ""
    left = files_of(site.tree) - site.before
    ours = {path for path in left if not path.endswith("-")}  # passwd- and group- are useradd's
    assert ours == set()
