"""What runs on an endpoint: sample, keep and ship.  Knows nothing of the collector's inside."""

import sys
from typing import Any, cast

# httpx would import its own command line, and with it click, rich and pygments: 10 MB that the
# resident agent has no use for.  None makes that import fail, which httpx expects.
cast(dict[str, Any], sys.modules).setdefault("httpx._main", None)
