"""Tell a run the collector should hear of at once from one that can wait for company."""

from forewarn_checks.base import Check, Run, Sample, State, Threshold

Marks = frozenset[tuple[str, tuple[tuple[str, str], ...]]]


def marks_passed(check: Check, run: Run) -> Marks:
    """Return every (rule, labels) whose mark a sample of `run` is at or past, by the defaults.

    Only a hint when to send: what the rules say here and now is the collector's to judge.
    """
    return frozenset(
        (rule.name, tuple(sorted(sample.labels.items())))
        for rule in check.rules
        if isinstance(rule, Threshold | State)
        for sample in run.samples
        if sample.metric == rule.metric.name and _is_past(rule, sample)
    )


def _is_past(rule: Threshold | State, sample: Sample) -> bool:
    if any(sample.labels.get(name) != value for name, value in rule.where.items()):
        return False
    if isinstance(rule, State):
        return sample.value == rule.when
    if rule.above is not None:
        return sample.value >= rule.above
    return rule.below is not None and sample.value <= rule.below
