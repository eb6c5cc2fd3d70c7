"""What pages show, to whom, and what they let people do."""

import re
from html.parser import HTMLParser

import httpx
import pytest
from sqlalchemy import select
from tests.collector.pages.conftest import CAN_PRINT, House
from tests.collector.pages.errands import SCRIPT
from tests.collector.pages.fleet import HOSTILE, PASSWORD, disk, memory

from forewarn_collector.api.app import SECURITY_HEADERS
from forewarn_collector.api.guard import OPEN, GuardedRoute
from forewarn_collector.api.principal import Role
from forewarn_collector.state import tickets
from forewarn_collector.state.tables import sessions
from forewarn_scripts.order import script_hash

NOBODYS = "0193ffff-0000-7000-8000-000000000000"

# What each page needs to be asked rightly; a new page fails here until it is thought about.
PAGES: dict[str, dict[str, str]] = {
    "GET /static/{name}": {},
    "GET /login": {},
    "POST /login": {"name": "nobody", "password": "wrong"},
    "POST /logout": {},
    "GET /": {},
    "GET /hosts/{id}": {},
    "GET /hosts/{id}/chart": {"metric": "disk_used_ratio"},
    "GET /tickets": {},
    "GET /tickets/{number}": {},
    "GET /tickets/new": {"host": "web01"},
    "POST /tickets": {"title": "It beeps"},
    "GET /tickets/{number}/report": {},
    "GET /tickets/{number}/report.pdf": {},
    "POST /tickets/{number}/start": {},
    "POST /tickets/{number}/wait": {"waiting_for": "parts"},
    "POST /tickets/{number}/priority": {"priority": "P1"},
    "POST /tickets/{number}/labour": {"minutes": "20"},
    "POST /tickets/{number}/parts": {"name": "fan", "unit_cost": "9.90 EUR"},
    "POST /tickets/{number}/root-cause": {"text": "dust"},
    "POST /tickets/{number}/accept": {"text": "it is a scratch disk"},
    "POST /tickets/{number}/cancel": {"text": "it was a test"},
    "POST /tickets/{number}/acknowledge": {},
    "POST /tickets/{number}/assign": {},
    "POST /tickets/{number}/note": {"text": "looked at it"},
    "POST /tickets/{number}/resolve": {"text": "done"},
    "GET /maintenance": {},
    "POST /maintenance": {"select": "host:web*", "reason": "patches", "lasts": "2h"},
    "GET /maintenance/{id}": {},
    "POST /maintenance/{id}/end": {},
    "POST /maintenance/{id}/delete": {},
    "GET /silences": {},
    "POST /silences": {"select": "host:web*", "reason": "known", "lasts": "1d"},
    "POST /silences/{id}/end": {},
    "GET /report": {},
    "GET /report.pdf": {},
    "GET /report.html": {},
    "GET /checks": {},
    "GET /rules/{rule}": {},
    "GET /orders": {},
    "GET /orders/{id}": {},
    "GET /orders/{id}/results/{host}": {},
    "POST /orders/{id}/cancel": {},
    "GET /approvals": {},
    "GET /scripts": {},
    "GET /scripts/{sha256}": {},
    "GET /audit": {},
    "GET /audit.csv": {},
    "GET /hosts/new": {},
    "POST /hosts": {"client": "acme", "site": "hq"},
}


def pages(house: House) -> list[tuple[str, str, GuardedRoute]]:
    return [
        (method, route.path, route)
        for route in house.app.router.routes
        for method in sorted(route.methods)
        if route.page
    ]


def visit(
    visitor: object, method: str, path: str, host: str = NOBODYS, number: int = 999
) -> httpx.Response:
    address = path.replace("{id}", host).replace("{number}", str(number)).replace("{name}", "x.js")
    address = address.replace("{rule}", "DiskAlmostFull").replace("{host}", host)
    address = address.replace("{sha256}", script_hash(SCRIPT))
    given = PAGES[f"{method} {path}"]
    ask = visitor.get if method == "GET" else visitor.post  # type: ignore[attr-defined]
    answer: httpx.Response = ask(address, **given)
    return answer


def of_acme(lived: House, path: str) -> str:
    """Return the id of a thing of acme that a path is about."""
    return lived.quiet_ids.get(path.split("/")[1]) or lived.host_id("web01")


def test_every_page_is_in_the_matrix(lived: House) -> None:
    assert {f"{method} {path}" for method, path, _ in pages(lived)} == set(PAGES)


def test_only_the_login_and_files_are_open(lived: House) -> None:
    is_open = {path for _, path, route in pages(lived) if route.needs is OPEN}
    assert is_open == {"/login", "/static/{name}"}


def test_a_stranger_is_sent_to_the_login_and_told_nothing(lived: House) -> None:
    for method, path, route in pages(lived):
        if route.needs is not OPEN:
            answer = visit(lived.stranger(), method, path, lived.host_id("web01"), 1)
            assert answer.status_code == 401, path
            assert "web01" not in re.sub(r"/hosts/\S+|/login\S+", "", answer.text)


def test_every_page_opens_for_a_viewer(lived: House) -> None:
    viewer = lived.as_("vic")
    for method, path, route in pages(lived):
        if path.endswith(".pdf") and not CAN_PRINT:
            continue
        if method == "GET" and route.needs is Role.VIEWER:
            for host in lived.fleet.hosts.all():
                thing = host.id if "/hosts/" in path else of_acme(lived, path)
                answer = visit(viewer, method, path, thing, 1)
                assert answer.status_code == 200, path
                kind = "application/pdf" if path.endswith(".pdf") else "text/html; charset=utf-8"
                assert answer.headers["content-type"] == kind
                assert answer.headers["cache-control"] == "no-store"
                if "{id}" not in path:
                    break


def test_a_viewer_has_no_forms_and_may_not_work(lived: House) -> None:
    viewer = lived.as_("vic")
    assert "/tickets/1/resolve" not in viewer.get("/tickets/1").text
    for method, path, route in pages(lived):
        if route.needs in (Role.TECHNICIAN, Role.OPERATOR):
            assert visit(viewer, method, path, number=1).status_code == 403, path


def test_what_is_anothers_looks_exactly_like_what_is_not(lived: House) -> None:
    gus = lived.as_("gus")
    for method, path, route in pages(lived):
        if "{id}" in path or "{number}" in path:
            foreign = visit(gus, method, path, of_acme(lived, path), 1)
            unknown = visit(gus, method, path)
            status = 403 if route.needs is Role.OPERATOR else 404
            assert foreign.status_code == unknown.status_code == status, path
            assert foreign.content == unknown.content, path
            assert foreign.headers == unknown.headers, path


def test_lists_and_counts_hold_only_ones_own_clients(lived: House) -> None:
    gus, ann = lived.as_("gus"), lived.as_("ann")
    lists = ("/", "/tickets?state=all", "/maintenance", "/silences")
    for path in (*lists, "/?select=client:acme", "/?select=host:web*"):
        assert not re.search(r"web01|db01|backup02", gus.get(path).text), path
    assert "web01" in ann.get("/").text
    assert "<b>1</b> <span>high</span>" in gus.get("/").text


def test_the_policy_is_sent_with_every_page(lived: House) -> None:
    for visitor in (lived.stranger(), lived.as_("ann")):
        for path in ("/login", "/", "/hosts/x", "/tickets/1", "/nothing"):
            headers = visitor.get(path).headers
            for name, value in SECURITY_HEADERS.items():
                assert headers[name] == value


# -- hosts ---------------------------------------------------------------------------------------


def test_the_first_page_says_what_to_do_first(lived: House) -> None:
    text = lived.as_("ann").get("/").text
    first = text[text.index("What to do first") : text.index('class="strip"')]
    assert re.findall(r"</span>(P\d)", first) == ["P1", "P3", "P3", "P3"]
    assert "db01 says it is failing" in first


def test_without_hosts_the_page_says_how_to_get_one(house: House) -> None:
    text = house.as_("ann").get("/").text
    assert f"forewarn-collector token create --dir {house.fleet.directory}" in text
    assert "forewarn-agent enrol" in text


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("host:web*", {"web01"}),
        ("tag:db,backup", {"db01", "backup02"}),
        ("eb0", {"web01"}),
        ("health:silent", {"backup02"}),
        ("host:nothing", set()),
    ],
)
def test_hosts_are_picked_by_a_selector_or_part_of_a_name(
    lived: House, select: str, names: set[str]
) -> None:
    text = lived.as_("ann").get("/", select=select).text
    assert set(re.findall(r'<th scope="row"><a[^>]*>([^<]+)</a>', text)) == names


@pytest.mark.parametrize("path", ["/", "/tickets"])
def test_a_selector_that_is_none_is_explained_and_kept(lived: House, path: str) -> None:
    answer = lived.as_("ann").get(path, select='colour:red "')
    assert answer.status_code == 422
    assert "&#39;colour&#39; is no key" in answer.text
    assert 'value="colour:red &#34;"' in answer.text


def test_pages_of_hosts_hold_each_host_once(house: House) -> None:
    for n in range(230):
        house.fleet.host(f"h{n:03}", client="acme" if n % 3 else "globex")
    visitor, address = house.as_("ann"), "/"
    seen: list[str] = []
    while address:
        text = visitor.get(address).text
        seen += re.findall(r'<th scope="row"><a[^>]*>([^<]+)</a>', text)
        following = re.search(r'href="([^"]+)" rel="next"', text)
        address = following[1].replace("&amp;", "&") if following else ""
    assert seen == [f"h{n:03}" for n in range(230)]


def test_a_host_shows_readings_bars_outcomes_and_charts(lived: House) -> None:
    text = lived.as_("ann").get(f"/hosts/{lived.host_id('web01')}").text
    assert "97.2 %" in text
    assert 'aria-label="97.2 %"' in text
    assert "Samsung SSD 870 EVO 1TB" in text
    assert text.count('<svg class="chart"') > 10
    assert "Europe/Berlin" in text
    desk = lived.as_("ann").get(f"/hosts/{lived.host_id('desk-17')}").text
    assert "run the agent as root" in desk
    assert "install smartmontools" in desk


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"range": "7d"}, ""),
        ({"range": "century"}, "A span is one of"),
        ({"since": "2026-11-20T08:00", "until": "2026-11-20T10:00"}, ""),
        ({"since": "yesterday"}, "A moment is written"),
        ({"since": "2026-11-20T10:00", "until": "2026-11-20T08:00"}, "must begin before"),
        ({"since": "0001-01-01T00:00"}, "A moment is written"),
    ],
)
def test_spans_are_taken_or_explained(lived: House, query: dict[str, str], told: str) -> None:
    for path in ("", "/chart?metric=disk_used_ratio&"):
        address = f"/hosts/{lived.host_id('web01')}{path or '?'}"
        address += "&".join(f"{name}={value}" for name, value in query.items())
        answer = lived.as_("ann").get(address)
        assert answer.status_code == 200
        assert told in answer.text
        assert told or 'role="alert">' not in answer.text


def test_a_metric_nobody_declares_has_no_chart(lived: House) -> None:
    address = f"/hosts/{lived.host_id('web01')}/chart"
    assert lived.as_("ann").get(address, metric="no_such_metric").status_code == 404
    assert lived.as_("ann").get(address, metric="../etc").status_code == 422


# -- tickets -------------------------------------------------------------------------------------


def one_ticket(house: House) -> None:
    """Bring up a ticket."""
    host = house.fleet.host("web01")
    house.fleet.judge_from(house.fleet.at)
    for _ in range(5):
        house.fleet.read(host, "disk", [(house.fleet.at, disk("/srv", 0.97))])
        house.fleet.engine.pass_(house.fleet.at)
        house.fleet.at = house.fleet.at.replace(minute=house.fleet.at.minute + 5)


def ticket(house: House) -> tickets.Ticket:
    with house.fleet.database.read() as connection:
        return tickets.get(connection, 1, clients=None)


def test_a_ticket_is_worked_on_without_any_script(house: House) -> None:
    one_ticket(house)
    ann = house.as_("ann")
    assert ann.post("/tickets/1/acknowledge").headers["location"] == "/tickets/1"
    assert (ticket(house).state, ticket(house).assignee) == ("in_progress", "ann")
    assert ann.post("/tickets/1/note", text="two\nlines").status_code == 303
    text = ann.get("/tickets/1").text
    assert "<p>two</p><p>lines</p>" in text
    assert ann.post("/tickets/1/resolve", text="grew the volume").status_code == 303
    assert ticket(house).state == "resolved"
    again = ann.post("/tickets/1/resolve", text="really, grew it")
    assert again.status_code == 409
    assert "is resolved and cannot be resolved" in again.text
    assert "really, grew it" in again.text


def test_the_longest_note_arrives_in_any_script(house: House) -> None:
    one_ticket(house)
    ann = house.as_("ann")
    assert 'enctype="multipart/form-data"' in ann.get("/tickets/1").text
    text = "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 10_000
    answer = ann.ask("POST", "/tickets/1/note", files={"text": (None, text)})
    assert answer.status_code == 303
    assert ticket(house).events[-1].data["text"] == text


def test_a_ticket_is_made_ones_own(house: House) -> None:
    one_ticket(house)
    assert house.as_("ann").post("/tickets/1/assign").status_code == 303
    assert (ticket(house).state, ticket(house).assignee) == ("assigned", "ann")


@pytest.mark.parametrize("text", ["", "   ", "null\x00byte", "x" * 10_001])
def test_a_note_that_says_nothing_is_refused_on_the_page(house: House, text: str) -> None:
    one_ticket(house)
    answer = house.as_("ann").post("/tickets/1/note", text=text)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")
    assert len(ticket(house).events) == 1 + sum(
        event.kind == "severity_changed" for event in ticket(house).events
    )


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_forms_of_other_sites_change_nothing(house: House, origin: str) -> None:
    one_ticket(house)
    ann = house.as_("ann")
    for path in ("/tickets/1/acknowledge", "/tickets/1/resolve", "/logout", "/login"):
        answer = ann.ask("POST", path, data={"text": "x"}, headers={"origin": origin})
        assert answer.status_code == 403, path
    assert ticket(house).state == "new"
    assert ann.get("/").status_code == 200


def test_evidence_of_any_shape_is_shown(house: House) -> None:
    one_ticket(house)
    with house.fleet.database.write() as connection:
        for evidence in ("{}", '{"labels": 3, "with": [], "metric": 7}'):
            connection.exec_driver_sql("UPDATE episodes SET evidence = ?", (evidence,))
    assert house.as_("ann").get("/tickets/1").status_code == 200


def test_tickets_are_found_by_state_priority_and_selector(lived: House) -> None:
    ann = lived.as_("ann")

    def numbers(**query: str) -> set[str]:
        return set(re.findall(r'href="/tickets/(\d+)"', ann.get("/tickets", **query).text))

    assert numbers() == numbers(state="all") == {"1", "2", "3", "4"}
    assert numbers(priority="P1") == {"2"}
    assert numbers(state="in_progress") == {"1"}
    assert numbers(select="host:db01") == {"2"}
    assert numbers(state="closed") == set()
    assert "No such ticket" in ann.get("/tickets", state="closed").text


def test_without_tickets_the_page_says_when_one_opens(house: House) -> None:
    assert "No tickets yet" in house.as_("ann").get("/tickets").text


# -- in and out ----------------------------------------------------------------------------------


def test_a_login_opens_a_session_and_goes_on_to_where_one_wanted(house: House) -> None:
    stranger = house.stranger()
    sent = stranger.get("/tickets", state="all")
    assert "/login?next=%2Ftickets%3Fstate%3Dall" in sent.text
    form = {"name": "ann", "password": PASSWORD, "next": "/tickets?state=all"}
    answer = stranger.post("/login", **form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/tickets?state=all")
    cookie = answer.headers["set-cookie"]
    for part in ("__Host-forewarn=", "HttpOnly", "Path=/", "SameSite=strict", "Secure"):
        assert part in cookie
    stranger.cookie = cookie.partition("=")[2].partition(";")[0]
    assert stranger.get("/tickets").status_code == 200
    left = stranger.post("/logout")
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert stranger.get("/tickets").status_code == 401
    with house.fleet.database.read() as connection:
        assert connection.execute(select(sessions)).all() == []


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil", "evil", "/é", ""],
)
def test_a_login_never_leads_to_another_site(house: House, elsewhere: str) -> None:
    form = {"name": "ann", "password": PASSWORD, "next": elsewhere}
    assert house.stranger().post("/login", **form).headers["location"] == "/"
    assert 'name="next" value="/"' in house.stranger().get("/login", next=elsewhere).text


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "guess"), ("nobody", PASSWORD), ("", ""), ("\x00", "x")]
)
def test_a_wrong_login_shows_the_form_again(house: House, name: str, password: str) -> None:
    answer = house.stranger().post("/login", name=name, password=password)
    assert answer.status_code == 401
    assert 'name="password"' in answer.text
    assert password not in answer.text or password in ("", "x")
    assert "set-cookie" not in answer.headers


# -- files ---------------------------------------------------------------------------------------


def test_files_are_kept_by_browsers_and_named_by_what_is_in_them(lived: House) -> None:
    stranger = lived.stranger()
    text = stranger.get("/login").text
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', text):
        plain = stranger.ask("GET", path, headers={"accept-encoding": "identity"})
        packed = stranger.ask("GET", path, headers={"accept-encoding": "gzip"})
        assert plain.status_code == packed.status_code == 200
        assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert packed.headers["content-encoding"] == "gzip"
        assert plain.content == packed.content
    assert stranger.get("/static/style.css").status_code == 404
    assert stranger.get("/static/..%2fview.py").status_code == 404


def test_pages_are_packed_for_those_who_can_unpack(lived: House) -> None:
    ann = lived.as_("ann")
    packed = ann.ask("GET", "/", headers={"accept-encoding": "gzip"})
    plain = ann.ask("GET", "/", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert "content-encoding" not in plain.headers


# -- what hosts say ------------------------------------------------------------------------------


class Markup(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_nothing_a_host_says_becomes_part_of_a_page(lived: House) -> None:
    ann = lived.as_("ann")
    hostile = lived.host_id(HOSTILE[0])
    paths = ["/", "/tickets", "/tickets/1", "/tickets/3", f"/hosts/{hostile}"]
    paths += [f"/hosts/{hostile}/chart?metric=disk_used_ratio", "/?select=host:*script*"]
    whole = ""
    for path in paths:
        page = Markup()
        text = ann.get(path).text
        page.feed(text)
        whole += page.text
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b\x07]", text), path
        for tag, attributes in page.elements:
            assert not [name for name in attributes if name.startswith("on")], (path, tag)
            assert "style" not in attributes, (path, tag)
            for name in ("href", "action", "src"):
                target = attributes.get(name) or "/"
                assert target[0] in "/#" and not target.startswith("//"), (path, target)
        scripts = [a.get("src") or "" for tag, a in page.elements if tag == "script"]
        assert all(source.startswith("/static/") for source in scripts), path
        assert not {tag for tag, _ in page.elements} & {"img", "iframe", "object", "style", "base"}
    for text in HOSTILE:
        shown = re.sub("[\u202e\u2066\u2069\x1b\x07]", "\ufffd", text)
        assert shown in whole, text


def test_a_memory_reading_that_stopped_is_marked_as_old(house: House) -> None:
    host = house.fleet.host("web01")
    house.fleet.read(host, "memory", [(house.fleet.at, memory(0.5))])
    fresh = house.as_("ann").get(f"/hosts/{host.id}").text
    house.fleet.at = house.fleet.at.replace(hour=house.fleet.at.hour + 1)
    stale = house.as_("ann").get(f"/hosts/{host.id}").text
    assert 'class="stale"' not in fresh
    assert 'class="stale"' in stale


def test_a_report_says_what_was_done_and_that_it_was_not_altered(lived: House) -> None:
    page = lived.as_("vic").get("/tickets/1/report").text
    for words in ("What was done", "took it into work", "Old exports under /srv/exports"):
        assert words in page
    assert re.search(r"<code>[0-9a-f]{64}</code>", page)
    assert lived.as_("vic").get("/tickets/2/report").status_code == 404


def test_a_host_that_never_came_is_never_heard_on_list_and_page(house: House) -> None:
    host = house.fleet.host("web9")
    ann = house.as_("ann")
    for path in ("/", f"/hosts/{host.id}"):
        text = ann.get(path).text
        assert "never heard" in text
        assert 'class="level ok"' not in text
    assert "Nothing ever came from this host" in text


def test_the_page_of_a_host_says_how_its_clock_stands(house: House) -> None:
    host = house.fleet.host("web9")
    behind = ("clock_error_seconds", (("direction", "behind"),))
    house.fleet.read(host, "disk", [(house.fleet.at, {behind: 10_800.0})])
    assert "clock 3 h behind" in house.as_("ann").get(f"/hosts/{host.id}").text
