#!/usr/bin/env python3
"""Verifies a copy of an Auditstream bucket, offline, with nothing but Python.

    python3 verify.py FOLDER VKEY

FOLDER is a copy of the bucket, such as `aws s3 sync s3://BUCKET FOLDER` makes it, and VKEY the public key that signed
the logs, obtained elsewhere and never from the bucket. docs/evidence.md describes the format. Exit code 0: everything
is proven; 1: something is wrong; 2: something could not be checked. Objects in zstd require the program `zstd`.
"""
import base64, functools, gzip, hashlib, json, re, subprocess, sys
from pathlib import Path

HOUR = 3_600_000
wrong, unchecked = [], []          # what was found to be wrong, and what could not be checked

sha256 = lambda data: hashlib.sha256(data).digest()
leaf = lambda data: sha256(b"\0" + data)
root = lambda leaves: roots(leaves, {len(leaves)})[len(leaves)]

# ---- Ed25519, RFC 8032: only verification ----
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493

def point(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P or y >= P or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P          # extended coordinates

def add(a, b):
    m, n = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    c, d = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P

def multiply(number, a):
    total = (0, 1, 1, 0)
    while number:
        total = add(total, a) if number & 1 else total
        a, number = add(a, a), number >> 1
    return total

BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))

@functools.cache
def is_signed(key, message, signature):
    r, a = point(signature[:32]), point(key)
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left, right = multiply(s, BASE), add(r, multiply(h, a))
    same = all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))
    return len(signature) == 64 and s < ORDER and same

# ---- The tree, RFC 6962 ----
def roots(leaves, sizes):
    """Returns the roots over the first leaves, for each of these sizes."""
    found, subtrees = {0: sha256(b"")}, []          # complete subtrees, the largest first
    for size, node in enumerate(leaves, 1):
        rest = size
        while rest % 2 == 0:
            node, rest = sha256(b"\1" + subtrees.pop() + node), rest // 2
        subtrees.append(node)
        if size in sizes:
            found[size] = functools.reduce(lambda right, left: sha256(b"\1" + left + right), subtrees[::-1])
    return found

# ---- The files of a log ----
def read_checkpoint(path, keys, origin):
    """Returns (size, root) of a checkpoint that one of the keys has signed for this log; otherwise None."""
    try:
        text, signatures = path.read_bytes().decode().split("\n\n")
        name, size, signed = text.split("\n")[:3]
        lines = [line.split(" ")[2] for line in signatures.splitlines() if line.startswith(f"\u2014 {origin} ")]
        signed_by = lambda key: any(is_signed(key, f"{text}\n".encode(), base64.b64decode(line)[4:]) for line in lines)
        if name == origin and any(map(signed_by, keys)):
            return int(size), base64.b64decode(signed)
    except ValueError:
        pass
    return None

def tile_name(index):
    groups = re.findall("...", str(index).zfill(-(-len(str(index)) // 3) * 3))
    return "".join(f"x{group}/" for group in groups[:-1]) + groups[-1]

def read_tile(log, level, index, width):
    """Returns a tile of at least this width, cut to it: of hashes, or of entries."""
    for name in [f"{tile_name(index)}.p/{width}", tile_name(index)][width == 256:]:
        path = log / "tile" / level / name
        if path.is_file():
            data, parts = path.read_bytes(), []
            while data and level == "entries":
                length = int.from_bytes(data[:2], "big")
                parts, data = parts + [data[2:2 + length]], data[2 + length:]
            return parts[:width] or [data[i:i + 32] for i in range(0, 32 * width, 32)]
    wrong.append(f"{log}/tile/{level}/{tile_name(index)}: the file is missing")
    return []

def read_tree(log, size):
    """Returns the statements, after comparing the tiles with them."""
    entries = [e for i in range(0, size, 256) for e in read_tile(log, "entries", i // 256, min(256, size - i))]
    hashes, level = [leaf(e) for e in entries], 0
    while hashes:
        for i in range(0, len(hashes), 256):
            if read_tile(log, str(level), i // 256, min(256, len(hashes) - i)) != hashes[i:i + 256]:
                wrong.append(f"{log}/tile/{level}/{tile_name(i // 256)}: these are not the hashes of the statements")
        hashes = [root(hashes[i:i + 256]) for i in range(0, len(hashes) - 255, 256)]
        level += 1
    return entries

# ---- The statements, in order ----
def check_history(name, statements):
    """Every sequence once, every hour while active, nothing after the end."""
    fault = lambda text: wrong.append(f"{name}, statement {number}: {text}")
    cursor = due = time = 0
    active, ended, lost, late = False, False, {}, None
    after_lost = lambda first: after_lost(lost[first] + 1) if first in lost else first
    for number, s in enumerate(statements):
        kind = s["statement"]
        if s["time"] < time or ended or (number == 0) != (kind == "open"):
            fault(f"`{kind}` is not in its place")
        time, ended = s["time"], kind in ("moved", "close")
        until = s["hour"] - HOUR if kind == "hour" else s["from"] if kind == "absent" else time
        if active and due <= until:
            fault(f"hours from {due} to {until} have no statement")
        if kind == "open":
            cursor, active, due = s["first"] - 1, s["active"], time - time % HOUR + HOUR
        elif kind in ("segment", "skip"):
            if s["first"] not in (cursor + 1, after_lost(cursor + 1)) or s["last"] < s["first"]:
                fault(f"{s['first']}-{s['last']} does not follow {cursor}")
            cursor = s["last"]
        elif kind == "replay":
            cursor = s["first"] - 1 if s["last"] <= cursor else fault(f"{s['last']} was not sent yet") or cursor
        elif kind == "restored":
            lost[s["first"]] = s["last"]
        elif kind == "absent" and active:
            late = s["to"] - s["to"] % HOUR
            due = max(due, late + HOUR)
        elif kind == "hour":
            if not (active and s["hour"] == due) and s["hour"] != late or s["hour"] % HOUR or s["hour"] > time:
                fault(f"the hour {s['hour']} is not in its place")
            due = s["hour"] + HOUR
        if "cursor" in s:
            if s["cursor"] not in (cursor, after_lost(cursor + 1) - 1) or s["newest"] < s["cursor"]:
                fault(f"the cursor is stated as {s['cursor']}, and {cursor} is covered")
            cursor = s["cursor"]
        if kind in ("pause", "resume"):
            active, due = kind == "resume", time - time % HOUR + HOUR
        if kind not in ("segment", "hour"):
            print(f"  declared: {json.dumps(s)[:200]}")

# ---- The objects ----
def content_of(data):
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data

def events_of(content, is_array):
    if not is_array:
        return content.split(b"\n")[:-1]
    text, at, events, decoder = content.decode(), 1, [], json.JSONDecoder()
    while at < len(text):
        end = decoder.raw_decode(text, at)[1]
        events, at = events + [text[at:end].encode()], end + 1
    return events

def check_object(path, s):
    data = path.read_bytes()
    try:
        content = content_of(data)
        events = events_of(content, s["format"] == "json_array")
    except FileNotFoundError:
        return unchecked.append(f"{path}: the program zstd is not installed")
    except Exception as error:
        return wrong.append(f"{path}: it cannot be read: {error}")
    leaves = []
    for number, event in enumerate(events):
        ending = f'"sequence":{s["first"] + number},"batchId":"{s["first"]}-{s["last"]}"}}}}'.encode()
        if not event.endswith(ending):
            return wrong.append(f"{path}, line {number + 1}: this is not the event {s['first'] + number}")
        leaves.append(leaf(event[:-len(ending)].removesuffix(b",")))
    if len(leaves) != s["count"] or root(leaves).hex() != s["root"] or sha256(content).hex() != s["content_sha256"]:
        wrong.append(f"{path}: an event is missing or was changed")
    elif s.get("sha256") and sha256(data).hex() != s["sha256"]:
        print(f"  note: {path} has the stated content and is compressed otherwise")

def read_log(log, origin, keys):
    """Returns the signed statements. The keys that they declare are trusted from then on."""
    copies, size, statements = [*log.glob("checkpoints/*/*/*"), log / "checkpoint"], -1, []
    while True:
        valid = dict(c for c in (read_checkpoint(path, keys, origin) for path in copies) if c)
        if max(valid, default=-1) <= size:
            break
        size = max(valid)
        entries = read_tree(log, size)
        found = roots([leaf(entry) for entry in entries], valid)
        if any(found.get(n) != signed for n, signed in valid.items()):
            wrong.append(f"{log}: the statements are not the signed ones")
            break
        statements = [json.loads(entry) for entry in entries]
        keys |= {base64.b64decode(s["public_key"]) for s in statements if "public_key" in s}
    wrong.extend(f"{p}: no trusted key has signed it" for p in copies if not read_checkpoint(p, keys, origin))
    return statements

def check_logs(folder, keys):
    named, allowed, first = set(), set(), {}
    logs = [path.parent for path in folder.rglob("evidence/account=*/destination=*/*.*/checkpoint")]
    for log in sorted(logs, key=lambda log: int(log.suffix[1:])):
        origin, account, base = (log / "checkpoint").read_text().split("\n")[0], log.parts[-3][8:], log.parents[3]
        if origin.split("/")[2:] != [account, log.name]:
            wrong.append(f"{log}: the checkpoint is of {origin}")
        statements = read_log(log, origin, keys)
        print(f"{origin}: {len(statements)} statements")
        check_history(origin, statements)
        gone = {key for s in statements if s["statement"] == "erased" for key in s["keys"]}
        expires = any(s["statement"] == "expiry" for s in statements)
        if statements and log.suffix == ".1":
            first[base, account] = max(statements[0]["first"], first.get((base, account), 0))
        for s in statements:
            doubt = s.get("doubt", []) + ([s["old"]] if "old" in s else [])
            allowed |= {base / key[key.rindex("account="):] for key in doubt}
            if s["statement"] == "segment":
                path = base / s["key"][s["key"].rindex("account="):]
                named.add(path)
                if path.is_file():
                    check_object(path, s)
                elif s["key"] not in gone:
                    (unchecked if expires else wrong).append(f"{path}: the object is missing")
    for path in set(folder.rglob("account=*/dt=*/hour=*/*")) - named - allowed:
        number = re.match(r"\d+_\d+-(\d+)_", path.name)
        if not number or int(number[1]) >= first.get((path.parents[3], path.parts[-4][8:]), 0):
            wrong.append(f"{path}: no statement names the object")
    return len(first)

def main(folder, vkey):
    if not check_logs(Path(folder), {base64.b64decode(vkey.split("+", 2)[2])[1:]}):
        unchecked.append(f"{folder}: there is no first log of a destination")
    print("\n".join([f"WRONG: {line}" for line in wrong] + [f"NOT CHECKED: {line}" for line in unchecked]))
    print("NOT PROVEN" if wrong or unchecked else "proven")
    return 1 if wrong else 2 if unchecked else 0

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]) if len(sys.argv) == 3 else print(__doc__) or 2)
