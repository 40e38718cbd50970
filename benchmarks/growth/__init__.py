"""What a vCon costs when there is more of everything: no more than when there is less.

Every curve is CPU time, of the server and its Valkey together, and becomes a plot.
"""
