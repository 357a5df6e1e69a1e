"""What runs where, as values: read from the records of this user, from the configuration and from agents.

`hosts` finds hosts, `workers` and `jobs` look at them; nothing here prints or changes anything.
"""
