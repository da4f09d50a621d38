"""A result turned into DICOM objects."""

from __future__ import annotations

from dataclasses import replace

from dicom_node.encode.result_context import EncodeRequest
from dicom_node.encode.result_objects import EncodedObject, encode_result
from dicom_node.plugins.analyse_series import Analysed


def encode_series(
    analysed: Analysed, request: EncodeRequest
) -> tuple[EncodedObject, ...]:
    """Turn a result into DICOM objects, in the order in which they are delivered.

    Raises
    ------
    EncodingError
        If an object breaks its IOD.
    """
    request = replace(
        request, compared_with=analysed.compared_with, edited=analysed.edited
    )
    return encode_result(analysed.result, analysed.decoded, request)
