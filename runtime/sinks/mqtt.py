"""Records to an MQTT broker, each acknowledged by it."""

import threading
from typing import Any
from urllib.parse import unquote, urlsplit

from amr_edge.errors import ConfigError
from amr_edge.optional_dependencies import require
from amr_edge.runtime.sinks.async_sink import Record
from amr_edge.terminal import to_json

PORTS = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE_S = 15
ANSWER_S = 5.0  # a broker that takes longer to say yes counts as gone


class Mqtt:
    """Publishes every record as JSON, at least once (QoS 1): after a broken connection the last one may come twice."""

    def __init__(self, address: str) -> None:
        """A sink.

        Args:
            address: mqtt://[user:password@]host[:port]/topic, or mqtts:// for TLS.

        Raises:
            ConfigError: If it names no host or no topic to publish to.
            MissingError: If paho-mqtt is not installed.
        """
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._topic = unquote(parts.path.lstrip("/"))
        self.title = f"{parts.scheme}://{self._host}:{self._port}/{self._topic}"
        if not self._host or not self._topic or any(sign in self._topic for sign in "+#\0") or "#" in address:
            raise ConfigError(
                f"{self.title}: MQTT needs mqtt://host/topic, with a topic to publish to (without + and #)"
            )
        require("sinks", "publishing to MQTT (--to mqtt://)")
        self._user = None if parts.username is None else unquote(parts.username)
        self._password = None if parts.password is None else unquote(parts.password)
        self._secure = parts.scheme == "mqtts"
        self._client: Any = None

    def open(self) -> None:
        """Connect and wait for the broker's yes."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2)
        if self._user is not None:
            client.username_pw_set(self._user, self._password)
        if self._secure:
            client.tls_set()
        answered = threading.Event()
        refusal: list[str] = []

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if reason.is_failure:
                refusal.append(str(reason))
            answered.set()

        client.on_connect = on_connect
        client.connect_timeout = ANSWER_S
        try:
            client.connect(self._host, self._port, KEEPALIVE_S)
            client.loop_start()
            if not answered.wait(ANSWER_S):
                raise TimeoutError(f"the broker did not answer within {ANSWER_S:g} s")
            if refusal:
                raise ConnectionRefusedError(f"the broker refuses: {refusal[0]}")
        except OSError:
            _release(client)
            raise
        self._client = client

    def send(self, item: Record) -> None:
        """Publish a record and wait for the broker to have it."""
        if self._client is None or not self._client.is_connected():
            raise ConnectionError("the broker has gone")
        message = self._client.publish(self._topic, to_json(item), qos=1)
        try:
            message.wait_for_publish(ANSWER_S)
        except (RuntimeError, ValueError) as cause:  # what paho says of a connection that broke meanwhile
            raise ConnectionError(f"the broker has gone ({cause})") from cause
        if not message.is_published():
            raise TimeoutError(f"the broker did not take a record within {ANSWER_S:g} s")

    def drop(self) -> None:
        """Disconnect."""
        if self._client is not None:
            client, self._client = self._client, None
            _release(client)

    def close(self) -> None:
        """Disconnect."""
        self.drop()


def _release(client: Any) -> None:
    client.disconnect()
    client.loop_stop()
