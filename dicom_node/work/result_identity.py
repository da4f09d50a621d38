"""The identity of a result: a digest of everything that shapes its objects.

The same identity gives the same UIDs and the same bytes; anything else gives new UIDs.
Triage derives the id of a job from it, so that the same content under the same settings
is owed once; encoding derives it again, from what holds by then, and makes UIDs of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from analysis.contract.plugin import Writing
from dicom_node import __version__
from dicom_node.encode.encoder_revision import ENCODER_REVISION
from dicom_node.errors import RouteUnknownError
from dicom_node.identifiers import digest
from dicom_node.records import Job, ReceivedSeries
from dicom_node.work.series_notices import notices_about

if TYPE_CHECKING:
    from dicom_node.settings.sections import Route, Settings

_ID_DIGITS = 32
_USUAL_PX = 1024
_SHAPING = {
    "objects", "segmentation", "report_numbers", "language", "page_px", "result_series",
    "follow_up",
}  # fmt: skip
"""Settings of a route that change an object; where it goes to changes none."""


def route_of(job: Job, settings: Settings) -> Route:
    """Return the route of a job, as the settings are now.

    Raises
    ------
    RouteUnknownError
        If it is no longer in the settings.
    """
    for route in settings.routes:
        if route.name == job.route:
            return route
    raise RouteUnknownError(job.route)


def writing_of(route: Route) -> Writing:
    """Return how what people read of a route's results is written."""
    return Writing(language=route.language, page_scale=route.page_px // _USUAL_PX)


def content_time(job: Job, settings: Settings) -> datetime:
    """Return the content time of a job's results, in the zone of the settings."""
    posix_s = job.accepted_at_s if job.content_time_s is None else job.content_time_s
    return datetime.fromtimestamp(posix_s, UTC).astimezone(settings.node.zone)


def shape_of(
    job: Job, measured: ReceivedSeries | None, route: Route, settings: Settings
) -> str:
    """Return the digest of what shapes a job's results, but for what they replace.

    Parameters
    ----------
    job
        Its id and its own `shape` do not count.
    measured
        The series that is measured: the job's own, or the one whose outlines it holds;
        None if that is not in the spool.
    """
    notices = () if measured is None else notices_about(measured)
    return digest(
        "result",
        __version__,
        str(ENCODER_REVISION),
        job.series.digest,
        "" if measured is None else measured.digest,
        *(part for one in notices for part in (one.code, one.text)),
        "" if job.correction is None else job.correction.sop_instance_uid,
        job.analysis,
        job.analysis_version,
        # As it is set: what `auto` stands for is another thing on another machine of
        # the node, and whichever triages has to owe the same. What has computed a
        # result is in the version by which it is encoded.
        settings.work.device,
        route.model_dump_json(include=_SHAPING),
        content_time(job, settings).isoformat(timespec="seconds"),
    )


def shape_of_rejection(job: Job) -> str:
    """Return the digest of a job that is rejected before anything is decoded."""
    code, text = job.rejection or ("", "")
    return digest("rejection", job.series.digest, job.route, code, text)


def result_id(job: Job, shape: str, *, compared: str = "") -> str:
    """Return the identity of a result.

    Parameters
    ----------
    shape
        Of `shape_of`.
    compared
        What came of the comparison with an earlier examination, as text: it depends
        on what an archive answers, which triage cannot know.
    """
    number = 0 if job.correction is None else job.correction.number
    return digest(shape, job.supersedes or "", str(number), compared)[:_ID_DIGITS]
