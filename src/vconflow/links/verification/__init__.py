"""What the link `verify` is made of: signatures (JWS) and the certificates behind them (X.509)."""
