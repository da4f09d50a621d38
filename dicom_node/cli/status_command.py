"""`lumbar-node status`: whether the node is ready, for people and for scripts."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dicom_node.cli.console import complain, say, say_json, say_table
from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read

if TYPE_CHECKING:
    from dicom_node.jobs.machines import MachineRow


def run_status(arguments: argparse.Namespace) -> ExitCode:
    """Tell what `/ready` says; where `ops` is off, what can be seen from here.

    Returns
    -------
    ExitCode
        `DONE` if the node is ready, `UNREACHABLE` if it answers no C-ECHO, `FAILED` if
        any other check failed.
    """
    from dicom_node.ops.ask import NoAnswerError, ask_ready, look_from_here
    from dicom_node.settings.ops_plan import ops_plan

    settings = read(arguments.config)
    plan = ops_plan(settings)
    told: dict[str, Any] | None = None
    if settings.ops is not None:
        try:
            told = ask_ready(plan)
        except NoAnswerError as error:
            complain(
                f"lumbar-node: ops at {plan.bind} port {plan.port} does not answer: "
                f"{error}"
            )
    told = told or look_from_here(plan)
    machines = _machines(settings.database_url)
    if arguments.json:
        of_several = {"machines": [asdict(one) for one in machines]}
        say_json({**told, **(of_several if machines else {})})
    else:
        say_table(
            ("STATE", "CHECK", "VALUE", "LIMIT", "WHAT"),
            [
                (
                    check["state"],
                    check["name"],
                    _amount(check, "value"),
                    _amount(check, "limit"),
                    check["text"],
                )
                for check in told["checks"]
            ],
        )
        if machines:
            say("")
            say_table(
                ("MACHINE", "ROLE", "STATE", "HEARTBEAT", "TELLS"),
                [
                    (
                        one.name,
                        one.role,
                        "alive" if one.is_alive else "dead",
                        f"{one.beat_age_s:.1f} s ago",
                        one.told or "-",
                    )
                    for one in machines
                ],
            )
        say("ready" if told["ready"] else "NOT READY")
    return _code(told)


def _machines(database_url: str) -> tuple[MachineRow, ...]:
    """Return the machines of the node; none where it is one, or nobody can tell."""
    if not database_url.startswith("postgresql"):
        return ()
    from sqlalchemy.exc import SQLAlchemyError

    from dicom_node.jobs.machines import engine_for, machine_rows

    engine = engine_for(database_url)
    try:
        return machine_rows(engine)
    except SQLAlchemyError:
        return ()  # the check `database` tells
    finally:
        engine.dispose()


def _code(told: dict[str, Any]) -> ExitCode:
    states = {check["name"]: check["state"] for check in told["checks"]}
    if told["ready"]:
        return ExitCode.DONE
    is_silent = states.get("acceptors") == "failed"
    return ExitCode.UNREACHABLE if is_silent else ExitCode.FAILED


def _amount(check: dict[str, Any], key: str) -> str:
    amount, unit = check[key], check["unit"]
    if amount is None:
        return "-"
    if unit == "bytes":
        return f"{amount / 2**30:.1f} GiB"
    return f"{amount:g} {unit}".strip()
