"""The command `lithops`: what runs where, entered, repaired and ended from a terminal.

`main.py` is the root, `commands.py` the table of what there is; each file beside them has the commands of one
topic. `click` reads the command line and `rich` draws tables; what is shown comes from `lithops.inspection`.
"""
