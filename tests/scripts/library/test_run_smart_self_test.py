"""Self-tests begin once on every drive, and their end is told; smartctl is the test's own."""

from tests.scripts.library.stage import Stage

TWO = "echo '/dev/sda -d sat # /dev/sda [SAT], ATA device'\necho '/dev/nvme0 -d nvme # NVMe device'"
IDLE = "echo '# 1  Short offline       Completed without error       00%      1234         -'"
RUNS = "echo 'Self-test routine in progress...'; echo '90% of test remaining.'"


def drives(stage: Stage, look: str = IDLE, begin: str = "echo 'Testing has begun.'") -> None:
    stage.play(
        "smartctl",
        f"""
        case " $* " in
            *' --scan-open '*) {TWO} ;;
            *' -t '*) {begin} ;;
            *) {look} ;;
        esac""",
    )


def begun(stage: Stage) -> list[str]:
    return [call for call in stage.calls("smartctl") if " -t " in call]


def test_every_drive_begins_as_smartctl_names_it(stage: Stage) -> None:
    drives(stage)
    ran = stage.order("run-smart-self-test")
    assert ran.code == 0, ran.output
    assert begun(stage) == [
        "smartctl -t short /dev/sda -d sat",
        "smartctl -t short /dev/nvme0 -d nvme",
    ]


def test_one_drive_is_asked_and_no_other(stage: Stage) -> None:
    drives(stage)
    assert stage.order("run-smart-self-test", "--drive=/dev/sda", "--test=long").code == 0
    (call,) = begun(stage)
    assert "/dev/sda" in call
    assert stage.order("run-smart-self-test", "--drive=/dev/sd").code == 66
    assert len(begun(stage)) == 1


def test_a_test_that_runs_is_left_alone(stage: Stage) -> None:
    """Beginning another would end it."""
    drives(stage, look=RUNS)
    ran = stage.order("run-smart-self-test")
    assert (ran.code, begun(stage)) == (0, [])
    assert "left alone" in ran.output


def test_waiting_ends_with_what_the_log_says(stage: Stage) -> None:
    drives(stage)
    ran = stage.order("run-smart-self-test", "--wait")
    assert (ran.code, ran.output.count("Completed without error")) == (0, 2)
    drives(
        stage, look="echo '# 1  Short offline       Completed: read failure       90%      1  4711'"
    )
    ran = stage.order("run-smart-self-test", "--wait")
    assert (ran.code, "read failure" in ran.output) == (1, True)


def test_drives_that_cannot_are_told_of(stage: Stage) -> None:
    drives(stage, begin="echo 'Self-tests not supported'; exit 4")
    ran = stage.order("run-smart-self-test")
    assert (ran.code, "not supported" in ran.output) == (1, True)
    stage.play("smartctl", "exit 1")
    assert stage.order("run-smart-self-test").code == 69
