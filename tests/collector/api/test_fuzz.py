"""The API as it describes itself, asked everything a generator can think of: never a 5xx."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from forewarn_collector.api.principal import Role
from forewarn_collector.state.tables import about

EXAMPLES = 12  # of each operation; the whole of it stays under half a minute


@pytest.mark.filterwarnings("ignore")  # the generator's own
def test_no_generated_request_gets_a_5xx(world: Any) -> None:
    with world.database.write() as connection:
        connection.execute(insert(about).values(name="collector_id", value="c" * 36))
    world.person("root", Role.ADMIN)
    root = world.program(world.key("root"))
    description = root.get("/api/v1/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description)
    counted: dict[int, int] = {}
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        if operation.path.endswith("/login"):
            continue  # verifies a password each time; asked below
        cases = operation.as_strategy() | operation.as_strategy(
            generation_mode=schemathesis.GenerationMode.NEGATIVE
        )

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, own=st.booleans())
        def ask(case: Any, own: bool) -> None:
            if own and "id" in (case.path_parameters or {}):
                case.path_parameters["id"] = world.host_ids["acorp"]
            if own and "number" in (case.path_parameters or {}):
                case.path_parameters["number"] = 1
            options = case.as_transport_kwargs(base_url="https://forewarn.test")
            answer = root.request(
                options["method"],
                options["url"],
                params=options.get("params"),
                json=options.get("json"),
                content=options.get("data") if isinstance(options.get("data"), bytes) else None,
            )
            counted[answer.status_code] = counted.get(answer.status_code, 0) + 1
            assert answer.status_code < 500, f"{case.method} {answer.url}: {answer.text}"
            if answer.status_code >= 400:
                assert answer.json().keys() == {"error"}

        ask()
    assert sum(counted.values()) > 100
    assert {200, 422} <= counted.keys()
