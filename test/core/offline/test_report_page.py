"""The report's page in a real browser: Chromium, headless, from a file."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.quality.episode import arrays
from vitpose_ros.quality.judge import judge
from vitpose_ros.quality.measure import measure
from vitpose_ros.quality.page import Entry, Page
from vitpose_ros.quality.thresholds import Thresholds
from vitpose_ros.types import Side

sys.path.insert(0, str(Path(__file__).parent))
from takes import PALM_PX, changed, moved, take, write_annotated, write_images

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NASTY = """<img src=x onerror=alert(1)>'"&amp;"""


@pytest.fixture(scope="module")
def browser():
    """Chromium; VITPOSE_ROS_TEST_BROWSER names another one than that of the PATH."""
    sync = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed (requirements/test-browser.txt)"
    )
    given = os.environ.get("VITPOSE_ROS_TEST_BROWSER")
    path = given or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium: apt install chromium, or set VITPOSE_ROS_TEST_BROWSER")
    with sync.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture
def show(browser):
    """``show(path, fragment="")``: the page, opened from its file without a network. At the end,
    there must have been no error in its console and no request for anything else.
    """
    errors, requests = [], []
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})

    def run(path, fragment=""):
        tab = context.new_page()
        tab.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("dialog", lambda dialog: errors.append(dialog.message) or dialog.dismiss())
        tab.on("request", lambda one: requests.append(one.url))
        tab.goto(path.as_uri() + fragment)
        return tab

    yield run
    context.close()
    assert errors == []
    assert [one for one in requests if not one.startswith(("file://", "data:image/jpeg"))] == []


def gone(count):
    return changed(take(90), Side.RIGHT, range(30, 30 + count), lambda one: None)


TAKES = {
    "good": take(90),
    "jumps": changed(
        take(90), Side.LEFT, range(40, 90), lambda one: moved(one, (0, -3 * PALM_PX))
    ),
    "short": take(12),
    "gap 9": gone(9),
    "gap 18": gone(18),
    NASTY: gone(50),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a folder with TAKES."""
    folder = tmp_path_factory.mktemp("report")
    for name, images in TAKES.items():
        recording = write_images(folder / "recordings" / name, images)
        write_annotated(folder / "annotated" / name, images, recording)
    bad = write_annotated(folder / "annotated" / "zz <b>broken</b>", take(3))
    shutil.rmtree(bad / "skeletons")
    assert main(["report", str(folder / "annotated"), "--quiet"]) == 1
    return folder / "annotated" / "index.html"


def names(tab):
    return tab.locator("#episodes tbody tr:not([hidden]) td.name").all_inner_texts()


def test_the_worst_is_first_and_everything_from_files_is_text(show, report):
    tab = show(report)
    assert names(tab)[0] == NASTY and names(tab)[-1] == "good"
    assert sorted(names(tab)) == sorted(TAKES)
    assert tab.locator("#episodes tbody tr td.verdict").all_inner_texts()[0] == "reject"
    assert "zz <b>broken</b>: " in tab.inner_text("details ul")
    assert tab.locator("h1 + p").inner_text().startswith("6 episodes of 6 recordings")
    assert "hands: auto" in tab.locator("#thresholds").evaluate(
        "e => e.parentElement.textContent.toLowerCase()"
    )


def test_columns_sort_both_ways(show, report):
    tab = show(report)
    tab.click("th >> text=dropout")
    falling = names(tab)
    assert falling[:3] == [NASTY, "gap 18", "gap 9"]
    tab.click("th >> text=dropout")
    assert names(tab)[-3:] == falling[:3][::-1]
    tab.click("th >> text=episode")
    by_number = [NASTY, "gap 9", "gap 18", "good", "jumps", "short"]
    assert names(tab) == by_number
    assert tab.locator("th[aria-sort=ascending]").all_inner_texts() == ["episode"]
    tab.click("th >> text=verdict")
    assert names(tab)[0] == NASTY


def test_verdicts_and_words_filter(show, report):
    tab = show(report)
    tab.click("button.filter >> text=accept")
    accepted = names(tab)
    assert "good" in accepted and "short" not in accepted
    assert tab.inner_text("#shown") == f"{len(accepted)} of 6 shown"
    tab.click("button.filter >> text=all")
    tab.fill("#search", "GAP")
    assert sorted(names(tab)) == ["gap 18", "gap 9"]
    tab.fill("#search", "duration")  # in a reason
    assert names(tab) == ["short"]
    tab.fill("#search", "nothing like that")
    assert names(tab) == [] and tab.inner_text("#shown") == "0 of 6 shown"


def test_an_episode_opens_with_plots_pictures_and_figures_and_closes(show, report):
    tab = show(report)
    row = tab.locator("tr", has=tab.get_by_role("button", name="jumps", exact=True)).last
    row.locator("td.name button").click()
    details = tab.locator(".details")
    assert details.count() == 1
    assert details.locator("svg").count() >= 3  # coverage, speed, blur
    assert details.locator("svg path.measured").count() == 2
    pictures = details.locator("figure img")
    assert pictures.count() >= 2
    pictures.first.evaluate("image => image.decode()")
    assert pictures.first.evaluate("image => image.naturalWidth") == 256
    assert "largest jump, at 1.33 s" in details.inner_text()
    assert "left hand jumps: 9" in details.inner_text()  # palms/s
    assert details.locator("td.flag").count() >= 1
    row.locator("td.name button").click()
    assert tab.locator(".details").count() == 0


def test_a_link_opens_its_episode(show, report):
    tab = show(report, "#gap%209")
    assert tab.locator(".details").count() == 1
    assert "within its limits" in tab.inner_text(".details")


def test_thousands_of_episodes_stay_usable(show, tmp_path):
    count = 3000
    noise = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
    picture = cv2.resize(noise, (256, 192))
    (tmp_path / "quality").mkdir()
    cv2.imwrite(str(tmp_path / "quality" / "0.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 70])
    shown = [{"file": "quality/0.jpg", "kind": "middle", "text": "middle", "at_s": 1.0}]
    kinds = [
        {**found, **judge(found, Thresholds()), "pictures": shown}
        for found in (measure(*arrays(images), None) for images in (take(90), gone(18), gone(50)))
    ]
    entries = [
        Entry(f"take_{number:04d}", kinds[number % 3], tmp_path, "") for number in range(count)
    ]
    path = tmp_path / "index.html"
    many = Page(Thresholds())
    for entry in entries:
        many.add(entry)
    path.write_text(many.html("many", []), encoding="utf-8")
    tab = show(path)
    assert tab.locator("#episodes tbody tr").count() == count
    tab.click("button.filter >> text=reject")
    assert tab.inner_text("#shown") == f"{count // 3} of {count} shown"
    tab.fill("#search", "take_2999")
    assert names(tab) == ["take_2999"]
    tab.fill("#search", "")
    tab.click("th >> text=episode")
    assert names(tab)[0] == "take_0002"
    tab.click("tbody tr:not([hidden]) td.name button >> nth=0")
    assert tab.locator(".details svg").count() >= 2
