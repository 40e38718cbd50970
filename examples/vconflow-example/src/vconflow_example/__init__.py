"""A link and a storage for vconflow."""
