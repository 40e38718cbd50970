"""The failover measurement: how much of what was accepted a killed master of Redis takes along.

`python -m tests.failover` runs it. In reading order: `trial` (one kill), `__main__` (many).
"""
