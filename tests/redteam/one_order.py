"""A helper that takes one order and ends: what the kill test kills.

    python one_order.py PLACE KIND

KIND is `order`, `standing` (by a calendar) or `trigger` (by a rule).  The script adds a line to
PLACE/marker.  Everything of the order is always the same.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.redteam.house import House, order_id

from forewarn_scripts.order import triggered


def main(place: Path, kind: str) -> None:
    house = House(place) if not (place / "etc").exists() else again(place)
    if kind == "order":
        result = house.ask(house.order())
    elif kind == "standing":
        result = house.ask(house.standing(), occurrence="2026-11-21T08:00")
    else:
        order = house.standing(calendar=None, trigger="DiskAlmostFull")
        result = house.ask(order, occurrence=triggered("DiskAlmostFull", order_id(500)))
    print(result.ended)
    house.restart()


def again(place: Path) -> House:
    house = House.__new__(House)
    house.place = place
    house.wall = House.wall
    house.number = 0
    house.desk = None
    house.marker = place / "marker"
    house.script = f'echo "$1" >> {house.marker}; echo ran "$@"\n'.encode()
    return house


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
