"""What every script of the library promises, whichever it is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.scripts.library.stage import Stage

from forewarn_collector.rules.book import declared
from forewarn_scripts import library
from forewarn_scripts.library import EXITS, LibraryScript
from forewarn_scripts.manifest import BadArgument, Choice, Flag, Number, Risk, Word
from forewarn_scripts.order import MOST_SCRIPT_BYTES
from forewarn_scripts.policy import parse as parse_policy

SCRIPTS = tuple(library.all_scripts().values())
BODIES = [
    pytest.param(script, system, id=f"{script.name}-{system}")
    for script in SCRIPTS
    for system in script.bodies
]
LINUX = [pytest.param(one, id=one.name) for one in SCRIPTS if "linux" in one.bodies]
WINDOWS = [pytest.param(one, id=one.name) for one in SCRIPTS if "windows" in one.bodies]
VALUED = [
    pytest.param(script, one.name, id=f"{script.name}-{one.name}")
    for script in SCRIPTS
    for one in script.manifest.arguments
    if not isinstance(one, Flag)
]
HOSTILE = (
    "",
    " ",
    "-",
    "--",
    "-rf",
    "--help",
    "$(touch hacked)",
    "`touch hacked`",
    "a;touch hacked",
    "a|touch hacked",
    "a&touch hacked",
    "a\ntouch hacked",
    "a\rtouch hacked",
    "a'touch hacked'",
    'a"touch hacked"',
    "$HOME",
    "${IFS}touch${IFS}hacked",
    "*",
    "/tmp/*",
    "~",
    "../../etc/passwd",
    "a\\b",
    "a\x00b",
    "a\x1b[31m",
    "\u202eabc",
    "٣",  # a digit, but none of ours
    "１",
    "9" * 40,
    "a" * 5000,
    "/" + "a" * 5000,
    "<a>",
    "%s%n",
    "a b\tc",
)


def refused(script: LibraryScript, name: str) -> list[str]:
    """Return the hostile values that the manifest does not take for an argument."""
    argument = next(one for one in script.manifest.arguments if one.name == name)
    assert not isinstance(argument, Flag)
    return [value for value in HOSTILE if argument.refuses(value)]


def valued(script: LibraryScript) -> list[Word | Number | Choice]:
    return [one for one in script.manifest.arguments if not isinstance(one, Flag)]


@pytest.mark.parametrize("script", [pytest.param(one, id=one.name) for one in SCRIPTS])
def test_a_manifest_says_what_people_need(script: LibraryScript) -> None:
    """It is for some system, helps with rules that exist, and has a test of its own."""
    assert script.bodies
    rules = {one.booked.rule.name for one in declared()}
    assert set(script.manifest.helps_with) <= rules
    own = Path(__file__).with_name(f"test_{script.name.replace('-', '_')}.py")
    assert own.is_file(), f"write {own.name}"
    if any(one.name == "yes" for one in script.manifest.arguments):
        assert script.manifest.risk is not Risk.LOOKS


@pytest.mark.parametrize(("script", "system"), BODIES)
def test_a_body_is_plain_short_text_whose_exit_codes_are_known(
    script: LibraryScript, system: str
) -> None:
    """ASCII, since Windows PowerShell reads anything else by the code page of the host."""
    body = script.body(system).script
    assert len(body) <= MOST_SCRIPT_BYTES
    text = body.decode("ascii")
    assert "\r" not in text
    codes = {int(code) for code in re.findall(r"\bexit ([0-9]+)", text)}
    assert codes <= set(EXITS), codes
    assert not re.search(r"\beval\b|Invoke-Expression|\biex\b|\bsudo\b|curl|wget|Invoke-Web", text)
    if system == "linux":
        assert text.startswith("#!/bin/sh\n")
        assert "\nset -euf\n" in text or "\nset -uf\n" in text


@pytest.mark.parametrize(("script", "system"), BODIES)
def test_a_policy_entry_takes_what_a_person_orders_and_nothing_hostile(
    script: LibraryScript, system: str
) -> None:
    """What `forewarn scripts policy` prints is a policy, and grants the plain call."""
    flags = [f"--{one.name}" for one in script.manifest.arguments if isinstance(one, Flag)]
    body = script.body("linux")
    shapes = script.manifest.shapes(flags)
    lines = [f"{{ name = \"{name}\", pattern = '{pattern}' }}," for name, pattern in shapes]
    head = f'mode = "allowlist"\n[[allow]]\nname = "{script.name}"\nsha256 = "{body.sha256}"\n'
    head += f'interpreter = "{body.interpreter}"\nrun_as = "root"\nargs = [\n'
    (entry,) = parse_policy(head + "\n".join(lines) + "\n]").allow
    given = [f"--{one.name}=sshd" for one in valued(script) if one.default is None]
    argv = script.manifest.argv([*given, *flags])
    assert entry.takes(argv)
    for number, one in enumerate(valued(script)):
        for value in refused(script, one.name):
            if isinstance(one, Number) and value.isascii() and value.isdigit():
                continue  # bounds are the body's to check
            changed = list(argv)
            changed[number] = f"--{one.name}={value}"
            assert not entry.takes(tuple(changed)), value


@pytest.mark.parametrize("script", [pytest.param(one, id=one.name) for one in SCRIPTS])
def test_hostile_values_are_refused_before_anything_is_signed(script: LibraryScript) -> None:
    """Of some forms a few are harmless and taken: `abc` of a name, a dot of a path."""
    for one in valued(script):
        taken = set(HOSTILE) - set(refused(script, one.name))
        assert all(re.fullmatch(r"[A-Za-z0-9 .,!?()/@_-]{1,250}", value) for value in taken), taken
        needed = [f"--{n.name}=sshd" for n in valued(script) if n.default is None and n != one]
        for value in refused(script, one.name):
            with pytest.raises(BadArgument):
                script.manifest.argv([*needed, f"--{one.name}={value}"])


@pytest.mark.parametrize("script", LINUX)
def test_a_body_refuses_what_its_manifest_refuses(script: LibraryScript, stage: Stage) -> None:
    """An order can be signed without the manifest; then the body itself is the last to look."""
    needed = [f"--{one.name}=sshd" for one in valued(script) if one.default is None]
    plain = script.manifest.argv(needed)
    for value in (word for word in HOSTILE if "\x00" not in word):
        ran = stage.run(script.name, *plain, value)
        assert (ran.code, "nothing was done" in ran.output) == (64, True), (value, ran)
    for number, one in enumerate(valued(script)):
        for value in (word for word in refused(script, one.name) if "\x00" not in word):
            words = [*plain]
            words[number] = f"--{one.name}={value}"
            ran = stage.run(script.name, *words)
            assert (ran.code, "nothing was done" in ran.output) == (64, True), (value, ran)
    assert stage.calls() == []
    assert not list(stage.folder.rglob("hacked"))


# What Linux alone refuses: units that are no services, and the letters of Windows.
ONLY_ELSEWHERE = {
    "service": r"forewarn-helper.*"
    r"|.*\.(target|socket|mount|automount|swap|device|slice|scope|timer|path)",
    "filesystem": "[A-Z]",
}


@pytest.mark.parametrize(("script", "name"), VALUED)
@given(data=st.data())
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_body_takes_what_its_manifest_takes(
    script: LibraryScript, name: str, stage: Stage, data: st.DataObject
) -> None:
    """Two languages say the same of a value."""
    stage.play("find", "exit 0")  # it would go through all of /tmp
    (one,) = [one for one in valued(script) if one.name == name]
    if isinstance(one, Number):
        value = str(data.draw(st.integers(one.least, one.most) | st.sampled_from([one.most])))
    else:
        value = data.draw(
            st.from_regex(one.shape(), fullmatch=True).filter(lambda v: "\n" not in v)
        )
    needed = [f"--{n.name}=sshd" for n in valued(script) if n.default is None and n != one]
    ran = stage.run(script.name, *script.manifest.argv([*needed, f"--{name}={value}"]))
    assert ran.code in set(EXITS), ran
    refuses = re.fullmatch(ONLY_ELSEWHERE.get(name, "(?!)"), value) is not None
    assert (ran.code == 64) is refuses, (value, ran)


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_every_shell_that_calls_itself_sh_reads_the_bodies(shell: str, tmp_path: Path) -> None:
    program, *words = shell.split()
    if shutil.which(program) is None:
        pytest.skip(f"apt-get install {program}")
    for script in SCRIPTS:
        body = tmp_path / f"{script.name}.sh"
        body.write_bytes(script.body("linux").script)
        subprocess.run([program, *words, "-n", body], check=True)


@pytest.mark.parametrize("script", LINUX)
def test_shellcheck_finds_nothing(script: LibraryScript, tmp_path: Path) -> None:
    """Unquoted words above all."""
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("apt-get install shellcheck")
    body = tmp_path / "body.sh"
    body.write_bytes(script.body("linux").script)
    done = subprocess.run(
        [shellcheck, "--shell=sh", "--norc", body], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", WINDOWS)
def test_a_windows_body_is_powershell(script: LibraryScript) -> None:
    """Parsed by a grammar; nothing here can run it."""
    tree_sitter = pytest.importorskip("tree_sitter", reason="pip install tree-sitter")
    grammar = pytest.importorskip("tree_sitter_powershell", reason="pip install it")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    tree = parser.parse(script.body("windows").script)
    assert not tree.root_node.has_error
    assert parser.parse(b"if ($x { 1 }\n").root_node.has_error


@pytest.mark.parametrize("script", WINDOWS)
def test_a_windows_body_looks_at_every_word_it_is_given(script: LibraryScript) -> None:
    """Each is held against the whole of a form, in one case; all else ends with 64."""
    text = script.body("windows").script.decode()
    assert "foreach ($word in $args)" in text
    assert 'Write-Output "not taken: $word; nothing was done"; exit 64' in text
    assert len(re.findall(r"\$args\b", text)) == 1
    for one in script.manifest.arguments:
        if isinstance(one, Flag):
            assert f"$word -ceq '--{one.name}'" in text
        else:
            (form,) = re.findall(rf"\$word -cmatch '\\A--{one.name}=\((.*)\)\\z'", text)
            argument = re.compile(form)
            for value in HOSTILE:
                assert argument.fullmatch(value) is None or not one.refuses(value), value
