"""Put the weights of a network into its ONNX graph, in memory.

The graph names its weights by offset and length in another file. OpenVINO would open
that file by itself, and compute with other bytes than those that were verified.
"""

from __future__ import annotations

from collections.abc import Iterator

_GRAPH, _INITIALISER = 7, 5
"""Fields of ModelProto and of GraphProto."""
_RAW_DATA, _EXTERNAL, _LOCATION = 9, 13, 14
"""Fields of TensorProto; the first takes the place of the other two."""
_KEY, _VALUE = 1, 2
"""Fields of StringStringEntryProto."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
"""Wire types."""
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_MORE, _SEVEN_BITS = 0x80, 0x7F
_WIRE_BITS, _WIRE_MASK = 3, 0x07

_Field = tuple[int, int, bytes]
"""Number, wire type, and content; a length-delimited one without its length."""


def with_weights(graph: bytes, weights: bytes) -> bytes:
    """Return a graph that holds its weights itself.

    Parameters
    ----------
    graph
        Verified content of an ONNX file whose initialisers lie in one other file.
    weights
        Verified content of that file.

    Raises
    ------
    ValueError
        If the graph is no ONNX file, or points beyond its weights.

    References
    ----------
    .. [1] Protocol Buffers, Encoding; onnx.proto3, `TensorProto.external_data`.
    """
    return b"".join(
        _written(number, wire, _whole(content, weights))
        if number == _GRAPH
        else _written(number, wire, content)
        for number, wire, content in _fields(graph)
    )


def _whole(graph: bytes, weights: bytes) -> bytes:
    return b"".join(
        _written(number, wire, _filled(content, weights))
        if number == _INITIALISER
        else _written(number, wire, content)
        for number, wire, content in _fields(graph)
    )


def _filled(tensor: bytes, weights: bytes) -> bytes:
    fields = list(_fields(tensor))
    where = dict(
        _entry(content) for number, _, content in fields if number == _EXTERNAL
    )
    if not where:
        return tensor
    start, length = int(where["offset"]), int(where["length"])
    if start + length > len(weights):
        message = f"a weight ends at {start + length} of {len(weights)} bytes"
        raise ValueError(message)
    kept = [one for one in fields if one[0] not in {_EXTERNAL, _LOCATION}]
    kept.append((_RAW_DATA, _LENGTH, weights[start : start + length]))
    return b"".join(_written(*field) for field in kept)


def _entry(entry: bytes) -> tuple[str, str]:
    texts = {number: content.decode() for number, _, content in _fields(entry)}
    return texts[_KEY], texts[_VALUE]


def _fields(message: bytes) -> Iterator[_Field]:
    place = 0
    while place < len(message):
        tag, place = _number_at(message, place)
        wire, start = tag & _WIRE_MASK, place
        if wire == _VARINT:
            _, end = _number_at(message, place)
        elif wire == _LENGTH:
            length, start = _number_at(message, place)
            end = start + length
        elif wire in _FIXED_BYTES:
            end = start + _FIXED_BYTES[wire]
        else:
            text = f"wire type {wire} at byte {place}"
            raise ValueError(text)
        if end > len(message):
            text = f"a field ends at {end} of {len(message)} bytes"
            raise ValueError(text)
        yield tag >> _WIRE_BITS, wire, message[start:end]
        place = end


def _number_at(message: bytes, place: int) -> tuple[int, int]:
    """Read a base-128 number; return it and the place behind it."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & _SEVEN_BITS) << shift
        place += 1
        if byte < _MORE:
            return value, place
        shift += 7
    text = "it ends within a number"
    raise ValueError(text)


def _written(number: int, wire: int, content: bytes) -> bytes:
    head = _number(number << _WIRE_BITS | wire)
    if wire == _LENGTH:
        head += _number(len(content))
    return head + content


def _number(value: int) -> bytes:
    digits = bytearray()
    while value >= _MORE:
        digits.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    digits.append(value)
    return bytes(digits)
