"""What a person reads who has named a job database that cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, ProgrammingError

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.dbos_setup import prepare_database


def test_a_server_that_is_away_is_told_with_its_reason_and_no_password() -> None:
    with pytest.raises(JobDatabaseError) as refused:
        prepare_database("postgresql+psycopg://lumbar:secret@127.0.0.1:1/lumbar")

    assert "Connection refused" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_database_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite"
    path.write_bytes(b"no database at all " * 400)

    with pytest.raises(JobDatabaseError, match="file is not a database"):
        prepare_database(f"sqlite:///{path}")


def test_what_was_to_be_written_is_not_quoted() -> None:
    error = IntegrityError("insert", {}, Exception("Key (id)=(DOE) exists"))

    assert why(error) == "IntegrityError"


@pytest.mark.parametrize("kind", [ProgrammingError, InternalError])
def test_a_database_that_is_closed_to_us_is_told_with_what_it_refuses(
    kind: type[DBAPIError],
) -> None:
    refused = Exception("permission denied for schema dbos\nLINE 1: SELECT 1")

    assert why(kind("select", {}, refused)) == "permission denied for schema dbos"


def test_an_error_of_ours_is_told_as_it_is() -> None:
    assert why(JobDatabaseError("another process holds it")) == (
        "another process holds it"
    )
