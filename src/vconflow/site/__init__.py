"""What runs now, by which configuration: chains, links, storages and followers, opened."""

from vconflow.site.component_pool import ComponentPool, open_pool
from vconflow.site.components import Components, Parts, Surroundings
from vconflow.site.site import Site, open_site

__all__ = [
    "ComponentPool",
    "Components",
    "Parts",
    "Site",
    "Surroundings",
    "open_pool",
    "open_site",
]
