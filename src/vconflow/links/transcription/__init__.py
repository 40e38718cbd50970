"""What the links that transcribe share: `transcribe` and one for each vendor."""
