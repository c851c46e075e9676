"""The one exception that commands turn into a single line for the user."""


class UsageError(Exception):
    """Something the user gave cannot be used.

    ``str(error)`` is one line that names the offending value, says what was expected and how to
    go on. Commands print it on standard error and exit with status 2.
    """
