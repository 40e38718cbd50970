"""The soak: minutes of mixed load on real servers under random faults, then an account of it all.

`python -m tests.soak` runs it. In reading order: `options`, `faults` (what happens when),
`stage` (the servers), `replica`, `injection`, `cases` (what is known of each vCon), `load`,
`changes`, `egress`, `webhook`, `inspection` (what is there at the end), `verdict`, `report`.
"""
