"""The cases: each is made of the seed and its number alone, so it can be run again."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from dicom_node.identifiers import derived_uid
from tests.fuzz.datasets import SYNTAXES, wrong_dataset
from tests.fuzz.mutation import mutated, noise
from tests.support.raw_association import MR

CALLING_AE = "FUZZER"
CALLED_AE = "LUMBAR_AI"
_PER_SERIES = 150
"""Cases whose datasets say that they are of one series; so jobs stay few."""

_C_STORE, _C_ECHO = 0x0001, 0x0030
_RELEASE = struct.pack(">BxI", 5, 4) + bytes(4)
_ABORT = struct.pack(">BxI", 7, 4) + bytes(4)


class Kind(StrEnum):
    """What is wrong in a case."""

    ASSOCIATION = "association requests"
    PDU = "PDUs"
    COMMAND = "command sets"
    DATASET = "datasets"
    CONNECTION = "connections"


class Ending(StrEnum):
    """How the client goes."""

    HALF_CLOSED = "closes its half and waits for the end"
    CLOSED = "closes and goes"
    RESET = "resets"


@dataclass(frozen=True, slots=True)
class Case:
    """What a client sends, piece by piece, and how it goes."""

    number: int
    kind: Kind
    pieces: tuple[bytes, ...]
    ending: Ending


def make_case(seed: str, number: int) -> Case:
    """Return the case of this number."""
    chance = random.Random(f"{seed} case {number}")
    kind = chance.choices(tuple(_MAKERS), (20, 25, 20, 30, 5))[0]
    sent = _MAKERS[kind](chance, f"{seed} {number // _PER_SERIES}", number)
    ending = chance.choices(tuple(Ending), (80, 10, 10))[0]
    return Case(number, kind, tuple(_pieces(sent, chance)), ending)


def _pieces(sent: bytes, chance: random.Random) -> Iterator[bytes]:
    """Cut what is sent at random places, at times; the node must not mind."""
    while sent and chance.random() < 0.3:
        at = chance.randint(1, len(sent))
        yield sent[:at]
        sent = sent[at:]
    if sent:
        yield sent


def associate_request(
    sop_class: str = MR, syntax: str = SYNTAXES[0], *, calling: str = CALLING_AE
) -> bytes:
    """Return a right A-ASSOCIATE-RQ with one context, of id 1."""
    context = b"\x01\0\0\0" + _item(0x30, sop_class.encode())
    context += _item(0x40, syntax.encode())
    body = struct.pack(">Hxx", 1) + CALLED_AE.encode().ljust(16)
    body += calling.encode().ljust(16) + bytes(32)
    body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context)
    body += _item(0x50, _item(0x51, struct.pack(">I", 16384)))
    return _pdu(1, body)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def _data_pdu(control: int, data: bytes, context: int = 1) -> bytes:
    return _pdu(4, struct.pack(">IBB", len(data) + 2, context, control) + data)


def _element(number: int, value: bytes, group: int = 0) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(value)) + value


def _command(field: int, sop_instance_uid: str, *, has_dataset: bool) -> list[bytes]:
    return [
        _element(0x0002, MR.encode()),
        _element(0x0100, struct.pack("<H", field)),
        _element(0x0110, b"\x07\0"),
        _element(0x0700, b"\0\0"),
        _element(0x0800, b"\0\0" if has_dataset else b"\x01\x01"),
        _element(0x1000, sop_instance_uid.encode()),
    ]


def _store(sop_instance_uid: str, dataset: bytes, chance: random.Random) -> bytes:
    command = b"".join(_command(_C_STORE, sop_instance_uid, has_dataset=True))
    sent = _data_pdu(3, command)
    size = chance.choice((64, 1000, 16378, 200_000))
    for at in range(0, max(len(dataset), 1), size):
        last = at + size >= len(dataset)
        sent += _data_pdu(2 if last else 0, dataset[at : at + size])
    return sent


def _association(chance: random.Random, _series: str, _number: int) -> bytes:
    right = associate_request()
    wrong = chance.choice(
        (
            lambda: mutated(right, chance),
            lambda: right[:6] + mutated(right[6:], chance),
            lambda: _pdu(1, mutated(right[6:], chance)),
            lambda: _pdu(1, right[6:74] + _item(0x20, noise(chance, 300)) * 40),
            lambda: _pdu(1, right[6:74] + noise(chance, 2000)),
            lambda: _pdu(
                1, right[6:] + _item(0x20, right[99:160]) * chance.randint(1, 900)
            ),
            lambda: associate_request(noise(chance, 60).decode("latin-1"), "1.2"),
            lambda: associate_request(calling=chance.choice(("", "STRANGER", "é" * 8))),
        )
    )()
    return wrong + chance.choice((b"", _RELEASE, _store("1.2.3", b"", chance)))


def _pdus(chance: random.Random, _series: str, _number: int) -> bytes:
    sent = associate_request()
    for _ in range(chance.randint(1, 6)):
        sent += chance.choice(
            (
                lambda: _pdu(chance.randint(0, 9), noise(chance, 200)),
                lambda: _pdu(4, noise(chance, 200)),
                lambda: _data_pdu(chance.randint(0, 255), noise(chance, 100)),
                lambda: _data_pdu(3, noise(chance, 100), chance.randint(0, 255)),
                lambda: _data_pdu(chance.randint(0, 3), b"") * chance.randint(1, 99),
                lambda: struct.pack(
                    ">BxI", 4, chance.choice((0, 1, 5, 2**20, 2**32 - 1))
                ),
                lambda: mutated(_store("1.2.3", noise(chance, 300), chance), chance),
                lambda: _data_pdu(1, noise(chance, 3000)) * chance.randint(1, 9),
                associate_request,
                lambda: chance.choice((_RELEASE, _ABORT)),
                lambda: noise(chance, 500),
            )
        )()
    return sent


def _commands(chance: random.Random, _series: str, number: int) -> bytes:
    field = chance.choice(
        (_C_STORE, _C_ECHO, 0x0010, 0x0020, 0x0021, 0x0FFF, 0x0100, 0x8001, 0xFFFF)
    )
    elements = _command(field, f"1.2.{number}", has_dataset=chance.random() < 0.5)
    for _ in range(chance.randint(1, 3)):
        former = elements.pop(chance.randrange(len(elements)))
        changed = chance.choice(
            (
                b"",
                mutated(former, chance),
                former * 2,
                _element(chance.randint(0, 0xFFFF), noise(chance, 40)),
                _element(0x1000, b"1" * chance.choice((65, 300, 9000))),
                _element(0x1030, noise(chance, 40)),
                _element(0x0002, noise(chance, 40), group=8),
            )
        )
        elements.insert(chance.randint(0, len(elements)), changed)
    sent = associate_request() + _data_pdu(3, b"".join(elements))
    if chance.random() < 0.7:
        sent += _data_pdu(2, noise(chance, 500))
    return sent + chance.choice((b"", _RELEASE))


def _dataset(chance: random.Random, series: str, number: int) -> bytes:
    syntax = chance.choice(SYNTAXES)
    uid = str(derived_uid("fuzz", series, str(number)))
    dataset = wrong_dataset(
        chance, series=f"fuzz {series}", sop_instance_uid=uid, syntax=syntax
    )
    sent = associate_request(syntax=syntax) + _store(uid, dataset, chance)
    return sent + chance.choice((b"", _RELEASE, _RELEASE))


def _connection(chance: random.Random, _series: str, _number: int) -> bytes:
    return chance.choice(
        (
            b"",
            b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise(chance, 500),
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
            noise(chance, 5000),
        )
    )


_MAKERS: dict[Kind, Callable[[random.Random, str, int], bytes]] = {
    Kind.ASSOCIATION: _association,
    Kind.PDU: _pdus,
    Kind.COMMAND: _commands,
    Kind.DATASET: _dataset,
    Kind.CONNECTION: _connection,
}
