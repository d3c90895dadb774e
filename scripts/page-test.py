"""Drives a real Chromium over the pages of a running seckill-api: see scripts/page-test."""

import argparse
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

WITHIN_MS = 15_000
PHONE = {"width": 360, "height": 780}
DESK = {"width": 1200, "height": 900}

# The least contrast of text that can be read (WCAG 2.2, AA).
READABLE = 4.5

# Of every text that is shown: its contrast against what is behind it.
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim()).map((n) => n.data.trim());
    if (text.length === 0 || !element.checkVisibility() || element.tagName === 'NOSCRIPT') continue;
    const [a, b] = [light(channels(getComputedStyle(element).color).slice(0, 3)), light(behind(element))];
    found.push([text.join(' '), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""

# What has no name for those who cannot see it.
NAMELESS = """() => [...document.querySelectorAll('input, button, canvas, a, select, textarea')].filter((element) =>
  !(element.labels?.length || element.ariaLabel || element.textContent.trim())).map((element) => element.outerHTML)"""


class Watched:
    """A page, and everything that went wrong on it."""

    def __init__(self, browser: Browser, origin: str, **options):
        self.context = browser.new_context(reduced_motion="reduce", **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WITHIN_MS)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"an exception: {error}"))
        self.page.on("console", self._said)
        self.page.on("request", lambda request: self._asked(request.url, origin))

    def _said(self, message) -> None:
        # The browser tells of refusals too: of an order, and of a stream of events where there is none.
        refused = message.text.startswith("Failed to load resource: the server responded with a status of 4")
        expected = refused and message.location.get("url", "").endswith(("/orders", "/events"))
        if message.type == "error" and not expected:
            self.faults.append(f"on the console: {message.text}")

    def _asked(self, url: str, origin: str) -> None:
        if not url.startswith((origin + "/", "data:")):
            self.faults.append(f"asked somebody else: {url}")

    def close(self) -> None:
        self.context.close()
        assert not self.faults, "\n".join(self.faults)


def order(url: str, sale: str, number: int) -> int:
    """Places an order of one unit; gives the status of the answer."""
    body = json.dumps({"user": f"buyer-{number}", "goods": "phone"}).encode()
    request = urllib.request.Request(
        f"{url}/v1/sales/{sale}/orders", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def sell(url: str, sale: str, first: int, orders: int) -> list[int]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda number: order(url, sale, number), range(first, first + orders)))


def remaining(url: str, sale: str) -> int:
    with urllib.request.urlopen(f"{url}/v1/sales/{sale}", timeout=10) as answer:
        return json.load(answer)["remaining"]


def row(page: Page, sale: str):
    return page.locator(f'.sale[data-sale="{sale}"]')


def expect_left(page: Page, sale: str, units: int) -> None:
    expect(row(page, sale).locator(".count")).to_have_text(f"{units} of 400 left")


def number(page: Page, tile: str) -> int:
    text = page.locator(f"#{tile}").inner_text().replace(",", "")
    return int(text) if text.isdigit() else 0


def wait_until(what: str, condition) -> None:
    end = time.monotonic() + WITHIN_MS / 1000
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {WITHIN_MS} ms"
        time.sleep(0.05)


def check_headers(url: str) -> None:
    with urllib.request.urlopen(f"{url}/dashboard", timeout=10) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), policy
    assert "unsafe" not in policy, policy


def check_readable(page: Page) -> None:
    texts = page.evaluate(CONTRASTS)
    assert len(texts) > 20, texts
    pale = [(text, round(contrast, 2)) for text, contrast in texts if contrast < READABLE]
    assert not pale, f"too pale to read: {pale}"
    nameless = page.evaluate(NAMELESS)
    assert not nameless, f"without a name: {nameless}"


def check_fits(page: Page) -> None:
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, f"the page is {wide} wide, the screen {window}"


def watch_a_sale(browser: Browser, url: str, sale: str, folder: Path) -> None:
    """The page follows a sale from its first order to its last."""
    watched = Watched(browser, url, viewport=DESK)
    page = watched.page
    page.goto(f"{url}/dashboard#{sale}")
    expect(page.locator("#connection")).to_have_text("live")
    expect(row(page, sale).locator(".badge")).to_have_text("open")
    expect(row(page, sale)).to_have_attribute("aria-pressed", "true")
    expect(row(page, f"{sale}-later").locator(".badge")).to_have_text("scheduled")
    expect_left(page, sale, 400)
    expect(page.locator("#ready")).to_have_text("yes")
    expect(page.locator("#order-log")).to_have_text("takes orders")

    statuses = sell(url, sale, 0, 100)
    assert statuses == [202] * 100, statuses
    wait_until("accepted a second", lambda: number(page, "accepted") > 0)
    expect_left(page, sale, 300)
    expect(page.locator("#p99")).to_have_text(re.compile(r"^[\d.]+ ms$"))
    for nothing_left in ("unwritten", "outbox", "drift"):
        expect(page.locator(f"#{nothing_left}")).to_have_text("0")

    buy(page, sale)
    # What the API says of a sale may be 100 ms old.
    wait_until("the units that are left", lambda: remaining(url, sale) == 298)
    expect_left(page, sale, 298)

    # More than there are: the page sees it go down on the way, and sell out.
    seen = set()
    with ThreadPoolExecutor(1) as pool:
        selling = pool.submit(lambda: [status for part in range(20) for status in paced(url, sale, 1000 + 20 * part)])
        while not selling.done():
            seen.add(row(page, sale).locator(".count").inner_text())
            page.wait_for_timeout(50)
        assert selling.result().count(202) == 298, selling.result()
    assert len(seen) >= 5, f"the stock did not go down live: {seen}"
    expect(row(page, sale).locator(".badge")).to_have_text("sold out")
    expect_left(page, sale, 0)
    wait_until("refused a second", lambda: number(page, "refused") > 0)
    page.get_by_role("button", name="Buy", exact=True).click()
    expect(page.locator("#orders li").first.locator(".way")).to_have_text(re.compile("^sent ?Sold out"))
    drawn = page.locator("#rates").evaluate(
        "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((x) => x > 0)"
    )
    assert drawn, "nothing is drawn"
    page.screenshot(path=folder / "dashboard.png", full_page=True)
    watched.close()


def paced(url: str, sale: str, first: int) -> list[int]:
    """Some orders, and a rest."""
    statuses = sell(url, sale, first, 20)
    time.sleep(0.2)
    return statuses


def buy(page: Page, sale: str) -> None:
    """The button places an order, and its way is shown to its end."""
    expect(page.locator("#order-sale")).to_have_text(sale)
    page.get_by_label("Buyer").fill("Zoë <b> & 'co'")
    page.get_by_label("Units").fill("2")
    page.get_by_role("button", name="Buy", exact=True).click()
    way = page.locator("#orders li").first.locator(".way")
    expect(way).to_have_text(re.compile(r"^sent ?accepted \d+ ms ?confirmed \d+ ms$"))
    expect(page.locator("#orders li").first).to_contain_text("2 × phone for Zoë <b> & 'co'")


def look_everywhere(browser: Browser, url: str, sale: str, folder: Path) -> None:
    """Light and dark, on a desk and on a phone: all can be read, nothing sticks out."""
    backgrounds = set()
    for name, size in [("desk", DESK), ("phone", PHONE)]:
        for scheme in ["light", "dark"]:
            watched = Watched(browser, url, viewport=size, color_scheme=scheme, device_scale_factor=1)
            page = watched.page
            page.goto(f"{url}/dashboard#{sale}")
            expect_left(page, sale, 0)
            expect(page.locator("#connection")).to_have_text("live")
            check_readable(page)
            check_fits(page)
            backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            page.screenshot(path=folder / f"dashboard-{name}-{scheme}.png", full_page=True)
            watched.close()
    assert len(backgrounds) == 2, f"light and dark look the same: {backgrounds}"


def no_button_in_production(browser: Browser, url: str, sale: str) -> None:
    watched = Watched(browser, url, viewport=DESK)
    watched.page.goto(f"{url}/dashboard#{sale}")
    expect(watched.page.locator("#connection")).to_have_text("live")
    expect(watched.page.get_by_role("button", name="Buy", exact=True)).to_have_count(0)
    watched.close()


def read_the_description(browser: Browser, url: str) -> None:
    watched = Watched(browser, url, viewport=DESK)
    watched.page.goto(f"{url}/api-docs")
    with urllib.request.urlopen(f"{url}/api-docs/openapi.json", timeout=10) as answer:
        paths = json.load(answer)["paths"]
    operations = sum(len(set(item) & {"get", "post", "put", "delete"}) for item in paths.values())
    expect(watched.page.locator(".opblock")).to_have_count(operations)
    watched.page.locator("#operations-buyers-placeOrder .opblock-summary-control").click()
    expect(watched.page.locator("#operations-buyers-placeOrder")).to_contain_text("Idempotency-Key")
    watched.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ["--url", "--prod-url", "--sale"]:
        parser.add_argument(name, required=True)
    parser.add_argument("--screenshots", type=Path, required=True)
    given = parser.parse_args()
    expect.set_options(timeout=WITHIN_MS)
    check_headers(given.url)
    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox of Chromium's.
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        watch_a_sale(browser, given.url, given.sale, given.screenshots)
        look_everywhere(browser, given.url, given.sale, given.screenshots)
        no_button_in_production(browser, given.prod_url, given.sale)
        read_the_description(browser, given.url)
        browser.close()


if __name__ == "__main__":
    main()
