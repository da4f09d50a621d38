"""The page for operators of a running node, as people and attackers use it."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from dicom_node.node.ops_child import OpsChild
from dicom_node.node.tally import Tally
from dicom_node.node_report import OpsPlan, PagePlan
from dicom_node.passwords import line_of
from dicom_node.settings.load import load
from dicom_node.settings.ops_plan import ops_plan
from tests.support import variants
from tests.support.browser import Browser, artefacts, needed
from tests.support.node_process import Node, node_for
from tests.support.page_client import PageClient
from tests.support.peers import HOST, Archive, free_port, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import Series, fresh

USER, PASSWORD = "it.staff", "correct horse battery"
PAGES = ("/", "/jobs", "/failures", "/peers")
OUT_OF_RESOURCES = 0xA700
SOP_CLASS_NOT_SUPPORTED = 0x0122
SAID = {
    "retry": "It begins again",
    "resend": "The results are sent again",
    "rerun": "this is its new job",
    "cancel": "The job is given up",
}
RESEND = "details:has(form[action$=resend]) summary"
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def bundled(demo_series: Path) -> Series:
    return variants.read_bundled(demo_series)[:4]


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def node(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "users").write_text(line_of(USER, PASSWORD))
    node = node_for(
        folder / "node",
        archive,
        analysis=NAME,
        environment=make_installed(folder / "site"),
        is_counted=True,
    )
    page = {"password_file": "../users", "actions": True}
    node.settings["ops"] = {
        "port": free_port(),
        "hosts": ["node.example"],
        "page": page,
    }
    node.settings["peers"]["away"] = {
        "ae_title": "AWAY", "host": HOST, "port": free_port(), "timeout_s": 2,
    }  # fmt: skip
    with node:
        wait_until(lambda: stranger(node).get("/live").status == 200, what="it is up")
        yield node


@pytest.fixture(scope="module")
def done(node: Node, bundled: Series) -> str:
    """Return the id of a job that is done."""
    send(fresh(bundled), node.port)
    node.wait_settled(1)
    return str(node.jobs()[-1]["id"])


def port_of(node: Node) -> int:
    port: int = node.settings["ops"]["port"]
    return port


def stranger(node: Node) -> PageClient:
    return PageClient(port_of(node))


@pytest.fixture(scope="module")
def user(node: Node) -> PageClient:
    client = stranger(node)
    assert client.log_in(USER, PASSWORD).leads_to == "/"
    return client


def actions_logged(node: Node) -> list[dict[str, Any]]:
    return [row for row in node.events() if row["event"] == "page_action"]


def act(node: Node, client: PageClient, job_id: str, verb: str) -> None:
    """Press a button of a job, once the page has it, and wait until it is done."""
    page = f"/jobs/{job_id}"
    path = f"{page}/{verb}"
    before = len(actions_logged(node))
    wait_until(lambda: path in client.get(page).text, what=f"a button for {verb}")
    answer = client.send(page, path)
    assert answer.status == 303
    shown = client.get(answer.leads_to).text
    # A slow machine may take longer than a connection lasts.
    assert re.search(f"{SAID[verb]}|This takes a while", shown)
    wait_until(lambda: len(actions_logged(node)) > before, what=f"{verb} is done")
    row = actions_logged(node)[-1]
    told = row["action"], row["user"], row["job_id"], row["state"]
    assert told == (verb, USER, job_id, "done")


@contextmanager
def beside(node: Node, **page: Any) -> Iterator[PageClient]:
    """Yield a client of a second page on the jobs of the node, with other settings."""
    (node.folder / "beside.yaml").write_text(node.config.read_text())
    plan: OpsPlan = ops_plan(load(node.folder / "beside.yaml", analyses=[NAME]))
    assert plan.page is not None
    settings: PagePlan = replace(
        plan.page, **{"password_file": None, "actions": False, **page}
    )
    plan = replace(plan, port=free_port(), page=settings)
    ops = OpsChild(plan, Tally(), list)
    ops.turn(time.monotonic())
    client = PageClient(plan.port)
    try:
        wait_until(lambda: client.get("/live").status != 0, what="the second is up")
        yield client
    finally:
        ops.child.end(2)


def test_nobody_looks_who_has_not_logged_in(node: Node, done: str) -> None:
    client = stranger(node)
    for path in (*PAGES, f"/jobs/{done}", "/jobs?state=failed&peer=pacs"):
        answer = client.get(path)
        assert (answer.status, answer.text) == (303, "")
        assert answer.leads_to.startswith("/login?next=%2F")
    for path in ("/peers/pacs/echo", f"/jobs/{done}/rerun", "/logout"):
        assert client.post(path, {"token": "x"}).leads_to == "/login?next=%2F"
    assert client.get("/login").status == 200
    assert done not in client.get("/login").text
    assert client.get("/ready").status in {200, 503}


def test_a_wrong_password_takes_a_second_and_is_logged_without_its_name(
    node: Node,
) -> None:
    client = stranger(node)
    for name in (USER, "nobody", "correct horse battery"):
        started_s = time.monotonic()
        answer = client.send("/login", "/login", user=name, password="wrong", next="/")
        assert answer.status == 401
        assert time.monotonic() - started_s > 1
        assert not client.cookies
    told = [row for row in node.events() if row["event"] == "page_login_refused"]
    assert len(told) == 3
    assert PASSWORD not in node.log.read_text()


def test_every_page_has_the_headers_that_keep_others_out(user: PageClient) -> None:
    for path in (*PAGES, "/login", "/style.css", "/jobs/none", "/nothing"):
        answer = user.get(path)
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; style-src 'self'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        for name, value in (
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
        ):
            assert answer.headers[name] == value
    client = PageClient(user.port)
    connection_cookie = client.send(
        "/login", "/login", user=USER, password=PASSWORD, next="/jobs"
    )
    assert connection_cookie.leads_to == "/jobs"
    cookie = connection_cookie.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_the_page_of_a_job_tells_its_way_from_arrival_to_stored(
    user: PageClient, done: str
) -> None:
    answer = user.get(f"/jobs/{done}")
    assert answer.status == 200
    stages = re.findall(r"<strong>([^<]+)</strong>", answer.text)
    assert stages[:3] == [
        "First instance arrived", "Last instance arrived", "Series called complete",
    ]  # fmt: skip
    assert {"Triage", "Analysis", "Encoding", "Settled"} <= set(stages)
    assert "Delivery to pacs" in stages
    assert "4 instances in " in answer.text
    assert "instances stored" in answer.text


def test_the_queue_shows_what_the_filter_asks_for(user: PageClient, done: str) -> None:
    assert done[:12] in user.get("/jobs").text
    assert done[:12] in user.get("/jobs?state=done&peer=pacs&since=1h").text
    for query in ("state=failed", "peer=away", "since=2099-01-01"):
        assert done[:12] not in user.get(f"/jobs?{query}").text
    assert done[:12] not in user.get("/jobs?page=2").text
    assert "/jobs?state=done&amp;page=1" in user.get("/jobs?state=done&page=2").text
    wrong = ("state=odd", "since=soon", "since=" + "9" * 5000, "page=0", "page=-1")
    for query in (*wrong, "page=1.0", "page=" + "9" * 5000, "page=%C2%B2"):
        assert user.get(f"/jobs?{query}").status == 400
    odd = user.get("/jobs?peer=%3Cscript%3E%22%27%00%ff")
    assert odd.status == 200
    assert "<script" not in odd.text


def test_what_is_shown_names_no_patient(
    user: PageClient, node: Node, bundled: Series, done: str
) -> None:
    shown = "".join(user.get(path).text for path in (*PAGES, f"/jobs/{done}"))
    for secret in (str(bundled[0].PatientName), str(bundled[0].PatientID)):
        assert secret
        assert secret not in shown
    with beside(node, patient_data=True) as client:
        assert str(bundled[0].PatientID) not in client.get(f"/jobs/{done}").text
    names = {"proxy_address": HOST, "proxy_header": "X-User", "patient_data": True}
    with beside(node, **names) as client:
        patient = str(bundled[0].PatientID)
        wait_until(
            lambda: patient in client.get(f"/jobs/{done}", X_User="ann").text,
            what="the patient is shown",
        )


def test_a_proxy_names_the_user_and_without_actions_the_page_only_shows(
    node: Node, done: str
) -> None:
    with beside(node, proxy_address=HOST, proxy_header="X-User") as client:
        assert client.get("/").status == 403
        answer = client.get(f"/jobs/{done}", X_User="ann")
        assert answer.status == 200
        assert "This page only shows" in answer.text
        assert "/rerun" not in answer.text
        token = "x"
        refused = client.post(f"/jobs/{done}/rerun", {"token": token}, X_User="ann")
        assert refused.status == 403
        assert client.get("/login", X_User="ann").status == 404
    with beside(node) as client:
        assert client.get(f"/jobs/{done}").status == 200
        assert client.send("/peers", "/peers/pacs/echo").leads_to == "/peers#pacs"


def test_an_echo_says_whether_a_peer_answers(user: PageClient, node: Node) -> None:
    for name in ("pacs", "away"):
        answer = user.send("/peers", f"/peers/{name}/echo")
        assert answer.leads_to == f"/peers#{name}"
    told = user.get("/peers").text
    assert "answered in" in told
    assert "no answer:" in told
    assert actions_logged(node)[-2:][0]["peer"] == "pacs"
    token = user.token("/peers", "/peers/pacs/echo")
    assert user.post("/peers/nobody/echo", {"token": token}).status == 403


def test_a_user_resends_and_reruns_and_each_is_logged(
    user: PageClient, node: Node, archive: Archive, done: str
) -> None:
    before = len(archive.received)
    act(node, user, done, "resend")
    wait_until(lambda: len(archive.received) > before, what="it is sent again")
    node.wait_settled(1)
    act(node, user, done, "rerun")
    node.wait_settled(1)
    # The same content under the same settings makes the same job.
    assert done[:12] in user.get("/jobs").text
    # A job that is done cannot be given up, which the page does not offer.
    assert f"/jobs/{done}/cancel" not in user.get(f"/jobs/{done}").text


def test_a_delivery_that_waits_is_cancelled_and_retried(
    user: PageClient, node: Node, archive: Archive, bundled: Series
) -> None:
    series = fresh(bundled)
    uid = str(series[0].SeriesInstanceUID)
    archive.failure_status = OUT_OF_RESOURCES
    send(series, node.port)

    def delivering() -> list[str]:
        return [
            row["id"]
            for row in node.jobs()
            if row["series_uid"] == uid and row["state"] == "delivering"
        ]

    wait_until(lambda: len(delivering()) == 1, what="its delivery waits")
    (job_id,) = delivering()
    act(node, user, job_id, "cancel")
    archive.failure_status = None
    act(node, user, job_id, "retry")
    assert node.settled_jobs_of(uid)[0]["state"] == "done"


def test_all_that_failed_is_retried_at_once(
    user: PageClient, node: Node, archive: Archive, bundled: Series
) -> None:
    batch = [fresh(bundled), fresh(bundled)]
    archive.failure_status = SOP_CLASS_NOT_SUPPORTED
    for series in batch:
        send(series, node.port)
    uids = [str(series[0].SeriesInstanceUID) for series in batch]
    for uid in uids:
        assert node.settled_jobs_of(uid)[0]["state"] == "failed"
    archive.failure_status = None
    path = "/failures/retry"
    wait_until(lambda: path in user.get("/failures").text, what="they are listed")
    answer = user.send("/failures", path)
    shown = user.get(answer.leads_to).text
    # A slow machine may take longer than a connection lasts.
    assert re.search("All that failed begins again|This takes a while", shown)
    wait_until(
        lambda: all(
            row["state"] == "done" for row in node.jobs() if row["series_uid"] in uids
        ),
        what="both are delivered",
    )
    assert actions_logged(node)[-1].get("job_id") is None
    with beside(node) as client:  # which only shows
        assert path not in client.get("/failures").text


def test_an_action_that_is_refused_says_why(
    user: PageClient, node: Node, done: str
) -> None:
    page, path = f"/jobs/{done}", f"/jobs/{done}/resend"
    wait_until(lambda: path in user.get(page).text, what="it is settled")
    outbox = Path(node.settings["spool"]["folder"]) / "outbox"
    (outbox / done).rename(outbox / "aside")
    try:
        answer = user.send(page, path)
        wait_until(
            lambda: actions_logged(node)[-1]["state"] == "failed", what="it is refused"
        )
    finally:
        (outbox / "aside").rename(outbox / done)
    row = actions_logged(node)[-1]
    assert (row["action"], row["error_code"]) == ("resend", "nothing-to-send")
    if answer.status == 303:  # the machine was slow
        answer = user.get(answer.leads_to)
    assert answer.status == 409
    assert "are no longer in the outbox" in answer.text
    assert user.get("/jobs/none").status == 404
    assert user.get(f"/jobs/{done[:12]}").status == 404


def test_a_form_that_was_sent_is_not_taken_again(
    user: PageClient, node: Node, done: str
) -> None:
    page, path = f"/jobs/{done}", f"/jobs/{done}/rerun"
    wait_until(lambda: path in user.get(page).text, what="it is settled")
    token = user.token(page, path)
    other = stranger(node)
    other.log_in(USER, PASSWORD)
    # Of another session, from another site, without a token: not taken, nor used up.
    assert other.post(path, {"token": token}).status == 403
    for headers in (
        {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"},
    ):  # fmt: skip
        assert user.post(path, {"token": token}, **headers).status == 403
    assert user.post(path, {}).status == 403
    assert user.post(path, {"token": token}).status == 303
    before = len(actions_logged(node))
    assert user.post(path, {"token": token}).status == 403
    assert len(actions_logged(node)) == before


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("x" * 100_000, {}),
        ("token=" + "x" * 8192, {}),
        ("&".join(f"a{number}=1" for number in range(100)), {}),
        ("token=a&token=b", {}),
        ("token=%ff%fe", {}),
        ("\xff", {}),
        ("{}", {"Content-Type": "application/json"}),
        ("--x", {"Content-Type": "multipart/form-data; boundary=x"}),
        ("token=a", {"Content-Type": "text/plain"}),
    ],
)
def test_a_form_that_is_none_is_refused(
    user: PageClient, body: str, headers: dict[str, str]
) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in user.cookies.items())
    lines = {
        "Host": "localhost",
        "Cookie": cookies,
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body.encode("latin-1"))),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    request = f"POST /peers/pacs/echo HTTP/1.1\r\n{head}\r\n{body}".encode("latin-1")
    with socket.create_connection((HOST, user.port), timeout=20) as connection:
        connection.sendall(request)
        try:
            told = connection.recv(12)
        except ConnectionResetError:
            told = b""
    assert told in {b"HTTP/1.1 400", b"HTTP/1.1 403", b""}
    assert user.get("/").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "//", "/../etc/passwd", "/jobs/../../etc/passwd", "/jobs/%2e%2e/%2e%2e/a.json",
        "/jobs/..%2f..%2fnode.yaml", "/style.css/../pages.py", "/templates/job.html",
        "/jobs/%00", "/jobs/" + "a" * 8000, "/jobs/'%20or%201=1--", "/peers/pacs",
        "/texts/en.json", "/jobs/x/retry",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(user: PageClient, path: str) -> None:
    answer = user.get(path)
    assert answer.status in {303, 307, 400, 404, 405}
    assert "root:" not in answer.text
    assert "ae_title:" not in answer.text


def test_another_host_is_refused(user: PageClient) -> None:
    assert user.get("/", Host="node.example").status == 200
    for host in ("evil.example", "node.example.evil.example", ""):
        answer = user.get("/", Host=host)
        assert answer.status == 400
        assert "lumbar-node" not in answer.text


def test_two_hundred_browsers_at_once_are_answered(
    user: PageClient, node: Node, done: str
) -> None:
    paths = [*PAGES, f"/jobs/{done}"] * 40

    def look(path: str) -> int:
        return PageClient(user.port, dict(user.cookies)).get(path).status

    with ThreadPoolExecutor(200) as threads:
        codes = list(threads.map(look, paths))
    assert codes == [200] * 200
    assert not [row for row in node.events() if row["event"] == "ops_fault"]


def overflows(browser: Browser) -> bool:
    wider: bool = browser.ask(
        "evaluate", "() => document.documentElement.scrollWidth > window.innerWidth"
    )
    return wider


def test_a_person_uses_it_by_keyboard_on_a_desk_and_on_a_phone_in_both_languages(
    node: Node, root: Path, done: str
) -> None:
    modules = needed(root, "npm") / "node_modules"
    node.wait_settled(1)
    folder = artefacts(root) / "page"
    folder.mkdir(parents=True, exist_ok=True)
    origin = f"http://{HOST}:{port_of(node)}"
    with Browser(modules=modules, failures=folder, size=DESK) as browser:
        browser.ask("open", f"{origin}/jobs")
        # The first field has the focus.
        for field, text in (("user", USER), ("password", PASSWORD)):
            focus = f"() => document.activeElement?.name === '{field}'"
            browser.ask("wait", focus)
            for key in text:
                browser.ask("press", "Space" if key == " " else key)
            browser.ask("press", "Tab" if field == "user" else "Enter")
        browser.ask("wait", "() => location.pathname === '/jobs'")
        for language in ("en", "zh-CN"):
            for name, path in (
                ("status", "/"),
                ("jobs", "/jobs"),
                ("job", f"/jobs/{done}"),
                ("failures", "/failures"),
                ("peers", "/peers"),
            ):
                browser.ask("open", f"{origin}{path}?lang={language}")
                shown = browser.ask("evaluate", "() => document.documentElement.lang")
                assert shown == language
                for size in (DESK, PHONE):
                    browser.ask("size", *size)
                    assert not overflows(browser), (name, size)
                    picture = folder / f"{name}-{language}-{size[0]}.png"
                    browser.ask("picture", str(picture), True)
        # The way to an action with the keyboard alone: open it, then press its button.
        browser.ask("open", f"{origin}/jobs/{done}?lang=en")
        browser.ask("evaluate", f"() => document.querySelector('{RESEND}').focus()")
        for key in ("Enter", "Tab", "Enter"):
            browser.ask("press", key)
        browser.ask("wait", "() => /^.done=(resend|under-way)$/.test(location.search)")
        assert browser.ask("hosts") == [f"{HOST}:{port_of(node)}"]
        assert browser.ask("complaints") == []
    node.wait_settled(1)


def ops_process(node: Node) -> psutil.Process:
    pids = [
        row["pid"]
        for row in node.events()
        if row["event"] == "process_started" and row["process"] == "ops"
    ]
    return psutil.Process(pids[-1])


def test_a_page_that_was_ended_comes_back_and_loads_nothing_large(
    user: PageClient, node: Node, bundled: Series
) -> None:
    mapped = {Path(one.path).name for one in ops_process(node).memory_maps()}
    assert not [name for name in mapped if re.search("numpy|pydantic|_gdcm", name)]
    ops_process(node).terminate()
    series = fresh(bundled)
    send(series, node.port)
    # Not by the number of jobs: a triage that has not ended counts as one for a while.
    node.settled_series({str(series[0].SeriesInstanceUID)})
    wait_until(lambda: user.get("/").status == 303, what="it asks for the password")
    assert user.log_in(USER, PASSWORD).leads_to == "/"
    assert user.get("/").status == 200


def test_a_user_who_logs_out_is_not_known(node: Node) -> None:
    client = stranger(node)
    client.log_in(USER, PASSWORD)
    kept = dict(client.cookies)
    assert client.send("/", "/logout").leads_to == "/"
    assert PageClient(client.port, kept).get("/").status == 303
