"""How a manifest is read, and how words become the arguments that are signed."""

from datetime import timedelta

import pytest

from forewarn_scripts.manifest import BadArgument, BadManifest, Manifest, parse

TEXT = """
help = "Do a thing."
risk = "changes"
timeout = "5m"
[[arguments]]
name = "service"
kind = "word"
pattern = "[a-z]{1,9}"
help = "Which."
[[arguments]]
name = "days"
kind = "number"
least = 2
most = 30
default = "7"
help = "How old."
[[arguments]]
name = "yes"
kind = "flag"
help = "Really."
[[arguments]]
name = "kind"
kind = "choice"
choices = ["some", "all"]
default = "some"
help = "Which kind."
"""


def manifest() -> Manifest:
    return parse(TEXT)


def test_what_is_signed_names_every_value_in_one_order() -> None:
    """Defaults stand in it, flags come last, however the words were given."""
    argv = manifest().argv(["--yes", "--kind", "all", "--service=web"])
    assert argv == ("--service=web", "--days=7", "--kind=all", "--yes")
    assert manifest().argv(["--service", "web"]) == ("--service=web", "--days=7", "--kind=some")
    assert manifest().timeout == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--service must be given"),
        (["--service"], "needs a value"),
        (["--service=web", "--service=db"], "given twice"),
        (["--service=web", "--yes=no"], "takes no value"),
        (["--service=web", "--never"], "it takes --service, --days, --yes, --kind"),
        (["web"], "it takes --service"),
        (["--service=Web"], r"what matches \[a-z\]"),
        (["--service=web\n"], "what matches"),
        (["--service=web", "--days=1"], "2 to 30"),
        (["--service=web", "--days=31"], "2 to 30"),
        (["--service=web", "--days=٣"], "2 to 30"),
        (["--service=web", "--days=+3"], "2 to 30"),
        (["--service=web", "--kind=al"], "some, all"),
    ],
)
def test_a_word_that_is_not_taken_is_told_with_what_is(words: list[str], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        manifest().argv(words)


def test_a_policy_binds_what_is_given_and_leaves_the_rest_open() -> None:
    shapes = dict(manifest().shapes(["--service=web", "--yes"]))
    assert shapes == {
        "service": "--service=(?:web)",
        "days": "--days=(?:[0-9]{1,2})",
        "kind": "--kind=(?:some|all)",
        "yes": "--yes",
    }
    with pytest.raises(BadArgument):
        manifest().shapes(["--service=a b"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("risk", "risky"), "risk"),
        (('default = "7"', 'default = "70"'), "2 to 30"),
        (('pattern = "[a-z]{1,9}"', 'pattern = "["'), "no regular expression"),
        (('name = "yes"', 'name = "days"'), "declared twice"),
        (('kind = "flag"', 'kind = "switch"'), "flag"),
        (('name = "yes"', 'name = "Yes!"'), "pattern"),
        (("help", "helps"), "help"),
        (("[[", "[[["), "manifest.toml"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_where(change: tuple[str, str], said: str) -> None:
    with pytest.raises(BadManifest, match=said):
        parse(TEXT.replace(*change, 1) if change[0] != "risk" else TEXT.replace("changes", "risky"))
