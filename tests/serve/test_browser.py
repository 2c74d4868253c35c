"""A real browser reads what we stream: Chromium, headless, on a page of its own origin."""

from __future__ import annotations

import http.server
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.service import RunningService

PAGE = """<!doctype html><title>listening</title><script>
async function listen(format) {
  const body = JSON.stringify({text: "Hello from a browser. It is all there.", seed: 1,
                               export_formats: [format]});
  const headers = {"Content-Type": "application/json"};
  const response = await fetch("SERVICE/api/v1/tts", {method: "POST", headers, body});
  const name = response.headers.get("Content-Disposition");
  const data = await response.arrayBuffer();
  const decoded = await new AudioContext({sampleRate: 24000}).decodeAudioData(data.slice(0));
  const audio = new Audio(URL.createObjectURL(new Blob([data], {type: "audio/" + format})));
  audio.muted = true;
  audio.playbackRate = 4;
  const ended = new Promise((resolve, reject) => {
    audio.onended = () => resolve(audio.currentTime);
    audio.onerror = () => reject(audio.error.message);
  });
  await audio.play();
  return {name, decoded: decoded.duration, played: await ended, bytes: data.byteLength};
}
(async () => {
  const heard = {};
  for (const format of ["wav", "mp3", "flac", "opus", "aac"]) {
    heard[format] = await listen(format).catch(error => ({error: String(error)}));
  }
  await fetch("/heard", {method: "POST", body: JSON.stringify(heard)});
})();
</script>"""

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0",
)  # fmt: skip


@pytest.fixture
def page(real_service: RunningService) -> Iterator[tuple[str, queue.Queue[dict]]]:
    """The address of the page, and where what it heard arrives."""
    heard: queue.Queue[dict] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(PAGE.replace("SERVICE", real_service.url).encode())

        def do_POST(self) -> None:
            heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", heard
        server.shutdown()


def test_chromium_decodes_and_plays_every_stream_to_its_end(
    page: tuple[str, queue.Queue[dict]], tmp_path: Path, need_program: Callable[[str], str]
) -> None:
    address, heard = page
    command = [need_program("chromium"), *FLAGS, f"--user-data-dir={tmp_path}", address]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        results = heard.get(timeout=90)
    finally:
        browser.terminate()
        browser.wait(20)
    true_seconds = (results["wav"]["bytes"] - 44) / 48_000
    for audio_format, result in results.items():
        assert "error" not in result, (audio_format, result)
        assert result["decoded"] == pytest.approx(true_seconds, abs=0.12), audio_format
        assert result["played"] == pytest.approx(true_seconds, abs=0.25), audio_format
        assert f".{audio_format}" in result["name"], "Content-Disposition is readable for pages"
