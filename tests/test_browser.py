"""The HTML report seen in a real browser: Debian's chromium, driven by playwright; skipped where either is not installed.

`pip install -c constraints.txt playwright` and `apt-get install chromium` bring both; no browser is downloaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossdoc.html.page import render
from tests.pages import DOCUMENTS, NAMES

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")
WIDTHS = (360, 768, 1600)
THEMES = ("light", "dark")
LEAST = 4.5  # WCAG 2.2, 1.4.3: contrast of text, AA

# Every text node that is seen, with the contrast of its color against what lies behind it (WCAG's relative luminance).
CONTRASTS = """() => {
  const parse = text => { const found = text.match(/[\\d.]+/g).map(Number); return [...found, 1].slice(0, 4); };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const behind = element => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(parse(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    const box = element.getBoundingClientRect();
    if (!text || !box.width || getComputedStyle(element).visibility === "hidden") continue;
    let opacity = 1;
    for (let one = element; one; one = one.parentElement) opacity *= Number(getComputedStyle(one).opacity);
    const back = behind(element), color = parse(getComputedStyle(element).color);
    const [high, low] = [light(over([...color.slice(0, 3), color[3] * opacity], back)), light(back)].sort((a, b) => b - a);
    found.push([(high + .05) / (low + .05), text.slice(0, 40), element.className]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # a sandbox needs user namespaces, which containers that run as root often lack; the pages are our own
        shown = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield shown
        shown.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {name: folder / f"{name.replace(' ', '-')}.html" for name in DOCUMENTS}
    for name, path in made.items():
        path.write_text(render(DOCUMENTS[name]), encoding="utf-8")
    return made


def opened(browser: Any, path: Path, **how: Any) -> tuple[Any, list[str]]:
    """Open a page; return it with all that the browser complains of and all that it asks for beside the page."""
    context = browser.new_context(**how)
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda bad: heard.append(str(bad)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    page.on("request", lambda request: heard.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(path.as_uri())
    return page, heard


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_text_is_legible_in_both_themes(name: str, browser: Any, pages: dict[str, Path]) -> None:
    for theme in THEMES:
        page, heard = opened(browser, pages[name], color_scheme=theme, viewport={"width": 1100, "height": 900})
        contrasts = page.evaluate(CONTRASTS)
        page.context.close()
        assert heard == []
        assert len(contrasts) > 5
        assert [one for one in contrasts if one[0] < LEAST] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_layout_holds_at_every_width(name: str, browser: Any, pages: dict[str, Path]) -> None:
    page, heard = opened(browser, pages[name])
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()
    assert heard == []


def test_a_dark_theme_is_dark_and_paper_is_white(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["one curve"], color_scheme="dark")
    behind = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(behind) == "rgb(22, 23, 26)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(behind) == "rgb(255, 255, 255)"
    page.context.close()


def test_the_verdict_comes_first_without_javascript_too(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["one curve"], java_script_enabled=False)
    assert page.locator("h1").inner_text().replace("\n", "").endswith("overfitting")
    assert page.locator("h1").bounding_box()["y"] < 300
    assert page.get_by_role("img").first.is_visible()
    assert page.get_by_role("heading", name="What to do").first.is_visible()
    page.context.close()


@pytest.mark.parametrize("name", ["hostile", "many hostile", "nothing"])
def test_hostile_names_do_nothing(name: str, browser: Any, pages: dict[str, Path]) -> None:
    page, heard = opened(browser, pages[name])
    assert page.title().endswith("– lossdoc")
    assert page.evaluate("document.querySelectorAll('script, img, iframe, object, [onload], [onerror]').length") == 0
    assert NAMES[0] in page.locator("body").inner_text()
    page.context.close()
    assert heard == []


def test_a_path_leads_to_its_stages(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["checkup"])
    page.get_by_role("link", name="sweep").click()
    assert page.url.endswith("#report-3")
    assert page.locator("#report-3").get_by_role("heading", name="sweep: skipped").is_visible()
    page.context.close()
