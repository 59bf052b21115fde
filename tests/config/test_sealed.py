"""Small files with their own checksum: a change is noticed, and files of before are read."""

from pathlib import Path

import pytest

from deit.config.sealed import (
    CHECKSUMS,
    CorruptError,
    parse_record,
    read_text,
    record_text,
    refuse_unlisted,
    write_listed,
    write_text,
)

TEXT = "seed: 0\nname: \u00e9\n"


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_bit_of_a_text_changes_unnoticed(tmp_path: Path) -> None:
    file = tmp_path / "0.yaml"
    write_text(file, TEXT)
    whole = file.read_bytes()
    assert read_text(file) == TEXT
    for bit in range(8 * len(whole)):
        file.write_bytes(flipped(whole, bit))
        with pytest.raises(CorruptError, match=r"0\.yaml is damaged"):
            read_text(file)
    for length in (0, *range(len("# sha256"), len(whole))):  # a shorter rest is a comment, and no configuration
        file.write_bytes(whole[:length])
        with pytest.raises(CorruptError):
            read_text(file)
    write_text(file, TEXT)
    assert file.read_bytes() == whole


def test_a_text_of_before_is_read(tmp_path: Path) -> None:
    (tmp_path / "0.yaml").write_text(TEXT, encoding="utf-8")
    assert read_text(tmp_path / "0.yaml") == TEXT


def test_no_bit_of_a_record_changes_unnoticed() -> None:
    record = {"status": "done", "metrics": {"test/acc1": 97.25, "nan": 1e-7}, "overrides": ["a=1"], "error": None}
    whole, file = record_text(record).encode(), Path("run.json")
    assert parse_record(whole.decode(), file) == record
    refused = 0
    for bit in range(8 * len(whole)):
        try:
            found = parse_record(flipped(whole, bit).decode(), file)
        except ValueError:
            refused += 1
        else:
            assert {name: found.get(name) for name in record} == record
    assert refused > 7 * len(whole)
    assert parse_record('{"status": "done"}', file) == {"status": "done"}, "of before"


def test_a_file_agrees_with_the_list_beside_it_before_and_after_it_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    refuse_unlisted(file, b"anything")
    write_listed(file, "1")
    write_listed(file, "2")
    for content in (b"1", b"2"):  # the list is written first, and a crash may come between
        refuse_unlisted(file, content)
    with pytest.raises(CorruptError, match=r"metrics\.csv is damaged"):
        refuse_unlisted(file, b"3")
    write_listed(file, "4")
    with pytest.raises(CorruptError):
        refuse_unlisted(file, b"1")
    (tmp_path / CHECKSUMS).write_text("{")
    with pytest.raises(CorruptError, match=r"\.checksums\.json is damaged"):
        refuse_unlisted(file, b"4")
    write_listed(file, "5")
    refuse_unlisted(file, b"5")
