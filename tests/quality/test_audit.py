"""The audit page: what stands in it, that it needs nothing else, and that a browser shows all of it."""

from __future__ import annotations

import base64
import html
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from fer_batch.errors import OutputError, UsageError
from fer_batch.quality.audit import (
    ON_PAGE,
    Audit,
    CheckAudit,
    Suspect,
    Twin,
    require_own_page,
    write_audit,
)

N = 400
ODD = "<b>&\"'</script>"
"""What no page may take for its own."""
VOID = {"br", "img", "meta"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    own_text: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join([*self.own_text, *(child.text for child in self.children)])

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [element for element in self._below() if element._is(tag, attributes)]

    def the(self, tag: str, **attributes: str) -> Element:
        (element,) = self.all(tag, **attributes)
        return element

    def _is(self, tag: str, attributes: dict[str, str]) -> bool:
        return self.tag == tag and all(
            self.attributes.get(name.strip("_")) == value for name, value in attributes.items()
        )

    def _below(self) -> Iterator[Element]:
        for child in self.children:
            yield child
            yield from child._below()


class Reader(HTMLParser):
    """Reads a page into elements, and insists that every tag is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].own_text.append(data.strip())


def read(path: Path) -> Element:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    (root,) = reader.open
    return root


def noise(seed: int, height: int = 48, width: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def check(name: str, scores: ArrayLike, threshold: float) -> CheckAudit:
    """A check whose suspects are all pictures, in their order: the page has to choose."""
    values = np.asarray(scores, np.float32)
    suspects = [
        Suspect(
            f"{i:05d}", "train", "happy", float(s), bool(s >= np.float32(threshold)), "why", noise(i), None
        )
        for i, s in enumerate(values)
    ]
    return CheckAudit(name, f"it is {name}", threshold, values, dropped=False, note="", suspects=suspects)


def made_audit() -> Audit:
    rng = np.random.default_rng(0)
    dark = check("dark", rng.random(N), 0.97)
    pairs = check("exact_duplicate", np.arange(N) % 40 == 0, 0.5)
    twin = Twin("00900", "val", "", noise(900))
    pairs = replace(pairs, dropped=True, suspects=[replace(item, twin=twin) for item in pairs.suspects])
    outlier = replace(check("outlier", [np.nan] * N, 0.9), suspects=[], note="that needs PyTorch")
    counts = {
        "train": {"angry": (100, 90), "happy": (200, 200)},
        "val": {"angry": (0, 0), "happy": (100, 99)},
    }
    return Audit("faces", [dark, pairs, outlier], counts, [("thresholds", "as they come"), ("numpy", "2.0")])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "audit.html"
    write_audit(made_audit(), path)
    return path


def write(audit: Audit, folder: Path) -> Element:
    write_audit(audit, folder / "audit.html")
    return read(folder / "audit.html")


def only(folder: Path, one: CheckAudit) -> Element:
    """The section of a check that is alone on its page."""
    return write(replace(made_audit(), checks=[one]), folder).the("section", class_="check")


def test_every_check_has_a_row_and_a_section(page: Path) -> None:
    root = read(page)
    links = [row.the("a").attributes["href"] for row in root.the("tbody", role="rowgroup").all("tr")]
    headings = [section.the("h3").attributes["id"] for section in root.all("section", class_="check")]
    assert headings == ["check-dark", "check-exact_duplicate", "check-outlier"]
    assert links == [f"#{heading}" for heading in headings]


def test_every_link_leads_somewhere(page: Path) -> None:
    root = read(page)
    ids = [element.attributes["id"] for element in root._below() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    assert {link.attributes["href"] for link in root.all("a")} <= {f"#{name}" for name in ids}


def test_counts_are_those_of_numpy(page: Path) -> None:
    audit, root = made_audit(), read(page)
    rows = root.the("tbody", role="rowgroup").all("tr")
    for one, row in zip(audit.checks[:2], rows[:2], strict=True):
        count = int((one.scores >= np.float32(one.threshold)).sum())
        assert row.the("span", class_="issues").text == str(count)
        assert row.the("span", class_="share").text == f"{count / N:.1%}"
    figures = [figure.text for figure in root.the("dl", class_="key").all("dd")]
    flagged = np.logical_or.reduce([one.scores >= np.float32(one.threshold) for one in audit.checks]).sum()
    assert figures == ["400", str(flagged), "11", "389"]


def test_what_would_remain_is_told_by_split_and_class(page: Path) -> None:
    train, val = read(page).the("div", class_="splits").all("table")
    rows = [row for row in train.the("tbody").all("tr") if row.attributes.get("class") != "bar"]
    cells = [[cell.text for cell in row.children] for row in rows]
    assert cells == [
        ["angry", "100", "90", "33.3% → 31.0%"],
        ["happy", "200", "200", "66.7% → 69.0%"],
    ]
    assert [bar.attributes["width"] for bar in train.all("rect")] == ["50.0%", "45.0%", "100.0%", "100.0%"]
    assert val.the("tfoot").text.split() == ["all", "100", "99", "99.0%", "kept"]


def test_nothing_dropped_is_said(tmp_path: Path) -> None:
    root = write(replace(made_audit(), counts={"train": {"happy": (5, 5)}}), tmp_path)
    assert "Nothing is dropped: all 5 pictures remain." in root.text


@pytest.mark.parametrize("threshold", [0.0, 0.29, 0.505, 0.99, 1.0])
def test_bars_from_the_threshold_on_hold_exactly_the_issues(threshold: float, tmp_path: Path) -> None:
    scores = np.append(np.random.default_rng(1).random(N), [0.0, 0.29, 0.505, 0.99, 1.0, np.nan])
    one = replace(check("dark", scores, threshold), suspects=[])
    figure = only(tmp_path, one).the("figure")
    counted = {
        kind: sum(int(bar.text.rsplit(": ")[-1]) for bar in figure.all("rect", class_=kind))
        for kind in ("over", "under")
    }
    issues = int((one.scores >= np.float32(threshold)).sum())
    assert counted == {"over": issues, "under": len(scores) - 1 - issues}


def test_histogram_is_told_to_who_cannot_see_it(page: Path) -> None:
    figure = read(page).all("figure", class_="histogram")[1]
    label = figure.the("svg").attributes["aria-label"]
    assert label == "Histogram of 400 scores: 10 at or over the threshold of 0.50, 390 below."


def shown(section: Element) -> dict[str, list[str]]:
    return {
        sheet.attributes["class"].removeprefix("sheet "): [
            card.attributes["title"] for card in sheet.all("li")
        ]
        for sheet in section.all("ol")
    }


def test_worst_are_shown_and_those_below_the_threshold_apart(tmp_path: Path) -> None:
    scores = [0.2, 0.0, 0.9, np.nan, 0.5, 0.9, 0.1]
    assert shown(only(tmp_path, check("dark", scores, 0.5))) == {
        "over": ["00002", "00005", "00004"],
        "under": ["00000", "00006"],
    }


def test_no_more_are_shown_than_there_is_room_for(tmp_path: Path) -> None:
    section = only(tmp_path, check("dark", np.linspace(0.5, 1, ON_PAGE + 20), 0.5))
    assert shown(section) == {"over": [f"{i:05d}" for i in range(ON_PAGE + 19, 19, -1)]}
    assert f"the {ON_PAGE} highest of {ON_PAGE + 20}" in section.text


def test_picture_is_shown_beside_its_twin(page: Path) -> None:
    card = read(page).all("section", class_="check")[1].all("li", class_="pair")[0]
    assert [image.attributes["alt"] for image in card.all("img")] == [
        "00000 of train, happy",
        "its twin 00900 of val, without a label",
    ]
    assert [decoded(image).tolist() for image in card.all("img")] == [noise(0).tolist(), noise(900).tolist()]


def decoded(image: Element) -> NDArray[np.uint8]:
    data = base64.b64decode(image.attributes["src"].removeprefix("data:image/webp;base64,"))
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


def test_pictures_of_any_size_share_a_cell(tmp_path: Path) -> None:
    one = check("dark", [0.9, 0.8, 0.7], 0.5)
    pictures = [noise(0, 32, 32), noise(1, 512, 256), noise(2, 1, 300)]
    suspects = [replace(item, picture=p) for item, p in zip(one.suspects, pictures, strict=True)]
    images = only(tmp_path, replace(one, suspects=suspects)).all("img")
    sizes = [(image.attributes["width"], image.attributes["height"]) for image in images]
    assert sizes == [("96", "96"), ("48", "96"), ("96", "1")]
    # Small ones are enlarged by the browser, large ones shrunk before.
    assert [decoded(image).shape for image in images] == [(32, 32), (96, 48), (1, 96)]


def test_check_that_was_not_measured_says_why(page: Path) -> None:
    root = read(page)
    assert "Not measured: that needs PyTorch" in root.the("tbody", role="rowgroup").all("tr")[2].text
    section = root.all("section", class_="check")[2]
    assert "Not measured: that needs PyTorch" in section.text
    assert not section.all("figure")


def test_check_that_found_nothing_says_so(tmp_path: Path) -> None:
    assert "No picture has a score above 0." in only(tmp_path, check("dark", [0, 0, np.nan], 0.5)).text


def test_names_are_text_whatever_is_in_them(tmp_path: Path) -> None:
    one = check("dark", [0.9], 0.5)
    odd = replace(one.suspects[0], id=ODD, label=ODD, reason=ODD, twin=Twin(ODD, ODD, ODD, noise(0)))
    one = replace(one, meaning=ODD, note=ODD, suspects=[odd])
    root = write(Audit(ODD, [one], {ODD: {ODD: (1, 1)}}, [(ODD, ODD)]), tmp_path)
    assert root.the("h1").text == ODD
    assert root.the("li", class_="pair").attributes["title"] == ODD
    assert root.the("p", class_="reason").text == ODD
    assert root.the("caption").text == ODD


def test_same_audit_gives_the_same_bytes(page: Path, tmp_path: Path) -> None:
    write_audit(made_audit(), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_page_needs_nothing_else(page: Path) -> None:
    text, root = page.read_text(encoding="utf-8"), read(page)
    assert re.findall(r"https?://|url\(|@import|//\w+\.", text) == []
    assert not any(root.all(tag) for tag in ("script", "link", "iframe", "object", "base"))
    for element in root._below():
        assert element.attributes.get("src", "data:").startswith("data:")
        assert element.attributes.get("href", "#").startswith("#")


def test_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*audit\.html"):
        write_audit(made_audit(), tmp_path / "file" / "audit.html")


def test_a_page_is_known_again_and_what_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.html"
    require_own_page(path)
    write_audit(made_audit(), path)
    require_own_page(path)
    path.write_text("<meta name='generator' content='fer-batch filter'>", encoding="utf-8")
    with pytest.raises(UsageError, match=r"audit\.html is in the way and is no page of filter: move it away"):
        require_own_page(path)


@pytest.fixture(scope="module")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium to look at the page with")
    return found


# The page stands in a frame: windows are at least 500 pixels wide, and in it no script may run.
FRAME = """<!DOCTYPE html><html><head><script>function look() {
    const page = document.querySelector("iframe").contentDocument, found = document.documentElement.dataset;
    found.images = page.images.length;
    found.broken = [...page.images].filter((image) => !image.naturalWidth).length;
    found.width = page.documentElement.clientWidth;
    found.content = Math.max(page.documentElement.scrollWidth, page.body.scrollWidth);
}</script></head><body><iframe onload="look()" width="%d" height="900" srcdoc="%s"></iframe></body></html>"""


@pytest.mark.parametrize("width", [360, 1400])
def test_browser_shows_every_picture_and_nothing_beside_the_page(
    width: int, chromium: str, tmp_path: Path
) -> None:
    long = "train/happy/" + "a_name_as_long_as_some_downloads_have_" * 4 + ".png"
    audit = made_audit()
    dark = replace(audit.checks[0], suspects=[replace(item, id=long) for item in audit.checks[0].suspects])
    write_audit(replace(audit, name=long, checks=[dark, *audit.checks[1:]]), tmp_path / "audit.html")
    framed = FRAME % (width, html.escape((tmp_path / "audit.html").read_text(encoding="utf-8")))
    (tmp_path / "frame.html").write_text(framed, encoding="utf-8")
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    flags += " disable-component-update disable-sync hide-scrollbars virtual-time-budget=5000 dump-dom"
    command = [chromium, *(f"--{flag}" for flag in flags.split()), f"--user-data-dir={tmp_path / 'profile'}"]
    command.append((tmp_path / "frame.html").as_uri())
    done = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8", timeout=120)
    found = dict(re.findall(r'data-(\w+)="(\d+)"', done.stdout.partition("<head>")[0]))
    widths = {"width": str(width), "content": str(width)}
    assert found == {"images": str(ON_PAGE + 20), "broken": "0"} | widths
