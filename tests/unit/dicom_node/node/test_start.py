"""What one of several machines is refused before it does anything."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicom_node.errors import StartError
from dicom_node.node.machine_identity import machine_name
from dicom_node.node.ownership import _spool_id, machine_lock, spool_lock
from dicom_node.node.start import receive, serve, work
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(tmp_path / "spool")},
            "routes": [{"name": "toy", "analysis": "toy", "deliver_to": ["pacs"]}],
        }
    )


@pytest.fixture
def layout(settings: Settings) -> SpoolLayout:
    layout = SpoolLayout(settings.spool.folder)
    layout.prepare()
    return layout


def test_a_spool_is_readable_by_the_node_alone(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        layout = SpoolLayout(tmp_path / "far" / "spool")
        layout.prepare()
    finally:
        os.umask(former)
    made = (layout.folder, *layout.folder.iterdir())
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}


@pytest.mark.parametrize("run", [receive, work])
def test_several_machines_on_sqlite_are_refused(
    run: object, settings: Settings, tmp_path: Path
) -> None:
    assert callable(run)
    with pytest.raises(StartError, match="several machines need PostgreSQL"):
        run(settings, tmp_path / "node.yaml", machine="north")
    assert not settings.spool.folder.exists()


def test_two_machines_under_one_name_are_refused_and_others_are_not(
    settings: Settings, layout: SpoolLayout
) -> None:
    with (
        machine_lock(layout, settings, name="north", role="work") as spool_id,
        machine_lock(layout, settings, name="north", role="receive") as same,
        machine_lock(layout, settings, name="south", role="work"),
    ):
        assert spool_id == same
        with (
            pytest.raises(StartError, match="another machine named north runs"),
            machine_lock(layout, settings, name="north", role="work"),
        ):
            pass


def test_a_node_of_one_machine_and_one_of_several_exclude_each_other(
    settings: Settings, layout: SpoolLayout
) -> None:
    with (
        machine_lock(layout, settings, name="north", role="work"),
        pytest.raises(StartError, match="in use by the machines of LUMBAR_AI"),
        spool_lock(layout, settings),
    ):
        pass
    with (
        spool_lock(layout, settings),
        pytest.raises(StartError, match="which is a node of one machine"),
        machine_lock(layout, settings, name="north", role="work"),
    ):
        pass


def test_a_spool_is_open_to_its_owner_alone_and_one_that_is_there_stays_as_it_is(
    settings: Settings, layout: SpoolLayout
) -> None:
    assert layout.folder.stat().st_mode & 0o777 == 0o700
    layout.folder.chmod(0o750)
    layout.prepare()
    assert layout.folder.stat().st_mode & 0o777 == 0o750


def test_a_second_start_of_a_node_says_that_it_runs(
    settings: Settings, layout: SpoolLayout
) -> None:
    with (
        spool_lock(layout, settings),
        pytest.raises(StartError, match=f"spool {layout.folder}: it runs already$"),
        spool_lock(layout, settings),
    ):
        pass


def test_a_port_that_is_taken_is_told_once(settings: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = settings.node.model_copy(update={"bind": "127.0.0.1", "port": port})
        text = f"^127.0.0.1 port {port}: Address already in use$"
        with pytest.raises(StartError, match=text):
            serve(settings.model_copy(update={"node": node}), tmp_path / "node.yaml")


@pytest.mark.parametrize("name", ["lock", "lock-node-id", "node-id"])
def test_a_spool_whose_files_cannot_be_opened_is_told(
    settings: Settings, layout: SpoolLayout, name: str
) -> None:
    (layout.folder / name).mkdir()
    text = f"{layout.folder}.*: Is a directory"
    with pytest.raises(StartError, match=text), spool_lock(layout, settings):
        pass
    with (
        pytest.raises(StartError, match=text),
        machine_lock(layout, settings, name="north", role="work"),
    ):
        pass


@pytest.mark.parametrize("given", ["north", "gpu-1.site_2", "9"])
def test_a_machine_has_the_name_that_it_is_given(given: str) -> None:
    assert machine_name(given) == given


def test_a_machine_without_a_name_has_that_of_its_host() -> None:
    assert machine_name("") == socket.gethostname()


@pytest.mark.parametrize("given", ["a/b", "-x", "n" * 64, "north east", "."])
def test_what_is_no_name_is_refused(given: str) -> None:
    with pytest.raises(StartError, match="is no name of a machine"):
        machine_name(given)


def test_parts_that_start_at_the_same_moment_agree_on_their_spool(
    tmp_path: Path,
) -> None:
    for number in range(20):
        layout = SpoolLayout(tmp_path / str(number))
        layout.prepare()
        with ThreadPoolExecutor(4) as parts:
            told = set(parts.map(_spool_id, [layout] * 4))
        assert told == {(layout.folder / "node-id").read_text()}
