"""No sequence of making, using and ending keys gives anybody more than they have now."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import create_engine, insert, update

from forewarn_collector.api.people import (
    admit_key,
    admit_session,
    find_person,
    make_key,
    open_session,
    revoke_key,
)
from forewarn_collector.api.principal import Role
from forewarn_collector.state.tables import metadata, users

ROLES = st.sampled_from(list(Role))


class Rights(RuleBasedStateMachine):
    """One person whose role changes, with keys made by sessions and by other keys."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = create_engine("sqlite://")
        metadata.create_all(self.engine)
        self.connection = self.engine.connect()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.session = ""
        self.role: Role | None = None
        # secret: (id, the most it may ever do, when it ends at the latest)
        self.keys: dict[str, tuple[str, Role, datetime]] = {}

    @initialize(role=ROLES)
    def begin(self, role: Role) -> None:
        """A person with a role."""
        row = {"id": "u", "name": "ann", "password_hash": "", "role": role, "clients": ["c"]}
        self.connection.execute(insert(users).values(**row, created_at=self.now))
        self.role = role

    @rule()
    def log_in(self) -> None:
        """A new session, if they may."""
        person = find_person(self.connection, "ann")
        if person is not None:
            self.session = open_session(self.connection, person, self.now)

    @rule(role=ROLES, days=st.integers(1, 500), by=st.integers(0, 5))
    def make(self, role: Role, days: int, by: int) -> None:
        """A key, made with the session or with one of the keys."""
        makers = [self.session, *self.keys]
        secret = makers[by % len(makers)]
        admitted = (admit_key if secret in self.keys else admit_session)(
            self.connection, secret, self.now
        )
        if admitted is None:
            return
        asker = admitted.principal
        lasts = timedelta(days=days)
        made = make_key(self.connection, asker, name="k", role=role, lasts=lasts, now=self.now)
        ends = self.keys[secret][2] if secret in self.keys else self.now + timedelta(days=366)
        most = asker.role.lower_of(role)
        self.keys[made.secret] = (made.id, most, min(ends, self.now + lasts))

    @rule(role=ROLES)
    def change_role(self, role: Role) -> None:
        """Somebody raises or lowers them."""
        self.connection.execute(update(users).values(role=role))
        self.role = role

    @rule(disabled=st.booleans())
    def disable(self, disabled: bool) -> None:
        """Somebody shuts them out, or lets them in again."""
        self.connection.execute(update(users).values(disabled_at=self.now if disabled else None))
        self.role = None if disabled else Role.VIEWER
        self.connection.execute(update(users).values(role=Role.VIEWER))

    @rule(which=st.integers(0, 5))
    def revoke(self, which: int) -> None:
        """A key ends early."""
        person = find_person(self.connection, "ann")
        if self.keys and person is not None:
            secret = list(self.keys)[which % len(self.keys)]
            revoke_key(self.connection, person.principal, self.keys[secret][0], self.now)
            key_id, most, _ends = self.keys[secret]
            self.keys[secret] = (key_id, most, self.now)

    @rule(hours=st.integers(1, 24 * 100))
    def wait(self, hours: int) -> None:
        """Time passes."""
        self.now += timedelta(hours=hours)

    @invariant()
    def nobody_has_more_than_now(self) -> None:
        """Each key gives at most its own role, the person's present one, and only in its time."""
        for secret, (_, most, ends) in self.keys.items():
            admitted = admit_key(self.connection, secret, self.now)
            if admitted is not None:
                assert self.role is not None
                assert self.now < ends
                assert most.reaches(admitted.principal.role)
                assert self.role.reaches(admitted.principal.role)
                assert admitted.principal.clients == frozenset({"c"})

    def teardown(self) -> None:
        """Give back the database."""
        self.connection.close()
        self.engine.dispose()


Rights.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestRights = Rights.TestCase
