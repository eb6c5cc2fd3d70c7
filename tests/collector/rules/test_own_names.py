"""The collector's own metrics and rules beside those of checks."""

from forewarn_checks.base.catalog import all_checks, all_metrics
from forewarn_collector.rules.own import OWN_METRICS, OWN_RULES


def test_no_check_has_a_metric_or_a_rule_of_the_collectors_name() -> None:
    """Two under one name would be judged as one."""
    assert not {metric.name for metric in OWN_METRICS} & all_metrics().keys()
    declared = {rule.name for check in all_checks().values() for rule in check.rules}
    assert not {own.rule.name for own in OWN_RULES} & declared
