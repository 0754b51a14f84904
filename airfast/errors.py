"""The one exception that a user's input can raise, and what is only said."""


class InputError(ValueError):
    """A wrong input: file, option or array.

    The message is one line that names the file (and line or frame where there is one), what was expected and what
    was found. The command prints it and exits with status 2.
    """


class Note(UserWarning):
    """Something that the user should know and that stops nothing; the command prints it as one line."""
