"""Providers of models: chat completions, speech to text, embeddings.

Their clients are imported when an account is opened, and shared by all who name the same one.
"""

from vconflow.adapters.providers.credentials import Environment
from vconflow.adapters.providers.opening import ProviderOptions, open_providers
from vconflow.adapters.providers.prices import Prices

__all__ = ["Environment", "Prices", "ProviderOptions", "open_providers"]
