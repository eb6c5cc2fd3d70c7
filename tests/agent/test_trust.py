"""Which collector an agent talks to, decided by real handshakes without a network."""

import ssl
from datetime import UTC, datetime

import pytest
import trustme

from forewarn_agent.identity import trusting_only

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
IN_DECADES = datetime(2095, 1, 1, tzinfo=UTC)
AGES = [
    ("in force", None, None),
    ("expired", LONG_AGO, datetime(2002, 1, 1, tzinfo=UTC)),
    ("not yet valid", datetime(2090, 1, 1, tzinfo=UTC), IN_DECADES),
]


def shake_hands(trusted: trustme.CA, leaf: trustme.LeafCert, name: str) -> None:
    """Let an agent that trusts one authority meet a collector.  Raises ssl.SSLError."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(server)
    to_agent, to_collector = ssl.MemoryBIO(), ssl.MemoryBIO()
    agent = trusting_only(trusted.cert_pem.bytes().decode()).wrap_bio(
        to_agent, to_collector, server_hostname=name
    )
    collector = server.wrap_bio(to_collector, to_agent, server_side=True)
    for side in (agent, collector, agent, collector):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert agent.version() is not None


@pytest.mark.parametrize(("age", "begin", "end"), AGES)
def test_a_clock_that_is_years_off_keeps_no_host_silent(
    age: str, begin: datetime | None, end: datetime | None
) -> None:
    """To such a host every certificate is expired or not yet valid."""
    authority = trustme.CA()
    leaf = authority.issue_cert("collector.test", not_before=begin, not_after=end)
    shake_hands(authority, leaf, "collector.test")


@pytest.mark.parametrize(("age", "begin", "end"), AGES)
def test_whatever_the_clock_another_authority_or_name_is_refused(
    age: str, begin: datetime | None, end: datetime | None
) -> None:
    """Only the dates are left out of account."""
    authority, stranger = trustme.CA(), trustme.CA()
    leaf = authority.issue_cert("collector.test", not_before=begin, not_after=end)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shake_hands(stranger, leaf, "collector.test")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(authority, leaf, "elsewhere.test")
