"""The codes by which an input is measured with a warning, or refused, and what to do.

Those by which a job fails, which is no fault of the input, stand in `failure_codes`.
`lumbar-node describe` and the page tell all, and the tables of `docs/inputs.md` are
made of them. Reasons and warnings of the analysis itself stand in
`docs/measurements.md`.
"""

from __future__ import annotations

from typing import NamedTuple


class InputCode(NamedTuple):
    """A code, what it says of the input, and what an operator does about it."""

    code: str
    what: str
    advice: str


WARNINGS = (
    InputCode(
        "instances_left_out",
        "objects that are no grey MR picture, pictures of another kind (phase, fat), "
        "or up to a quarter of the series that lies otherwise, are named and not "
        "measured",
        "look whether what is named belongs to the series",
    ),
    InputCode(
        "duplicate_instances",
        "the same picture came twice and was used once",
        "nothing, or ask the sender",
    ),
    InputCode(
        "attributes_mended",
        "attributes that results copy are illegal: mended, shortened or left out; or "
        "texts are not in the character set of their label: kept as they are where it "
        "can hold them, else written in UTF-8; a study, series or frame of reference "
        "with an illegal UID keeps it, for results are found by it, and so does a "
        "patient whose ID has a backslash",
        "correct them at the source; the warning names them",
    ),
    InputCode(
        "delimiters_mended",
        "delimiters of sequences were missing or astray, and were set right",
        "correct the sender",
    ),
    InputCode(
        "attributes_left_out",
        "optional attributes of patient, study and scanner could not be copied at all",
        "report it to the maker, with the kind of attributes and no patient data",
    ),
    InputCode(
        "signal_zero_moved",
        "air does not lie at zero; the values were moved so that it does",
        "nothing; signal ratios are as if it did",
    ),
    InputCode(
        "padding_ignored",
        "padding, stated or found at the end of the scale, was read as air",
        "nothing",
    ),
    InputCode(
        "bits_stored_exceeded",
        "values need more bits than Bits Stored states and were read whole",
        "correct the sender",
    ),
    InputCode("monochrome1_mirrored", "MONOCHROME1: values were mirrored", "nothing"),
    InputCode(
        "lossy_compression",
        "the pictures were compressed with loss",
        "ask for the originals",
    ),
    InputCode(
        "weighting_from_description",
        "only the description states the contrast",
        "nothing",
    ),
    InputCode(
        "slices_apart",
        "slices lie at least half as far again from each other as Spacing Between "
        "Slices states, evenly: every other one may be missing",
        "look whether the series has come whole, and send what is missing",
    ),
    InputCode(
        "mixed_frames",
        "slices name several frames of reference, as where the patient was positioned "
        "anew, or where UIDs were replaced one by one",
        "look whether all slices belong together",
    ),
    InputCode(
        "transfer_interrupted",
        "the association broke off and was not repeated within `series.max_wait_s`; "
        "what had come was measured",
        "send the series again",
    ),
    InputCode(
        "maybe_incomplete",
        "the series was still arriving after `series.max_wait_s`; what had come was "
        "measured",
        "nothing if the count is right; what comes later makes a new result",
    ),
    InputCode(
        "instance_conflict",
        "instances came more than once with different content; the last was measured",
        "look which content is meant, send that one last",
    ),
    InputCode(
        "revised",
        "the series came again with other content; these results supersede the earlier",
        "nothing",
    ),
    InputCode(
        "unreadable_files",
        "files of the folder cannot be read as DICOM (offline)",
        "look whether slices are missing",
    ),
    InputCode(
        "other_suitable_series",
        "the folder holds further series that could be measured (offline)",
        "measure these in a folder of their own",
    ),
)

REFUSALS = (
    InputCode("own_result", "a result of this node", "nothing"),
    InputCode(
        "headers_incomplete",
        "an attribute that every instance must have is missing",
        "send it again whole",
    ),
    InputCode("bad_uid", "a value that is no valid UID", "correct the anonymiser"),
    InputCode("not_mr", "no MR image", "nothing"),
    InputCode("not_an_image", "no rows and columns", "nothing"),
    InputCode("not_human", "the header speaks of an animal", "nothing"),
    InputCode(
        "not_sagittal", "the route takes sagittal slices, and these are none", "nothing"
    ),
    InputCode("not_t2", "the route takes T2, and this is another contrast", "nothing"),
    InputCode(
        "wrong_body_part",
        "Body Part Examined is none that the route takes",
        "nothing, or add the value to `accept.body_part` of the route, then "
        "`jobs rerun`",
    ),
    InputCode(
        "no_route",
        "none of several routes takes the series; the text has the reason of each",
        "as those reasons say",
    ),
    InputCode(
        "mixed_patients",
        "instances differ in ID, issuer, name, birth date or sex",
        "correct the patient in the archive, send again",
    ),
    InputCode(
        "mixed_scanners",
        "pictures of two scanners under one Series UID",
        "separate them",
    ),
    InputCode(
        "mixed_weighting", "pictures of two contrasts or echo times", "separate them"
    ),
    InputCode("not_grey", "colour", "send the grey pictures"),
    InputCode("localiser", "a localiser", "nothing"),
    InputCode(
        "derived",
        "a reformat, projection, subtraction, or a mosaic of slices",
        "send the original series",
    ),
    InputCode(
        "parametric_map", "a map of T1, T2, R2, ADC and the like", "send the pictures"
    ),
    InputCode("not_magnitude", "phase, real or imaginary part", "send the magnitude"),
    InputCode(
        "dixon_component",
        "fat, fat fraction, in or opposed phase",
        "send the water, or a T2 without Dixon",
    ),
    InputCode("no_pixel_data", "an instance without pixels", "send it again whole"),
    InputCode(
        "unsupported_pixels",
        "pixels that cannot be those of MR, or that contradict themselves in what is "
        "bright",
        "send another form",
    ),
    InputCode(
        "unreadable_pixels",
        "pixels that are cut, broken, or of an unknown transfer syntax",
        "send it again, or in another transfer syntax",
    ),
    InputCode(
        "unreadable_instance",
        "a file that is cut or broken before its pixels",
        "send it again",
    ),
    InputCode(
        "over_limit",
        "nesting, elements, lengths or inflated size beyond a limit, which is named "
        "with the instance",
        "a damaged or hostile file; `work.max_inflated_mb` for honest ones",
    ),
    InputCode(
        "too_large",
        "more instances, voxels or bytes than a lumbar series has",
        "send the series alone",
    ),
    InputCode(
        "bad_rescale",
        "slope or intercept are no usable numbers, or a table (Modality LUT Sequence) "
        "stands in their place",
        "correct the sender",
    ),
    InputCode(
        "colliding_uids",
        "different instances under one SOP Instance UID",
        "correct the sender",
    ),
    InputCode(
        "missing_position", "no Image Position (Patient)", "send the original series"
    ),
    InputCode(
        "missing_orientation",
        "no Image Orientation (Patient)",
        "send the original series",
    ),
    InputCode(
        "missing_spacing",
        "no Pixel Spacing, or a lone slice without thickness",
        "send the original series",
    ),
    InputCode(
        "bad_orientation",
        "directions that are no unit vectors at right angles",
        "correct the sender",
    ),
    InputCode("bad_spacing", "a Pixel Spacing of zero or less", "correct the sender"),
    InputCode("mixed_matrix", "slices of different size", "separate them"),
    InputCode("mixed_orientation", "slices oriented otherwise", "separate them"),
    InputCode("mixed_spacing", "different Pixel Spacing", "separate them"),
    InputCode(
        "several_volumes",
        "several pictures at each place, or slices closer than their headers state; "
        "the text says in what they differ, as echo time",
        "send one volume as a series",
    ),
    InputCode("doubled_position", "some places have two pictures", "send it again"),
    InputCode(
        "uneven_spacing",
        "a slice is missing; the text names what was left out before",
        "send it again whole",
    ),
    InputCode(
        "sheared_stack", "slices stacked off their normal", "send the original series"
    ),
    InputCode("no_dicom", "the folder holds no DICOM instance (offline)", "nothing"),
    InputCode(
        "no_suitable_series",
        "the folder holds several series and none is fit; the text has the reason of "
        "each (offline)",
        "as those reasons say",
    ),
    InputCode(
        "source_missing",
        "the folder lacks the series that the outlines of `--corrected` were drawn on "
        "(offline)",
        "give the folder of that series",
    ),
)
