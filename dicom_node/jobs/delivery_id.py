"""The ids of deliveries: job, peer, and which attempt of all that were ever made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryId:
    """One attempt to deliver one job to one peer.

    Parameters
    ----------
    number
        Counted from 1 over all attempts, also those after `jobs retry`.
    """

    job_id: str
    peer: str
    number: int

    def __str__(self) -> str:
        return f"{self.job_id}:{self.peer}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> DeliveryId:
        """Return the id that was written as text.

        Raises
        ------
        ValueError
            If it is not `job:peer:number`.
        """
        job_id, peer, number = text.split(":")
        return cls(job_id=job_id, peer=peer, number=int(number))

    def next(self) -> DeliveryId:
        """Return the id of the attempt after this one."""
        return DeliveryId(job_id=self.job_id, peer=self.peer, number=self.number + 1)
