"""Money: an exact amount in one currency.  Amounts of different currencies are never added."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

_WRITTEN = re.compile(r"(?P<amount>[0-9]{1,9}(\.[0-9]{1,3})?) ?(?P<currency>[A-Z]{3})")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount, not negative, with at most three decimals; `currency` is an ISO 4217 code."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        """Return ``1299.00 EUR``: two decimals at least, a third only where it is used."""
        amount = self.amount
        places = Decimal("0.001") if amount != amount.quantize(Decimal("0.01")) else Decimal("0.01")
        return f"{amount.quantize(places)} {self.currency}"

    def times(self, count: int) -> "Money":
        """Return the price of so many."""
        return Money(self.amount * count, self.currency)


def read_money(text: str) -> Money:
    """Return the money that is written as ``1299 EUR`` or ``1299.00 EUR``.

    Raises ValueError for anything else.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no amount of money; write it like 1299.00 EUR")
    return Money(Decimal(found["amount"]), found["currency"])


def recall_money(text: str) -> Money:
    """Return money that `str` wrote, however much it is: sums are larger than what people write.

    Raises ValueError for anything else.
    """
    amount, _, currency = text.partition(" ")
    try:
        return Money(Decimal(amount), currency)
    except ArithmeticError:
        raise ValueError(f"{text[:40]!r} is no amount of money") from None


def totals(prices: Iterable[Money]) -> tuple[Money, ...]:
    """Return the sum of each currency, by the currency's name."""
    sums: dict[str, Decimal] = {}
    for price in prices:
        sums[price.currency] = sums.get(price.currency, Decimal(0)) + price.amount
    return tuple(Money(sums[name], name) for name in sorted(sums))
