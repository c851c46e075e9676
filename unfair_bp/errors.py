"""The exceptions that commands turn into a single line for the user."""


class UsageError(Exception):
    """Something the user gave cannot be used.

    ``str(error)`` is one line that names the value, says what was expected and how to go on.
    Commands print it on standard error and exit with status 2.
    """


class FieldError(UsageError):
    """A value has a field that cannot be used.

    The message names the field, as in ``learning_rate 2 is out of range``; a command names the
    option that sets it, as in ``--learning-rate 2 is out of range``.

    Args:
        field: Name of the field.
        problem: The rest of the line: the value, what was expected, how to go on.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class LibraryError(UsageError, ImportError):
    """A library that this package needs cannot be imported."""
