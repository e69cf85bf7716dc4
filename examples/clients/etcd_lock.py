#!/usr/bin/env python3
"""A lock client for Leasehold that needs nothing but Python: locks on etcd v3, through its JSON gateway.

    leasehold run etcd-v3-job-frozen-holder --client examples/clients/etcd_lock.py

A request is one line of JSON on standard input, an answer one line on standard output (docs/own-client.md). Put your own
lock library where this one talks to etcd, and keep the rules: one request is sent once, and an outcome that is not known is
told as `info`.
"""

import base64
import http.client
import json
import os
import sys

HOST, PORT = os.environ["LEASEHOLD_ENDPOINT"].rsplit(":", 1)
PREFIX = os.environ["LEASEHOLD_PREFIX"]
# Faults that cut or freeze a client know its packets by this address.
SOURCE = (os.environ["LEASEHOLD_SOURCE"], 0) if "LEASEHOLD_SOURCE" in os.environ else None


class NeverSent(Exception):
    """No connection came about, so nothing happened."""


class Refused(Exception):
    """The server ran the request and said no."""


class Etcd:
    """One connection to one server."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(HOST, int(PORT), timeout=30, source_address=SOURCE)

    def ask(self, path, question):
        if self.connection.sock is None:
            try:
                self.connection.connect()
            except OSError as error:
                raise NeverSent(error) from error
        # http.client connects again by itself where the server has closed: that would be a second try.
        self.connection.auto_open = 0
        self.connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            answer = json.loads(body)
            if answer.get("code") == 5:  # NOT_FOUND in gRPC's table
                raise Refused(answer.get("message"))
            raise RuntimeError(f"status {response.status}: {body[:200]!r}")
        return json.loads(body)


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Locks:
    """A lock is a key that its holder's lease keeps alive. Whoever creates it has it; its revision is the fencing token."""

    def __init__(self):
        self.etcd = Etcd()
        self.leases = {}

    def acquire(self, key, owner, ttl_ms, wait):
        if wait:
            return {"type": "fail", "code": "rejected", "text": "this client does not wait"}
        granted = self.etcd.ask("/v3/lease/grant", {"TTL": max(1, -(-ttl_ms // 1000))})
        lease, name = granted["ID"], b64(PREFIX + key)
        answer = self.etcd.ask("/v3/kv/txn", {
            "compare": [{"key": name, "target": "CREATE", "create_revision": "0", "result": "EQUAL"}],
            "success": [{"request_put": {"key": name, "value": b64(owner), "lease": lease}}],
            "failure": [{"request_range": {"key": name}}],
        })
        if answer.get("succeeded"):
            self.leases[owner] = lease
            return {"type": "ok", "ttl_ms": int(granted["TTL"]) * 1000, "token": int(answer["header"]["revision"])}
        refusal = {"type": "fail", "code": "held"}
        for kv in answer["responses"][0]["response_range"].get("kvs", []):
            refusal["holder"] = base64.b64decode(kv["value"]).decode()
        return refusal

    def renew(self, key, owner, ttl_ms, how):
        answer = self.etcd.ask("/v3/lease/keepalive", {"ID": self.leases[owner]})
        ttl = int(answer["result"].get("TTL", 0))
        if ttl == 0:
            return {"type": "fail", "code": "expired", "text": "the lease is gone"}
        return {"type": "ok", "ttl_ms": ttl * 1000}

    def release(self, key, owner):
        try:
            self.etcd.ask("/v3/lease/revoke", {"ID": self.leases.pop(owner)})
        except Refused as gone:
            return {"type": "fail", "code": "expired", "text": str(gone)}
        return {"type": "ok"}

    def read(self, key, linearizable):
        answer = self.etcd.ask("/v3/kv/range", {"key": b64(PREFIX + key), "serializable": not linearizable})
        kvs = answer.get("kvs", [])
        return {"type": "ok", "holder": base64.b64decode(kvs[0]["value"]).decode() if kvs else None}


def main():
    locks = Locks()
    print(json.dumps({"type": "ready"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        number, op = request.pop("id"), request.pop("op")
        try:
            answer = getattr(locks, op)(**request)
        except NeverSent as error:
            answer = {"type": "fail", "code": "refused", "text": str(error)}
        except Exception as error:  # Whatever else happens: the request may have taken effect.
            answer = {"type": "info", "text": f"{type(error).__name__}: {error}"}
        print(json.dumps({"id": number, **answer}), flush=True)


if __name__ == "__main__":
    main()
