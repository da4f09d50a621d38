"""The step `analyse`: a job's series, decoded and analysed."""

from __future__ import annotations

from analysis.contract.plugin import Writing
from dicom_node.corrections.measure_again import analyse_correction, measured_job
from dicom_node.decode.read_file import limits_of
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.chosen_device import chosen_device
from dicom_node.plugins.registry import Registry
from dicom_node.records import Job
from dicom_node.settings.sections import Settings
from dicom_node.settings.self_test import TEST_TITLE
from dicom_node.spool_layout import SpoolLayout
from dicom_node.work.result_identity import route_of, writing_of


def analyse_job(job: Job, settings: Settings, registry: Registry) -> Analysed:
    """Measure a series, and compare it with an earlier one if its route wants that.

    Raises
    ------
    SeriesRejectedError, UnsuitableInput
        If the series cannot be measured.
    AnalysisError, NodeError
        If the analysis, the settings or the machine is at fault.
    """
    route = route_of(job, settings)
    if route.follow_up is None or job.series.calling_ae == TEST_TITLE:
        return _measured(job, settings, registry, writing_of(route))
    from dicom_node.prior.compare import PriorSearch

    about = measured_job(SpoolLayout(settings.spool.folder), job)
    search = PriorSearch(settings, registry, about, route)
    with search.running():
        return search.compare(_measured(job, settings, registry, writing_of(route)))


def _measured(
    job: Job, settings: Settings, registry: Registry, writing: Writing
) -> Analysed:
    analysis, work = registry.get(job.analysis), settings.work
    if job.correction is not None:
        layout = SpoolLayout(settings.spool.folder)
        return analyse_correction(layout, job, analysis, work, writing)
    return analyse_series(
        [instance.path for instance in job.series.instances],
        analysis,
        threads=work.threads,
        device=chosen_device(work.device),
        limits=limits_of(work.max_inflated_mb),
        writing=writing,
    )
