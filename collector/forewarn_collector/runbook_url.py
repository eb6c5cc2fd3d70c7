"""Where the runbook of a rule is found: a page of the collector."""

PATH = "/rules/"
_TICKETS = "/tickets/"


def runbook_url(ticket_url: str, rule: str) -> str:
    """Return the address of a rule's page, from that of any ticket; "" where either is missing."""
    pages, found, _ = ticket_url.rpartition(_TICKETS)
    return f"{pages}{PATH}{rule}" if found and rule else ""
