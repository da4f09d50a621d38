"""A phantom spine, measured as a whole."""

from __future__ import annotations

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.measure.measurements import SpineMeasurements, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from tests.support.wedge_spine import Layout, WedgeSpine

SIZE_MM = (12.0, 290.0, 240.0)


def measured(spine: WedgeSpine, layout: Layout | None = None) -> SpineMeasurements:
    """Measure a spine from outlines without fault."""
    frame, shape = (layout or Layout(size_mm=SIZE_MM)).frame()
    tissues = spine.tissue_map(frame, shape)
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    labels = label_source(tissues, anatomy.levels.names)
    return measure_spine(anatomy, spine.volume(frame, shape), labels)


def number(found: SpineMeasurements, level: str, key: str) -> float:
    """Return a value of a level, such as `L4/L5`, that must be known."""
    row = next(row for row in found.discs if row.level == level)
    value = row.number(key)
    if value is None:
        raise AssertionError(row.values[key])
    return value
