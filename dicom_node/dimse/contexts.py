"""The presentation contexts that we accept and propose.

Written out here, and not taken from pynetdicom, so that an acceptor process need not
import it (55 MB each); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from dicom_node.dimse.storage_commitment import PUSH_MODEL

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

_STANDARD_ROOT = "1.2.840.10008."
_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
"""Every Storage SOP Class of PS3.4 B.5, also the retired ones and those to come."""

_INVENTORY_ROOT = "1.2.840.10008.5.1.4.1.1.201."
"""Inventories (PS3.4 YY to BBB): services in the middle of the storage classes, and one
object that says what an archive holds and belongs to no study."""

_STORAGE_ELSEWHERE = frozenset(
    {
        "1.2.840.10008.5.1.4.34.1",  # RT Beams Delivery Instruction (trial)
        "1.2.840.10008.5.1.4.34.7",  # RT Beams Delivery Instruction
        "1.2.840.10008.5.1.4.34.10",  # RT Brachy Application Setup Delivery
    }
)

_NATIVE_SYNTAXES = frozenset(
    {
        IMPLICIT_LITTLE,
        EXPLICIT_LITTLE,
        "1.2.840.10008.1.2.1.98",  # encapsulated uncompressed explicit
        "1.2.840.10008.1.2.1.99",  # deflated explicit
        "1.2.840.10008.1.2.2",  # explicit big endian, retired
        "1.2.840.10008.1.2.5",  # RLE lossless
        "1.2.840.10008.1.2.8.1",  # deflated image frame
    }
)
_CODEC_ROOT = "1.2.840.10008.1.2.4."
"""JPEG, JPEG-LS, JPEG 2000, HTJ2K, JPEG XL, MPEG: datasets in explicit little endian
(PS3.5 A.4), so they can be kept whichever codec it is."""

MEASURED_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image
        "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image
    }
)
"""Classes whose pixels are decoded; all others are only kept."""
DECODED_SYNTAXES = frozenset(
    {
        IMPLICIT_LITTLE,
        EXPLICIT_LITTLE,
        "1.2.840.10008.1.2.1.99",  # deflated explicit
        "1.2.840.10008.1.2.2",  # explicit big endian, retired
        "1.2.840.10008.1.2.4.50",  # JPEG baseline
        "1.2.840.10008.1.2.4.51",  # JPEG extended
        "1.2.840.10008.1.2.4.57",  # JPEG lossless
        "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
        "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
        "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
        "1.2.840.10008.1.2.4.91",  # JPEG 2000
        "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
        "1.2.840.10008.1.2.4.202",  # HTJ2K lossless, RPCL
        "1.2.840.10008.1.2.4.203",  # HTJ2K
        "1.2.840.10008.1.2.5",  # RLE lossless
    }
)
"""Of those that are kept, the ones that `dicom_node.decode` has a decoder for."""

_COMMANDS = frozenset({VERIFICATION, PUSH_MODEL})
"""Classes of which no dataset is kept as it came."""
PROPOSED_SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""What we propose for an uncompressed object of ours; each in its own context."""


def is_storage(abstract_syntax: str) -> bool:
    """Tell whether a SOP class is stored, as far as its UID can say.

    A private SOP class, and a storage class younger than this table, is stored too:
    one object that is not taken makes a whole auto-route fail.
    """
    if abstract_syntax.startswith(_STANDARD_ROOT):
        if abstract_syntax.startswith(_INVENTORY_ROOT):
            return False
        return (
            abstract_syntax.startswith(_STORAGE_ROOT)
            or abstract_syntax in _STORAGE_ELSEWHERE
        )
    return bool(abstract_syntax)


def is_kept_syntax(transfer_syntax: str) -> bool:
    """Tell whether datasets of a transfer syntax can be kept as they come."""
    return transfer_syntax in _NATIVE_SYNTAXES or transfer_syntax.startswith(
        _CODEC_ROOT
    )


def is_supported(abstract_syntax: str) -> bool:
    """Tell whether we are an SCP of this SOP class."""
    return abstract_syntax == VERIFICATION or is_storage(abstract_syntax)


def choose_syntax(abstract_syntax: str, proposed: Sequence[str]) -> str | None:
    """Choose the transfer syntax of one proposed context.

    The first that we can keep: what a sender names first is mostly what its file is
    in, and then it need not convert. Of a picture that may be measured, the first that
    we can decode, if there is one: what is only kept would be refused later.

    Returns
    -------
    str or None
        None if no proposed transfer syntax is supported.
    """
    if abstract_syntax in _COMMANDS:
        allowed = [syntax for syntax in proposed if syntax in PROPOSED_SYNTAXES]
    else:
        allowed = [syntax for syntax in proposed if is_kept_syntax(syntax)]
    if abstract_syntax in MEASURED_CLASSES:
        allowed.sort(key=lambda syntax: syntax not in DECODED_SYNTAXES)
    return allowed[0] if allowed else None
