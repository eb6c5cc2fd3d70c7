"""Every page, and who may open it."""

from forewarn_collector import runbook_url
from forewarn_collector.api.guard import OPEN, Desk
from forewarn_collector.api.principal import Role
from forewarn_collector.pages import (
    assets,
    audit,
    catalogue,
    door,
    host,
    hosts,
    maintenance,
    new_host,
    new_ticket,
    orders,
    period,
    report,
    rule,
    scripts,
    ticket_work,
    tickets,
)


def add(desk: Desk) -> None:
    """Add the pages."""
    viewer, technician = Role.VIEWER, Role.TECHNICIAN
    ticket = "/tickets/{number}"
    desk.page("GET", f"{assets.PREFIX}{{name}}", OPEN, assets.get_static)
    desk.page("GET", "/login", OPEN, door.get_login)
    desk.page("POST", "/login", OPEN, door.post_login)
    desk.page("POST", "/logout", viewer, door.post_logout)
    desk.page("GET", "/", viewer, hosts.get_hosts)
    # Before the host of an id: what is declared first is tried first.
    desk.page("GET", "/hosts/new", Role.OPERATOR, new_host.get_new)
    desk.page("POST", "/hosts", Role.OPERATOR, new_host.post_new)
    desk.page("GET", "/hosts/{id}", viewer, host.get_host)
    desk.page("GET", "/hosts/{id}/chart", viewer, host.get_chart)
    desk.page("GET", "/tickets", viewer, tickets.get_tickets)
    # Before the ticket of a number: what is declared first is tried first.
    desk.page("GET", "/tickets/new", technician, new_ticket.get_new)
    desk.page("POST", "/tickets", technician, new_ticket.post_new)
    desk.page("GET", ticket, viewer, tickets.get_ticket)
    desk.page("GET", f"{ticket}/report", viewer, report.get_report)
    desk.page("GET", f"{ticket}/report.pdf", viewer, report.get_pdf)
    for name, change in ticket_work.FORMS.items():
        desk.page("POST", f"{ticket}/{name}", technician, change)
    operator = Role.OPERATOR
    window, silence = "/maintenance/{id}", "/silences/{id}"
    desk.page("GET", "/maintenance", viewer, maintenance.get_maintenance)
    desk.page("POST", "/maintenance", operator, maintenance.post_maintenance)
    desk.page("GET", window, viewer, maintenance.get_window)
    desk.page("POST", f"{window}/end", operator, maintenance.post_end)
    desk.page("POST", f"{window}/delete", operator, maintenance.post_delete)
    desk.page("GET", "/silences", viewer, maintenance.get_silences)
    desk.page("POST", "/silences", technician, maintenance.post_silences)
    desk.page("POST", f"{silence}/end", technician, maintenance.post_silence_end)
    desk.page("GET", "/report", viewer, period.get_period)
    desk.page("GET", "/report.html", viewer, period.get_file)
    desk.page("GET", "/report.pdf", viewer, period.get_pdf)
    order = "/orders/{id}"
    desk.page("GET", "/orders", viewer, orders.get_orders)
    desk.page("GET", order, viewer, orders.get_order)
    desk.page("GET", f"{order}/results/{{host}}", viewer, orders.get_output)
    desk.page("POST", f"{order}/cancel", operator, orders.post_cancel)
    desk.page("GET", "/approvals", viewer, orders.get_approvals)
    desk.page("GET", "/scripts", viewer, scripts.get_scripts)
    desk.page("GET", "/scripts/{sha256}", viewer, scripts.get_script)
    desk.page("GET", "/audit", Role.APPROVER, audit.get_audit)
    desk.page("GET", "/audit.csv", Role.APPROVER, audit.get_csv)
    desk.page("GET", "/checks", viewer, catalogue.get_checks)
    desk.page("GET", f"{runbook_url.PATH}{{rule}}", viewer, rule.get_rule)
