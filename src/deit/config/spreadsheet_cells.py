"""Cells of a CSV file that neither a spreadsheet nor a terminal executes: their texts may come from anyone's files."""

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take the wide ones for the others
"""Leading characters that a spreadsheet would execute as a formula, also after blanks and line breaks."""


def inert(value: object) -> object:
    """Return a text without control characters, and behind an apostrophe if a spreadsheet would take it for a formula.

    What is no text is returned as it is. Bytes that are no UTF-8 stay, so that a file can still be found by its name.
    """
    if not isinstance(value, str):
        return value
    plain = "".join(letter if _is_plain(letter) else "?" for letter in value)
    return f"'{plain}" if plain.lstrip().startswith(FORMULA) or plain[:1] in ("\t", "\r", "\n") else plain


def _is_plain(letter: str) -> bool:
    return letter.isprintable() or letter in "\n\t" or "\udc80" <= letter <= "\udcff"
