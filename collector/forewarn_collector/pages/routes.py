"""Every page, and who may open it."""

from forewarn_collector.api.guard import OPEN, Desk
from forewarn_collector.api.principal import Role
from forewarn_collector.pages import assets, catalogue, door, host, hosts, report, tickets


def add(desk: Desk) -> None:
    """Add the pages."""
    viewer, technician = Role.VIEWER, Role.TECHNICIAN
    ticket = "/tickets/{number}"
    desk.page("GET", f"{assets.PREFIX}{{name}}", OPEN, assets.get_static)
    desk.page("GET", "/login", OPEN, door.get_login)
    desk.page("POST", "/login", OPEN, door.post_login)
    desk.page("POST", "/logout", viewer, door.post_logout)
    desk.page("GET", "/", viewer, hosts.get_hosts)
    desk.page("GET", "/hosts/{id}", viewer, host.get_host)
    desk.page("GET", "/hosts/{id}/chart", viewer, host.get_chart)
    desk.page("GET", "/tickets", viewer, tickets.get_tickets)
    desk.page("GET", ticket, viewer, tickets.get_ticket)
    desk.page("GET", f"{ticket}/report", viewer, report.get_report)
    desk.page("POST", f"{ticket}/acknowledge", technician, tickets.post_acknowledge)
    desk.page("POST", f"{ticket}/assign", technician, tickets.post_assign)
    desk.page("POST", f"{ticket}/note", technician, tickets.post_note)
    desk.page("POST", f"{ticket}/resolve", technician, tickets.post_resolve)
    desk.page("GET", "/checks", viewer, catalogue.get_checks)
