"""A headless Chromium for tests, driven through ``chromedriver`` (W3C WebDriver).

On Debian both come with ``apt-get install chromium chromium-driver``. Only the standard
library is needed.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def why_absent() -> str:
    """What is missing for a browser test; empty if nothing is."""
    if not any(map(shutil.which, NAMES)) or not shutil.which("chromedriver"):
        return "no chromium with chromedriver: apt-get install chromium chromium-driver"
    return ""


class Browser:
    """One window.

    Args:
        downloads: Where downloaded files go.
    """

    def __init__(self, downloads: Path) -> None:
        self.downloads = downloads
        command = ["chromedriver", "--port=0"]
        self.driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{self._port()}/session"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        binary = next(filter(None, map(shutil.which, NAMES)))
        flags = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"]
        flags += ["--disable-gpu", "--window-size=900,1000"]
        flags += [f"--use-fake-{part}-for-media-stream" for part in ("device", "ui")]
        preferences = {"download.default_directory": str(downloads)}
        options = {"binary": binary, "args": flags, "prefs": preferences}
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        try:
            made = self._send("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self.driver.kill()
            raise
        self.url = f"{self.url}/{made['sessionId']}"
        self.process = made["capabilities"].get("goog:processID")

    def _port(self) -> int:
        for line in self.driver.stdout:
            if "successfully" in line and "port" in line:
                return int(line.rstrip().rstrip(".").rsplit(" ", 1)[1])
        raise RuntimeError("chromedriver said no port")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self._send("DELETE", "")
        except OSError:  # it hangs: nothing of it may stay
            if self.process:
                os.kill(self.process, signal.SIGKILL)
        finally:
            self.driver.terminate()
            self.driver.wait(10)
            self.driver.stdout.close()

    def _send(self, method: str, path: str, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with self.opener.open(request, timeout=60) as reply:
            return json.loads(reply.read())["value"]

    def open(self, page: Path | str, query: str = "") -> None:
        """Open a file from disk, or an address."""
        url = page if isinstance(page, str) else page.absolute().as_uri()
        self._send("POST", "/url", {"url": url + query})

    def run(self, script: str):
        """Value that a script returns."""
        return self._send("POST", "/execute/sync", {"script": script, "args": []})

    def _find(self, selector: str) -> str:
        """The first element that fits."""
        body = {"using": "css selector", "value": selector}
        return self._send("POST", "/element", body)[ELEMENT]

    def click(self, selector: str) -> None:
        """Click the first element that fits, as a person would."""
        self._send("POST", f"/element/{self._find(selector)}/click")

    def write(self, selector: str, text: str) -> None:
        """Type into the first element that fits; a path into one that takes files."""
        body = {"text": text}
        self._send("POST", f"/element/{self._find(selector)}/value", body)

    def drag(self, selector: str, start: tuple[int, int], right: int) -> None:
        """Press the mouse in the first element that fits, move it and let it go.

        Args:
            selector: The element.
            start: Pixels right of and below its middle.
            right: Pixels to move.
        """
        origin = {ELEMENT: self._find(selector)}
        move = {"type": "pointerMove", "origin": origin, "y": start[1]}
        steps = [
            {**move, "x": start[0]},
            {"type": "pointerDown", "button": 0},
            {**move, "x": start[0] + right, "duration": 50},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"parameters": {"pointerType": "mouse"}, "actions": steps}
        actions = [{"type": "pointer", "id": "mouse", **mouse}]
        self._send("POST", "/actions", {"actions": actions})

    def wait(self, script: str, seconds: float = 15.0):
        """Wait until a script returns something true, and give it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.run(script)
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"not true after {seconds} s: {script}")

    def complaints(self) -> list[str]:
        """Errors on the browser's console."""
        logs = self._send("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in logs if entry["level"] == "SEVERE"]

    def picture(self) -> bytes:
        """The window as base64 of a PNG."""
        return self._send("GET", "/screenshot").encode()
