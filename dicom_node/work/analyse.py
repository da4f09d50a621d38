"""The step `analyse`: a job's series, decoded and analysed."""

from __future__ import annotations

from analysis.contract.errors import UnsuitableInput
from analysis.contract.plugin import Writing
from dicom_node.corrections.measure_again import analyse_correction, measured_job
from dicom_node.decode.read_file import limits_of
from dicom_node.errors import SeriesRejectedError
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.choose_route import choose_from_headers
from dicom_node.plugins.chosen_device import chosen_device
from dicom_node.plugins.registry import Registry
from dicom_node.records import Job, StoredInstance
from dicom_node.settings.sections import Settings
from dicom_node.settings.self_test import TEST_TITLE
from dicom_node.spool_layout import SpoolLayout
from dicom_node.work.measured_ahead import MeasuredAhead, Measurement
from dicom_node.work.result_identity import route_of, writing_of


def analyse_job(
    job: Job, settings: Settings, registry: Registry, ahead: MeasuredAhead
) -> Analysed:
    """Measure a series, and compare it with an earlier one if its route wants that.

    Parameters
    ----------
    ahead
        What has been measured before it was owed.

    Raises
    ------
    SeriesRejectedError, UnsuitableInput
        If the series cannot be measured.
    AnalysisError, NodeError
        If the analysis, the settings or the machine is at fault.
    """
    route = route_of(job, settings)

    def measured() -> Analysed:
        writing = writing_of(route)
        if job.correction is not None:
            return _corrected(job, settings, registry, writing)
        wanted = Measurement(
            instances=job.series.instances, analysis=job.analysis, writing=writing
        )
        return ahead.take(wanted) or measure(wanted, settings, registry)

    if route.follow_up is None or job.series.calling_ae == TEST_TITLE:
        return measured()
    from dicom_node.prior.compare import PriorSearch

    about = measured_job(SpoolLayout(settings.spool.folder), job)
    search = PriorSearch(settings, registry, about, route)
    with search.running():
        return search.compare(measured())


def measure(wanted: Measurement, settings: Settings, registry: Registry) -> Analysed:
    """Measure a series.

    Raises
    ------
    SeriesRejectedError, UnsuitableInput
        If it cannot be measured.
    AnalysisError, NodeError
        If the analysis, the settings or the machine is at fault.
    """
    work = settings.work
    return analyse_series(
        [instance.path for instance in wanted.instances],
        registry.get(wanted.analysis),
        threads=work.threads,
        device=chosen_device(work.device),
        limits=limits_of(work.max_inflated_mb),
        writing=wanted.writing,
    )


def measure_ahead(
    instances: tuple[StoredInstance, ...],
    settings: Settings,
    registry: Registry,
    ahead: MeasuredAhead,
) -> Verdict:
    """Measure what is probably a series, as the route wants it that will take it.

    Returns
    -------
    Verdict
        `REJECTED` if no route takes it, or if it cannot be measured.

    Raises
    ------
    AnalysisError, NodeError
        If the analysis, the settings or the machine is at fault.
    """
    choice = choose_from_headers(
        [one.path for one in instances],
        settings.routes,
        registry,
        limits=limits_of(settings.work.max_inflated_mb),
    )
    if choice.rejection is not None:
        return Verdict.REJECTED
    (route,) = (one for one in settings.routes if one.name == choice.route)
    wanted = Measurement(
        instances=instances, analysis=choice.analysis, writing=writing_of(route)
    )
    if ahead.holds(wanted):
        return Verdict.DONE
    try:
        ahead.keep(wanted, measure(wanted, settings, registry))
    except (SeriesRejectedError, UnsuitableInput) as refusal:
        ahead.keep(wanted, refusal)
        return Verdict.REJECTED
    return Verdict.DONE


def _corrected(
    job: Job, settings: Settings, registry: Registry, writing: Writing
) -> Analysed:
    layout = SpoolLayout(settings.spool.folder)
    analysis = registry.get(job.analysis)
    return analyse_correction(layout, job, analysis, settings.work, writing)
