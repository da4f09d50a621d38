"""The codes by which a job fails, which is no fault of its input, and what to do."""

from __future__ import annotations

from dicom_node.input_codes import InputCode

FAILURES = (
    InputCode(
        "peer-unreachable",
        "no association with a peer could be opened, or it broke off, until "
        "`jobs.retry_days` were over",
        "mend the peer or the way to it (`echo PEER`), then `jobs retry`",
    ),
    InputCode(
        "association-rejected",
        "a peer rejects our associations; the text says why",
        "enter our AE title and address at the peer, then `jobs retry`",
    ),
    InputCode(
        "not-stored",
        "a peer did not take an object, as while its disk is full",
        "look into the peer's log, then `jobs retry`",
    ),
    InputCode(
        "delivery-refused",
        "a peer refused an object for good; the text names it and the status",
        "let the peer accept it, or take its kind out of `objects` of the route; then "
        "`jobs retry`",
    ),
    InputCode(
        "commitment-failed",
        "a peer has stored the results, and reports that it does not keep all of them, "
        "also after they were sent again",
        "look at the peer's log and disk, then `jobs retry`",
    ),
    InputCode(
        "commitment-not-reported",
        "a peer has stored the results, and has sent no report of storage commitment "
        "until `jobs.retry_days` were over",
        "have the peer report to the node's AE title, address and port, then `jobs "
        "retry`; or set `proof` of the peer to found or stored",
    ),
    InputCode(
        "commitment-refused",
        "a peer has stored the results, and does not offer storage commitment or "
        "refuses the request",
        "set `proof` of the peer to found or stored, then `jobs retry`",
    ),
    InputCode(
        "commitment-deferred",
        "a peer has stored the results, and took no request for storage commitment "
        "until `jobs.retry_days` were over",
        "look at the peer's log, then `jobs retry`",
    ),
    InputCode(
        "results-not-found",
        "a peer has stored the results, and does not find them when it is asked, also "
        "after they were sent again",
        "look at the peer's log and disk, then `jobs retry`",
    ),
    InputCode(
        "query-failed",
        "a peer with `proof: found` has stored the results, and does not answer the "
        "query for them",
        "let the peer answer C-FIND of Study Root, or set its `proof` to stored; then "
        "`jobs retry`",
    ),
    InputCode(
        "results-missing", "the results are no longer in the outbox", "`jobs rerun`"
    ),
    InputCode(
        "peer-unknown",
        "the settings name the peer no more",
        "name it again and `jobs retry`, or `jobs cancel`",
    ),
    InputCode("route-unknown", "the settings name the route no more", "`jobs rerun`"),
    InputCode(
        "analysis-unavailable",
        "the analysis of the route cannot be loaded",
        "`check` tells why; mend it, then `jobs retry`",
    ),
    InputCode(
        "analysis-failed",
        "the analysis broke off",
        "`jobs retry` once; if it fails again, report it to the maker",
    ),
    InputCode(
        "out-of-resources",
        "memory or the device gave out, and again after a quarter of an hour",
        "give the machine more memory or fewer `work.processes`, then `jobs retry`",
    ),
    InputCode(
        "machine-trouble",
        "the machine was short of something, or its disk broke",
        "look at its disk and memory, then `jobs retry`",
    ),
    InputCode("spool-full", "too little disk was free", "make room, then `jobs retry`"),
    InputCode(
        "spool-failed",
        "the disk of the spool failed",
        "look at the disk, then `jobs retry`",
    ),
    InputCode(
        "job-database",
        "the job database could not be read or written",
        "look at its server or disk, then `jobs retry`",
    ),
    InputCode(
        "instance-missing",
        "a file of the series is no longer in the spool",
        "send the series again",
    ),
    InputCode(
        "instance-damaged",
        "a file of the series no longer holds what was received",
        "look at the disk, and send the series again",
    ),
    InputCode(
        "source-missing",
        "the series whose outlines a reader has corrected is not in the spool",
        "send that series, then `jobs retry`",
    ),
    InputCode(
        "encoding",
        "an object broke the rules of its kind and was not sent: our fault",
        "report it to the maker, with the text",
    ),
    InputCode(
        "internal-error",
        "a fault of ours; the text says where",
        "`jobs retry` once; if it fails again, report it to the maker",
    ),
    InputCode(
        "internal_error",
        "the engine of the jobs gave up",
        "`jobs retry`; the log tells more",
    ),
    InputCode(
        "worker_crashed",
        "the worker ended each time while it worked on this",
        "`jobs retry` once; if it fails again, report it to the maker",
    ),
    InputCode(
        "timed_out",
        "a step took longer than `jobs.time_limit_s`, each time",
        "raise the limit if the machine is slow, then `jobs retry`",
    ),
)
