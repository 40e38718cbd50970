"""The test kit: real servers to break, a TCP proxy to cut, and contract suites for components.

Shipped so that whoever writes a link or a storage tests it the way the built-in ones are tested.
"""
