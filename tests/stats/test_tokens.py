"""Tokens: what is read, and what is refused in one line that does not give the token away."""

import re
from pathlib import Path

import pytest

from app.stats_tokens import TokenError, Tokens, given_tokens, new_token

A, B = "a" * 22, "B-._~" * 10


def test_a_new_token_has_128_bits_and_is_another_each_time() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", token) for token in tokens)
    assert all(Tokens.parse(token, "it") for token in tokens)


# text, read tokens, metrics tokens
READINGS = [
    (A, (A,), ()),
    (f"{A}\n", (A,), ()),
    (f"# for the office\n\n{A}\n{B}\n", (A, B), ()),
    (f"{A}\nmetrics {B}\n", (A,), (B,)),
    (f"metrics {B}", (), (B,)),
    (f"  {A}  \r\n", (A,), ()),
]


@pytest.mark.parametrize(("text", "read", "metrics"), READINGS)
def test_reading(text: str, read: tuple[str, ...], metrics: tuple[str, ...]) -> None:
    assert Tokens.parse(text, "it") == Tokens(read, metrics)


SENSELESS = ["", "\n", "# nothing", "short", "a" * 21, "a" * 257, f"{A}é", f"read {A}",
             f"{A} {B}", f"{A},{B}", f"metrics  {A}", f"metrics {A} {B}", "secret" * 4 + "!"]  # fmt: skip


@pytest.mark.parametrize("text", SENSELESS)
def test_refused(text: str) -> None:
    with pytest.raises(TokenError) as refused:
        Tokens.parse(text, "TALLY_STATS_TOKEN")
    said = str(refused.value)
    assert said.startswith("TALLY_STATS_TOKEN: ")
    assert "\n" not in said
    assert not text.strip("# \n") or text.strip("# \n") not in said


def test_the_file_comes_before_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(A)
    environ = {"TALLY_STATS_TOKEN": B}
    assert given_tokens(str(file), environ) == Tokens((A,))
    assert given_tokens("", environ) == Tokens((B,))
    assert given_tokens("", {}) is None
    assert given_tokens("", {"TALLY_STATS_TOKEN": ""}) is None


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="No such file"):
        given_tokens(str(tmp_path / "none"), {})
    (tmp_path / "bytes").write_bytes(b"\xff" * 30)
    with pytest.raises(TokenError, match="UTF-8"):
        given_tokens(str(tmp_path / "bytes"), {})
