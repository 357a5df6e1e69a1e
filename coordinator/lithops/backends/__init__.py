"""Where hosts come from: each backend finds, starts and ends its machines, and nothing else."""
