"""The specifications of the default rules, one test a `[[tests]]` of the files beside this one."""

from pathlib import Path

import pytest

from forewarn_collector.rule_tests import Case, read
from forewarn_collector.rule_trial import run

CASES = [case for path in sorted(Path(__file__).parent.glob("*.toml")) for case in read(path, {})]


@pytest.mark.parametrize("case", CASES, ids=[f"{c.file.path.stem}: {c.test.name}" for c in CASES])
def test_default_rules(case: Case) -> None:
    assert [str(failure) for failure in run(case)] == []
