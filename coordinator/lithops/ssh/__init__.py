"""SSH: which host and how (pure), and the connection that commands and HTTP requests travel through.

paramiko is imported by the adapters below only when a connection is made, so that
``import lithops`` stays fast.
"""
