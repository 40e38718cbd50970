"""The core, in the order a conversation passes it.

`ingest` accepts it; `consumer` reads it from its list; `processor` carries it through the links of
its `chain` (`steps`) and writes it to the storages (`fanout`); what fails waits for a `retry` or
becomes a dead letter. `leases` keeps what this replica owns and takes over what a dead one left;
`lookup` finds a vCon wherever it is; `housekeeping` expires and measures; `supervisor` runs it all.
"""
