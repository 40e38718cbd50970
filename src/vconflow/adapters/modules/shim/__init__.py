"""Stands in for modules of the reference conserver that its links and storages import."""
