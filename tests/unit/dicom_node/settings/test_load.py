"""Every mistake of `node.yaml` at once, each with file, line, path and limit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from dicom_node.errors import SettingsError
from dicom_node.settings.load import load
from dicom_node.settings.ops_plan import ops_plan
from dicom_node.settings.schema import schema_text
from dicom_node.settings.sections import Settings

GOOD = """\
version: 1
peers:
  pacs: {ae_title: PACS, host: 10.0.0.5, port: 104}
spool: {folder: spool}
routes:
  - name: lumbar
    deliver_to: [pacs]
"""
ANALYSES = ("lumbar-mri",)
MANY_LAUGHS = """\
a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
"""


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "node.yaml"
    path.write_text(text)
    return load(path, analyses=ANALYSES)


def problems(folder: Path, text: str) -> list[str]:
    """Return what is wrong, without the name of the file."""
    with pytest.raises(SettingsError) as caught:
        loaded(folder, text)
    prefix = f"{folder / 'node.yaml'}:"
    assert all(problem.startswith(prefix) for problem in caught.value.problems)
    return [problem.removeprefix(prefix) for problem in caught.value.problems]


def test_a_good_file_is_read_and_what_it_leaves_out_has_a_default(
    tmp_path: Path,
) -> None:
    settings = loaded(tmp_path, GOOD)
    assert settings.peers["pacs"].host == "10.0.0.5"
    assert settings.node.port == 11112
    assert settings.routes[0].objects == ["seg", "sr", "sc"]


def test_nobody_is_asked_for_earlier_examinations_unless_a_route_says_so(
    tmp_path: Path,
) -> None:
    assert loaded(tmp_path, GOOD).routes[0].follow_up is None
    text = GOOD + "    follow_up: {peer: pacs}\n"
    follow_up = loaded(tmp_path, text).routes[0].follow_up
    assert follow_up is not None
    assert (follow_up.retrieve, follow_up.wait_s) == ("c-get", 20)
    assert not follow_up.analyse_earlier


def test_no_port_is_opened_for_health_unless_the_settings_say_so_and_then_on_loopback(
    tmp_path: Path,
) -> None:
    assert loaded(tmp_path, GOOD).ops is None
    assert loaded(tmp_path, GOOD + "ops:\n").ops is None
    settings = loaded(tmp_path, GOOD + "ops: {hosts: [Node1]}\n")
    assert settings.ops is not None
    assert settings.ops.bind == "127.0.0.1"
    plan = ops_plan(settings)
    assert plan.hosts == {"localhost", "127.0.0.1", "[::1]", "node1"}
    assert (plan.node_host, plan.node_port) == ("127.0.0.1", 11112)
    assert plan.oldest_job_s == 4 * 3600


def test_nobody_is_notified_unless_the_settings_say_so_and_of_what_they_say(
    tmp_path: Path,
) -> None:
    assert ops_plan(loaded(tmp_path, GOOD)).notify is None
    plan = ops_plan(loaded(tmp_path, f"{GOOD}notify: {{}}\n"))
    assert not plan.serves
    assert plan.notify is not None
    assert (plan.notify.every_s, plan.notify.silent) == (900.0, None)
    assert plan.notify.disk_below_bytes == round(7.5 * 2**30)
    (tmp_path / "urls").write_text("# ours\n\njson://host/path\n")
    text = f"{GOOD}notify: {{urls_file: urls, silent_sender: {{days: [tue, sun]}}}}\n"
    notify = ops_plan(loaded(tmp_path, text)).notify
    assert notify is not None
    assert notify.urls_file == tmp_path / "urls"
    assert notify.silent is not None
    assert notify.silent.senders == {"PACS": "pacs"}
    assert notify.silent.working_time.weekdays == {1, 6}


def test_a_relative_spool_folder_is_taken_from_the_folder_of_the_file(
    tmp_path: Path,
) -> None:
    settings = loaded(tmp_path, GOOD)
    assert settings.spool.folder == tmp_path / "spool"
    assert settings.database_url == f"sqlite:///{tmp_path}/spool/node.sqlite"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "port: 104",
            "port: 70000",
            "3 peers.pacs.port: 70000 is not a TCP port (1 to 65535)",
        ),
        (
            "port: 104",
            "port: x",
            "3 peers.pacs.port: x is not a TCP port (1 to 65535)",
        ),
        (
            "port: 104",
            "prot: 104",
            "3 peers.pacs.prot: unknown key (did you mean port?)",
        ),
        (
            "ae_title: PACS",
            "ae_title: A_TITLE_OF_17_CHR",
            "3 peers.pacs.ae_title: A_TITLE_OF_17_CHR is not an AE title "
            "(1 to 16 printable ASCII characters, no backslash)",
        ),
        (
            "ae_title: PACS",
            "ae_title: NO",
            "3 peers.pacs.ae_title: false is not an AE title (1 to 16 printable ASCII "
            "characters, no backslash); put it in quotes",
        ),
        ("host: 10.0.0.5, ", "", "3 peers.pacs.host: is missing"),
        (
            "ae_title: PACS",
            "ae_title: LUMBAR_TEST",
            "3 peers.pacs.ae_title: LUMBAR_TEST is the title of the node's own test",
        ),
        ("folder: spool", "keep_days: 0", "4 spool.folder: is missing"),
        (
            "deliver_to: [pacs]",
            "deliver_to: [pasc]",
            "7 routes.0.deliver_to.0: no peer is named pasc (peers: pacs)",
        ),
        (
            "deliver_to: [pacs]",
            "deliver_to: []",
            "7 routes.0.deliver_to: an empty list is not a list (1 or more entries)",
        ),
        (
            "name: lumbar\n",
            "name: lumbar\n    analysis: knee-mri\n",
            "7 routes.0.analysis: no analysis knee-mri is installed "
            "(installed: lumbar-mri)",
        ),
        (
            "routes:\n",
            "routes:\n  - {name: lumbar, deliver_to: [pacs]}\n",
            "7 routes.1.name: lumbar is also the route in line 6",
        ),
        (
            "version: 1\n",
            "version: 1\njobs: {backoff_s: [30, -1]}\n",
            "2 jobs.backoff_s.1: -1 is not a time in seconds (above 0, "
            "at most 1000000000)",
        ),
        (
            "version: 1\n",
            "version: 1\nlog: {level: loud}\n",
            "2 log.level: loud is not one of debug, info, warning, error",
        ),
        (
            "name: lumbar\n",
            "name: lumbar\n    segmentation: binary-rle\n",
            "7 routes.0.segmentation: binary-rle is not one of binary, labelmap, "
            "labelmap-rle (only a label map can be RLE: DCMTK 3.6 and pydicom 3.0 read "
            "it of no single bits)",
        ),
        (
            "deliver_to: [pacs]",
            "deliver_to: [pacs]\n    follow_up: {peer: moon}",
            "8 routes.0.follow_up.peer: no peer is named moon (peers: pacs)",
        ),
        (
            "deliver_to: [pacs]",
            "deliver_to: [pacs]\n    follow_up: {peer: pacs, retrieve: wado}",
            "8 routes.0.follow_up.retrieve: wado is not one of c-get, c-move",
        ),
        (
            "deliver_to: [pacs]",
            "deliver_to: [pacs]\n    follow_up: {peer: pacs, wait_s: 0}",
            "8 routes.0.follow_up.wait_s: 0 is not a time in seconds (above 0, "
            "at most 1000000000)",
        ),
        (
            "deliver_to: [pacs]",
            "deliver_to: [pacs]\n    follow_up: {wait: 3}",
            "8 routes.0.follow_up.peer: is missing",
        ),
        (
            "version: 1\n",
            "version: 2\n",
            "1 version: 2 is not 1, the only value that is known",
        ),
        (
            "version: 1\n",
            "version: 1\nops: {port: 11112}\n",
            "2 ops.port: 11112 is also node.port",
        ),
        (
            "version: 1\n",
            'version: 1\nops: {hosts: ["node:80"]}\n',
            "2 ops.hosts.0: node:80 is not a host name or an IPv4 address, without "
            "port",
        ),
        (
            "version: 1\n",
            "version: 1\nops: {oldest_job_h: 0}\n",
            "2 ops.oldest_job_h: 0 is not a number (above 0, at most 8760000)",
        ),
        (
            "version: 1\n",
            "version: 1\njobs: {retry_days: 400}\n",
            "2 jobs.retry_days: 400 is not a number (above 0, at most 365)",
        ),
        (
            "port: 104",
            "certificate_names: [pacs.example]",
            "3 peers.pacs.certificate_names: needs node.tls: without it nobody shows a "
            "certificate",
        ),
        (
            "port: 104",
            "calling_hosts: [10.1.2.3, 10.1.2.3/24]",
            "3 peers.pacs.calling_hosts.1: 10.1.2.3/24 is not an IP address or a "
            "network without host bits (such as 10.1.2.3 or 10.1.2.0/24)",
        ),
        (
            "port: 104",
            "calling_hosts: [pacs.example]",
            "3 peers.pacs.calling_hosts.0: pacs.example is not an IP address or a "
            "network without host bits (such as 10.1.2.3 or 10.1.2.0/24)",
        ),
        (
            "port: 104",
            "calling_hosts: []",
            "3 peers.pacs.calling_hosts: an empty list is not a list (1 or more "
            "entries)",
        ),
        (
            "version: 1\n",
            "version: 1\nnotify: {urls_file: missing}\n",
            "2 notify.urls_file: {folder}/missing cannot be read",
        ),
        (
            "version: 1\n",
            "version: 1\nnotify: {urls_file: node.yaml}\n",
            "2 notify.urls_file: {folder}/node.yaml:1 is no address (such as "
            "json://host/path)",
        ),
        (
            "version: 1\n",
            "version: 1\nnotify: {every_s: 0}\n",
            "2 notify.every_s: 0 is not a number (1 to 86400)",
        ),
        (
            "version: 1\n",
            "version: 1\nnotify: {silent_sender: {peers: [pasc]}}\n",
            "2 notify.silent_sender.peers.0: no peer is named pasc (peers: pacs)",
        ),
        (
            "version: 1\n",
            "version: 1\nnotify: {silent_sender: {from_hour: 18, to_hour: 8}}\n",
            "2 notify.silent_sender.to_hour: 8 is not after from_hour (18)",
        ),
        (
            "version: 1\n",
            "version: 1\nnotify: {silent_sender: {days: [monday]}}\n",
            "2 notify.silent_sender.days.0: monday is not one of mon, tue, wed, thu, "
            "fri, sat, sun",
        ),
        (
            "pacs: {",
            "PACS: {",
            "3 peers.PACS: PACS is not a name (1 to 63 of a-z, 0-9, - and _; a letter "
            "or digit first)",
        ),
        (
            "spool: {folder: spool}",
            "spool: {folder: spool}\nspool: {folder: b}",
            "5 spool: occurs twice, first in line 4",
        ),
        *(
            (
                "{folder: spool}",
                f"{{folder: '{name}'}}",
                f"4 spool.folder: {{folder}}/{name} cannot hold the job database, in "
                "whose address ? and % mean something else: take another name, or give "
                "`database`",
            )
            for name in ("a?b", "a%20b")
        ),
        (
            "spool: {folder: spool}",
            "spool:",
            "4 spool: an empty value is not a section with keys",
        ),
    ],
)
def test_a_mistake_is_told_with_line_path_value_and_limit(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new))
    assert problem.format(folder=tmp_path) in found


def test_a_spool_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, GOOD.replace("folder: spool", "folder: node.yaml/a"))
    spool, file = tmp_path / "node.yaml" / "a", tmp_path / "node.yaml"
    assert found == f"4 spool.folder: {spool} cannot be a folder: {file} is a file"


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user that root's files are closed to, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_what_lies_in_a_folder_that_is_closed_to_the_node_is_told() -> None:
    # Not in tmp_path, which is closed to nobody.
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        closed = folder / "closed"
        closed.mkdir(mode=0)
        files = ", ".join(
            f"{key}: closed/{key}"
            for key in ("certificate_file", "key_file", "ca_file")
        )
        text = GOOD.replace("{folder: spool}", "{folder: closed/spool}")
        (folder / "node.yaml").touch(mode=0o666)
        (folder / "node.yaml").write_text(f"{text}node: {{tls: {{{files}}}}}\n")
        with nobody(), pytest.raises(SettingsError) as caught:
            load(folder / "node.yaml", analyses=ANALYSES)
    told = [problem.split(" ", 1)[1] for problem in caught.value.problems]
    assert told == [
        f"spool.folder: {closed}/spool cannot be made in {closed}: no permission",
        *(
            f"node.tls.{key}: {closed}/{key} cannot be read"
            for key in ("certificate_file", "key_file", "ca_file")
        ),
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(
    tmp_path: Path,
) -> None:
    text = (
        GOOD.replace("104", "0").replace("[pacs]", "[nobody]") + "jobs: {atempts: 3}\n"
    )
    found = problems(tmp_path, text)
    assert [line.split(" ")[0] for line in found] == ["3", "7", "8"]


def test_a_password_in_the_database_url_is_not_repeated(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, f"{GOOD}database: mysql://me:secret@host/db\n")
    assert "secret" not in found
    assert found.startswith("8 database: the value is not a database URL")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\nb: 2\n", "2 is not YAML: "),
        ("", "1 expected sections"),
        ("- 1\n", "1 expected sections"),
        ("a: !!python/object:os.system {}\n", ""),
        ("a: &a {b: *a}\n", "1 expected fewer levels: the sections and lists of"),
        ("a: &a [*a, *a]\n", "1 expected fewer levels: the sections and lists of"),
        (f"a: {'[' * 3000}{']' * 3000}\n", "1 expected fewer levels: the sections"),
        (MANY_LAUGHS, "1 expected fewer values: more than 20000 "),
        ("a: !!timestamp x\n", "1 a: cannot be read as YAML"),
        ('a: "a\\0b"\n', "1 a: holds a NUL character"),
    ],
)
def test_what_is_no_mapping_of_plain_values_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    found = problems(tmp_path, text)
    assert found[0].startswith(problem)


@pytest.mark.parametrize("number", [".inf", ".nan", "1.0e+300"])
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("spool", "min_free_gb"),
        ("spool", "keep_days"),
        ("spool", "keep_rejected_h"),
        ("spool", "free_early_below_gb"),
        ("series", "quiet_s"),
        ("series", "believe_count_after_h"),
        ("node", "idle_timeout_s"),
        ("notify", "disk_below_gb"),
    ],
)
def test_a_number_with_which_nothing_can_be_counted_is_refused(
    tmp_path: Path, section: str, key: str, number: str
) -> None:
    text = GOOD.replace("{folder: spool}", f"{{folder: spool, {key}: {number}}}")
    if section != "spool":
        text = f"{GOOD}{section}: {{{key}: {number}}}\n"
    (found,) = problems(tmp_path, text)
    assert f" {section}.{key}: " in found


def test_a_home_that_nobody_has_is_told(tmp_path: Path) -> None:
    text = GOOD.replace("folder: spool", "folder: ~nobody-of-this-name/spool")
    (found,) = problems(tmp_path, text)
    assert found == "4 spool.folder: ~nobody-of-this-name/spool names no home folder"
    tls = "notify: {urls_file: ~nobody-of-this-name/urls}\n"
    (found,) = problems(tmp_path, GOOD + tls)
    assert found.endswith("/~nobody-of-this-name/urls cannot be read")


def test_a_file_without_an_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "node.yaml").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SettingsError, match="has more than 1 MiB"):
        load(tmp_path / "node.yaml", analyses=ANALYSES)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load(tmp_path / "nowhere.yaml", analyses=ANALYSES)


def test_the_examples_are_good_and_agree_with_the_schema(root: Path) -> None:
    examples = sorted((root / "config").rglob("*.yaml"))
    assert {path.name for path in examples} > {"node.yaml", "two-pacs.yaml"}
    for path in examples:
        load(path, analyses=ANALYSES)
        jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(schema_text()))


def test_the_schema_in_config_is_the_one_that_the_model_makes(root: Path) -> None:
    assert (root / "config" / "node.schema.json").read_text() == schema_text()
