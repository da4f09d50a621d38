"""Keys of `node.yaml` that an older version knew: understood, and told of."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from dicom_node.settings.section import Section
from dicom_node.settings.sections import Settings


def deprecated_keys(settings: Settings) -> Iterator[str]:
    """Yield one sentence for each key in use that a site should replace."""
    yield from _deprecated(settings, "")


def _deprecated(section: Section, at: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        if name not in section.model_fields_set:
            continue
        with warnings.catch_warnings():
            # What pydantic warns of is what is told here.
            warnings.simplefilter("ignore", DeprecationWarning)
            value = getattr(section, name)
        if isinstance(value, Section):
            yield from _deprecated(value, f"{at}{name}.")
        elif field.deprecated and value is not None:
            yield f"{at}{name} is of an older version: {field.deprecated}"
