"""Entering hosts: a terminal or a command there, files to and from it, and what the calls of a job see.

`access` is the way in, whatever the host is; `terminal` joins it to this process's own input and output.
"""
