"""The one exception that is meant for the user's eyes."""


class UserError(Exception):
    """Bad input or configuration. The message names the thing and the remedy; no traceback is shown."""
