"""Running jq filters where they can do no harm: in a process of their own."""
