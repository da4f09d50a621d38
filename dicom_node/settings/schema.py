"""The JSON schema of `node.yaml`, so that editors complete and check it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dicom_node.settings.sections import Settings


def schema_text() -> str:
    """Return `config/node.schema.json` as it must be, with a final newline."""
    schema = Settings.model_json_schema()
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "node.yaml of lumbar-node",
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write the schema to the file named on the command line."""
    Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
