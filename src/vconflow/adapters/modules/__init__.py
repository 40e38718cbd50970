"""Modules written for the reference conserver, run unchanged: its links and its storages.

They block, so they run in threads. What they import of the reference (`lib.vcon_redis`, ...) is
served by `shim/`, which works on the call that is under way (`call.py`).
"""
