"""Everything opened and wired."""

from vconflow.app.opening import App, open_app

__all__ = ["App", "open_app"]
