"""Set how often Python looks for garbage in circles: for a process with much that lasts."""

import gc


def sweep_less() -> None:
    """Look less often than Python does, which is every 700 objects.

    A rule pass makes hundreds of thousands of objects that all last or go by themselves: a quarter
    of its time went into looking at them (1.5 s for 30,000 alerts, 1.2 s like this).
    """
    gc.set_threshold(20_000, 20, 20)
