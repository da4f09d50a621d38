"""What both directions of the network share: contexts, statuses, deadlines."""
