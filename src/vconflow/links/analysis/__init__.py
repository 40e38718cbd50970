"""What the links that ask a language model share: options, sources, splitting, results."""
