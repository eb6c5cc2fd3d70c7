"""Two machines with one identity are found out; a host that only changed is not suspected."""

from datetime import UTC, datetime, timedelta

import pytest

from forewarn_checks.base import Batch, Lane, Outcome, Run
from forewarn_collector.doubles import OVER, Answer, Double, Doubles, Machine
from forewarn_collector.newest import Newest
from forewarn_collector.samples import Arrival

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
TAKE, WAIT, RENEW, AWAY = Answer.TAKE, Answer.WAIT, Answer.RENEW, Answer.AWAY


class Office:
    """A collector's doubts, and a clock that machines tell their own time by."""

    def __init__(self) -> None:
        self.doubles = Doubles()
        self.seconds = 100_000.0

    def later(self, seconds: float = 60.0) -> None:
        """Let time go by."""
        self.seconds += seconds

    def hear(
        self,
        boot: str,
        spool: str,
        *,
        up_since: float = 0.0,
        address: str = "10.0.0.1",
        name: str = "",
        host: int = 1,
    ) -> Answer:
        """Send a batch of a machine that was booted at second `up_since`."""
        run = Run(
            sequence=1,
            check="uptime",
            started_at="2026-11-21T08:00:00Z",
            boot=boot,
            boottime_seconds=self.seconds - up_since,
            duration_seconds=0.1,
            outcome=Outcome.OK,
            facts={"hostname": name} if name else {},
        )
        batch = Batch(
            schema=1,
            host=f"h{host}",
            spool=spool,
            lane=Lane.LIVE,
            runs=(run,),
            sent_at="2026-11-21T08:00:00Z",
            sent_boot=boot,
            sent_boottime_seconds=self.seconds - up_since,
        )
        return self.doubles.heard(host, f"h{host}", batch, address, self.now)

    @property
    def now(self) -> datetime:
        """The collector's clock."""
        return NOW + timedelta(seconds=self.seconds)


def caught() -> Office:
    """Return an office where a clone was found: b2 has the spool s2, b1 went on with s1."""
    office = Office()
    for turn in range(8):
        office.hear("b1", "s1")
        office.later(30)
        copy = "s1" if turn == 0 else "s2"
        office.hear("b2", copy, up_since=50_000, address="10.0.0.2", name="web-2")
        office.later(30)
    return office


def test_a_clone_is_turned_away_and_nothing_of_it_is_taken() -> None:
    """The first is taken all the time; the copy is told to use a spool of its own, then to go."""
    office = Office()
    said = []
    for turn in range(5):
        first = office.hear("b1", "s1", name="web-1")
        office.later(30)
        copy = "s1" if turn == 0 else "s2"
        said.append((first, office.hear("b2", copy, up_since=50_000, address="10.0.0.2")))
        office.later(30)
    assert said == [(TAKE, RENEW), (TAKE, WAIT), (TAKE, AWAY), (TAKE, AWAY), (TAKE, AWAY)]


def test_the_finding_names_both() -> None:
    """With addresses, and names where they were said."""
    office = caught()
    told = office.doubles.finding("h1", office.now)
    assert told == ("host_cloned", {"kept": "10.0.0.1", "copy": "web-2 at 10.0.0.2"}, 1.0)


def test_a_copied_folder_on_the_same_kernel_is_found_by_its_spool() -> None:
    """Two containers share the name of the boot; a spool that goes and comes gives them away."""
    office = Office()
    said = []
    for _ in range(4):
        said.append(office.hear("b1", "s1"))
        office.later(30)
        said.append(office.hear("b1", "s2"))
        office.later(30)
    assert said == [TAKE, WAIT, TAKE, WAIT, TAKE, AWAY, TAKE, AWAY]


def test_the_kept_one_may_reboot_and_renumber_its_network() -> None:
    """It is known by its spool; the copy stays away whatever spool it comes with."""
    office = caught()
    assert office.hear("b3", "s1", up_since=office.seconds - 20, address="10.9.9.9") is TAKE
    assert office.hear("b2", "s9", up_since=50_000) is AWAY
    assert office.hear("b3", "s1", up_since=office.seconds - 20) is TAKE


def test_it_ends_by_itself_when_the_copy_is_gone() -> None:
    """Three hours later the finding is told as over, and the host is like any other."""
    office = caught()
    office.later(OVER.total_seconds() + 60)
    assert office.doubles.is_doubled("h1")
    assert office.hear("b1", "s1") is TAKE
    assert not office.doubles.is_doubled("h1")
    told = office.doubles.finding("h1", office.now)
    assert told is not None
    assert told[2] == 0.0


def test_settled_whoever_speaks_next_is_the_one() -> None:
    """An operator who knows better turns it round: stop one, settle, start the other."""
    office = caught()
    assert office.doubles.settle("h1", office.now)
    assert not office.doubles.settle("h1", office.now)
    office.later(600)
    assert office.hear("b2", "s2", up_since=50_000) is TAKE
    office.later()
    assert office.hear("b2", "s2", up_since=50_000) is TAKE


def test_what_was_found_outlives_a_restart() -> None:
    """The finding is all that is needed to go on."""
    double = Double(
        host_id="h1",
        kept=Machine("b1", "s1", "10.0.0.1"),
        copy=Machine("b2", "s2", "10.0.0.2"),
        found_at=NOW,
        heard_at=NOW + timedelta(seconds=100_000),
    )
    office = Office()
    office.doubles = Doubles({"h1": double})
    assert office.hear("b2", "s2") is AWAY
    assert office.hear("b1", "s1") is TAKE


@pytest.mark.parametrize("gap", [15.0, 120.0, 3600.0])
def test_a_reboot_is_taken_at_once(gap: float) -> None:
    """However short it was, and again and again."""
    office = Office()
    assert office.hear("b0", "s1") is TAKE
    for boot in ("b1", "b2", "b3"):
        office.later(gap)
        begun = office.seconds - gap / 2
        for _ in range(3):
            assert office.hear(boot, "s1", up_since=begun) is TAKE
            office.later(10)


def test_a_request_that_lingered_over_a_reboot_is_no_second_machine() -> None:
    """It arrives once, late, and holds nobody up for more than a few minutes."""
    office = Office()
    office.hear("b1", "s1")
    office.later(40)
    begun = office.seconds - 20
    assert office.hear("b2", "s1", up_since=begun) is TAKE
    office.later(5)
    office.hear("b1", "s1")
    said = set()
    for _ in range(20):
        office.later(45)
        said.add(office.hear("b2", "s1", up_since=begun))
    assert AWAY not in said
    assert office.hear("b2", "s1", up_since=begun) is TAKE


def test_an_emptied_spool_waits_three_minutes_and_no_more() -> None:
    """The same boot with a new spool: it could be a copy, until the old one stays silent."""
    office = Office()
    office.hear("b1", "s1")
    said = []
    for _ in range(5):
        office.later(45)
        said.append(office.hear("b1", "s2"))
    assert said == [WAIT, WAIT, WAIT, WAIT, TAKE]
    office.later()
    assert office.hear("b1", "s2") is TAKE


def test_a_backup_put_back_again_and_again_is_no_second_machine() -> None:
    """Each time the old spool returns, and the agent goes on as a new one."""
    office = Office()
    said = set()
    for turn in range(6):
        said.add(office.hear("b1", "old"))
        office.later(40)
        said.add(office.hear("b1", f"new-{turn}"))
        office.later(400)
        said.add(office.hear("b1", f"new-{turn}"))
        office.later(400)
    assert AWAY not in said


def test_a_machine_rolled_back_to_a_snapshot_in_memory_is_no_second_one() -> None:
    """The same boot goes on from an earlier moment of its clock; toggled many times, too."""
    office = Office()
    said = set()
    first, second = 0.0, 0.0  # how long each branch stood still
    for _ in range(10):
        for _ in range(3):
            said.add(office.hear("b1", "s1", up_since=first))
            office.later()
        second += 180
        for _ in range(3):
            said.add(office.hear("b2", "s2", up_since=50_000 + second))
            office.later()
        first += 180
    assert AWAY not in said


def test_a_suspended_machine_goes_on() -> None:
    """Its clock of the boot stood still or counted on: nobody else spoke meanwhile."""
    office = Office()
    office.hear("b1", "s1")
    office.later(8 * 3600)
    assert office.hear("b1", "s1", up_since=8 * 3600) is TAKE


def test_a_new_address_says_nothing() -> None:
    """Another lease, another network: the same boot and spool."""
    office = Office()
    for last in range(50):
        assert office.hear("b1", "s1", address=f"10.0.0.{last}") is TAKE
        office.later()


def test_boots_of_systems_without_a_name_for_them_may_wobble() -> None:
    """Their name is made of two clocks and jumps by one now and then."""
    office = Office()
    for turn in range(20):
        assert office.hear(f"boot-{29_000_000 + turn % 2}", "s1") is TAKE
        office.later()


def arrival(sequence: int) -> Arrival:
    """Return what a host's spool s1 has brought up to a sequence."""
    return Arrival(
        host=1, spool="s1", lane=Lane.LIVE, through=sequence, received=0, runs=(), shapes=[],
        times=[], values=[],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sequences", "boottime", "wrong"),
    [
        ((5, 6, 7), 70.0, False),
        ((5, 6, 7), 70.5, True),
        ((8, 9), 90.0, False),
        ((5, 6), 60.5, False),
    ],
    ids=["a repeat", "another run of its number", "newer ones", "the newest is not among them"],
)
def test_another_run_of_the_newest_number_is_no_repeat(
    sequences: tuple[int, ...], boottime: float, *, wrong: bool
) -> None:
    """Both sides numbered on from one copied spool."""
    newest = Newest()
    newest.note(arrival(7), 70.0)
    runs = tuple(
        Run(
            sequence=sequence, check="cpu", started_at="", boot="b", boottime_seconds=boottime,
            duration_seconds=0, outcome=Outcome.OK,
        )
        for sequence in sequences
    )  # fmt: skip
    batch = Batch(
        schema=1, host="h1", spool="s1", lane=Lane.LIVE, runs=runs, sent_at="", sent_boot="b",
        sent_boottime_seconds=100,
    )  # fmt: skip
    assert newest.contradicts(1, batch) is wrong
    assert not newest.contradicts(2, batch)
