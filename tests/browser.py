"""A real browser for tests: Chromium through chromedriver's own protocol, which needs nothing but HTTP."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The protocol's name for a reference to an element."""
MISSING = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
KEYS = {"Enter": "\ue007", "Right": "\ue014", "Down": "\ue015", "Escape": "\ue00c"}


class Browser:
    """One page at a time; everything that the console says is kept by the browser."""

    def __init__(self, port, profile):
        self.port, self.session = port, ""
        options = {"binary": shutil.which("chromium"), "args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": options}
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{made['sessionId']}"

    def call(self, method, path, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.session}{path}", data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {json.load(error)['value']['message']}") from error

    def open(self, path, width=1300, height=900):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": size})
        self.call("POST", "/url", {"url": path.as_uri()})

    def run(self, script, *arguments):
        """What the script returns; `arguments[0]` and so on are what it is given."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector):
        return self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self.run(
            "document.querySelector(arguments[0]).scrollIntoView({block: 'center', behavior: 'instant'})", selector
        )
        self.call("POST", f"/element/{self.find(selector)}/click")

    def press(self, selector, key):
        self.call("POST", f"/element/{self.find(selector)}/value", {"text": KEYS[key]})

    def move_to(self, x, y):
        """The mouse to a point of the window."""
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y), "origin": "viewport"}
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [move]}
        self.call("POST", "/actions", {"actions": [mouse]})

    def console(self):
        """What the console said since it was asked last."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]


@contextlib.contextmanager
def started(profile):
    """A browser with its profile in that folder, ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], **silent)
    try:
        browser = None
        for _ in range(300):
            with contextlib.suppress(urllib.error.URLError):
                browser = Browser(port, profile)
                break
            time.sleep(0.1)
        assert browser is not None, "chromedriver does not answer"
        yield browser
        browser.call("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(30)
