"""Every kind of rule that can be judged, by the type of its declaration.

A new kind is a module with a KIND and its line here.
"""

from typing import Any

from forewarn_checks.base import Rule
from forewarn_collector.rules import absence, ahead, growth, state, threshold, wear
from forewarn_collector.rules.kind import RuleKind

KINDS: dict[type, RuleKind[Any]] = {
    kind.rule_type: kind
    for kind in (threshold.KIND, state.KIND, growth.KIND, ahead.KIND, wear.KIND, absence.KIND)
}


def kind_of(rule: Rule) -> RuleKind[Any]:
    """Return the kind of a rule.  Raises KeyError for one that cannot be judged yet."""
    return KINDS[type(rule)]
