"""The Python environment that functions run in: what is asked for, what that is, and how hosts get it."""
