"""The supervisor: it starts the processes, keeps them alive, queues and stops."""
