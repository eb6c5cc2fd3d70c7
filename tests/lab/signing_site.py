"""A site whose operator has a signing key that one host's policy trusts, and how she uses it."""

import json
from pathlib import Path

from tests.lab.site import AGENT, CHECKOUT, TOKEN, Site, copy_checkout

PASSPHRASE = "a long passphrase of Ann"
KEY = "--key /root/ann.key --passphrase-stdin"


def prepared(tree: Path) -> Site:
    """Return a machine with the sources in it, not yet booted."""
    copy_checkout(tree)
    return Site(tree)


def install(site: Site, policy: str) -> None:
    """Install collector and agent, make Ann's key, and put her into keyring and policy.

    `policy` has ``{key}`` where the id of her key goes.
    """
    run = site.machine.run
    told = run(f"cd {CHECKOUT} && ./install.sh collector --url https://localhost:8440")
    site.password = told.strip().splitlines()[-1]
    *_, line, _string = run(TOKEN).splitlines()
    run(line)
    login = "forewarn login https://localhost:8441 --name admin --password-stdin"
    run(f"{login} --ca /var/lib/forewarn/ca.pem", given=site.password + "\n")
    given = PASSPHRASE + "\n"
    public = {}
    for name, file in (("ann", "/root/ann.key"), ("safe", "/root/safe.key")):
        told = run(f"forewarn keys new --name {name} --key {file} --passphrase-stdin", given=given)
        public[name] = dict(one.split(maxsplit=1) for one in told.strip().splitlines())
    collector = json.loads(run(f"cat {AGENT}/identity.json"))["collector_id"]
    ring = "/etc/forewarn/keyring.json"
    run("install -d -m 0755 /etc/forewarn")
    run(
        f"forewarn keys keyring --collector {collector} --file {ring}"
        f" --person ann={public['ann']['public']} --recovery {public['safe']['public']}"
    )
    run(f"forewarn keys sign {ring} {KEY}", given=given)
    run("cat > /etc/forewarn/policy.toml", given=policy.replace("{key}", public["ann"]["id"]))


def order(site: Site, script: str, *words: str) -> dict[str, object]:
    """Have Ann order a script, by name or path, for all of acme; return the one host's result."""
    command = f"forewarn run {script} --on client:acme --reason trial --yes --json {KEY}"
    told = site.machine.told(f"{command} {' '.join(words)} 2>/root/said <<'.'\n{PASSPHRASE}\n.")[1]
    assert "{" in told, site.machine.run("cat /root/said")
    found = json.loads(told)["results"]
    assert len(found) == 1, told
    result = found[0]
    assert isinstance(result, dict)
    return result
