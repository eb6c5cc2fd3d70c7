"""Probes in a network of their own: ping without root, packets that vanish, a resolver that hangs.

Needs root and iproute2.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(shutil.which("ip") is None, reason="apt-get install iproute2"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network of one's own needs root"),
]


def alone(scene: str) -> dict[str, object]:
    """Run `scene` where there is a loopback, a router that takes all and answers nothing."""
    begin = """
import encodings.idna, json, os, socket, subprocess, sys, time
from forewarn_checks import _icmp, dns, http, ping, tcp
def ip(*words): subprocess.run(["ip", *words], check=True)
ip("link", "set", "lo", "up")
ip("tuntap", "add", "void", "mode", "tap"); ip("link", "set", "void", "up")
ip("address", "add", "192.0.2.1/24", "dev", "void")
ip("neighbour", "add", "192.0.2.7", "lladdr", "02:00:00:00:00:01", "dev", "void")
def allow(text): open("/proc/sys/net/ipv4/ping_group_range", "w").write(text)
def nobody(): os.setgroups([]); os.setgid(65534); os.setuid(65534)
def look(check, options):
    began = time.monotonic()
    found = {" ".join([each.metric, *each.labels.values()]): each.value
             for each in check.CHECK.read_linux(options) if hasattr(each, "metric")}
    return {**found, "seconds": time.monotonic() - began}
told = {}
"""
    end = "\njson.dump(told, sys.stdout); sys.stdout.flush(); os._exit(0)\n"
    done = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, "-c", begin + scene + end],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def test_ping_sockets_need_no_root() -> None:
    """Where the sysctl lets the group; IPv6 too, and one that does not answer is lost."""
    told = alone("""
allow("0 2147483647"); nobody()
for host in ("127.0.0.1", "::1"):
    family, address = _icmp.resolve(host)
    told[host] = _icmp.by_socket(family, address).lost_ratio
told["away"] = look(ping, {"targets": ("192.0.2.7",)})
""")
    assert (told["127.0.0.1"], told["::1"]) == (0, 0)
    away = told["away"]
    assert isinstance(away, dict)
    assert away["ping_lost_ratio 192.0.2.7"] == 1
    assert away["seconds"] < 5


def test_without_a_ping_socket_the_kernel_says_so() -> None:
    """Then the program is used; here that is told by the error alone."""
    told = alone("""
allow("1 0"); nobody()
try:
    _icmp.by_socket(*_icmp.resolve("127.0.0.1"))
except PermissionError as error:
    told["refused"] = str(error)
""")
    assert "denied" in str(told["refused"])


def test_what_never_answers_ends_in_time() -> None:
    """Forty targets whose packets vanish, a name server that is gone: bounded, and told as such."""
    told = alone("""
many = tuple(f"t{n} = 192.0.2.7:{n + 1}" for n in range(40))
told["tcp"] = look(tcp, {"targets": many})
told["http"] = look(http, {"targets": ("a = https://192.0.2.7/", "b = http://192.0.2.7/")})
open("/tmp/forewarn-lab-resolv", "w").write("nameserver 192.0.2.7\\noptions timeout:30\\n")
subprocess.run(["mount", "--bind", "/tmp/forewarn-lab-resolv", "/etc/resolv.conf"], check=True)
told["dns"] = look(dns, {"names": ("a = x.acme.example", "b = x.acme.example at 192.0.2.7")})
told["again"] = look(dns, {"names": ("b = localhost", "a = x.acme.example")})
os.unlink("/tmp/forewarn-lab-resolv")
""")
    print({name: each["seconds"] for name, each in told.items() if isinstance(each, dict)})
    for name, limit in (("tcp", 27), ("http", 27), ("dns", 27), ("again", 27)):
        found = told[name]
        assert isinstance(found, dict)
        assert found["seconds"] < limit, name
        assert all(value == 0 for key, value in found.items() if key.endswith(" a"))
    tcp = told["tcp"]
    assert isinstance(tcp, dict)
    assert sum(key.startswith("tcp_open") for key in tcp) == 40
    again = told["again"]
    assert isinstance(again, dict)
    assert again["dns_resolved b"] == 1
    assert again["dns_resolved a"] == 0
    assert again["seconds"] < 3, "what hangs is not waited for again"
