"""Bytes changed at random: what a broken sender, a bad cable or an attacker makes."""

from __future__ import annotations

import random
from collections.abc import Callable

_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
"""What overflows, or means something else."""

_LONGEST_INSERT = 64
_MOST_CHANGES = 4

Mutation = Callable[[bytearray, random.Random], None]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to four changes; empty bytes get some."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        chance.choice(_MUTATIONS)(changed, chance)
    return bytes(changed)


def noise(chance: random.Random, most: int) -> bytes:
    """Return up to so many random bytes."""
    return chance.randbytes(chance.randint(0, most))


def _flip(data: bytearray, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    data[at : at + chance.randint(1, 8)] = noise(chance, 8)


def _insert(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = noise(chance, _LONGEST_INSERT)


def _remove(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    del data[at : at + chance.randint(1, _LONGEST_INSERT)]


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randint(0, len(data)) :]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    part = data[at : at + chance.randint(1, 200)]
    data[at:at] = part * chance.randint(1, 8)


def _miscount(data: bytearray, chance: random.Random) -> None:
    """Write a telling number where a length may stand."""
    size = chance.choice((2, 4))
    order = chance.choice(("big", "little"))
    number = chance.choice(_LENGTHS) & (256**size - 1)
    at = chance.randint(0, len(data))
    data[at : at + size] = number.to_bytes(size, "big" if order == "big" else "little")


_MUTATIONS: tuple[Mutation, ...] = (
    _flip, _overwrite, _insert, _remove, _cut, _repeat, _miscount,
)  # fmt: skip
