"""Disk forecasts on made histories: false episodes, fills found, hours of warning.

    python -m benchmarks.forecast [--seeds 60] [--json]

Each history is 35 days of readings every 5 minutes, judged every hour of the last 20 days by our
own rule (forecast, one hour held, six hours to clear) and by the rules others publish.  An episode
that no fill follows is false.  Of our dates it is told, too, how many of the intervals, which
promise 90 %, held the moment it was full.  Seeds are fixed; capacity is constant but in `resize`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forewarn_collector.rules.forecast import DAY, HOUR, Date, forecast

Column = NDArray[np.float64]
STEP = 300.0
DAYS = 35
JUDGED_FROM = 15 * DAY
AT: Column = np.arange(0, DAYS * DAY, STEP)


@dataclass(frozen=True, slots=True)
class History:
    """Used share over time; `full_at` is None when it never fills.

    `resized` are when the size changed, which our rule is told of and the others do not ask.
    """

    used: Column
    full_at: float | None = None
    resized: tuple[float, ...] = ()


def _noise(random: np.random.Generator, used: Column) -> Column:
    return np.clip(used + random.normal(0, 0.0005, len(used)), 0, 1)


def _saw(random: np.random.Generator, period: float, height: float) -> Column:
    phase = random.uniform(0, period)
    return height * (((AT + phase) % period) / period)


def flat(random: np.random.Generator) -> History:
    return History(_noise(random, np.full(len(AT), random.uniform(0.3, 0.85))))


def noise(random: np.random.Generator) -> History:
    walk = np.cumsum(random.normal(0, 0.0004, len(AT)))
    walk -= np.linspace(0, walk[-1], len(AT))
    return History(np.clip(random.uniform(0.3, 0.7) + walk, 0, 0.97))


def daily_sawtooth(random: np.random.Generator) -> History:
    return History(_noise(random, random.uniform(0.3, 0.7) + _saw(random, DAY, 0.15)))


def weekly_sawtooth(random: np.random.Generator) -> History:
    return History(_noise(random, random.uniform(0.3, 0.6) + _saw(random, 7 * DAY, 0.25)))


def step(random: np.random.Generator) -> History:
    used = np.full(len(AT), random.uniform(0.3, 0.6))
    used[random.uniform(17, 32) * DAY < AT] += random.uniform(0.1, 0.3)
    return History(_noise(random, used))


def nightly_burst(random: np.random.Generator) -> History:
    used = np.full(len(AT), random.uniform(0.3, 0.6))
    begin, length = random.uniform(0, 22) * HOUR, random.uniform(1, 3) * HOUR
    height = random.uniform(0.15, 0.35)
    inside = ((AT - begin) % DAY) / length
    used += np.where(inside < 1, height * inside, 0)
    return History(_noise(random, used))


def growth_that_stops(random: np.random.Generator) -> History:
    used = np.full(len(AT), random.uniform(0.3, 0.5))
    begin = random.uniform(16, 28) * DAY
    used += random.uniform(0.1, 0.3) * np.clip((AT - begin) / (4 * DAY), 0, 1)
    return History(_noise(random, used))


def log_rotation(random: np.random.Generator) -> History:
    used = random.uniform(0.4, 0.6) + _saw(random, DAY, 0.05) + _saw(random, 7 * DAY, 0.1)
    return History(_noise(random, used))


def resize(random: np.random.Generator) -> History:
    """A volume that grows by 1 % a day is made smaller, and a week later twice as large."""
    smaller = random.uniform(17, 25) * DAY
    larger = smaller + 7 * DAY
    used = random.uniform(0.2, 0.3) + 0.01 * AT / DAY
    used[smaller < AT] /= random.uniform(0.75, 0.9)
    used[larger < AT] /= 2
    return History(_noise(random, used), resized=(smaller, larger))


def gaps(random: np.random.Generator) -> History:
    history = daily_sawtooth(random)
    used = history.used.copy()
    for _ in range(8):
        begin = random.uniform(0, DAYS) * DAY
        used[(begin < AT) & (begin + random.uniform(1, 12) * HOUR > AT)] = np.nan
    return History(used)


def _fill(days: float, *, saw: bool) -> Callable[[np.random.Generator], History]:
    def make(random: np.random.Generator) -> History:
        base = np.full(len(AT), random.uniform(0.3, 0.5))
        if saw:
            base += _saw(random, DAY, 0.08)
        begin = random.uniform(15.5, 34 - days) * DAY
        rise = (1 - base[begin <= AT][0]) / (days * DAY)
        used = _noise(random, base + rise * np.clip(AT - begin, 0, None))
        full = AT[(used >= 0.9999) & (begin < AT)]
        return History(used, float(full[0]))

    return make


SCENARIOS: dict[str, Callable[[np.random.Generator], History]] = {
    "flat": flat,
    "noise": noise,
    "daily sawtooth": daily_sawtooth,
    "weekly sawtooth": weekly_sawtooth,
    "one-off step": step,
    "nightly burst": nightly_burst,
    "growth that stops": growth_that_stops,
    "log rotation": log_rotation,
    "resize": resize,
    "gaps": gaps,
    "fills in 12 h": _fill(0.5, saw=False),
    "fills in 3 d": _fill(3, saw=False),
    "fills in 10 d": _fill(10, saw=False),
    "fills in 10 d, sawtooth": _fill(10, saw=True),
    "fills in 20 d": _fill(18.4, saw=False),
}

Judge = Callable[[Column, Column, float, bool], bool]
"""Readings so far, the moment, and whether the rule fires: does it hold?"""


def ours(at: Column, used: Column, now: float, _firing: bool) -> bool:
    return isinstance(forecast(at, used, 1.0, now), Date)


def _line(at: Column, used: Column, now: float, window: float) -> tuple[float, float]:
    inside = at > now - window
    x, y = at[inside] - now, used[inside]
    if len(x) < 2:
        return 0.0, float(used[-1])
    slope, level = np.polyfit(x, y, 1)
    return float(slope), float(level)


def node_mixin(at: Column, used: Column, now: float, _firing: bool) -> bool:
    slope, level = _line(at, used, now, 6 * HOUR)
    return bool(used[-1] > 0.6 and level + slope * DAY > 1)


def one_hour_line(at: Column, used: Column, now: float, _firing: bool) -> bool:
    slope, level = _line(at, used, now, HOUR)
    return level + slope * DAY > 1


def weekly_line(at: Column, used: Column, now: float, _firing: bool) -> bool:
    slope, level = _line(at, used, now, 7 * DAY)
    return slope > 0 and (1 - level) / slope < 7 * DAY


def netdata(at: Column, used: Column, now: float, firing: bool) -> bool:
    """What is left, by what was lost since an hour ago: 8 hours raise, 48 clear."""
    then = used[(at >= now - HOUR) & (at <= now - 50 * 60)]
    if not len(then):
        return False
    rate = float(used[-1] - then.max()) / HOUR
    return rate > 0 and (1 - float(used[-1])) / rate < (48 if firing else 8) * HOUR


def checkmk(at: Column, used: Column, now: float, _firing: bool) -> bool:
    """The rate between readings, averaged with weights that halve every 24 hours: 48 left."""
    recent = at > now - 10 * DAY
    at, used = at[recent], used[recent]
    if len(at) < 2:
        return False
    weight = 0.5 ** ((now - at[1:]) / DAY) * np.diff(at)
    rate = float((np.diff(used) / np.diff(at) * weight).sum() / weight.sum())
    return rate > 0 and (1 - float(used[-1])) / rate < 48 * HOUR


def remotepower(at: Column, used: Column, now: float, _firing: bool) -> bool:
    """One reading a day on a line that fits (R² of 0.5), the slower of all and of a week: 7 d."""
    days = np.arange(now - int((now - at[0]) / DAY) * DAY, now + 1, DAY)[-30:]
    daily = used[np.searchsorted(at, days, "right") - 1]
    if len(days) < 7:
        return False
    slope, level = np.polyfit(days - now, daily, 1)
    off = daily - (slope * (days - now) + level)
    spread = float(((daily - daily.mean()) ** 2).sum())
    if spread == 0 or 1 - float((off**2).sum()) / spread < 0.5:
        return False
    pace = min(slope, np.polyfit(days[-7:], daily[-7:], 1)[0])
    return bool(pace > 0 and (1 - used[-1]) / pace < 7 * DAY)


RULES: dict[str, tuple[Judge, float, float]] = {
    # name: judge, seconds it must hold, seconds it must not hold to clear
    "ours": (ours, HOUR, 6 * HOUR),
    "node mixin, line over 6 h": (node_mixin, HOUR, 0),
    "line over 1 h": (one_hour_line, 0, 0),
    "netdata, 8 h": (netdata, 0, 0),
    "checkmk, 48 h": (checkmk, 0, 0),
    "remotepower, 7 d": (remotepower, 0, 0),
    "line over 7 d": (weekly_line, 0, 0),
}


@dataclass(frozen=True, slots=True)
class Episode:
    """From the hour it fired to the hour it cleared."""

    began: float
    ended: float


def episodes(history: History, judge: Judge, hold: float, clear: float) -> list[Episode]:
    """Judge every hour and return the episodes up to the moment it is full."""
    present = ~np.isnan(history.used)
    at, used = AT[present], history.used[present]
    found: list[Episode] = []
    began: float | None = None
    since: float | None = None
    quiet: float | None = None
    end = history.full_at or float(AT[-1])
    for now in np.arange(JUDGED_FROM, end, HOUR):
        upto = int(np.searchsorted(at, now, "right"))
        if now - at[upto - 1] > HOUR:
            continue  # no data is no evidence
        known = [moment for moment in history.resized if moment <= now] if judge is ours else []
        begin = int(np.searchsorted(at, max(known, default=0.0)))
        if begin < upto and judge(at[begin:upto], used[begin:upto], float(now), began is not None):
            quiet, since = None, now if since is None else since
            if began is None and now - since >= hold:
                began = float(now)
            continue
        since = None
        if began is None:
            continue
        quiet = now if quiet is None else quiet
        if now - quiet >= clear:
            found.append(Episode(began, float(now)))
            began = quiet = None
    if began is not None:
        found.append(Episode(began, end))
    return found


@dataclass(frozen=True, slots=True)
class Score:
    """Of one rule on one scenario."""

    false_episodes: float
    hosts_with_false: float
    found: int
    fills: int
    median_hours: float | None
    least_hours: float | None
    intervals_that_held: float | None = None


def score(name: str, rule: str, seeds: int) -> Score:
    """Run `seeds` histories of a scenario through a rule."""
    judge, hold, clear = RULES[rule]
    false = [0] * seeds
    warnings: list[float] = []
    fills = 0
    held: list[bool] = []
    for seed in range(seeds):
        history = SCENARIOS[name](np.random.default_rng([seed, *name.encode()]))
        seen = episodes(history, judge, hold, clear)
        if history.full_at is None:
            false[seed] = len(seen)
            continue
        fills += 1
        last = [e for e in seen if e.ended >= history.full_at]
        false[seed] = len(seen) - len(last)
        warnings += [(history.full_at - e.began) / HOUR for e in last]
        if rule == "ours":
            held += intervals_that_held(history.used, history.full_at)
    return Score(
        false_episodes=sum(false) / seeds,
        hosts_with_false=sum(map(bool, false)) / seeds,
        found=len(warnings),
        fills=fills,
        median_hours=float(np.median(warnings)) if warnings else None,
        least_hours=min(warnings) if warnings else None,
        intervals_that_held=float(np.mean(held)) if held else None,
    )


def intervals_that_held(used: Column, full_at: float) -> list[bool]:
    """Return of every third hour's date whether its interval held the moment it was full."""
    found = []
    for now in np.arange(JUDGED_FROM, full_at, 3 * HOUR):
        upto = int(np.searchsorted(AT, now, "right"))
        date = forecast(AT[:upto], used[:upto], 1.0, float(now))
        if isinstance(date, Date):
            left = full_at - now
            found.append(date.earliest - 2 * STEP <= left <= date.latest + 2 * STEP)
    return found


def main() -> int:
    """Print the table, or JSON by scenario and rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--rule", action="append", choices=list(RULES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rules = options.rule or list(RULES)
    table: dict[str, dict[str, dict[str, float | None]]] = {}
    for number, name in enumerate(SCENARIOS):
        print(f"\r{number + 1}/{len(SCENARIOS)} {name:<30}", end="", file=sys.stderr)
        table[name] = {}
        for rule in rules:
            found = score(name, rule, options.seeds)
            table[name][rule] = {f: getattr(found, f) for f in Score.__slots__}
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    if options.json:
        print(json.dumps(table, indent=2))
        return 0
    print(f"| scenario | {' | '.join(rules)} |\n| --- |{' --- |' * len(rules)}")
    for name, row in table.items():
        print(f"| {name} | {' | '.join(_cell(row[rule]) for rule in rules)} |")
    return 0


def _cell(found: dict[str, float | None]) -> str:
    false = f"{found['false_episodes']:.2f} false ({(found['hosts_with_false'] or 0):.0%})"
    held = found["intervals_that_held"]
    if not found["fills"]:
        return false
    if found["median_hours"] is None:
        return f"0/{found['fills']} found, {false}"
    return (
        f"{found['found']}/{found['fills']}, {found['median_hours']:.0f} h"
        f" (least {found['least_hours']:.0f}), {false}"
        + ("" if held is None else f", intervals held {held:.0%}")
    )


if __name__ == "__main__":
    sys.exit(main())
