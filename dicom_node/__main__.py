"""`python -m dicom_node` is `lumbar-node`."""

from dicom_node.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
