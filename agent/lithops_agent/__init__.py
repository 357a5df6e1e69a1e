"""What runs on a host: holds tasks, runs them, keeps their results, and ends in time."""
