"""What must survive the script: which jobs it submitted, with their data, and where they run.

Everything lies below ``~/.lithops``, readable by the user alone: ``state.db`` (`records`) lists executors,
jobs and hosts for every process of the user, and ``spool/`` (`spool`) has, for each executor that has jobs,
what it submitted. `ledger` is what an executor's session writes both with.
"""
