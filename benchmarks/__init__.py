"""How fast vconflow is, and how far from what is possible: see README.md of this folder."""
