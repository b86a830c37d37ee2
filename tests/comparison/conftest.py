from collections.abc import Iterator

import pytest

from app.comparison.documents import Documents, write_documents
from app.comparison.processes import Guard


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


@pytest.fixture
def scratch(guard: Guard) -> Iterator[str]:
    with guard.temporary_directory() as path:
        yield path


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """The files that servers serve, written once: tests only read them."""
    return write_documents(str(tmp_path_factory.mktemp("comparison") / "site"))
