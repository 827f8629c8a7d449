"""Student networks, one a module; each has ``Config`` and ``Network``."""
