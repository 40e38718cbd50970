"""What the flows share: documents, servers, load, windows and the report."""
