"""Python environments that are built for jobs from wheels, and kept for the jobs after them."""
