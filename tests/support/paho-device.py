"""A device on the stock client paho. Arguments: the port, then 4 or 5, the version of MQTT.

What it hears goes to standard output as JSON, an object a line. After "waiting" it reads a line of standard input before it goes on.
"""

import json
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TIMEOUT_S = 10
ATTRIBUTES = "v1/devices/me/attributes"
RPC = "v1/devices/me/rpc"


def say(**what):
    print(json.dumps(what, separators=(",", ":")), flush=True)


class Device:
    """A client whose session the server keeps, with what it was sent in a queue."""

    def __init__(self, port, version):
        # paho 2 asks for the kind of its callbacks; that of paho 1 is in both.
        kind = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
        clean = {} if version == 5 else {"clean_session": False}
        self.client = mqtt.Client(*kind, client_id="paho", protocol=version, **clean)
        self.client.username_pw_set("token-a")
        self.port = port
        self.version = version
        self.messages = queue.Queue()
        self.answers = queue.Queue()
        self.client.on_connect = lambda _client, _data, flags, code, *_: self.answers.put((int(flags["session present"]), mqtt_code(code)))
        self.client.on_subscribe = lambda _client, _data, _id, granted, *_: self.answers.put([mqtt_code(code) for code in granted])
        self.client.on_disconnect = lambda *_: self.answers.put("disconnected")
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)

    def connect(self):
        kept = {}
        if self.version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600
            kept = {"clean_start": False, "properties": properties}
        self.client.connect("127.0.0.1", self.port, keepalive=60, **kept)
        self.client.loop_start()
        present, code = self.answers.get(timeout=TIMEOUT_S)
        say(connected=code, present=present)

    def disconnect(self):
        self.client.disconnect()
        self.answers.get(timeout=TIMEOUT_S)
        self.client.loop_stop()

    def subscribe(self, *filters):
        self.client.subscribe([(name, 1) for name in filters])
        say(granted=self.answers.get(timeout=TIMEOUT_S))

    def publish(self, topic, payload):
        published = self.client.publish(topic, json.dumps(payload), qos=1)
        published.wait_for_publish(TIMEOUT_S)
        say(published=topic, acknowledged=published.is_published())

    def receive(self):
        message = self.messages.get(timeout=TIMEOUT_S)
        say(topic=message.topic, payload=json.loads(message.payload), qos=message.qos)
        return message


def mqtt_code(code):
    return getattr(code, "value", code)


def wait(what):
    say(waiting=what)
    sys.stdin.readline()


def run(port, version):
    device = Device(port, version)
    device.connect()
    device.subscribe(ATTRIBUTES, f"{ATTRIBUTES}/response/+", f"{RPC}/request/+", f"{RPC}/response/+")
    device.publish("v1/devices/me/telemetry", [{"ts": 1_700_000_000_000, "values": {"temperature": 41.9}}])
    device.publish(ATTRIBUTES, {"fw": "1.2.x"})
    device.publish(f"{ATTRIBUTES}/request/1", {"clientKeys": "fw", "sharedKeys": "limit"})
    device.receive()
    device.publish(f"{RPC}/request/1", {"method": "echo", "params": {"a": 1}})
    device.receive()
    wait("request")
    request = device.receive()
    device.publish(request.topic.replace("request", "response"), {"ok": True})
    device.disconnect()
    wait("push")
    device.connect()
    device.receive()
    device.disconnect()


run(int(sys.argv[1]), int(sys.argv[2]))
