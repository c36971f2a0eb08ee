"""The built site in a browser: pages at two widths, light and dark, without an error or a request
to another machine.

`nox -s docs -- browser` runs these, after `nox -s docs`; the pictures are in
``docs/_build/screenshots``.
"""

import base64
import functools
import http.server
import json
import pathlib
import shutil
import threading
import time

import pytest

webdriver = pytest.importorskip(
    "selenium.webdriver", reason="nox -s docs -- browser installs selenium"
)

ROOT = pathlib.Path(__file__).parents[2]
SITE = ROOT / "docs" / "_build" / "html"
SCREENSHOTS = ROOT / "docs" / "_build" / "screenshots"

SIZES = {"phone": (390, 844), "laptop": (1280, 900), "desktop": (1440, 900)}
PAGES = {
    "front": "index.html",
    "tutorial": "tutorials/seed.html",
    "table": "tutorials/table.html",
    "howto": "howto/scikit-learn.html",
    "reference": "reference/index.html",
    "train": "reference/generated/fastnn.train.html",
    "network": "reference/generated/fastnn.Network.html",
    "longest": "reference/generated/fastnn.MLPClassifier.html",
    "explanation": "explanation/trust.html",
    "benchmarks": "explanation/benchmarks.html",
    "gallery": "gallery/index.html",
    "example": "gallery/plot_error_curve.html",
    "moving": "gallery/plot_decision_boundaries.html",
    "questions": "questions.html",
}


@pytest.fixture(scope="module")
def address():
    if not (SITE / "index.html").exists():
        pytest.fail(f"{SITE} is not built: nox -s docs")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def executable(*names):
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.skip(
        f"no {names[0]}; Debian and Ubuntu: apt-get install chromium chromium-driver"
    )


@pytest.fixture(scope="module")
def driver():
    options = webdriver.ChromeOptions()
    options.binary_location = executable(
        "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # no sandbox, which root may not have: nothing but our own pages is opened
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "hide-scrollbars",
    ):
        options.add_argument(f"--{argument}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    with webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable("chromedriver"))
    ) as driver:
        yield driver


def show(driver, url, size, scheme):
    """Open a page at a width, in light or dark; wait until its formulas are set."""
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    media = {"features": [{"name": name, "value": value} for name, value in features.items()]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    driver.get(url)
    wait(driver, "return document.readyState == 'complete'")
    wait(
        driver,
        "return !window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)",
    )


def wait(driver, script, seconds=20):
    """Wait until a script returns something true; return it."""
    end = time.monotonic() + seconds
    while not (found := driver.execute_script(script)):
        assert time.monotonic() < end, f"in vain: {script}"
        time.sleep(0.05)
    return found


def keep(driver, name, whole=False):
    """Save a screenshot of what is seen, or of the whole page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    data = driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole}
    )
    SCREENSHOTS.joinpath(f"{name}.png").write_bytes(base64.b64decode(data["data"]))


def complaints(driver, address):
    """What the console says, and requests that leave the machine, since the last look."""
    found = [
        line["message"]
        for line in driver.get_log("browser")
        if line["level"] in ("SEVERE", "WARNING")
    ]
    for line in driver.get_log("performance"):
        message = json.loads(line["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            found += [f"request to {url}"] * (
                not url.startswith((address, "data:", "blob:", "about:", "chrome"))
            )
    return found


TOO_WIDE = """
return [...document.querySelectorAll("main *")].filter(e => {
  for (let p = e; p && p !== document.body; p = p.parentElement)
    if (getComputedStyle(p).overflowX != "visible") return false;
  return e.getBoundingClientRect().right > innerWidth + 1}).slice(0, 3).map(e => e.outerHTML.slice(0, 120))
"""  # noqa: E501


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("page", PAGES)
def test_pages(driver, address, page, size, scheme):
    show(driver, address + PAGES[page], size, scheme)
    keep(driver, f"{page}-{size}-{scheme}")
    assert complaints(driver, address) == []
    assert driver.execute_script("return document.documentElement.dataset.theme") == scheme
    assert driver.execute_script(TOO_WIDE) == []
    assert driver.execute_script("return document.documentElement.scrollWidth") <= SIZES[size][0]
    broken = (
        "return [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    )
    assert driver.execute_script(broken) == []
