"""The DICOM service of lumbar-node: network, disk, jobs and DICOM objects."""

__version__ = "0.1.0"
