"""Dates as HTTP has them."""

from email.utils import formatdate

import pytest

from app.clock import http_date

SECONDS = [0, 59, 60, 3599, 3600, 86399, 86400, 951_782_399, 951_782_400, 1_795_374_308, 2**32]


@pytest.mark.parametrize("seconds", [*SECONDS, 1_795_374_308.75, 86399.999999])
def test_a_date_is_that_of_its_whole_second(seconds: float) -> None:
    assert http_date(seconds) == formatdate(int(seconds), usegmt=True)


def test_before_1970() -> None:
    assert http_date(-0.5) == "Wed, 31 Dec 1969 23:59:59 GMT"
