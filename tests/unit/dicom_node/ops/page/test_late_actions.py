"""An action that takes longer than its answer could wait, and where its form stands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.node_report import PagePlan
from dicom_node.ops.http_server import listening, serve
from dicom_node.ops.page import desk, errand
from dicom_node.ops.watch import Watch
from tests.support.job_database import JobDatabase
from tests.support.ops_plan import plan_for
from tests.support.page_client import Answer, PageClient
from tests.support.peers import HOST, wait_until

AS_USER = {"X_User": "it.staff"}


class SlowAction:
    """Stands in for the process that acts: it ends when a test lets it."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.told: dict[str, Any] = {}

    async def run(self, _module: str, _asked: object) -> Any:
        while not self.may_end.is_set():
            await asyncio.sleep(0.01)
        return self.told


class AsUser(PageClient):
    """A client behind the proxy, which names the user."""

    def _ask(
        self, method: str, path: str, body: str | None, more: dict[str, str]
    ) -> Answer:
        return super()._ask(method, path, body, {**AS_USER, **more})


@pytest.fixture
def action(monkeypatch: pytest.MonkeyPatch) -> SlowAction:
    action = SlowAction()
    monkeypatch.setattr(errand.Errands, "run", action.run)
    monkeypatch.setattr(desk, "_ANSWER_S", 0.1)
    return action


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no action about one job end in time, nor wait for any."""
    monkeypatch.setattr(desk, "_ACTION_S", 0.01)
    monkeypatch.setattr(desk, "_ANSWER_S", 0.1)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[PageClient]:
    database = JobDatabase(tmp_path)
    database.job("fell", "ERROR")
    listener = listening(HOST, 0)
    plan = plan_for(
        database_url=database.url,
        spool_folder=tmp_path,
        page=PagePlan(
            peers=(), proxy_address=HOST, proxy_header="X-User", actions=True
        ),
    )
    watch = Watch(plan, is_told=False)
    threading.Thread(
        target=lambda: asyncio.run(serve(watch, listener)), daemon=True
    ).start()
    yield AsUser(listener.getsockname()[1])
    database.close()


@pytest.mark.parametrize(
    ("page", "path"),
    [("/jobs/fell", "/jobs/fell/retry"), ("/failures", "/failures/retry")],
)
def test_who_looks_again_is_told_why_an_action_was_refused(
    client: PageClient, action: SlowAction, page: str, path: str
) -> None:
    answer = client.send(page, path)
    assert answer.leads_to == f"{page}?done=under-way"
    assert "look again soon" in client.get(answer.leads_to).text
    action.told = {"error_code": "job-state", "text": "job fell is running"}
    action.may_end.set()

    def is_told() -> bool:
        return "job fell is running" in client.get(answer.leads_to).text

    wait_until(is_told, what="the refusal is told")
    assert "look again soon" not in client.get(answer.leads_to).text
    # Nobody else is told of an action that was not his.
    assert "job fell is running" not in client.get(page).text


def test_who_looks_again_is_led_to_the_job_that_an_action_made(
    client: PageClient, action: SlowAction
) -> None:
    answer = client.send("/jobs/fell", "/jobs/fell/rerun")
    action.told = {"job_id": "fell-anew"}
    action.may_end.set()
    wait_until(
        lambda: client.get(answer.leads_to).leads_to == "/jobs/fell-anew?done=rerun",
        what="it leads to the new job",
    )


def test_all_that_failed_may_take_longer_than_one_job(
    hurried: None, client: PageClient
) -> None:
    answer = client.send("/failures", "/failures/retry")
    wait_until(
        lambda: client.get(answer.leads_to).leads_to == "/failures?done=retry-all",
        what="all begin again",
    )
    assert "/jobs/fell" not in client.get("/failures").text


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/jobs/fell/retry", "/jobs/fell"),
        ("/failures/retry", "/failures"),
        ("/peers/pacs/echo", "/peers"),
    ],
)
def test_another_language_is_chosen_where_a_form_was_refused(
    client: PageClient, path: str, page: str
) -> None:
    refused = client.post(path, {"token": "old"})
    assert 'href="?lang=zh-CN"' in refused.text
    answer = client.get(f"{path}?lang=zh-CN")
    assert (answer.status, answer.leads_to) == (303, f"{page}?lang=zh-CN")
