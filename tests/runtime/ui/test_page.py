"""The page shows what is seen and said, to whoever may see it, in a real browser."""

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amr_edge.card import Card
from amr_edge.errors import ConfigError
from amr_edge.runtime.frame import Frame, Image
from amr_edge.runtime.render.draw import Person, Scene
from amr_edge.runtime.sinks.outbox import WAITING, Outbox
from amr_edge.runtime.ui.page import VIEWERS, Page, PageConfig
from amr_edge.skeleton import KINECT20

CardOf = Callable[..., Card]
Browser = Any  # of conftest.py: a headless Chromium
NASTY = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture
def page(card_of: CardOf) -> Iterator[Page]:
    served = Page(card_of(), title="tiny.onnx")
    yield served
    served.close()


def scene(
    time_s: float = 0.0,
    *,
    caption: str = "wave 0.91",
    picture: bool = False,
    lit: tuple[np.ndarray, ...] = (),
    place: int = 0,
    places: int = 1,
) -> Scene:
    rng = np.random.default_rng(3 + place)
    poses = rng.normal(size=(1, 20, 3)).astype(np.float32)
    poses[0, 4] = np.nan
    pixels = (np.abs(poses[..., :2]) * 50).astype(np.float32) if picture else None
    image = Image(image=np.full((120 + 40 * place, 160, 3), 200, np.uint8), time_s=time_s) if picture else None
    return Scene(
        take=places,
        title="walk.jsonl" if places == 1 else f"rtsp://door-{place}.local/a/rather/long/path/of/a/stream",
        fps=30.0,
        layout=KINECT20,
        frame=Frame(time_s=time_s, poses=poses, pixels=pixels, picture=image),
        people=(Person(3, caption, *lit),),
        banner="",
        place=place,
        places=places,
    )


def answer(time_s: float, label: str, prob: float, person: int = 3) -> dict[str, Any]:
    top = [[label, prob], ["none", 1 - prob]]
    return {"schema": 1, "type": "answer", "time_s": time_s, "person": person, "label": label, "prob": prob, "top": top}


def event(kind: str, label: str, person: int | None = 3) -> dict[str, Any]:
    told = {"recording": "walk.jsonl", "start_s": 1.0, "end_s": 2.5, "prob": 0.87}
    return {"schema": 1, "type": "event", "event": kind, "label": label, "person": person, **told}


def ask(port: int, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    found = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return found


class Listening:
    """A reader of the page's stream."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        self._connection.request("GET", "/stream")
        self._response = self._connection.getresponse()
        assert self._response.status == 200

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while line := self._response.readline():
            if line.startswith(b"data: "):
                message: dict[str, Any] = json.loads(line[6:])
                if wanted(message):
                    return message
        raise AssertionError("the stream ended")

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def kind_is(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: bool(message["kind"] == kind)


def test_a_page_of_another_name_or_origin_gets_nothing(page: Page) -> None:
    assert ask(page.port)[0] == 200
    for path in ("/", "/stream", "/page.js"):
        assert ask(page.port, path, Host="evil.example")[0] == 403  # DNS rebinding
        assert ask(page.port, path, Host=f"evil.example:{page.port}")[0] == 403
        assert ask(page.port, path, Host=f"127.0.0.1:{page.port + 1}")[0] == 403
        assert ask(page.port, path, Origin="http://evil.example")[0] == 403
        assert ask(page.port, path, Origin="null")[0] == 403
    assert ask(page.port, Host=f"localhost:{page.port}")[0] == 200
    assert ask(page.port, Origin=f"http://127.0.0.1:{page.port}")[0] == 200
    assert ask(page.port, "/../page.py")[0] == 404
    assert ask(page.port, "/video")[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
    connection.request("POST", "/", b"{}")
    assert connection.getresponse().status == 501
    connection.close()


def test_answers_carry_a_policy_that_lets_nothing_in_or_out(page: Page) -> None:
    _, headers, body = ask(page.port)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Python" not in headers["Server"]
    assert b"http://" not in body
    assert b"https://" not in body  # no internet needed


def test_another_address_needs_the_token(card_of: CardOf) -> None:
    with pytest.raises(ConfigError, match="needs a token"):
        PageConfig(host="0.0.0.0")
    page = Page(card_of(), PageConfig(host="0.0.0.0", token="secret-1"), title="tiny")
    try:
        assert page.url.endswith("/?token=secret-1")
        for path in ("/", "/stream", "/?token=secret-2", "/?token="):
            assert ask(page.port, path)[0] == 403
        code, _, body = ask(page.port, "/?token=secret-1")
        assert code == 200
        assert b'src="page.js?token=secret-1"' in body
        assert ask(page.port, "/page.js?token=secret-1")[0] == 200
        assert ask(page.port, "/?token=secret-1", Host=f"evil.example:{page.port}")[0] == 403
    finally:
        page.close()


def test_a_port_that_is_taken_is_refused_in_a_sentence(page: Page, card_of: CardOf) -> None:
    with pytest.raises(ConfigError, match="choose another port"):
        Page(card_of(), PageConfig(port=page.port), title="tiny")


def test_the_stream_tells_what_is_on_then_what_happens(page: Page) -> None:
    page.show(scene())
    page.emit(event("start", "wave"))
    viewer = Listening(page.port)
    assert viewer.until(kind_is("hello"))["classes"] == ["none", "wave", "sit"]
    take = viewer.until(kind_is("take"))
    assert (take["title"], take["size"]) == ("walk.jsonl", [640, 640])
    assert viewer.until(kind_is("event"))["label"] == "wave"
    page.show(scene(0.5))
    frame = viewer.until(kind_is("frame"))
    (person,) = frame["people"]
    assert (person["id"], person["text"]) == (3, "wave 0.91")
    assert person["at"][4] is None
    assert len(person["at"]) == 20
    viewer.close()


def test_pictures_stay_here_unless_they_are_asked_for(card_of: CardOf) -> None:
    cv2: Any = pytest.importorskip("cv2", reason="OpenCV is not installed: no pictures")
    for video in (False, True):
        page = Page(card_of(), PageConfig(video=video), title="tiny")
        viewer = Listening(page.port)
        viewer.until(kind_is("hello"))
        page.show(scene(0.5, picture=True))
        assert viewer.until(kind_is("take"))["size"] == [160, 120]
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
        connection.request("GET", "/video")
        response = connection.getresponse()
        assert response.status == (200 if video else 404)
        if video:
            length = int([response.readline() for _ in range(3)][2].split(b":")[1])
            response.readline()
            image = cv2.imdecode(np.frombuffer(response.read(length), np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (120, 160, 3)
        connection.close()
        viewer.close()
        page.close()


def test_a_browser_that_takes_nothing_costs_messages_and_no_time(page: Page) -> None:
    sleeper = socket.create_connection(("127.0.0.1", page.port))
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sleeper.sendall(f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n\r\n".encode())
    sleeper.recv(64)
    spent_s = []
    for k in range(3000):
        begun_s = time.perf_counter()
        page.emit(answer(k / 10, "wave" * 100, 0.9))
        spent_s.append(time.perf_counter() - begun_s)
    assert np.median(spent_s) < 0.01
    assert sum(spent_s) < 10
    sleeper.close()


def test_what_waits_for_a_viewer_is_bounded_and_of_frames_only_the_newest() -> None:
    viewer = Outbox()
    for k in range(WAITING + 10):
        viewer.put(str(k))
    for k in range(5):
        viewer.put(f"frame {k}", frame_of=0)
    messages, over = viewer.take(0)
    assert messages == [*(str(k) for k in range(10, WAITING + 10)), "frame 4"]
    assert viewer.dropped == 14
    assert not over


def test_too_many_viewers_are_refused(page: Page) -> None:
    viewers = [Listening(page.port) for _ in range(VIEWERS)]
    for viewer in viewers:
        viewer.until(kind_is("hello"))
    assert ask(page.port, "/stream")[0] == 503
    for viewer in viewers:
        viewer.close()


def test_a_browser_shows_people_answers_and_events_and_no_label_is_markup(page: Page, browser: Browser) -> None:
    page.show(scene(caption=NASTY))
    browser.open(page.url, 1200)
    browser.wait_for("document.getElementById('state').textContent === 'live'")
    page.emit(answer(1.0, "stand_up", 0.91))
    page.emit(answer(1.2, NASTY, 0.8, person=4))
    page.emit(event("start", "sit_down"))
    page.emit(event("end", "sit_down"))
    page.emit(event("start", NASTY, person=None))
    page.note(f"camera lost: {NASTY}")
    time.sleep(0.2)
    page.show(scene(1.2, caption=NASTY))
    browser.wait_for("document.querySelectorAll('#people li').length === 2")
    browser.wait_for("document.querySelectorAll('#events li').length === 2")
    assert "stand up" in browser.value("document.getElementById('people').textContent")
    assert "91 %" in browser.value("document.getElementById('people').textContent")
    assert "1.0 to 2.5 s" in browser.value("document.getElementById('events').textContent")
    assert "onerror" in browser.value("document.getElementById('events').textContent")
    assert "onerror" in browser.value("document.getElementById('notes').textContent")
    assert browser.value("document.title") == "amr-edge live"
    assert browser.value("document.querySelectorAll('img[src=x]').length") == 0
    painted = (
        "(() => { const c = document.querySelector('.panel canvas');"
        "const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return pixels.filter((value, i) => i % 4 < 3 && value > 60).length"
        " })()"
    )
    browser.wait_for(f"{painted} > 200")
    for width in (1200, 390):
        browser.open(page.url, width)
        browser.wait_for("document.getElementById('state').textContent === 'live'")
        browser.wait_for("document.querySelectorAll('#events li').length === 2")
        assert browser.value("document.getElementById('moments').hidden")
        page.show(scene(2.0, lit=(np.linspace(0, 1, 20, dtype=np.float32), np.linspace(0, 1, 8, dtype=np.float32))))
        browser.wait_for("document.querySelectorAll('.strip i').length === 8")
        assert browser.value("document.documentElement.scrollWidth") <= width, "it must not scroll sideways"
        if "AMR_EDGE_SHOTS" in os.environ:
            browser.screenshot(Path(os.environ["AMR_EDGE_SHOTS"]) / f"test_page_{width}.png")
    assert not browser.errors
    page.close()
    browser.wait_for("document.getElementById('state').textContent === 'ended'")


def test_a_browser_shows_a_panel_for_each_camera_and_whose_person_is_whose(page: Page, browser: Browser) -> None:
    def show(time_s: float) -> None:
        for place in range(3):
            page.show(scene(time_s + 40 * place, place=place, places=3, caption=f"camera {place}"))
            time.sleep(0.01)

    show(0.0)
    streams = [f"rtsp://door-{place}.local/a/rather/long/path/of/a/stream" for place in range(3)]
    painted = (
        "[...document.querySelectorAll('.panel canvas')].map(c => "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
        ".filter((value, i) => i % 4 < 3 && value > 60).length > 200).join()"
    )
    for width in (1200, 390):
        browser.open(page.url, width)
        browser.wait_for("document.querySelectorAll('.panel').length === 3")
        # Person 3 of two cameras are two people; camera 0's clock is 80 s behind camera 2's.
        page.emit(answer(0.5, "stand_up", 0.91) | {"recording": streams[0]})
        page.emit(answer(80.5, "wave", 0.8) | {"recording": streams[2]})
        page.emit(event("start", "wave") | {"recording": streams[2]})
        time.sleep(0.1)
        show(1.0)
        browser.wait_for(f"{painted} === 'true,true,true'")
        browser.wait_for("document.querySelectorAll('#people li .prob').length === 2")
        people = browser.value("document.getElementById('people').textContent")
        assert "camera 1, person 3" in people
        assert "camera 3, person 3" in people
        assert "camera 3, person 3" in browser.value("document.getElementById('events').textContent")
        bars = "[...document.querySelectorAll('.panel .bar')].map(bar => bar.textContent).join(' ')"
        browser.wait_for(f"{bars}.includes('camera 2: rtsp://door-1')")
        assert "81.0 s" in browser.value(bars)
        assert browser.value("document.documentElement.scrollWidth") <= width, "it must not scroll sideways"
        if "AMR_EDGE_SHOTS" in os.environ:
            browser.screenshot(Path(os.environ["AMR_EDGE_SHOTS"]) / f"test_page_cameras_{width}.png")
    page.show(scene(5.0))  # one recording alone: one panel again
    browser.wait_for("document.querySelectorAll('.panel').length === 1")
    assert not browser.errors


def test_each_camera_has_a_video_of_its_own_and_no_other_is_there(card_of: CardOf) -> None:
    cv2: Any = pytest.importorskip("cv2", reason="OpenCV is not installed: no pictures")
    page = Page(card_of(), PageConfig(video=True), title="tiny")
    viewer = Listening(page.port)
    viewer.until(kind_is("hello"))
    for place in range(2):
        page.show(scene(0.5, picture=True, place=place, places=2))
    for place in range(2):
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
        connection.request("GET", f"/video?place={place}")
        response = connection.getresponse()
        length = int([response.readline() for _ in range(3)][2].split(b":")[1])
        response.readline()
        image = cv2.imdecode(np.frombuffer(response.read(length), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (120 + 40 * place, 160, 3)
        response.close()
        connection.close()
    assert ask(page.port, "/video?place=-1")[0] == 404
    assert ask(page.port, "/video?place=x")[0] == 404
    viewer.close()
    page.close()
