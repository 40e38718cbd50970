"""Recordings of a vCon as files of this machine: decoded or fetched, checked, and cleared away."""
