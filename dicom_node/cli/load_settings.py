"""Settings as the commands read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicom_node.settings.sections import Settings


def read(config: Path) -> Settings:
    """Return the settings of a file.

    Raises
    ------
    SettingsError
        With every mistake.
    """
    from dicom_node.plugins.registry import installed
    from dicom_node.settings.load import load

    return load(config, analyses=list(installed()))
