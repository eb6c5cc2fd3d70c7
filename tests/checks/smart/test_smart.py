"""From smartctl's answer to samples, and every way of getting no answer."""

import json
import logging
import os
import random
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from forewarn_checks import smart
from forewarn_checks._process import Done, execute
from forewarn_checks._smart_drives import ask, ask_all
from forewarn_checks._smart_health import Health
from forewarn_checks._smartctl import Device, Smartctl, devices, find
from forewarn_checks.base import CannotRead, Fact, NothingToRead, Options, Reading, Sample
from forewarn_checks.linux.drives import Drive as KnownDrive

CASES = Path(__file__).parent / "cases"
SCAN = json.dumps(
    {
        "devices": [
            {"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
            {"name": "/dev/nvme0", "type": "nvme", "protocol": "NVMe"},
        ]
    }
)

needs_shell = pytest.mark.skipif(
    not Path("/bin/sh").exists(), reason="a shell script stands in for smartctl"
)


class Fake:
    """A smartctl that answers from a table by the last word of its argv, and writes all down."""

    def __init__(self, answers: dict[str, Done | str], scan: str = SCAN) -> None:
        self.answers = answers
        self.scan = scan
        self.calls: list[list[str]] = []

    def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Done:
        self.calls.append(list(argv))
        if any(word.startswith("--scan") for word in argv):
            return Done(self.scan, 0)
        answer = self.answers[argv[-1]]
        return answer if isinstance(answer, Done) else Done(answer, 0)


def case(name: str) -> str:
    found = [*(CASES / name).glob("answer.*")]
    return found[0].read_text(encoding="utf-8")


def read(
    fake: Fake, options: Options | None = None, known: Sequence[KnownDrive] = ()
) -> tuple[list[Reading], str]:
    """Return what the check yielded before it ended, and the text it ended with."""
    shown = {drive.name: drive for drive in known}
    got: list[Reading] = []
    try:
        for reading in smart.read_through("smartctl", options or {}, fake, shown):
            got.append(reading)
    except (CannotRead, NothingToRead) as trouble:
        return got, f"{type(trouble).__name__}: {trouble}"
    return got, ""


def samples(readings: Sequence[Reading]) -> list[Sample]:
    """Return what was measured; that a drive was read, or why not, is asked for by `blind`."""
    return [one for one in readings if isinstance(one, Sample) and one.metric != "smart_blind"]


def blind(readings: Sequence[Reading]) -> dict[str, str]:
    """Return by drive why it could not be read, "none" for one that was."""
    told = [one for one in readings if isinstance(one, Sample) and one.metric == "smart_blind"]
    assert all(one.value == (one.labels["reason"] != "none") for one in told)
    return {one.labels["drive"]: one.labels["reason"] for one in told}


def drives_fact(readings: Sequence[Reading]) -> list[dict[str, object]]:
    for reading in readings:
        if isinstance(reading, Fact) and reading.name == "drives":
            assert isinstance(reading.value, list)
            return [dict(row) for row in reading.value if isinstance(row, dict)]
    return []


@pytest.mark.parametrize("folder", sorted(CASES.iterdir()), ids=lambda folder: folder.name)
def test_a_recording_gives_exactly_the_expected_values(folder: Path) -> None:
    """What is not expected is not there: unknown stays missing."""
    expected = json.loads((folder / "expected.json").read_text())
    got = ask(Smartctl("smartctl", run=Fake({"/dev/x": case(folder.name)})), Device("/dev/x"))
    values = smart.samples(got)
    assert {sample.metric: sample.value for sample in values} == pytest.approx(expected["values"])
    assert all(sample.labels == expected["labels"] for sample in values)


@pytest.mark.parametrize(
    "path", sorted(CASES.with_name("refused").iterdir()), ids=lambda path: path.stem
)
def test_a_recorded_refusal_ends_in_the_state_its_name_says(path: Path) -> None:
    """Recorded with smartctl 7.3 on QEMU's drives, as root and as nobody."""
    text = path.read_text("utf-8")
    status = json.loads(text)["smartctl"]["exit_status"]
    got = ask(Smartctl("smartctl", run=Fake({"/dev/x": Done(text, status)})), Device("/dev/x"))
    assert got.state == path.stem.rpartition("_")[2]
    assert list(smart.samples(got)) == []


def test_a_recorded_scan_without_rights_asks_no_drive() -> None:
    scan = CASES.with_name("scan_without_rights.json").read_text("utf-8")
    fake = Fake({}, scan)
    got, end = read(fake)
    assert len(fake.calls) == 1
    assert [row["state"] for row in drives_fact(got)] == ["denied"] * 4
    assert "and 1 more; run the agent as root" in end


def test_every_number_of_a_drive_is_a_declared_metric() -> None:
    """A field of Health without its metric would be read and then lost."""
    assert {f"smart_{name}" for name in Health.__slots__} == {m.name for m in smart.METRICS}


def test_one_process_a_drive_and_a_sleeping_one_is_never_woken() -> None:
    fake = Fake({"/dev/sda": case("sata_hdd_healthy"), "/dev/nvme0": case("nvme_healthy")})
    got, end = read(fake)
    assert end == ""
    assert len(fake.calls) == 3  # a scan, and one for each
    assert all("standby,3" in call for call in fake.calls)
    assert {sample.labels["drive"] for sample in samples(got)} == {"HD0001", "NV0001"}


def test_sas_disks_are_asked_twice_at_most() -> None:
    """The power-on time of some SAS disks stands only in the background scan log."""
    log = "Background scan results log\n    Accumulated power on time, hours:minutes 50:30\n"

    class Sas(Fake):
        def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Done:
            done = super().__call__(argv, timeout_seconds)
            return Done(log, 0) if "background" in argv else done

    scan = json.dumps({"devices": [{"name": "/dev/sdd", "type": "scsi", "protocol": "SCSI"}]})
    fake = Sas({"/dev/sdd": case("text_sas")}, scan)
    read(fake)
    assert len(fake.calls) == 3
    assert all("standby,3" in call for call in fake.calls)


def test_a_sleeping_drive_is_left_alone_and_is_no_failure() -> None:
    asleep = Done("Device is in STANDBY mode, exit(3)\n", 3)
    fake = Fake({"/dev/sda": asleep, "/dev/nvme0": case("nvme_healthy")})
    got, end = read(fake)
    assert end == ""
    assert [row["state"] for row in drives_fact(got)] == ["asleep", "ok"]
    assert len(fake.calls) == 3


def test_a_killed_smartctl_fails_the_run_and_keeps_the_other_drives() -> None:
    fake = Fake({"/dev/sda": Done("", None), "/dev/nvme0": case("nvme_healthy")})
    got, end = read(fake)
    assert samples(got)
    assert end.startswith("CannotRead")
    assert "/dev/sda (smartctl was killed: no answer in time)" in end


def test_many_drives_that_hang_are_not_all_waited_for() -> None:
    """However many there are, the check ends before its reader is given up."""
    moments = iter(range(0, 10_000, 20))
    fake = Fake(
        {"/dev/nvme0": case("nvme_healthy")} | {f"/dev/sd{n}": Done("", None) for n in range(9)}
    )
    found = [Device(name) for name in fake.answers]
    drives = ask_all(Smartctl("smartctl", run=fake), found, clock=lambda: float(next(moments)))
    assert len(drives) == 10
    assert len(fake.calls) == 3
    assert sum("not asked" in drive.detail for drive in drives) == 7


@pytest.mark.parametrize(
    "complaint",
    [
        "Smartctl open device: /dev/sda failed: Permission denied",
        "Smartctl open device: /dev/sda failed: \\\\.\\PhysicalDrive0: Open failed, Error=5",
    ],
)
def test_without_rights_the_text_says_what_to_grant(complaint: str) -> None:
    said = {"smartctl": {"messages": [{"string": complaint, "severity": "error"}]}}
    fake = Fake({"/dev/sda": json.dumps(said), "/dev/nvme0": json.dumps(said)})
    got, end = read(fake)
    assert not samples(got)
    assert end.startswith("CannotRead")
    assert "run the agent as root" in end


def test_a_scan_that_may_not_open_a_drive_says_so_too() -> None:
    scan = (
        "# /dev/sda -d sat # /dev/sda [SAT], ATA device open failed: Permission denied\n"
        "/dev/nvme0 -d nvme # /dev/nvme0, NVMe device\n"
    )
    fake = Fake({"/dev/nvme0": case("nvme_healthy")}, scan)
    got, end = read(fake)
    assert samples(got)
    assert "/dev/sda (Permission denied)" in end


def test_no_drive_is_nothing_and_not_a_failure() -> None:
    _, end = read(Fake({}, "{}"))
    assert end.startswith("NothingToRead")


def test_drives_without_smart_are_nothing_and_say_how_to_name_their_type() -> None:
    said = '{"smartctl": {"messages": [{"string": "/dev/sda: Unknown USB bridge [0x46f4]"}]}}'
    _, end = read(Fake({"/dev/sda": said, "/dev/nvme0": said}))
    assert end.startswith("NothingToRead")
    assert "Unknown USB bridge" in end
    assert "[checks.smart.options]" in end


@pytest.mark.parametrize("rubbish", ["", "{", '{"a": ', "[]", "\x00\xff", "Segmentation fault"])
def test_rubbish_is_a_failure_that_names_the_drive(rubbish: str) -> None:
    got, end = read(Fake({"/dev/sda": rubbish, "/dev/nvme0": case("nvme_healthy")}))
    assert end.startswith("CannotRead")
    assert "/dev/sda" in end
    assert {sample.labels["drive"] for sample in samples(got)} == {"NV0001"}


def test_a_smartctl_from_before_json_is_asked_again_in_its_own_words() -> None:
    class Old(Fake):
        def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Done:
            if any("-j" in word for word in argv):
                self.calls.append(list(argv))
                return Done("=======> UNRECOGNIZED OPTION: json=o\n", 1)
            return super().__call__(argv, timeout_seconds)

    fake = Old(
        {"/dev/sda": case("text_sata_long")}, "/dev/sda -d sat # /dev/sda [SAT], ATA device\n"
    )
    got, end = read(fake)
    assert end == ""
    assert {sample.labels["drive"] for sample in samples(got)} == {"HD 0009"}


def test_the_real_device_type_goes_to_smartctl_whatever_pysmart_knows() -> None:
    scan = '{"devices": [{"name": "/dev/sda", "type": "usbjmicron,x", "protocol": "ATA"}]}'
    fake = Fake({"/dev/sda": case("text_sata_long")}, scan)
    got, _ = read(fake)
    assert samples(got)
    assert fake.calls[-1][-3:] == ["-d", "usbjmicron,x", "/dev/sda"]


def test_two_paths_to_one_drive_are_one_drive() -> None:
    fake = Fake({"/dev/sda": case("nvme_healthy"), "/dev/nvme0": case("nvme_healthy")})
    got, _ = read(fake)
    assert len(drives_fact(got)) == 1
    assert len({(s.metric, *s.labels.values()) for s in samples(got)}) == len(samples(got))


def test_a_drive_named_in_the_options_is_asked_as_named() -> None:
    fake = Fake({"/dev/sdx": case("sas_hdd")}, "{}")
    got, end = read(fake, {"devices": ("/dev/sdx -d megaraid,3",)})
    assert end == ""
    assert samples(got)
    assert fake.calls[-1][-3:] == ["-d", "megaraid,3", "/dev/sdx"]


def test_reading_leaves_logging_and_language_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Importing pySMART replaces the class of all loggers and sets LANG."""
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    before = logging.getLoggerClass()
    for module in [name for name in sys.modules if name.partition(".")[0] == "pySMART"]:
        monkeypatch.delitem(sys.modules, module)
    read(Fake({"/dev/sda": case("text_sata_long"), "/dev/nvme0": case("text_nvme_locale")}))
    assert logging.getLoggerClass() is before
    assert os.environ["LANG"] == "de_DE.UTF-8"


def test_scans_as_json_and_as_text_list_the_same() -> None:
    text = (
        "/dev/sda -d sat # /dev/sda [SAT], ATA device\n"
        "/dev/bus/0 -d sat+megaraid,6 # /dev/bus/0 [megaraid_disk_06] [SAT], ATA device\n"
        "# scan_smart_devices: glob(3) aborted matching pattern /dev/sd[a-z]\n"
    )
    assert devices(text) == (
        Device("/dev/sda", "sat", "ATA"),
        Device("/dev/bus/0", "sat+megaraid,6", "ATA"),
    )


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """A real executable in the place of smartctl."""
    path = tmp_path / "smartctl"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    yield path


@needs_shell
def test_a_smartctl_that_hangs_is_killed(program: Path) -> None:
    assert execute([str(program)], 0.05) == Done("", None)


@needs_shell
def test_a_real_process_is_read_without_input_and_in_english(program: Path) -> None:
    program.write_text('#!/bin/sh\nread line\necho "$LC_ALL [$line]"\nexit 4\n')
    assert execute([str(program)], 10) == Done("C []\n", 4)


def test_no_smartctl_is_nothing_and_names_the_package(tmp_path: Path) -> None:
    assert find(str(tmp_path / "smartctl")) is None
    with pytest.raises(NothingToRead, match="install smartmontools"):
        list(smart.read({"smartctl": str(tmp_path / "smartctl")}))


def test_a_smartctl_that_cannot_start_names_itself(tmp_path: Path) -> None:
    (tmp_path / "smartctl").write_text("no program")
    with pytest.raises(CannotRead, match="cannot be started"):
        list(smart.read({"smartctl": str(tmp_path / "smartctl")}))


SDA = KnownDrive("sda", "WDC WD40EFRX", "WD-WCC7K", 4 * 10**12, True)
GUEST = KnownDrive("sdb", "QEMU HARDDISK", "QM00001", 10**9, True)
VIRTIO = KnownDrive("vda", "", "x", 10**9, False)


def test_a_drive_that_was_read_is_not_blind_and_a_sleeping_one_is_neither() -> None:
    asleep = Done("Device is in STANDBY mode, exit(3)\n", 3)
    got, _ = read(Fake({"/dev/sda": asleep, "/dev/nvme0": case("nvme_healthy")}))
    assert blind(got) == {"NV0001": "none"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"smartctl": {"messages": [{"string": "open failed: Permission denied"}]}}', "denied"),
        (Done("", None), "timed out"),
        ("rubbish", "unreadable"),
    ],
)
def test_a_blind_drive_keeps_the_name_it_had_while_it_spoke(
    answer: Done | str, reason: str
) -> None:
    """Its serial is known to the system although it does not answer."""
    fake = Fake({"/dev/sda": answer, "/dev/nvme0": case("nvme_healthy")})
    got, _ = read(fake, known=[SDA])
    assert blind(got) == {"WD-WCC7K": reason, "NV0001": "none"}


def test_a_usb_bridge_is_blind_where_it_holds_a_fixed_drive() -> None:
    """A stick comes and goes with its user, and an unsupported virtual disk has nothing to say."""
    bridge = '{"smartctl": {"messages": [{"string": "/dev/sda: Unknown USB bridge [0x46f4]"}]}}'
    none = '{"smartctl": {"messages": [{"string": "Unable to detect device type"}]}}'
    got, _ = read(Fake({"/dev/sda": bridge, "/dev/nvme0": none}), known=[SDA])
    assert blind(got) == {"WD-WCC7K": "unsupported"}
    got, _ = read(Fake({"/dev/sda": bridge, "/dev/nvme0": none}))
    assert blind(got) == {}


def test_a_guest_that_may_not_open_its_volumes_misses_nothing() -> None:
    """They have no health of their own: neither a failed check nor a ticket a guest."""
    denied = '{"smartctl": {"messages": [{"string": "open failed: Permission denied"}]}}'
    fake = Fake({"/dev/sda": denied, "/dev/nvme0": denied})
    known = [replace(GUEST, name="sda"), replace(GUEST, name="nvme0n1", model="QEMU NVMe Ctrl")]
    got, end = read(fake, known=known)
    assert (
        end
        == "NothingToRead: no drive with SMART, only volumes of a hypervisor or a storage network"
    )
    assert blind(got) == {}
    got, end = read(fake, known=[*known[:1], replace(SDA, name="nvme0n1")])
    assert end.startswith("CannotRead")
    assert blind(got) == {"WD-WCC7K": "denied"}


def test_drives_behind_one_controller_are_told_apart_when_none_answers() -> None:
    scan = json.dumps(
        {
            "devices": [
                {"name": "/dev/bus/0", "type": f"sat+megaraid,{slot}", "protocol": "ATA"}
                for slot in (3, 4)
            ]
        }
    )
    got, _ = read(Fake({"/dev/bus/0": Done("", None)}, scan))
    assert blind(got) == {
        "/dev/bus/0 megaraid,3": "timed out",
        "/dev/bus/0 megaraid,4": "timed out",
    }


def test_a_scan_that_fails_blinds_every_drive_that_ought_to_speak() -> None:
    """Not those of a hypervisor."""

    class Broken(Fake):
        def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Done:
            return Done("smartctl: out of order\n", 1)

    got, end = read(Broken({}), known=[SDA, GUEST, VIRTIO])
    assert end.startswith("CannotRead")
    assert blind(got) == {"WD-WCC7K": "no scan"}


def test_drives_that_the_scan_does_not_see_are_blind() -> None:
    """A hardened unit may hide the devices; then the scan ends well and lists nothing."""
    volume = replace(SDA, name="sdc", model="PERC H730P Mini", serial="0012")
    got, end = read(Fake({}, "{}"), known=[SDA, GUEST, VIRTIO, volume])
    assert end.startswith("NothingToRead")
    assert blind(got) == {"WD-WCC7K": "not found"}


def test_attributes_are_drawn_once_each_and_only_where_no_metric_tells_them() -> None:
    got, _ = read(Fake({"/dev/sda": case("sata_hdd_healthy"), "/dev/nvme0": case("nvme_healthy")}))
    rows = json.loads(case("sata_hdd_healthy"))["ata_smart_attributes"]["table"]
    raw = {s.labels["id"]: s.value for s in samples(got) if s.metric == "smart_attribute_raw"}
    margin = {s.labels["id"]: s.value for s in samples(got) if s.metric == "smart_attribute_margin"}
    assert not {"5", "197", "198", "199", "9", "12", "194"} & set(raw)
    assert raw["1"] == 193241136
    assert margin == {str(r["id"]): r["value"] - r["thresh"] for r in rows if r["thresh"]}


def test_attributes_can_be_left_out() -> None:
    fake = Fake({"/dev/sda": case("sata_hdd_healthy"), "/dev/nvme0": case("nvme_healthy")})
    got, _ = read(fake, {"attributes": False})
    assert {s.metric for s in samples(got)} <= {metric.name for metric in smart.METRICS}


def test_what_rules_judge_is_kept_when_64_drives_have_too_much_to_tell() -> None:
    """The agent sends 2,000 samples of a run; attributes give way."""
    document = json.loads(case("sata_hdd_healthy"))
    names = [f"/dev/sd{number}" for number in range(64)]
    scan = json.dumps({"devices": [{"name": n, "type": "sat", "protocol": "ATA"} for n in names]})
    answers: dict[str, Done | str] = {
        name: json.dumps(document | {"serial_number": f"S{number}"})
        for number, name in enumerate(names)
    }
    fake = Fake(answers, scan)
    got, end = read(fake)
    kept = samples(got)
    assert end == ""
    assert len(fake.calls) == 65
    assert len(kept) + 64 <= 1900
    assert sum(s.metric == "smart_passed" for s in kept) == 64
    assert len(drives_fact(got)) == 64


RUBBISH: tuple[object, ...] = (None, True, -1, 2**63, 1e308, "", "x" * 5000, [], {}, "²", "0x41")


def damaged(value: object, chance: random.Random) -> object:
    """Return a document with one part in twenty lost, or turned into something else."""
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if chance.random() > 0.02}
        return {
            name: damaged(part, chance) if chance.random() > 0.03 else chance.choice(RUBBISH)
            for name, part in kept.items()
        }
    if isinstance(value, list):
        return [damaged(part, chance) for part in value]
    return value


def torn(text: str, chance: random.Random) -> str:
    """Return a text with lines lost, cut, doubled and their figures made strange."""
    lines = text.splitlines()
    for _ in range(6):
        at = chance.randrange(len(lines))
        line = lines[at]
        lines[at : at + 1] = chance.choice(
            ([], [line[: len(line) // 2]], [line, line], [line.replace("0", "²").replace("1", "-")])
        )
    return "\n".join(lines)


@pytest.mark.parametrize("folder", sorted(CASES.iterdir()), ids=lambda folder: folder.name)
def test_a_damaged_answer_gives_numbers_or_none_and_never_breaks_the_check(folder: Path) -> None:
    """Cables lie, drives die while they speak, and text changes with every version."""
    chance, whole = random.Random(folder.name), case(folder.name)
    is_json = whole.startswith("{")
    for _ in range(20):
        said = json.dumps(damaged(json.loads(whole), chance)) if is_json else torn(whole, chance)
        got, end = read(Fake({"/dev/sda": said, "/dev/nvme0": case("nvme_healthy")}))
        assert not end or end.startswith("CannotRead"), end
        assert {"NV0001"} <= {one.labels["drive"] for one in samples(got)}
        assert all(abs(one.value) < 1e19 for one in samples(got))


def test_a_rounded_size_that_is_none_does_not_hide_the_rest() -> None:
    """pySMART reads the size in brackets, of which we have the exact one before it."""
    text = case("text_nvme_locale")
    broken = re.sub(r"(Data Units .*)\[.*\]", r"\1[-,² TB]", text)
    assert broken != text
    whole, _ = read(Fake({"/dev/sda": text, "/dev/nvme0": text}))
    same, end = read(Fake({"/dev/sda": broken, "/dev/nvme0": broken}))
    assert end == ""
    assert samples(same) == samples(whole)
