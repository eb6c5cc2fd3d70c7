"""What people say of machines: one spelling for each value, a sentence for what is wrong."""

from datetime import date
from decimal import Decimal

import pytest

from forewarn_collector.assets import read_value, warranty
from forewarn_collector.money import Money, read_money, totals


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("warranty_until", " 2029-11-20 ", "2029-11-20"),
        ("cost", "1299EUR", "1299.00 EUR"),
        ("cost", "0.125 KWD", "0.125 KWD"),
        ("owner", "Jo\u0308rg", "J\u00f6rg"),
        ("owner", "+49 (30) 123-45", "+49 (30) 123-45"),
        ("location", "  ", None),
    ],
)
def test_a_value_has_one_spelling(name: str, text: str, value: str | None) -> None:
    assert read_value(name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("warranty_until", "20.11.2029", "write it like 2026-11-21"),
        ("warranty_until", "2029-02-30", "is no day"),
        ("purchased_at", "20291120", "is no day"),
        ("cost", "1,299.00 EUR", "write it like 1299.00 EUR"),
        ("cost", "-5 EUR", "no amount of money"),
        ("cost", "12 euros", "no amount of money"),
        ("owner", "=cmd|' /C calc'!A0", "as a formula does"),
        ("owner", "-2+3+cmd|' /C calc'!A0", "as a formula does"),
        ("owner", "@SUM(A1)", "as a formula does"),
        ("owner", "evil\u202egnp", "direction characters"),
        ("owner", "a\x1b[31m", "control"),
        ("owner", "a" * 201, "201 characters"),
        ("color", "red", "no field; there are model"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(name: str, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_value(name, text)


def test_a_warranty_lasts_through_its_last_day() -> None:
    fields = {"warranty_until": "2026-11-21"}
    last = warranty(fields, date(2026, 11, 21))
    over = warranty(fields, date(2026, 11, 22))
    assert last is not None
    assert (last.valid, last.days_left) == (True, 0)
    assert over is not None
    assert (over.valid, over.days_left) == (False, -1)
    assert warranty({}, date(2026, 11, 21)) is None


def test_sums_are_exact_and_currencies_stay_apart() -> None:
    prices = [read_money("0.10 EUR")] * 3 + [read_money("5 USD")]
    assert totals(prices) == (Money(Decimal("0.30"), "EUR"), Money(Decimal(5), "USD"))
