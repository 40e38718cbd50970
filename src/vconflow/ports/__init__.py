"""The Protocols the core needs; adapters and links implement them, the core never sees more."""
