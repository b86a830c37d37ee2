"""Headless Chromium: the system's own, steered by Playwright."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.programs import missing, program

try:
    from playwright.sync_api import Page, sync_playwright
except ImportError:  # there are wheels for two processors only
    missing("playwright is not installed")

__all__ = ["Page", "complaints", "follow", "look_like", "window"]


@contextmanager
def window(**options: Any) -> Iterator[Page]:
    """Open a window of a new browser, with Playwright's *options*; both close with the block."""
    chromium = program("chromium", "chromium-browser", "google-chrome")
    # Playwright starts it without a sandbox, which root and containers could not give it.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        try:
            yield browser.new_page(**options)
        finally:
            browser.close()


def look_like(
    page: Page, *, width: int = 1280, scheme: str = "light", forced_colors: str = "none"
) -> None:
    """Give the window a width, in CSS pixels, and its user a preference for light or dark, or
    colours of the system alone.
    """
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme, forced_colors=forced_colors)  # type: ignore[arg-type]


def follow(page: Page, selector: str) -> None:
    """Click where it leads to another page, and wait for that."""
    with page.expect_navigation():
        page.click(selector)


def complaints(page: Page) -> list[str]:
    """Return what the console shows since the page was opened: refused by a policy, not found, an
    exception.
    """
    messages = page.console_messages(filter="since-navigation")
    errors = page.page_errors(filter="since-navigation")
    return [message.text for message in messages] + [str(error) for error in errors]
