"""Every address of the API, and who may use it."""

from fastapi import Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse, Response

from forewarn_collector.api.absences import get_absences, post_absence
from forewarn_collector.api.account import delete_key, get_clients, get_keys, get_me, post_key
from forewarn_collector.api.assets import get_changes, post_assets
from forewarn_collector.api.catalogue import get_checks
from forewarn_collector.api.guard import OPEN, Desk
from forewarn_collector.api.hosts import (
    get_baselines,
    get_history,
    get_host,
    get_hosts,
    get_readings,
    patch_host,
)
from forewarn_collector.api.inbound import receive
from forewarn_collector.api.login import login
from forewarn_collector.api.period import get_period
from forewarn_collector.api.principal import Role
from forewarn_collector.api.suppression import (
    delete_maintenance,
    delete_silence,
    end_maintenance,
    get_held,
    get_maintenance,
    get_maintenance_window,
    get_silences,
    post_maintenance,
    post_silence,
)
from forewarn_collector.api.tickets import (
    acknowledge_ticket,
    assign_ticket,
    get_alerts,
    get_ticket,
    get_tickets,
    note_ticket,
    resolve_ticket,
)
from forewarn_collector.api.work import (
    accept_ticket,
    cancel_ticket,
    explain_ticket,
    get_report,
    post_ticket,
    prioritise_ticket,
    spend_on_ticket,
    start_ticket,
    use_part_on_ticket,
    wait_ticket,
)

PREFIX = "/api/v1"


def add(desk: Desk) -> None:
    """Add the API."""
    viewer, technician, operator = Role.VIEWER, Role.TECHNICIAN, Role.OPERATOR
    ticket = f"{PREFIX}/tickets/{{number}}"
    desk.api("POST", f"{PREFIX}/login", OPEN, login)
    desk.api("GET", f"{PREFIX}/openapi.json", viewer, get_description, in_schema=False)
    desk.api("GET", f"{PREFIX}/me", viewer, get_me)
    desk.api("GET", f"{PREFIX}/keys", viewer, get_keys)
    desk.api("POST", f"{PREFIX}/keys", viewer, post_key, status=201)
    desk.api("DELETE", f"{PREFIX}/keys/{{id}}", viewer, delete_key, status=204)
    desk.api("GET", f"{PREFIX}/clients", viewer, get_clients)
    desk.api("GET", f"{PREFIX}/checks", viewer, get_checks)
    desk.api("GET", f"{PREFIX}/hosts", viewer, get_hosts)
    desk.api("GET", f"{PREFIX}/hosts/{{id}}", viewer, get_host)
    desk.api("PATCH", f"{PREFIX}/hosts/{{id}}", operator, patch_host)
    desk.api("POST", f"{PREFIX}/assets", operator, post_assets)
    desk.api("GET", f"{PREFIX}/hosts/{{id}}/baselines", viewer, get_baselines)
    desk.api("GET", f"{PREFIX}/hosts/{{id}}/changes", viewer, get_changes)
    desk.api("GET", f"{PREFIX}/hosts/{{id}}/readings", viewer, get_readings)
    desk.api("GET", f"{PREFIX}/hosts/{{id}}/history", viewer, get_history)
    desk.api("GET", f"{PREFIX}/alerts", viewer, get_alerts)
    window = f"{PREFIX}/maintenance/{{id}}"
    desk.api("GET", f"{PREFIX}/maintenance", viewer, get_maintenance)
    desk.api("POST", f"{PREFIX}/maintenance", operator, post_maintenance, status=201)
    desk.api("GET", window, viewer, get_maintenance_window)
    desk.api("POST", f"{window}/end", operator, end_maintenance)
    desk.api("DELETE", window, operator, delete_maintenance, status=204)
    desk.api("GET", f"{PREFIX}/silences", viewer, get_silences)
    desk.api("POST", f"{PREFIX}/silences", technician, post_silence, status=201)
    desk.api("DELETE", f"{PREFIX}/silences/{{id}}", technician, delete_silence, status=204)
    desk.api("GET", f"{PREFIX}/held", viewer, get_held)
    desk.api("GET", f"{PREFIX}/tickets", viewer, get_tickets)
    desk.api("POST", f"{PREFIX}/tickets", technician, post_ticket, status=201)
    desk.api("GET", f"{PREFIX}/report", viewer, get_period)
    desk.api("GET", f"{PREFIX}/absences", viewer, get_absences)
    desk.api("POST", f"{PREFIX}/absences", technician, post_absence)
    # Whoever calls here is known by the signature of the call.
    desk.api("POST", f"{PREFIX}/inbound/{{name}}", OPEN, receive)
    desk.api("GET", ticket, viewer, get_ticket)
    desk.api("POST", f"{ticket}/acknowledge", technician, acknowledge_ticket)
    desk.api("POST", f"{ticket}/assign", technician, assign_ticket)
    desk.api("POST", f"{ticket}/note", technician, note_ticket)
    desk.api("POST", f"{ticket}/start", technician, start_ticket)
    desk.api("POST", f"{ticket}/wait", technician, wait_ticket)
    desk.api("POST", f"{ticket}/priority", technician, prioritise_ticket)
    desk.api("POST", f"{ticket}/resolve", technician, resolve_ticket)
    desk.api("POST", f"{ticket}/cancel", technician, cancel_ticket)
    desk.api("POST", f"{ticket}/accept", technician, accept_ticket)
    desk.api("POST", f"{ticket}/labour", technician, spend_on_ticket)
    desk.api("POST", f"{ticket}/parts", technician, use_part_on_ticket)
    desk.api("POST", f"{ticket}/root-cause", technician, explain_ticket)
    desk.api("GET", f"{ticket}/report", viewer, get_report)


async def get_description(request: Request) -> Response:
    """Return the OpenAPI description of this API."""
    app = request.app
    if app.openapi_schema is None:
        described = get_openapi(
            title="forewarn",
            version="1",
            description="Hosts, readings, alerts and tickets. Times are RFC 3339, UTC.",
            routes=app.routes,
        )
        schemes = described.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer", "bearerFormat": "fwk_…"}
        app.openapi_schema = described
    return JSONResponse(app.openapi_schema)
