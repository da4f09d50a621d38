"""The names of our workflows in the job database, for whoever reads it without DBOS."""

TRIAGE = "triage"
JOB = "job"
DELIVERY = "delivery"
