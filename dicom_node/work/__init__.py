"""The worker: one module a step of a job."""
