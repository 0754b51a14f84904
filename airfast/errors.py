"""The one exception that a user's input can raise, and what is only said."""


class InputError(ValueError):
    """A wrong input: file, option or array.

    The message is one line that names the file (and line or frame where there is one), what was expected and what
    was found. The command prints it and exits with status 2.
    """


class Note(UserWarning):
    """Something that the user should know and that stops nothing; the command prints it as one line."""


def in_one_line(error: Exception) -> str:
    """The first line of what an error of another library says, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
