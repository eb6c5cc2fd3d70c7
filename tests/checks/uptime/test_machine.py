"""What firmware says of a machine, as far as it says anything."""

from pathlib import Path

from forewarn_checks.linux.machine import read_machine


def test_maker_model_and_serial_are_read(tmp_path: Path) -> None:
    (tmp_path / "sys_vendor").write_text("Dell Inc.\n")
    (tmp_path / "product_name").write_text("PowerEdge R740\n")
    (tmp_path / "product_serial").write_text("7XK2P13\n")
    assert dict(read_machine(tmp_path)) == {
        "machine_vendor": "Dell Inc.",
        "machine_model": "PowerEdge R740",
        "machine_serial": "7XK2P13",
    }


def test_what_nobody_filled_in_is_no_fact(tmp_path: Path) -> None:
    (tmp_path / "sys_vendor").write_text("To Be Filled By O.E.M.\n")
    (tmp_path / "product_name").write_bytes(b"\x1b[31m\xff\n")
    assert dict(read_machine(tmp_path)) == {}


def test_a_machine_without_such_firmware_tells_nothing(tmp_path: Path) -> None:
    assert dict(read_machine(tmp_path / "none")) == {}
