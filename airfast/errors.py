"""The exceptions that a user's input and a run's numbers can raise, and what is only said."""

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

LONGEST = 1500  # characters of a message: what is quoted in one may be as long as a file
SHORT = Repr()
SHORT.maxlevel, SHORT.maxlist, SHORT.maxstring, SHORT.maxother, SHORT.maxlong = 2, 4, 80, 80, 40


class InputError(ValueError):
    """A wrong input: file, option or array.

    The message is one line that names the file (and line or frame where there is one), what was expected and what
    was found. The command prints it and exits with status 2. What would not show as text is escaped, and a message
    that quotes too much is cut in its middle.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class NonFinite(Exception):
    """Something in training left the finite numbers.

    Attributes:
        what: left them, and where.
        clips: indices of the training clips that took part.
    """

    def __init__(self, what: str, clips: list[int]) -> None:
        super().__init__(what)
        self.what, self.clips = what, clips


class NonFiniteLoss(RuntimeError):
    """Training met numbers that are not finite; the message names epoch, batch and clips, and what was kept."""


class RankFailed(RuntimeError):
    """One of several processes could not go on, and with it the job; the message names it."""


class Note(UserWarning):
    """Something that the user should know and that stops nothing; the command prints it as one line."""


def one_line(text: str) -> str:
    """A text as one line of bounded length, without characters that a terminal would obey."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST * 2 // 3]} … {shown[-LONGEST // 3 :]}"


def shown(value: object) -> str:
    """A value as a short text, however large or deep it is."""
    return SHORT.repr(value)


def in_one_line(error: Exception) -> str:
    """The first line of what an error of another library says, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)`` or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
