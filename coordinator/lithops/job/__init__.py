"""Turn a function, its modules and its data into a job; and wait for the calls of jobs."""
