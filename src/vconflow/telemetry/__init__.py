"""What can be seen from outside: logs, metrics, and the events that make both."""
