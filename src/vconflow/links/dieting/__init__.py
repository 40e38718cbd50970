"""What the link `diet` does to the parts of a vCon."""
