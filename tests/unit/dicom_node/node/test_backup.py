"""What a backup holds when everything moves meanwhile, and what is not restored."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dicom_node.errors import BackupError, NodeError, StartError
from dicom_node.jobs.database_copy import copy_sqlite
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.node import backup
from dicom_node.node import restore as restoring
from dicom_node.node.backup import save
from dicom_node.node.backup_list import LIST
from dicom_node.node.ownership import RESTORING, spool_lock
from dicom_node.node.restore import restore
from dicom_node.records import Completion, ReceivedSeries, StoredInstance
from dicom_node.series.manifest import mark_owed, read_manifest, write_pending
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import EXPORT_KEY, SpoolLayout


def quiet(_text: str) -> None:
    """Take a word of progress."""


def settings_of(folder: Path, **more: object) -> Settings:
    return Settings.model_validate(
        {
            "version": 1,
            "node": {"ae_title": "NODE"},
            "peers": {"pacs": {"ae_title": "PACS", "host": "localhost", "port": 104}},
            "spool": {"folder": str(folder)},
            "routes": [{"name": "one", "deliver_to": ["pacs"]}],
            **more,
        }
    )


class Running:
    """A node's spool and database, in which a test does what the node would."""

    def __init__(self, folder: Path) -> None:
        self.settings = settings_of(folder / "spool")
        self.layout = SpoolLayout(self.settings.spool.folder)
        self.layout.prepare()
        self.file = folder / "node.yaml"
        self.file.write_text("version: 1\n")
        prepare_database(self.settings.database_url)

    def arrive(self, uid: str, content: bytes = b"content") -> ReceivedSeries:
        folder = self.layout.series_folder("1", uid)
        folder.mkdir(exist_ok=True)
        path = folder / "one.dcm"
        path.write_bytes(content)
        instance = StoredInstance(
            path=path,
            sop_class_uid="1",
            sop_instance_uid=f"{uid}.1",
            study_uid="1",
            series_uid=uid,
            transfer_syntax_uid="1",
            calling_ae="PACS",
            sha256="0",
            size_bytes=len(content),
            received_at_s=path.stat().st_mtime,
        )
        return ReceivedSeries(
            study_uid="1",
            series_uid=uid,
            calling_ae="PACS",
            instances=(instance,),
            digest=f"digest of {uid}",
            completion=Completion.COUNT_CONFIRMED,
        )

    def owe(self, series: ReceivedSeries) -> None:
        write_pending(self.layout, series)
        with JobQueue(self.settings.database_url) as queue:
            queue.enqueue_triage(TriageOrder(series=series))
        mark_owed(self.layout, series)

    def results(self, job: str, **files: str) -> None:
        partial = self.layout.outbox / f"{job}.partial"
        partial.mkdir()
        for name, content in files.items():
            (partial / f"{name}.dcm").write_text(content)
        shutil.rmtree(self.layout.job_outbox(job), ignore_errors=True)
        partial.rename(self.layout.job_outbox(job))

    def save(self, folder: Path) -> Path:
        save(self.settings, self.file, folder, quiet)
        return folder


@pytest.fixture
def node(tmp_path: Path) -> Running:
    return Running(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Settings:
    (tmp_path / "there").mkdir()
    return settings_of(tmp_path / "there" / "spool")


@pytest.fixture
def after_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[], None]], None]:
    """Let something happen once the job database has been copied."""

    def happens(what: Callable[[], None]) -> None:
        def copy(source: Path, to: Path) -> None:
            copy_sqlite(source, to)
            if source.name == "node.sqlite":
                what()

        monkeypatch.setattr(backup, "copy_sqlite", copy)

    return happens


def without_links(source: Path, _copy: Path, **_options: bool) -> None:
    """Link as between two file systems."""
    raise OSError(18, os.strerror(18), str(source))


@pytest.mark.parametrize("is_linked", [True, False])
def test_records_name_the_files_where_they_were_restored(
    node: Running,
    there: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_linked: bool,
) -> None:
    if not is_linked:
        monkeypatch.setattr(os, "link", without_links)
    series = node.arrive("1.2")
    node.owe(series)
    node.results("job", seg="outlines")
    (node.layout.outbox / "half.partial").mkdir()
    (node.layout.tmp / "arriving").write_bytes(b"half")
    secret = node.layout.folder / EXPORT_KEY
    secret.write_bytes(b"secret")
    secret.chmod(0o600)
    folder = node.save(tmp_path / "kept")
    (saved,) = (folder / "spool" / "inbox").rglob("*.dcm")
    assert saved.samefile(series.instances[0].path) is is_linked
    assert not list(folder.rglob("*.partial"))
    shutil.rmtree(node.layout.folder)

    assert restore(folder, there, quiet) == 1
    layout = SpoolLayout(there.spool.folder)
    (manifest,) = layout.inbox.rglob("owed-*.json")
    (instance,) = read_manifest(manifest).instances
    assert instance.path.read_bytes() == b"content"
    assert instance.path.is_relative_to(layout.folder)
    assert instance.path.stat().st_mtime == pytest.approx(instance.received_at_s)
    assert (layout.job_outbox("job") / "seg.dcm").read_text() == "outlines"
    assert not list(layout.tmp.iterdir())
    secret = layout.folder / EXPORT_KEY
    assert (secret.read_bytes(), secret.stat().st_mode & 0o777) == (b"secret", 0o600)
    with JobQueue(there.database_url) as queue:
        (row,) = queue.all_rows()
        assert row.series_uid == "1.2"
    with closing(sqlite3.connect(layout.folder / "node.sqlite")) as database:
        ((inputs,),) = database.execute("SELECT inputs FROM workflow_input").fetchall()
    (order,) = json.loads(inputs)["positionalArgs"]
    assert order["series"]["instances"][0]["path"] == str(instance.path)


def test_what_cannot_be_read_stays_as_it_is_and_stops_no_restore(
    node: Running, there: Settings, tmp_path: Path
) -> None:
    series = node.arrive("1.2")
    node.owe(series)
    (manifest,) = node.layout.inbox.rglob("owed-*.json")
    manifest.write_text("{")
    path = node.layout.folder / "node.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE workflow_input SET inputs = '{'")
    assert restore(node.save(tmp_path / "kept"), there, quiet) == 1
    layout = SpoolLayout(there.spool.folder)
    assert [path.read_text() for path in layout.inbox.rglob("*.json")] == ["{"]
    with closing(sqlite3.connect(layout.folder / "node.sqlite")) as database:
        rows = database.execute("SELECT inputs FROM workflow_input").fetchall()
    assert rows == [("{",)]


def test_what_is_owed_after_the_database_was_copied_is_not_taken_for_owed(
    node: Running,
    there: Settings,
    tmp_path: Path,
    after_the_database: Callable[[Callable[[], None]], None],
) -> None:
    before = node.arrive("1.2")
    after_the_database(lambda: node.owe(before))
    restore(node.save(tmp_path / "kept"), there, quiet)
    layout = SpoolLayout(there.spool.folder)
    assert not list(layout.inbox.rglob("*.json"))
    assert [path.name for path in layout.inbox.rglob("*.dcm")] == ["one.dcm"]


def test_what_is_pending_is_enqueued_again_by_whoever_restores(
    node: Running,
    there: Settings,
    tmp_path: Path,
    after_the_database: Callable[[Callable[[], None]], None],
) -> None:
    series = node.arrive("1.2")
    write_pending(node.layout, series)
    after_the_database(lambda: mark_owed(node.layout, series))
    restore(node.save(tmp_path / "kept"), there, quiet)
    (path,) = SpoolLayout(there.spool.folder).inbox.rglob("*.json")
    assert path.name.startswith("pending-")


def test_what_retention_deletes_meanwhile_is_there_if_the_database_names_it(
    node: Running,
    there: Settings,
    tmp_path: Path,
    after_the_database: Callable[[Callable[[], None]], None],
) -> None:
    series = node.arrive("1.2")
    node.owe(series)
    node.results("job", seg="outlines")

    def retention() -> None:
        shutil.rmtree(series.instances[0].path.parent)
        shutil.rmtree(node.layout.job_outbox("job"))

    after_the_database(retention)
    assert restore(node.save(tmp_path / "kept"), there, quiet) == 1
    layout = SpoolLayout(there.spool.folder)
    assert [path.read_bytes() for path in layout.inbox.rglob("*.dcm")] == [b"content"]
    assert (layout.job_outbox("job") / "seg.dcm").read_text() == "outlines"


def test_what_came_again_and_results_made_anew_are_the_later_ones(
    node: Running,
    there: Settings,
    tmp_path: Path,
    after_the_database: Callable[[Callable[[], None]], None],
) -> None:
    series = node.arrive("1.2")
    node.results("job", seg="old", sc_01="old")

    def again() -> None:
        path = series.instances[0].path
        later = path.with_name("later")
        later.write_bytes(b"came again")
        os.utime(later, (5.0, 5.0))
        later.replace(path)
        node.results("job", seg="new")

    after_the_database(again)
    restore(node.save(tmp_path / "kept"), there, quiet)
    layout = SpoolLayout(there.spool.folder)
    (found,) = layout.inbox.rglob("*.dcm")
    assert (found.read_bytes(), found.stat().st_mtime) == (b"came again", 5.0)
    results = {path.name: path.read_text() for path in layout.outbox.rglob("*.dcm")}
    assert results == {"seg.dcm": "new"}


def test_a_folder_that_has_something_in_it_is_not_written_to(
    node: Running, tmp_path: Path
) -> None:
    folder = node.save(tmp_path / "kept")
    before = sorted(folder.rglob("*"))
    with pytest.raises(BackupError, match="holds a backup already"):
        node.save(folder)
    assert sorted(folder.rglob("*")) == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter").write_text("mine")
    with pytest.raises(BackupError, match="is not an empty folder"):
        node.save(other)
    with pytest.raises(BackupError, match="lies in the spool folder"):
        node.save(node.layout.folder / "kept")


def test_a_backup_that_cannot_be_written_names_the_file(
    node: Running, tmp_path: Path
) -> None:
    node.arrive("1.2")
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "kept"
    with pytest.raises(BackupError, match=f"failed: {place}: Not a directory"):
        node.save(place)


def test_a_node_that_never_ran_and_postgresql_are_not_saved(
    node: Running, tmp_path: Path
) -> None:
    never = settings_of(tmp_path / "never")
    with pytest.raises(BackupError, match="never run"):
        save(never, node.file, tmp_path / "kept", quiet)
    url = "postgresql+psycopg://db/jobs"
    other = settings_of(node.layout.folder, database=url)
    with pytest.raises(BackupError, match="run pg_dump and copy"):
        save(other, node.file, tmp_path / "kept", quiet)
    kept = node.save(tmp_path / "kept")
    with pytest.raises(BackupError, match="name PostgreSQL"):
        restore(kept, settings_of(tmp_path / "new", database=url), quiet)


def cut_off(kept: Path) -> str:
    (kept / LIST).unlink()
    return "has no backup.json: it is no backup, or one that was cut off"


def one_missing(kept: Path) -> str:
    next((kept / "spool").rglob("*.dcm")).unlink()
    return r"is not whole: 1 of 5 files are missing or damaged \(spool/inbox/"


def one_short(kept: Path) -> str:
    path = next((kept / "spool").rglob("*.dcm"))
    path.unlink()  # of a spool that has the same file
    path.write_bytes(b"con")
    return "is not whole: 1 of 5 files"


def one_flipped(kept: Path) -> str:
    path = next((kept / "spool").rglob("*.dcm"))
    path.unlink()
    path.write_bytes(b"CONTENT")
    return "is not whole: 1 of 5 files"


def changed(kept: Path, **words: object) -> None:
    record = json.loads((kept / LIST).read_bytes())
    (kept / LIST).write_text(json.dumps({**record, **words}))


def of_later(kept: Path) -> str:
    changed(kept, version=2)
    return "is a backup of version 2, and lumbar-node .* restores version 1"


def elsewhere(kept: Path) -> str:
    file = {"name": "spool/../../x", "size_bytes": 1, "sha256": "", "modified_ns": 1}
    changed(kept, files=[file])
    return "names files that lie elsewhere"


def torn(kept: Path) -> str:
    (kept / LIST).write_text("{")
    return "is damaged"


@pytest.mark.parametrize(
    "damage", [cut_off, one_missing, one_short, one_flipped, of_later, elsewhere, torn]
)
def test_a_backup_that_is_not_whole_is_refused_before_anything_is_written(
    node: Running, there: Settings, tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    node.owe(node.arrive("1.2"))
    (node.layout.folder / "node-id").write_text("0")
    kept = node.save(tmp_path / "kept")
    says = damage(kept)
    with pytest.raises(BackupError, match=says):
        restore(kept, there, quiet)
    assert not there.spool.folder.exists()


def test_nothing_is_restored_over_what_is_there(
    node: Running, there: Settings, tmp_path: Path
) -> None:
    kept = node.save(tmp_path / "kept")
    with pytest.raises(BackupError, match="is not empty: restore into a new one"):
        restore(kept, node.settings, quiet)
    with (
        spool_lock(node.layout, node.settings),
        pytest.raises(StartError, match="in use by NODE on "),
    ):
        restore(kept, node.settings, quiet)
    restore(kept, there, quiet)
    with pytest.raises(BackupError, match="is not empty"):
        restore(kept, there, quiet)
    log = tmp_path / "elsewhere.sqlite-wal"
    log.write_bytes(b"")
    url = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    other = settings_of(tmp_path / "other", database=url)
    with pytest.raises(BackupError, match=r"already: elsewhere\.sqlite-wal"):
        restore(kept, other, quiet)


def test_no_node_starts_on_a_restore_that_was_cut_off(
    node: Running,
    there: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node.owe(node.arrive("1.2"))
    kept = node.save(tmp_path / "kept")

    def full(*_arguments: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_restore_database", full)
        with pytest.raises(BackupError, match="No space left on device"):
            restore(kept, there, quiet)
    layout = SpoolLayout(there.spool.folder)
    assert (layout.folder / RESTORING).exists()
    with (
        pytest.raises(StartError, match="holds a restore that was cut off"),
        spool_lock(layout, there),
    ):
        pass
    with pytest.raises(NodeError, match="holds a restore that was cut off"):
        restore(kept, there, quiet)
