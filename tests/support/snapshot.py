#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Canonical JSON snapshot of a live Redis-protocol server, and a diff of two.

Needs nothing but the standard library; speaks RESP2 and copes with any server
from Redis 3.2 to Redis 8.10, Valkey 9.1 and KeyDB 6.3 (what a server does not
know is left out of the snapshot, and diff() compares only what both sides have).

    snapshot.py dump HOST:PORT [--password P] [--cluster]
    snapshot.py diff EXPECTED.json HOST:PORT [--password P] [--cluster] [--json]
    snapshot.py diff EXPECTED.json ACTUAL.json

Exit status of diff: 0 no difference, 1 differences, 2 could not compare.

Form (b64 = base64 of the raw bytes):

    {"dbs": {"0": {b64 key: {"type": T, "value": V, "pexpireat": ms or null,
                             "field_ttls": {b64 field: ms}   # only where any
                            }}},
     "functions": [{"name", "engine", "code": b64, "functions": [...]}] or null}

V by type
    string     b64          (diff() compares two HyperLogLogs by their registers)
    list       [b64, ...]                      in list order
    set        [b64, ...]                      sorted by raw bytes
    hash       {b64 field: b64 value}
    zset       [[b64 member, score], ...]      sorted by member; score = repr() of the
                                               double; diff() takes -0.0 for 0.0, as
                                               Redis 7 and later lose that sign
    stream     {"entries": [[id, b64 field, b64 value, ...]], "last_id",
                "entries_added", "max_deleted_id", "first_id",    # 7.0+
                "idmp": [duration, maxsize],                      # 8.6+
                "groups": [{"name", "last_id", "entries_read",    # 7.0+
                            "consumers": [b64, ...],
                            "pending": [[id, b64 consumer, delivery ms, count]]}]}
    array      {"items": [[index, b64]], "len", "next"}           # Redis 8.8+
    vectorset  {"dim", "quant", "elements": {b64: {"attr", "emb"}}}
    other      {"dump": sha256 of the DUMP payload, "rdb": its version}
"""

import argparse
import base64
import hashlib
import json
import socket
import sys

BATCH = 64


# --------------------------------------------------------------------- client
class ReplyError(Exception):
    """An error reply of the server."""


class Conn:
    """A small RESP2 client: call() raises ReplyError, pipeline() returns it."""

    def __init__(self, host, port, password=None, username=None, timeout=60):
        self.sock = socket.create_connection((host, int(port)), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        if password is not None:
            self.call(*(["AUTH"] + ([username] if username else []) + [password]))

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    @staticmethod
    def pack(args):
        out = [b"*%d\r\n" % len(args)]
        for a in args:
            if not isinstance(a, (bytes, bytearray)):
                a = str(a).encode()
            out.append(b"$%d\r\n%b\r\n" % (len(a), a))
        return b"".join(out)

    def _read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("connection closed by the server")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"-":
            return ReplyError(rest.decode("utf-8", "replace"))
        if kind == b"$":
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2]
        if kind == b"*":
            n = int(rest)
            return None if n < 0 else [self._read() for _i in range(n)]
        raise ConnectionError("unexpected reply %r" % line[:60])

    def call(self, *args):
        self.sock.sendall(self.pack(args))
        reply = self._read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, commands):
        commands = list(commands)
        out = []
        for i in range(0, len(commands), BATCH):
            part = commands[i : i + BATCH]
            self.sock.sendall(b"".join(map(self.pack, part)))
            out += [self._read() for _i in part]
        return out


# ------------------------------------------------------------------ canonical
def b64(raw):
    return base64.b64encode(raw).decode("ascii")


def unb64(text):
    return base64.b64decode(text)


def canonical_score(raw):
    return repr(float(raw))  # 'inf', '-inf', '-0.0', '0.1', '1e+300'


def flat_map(reply):
    """A RESP2 flattened map, keys as str."""
    return {k.decode(): v for k, v in zip(reply[::2], reply[1::2])}


def is_error(*replies):
    return any(isinstance(r, Exception) for r in replies)


# ------------------------------------------------------------------- snapshot
class Snapshotter:
    """Reads one node. Features that the node lacks switch themselves off."""

    def __init__(self, conn):
        self.c = conn
        self.features = {}

    def optional(self, feature, *cmd):
        """The reply, or None where the server does not know the command."""
        if self.features.get(feature) is False:
            return None
        try:
            reply = self.c.call(*cmd)
        except ReplyError as e:
            if self.features.get(feature):
                raise
            text = str(e).lower()
            if (
                "unknown" in text
                or "syntax" in text
                or "arguments" in text
                or "unsupported" in text
                or "not allowed" in text
            ):
                self.features[feature] = False
                return None
            raise
        self.features[feature] = True
        return reply

    # -- keyspace
    def databases(self):
        try:
            info = self.c.call("INFO", "keyspace").decode("utf-8", "replace")
        except ReplyError:
            return [0]
        dbs = [
            int(line[2 : line.index(":")])
            for line in info.splitlines()
            if line.startswith("db") and ":" in line and line[2 : line.index(":")].isdigit()
        ]
        return sorted(dbs)

    def keys(self):
        seen, cursor = {}, b"0"
        while True:
            cursor, batch = self.c.call("SCAN", cursor, "COUNT", 1000)
            seen.update(dict.fromkeys(batch))
            if cursor == b"0":
                return sorted(seen)

    def expiry(self, keys):
        """{key: absolute ms or None}, exact."""
        out = {}
        if not keys:
            return out
        if self.features.get("pexpiretime") is None:
            self.optional("pexpiretime", "PEXPIRETIME", keys[0])
        if self.features["pexpiretime"]:
            for k, r in zip(keys, self.c.pipeline([("PEXPIRETIME", k) for k in keys])):
                if is_error(r):
                    raise r
                if r != -2:
                    out[k] = None if r == -1 else r
            return out
        # Older servers only tell the time left: bracket PTTL between two TIMEs
        # and accept it when both fall into the same millisecond.
        todo = list(keys)
        for attempt in range(400):
            replies = self.c.pipeline(c for k in todo for c in (("TIME",), ("PTTL", k), ("TIME",)))
            later = []
            for i, k in enumerate(todo):
                t1, left, t2 = replies[3 * i : 3 * i + 3]
                if is_error(t1, left, t2):
                    raise next(r for r in (t1, left, t2) if is_error(r))
                if left == -2:
                    continue
                if left == -1:
                    out[k] = None
                    continue
                ms1, ms2 = (int(t[0]) * 1000 + int(t[1]) // 1000 for t in (t1, t2))
                if ms1 == ms2:
                    out[k] = ms1 + left
                else:
                    later.append(k)
                    out[k] = ms2 + left
            todo = later
            if not todo:
                break
        return out

    def field_ttls(self, key, fields):
        if not fields:
            return {}
        reply = self.optional("hpexpiretime", "HPEXPIRETIME", key, "FIELDS", len(fields), *fields)
        if reply is None:
            return {}
        return {b64(f): t for f, t in zip(fields, reply) if t >= 0}

    # -- streams
    def stream(self, key):
        info = flat_map(self.c.call("XINFO", "STREAM", key))
        value = {
            "entries": [
                [i.decode()] + [b64(x) for x in fields or []] for i, fields in self.c.call("XRANGE", key, "-", "+")
            ],
            "last_id": info["last-generated-id"].decode(),
        }
        for name, field in (
            ("entries_added", "entries-added"),
            ("max_deleted_id", "max-deleted-entry-id"),
            ("first_id", "recorded-first-entry-id"),
        ):
            if field in info:
                v = info[field]
                value[name] = v.decode() if isinstance(v, bytes) else v
        if "idmp-duration" in info:
            value["idmp"] = [info["idmp-duration"], info["idmp-maxsize"]]
        full = self.optional("xinfo_full", "XINFO", "STREAM", key, "FULL", "COUNT", 0)
        value["groups"] = self.groups_full(full) if full else self.groups_plain(key)
        return value

    @staticmethod
    def groups_full(full):
        groups = []
        for g in map(flat_map, flat_map(full)["groups"]):
            pel = g.get("pending", g.get("pel"))
            group = {
                "name": b64(g["name"]),
                "last_id": g["last-delivered-id"].decode(),
                "consumers": sorted(b64(flat_map(c)["name"]) for c in g["consumers"]),
                "pending": sorted(
                    ([i.decode(), b64(who or b""), ms, n] for i, who, ms, n in pel), key=lambda p: stream_id(p[0])
                ),
            }
            if "entries-read" in g:
                group["entries_read"] = g["entries-read"]
            groups.append(group)
        return sorted(groups, key=lambda g: g["name"])

    def groups_plain(self, key):
        groups = []
        for g in map(flat_map, self.c.call("XINFO", "GROUPS", key)):
            name = g["name"]
            consumers = [flat_map(c)["name"] for c in self.c.call("XINFO", "CONSUMERS", key, name)]
            group = {
                "name": b64(name),
                "last_id": g["last-delivered-id"].decode(),
                "consumers": sorted(map(b64, consumers)),
                "pending": [],
            }
            for _i in range(400):
                t1, pel, t2 = self.c.pipeline([("TIME",), ("XPENDING", key, name, "-", "+", 1000000), ("TIME",)])
                if is_error(pel):
                    raise pel
                ms1, ms2 = (int(t[0]) * 1000 + int(t[1]) // 1000 for t in (t1, t2))
                group["pending"] = [[i.decode(), b64(who), ms2 - idle, n] for i, who, idle, n in pel]
                if ms1 == ms2:
                    break
            groups.append(group)
        return sorted(groups, key=lambda g: g["name"])

    # -- the newer and the unknown types
    def array(self, key):
        length = self.c.call("ARLEN", key)
        items = []
        if length:
            pairs = self.c.call("ARSCAN", key, 0, length - 1)
            if pairs and not isinstance(pairs[0], list):
                pairs = list(zip(pairs[::2], pairs[1::2]))
            items = [[int(i), b64(v)] for i, v in pairs]
        return {"items": items, "len": length, "next": self.c.call("ARNEXT", key)}

    def vectorset(self, key):
        info = flat_map(self.c.call("VINFO", key))
        elements = {}
        for e in sorted(self.c.call("VRANDMEMBER", key, self.c.call("VCARD", key))):
            attr = self.c.call("VGETATTR", key, e)
            elements[b64(e)] = {
                "attr": None if attr is None else b64(attr),
                "emb": ["%.4f" % float(x) for x in self.c.call("VEMB", key, e)],
            }
        return {"dim": self.c.call("VDIM", key), "quant": info["quant-type"].decode(), "elements": elements}

    def opaque(self, key):
        payload = self.c.call("DUMP", key)
        if payload is None:
            return None
        return {"dump": hashlib.sha256(payload[:-10]).hexdigest(), "rdb": int.from_bytes(payload[-10:-8], "little")}

    # -- one database
    SIMPLE = {
        "string": lambda k: ("GET", k),
        "list": lambda k: ("LRANGE", k, 0, -1),
        "set": lambda k: ("SMEMBERS", k),
        "hash": lambda k: ("HGETALL", k),
        "zset": lambda k: ("ZRANGE", k, 0, -1, "WITHSCORES"),
    }

    def entries(self, keys):
        out = {}
        types = dict(zip(keys, (t.decode() for t in self.c.pipeline([("TYPE", k) for k in keys]))))
        keys = [k for k in keys if types[k] != "none"]
        expires = self.expiry(keys)
        simple = [k for k in keys if types[k] in self.SIMPLE]
        values = dict(zip(simple, self.c.pipeline([self.SIMPLE[types[k]](k) for k in simple])))
        for k in keys:
            kind, entry = types[k], {"type": types[k]}
            if kind in self.SIMPLE:
                raw = values[k]
                if is_error(raw):
                    raise raw
                if raw is None or (raw == [] and kind != "string"):
                    continue  # gone, or every field expired
                if kind == "string":
                    entry["value"] = b64(raw)
                elif kind == "list":
                    entry["value"] = [b64(x) for x in raw]
                elif kind == "set":
                    entry["value"] = [b64(x) for x in sorted(raw)]
                elif kind == "hash":
                    entry["value"] = {b64(f): b64(v) for f, v in sorted(zip(raw[::2], raw[1::2]))}
                    ttls = self.field_ttls(k, raw[::2])
                    if ttls:
                        entry["field_ttls"] = ttls
                else:
                    entry["value"] = [[b64(m), canonical_score(s)] for m, s in sorted(zip(raw[::2], raw[1::2]))]
            elif kind in ("stream", "array", "vectorset"):
                entry["value"] = getattr(self, kind)(k)
            else:
                entry["value"] = self.opaque(k)
            if k not in expires:
                continue  # expired meanwhile
            entry["pexpireat"] = expires[k]
            out[b64(k)] = entry
        return out

    def functions(self):
        reply = self.optional("functions", "FUNCTION", "LIST", "WITHCODE")
        if reply is None:
            return None
        libs = []
        for lib in map(flat_map, reply):
            fns = []
            for f in map(flat_map, lib["functions"]):
                fns.append(
                    {
                        "name": f["name"].decode(),
                        "description": None if f["description"] is None else b64(f["description"]),
                        "flags": sorted(x.decode() for x in f["flags"]),
                    }
                )
            libs.append(
                {
                    "name": lib["library_name"].decode(),
                    "engine": lib["engine"].decode(),
                    "code": b64(lib["library_code"]),
                    "functions": sorted(fns, key=lambda f: f["name"]),
                }
            )
        return sorted(libs, key=lambda x: x["name"])

    def node(self):
        dbs = {}
        for db in self.databases():
            if db or dbs:
                self.c.call("SELECT", db)
            keys, entries = self.keys(), {}
            for i in range(0, len(keys), BATCH):
                entries.update(self.entries(keys[i : i + BATCH]))
            if entries:
                dbs[str(db)] = entries
        return {"dbs": dbs, "functions": self.functions()}


def stream_id(text):
    ms, seq = text.split("-")
    return int(ms), int(seq)


def primaries(conn, host, port):
    """(host, port) of every primary that serves slots."""
    nodes = []
    for _start, _end, primary, *_replicas in conn.call("CLUSTER", "SLOTS"):
        node = ((primary[0] or host.encode()).decode() or host, primary[1])
        if node not in nodes:
            nodes.append(node)
    return nodes or [(host, port)]


def snapshot(host, port, password=None, cluster=False, username=None, timeout=60):
    """The canonical form of what the server (with cluster: all its primaries) holds."""
    with Conn(host, port, password, username, timeout) as conn:
        if not cluster:
            return Snapshotter(conn).node()
        nodes = primaries(conn, host, port)
    total = {"dbs": {}, "functions": None}
    for node in nodes:
        with Conn(*node, password, username, timeout) as conn:
            part = Snapshotter(conn).node()
        for db, entries in part["dbs"].items():
            total["dbs"].setdefault(db, {}).update(entries)
        if part["functions"] is not None:
            known = {lib["name"]: lib for lib in total["functions"] or []}
            known.update({lib["name"]: lib for lib in part["functions"]})
            total["functions"] = [known[n] for n in sorted(known)]
    return total


def dumps(snap):
    """JSON with one key a line, in a stable order."""

    def j(x):
        return json.dumps(x, sort_keys=True, separators=(",", ":"))

    lines = []
    for db in sorted(snap["dbs"], key=int):
        keys = snap["dbs"][db]
        body = ",\n".join("%s:%s" % (j(k), j(keys[k])) for k in sorted(keys))
        lines.append("%s:{\n%s\n}" % (j(db), body))
    fns = snap["functions"]
    fns = "null" if fns is None else "[" + ",\n".join(map(j, fns)) + "]"
    return '{"dbs":{%s},\n"functions":%s}\n' % (",\n".join(lines), fns)


# ----------------------------------------------------------------------- diff
def show(text, limit=70):
    """A base64 string (or anything else) readable, cut short."""
    if isinstance(text, str):
        try:
            text = unb64(text) if len(text) % 4 == 0 and text else text
        except ValueError:
            pass
    s = text if isinstance(text, str) else repr(text)
    return s if len(s) <= limit else s[:limit] + "... (%d chars)" % len(s)


def _pairs(kind, value):
    """A mapping view of a value, for those types where that reads best."""
    if kind == "hash":
        return value
    if kind == "set":
        return dict.fromkeys(value, True)
    if kind == "zset":
        return dict(value)
    return None


def hll_registers(raw):
    """The 16384 registers of a HyperLogLog, whichever its encoding; None where it is not one."""
    if raw[:4] != b"HYLL" or len(raw) < 16:
        return None
    body = raw[16:]
    if raw[4] == 0:
        bits = int.from_bytes(body[:12288], "little")
        return bytes((bits >> 6 * i) & 63 for i in range(16384)) if len(body) >= 12288 else None
    regs, i = bytearray(), 0
    while i < len(body):
        op = body[i]
        if op & 0xC0 == 0x40 and i + 1 < len(body):
            regs += bytes(((op & 0x3F) << 8 | body[i + 1]) + 1)
            i += 1
        elif op & 0x80:
            regs += bytes([(op >> 2 & 31) + 1]) * ((op & 3) + 1)
        else:
            regs += bytes((op & 0x3F) + 1)
        i += 1
    return bytes(regs) if len(regs) == 16384 else None


def _value_diff(kind, want, got, ms_tolerance):
    """[(what, expected, actual)] for two values of one type."""
    if want == got:
        return []
    out = []
    if kind in ("hash", "set", "zset"):
        w, g = _pairs(kind, want), _pairs(kind, got)
        for m in sorted(set(w) - set(g)):
            out.append(("member missing", m, None))
        for m in sorted(set(g) - set(w)):
            out.append(("member extra", None, m))
        for m in sorted(set(w) & set(g)):
            if w[m] != g[m] and not (kind == "zset" and float(w[m]) == float(g[m])):
                out.append(("member %s" % show(m), w[m], g[m]))
        return out
    if kind == "string":
        registers = hll_registers(unb64(want))
        if registers and registers == hll_registers(unb64(got)):
            return []  # dense here and sparse there, or a stale cached count
    if kind == "list":
        if len(want) != len(got):
            out.append(("list length", len(want), len(got)))
        for i, (a, b) in enumerate(zip(want, got)):
            if a != b:
                out.append(("list item %d" % i, a, b))
                break
        return out
    if kind == "stream":
        return _stream_diff(want, got, ms_tolerance)
    if isinstance(want, dict) and isinstance(got, dict) and "dump" in want:
        if want.get("rdb") != got.get("rdb"):
            return []  # payloads of two RDB versions do not compare
    return [("value", want, got)]


def _stream_diff(want, got, ms_tolerance):
    out = []
    if want["entries"] != got["entries"]:
        w = {e[0]: e[1:] for e in want["entries"]}
        g = {e[0]: e[1:] for e in got["entries"]}
        for what, ids in (
            ("entries missing", set(w) - set(g)),
            ("entries extra", set(g) - set(w)),
            ("entries changed", {i for i in set(w) & set(g) if w[i] != g[i]}),
        ):
            if ids:
                out.append((what, sorted(ids, key=stream_id), None))
    for name in ("last_id", "entries_added", "max_deleted_id", "first_id", "idmp"):
        if name in want and name in got and want[name] != got[name]:
            out.append((name, want[name], got[name]))
    w, g = ({x["name"]: x for x in s["groups"]} for s in (want, got))
    for name in sorted(set(w) | set(g)):
        label = "group %s" % show(name)
        if name not in g:
            out.append((label + " missing", name, None))
            continue
        if name not in w:
            out.append((label + " extra", None, name))
            continue
        a, b = w[name], g[name]
        for field in ("last_id", "entries_read", "consumers"):
            if field in a and field in b and a[field] != b[field]:
                out.append(("%s %s" % (label, field), a[field], b[field]))
        pa, pb = ({p[0]: p[1:] for p in x["pending"]} for x in (a, b))
        for i in sorted(set(pa) | set(pb), key=stream_id):
            x, y = pa.get(i), pb.get(i)
            if x is not None and y is not None:
                if x[0] == y[0] and x[2] == y[2] and abs(x[1] - y[1]) <= ms_tolerance:
                    continue
            out.append(("%s pending %s" % (label, i), x, y))
    return out


def diff(expected, actual, ttl_tolerance_ms=0):
    """A list of {"db", "key", "what", "expected", "actual"}; empty where equal."""
    out = []

    def add(db, key, what, want, got):
        out.append({"db": db, "key": key, "what": what, "expected": want, "actual": got})

    for db in sorted(set(expected["dbs"]) | set(actual["dbs"]), key=int):
        want, got = expected["dbs"].get(db, {}), actual["dbs"].get(db, {})
        for k in sorted(set(want) | set(got)):
            w, g = want.get(k), got.get(k)
            if g is None:
                add(db, k, "key missing", w["type"], None)
                continue
            if w is None:
                add(db, k, "key extra", None, g["type"])
                continue
            if w["type"] != g["type"]:
                add(db, k, "type", w["type"], g["type"])
                continue
            for what, a, b in _value_diff(w["type"], w["value"], g["value"], ttl_tolerance_ms):
                add(db, k, what, a, b)
            a, b = w.get("pexpireat"), g.get("pexpireat")
            if (a is None) != (b is None) or (a is not None and abs(a - b) > ttl_tolerance_ms):
                add(db, k, "pexpireat", a, b)
            a, b = w.get("field_ttls", {}), g.get("field_ttls", {})
            for f in sorted(set(a) | set(b)):
                if f not in a or f not in b or abs(a[f] - b[f]) > ttl_tolerance_ms:
                    add(db, k, "field ttl %s" % show(f), a.get(f), b.get(f))
    w = {lib["name"]: lib for lib in expected.get("functions") or []}
    g = {lib["name"]: lib for lib in actual.get("functions") or []}
    for name in sorted(set(w) | set(g)):
        if name not in g:
            add(None, None, "function library %s missing" % name, name, None)
        elif name not in w:
            add(None, None, "function library %s extra" % name, None, name)
        elif w[name] != g[name]:
            add(None, None, "function library %s" % name, w[name], g[name])
    return out


def describe(d):
    where = "db %s key %s: " % (d["db"], show(d["key"])) if d["key"] is not None else ""
    return "%s%s: expected %s, actual %s" % (where, d["what"], show(d["expected"]), show(d["actual"]))


# ------------------------------------------------------------------------ CLI
def load(source, args):
    if source.endswith(".json"):
        with open(source, encoding="ascii") as f:
            return json.load(f)
    host, _sep, port = source.rpartition(":")
    return snapshot(host or "127.0.0.1", int(port), args.password, args.cluster, args.username)


def main(argv=None):
    p = argparse.ArgumentParser(description="canonical snapshots of Redis-protocol servers")
    sub = p.add_subparsers(dest="command", required=True)
    for name in ("dump", "diff"):
        s = sub.add_parser(name)
        if name == "diff":
            s.add_argument("expected", help="expected.json")
            s.add_argument("--ttl-tolerance-ms", type=int, default=0)
            s.add_argument("--json", action="store_true", help="one JSON object a line")
        s.add_argument("source", help="host:port, or a snapshot file")
        s.add_argument("--username")
        s.add_argument("--password")
        s.add_argument("--cluster", action="store_true")
    args = p.parse_args(argv)
    try:
        snap = load(args.source, args)
        if args.command == "dump":
            sys.stdout.write(dumps(snap))
            return 0
        found = diff(load(args.expected, args), snap, args.ttl_tolerance_ms)
    except (OSError, ValueError, ReplyError) as e:
        print("snapshot.py: %s" % e, file=sys.stderr)
        return 2
    for d in found:
        print(json.dumps(d, sort_keys=True) if args.json else describe(d))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
