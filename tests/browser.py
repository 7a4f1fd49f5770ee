"""A headless Chromium, driven over the pipe of its DevTools protocol: no port, no package."""
import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time

from decks import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WORDS = ("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--mute-audio")


class Browser:
    """With statement: a browser with one page.  folder : for its profile and its downloads.

    errors : texts of what the page's console and script said.  requests : addresses that the page
    asked for, without those inside of it (data:, blob:).
    """

    def __init__(self, folder):
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True)
        self.errors, self.requests, self._rest, self._number = [], [], b"", 0
        self._answers, self._events = {}, []
        # the child reads its pipe at 3 and writes at 4: not before ours are away from there
        down, self._write = (fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in os.pipe())
        self._read, up = (fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in os.pipe())
        self._log = open(folder / "chromium.log", "wb")
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{down} 4>&{up} {down}<&- {up}>&-', "bash", CHROMIUM, *WORDS,
             f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=(down, up), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            start_new_session=True)
        os.close(down)
        os.close(up)
        self._session = None

    def __enter__(self):
        self.tell("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads),
                  eventsEnabled=True)
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for fd in (self._read, self._write):
            os.close(fd)
        self._log.close()

    def tell(self, method, **parameters):
        """Send a command; returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda: self._answers.pop(self._number, None), method)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def _until(self, found, what, seconds=30):
        end = time.monotonic() + seconds * PATIENCE
        while True:
            value = found()
            if value is not None:
                return value
            left = end - time.monotonic()
            assert left > 0, f"Chromium did not answer to {what}"
            if select.select([self._read], [], [], min(left, 1))[0]:
                data = os.read(self._read, 1 << 20)
                assert data, f"Chromium ended; its log: {self._log.name}"
                *whole, self._rest = (self._rest + data).split(b"\0")
                for text in whole:
                    self._take(json.loads(text))
            else:
                assert self._process.poll() is None, f"Chromium ended; its log: {self._log.name}"

    def _take(self, message):
        if "id" in message:
            self._answers[message["id"]] = message
            return
        name, told = message["method"], message["params"]
        self._events.append(name)
        if name == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif name == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in told["args"]))
        elif name == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.errors.append(told["entry"]["text"])
        elif name == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if not url.startswith(("data:", "blob:")):
                self.requests.append(url)

    def open(self, path, width=1280, height=900, dark=False):
        """Open a file in a window of this size, and wait until it is loaded."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.tell("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self._events.clear()
        self.tell("Page.navigate", url=path.resolve().as_uri())
        self._until(lambda: "Page.loadEventFired" in self._events or None, f"opening {path}")

    def run(self, script):
        """Value of a JavaScript expression."""
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key, times=1):
        for _ in range(times):
            for kind in ("rawKeyDown", "keyUp"):
                self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                          windowsVirtualKeyCode={"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
                                                 "ArrowDown": 40, "Tab": 9, "Home": 36, "End": 35,
                                                 "Escape": 27, " ": 32}[key])

    def move(self, x, y):
        self.tell("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector):
        """Click in the middle of an element, as a user does."""
        x, y = self.run(
            "(() => { const e = document.querySelector(" + json.dumps(selector) + ");"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)}).textContent")

    def download(self, selector):
        """Click on a link; bytes of the file that it gives."""
        before = set(self.downloads.iterdir())
        self._events.clear()
        self.click(selector)

        def done():
            self.tell("Runtime.evaluate", expression="0")         # lets events come in
            new = [p for p in set(self.downloads.iterdir()) - before if p.suffix != ".crdownload"]
            return new[0] if new else None

        return self._until(done, f"download {selector}")

    def picture(self, path, whole=False):
        """Write a PNG of the window, or of the whole page."""
        data = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
