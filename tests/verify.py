#!/usr/bin/env python3
"""Checks a chunkctl bundle or receipt with Python's standard library alone, from docs/evidence.md. Shares no code with the product.

usage: verify.py BUNDLE TRUST.toml [FOLDER]        exit 0 true, 1 false, 2 cannot tell, 3 usage
       verify.py FILE.receipt TRUST.toml           of the file beside it
With a folder: what is true also goes into it as views.
"""
import base64, datetime, hashlib, hmac, json, os, re, struct, sys, tomllib, unicodedata, zlib

sha = lambda b: hashlib.sha256(b).digest()
KINDS = """log.genesis broker.start broker.stop config.load policy.load session.open session.close session.fail request.create
request.deny request.cancel request.expire request.escalate review.approve review.reject grant.issue grant.take grant.revoke grant.expire fetch.intent
fetch.progress fetch.outcome delivery.ack audit.read audit.export subject.bind person.suspend person.restore key.enroll key.revoke key.rotate breakglass.open breakglass.review
erase retention.dispose log.seal clock.status anchor.observe""".split()
GROUPS = "who net what obj why out mask env".split()
REFS = {"session.close": "S", "key.enroll": "S", "key.revoke": "KS", "person.suspend": "N", "person.restore": "P", "request.create": "S", "request.deny": "S", "request.cancel": "R", "request.expire": "R", "request.escalate": "R", "review.approve": "RS",
        "review.reject": "RS", "breakglass.open": "RS", "breakglass.review": "BS", "grant.take": "GS", "grant.revoke": "G", "grant.expire": "G",
        "fetch.intent": "GS", "fetch.progress": "I", "fetch.outcome": "I", "delivery.ack": "O", "audit.read": "S", "audit.export": "S", "erase": "S"}
FAMILIES = {
    "session": "who.issuer who.subject who.name who.email who.groups who.amr who.key who.public_key net.ip net.host net.client out.expires_ms why.cause out.code out.count",
    "subject": "who.issuer who.user_name who.external_id who.known_by net.ip", "person": "net.ip why.cause",
    "request": "request=what.id what.digest obj.datasets obj.connections obj.columns why.reason why.ticket out.state out.quorum out.rows_estimated out.expires_ms what.query out.code out.policies",
    "review": "request=what.id what.digest who.issuer who.subject who.key who.ssh_key why.reason",
    "breakglass": "request=what.id what.digest who.issuer who.subject who.key who.ssh_key why.reason why.ticket",
    "key": "who.issuer who.subject who.ssh_key who.ssh_public_key net.ip net.host",
    "grant": "request=what.id what.digest out.expires_ms out.uses why.reason",
    "fetch": "what.request what.fetch what.chunk what.chunks what.snapshot obj.datasets obj.connections out.end out.rows out.bytes out.bytes_max out.ms out.sha256 mask.columns env.instance",
    "delivery": "request=what.id out.sha256", "policy": "what.digest", "config": "what.digest what.datasets",
    "audit": "what.query out.entries out.from out.to out.level", "anchor": "what.anchor what.size what.root what.sha256 what.time_ms", "broker": "env.version env.instance", "log": "env.origin env.version what.log_key"}


STAMPS_MAX, TOLERANCE_MS = 64, 60_000
ROWS_MAX, MEMBER_BYTES, LINE_BYTES_MAX, SMALL_BYTES_MAX, T_MAX = 4096, 2**20, 2**21, 2**20, 253402300799999


class Malformed(Exception):
    """A fault of form: nothing after it can be judged."""


def need(holds, what):
    if not holds:
        raise Malformed(what)


# --- encodings (§1) ---------------------------------------------------------------------------------------------------------
def b64(b): return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def unb64(s, size=None):
    need(isinstance(s, str) and re.fullmatch(r"[A-Za-z0-9_-]*", s), "base64url")
    try:
        b = base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
    except ValueError:
        raise Malformed("base64url")
    need(b64(b) == s and (size is None or len(b) == size), "base64url")
    return b


def std64(s):
    try:
        b = base64.b64decode(s, validate=True)
    except ValueError:
        raise Malformed("base64")
    need(base64.b64encode(b).decode() == s, "base64")
    return b


def canon(v, depth=32):
    need(depth > 0, "depth")
    if v is None: return "null"
    if v is True: return "true"
    if v is False: return "false"
    if isinstance(v, int):
        need(abs(v) < 2**53, "integer")
        return str(v)
    if isinstance(v, str):
        short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
        return '"' + "".join(short.get(c) or ("\\u%04x" % ord(c) if ord(c) < 32 else c) for c in v) + '"'
    if isinstance(v, list): return "[" + ",".join(canon(x, depth - 1) for x in v) + "]"
    need(isinstance(v, dict) and all(all(32 <= ord(c) < 127 for c in k) and not k.startswith("$serde_json::") for k in v), "key")
    return "{" + ",".join(canon(k) + ":" + canon(v[k], depth - 1) for k in sorted(v)) + "}"


def parse(text):
    try:
        v = json.loads(text, parse_float=lambda s: need(False, "float"), parse_constant=lambda s: need(False, "constant"))
        need(canon(v) == text, "not canonical JSON")
    except (ValueError, RecursionError):
        raise Malformed("JSON")
    return v


# --- Ed25519 (RFC 8032 §6) --------------------------------------------------------------------------------------------------
P = 2**255 - 19; L = 2**252 + 27742317777372353535851937790883648493; D = -121665 * pow(121666, P - 2, P) % P; I = pow(2, (P - 1) // 4, P)


def add(a, b):
    A = (a[1] - a[0]) * (b[1] - b[0]) % P; B = (a[1] + a[0]) * (b[1] + b[0]) % P; C = 2 * a[3] * b[3] * D % P; E = 2 * a[2] * b[2] % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return e * f % P, g * h % P, f * g % P, e * h % P


def mul(s, p):
    q = (0, 1, 1, 0)
    while s:
        if s & 1: q = add(q, p)
        p = add(p, p); s >>= 1
    return q


def point(b):
    y = int.from_bytes(b, "little"); sign = y >> 255; y = (y & (1 << 255) - 1) % P
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P: x = x * I % P
    if (x * x - x2) % P: return None
    if x & 1 != sign: x = -x % P
    return x, y, 1, x * y % P


G = point(bytes.fromhex("58" + "66" * 31))
SEEN = {}


def ed25519(key, message, sig):
    if len(key) != 32 or len(sig) != 64: return False
    if (key, message, sig) not in SEEN:
        a, s = point(key), int.from_bytes(sig[32:], "little")
        ok = a is not None and s < L
        if ok:  # R is s·B − k·A, and there is one encoding of it
            k = int.from_bytes(hashlib.sha512(sig[:32] + key + message).digest(), "little") % L
            x, y, z, _ = add(mul(s, G), mul(k, (-a[0] % P, a[1], a[2], -a[3] % P)))
            z = pow(z, P - 2, P)
            ok = (y * z % P | (x * z % P & 1) << 255).to_bytes(32, "little") == sig[:32]
        SEEN[key, message, sig] = ok
    return SEEN[key, message, sig]


def thumb(key): return b64(sha(('{"crv":"Ed25519","kty":"OKP","x":"%s"}' % b64(key)).encode()))


def dsse(env, key, kind):
    """The payload of an envelope signed by this key, or None."""
    try:
        need(set(env) == {"payload", "payloadType", "signatures"} and env["payloadType"] == kind, "envelope")
        [sig] = env["signatures"]
        need(set(sig) == {"keyid", "sig"} and sig["keyid"] == "ed25519:" + thumb(key), "keyid")
        payload = std64(env["payload"])
        return payload if ed25519(key, b"DSSEv1 %d %s %d " % (len(kind), kind.encode(), len(payload)) + payload, std64(sig["sig"])) else None
    except (Malformed, TypeError, ValueError):
        return None


# --- tree (RFC 6962, RFC 9162 §2.1) -----------------------------------------------------------------------------------------
def node(a, b): return sha(b"\1" + a + b)
EMPTY = sha(b"")


class Frontier:
    def __init__(self, size=0, nodes=()):
        need(len(nodes) == bin(size).count("1"), "frontier")
        self.size, self.nodes = size, list(nodes)

    def push(self, h):
        n = self.size
        while n & 1: h = node(self.nodes.pop(), h); n >>= 1
        self.nodes.append(h); self.size += 1

    def root(self):
        if not self.nodes: return EMPTY
        h = self.nodes[-1]
        for left in self.nodes[-2::-1]: h = node(left, h)
        return h


def climb(fn, sn, proof, step):
    for p in proof:
        if sn == 0: return False
        right = fn & 1 or fn == sn
        step(p, right)
        if right:
            while not fn & 1 and fn: fn >>= 1; sn >>= 1
        fn >>= 1; sn >>= 1
    return sn == 0


def included(h, index, size, proof, root):
    if index >= size: return False
    at = [h]
    def step(p, right): at[0] = node(p, at[0]) if right else node(at[0], p)
    return climb(index, size - 1, proof, step) and at[0] == root


def consistent(a, b, proof, ra, rb):
    if a > b: return False
    if a == b: return not proof and ra == rb
    if a == 0: return not proof and ra == EMPTY
    fn, sn, proof = a - 1, b - 1, list(proof)
    while fn & 1: fn >>= 1; sn >>= 1
    if a & (a - 1) == 0: proof.insert(0, ra)
    if not proof: return False
    at = [proof[0], proof[0]]
    def step(p, right):
        if right: at[0] = node(p, at[0])
        at[1] = node(p, at[1]) if right else node(at[1], p)
    return climb(fn, sn, proof[1:], step) and at == [ra, rb]


# --- notes and checkpoints (§6) ---------------------------------------------------------------------------------------------
def vkey(text, algorithm=1):
    name, hash_, key = text.split("+", 2)
    raw = std64(key)
    need(len(raw) == 33 and raw[0] == algorithm and name and not re.search(r"\s", name), "verifier key")
    need(sha(name.encode() + b"\n" + raw)[:4].hex() == hash_, "verifier key")
    return name, bytes.fromhex(hash_), raw[1:]


class Checkpoint:
    def __init__(self, text):
        need(not any(unicodedata.category(c) == "Cc" and c != "\n" for c in text), "note")
        cut = text.rfind("\n\n")
        need(cut >= 0 and text.endswith("\n"), "note")
        self.text, self.sigs = text[:cut + 1], []
        for line in text[cut + 2:-1].split("\n"):
            m = re.fullmatch(r"— (\S+) (\S+)", line)
            need(m and "+" not in m[1], "signature line")
            raw = std64(m[2]); need(len(raw) > 4, "signature line")
            self.sigs.append((m[1], raw[:4], raw[4:]))
        need(len(self.sigs) <= 100, "signatures")
        parts = self.text.split("\n")
        need(len(parts) == 4 and re.fullmatch(r"0|[1-9][0-9]*", parts[1]), "checkpoint")
        self.origin, self.size, self.root = parts[0], int(parts[1]), std64(parts[2])
        need(self.origin and not re.search(r"[\s+]", self.origin) and self.size < 2**64 and len(self.root) == 32, "checkpoint")
        need(self.size or self.root == EMPTY, "checkpoint")

    def signer(self, keys):
        """The first of these keys that signed; None for none; False when a signature by one of them is wrong."""
        found = []
        for name, hash_, sig in self.sigs:
            for key in [k for k in keys if k[:2] == (name, hash_)][:1]:
                if not ed25519(key[2], self.text.encode(), sig) or key in found: return False
                found.append(key)
        if not found: return None
        return found[0] if found[0][0] == self.origin else None

    def cosigned(self, witness):
        """Whether this witness vouches for it; None when a line of its own is not its cosignature."""
        own = [sig for name, hash_, sig in self.sigs if (name, hash_) == witness[:2]]
        for sig in own:
            time = int.from_bytes(sig[:8], "big")
            if len(sig) != 72 or not 0 < time < 2**63: return None
            if not ed25519(witness[2], b"cosignature/v1\ntime %d\n" % time + self.text.encode(), sig[8:]): return None
        return bool(own)


# --- time stamps (§6; RFC 3161, RFC 5652, RFC 5280) -------------------------------------------------------------------------
BOOLEAN, INTEGER, BITS, OCTETS, NAME, UTC, GENERAL, SEQUENCE, SET = 1, 2, 3, 4, 6, 0x17, 0x18, 0x30, 0x31
PKCS = "2a864886f70d01"
SIGNED_DATA, TST_INFO, CONTENT_TYPE, MESSAGE_DIGEST = PKCS + "0702", PKCS + "09100104", PKCS + "0903", PKCS + "0904"
SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2 = PKCS + "0910020c", PKCS + "0910022f"
HASHES = {"608648016503040201": "sha256", "608648016503040202": "sha384", "608648016503040203": "sha512"}
RSA, RSA_HASHES = PKCS + "0101", {PKCS + "010b": "sha256", PKCS + "010c": "sha384", PKCS + "010d": "sha512"}
EC, ECDSA_HASHES = "2a8648ce3d0201", {"2a8648ce3d040302": "sha256", "2a8648ce3d040303": "sha384"}
DIGEST_INFO = {"sha256": "3031300d060960864801650304020105000420", "sha384": "3041300d060960864801650304020205000430",
               "sha512": "3051300d060960864801650304020305000440"}
# Each curve: p, b, order, base point; a is -3.
CURVES = {
    "2a8648ce3d030107": (2**256 - 2**224 + 2**192 + 2**96 - 1, 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
                         0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
                         (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296, 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)),
    "2b81040022": (2**384 - 2**128 - 2**96 + 2**32 - 1,
                   0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef,
                   0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973,
                   (0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7,
                    0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f))}


class Der:
    """Values that stand one behind the other, each in its one form."""

    def __init__(self, data): self.data = data

    def any(self):
        """The next value: tag, contents, and the whole of it."""
        d = self.data
        need(len(d) >= 2 and d[0] & 0x1f != 0x1f, "DER")
        size, at = d[1], 2
        if size >= 0x80:
            n = size & 0x7f
            need(1 <= n <= 4 and len(d) >= 2 + n and d[2], "DER")
            size, at = int.from_bytes(d[2:2 + n], "big"), 2 + n
            need(size >= 0x80, "DER")
        need(len(d) >= at + size, "DER")
        self.data = d[at + size:]
        return d[0], d[at:at + size], d[:at + size]

    def take(self, tag):
        found = self.any(); need(found[0] == tag, "DER")
        return found[1]

    def maybe(self, tag): return self.take(tag) if self.data[:1] == bytes([tag]) else None
    def inside(self, tag): return Der(self.take(tag))
    def name(self): return self.take(NAME).hex()

    def nat(self, tag=INTEGER): return unsigned(self.take(tag))

    def end(self): need(not self.data, "DER")

    def only(self, tag):
        found = self.take(tag); self.end()
        return found


def unsigned(b):
    need(b and b[0] < 0x80 and (len(b) == 1 or b[0] or b[1] >= 0x80), "DER")
    return int.from_bytes(b, "big")


def boolean(b):
    need(b in (None, b"\0", b"\xff"), "DER")
    return b == b"\xff"


def algorithm(d):
    name = d.name()
    need(d.data in (b"", b"\5\0"), "DER")
    return name


def instant(tag, b):
    """Milliseconds since 1970."""
    need(tag in (UTC, GENERAL), "DER")
    m = re.fullmatch(rb"(\d\d|\d{4})(\d{10})(?:\.(\d*[1-9]))?Z", b)
    need(m and (len(m[1]) == 4) == (tag == GENERAL) and (tag == GENERAL or not m[3]), "DER")
    year = m[1].decode() if tag == GENERAL else ("20" if m[1] < b"50" else "19") + m[1].decode()
    rest = [int(m[2][i:i + 2]) for i in range(0, 10, 2)]
    try:
        # After 400 years the calendar is the same, and Python has not all of them.
        t = datetime.datetime(2000 + int(year) % 400, *rest) - datetime.datetime(1970, 1, 1)
    except ValueError:
        raise Malformed("DER")
    return ((t.days + (int(year) // 400 - 5) * 146097) * 86400 + t.seconds) * 1000 + int(((m[3] or b"") + b"000")[:3])


def named(hash_, der): return hashlib.new(hash_, der).digest()


class Certificate:
    """Of somebody who stamps time, and does nothing else."""

    def __init__(self, text):
        text = re.sub("[ \t\r\n]", "", text)
        if text.startswith("-----BEGINCERTIFICATE-----"):
            need(text.endswith("-----ENDCERTIFICATE-----"), "certificate"); text = text[26:-24]
        self.der = std64(text)
        outer = Der(Der(self.der).only(SEQUENCE))
        d = outer.inside(SEQUENCE); outer.take(SEQUENCE); outer.take(BITS); outer.end()
        need(unsigned(d.inside(0xa0).only(INTEGER)) == 2, "certificate")
        self.serial = d.take(INTEGER); d.take(SEQUENCE)
        tag, _, self.issuer = d.any(); need(tag == SEQUENCE, "certificate")
        v = d.inside(SEQUENCE); self.begin, self.end = instant(*v.any()[:2]), instant(*v.any()[:2]) + 999; v.end(); d.take(SEQUENCE)
        self.key = self.read_key(d.inside(SEQUENCE)); d.maybe(0x81); d.maybe(0x82)
        x = Der(d.inside(0xa3).only(SEQUENCE)); d.end()
        stamps = self.key_id = None
        while x.data:
            e = x.inside(SEQUENCE); name, critical, inside = e.name(), boolean(e.maybe(BOOLEAN)), Der(e.take(OCTETS)); e.end()
            if name == "551d25":
                need(stamps is None, "certificate"); p = Der(inside.only(SEQUENCE)); stamps = p.name() == "2b06010505070308" and not p.data and critical
            if name == "551d0e": need(self.key_id is None, "certificate"); self.key_id = inside.only(OCTETS)
        need(stamps, "the certificate is not for stamping time alone")

    @staticmethod
    def read_key(d):
        a, bits = d.inside(SEQUENCE), d.take(BITS); d.end()
        name = a.name(); tag, parameters, _ = a.any(); a.end()
        need(bits[:1] == b"\0", "key"); bits = bits[1:]
        if name == RSA:
            need((tag, parameters) == (5, b""), "key")
            numbers = Der(Der(bits).only(SEQUENCE)); n, e = numbers.nat(), numbers.nat(); numbers.end()
            need(e == 65537 and n.bit_length() % 8 == 0 and 2048 <= n.bit_length() <= 8192, "key")
            return "rsa", n
        need(name == EC and tag == NAME and parameters.hex() in CURVES, "key")
        size = CURVES[parameters.hex()][0].bit_length() // 8
        need(bits[:1] == b"\4" and len(bits) == 1 + 2 * size, "key")
        return parameters.hex(), (int.from_bytes(bits[1:1 + size], "big"), int.from_bytes(bits[1 + size:], "big"))

    def signed(self, name, hash_, message, signature):
        """Whether this key made a signature; None when key and algorithms are not judged together."""
        kind, key = self.key
        if kind == "rsa":
            if name != RSA and RSA_HASHES.get(name) != hash_: return None
            return rsa(key, hash_, message, signature)
        if ECDSA_HASHES.get(name) != hash_: return None
        try:
            d = Der(Der(signature).only(SEQUENCE)); r, s = d.nat(), d.nat(); d.end()
        except Malformed:
            return False
        return ecdsa(CURVES[kind], key, named(hash_, message), r, s)


def rsa_opened(key, signature):
    """What an RSA signature encodes, in as many bytes as the modulus has."""
    size, s = key.bit_length() // 8, int.from_bytes(signature, "big")
    return pow(s, 65537, key).to_bytes(size, "big") if key % 2 == 1 and len(signature) == size and s < key else None


def rsa(key, hash_, message, signature):
    end = bytes.fromhex(DIGEST_INFO[hash_]) + named(hash_, message)
    return rsa_opened(key, signature) == b"\0\1" + b"\xff" * (key.bit_length() // 8 - 3 - len(end)) + b"\0" + end


def rsa_pss(key, message, signature):
    """RSASSA-PSS (RFC 8017 §9.1.2) with SHA-256, and a salt of as many bytes. The modulus has no bit to spare."""
    opened = rsa_opened(key, signature)
    if opened is None or opened[-1] != 0xbc: return False
    masked, h = opened[:-33], opened[-33:-1]
    mask = b"".join(sha(h + struct.pack(">I", n)) for n in range(-(-len(masked) // 32)))
    if masked[0] & 0x80: return False
    db = bytes(a ^ b for a, b in zip(masked, mask))
    db = bytes([db[0] & 0x7f]) + db[1:]
    return db[:-32] == b"\0" * (len(db) - 33) + b"\1" and sha(bytes(8) + sha(message) + db[-32:]) == h


def ecdsa(curve, key, digest, r, s):
    p, b, n, base = curve
    x, y = key
    if not (0 < r < n and 0 < s < n and x < p and y < p) or (y * y - x * x * x + 3 * x - b) % p: return False

    def plus(one, other):
        if one is None or other is None: return one or other
        if one == other: slope = 3 * (one[0] * one[0] - 1) * pow(2 * one[1], -1, p)
        elif one[0] == other[0]: return None
        else: slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, p)
        x = (slope * slope - one[0] - other[0]) % p
        return x, (slope * (one[0] - x) - one[1]) % p

    def times(k, point):
        found = None
        while k:
            if k & 1: found = plus(found, point)
            point = plus(point, point); k >>= 1
        return found
    size = n.bit_length() // 8
    z, w = int.from_bytes(digest[:size], "big"), pow(s, -1, n)
    found = plus(times(z * w % n, base), times(r * w % n, key))
    return found is not None and found[0] % n == r


# --- identity providers (§4, §10; RFC 7515, RFC 7517, OpenID Connect) -------------------------------------------------------
ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "P-256", "EdDSA": "Ed25519"}


def loose(b):
    """A JSON object that others wrote. Of members with one name the last counts."""
    def number(read):
        def checked(s):
            need(abs(float(s)) != float("inf"), "number")
            return read(s)
        return checked
    def levels(v): return 1 + max(map(levels, v.values() if isinstance(v, dict) else v), default=0) if isinstance(v, (dict, list)) else 1
    try:
        v = json.loads(b.decode(), parse_int=number(int), parse_float=number(float), parse_constant=lambda s: need(False, "constant"))
        json.dumps(v, ensure_ascii=False).encode()
        need(isinstance(v, dict) and levels(v) <= 32, "JSON")
    except (ValueError, RecursionError):
        raise Malformed("JSON")
    return v


def texts(v, needed, optional):
    """These members of an object: texts, or absent where that is allowed."""
    found = [v.get(k) for k in needed + optional]
    need(all(isinstance(x, str) for x in found[:len(needed)]) and all(k not in v or isinstance(v[k], str) for k in optional), "text")
    return found


class IdToken:
    def __init__(self, text):
        parts = text.split(".")
        need(len(text.encode()) <= 65536 and len(parts) == 3, "token")
        head, claims, self.signature = loose(unb64(parts[0])), loose(unb64(parts[1])), unb64(parts[2])
        self.message = text.rpartition(".")[0].encode()
        need("crit" not in head and head.get("typ", "JWT") in ("JWT", "jwt", "id_token+jwt"), "token")
        (self.alg, self.kid), aud = texts(head, ["alg"], ["kid"]), claims.get("aud")
        self.names = texts(claims, ["iss", "sub", "nonce"], [])
        [self.party] = texts(claims, [], ["azp"])
        if isinstance(aud, list): need(len(aud) == 1, "token"); aud = aud[0]
        need(isinstance(aud, str) and self.alg in ALGORITHMS, "token"); self.audience = aud
        size = len(self.signature)
        self.digest = sha(self.message + b"." + self.signature[:size // 2 if self.alg == "ES256" else size]).hex()


class Provider:
    """An identity provider whom the auditor believes about people's keys."""

    def __init__(self, t):
        need(set(t) == {"issuer", "clients", "jwks"} and isinstance(t["issuer"], str) and isinstance(t["jwks"], str), "issuer")
        self.issuer, self.clients = t["issuer"], t["clients"]
        need(isinstance(self.clients, list) and self.clients and all(isinstance(c, str) for c in self.clients), "issuer")
        jwks, self.keys = json.loads(t["jwks"])["keys"], []
        for jwk in jwks:
            try:
                self.keys.append(self.read(jwk))
            except (Malformed, TypeError, AttributeError):
                pass  # it is for something else
        need(self.keys, "issuer")

    @staticmethod
    def read(jwk):
        [kind], [kid, alg, use, curve] = texts(jwk, ["kty"], []), texts(jwk, [], ["kid", "alg", "use", "crv"])
        need(use in (None, "sig"), "key")
        def number(name): return int.from_bytes(unb64(jwk.get(name), 32), "big")
        if kind == "RSA":
            n = unb64(jwk.get("n")); need(256 <= len(n) <= 1024 and n[0] >= 0x80 and unb64(jwk.get("e")) == b"\1\0\1", "key")
            return kid, alg, "RSA", int.from_bytes(n, "big")
        if (kind, curve) == ("EC", "P-256"): return kid, alg, curve, (number("x"), number("y"))
        need((kind, curve) == ("OKP", "Ed25519"), "key")
        return kid, alg, curve, unb64(jwk.get("x"), 32)

    def signed(self, token):
        """Whether it signed this token for the broker; None where that cannot be told."""
        if token.audience not in self.clients or token.party not in [None, *self.clients]: return None
        names = [None, token.alg] + ["Ed25519"] * (token.alg == "EdDSA")
        keys = [k for kid, alg, kind, k in self.keys if kid == token.kid and alg in names and kind == ALGORITHMS[token.alg]]
        return any(self.verifies(k, token) for k in keys) if keys else None

    @staticmethod
    def verifies(key, token):
        m, s = token.message, token.signature
        if token.alg == "RS256": return rsa(key, "sha256", m, s)
        if token.alg == "PS256": return rsa_pss(key, m, s)
        if token.alg == "EdDSA": return ed25519(key, m, s)
        return len(s) == 64 and ecdsa(CURVES["2a8648ce3d030107"], key, sha(m), int.from_bytes(s[:32], "big"), int.from_bytes(s[32:], "big"))


# --- SSH signatures (§5; PROTOCOL.sshsig, PROTOCOL.u2f) ------------------------------------------------------------------------
SSH_KINDS = {"ssh-ed25519": (False, False), "ecdsa-sha2-nistp256": (True, False), "sk-ssh-ed25519@openssh.com": (False, True), "sk-ecdsa-sha2-nistp256@openssh.com": (True, True)}


class Wire:
    """Strings with their length before them, one behind the other."""

    def __init__(self, data): self.data = data

    def take(self, n):
        need(len(self.data) >= n, "SSH")
        found, self.data = self.data[:n], self.data[n:]
        return found

    def string(self): return self.take(int.from_bytes(self.take(4), "big"))

    def number(self):
        """A positive number in its shortest form, of 256 bits at most."""
        b = self.string()
        need(b and b[0] < 0x80 and (b[0] or len(b) > 1 and b[1] >= 0x80) and len(b.lstrip(b"\0")) <= 32, "SSH")
        return int.from_bytes(b, "big")

    def end(self): need(not self.data, "SSH")


class SshKey:
    def __init__(self, blob):
        w = Wire(blob); kind = w.string().decode("latin-1"); need(kind in SSH_KINDS, "SSH key")
        (self.p256, self.token), self.kind, self.blob = SSH_KINDS[kind], kind, blob
        if self.p256: need(w.string() == b"nistp256", "SSH key")
        self.point = w.string(); need(len(self.point) == 65 and self.point[0] == 4 if self.p256 else len(self.point) == 32, "SSH key")
        self.application = w.string() if self.token else b""; w.end()
        need(not self.token or self.application.startswith(b"ssh:"), "SSH key")
        self.fingerprint = "SHA256:" + base64.b64encode(sha(blob)).decode().rstrip("=")
        self.line = kind + " " + base64.b64encode(blob).decode()

    def signed(self, signature, message):
        w = Wire(signature); need(w.string() == self.kind.encode(), "SSH signature"); raw = w.string()
        if self.token:
            flags, counter = w.take(1), w.take(4); need(flags[0] & 1, "nobody touched the token")
            message = sha(self.application) + flags + counter + sha(message)
        w.end()
        if not self.p256: return ed25519(self.point, message, raw)
        numbers = Wire(raw); r, s = numbers.number(), numbers.number(); numbers.end()
        point = int.from_bytes(self.point[1:33], "big"), int.from_bytes(self.point[33:], "big")
        return ecdsa(CURVES["2a8648ce3d030107"], point, sha(message), r, s)


class SshSignature:
    def __init__(self, text):
        need(isinstance(text, str) and len(text.encode()) <= 4096, "SSH signature")
        b = std64(text); need(b[:10] == b"SSHSIG\0\0\0\1", "SSH signature")
        w = Wire(b[10:]); self.key = SshKey(w.string()); self.namespace = w.string(); self.namespace.decode()
        need(not w.string() and w.string() == b"sha512", "SSH signature"); self.signature = w.string(); w.end()

    def over(self, namespace, message):
        """Whether its key signed this for this."""
        parts = [namespace, b"", b"sha512", hashlib.sha512(message).digest()]
        signed = b"SSHSIG" + b"".join(struct.pack(">I", len(p)) + p for p in parts)
        try:
            return self.namespace == namespace and self.key.signed(self.signature, signed)
        except Malformed:
            return False


def has(e, group, member): return member in (e.body.get(group) or {})


class Token:
    """A time stamp, as a reply that grants it and says nothing else."""

    def __init__(self, stored):
        d = Der(Der(stored).only(SEQUENCE)); need(d.take(SEQUENCE) == b"\2\1\0", "time stamp")
        tag, inside, whole = d.any(); d.end(); need(tag == SEQUENCE and len(whole) <= 65536, "time stamp")
        d = Der(inside); need(d.name() == SIGNED_DATA, "time stamp")
        outer, d = d, Der(d.inside(0xa0).only(SEQUENCE)); outer.end()
        need(d.nat() == 3, "time stamp"); digests = d.take(SET)
        c = d.inside(SEQUENCE); need(c.name() == TST_INFO, "time stamp"); self.content = c.inside(0xa0).only(OCTETS); c.end()
        d.maybe(0xa0); d.maybe(0xa1)
        s = Der(d.inside(SET).only(SEQUENCE)); d.end()
        version, (tag, sid, _) = s.nat(), s.any()
        if (version, tag) == (1, SEQUENCE):
            n = Der(sid); t, _, issuer = n.any(); need(t == SEQUENCE, "time stamp"); self.sid = issuer, n.take(INTEGER); n.end()
        else: need((version, tag) == (3, 0x80), "time stamp"); self.sid = sid
        self.digest = s.take(SEQUENCE); need(algorithm(Der(Der(digests).only(SEQUENCE))) == algorithm(Der(self.digest)), "time stamp")
        tag, inside, self.attributes = s.any(); need(tag == 0xa0, "time stamp")
        self.algorithm, self.signature = algorithm(s.inside(SEQUENCE)), s.take(OCTETS); s.maybe(0xa1); s.end()
        found, d = {}, Der(inside)
        while d.data:
            a = d.inside(SEQUENCE); name, values = a.name(), a.inside(SET); a.end()
            if name in (CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2):
                need(name not in found, "time stamp"); found[name] = values.any(); values.end()
        need(CONTENT_TYPE in found and found[CONTENT_TYPE][0] == NAME and found[CONTENT_TYPE][1].hex() == TST_INFO, "time stamp")
        need(MESSAGE_DIGEST in found and found[MESSAGE_DIGEST][0] == OCTETS, "time stamp"); self.message_digest = found[MESSAGE_DIGEST][1]
        self.named = []
        for name in (SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2):
            if name not in found: continue
            id_, hash_ = Der(found[name][2]).inside(SEQUENCE).inside(SEQUENCE).inside(SEQUENCE), "sha1"
            if name == SIGNING_CERTIFICATE_V2:
                a = id_.maybe(SEQUENCE); hash_ = "sha256" if a is None else HASHES.get(algorithm(Der(a))); need(hash_, "time stamp")
            self.named.append((hash_, id_.take(OCTETS)))
        self.read_content(Der(Der(self.content).only(SEQUENCE)))

    def read_content(self, d):
        need(d.nat() == 1, "time stamp"); d.take(NAME)
        i = d.inside(SEQUENCE); need(HASHES.get(algorithm(i.inside(SEQUENCE))) == "sha256", "time stamp"); self.imprint = i.take(OCTETS); i.end()
        d.take(INTEGER); tag, time, _ = d.any(); need(tag == GENERAL, "time stamp"); self.time = instant(tag, time)
        a, self.accuracy = d.maybe(SEQUENCE), 0
        if a is not None:
            a, parts = Der(a), []
            for tag, most in ((INTEGER, 86400), (0x80, 999), (0x81, 999)):
                part = a.maybe(tag); parts.append(0 if part is None else unsigned(part)); need(parts[-1] <= most, "time stamp")
            a.end(); self.accuracy = parts[0] * 1000 + parts[1] + (parts[2] > 0)
        boolean(d.maybe(BOOLEAN)); nonce = d.maybe(INTEGER); need(nonce is None or unsigned(nonce) >= 0, "time stamp"); d.maybe(0xa0)
        x = Der(d.maybe(0xa1) or b""); d.end()
        while x.data: e = x.inside(SEQUENCE); e.name(); need(not boolean(e.maybe(BOOLEAN)), "time stamp"); e.take(OCTETS); e.end()

    def names_signer(self, c): return self.sid == ((c.issuer, c.serial) if isinstance(self.sid, tuple) else c.key_id)
    def claims(self, c): return self.names_signer(c) or any(named(h, c.der) == x for h, x in self.named)

    def holds(self, c):
        if not self.names_signer(c) or not self.named or any(named(h, c.der) != x for h, x in self.named): return False
        hash_ = HASHES.get(algorithm(Der(self.digest)))
        return bool(hash_ and named(hash_, self.content) == self.message_digest
                    and c.signed(self.algorithm, hash_, b"\x31" + self.attributes[1:], self.signature)
                    and c.begin <= self.time <= c.end and self.accuracy <= 60_000)


class Stamped:
    def __init__(self, stored, size):
        self.checkpoint, self.raw, self.size = Checkpoint(stored.text("tsa/%012d.checkpoint" % size, 2**17)), stored.plain("tsa/%012d.tsr" % size), size
        self.token, self.believed = Token(self.raw), False
        need(self.checkpoint.size == size and self.token.imprint == sha(self.checkpoint.text.encode()), "a time stamp over something else")


def take_stamps(stored):
    found = [re.fullmatch(r"tsa/([0-9]{12,})\.tsr", n) for n in stored.m]
    sizes = sorted(int(m[1]) for m in found if m and m[0] == "tsa/%012d.tsr" % int(m[1]))
    need(len(sizes) <= STAMPS_MAX, "too many time stamps")
    return [Stamped(stored, size) for size in sizes]


def judge_stamps(stamps, authorities, most, a, b, fault, unknown):
    for s in stamps:
        claimed = [c for c in authorities if s.token.claims(c)]
        s.believed = any(s.token.holds(c) for c in claimed)
        if claimed and not s.believed: fault(f"the time stamp of size {s.size}")
    good = [s.size for s in stamps if s.believed]
    if authorities and not good: unknown("no time stamp by a trusted authority")
    elif authorities and a < b and good[-1] <= a: unknown("the newest time stamp covers nothing of the range")
    elif authorities and most is not None and b - max(a, good[-1]) > most: unknown(f"{b - max(a, good[-1])} entries of the range are not stamped")


def against_stamps(e, stamps, fault):
    """Holds an entry against what the time stamps say, and an anchor against the stamp that it names."""
    if any(s.believed and s.size > e.i and e.t > s.token.time + s.token.accuracy + TOLERANCE_MS for s in stamps):
        fault(f"entry {e.i}: dated later than a time stamp that covers it")
    if e.k != "anchor.observe" or "what" not in e.shown: return
    kind, size, digest, time = e.text_of("what", "anchor"), e.nat_of("what", "size"), e.text_of("what", "sha256"), e.nat_of("what", "time_ms")
    try:
        need(kind in ("rfc3161", "witness") and size is not None and size <= e.i and time is not None, "anchor")
        need(re.fullmatch("[0-9a-f]{64}", digest or ""), "anchor"); root = unb64(e.text_of("what", "root"), 32)
    except Malformed:
        return fault(f"entry {e.i}: it does not say what was observed")
    if time - TOLERANCE_MS > e.t: fault(f"entry {e.i}: dated earlier than what it observed")
    for s in stamps:
        if s.size == size:
            if root != s.checkpoint.root: fault(f"entry {e.i}: it observed another tree")
            if kind == "rfc3161" and (digest, time) != (sha(s.raw).hex(), s.token.time): fault(f"entry {e.i}: it observed another time stamp")


# --- archive (§8) -----------------------------------------------------------------------------------------------------------
def header(name, size):
    need(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", name) and len(name) < 100, "member name")
    h = bytearray(512)
    for at, field in ((0, name), (100, "0000644\0"), (108, "0000000\0"), (116, "0000000\0"), (124, "%011o\0" % size), (136, "0" * 11 + "\0"),
                      (148, " " * 8), (156, "0"), (257, "ustar\x0000")):
        h[at:at + len(field)] = field.encode()
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def untar(data):
    members, at, last = {}, 0, ""
    while True:
        head = data[at:at + 512]
        need(len(head) == 512, "archive cut short")
        if head == bytes(512):
            need(data[at:] == bytes(1024), "end of archive")
            return members
        try:
            name, size = head[:100].split(b"\0")[0].decode("ascii"), int(head[124:135], 8)
        except ValueError:
            raise Malformed("header")
        need(header(name, size) == head and name > last, "header or order")
        body = data[at + 512:at + 512 + size]; pad = -size % 512
        need(len(body) == size and data[at + 512 + size:at + 512 + size + pad] == bytes(pad), "padding")
        members[name] = body; at += 512 + size + pad; last = name


class Stored:
    def __init__(self, members): self.m = dict(members)

    def plain(self, name):
        need(name in self.m, f"{name} is missing")
        return self.m.pop(name)

    def text(self, name, bytes_max=SMALL_BYTES_MAX):
        need(len(self.m.get(name, b"")) <= bytes_max, f"{name} is too long")
        return self.decode(self.plain(name))

    def take(self, name, bytes_max=2**63):
        if name in self.m:
            need(len(self.m[name]) <= 16384, "long member not compressed")
            return self.decode(self.m.pop(name))
        raw = self.plain(name + ".gz"); need(len(raw) <= bytes_max, f"{name} is too long")
        need(raw[:10] == bytes.fromhex("1f8b08000000000000ff") and len(raw) > 18, "gzip")
        z = zlib.decompressobj(-15)
        try:
            out = z.decompress(raw[10:-8]) + z.flush()
        except zlib.error:
            raise Malformed("gzip")
        need(z.eof and not z.unused_data and struct.pack("<II", zlib.crc32(out), len(out) % 2**32) == raw[-8:] and len(out) > 16384, "gzip")
        return self.decode(out)

    @staticmethod
    def decode(b):
        try:
            return b.decode()
        except ValueError:
            raise Malformed("text")


# --- entries (§2, §3) -------------------------------------------------------------------------------------------------------
def is_int(v): return isinstance(v, int) and not isinstance(v, bool)
def is_nat(v): return is_int(v) and v >= 0
def is_one(v): return is_int(v) and v == 1


def parse_header(text):
    h = parse(text)
    need(isinstance(h, dict) and len(text.encode()) <= 16384 and set(h) <= {"act", "dec", "ds", "k", "pol", "refs", "sid", "t", "v"}, "header")
    need(h.get("k") in KINDS and is_nat(h.get("t")) and h["t"] <= T_MAX and is_one(h.get("v")), "header")
    need(all(isinstance(h[k], str) and h[k] for k in ("act", "ds", "sid", "dec") if k in h) and h.get("dec", "allow") in ("allow", "deny"), "header")
    need("pol" not in h or is_nat(h["pol"]), "header")
    need("refs" not in h or isinstance(h["refs"], list) and h["refs"] and all(map(is_nat, h["refs"])), "header")
    return h


def body_root(digests):
    return sha(b"chunkctl.dev/evidence/body/v1\n\x08" + b"".join(bytes([len(g)]) + g.encode() + d for g, d in zip(GROUPS, digests)))


class Entry:
    """A line; rows of the range have a number by their place, context (`index` is None) says its own."""

    def __init__(self, line, index):
        r = parse(line)
        need(isinstance(r, dict) and isinstance(r.get("h"), str) and len(line.encode()) < LINE_BYTES_MAX, "row")
        rest = set(r) - {"h"} - ({"i", "p"} if index is None else set())
        if index is None: need(is_nat(r.get("i")) and isinstance(r.get("p"), list), "row"); index = r["i"]; self.proof = [unb64(p, 32) for p in r["p"]]
        self.i, self.text, self.h = index, r["h"], parse_header(r["h"])
        self.refs, self.k, self.t = self.h.get("refs", []), self.h["k"], self.h["t"]
        self.body, self.shown, self.gone_by = {}, set(), None
        if rest == {"b", "rk"}:
            need(isinstance(r["b"], dict) and set(r["b"]) <= set(GROUPS) and all(isinstance(v, dict) for v in r["b"].values()), "body")
            rk, self.body, self.form, self.shown = unb64(r["rk"], 16), r["b"], "full", set(GROUPS)
            salt = lambda n: hmac.new(rk, b"chunkctl.dev/salt/v1" + bytes([n]), hashlib.sha256).digest()[:16]
            root = body_root([sha(b64(canon([b64(salt(n)), g, self.body.get(g)]).encode()).encode()) for n, g in enumerate(GROUPS)])
        elif rest == {"d", "g"}:
            need(isinstance(r["d"], dict) and isinstance(r["g"], dict) and not set(r["d"]) & set(r["g"]) and set(r["d"]) | set(r["g"]) == set(GROUPS), "row")
            digests = {g: unb64(d, 32) for g, d in r["d"].items()}
            for g, disclosure in r["g"].items():
                d = parse(Stored.decode(unb64(disclosure)))
                need(isinstance(d, list) and len(d) == 3 and d[1] == g, "disclosure"); unb64(d[0], 16)
                need(d[2] is None or isinstance(d[2], dict), "group"); canon(d[2], 30)
                digests[g] = sha(disclosure.encode())
                if d[2] is not None: self.body[g] = d[2]
            self.form, self.shown, root = "partly", set(r["g"]), body_root([digests[g] for g in GROUPS])
        else:
            need(rest in ({"r"}, {"e", "r"}, {"r", "x"}), "row")
            root, self.form = unb64(r["r"], 32), "erased" if "e" in r else "disposed" if "x" in r else "header"
            if self.form != "header": self.gone_by = r.get("e", r.get("x")); need(is_nat(self.gone_by), "row")
        self.leaf = sha(b"\0" + self.text.encode() + b"\n" + b64(root).encode())

    def get(self, group, member):
        value = self.body.get(group)
        return value.get(member) if isinstance(value, dict) else None

    def text_of(self, group, member):
        v = self.get(group, member)
        return v if isinstance(v, str) else None

    def nat_of(self, group, member):
        v = self.get(group, member)
        return v if is_nat(v) else None

    def same(self, group, member, document):
        """Whether a member is there as it is in a document, or in neither."""
        body = self.body.get(group) or {}
        return (member in body) == (member in document) and (member not in body or canon(body[member]) == canon(document[member]))


def open_groups(level, k):
    if level < 2: return set()
    if level == 4: return set(GROUPS)
    groups = {"what", "obj", "mask", "out"} | ({"who", "net"} if level == 3 else set())
    if k in ("request.create", "review.approve", "review.reject", "breakglass.review") or (level == 2 and k in ("audit.read", "audit.export")): groups -= {"what"}
    return groups


# --- views (§9) -------------------------------------------------------------------------------------------------------------
UNSAFE = re.compile("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def guard(s):
    s = UNSAFE.sub(" ", "".join(" " if unicodedata.category(c) == "Cc" else c for c in s))
    if s.lstrip()[:1] and s.lstrip()[0] in "=+-@\uff1d\uff0b\uff0d\uff20": s = "'" + s
    return '"' + s.replace('"', '""') + '"' if re.search("[,\"; ']", s) else s


def cell(v):
    if v is None: return ""
    if isinstance(v, (bool, int)): return canon(v)
    if isinstance(v, str): return guard(v)
    if isinstance(v, list) and all(isinstance(x, str) for x in v): return guard(";".join(v))
    return guard(canon(v))


class Views:
    COMMON = "index,time,kind,actor,session,dataset,decision,policy,refs,disclosed"

    def __init__(self):
        self.v = {"views/population.csv": [self.COMMON + "\r\n"], "views/entries.jsonl": []}

    def add(self, e):
        h = e.h
        time = (datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=e.t)).isoformat(timespec="milliseconds") + "Z"
        common = ",".join([str(e.i), time, e.k, guard(h.get("act", "")), guard(h.get("sid", "")), guard(h.get("ds", "")), h.get("dec", ""),
                           str(h.get("pol", "")), ";".join(map(str, e.refs)), e.form])
        self.v["views/population.csv"].append(common + "\r\n")
        view = {"disclosed": e.form, "index": e.i, "kind": e.k, "time": time, **e.body}
        if "what" in view: view["what"] = {k: v for k, v in view["what"].items() if k != "envelope"}
        for name, short in (("actor", "act"), ("dataset", "ds"), ("decision", "dec"), ("policy", "pol"), ("refs", "refs"), ("session", "sid")):
            if short in h: view[name] = h[short]
        self.v["views/entries.jsonl"].append(canon(view) + "\n")
        family = e.k.split(".")[0]
        columns = [c.split("=")[-1].split(".") for c in FAMILIES.get(family, "").split()]
        titles = [c.split("=")[0].split(".")[-1] for c in FAMILIES.get(family, "").split()]
        table = self.v.setdefault(f"views/{family}.csv", [",".join([self.COMMON] + titles) + "\r\n"])
        table.append(",".join([common] + [cell(e.get(*c)) for c in columns]) + "\r\n")


# --- the log's rules (§5, §8) -----------------------------------------------------------------------------------------------
class O:
    def __init__(self, **kw): self.__dict__.update(kw)


def masks(columns, name):
    if not isinstance(columns, list): return None
    found = set()
    for c in columns:
        row = tuple(c.get(k) for k in ("dataset", name, "mask")) if isinstance(c, dict) else (None,)
        if not all(isinstance(x, str) for x in row): return None
        found.add(row)
    return found


def disposes(e):
    """What a `retention.dispose` says is gone: kinds, each with the index before which its bodies are."""
    bodies = e.get("what", "bodies")
    if not isinstance(bodies, list) or not all(isinstance(x, dict) and x.get("kind") in KINDS and is_nat(x.get("before")) for x in bodies): return None
    return [(x["kind"], x["before"]) for x in bodies]


def chunk_of(e):
    """Whether an intent says which chunk it reads, and of how many of which moment where it is not the whole (section 4)."""
    chunk, chunks, moment = e.nat_of("what", "chunk"), e.nat_of("what", "chunks"), e.text_of("what", "snapshot")
    if not {"chunks", "snapshot"} & set(e.body.get("what") or {}): return chunk == 0
    return None not in (chunk, chunks, moment) and chunks > 1 and chunk < chunks and re.fullmatch("[0-9a-f]{32}", moment)


def terms_of(v):
    """Rows and bytes of a standing grant's terms."""
    if not isinstance(v, dict) or not all(is_nat(v.get(k)) for k in ("duration_s", "rows", "bytes")): return None
    return v["rows"], v["bytes"]


def stages_of(v, quorum):
    """Whose approvals are needed, one after the other: of these groups, of whoever may review, or of the requester's manager: True
    where it is not said who that is. They add up to the quorum."""
    def stage(s):
        groups, manager = s.get("groups", []), s.get("manager", True)
        return is_nat(s.get("quorum")) and s["quorum"] and isinstance(groups, list) and all(isinstance(g, str) for g in groups) and (manager is True or isinstance(manager, str))
    if not isinstance(v, list) or not v or not all(isinstance(s, dict) and stage(s) for s in v) or sum(s["quorum"] for s in v) != quorum: return None
    return [(s.get("groups", []), s.get("manager"), s["quorum"]) for s in v]


def escalation_of(v):
    """Who else may review, and after how many seconds."""
    good = isinstance(v, dict) and is_nat(v.get("after_s")) and v["after_s"] < 1 << 32 and isinstance(v.get("groups"), list)
    return (v["after_s"], v["groups"]) if good and v["groups"] and all(isinstance(g, str) for g in v["groups"]) else None


def window_of(v):
    """The time in which a request may be fetched."""
    good = isinstance(v, dict) and is_nat(v.get("from_ms")) and is_nat(v.get("until_ms")) and v["from_ms"] < v["until_ms"]
    return (v["from_ms"], v["until_ms"]) if good else None


def told(stages):
    """Signed stages as they are recorded: without the manager's name."""
    return stages and [(groups, None if manager is None else True, quorum) for groups, manager, quorum in stages]


def person_told(session):
    """What a session says of its person: issuer, subject, address, groups, manager."""
    return tuple(session.get("who", name) for name in ("issuer", "subject", "email", "groups", "manager"))


def fold(text):
    """A text in which only the case of ASCII letters is one."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def fills(stages, escalation, asker, givers):
    """Whether approvals by these people, each with whether it was escalated to them, fill in log order the stages of this person's
    request; None is somebody who is not shown."""
    def takes(groups, manager, giver, escalated):
        issuer, subject, email, theirs, _ = giver
        if escalated and escalation and isinstance(theirs, list) and any(g in theirs for g in escalation[1]): return True
        if groups and not (isinstance(theirs, list) and any(g in theirs for g in groups)): return False
        if manager is None or asker is None: return True
        name = asker[4]
        if not isinstance(name, str) or manager is not True and manager != name: return False
        return issuer == asker[0] and (subject == name or isinstance(email, str) and fold(email) == fold(name))
    at = 0
    for groups, manager, quorum in stages or []:
        if not all(giver is None or takes(groups, manager, giver, escalated) for giver, escalated in givers[at:at + quorum]): return False
        at += quorum
    return True


def names(d):
    """The standing grant that a document is a use of: request and digest of what was approved."""
    v = d.get("under")
    found = (v.get("request"), v.get("digest")) if isinstance(v, dict) else (None,)
    return found if all(isinstance(x, str) for x in found) else None


def unverified(e):
    """What was signed, before its signature is checked."""
    try:
        d = parse(std64(e.get("what", "envelope")["payload"]).decode())
        return d if isinstance(d, dict) else None
    except (Malformed, KeyError, TypeError, ValueError):
        return None


def shape(d):
    q = d.get("query") if isinstance(d.get("query"), dict) else {}
    parts = [q.get(k, Malformed) for k in ("kind", "dataset", "columns", "filter", "order_by", "text", "params")]
    parts += [d.get(k, Malformed) for k in ("datasets", "connections", "columns", "filtered", "row_filters", "format")]
    return ["" if x is Malformed else canon(x) for x in parts], q.get("limit") if is_nat(q.get("limit")) else None


def uses(d, approved, signed):
    """Whether a document is a use of what was approved as this request: the same shape, and no larger limit."""
    (this, limit), (that, most) = shape(d), shape(approved)
    return names(d) == signed and this == that and (most is None or limit is not None and limit <= most)


NOT_BLANK = "[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"


class Ledger:
    def __init__(self, first, origin, trust, fault, unknown):
        self.first, self.origin, self.trust, self.fault_, self.unknown = first, origin, trust, fault, unknown
        self.t, self.S, self.R, self.B, self.V, self.G, self.I, self.O, self.U, self.pol = 0, {}, {}, {}, {}, {}, {}, {}, {}, {}
        self.sids, self.people, self.in_force, self.attested = set(), {}, None, set()
        self.N, self.P, self.X, self.suspended, self.K, self.enrolled = {}, {}, {}, {}, {}, set()

    def admit(self, e):
        def check(holds, what):
            if not holds: self.fault_(f"entry {e.i} ({e.k}): {what}")
        h, hidden, closed = e.h, e.form == "header", e.form not in ("full", "partly")
        check(e.t >= self.t, "time goes back"); self.t = max(self.t, e.t)
        check(all(r < e.i for r in e.refs + ([h["pol"]] if "pol" in h else [])), "points forward")
        if "pol" in h:
            check(h["pol"] in self.pol and (closed or not self.pol[h["pol"]]), "its policy")
            hidden = hidden or closed and self.pol.get(h["pol"], False)
        if e.k in ("fetch.intent", "review.approve", "review.reject", "breakglass.open", "breakglass.review"): check("pol" in h and h["pol"] == self.in_force, "not the policy in force")
        check((e.i == 0) == (e.k == "log.genesis"), "genesis")
        kinds = {"S": self.S, "R": self.R, "B": self.B, "G": self.G, "I": self.I, "O": self.O, "N": self.N, "P": self.P, "K": self.K}
        if e.k == "grant.issue":
            right = e.refs and e.refs[0] in self.R and (all(r in self.V for r in e.refs[1:]) or len(e.refs) == 2 and e.refs[1] in self.U)
        elif e.k == "grant.take" and len(e.refs) == 3: right = e.refs[0] in self.G and e.refs[1] in self.S and e.refs[2] in self.R
        elif e.k == "review.approve" and len(e.refs) > 2:
            rest = e.refs[2:]; right = e.refs[0] in self.R and e.refs[1] in self.S and len(rest) < 3 and (rest[-1] in self.K or len(rest) == 1 and rest[0] in self.X)
            right = right and (len(rest) == 1 or rest[0] in self.X)
        elif len(e.refs) == 3 and e.k in ("review.reject", "breakglass.review"): right = all(r in kinds[x] for r, x in zip(e.refs, REFS[e.k] + "K"))
        elif e.k in REFS: right = len(e.refs) == len(REFS[e.k]) and all(r in kinds[x] for r, x in zip(e.refs, REFS[e.k]))
        else: right = True
        check(right, "points to the wrong entries")
        if not right: return

        def rests_on(o):
            nonlocal hidden
            check(closed or not o.hidden, "rests on a withheld entry")
            hidden = hidden or closed and o.hidden
        def under(n):
            s = self.S[e.refs[n]]; rests_on(s)
            check(h.get("sid") == s.sid and h.get("act") == s.act and not s.closed and s.act not in self.suspended, "session")
            return s
        def columns(group, name):
            if group not in e.shown: return None
            m = masks(e.get(group, "columns"), name); check(m is not None, "columns")
            return m
        def figures(i):
            if "what" in e.shown and i.request is not None: check(e.get("what", "request") == i.request, "another request than its intent")
            if "out" in e.shown:
                rows, size, digest = e.nat_of("out", "rows"), e.nat_of("out", "bytes"), e.text_of("out", "sha256")
                check(None not in (rows, size) and rows >= i.rows and size >= i.bytes, "figures")
                check(size != i.bytes or None in (digest, i.sha) or digest == i.sha, "the same bytes have another digest than before")
                if None not in (rows, size): i.rows, i.bytes, i.sha = rows, size, digest
        def within(i):
            """Whether the standing grant bears what this delivery has carried beside what earlier ones did."""
            a = i.above
            if a and a.terms: check(a.rows + i.rows <= a.terms[0] and a.bytes + i.bytes <= a.terms[1], "the standing grant carried too much")

        if e.k == "log.genesis": check("env" not in e.shown or e.get("env", "origin") == self.origin, "origin")
        elif e.k == "policy.load": self.pol[e.i] = hidden; self.in_force = e.i
        elif e.k == "session.open":
            check("act" in h and "sid" in h and h.get("sid") not in self.sids, "session id"); self.sids.add(h.get("sid"))
            check(h.get("act") not in self.suspended, "a suspended person")
            s = O(act=h.get("act"), sid=h.get("sid"), closed=False, hidden=hidden, who=None, said=None)
            if "who" in e.shown:
                try:
                    key = unb64(e.text_of("who", "public_key"), 32)
                    s.who = O(person=(e.text_of("who", "issuer"), e.text_of("who", "subject")), key=e.text_of("who", "key"), pub=key)
                    need(thumb(key) == s.who.key and None not in s.who.person, "key")
                    check(self.people.setdefault(s.act, s.who.person) == s.who.person, "one pseudonym, two people")
                except Malformed:
                    s.who = None; check(False, "who")
                if s.who: s.said = person_told(e)
            if s.who and "attestation" in e.body.get("why", {}):
                try:
                    kept = e.text_of("why", "attestation"); need(kept is not None, "token")
                    token = IdToken(kept)
                    need(token.names == [*s.who.person, s.who.key] and e.get("who", "key_attested") is True and e.text_of("out", "id_token") == token.digest, "token")
                    signed = self.trust["providers"][token.names[0]].signed(token) if token.names[0] in self.trust["providers"] else None
                    check(signed is not False, "the identity provider's signature")
                    if signed: self.attested.add((s.who.person, s.who.key))
                except Malformed:
                    check(False, "the identity provider's token")
            self.S[e.i] = s
        elif e.k == "session.close":
            s = self.S[e.refs[0]]; rests_on(s); check(not s.closed and h.get("sid") == s.sid, "close"); s.closed = True
        elif e.k == "subject.bind":
            check("act" in h, "nobody"); self.N[e.i] = O(hidden=hidden)
        elif e.k == "person.suspend":
            rests_on(self.N[e.refs[0]]); check("act" in h, "nobody"); self.P[e.i] = O(act=h.get("act"), hidden=hidden)
            if "act" in h: self.suspended[h["act"]] = e.i
        elif e.k == "person.restore":
            p = self.P[e.refs[0]]; rests_on(p)
            check(h.get("act") == p.act and self.suspended.get(p.act) == e.refs[0], "restores what does not hold")
            if self.suspended.get(p.act) == e.refs[0]: del self.suspended[p.act]
        elif e.k == "key.enroll":
            s, key = under(0), None
            if "who" in e.shown:
                key = e.text_of("who", "ssh_key"); line = (e.text_of("who", "ssh_public_key") or "").split(" ", 1)
                try:
                    need(SshKey(std64(line[-1])).fingerprint == key and SshKey(std64(line[-1])).line == " ".join(line) and key not in self.enrolled, "key")
                    self.enrolled.add(key)
                except Malformed:
                    check(False, "the key that is enrolled"); key = None
                if "why" in e.shown and s.who: check(self.enrolment(e, s.who, self.origin), "the signature of the key that is enrolled")
            self.K[e.i] = O(act=h.get("act"), key=key, revoked=False, hidden=hidden)
        elif e.k == "key.revoke":
            under(1); k = self.K[e.refs[0]]; rests_on(k); check(not k.revoked, "taken back before"); k.revoked = True
        elif e.k == "request.create":
            s = under(0); check(h.get("dec") == "allow" and "pol" in h, "decision")
            r = O(act=h.get("act"), who=s.who, said=s.said, ds=h.get("ds"), ended=False, granted=False, reviewers=[], hidden=hidden, signed=None, opened=False,
                  emergency=e.body.get("out", {}).get("break_glass", False) if "out" in e.shown else None, quorum=e.nat_of("out", "quorum"), masks=columns("obj", "name"))
            check("out" not in e.shown or r.quorum is not None and (r.emergency is True or "break_glass" not in e.body.get("out", {})), "quorum, or emergency")
            out = e.body.get("out", {}); r.out, r.terms, r.use, r.doc = "out" in e.shown, terms_of(out.get("standing")), "under" in out, None
            r.stages = stages_of(out["stages"], r.quorum) if "stages" in out else None
            if r.stages and r.stages != told(r.stages): r.stages = None
            check("stages" not in out or r.stages, "stages"); r.t, r.escalated, r.escalation = e.t, False, escalation_of(out.get("escalation"))
            check("escalation" not in out or r.escalation, "escalation")
            r.window = window_of(out.get("window")); check("window" not in out or r.window, "window")
            check("standing" not in out or r.terms and not r.use, "terms of a standing grant")
            if ("standing" in out or r.use) and "what" in e.shown: r.doc = unverified(e)
            if "what" in e.shown and s.who:
                r.signed = self.request(e, s.who); check(r.signed, "the requester's signature")
            self.R[e.i] = r
        elif e.k == "request.deny": under(0); check(h.get("dec") == "deny", "decision")
        elif e.k in ("request.cancel", "request.expire"):
            r = self.R[e.refs[0]]; rests_on(r); check(not r.ended and not r.granted, "ended before"); r.ended = True
        elif e.k == "request.escalate":
            r = self.R[e.refs[0]]; rests_on(r); check(not r.ended and not r.granted and not r.escalated, "escalated"); r.escalated = True
            if r.quorum is not None: check(r.escalation and e.t >= r.t + r.escalation[0] * 1000, "to nobody, or not yet")
            self.X[e.i] = O(r=r, hidden=hidden)
        elif e.k == "breakglass.open":
            under(1); r = self.R[e.refs[0]]; rests_on(r)
            check(h.get("dec") == "allow" and not r.ended and not r.granted and not r.opened and h.get("act") == r.act, "breakglass"); r.opened = True
            if "what" in e.shown and r.signed: check((e.get("what", "id"), e.get("what", "digest")) == r.signed, "another request")
            self.B[e.i] = O(r=r, reviewers=[], hidden=hidden)
        elif e.k.startswith("review.") or e.k == "breakglass.review":
            after = e.k == "breakglass.review"
            s, o, yes = under(1), (self.B if after else self.R)[e.refs[0]], h.get("dec") == "allow" if after else e.k == "review.approve"
            r = o.r if after else o
            rests_on(o); check(h.get("dec") == ("allow" if yes else "deny"), "decision")
            check((after or not r.ended and not r.granted) and h.get("act") != r.act and h.get("act") not in o.reviewers, "review")
            x = self.X.get(e.refs[2]) if len(e.refs) > 2 else None
            if x: rests_on(x); check(x.r is r, "another request was escalated")
            o.reviewers.append(h.get("act")); r.ended |= not yes and not after
            if s.who and r.who: check(s.who.person != r.who.person and s.who.pub != r.who.pub, "the requester reviewed")
            ssh = e.text_of("who", "ssh_key")
            k = self.K.get(e.refs[-1]) if len(e.refs) > 2 else None
            if "who" in e.shown: check(has(e, "who", "ssh_key") == bool(k), "an SSH key without its enrolment")
            if k:
                rests_on(k)
                check(k.act == h.get("act") and not k.revoked and (None in (ssh, k.key) or ssh == k.key), "another SSH key, or one that was taken back")
            if "what" in e.shown and s.who and r.signed:
                ok = self.review(e, s.who, r.signed, "approve" if yes else "reject"); check(ok, "the reviewer's signature")
                if ok and self.trust["reviewer_keys"] != "session" and (s.who.person, s.who.key) not in self.attested:
                    pins = [p for p in self.trust["pinned"] if (p["issuer"], p["subject"]) == s.who.person]
                    keys, ssh_keys = ([p[k] for p in pins if k in p] for k in ("thumbprint", "ssh_key"))
                    if s.who.key not in keys and ssh not in ssh_keys:
                        if keys or ssh_keys and ssh is not None: check(False, "another key than those pinned")
                        else: self.unknown(f"only the log says that key {s.who.key} is {s.who.person}'s")
            if not after: self.V[e.i] = O(said=s.said, escalated=bool(x) and x.r is r, request=e.refs[0], yes=yes, act=h.get("act"), who=s.who, hidden=hidden)
        elif e.k == "grant.issue":
            r, use = self.R[e.refs[0]], self.U.get(e.refs[1]) if len(e.refs) == 2 else None
            votes, end, above = [self.V[x] for x in e.refs[1:]] if not use else [], e.nat_of("out", "expires_ms"), use.g if use else None
            for o in [r] + votes + [use] * bool(use): rests_on(o)
            check(not use or use.r is r, "a standing grant taken for another request")
            check(bool(use) or not r.use, "a use of a standing grant that was not taken")
            check(not r.window or end is None or end <= r.window[1], "it outlasts its window")
            if use: check(None in (end, above.end) or end <= above.end, "it outlasts its standing grant")
            check(not r.ended and not r.granted and h.get("act") == r.act and h.get("act") not in self.suspended, "grant"); r.granted = True
            check(all(v.request == e.refs[0] and v.yes for v in votes) and len({v.act for v in votes}) == len(votes), "approvals")
            check(fills(r.stages, r.escalation, r.said, [(self.V[x].said, self.V[x].escalated) for x in sorted(e.refs[1:])] if not use else []), "an approval from outside its stage")
            count = (above.count if above.terms else None) if use else len({v.act for v in votes})
            if r.quorum is not None: check(count is None or count >= r.quorum, "quorum")
            if r.emergency is not None: check(r.opened == r.emergency or r.emergency and e.refs[0] < self.first, "an emergency that is none, or is not told")
            people = [v.who.person for v in votes if v.who]; check(len(set(people)) == len(people), "one person twice")
            if "what" in e.shown and r.signed: check((e.get("what", "id"), e.get("what", "digest")) == r.signed, "another request")
            self.G[e.i] = O(r=r, act=r.act, taken=False, ended=False, end=end, hidden=hidden, above=above, terms=r.terms, count=len({v.act for v in votes}), rows=0, bytes=0)
        elif e.k == "grant.take" and len(e.refs) == 3:
            under(1); g, r = self.G[e.refs[0]], self.R[e.refs[2]]; rests_on(g); rests_on(r)
            check(not g.ended and h.get("act") == g.act == r.act and not r.ended and not r.granted and (g.end is None or e.t <= g.end), "use of a standing grant")
            check(r.ds == g.r.ds and (None in (r.masks, g.r.masks) or r.masks == g.r.masks), "another shape than was approved")
            check((not g.r.out or g.terms) and (not r.out or r.use), "no standing grant, or no use of one")
            check(not (r.out and r.quorum is not None and g.r.out and g.r.quorum is not None) or (r.stages, r.escalation) == (g.r.stages, g.r.escalation), "other people's approvals")
            if r.who and g.r.who: check(r.who.person == g.r.who.person, "another person used the standing grant")
            if r.doc and g.r.doc and g.r.signed: check(uses(r.doc, g.r.doc, g.r.signed), "what was signed is no use of what was approved")
            if "what" in e.shown and g.r.signed and r.signed: check((e.get("what", "id"), e.get("what", "request")) == (g.r.signed[0], r.signed[0]), "another request")
            self.U[e.i] = O(g=g, r=r, hidden=hidden)
        elif e.k == "grant.take":
            under(1); g = self.G[e.refs[0]]; rests_on(g)
            check(not g.taken and not g.ended and h.get("act") == g.act and (g.end is None or e.t <= g.end) and not g.terms, "take"); g.taken = True
        elif e.k in ("grant.revoke", "grant.expire"):
            g = self.G[e.refs[0]]; rests_on(g); check(not g.ended, "ended before"); g.ended = True
        elif e.k == "fetch.intent":
            under(1); g, m = self.G[e.refs[0]], columns("mask", "column"); rests_on(g)
            check((g.taken or e.refs[0] < self.first) and not g.ended and h.get("act") == g.act and h.get("ds") == g.r.ds, "intent")
            check(not g.r.window or g.r.window[0] <= e.t <= g.r.window[1], "outside its window")
            a = g.above
            if a: check(not a.ended and (a.end is None or e.t <= a.end) and (not a.terms or a.rows < a.terms[0] and a.bytes < a.terms[1]), "its standing grant")
            if m is not None and g.r.masks is not None: check(m == g.r.masks, "masks")
            if "what" in e.shown and g.r.signed: check(e.get("what", "request") == g.r.signed[0], "another request")
            if "what" in e.shown: check(chunk_of(e), "which chunk of what")
            self.I[e.i] = O(ended=False, rows=0, bytes=0, sha=None, masks=m, request=e.text_of("what", "request"), hidden=hidden, above=a)
        elif e.k == "fetch.progress":
            i = self.I[e.refs[0]]; rests_on(i); check(not i.ended, "after its outcome"); open_ = not i.ended; figures(i)
            if open_: within(i)
            check("out" not in e.shown or re.fullmatch("[0-9a-f]{64}", e.text_of("out", "sha256") or ""), "digest")
        elif e.k == "fetch.outcome":
            i, m = self.I[e.refs[0]], columns("mask", "column"); rests_on(i); first = not i.ended; check(first, "second outcome"); i.ended = True; figures(i)
            if first: within(i)
            if first and i.above: i.above.rows += i.rows; i.above.bytes += i.bytes
            if m is not None and i.masks is not None: check(m <= i.masks, "masks")
            end, digest = e.text_of("out", "end"), e.text_of("out", "sha256")
            if "out" in e.shown:
                check(end in "done cut source_failed interrupted limit revoked failed".split(), "end")
                check(end != "done" or re.fullmatch("[0-9a-f]{64}", digest or ""), "digest")
                check("recording" not in e.body.get("out", {}) or e.get("out", "recording") in ["kept"] + ["failed"] * (end != "done"), "recording")
            self.O[e.i] = O(done="out" not in e.shown or end == "done", sha=digest, hidden=hidden)
        elif e.k == "delivery.ack":
            o, got = self.O[e.refs[0]], e.text_of("out", "sha256"); rests_on(o); check(o.done and (None in (o.sha, got) or o.sha == got), "ack")
        elif e.k in ("audit.read", "audit.export", "erase"): under(0)
        elif e.k == "retention.dispose" and "what" in e.shown:
            said = disposes(e)
            check(said is not None and len({k for k, _ in said}) == len(said) and all(
                k.split(".")[0] in "session request review grant fetch delivery audit".split() and n <= e.i for k, n in said), "disposes")

    @staticmethod
    def request(e, who):
        try:
            payload = dsse(e.get("what", "envelope"), who.pub, "application/vnd.chunkctl.request.v1+json")
            need(payload is not None and sha(payload).hex() == e.get("what", "digest"), "signature")
            d = parse(payload.decode())
            need(is_one(d["v"]) and [d["requester"][k] for k in ("issuer", "subject", "key")] == [*who.person, who.key], "requester")
            need(is_nat(d["quorum"]) and isinstance(e.get("what", "id"), str), "request")
            need("out" not in e.shown or e.nat_of("out", "quorum") == d["quorum"], "quorum")
            need(d.get("break_glass", True) is True and ("out" not in e.shown or ("break_glass" in d) == ("break_glass" in e.body.get("out", {}))), "emergency")
            signed, recorded = stages_of(d.get("stages"), d["quorum"]), stages_of(e.get("out", "stages"), d["quorum"])
            need("stages" not in d or signed and all(manager is not True for _, manager, _ in signed), "stages")
            need("out" not in e.shown or recorded == told(signed) and ("stages" in (e.body.get("out") or {})) == ("stages" in d), "stages")
            need(("escalation" not in d or escalation_of(d["escalation"])) and ("out" not in e.shown or e.same("out", "escalation", d)), "escalation")
            need(("window" not in d or window_of(d["window"])) and ("out" not in e.shown or e.same("out", "window", d)), "window")
            need("standing" not in d or terms_of(d["standing"]), "standing"); used = names(d)
            need(("under" in d) == (used is not None) and not (used and ("standing" in d or "break_glass" in d or "window" in d)), "under")
            need("out" not in e.shown or e.same("out", "standing", d) and e.get("out", "under") == (used and used[0]), "standing or under")
            need("obj" not in e.shown or all(e.same("obj", k, d) for k in ("columns", "connections", "datasets")), "obj")
            need("why" not in e.shown or all(e.same("why", k, d) for k in ("reason", "ticket")), "why")
            return e.get("what", "id"), e.get("what", "digest")
        except (Malformed, KeyError, TypeError, ValueError):
            return None

    @staticmethod
    def enrolment(e, who, origin):
        try:
            signed, signature = e.text_of("why", "statement"), SshSignature(e.text_of("why", "ssh"))
            need(signed is not None and signature.over(b"enroll@chunkctl.dev", signed.encode()), "signature"); d, key = parse(signed), signature.key
            need(is_one(d["v"]) and [d[k] for k in ("origin", "issuer", "subject", "key", "ssh_key")] == [origin, *who.person, who.key, key.fingerprint], "statement")
            return [e.get("who", k) for k in ("issuer", "subject", "ssh_key", "ssh_public_key")] == [*who.person, key.fingerprint, key.line]
        except (Malformed, KeyError, TypeError, ValueError):
            return False

    @staticmethod
    def review(e, who, request, verdict):
        try:
            need((e.get("what", "id"), e.get("what", "digest")) == request, "request")
            payload = dsse(e.get("what", "envelope"), who.pub, "application/vnd.chunkctl.review.v1+json"); d = parse(payload.decode())
            if has(e, "what", "ssh"):
                ssh = SshSignature(e.get("what", "ssh")); need(ssh.over(b"review@chunkctl.dev", payload), "SSH signature")
                need("who" not in e.shown or e.get("who", "ssh_key") == ssh.key.fingerprint, "SSH key")
            else: need(not has(e, "who", "ssh_key"), "an SSH key and no signature by it")
            need(is_one(d["v"]) and d["verdict"] == verdict and (d["request"], d["digest"]) == request, "verdict")
            need([d[k] for k in ("issuer", "subject", "key")] == [*who.person, who.key] and re.search(NOT_BLANK, d["reason"]), "reviewer")
            need("who" not in e.shown or all(e.get("who", k) == d[k] for k in ("issuer", "subject", "key")), "who")
            need("why" not in e.shown or e.get("why", "reason") == d["reason"], "why")
            return True
        except (Malformed, KeyError, TypeError, ValueError, AttributeError):
            return False


# --- the log's keys (§6) ----------------------------------------------------------------------------------------------------
ROTATIONS_MAX = 256


def rotation(text, origin):
    """The keys that a statement names, old and new, both of which have signed it."""
    cut = text.rfind("\n\n"); need(cut >= 0 and text.endswith("\n"), "rotation")
    statement, lines = text[:cut + 1], text[cut + 2:-1].split("\n")
    parts = statement.split("\n"); need(len(parts) == 5 and parts[:2] == ["chunkctl.dev/log-key/v1", origin] and not parts[4], "rotation")
    keys = [vkey(k) for k in parts[2:4]]; need(keys[0][0] == keys[1][0] == origin and keys[0] != keys[1] and len(lines) == 2, "rotation")
    for key, line in zip(keys, lines):
        need(line.startswith(f"— {origin} "), "rotation"); raw = std64(line[len(origin) + 3:])
        need(raw[:4] == key[1] and ed25519(key[2], statement.encode(), raw[4:]), "a key did not sign the rotation")
    return keys


class Rotations:
    """The entries below a head that replaced the log's key: each follows from the one before."""

    def __init__(self, entries, head):
        self.told = []
        need(len(entries) <= ROTATIONS_MAX, "rotations")
        for e in entries:
            need(e.k == "key.rotate" and e.form == "partly" and e.shown == {"what"} and included(e.leaf, e.i, head.size, e.proof, head.root), "rotations")
            text = e.text_of("what", "rotation"); need(text is not None, "rotation"); old, new = rotation(text, head.origin)
            need(not self.told or self.told[-1][0] < e.i and self.told[-1][2] == old, "rotations that do not follow from each other")
            need(all(new != before for _, before, _ in self.told), "a key that comes back"); self.told.append((e.i, old, new))
        self.last = self.told[-1][2] if self.told else None
        self.keys = [old for _, old, _ in self.told[:1]] + [new for _, _, new in self.told]

    def follow(self, trusted):
        keys = list(trusted)
        for _, old, new in self.told:
            if old in keys: keys.append(new)
        return keys

    def early(self, key, size):
        """Whether a tree of this size is not larger than those that the key signs."""
        return all(size <= i for i, old, _ in self.told if old == key)


# --- the bundle (§8) --------------------------------------------------------------------------------------------------------
def parse_filter(text):
    f = parse(text)
    need(isinstance(f, dict) and f and set(f) <= {"actors", "dataset", "kind", "request"}, "filter")
    need(all(isinstance(v, str) for k, v in f.items() if k != "actors"), "filter")
    need(isinstance(f.get("actors", []), list) and all(isinstance(a, str) for a in f.get("actors", [])), "filter")
    return f


def asked_for(f, e):
    """Whether a header alone shows that a filter asks for an entry."""
    return "request" not in f and ("actors" not in f or e.h.get("act") in f["actors"]) and \
        ("dataset" not in f or "ds" in e.h and f["dataset"] in e.h["ds"].split(",")) and ("kind" not in f or f["kind"] in (e.k, e.k.split(".")[0]))


def verify(data, trust, fault, unknown):
    members = untar(data); stored = Stored(members)
    statement = parse(stored.text("statement.dsse", 2**28))
    need(isinstance(statement, dict), "statement")
    said = parse(Stored.decode(std64(statement.get("payload", ""))))
    need(isinstance(said, dict) and set(said) == {"members", "origin", "v"} and is_one(said["v"]), "statement")
    need(said["members"] == {n: sha(b).hex() for n, b in stored.m.items()}, "statement")
    m = re.fullmatch(r"chunkctl\.dev/bundle/v1\nlevel ([0-4])\nrange (0|[1-9][0-9]*) (0|[1-9][0-9]*)\nfilter (none|\{.*\})\nviews (yes|no)\n",
                     stored.text("format.txt"))
    need(m, "format.txt")
    level, a, b, chosen, with_views = int(m[1]), int(m[2]), int(m[3]), None if m[4] == "none" else parse_filter(m[4]), m[5] == "yes"
    start, head = Checkpoint(stored.text("start.checkpoint")), Checkpoint(stored.text("head.checkpoint"))
    need(start.origin == head.origin == said["origin"] and start.size == a <= b <= head.size, "range or origin")
    own_text = stored.text("keys/log.txt"); need(own_text.endswith("\n"), "log key"); own = vkey(own_text[:-1]); need(own[0] == head.origin, "log key")
    if trust["origin"] != head.origin: fault("another log than the trusted one")
    replaced = []
    if "keys/rotations.jsonl" in stored.m:
        text = stored.text("keys/rotations.jsonl"); need(text.endswith("\n"), "rotations"); replaced = [Entry(x, None) for x in text[:-1].split("\n")]
    replaced = Rotations(replaced, head); stamps = take_stamps(stored)
    if replaced.last not in (None, own): fault("the head is not signed by the key that the log had by then")
    named, trusted = [own] + replaced.keys, replaced.follow(trust["keys"])
    if head.signer(trusted): trusted += named
    for name, cp in [("head", head), ("start", start)] + [("stamped checkpoint", s.checkpoint) for s in stamps]:
        signer = cp.signer(trusted)
        if signer is None and cp.signer(named): unknown(f"the {name} is signed by a key that is not trusted")
        elif not signer: fault(f"the {name}'s signature")
        elif not replaced.early(signer, cp.size): fault(f"the {name} is signed by a key that had been replaced before")
        elif name == "head" and signer != own: fault("the bundle names another log key")
    if not head.signer([own]): fault("the head is not signed by the key the bundle names")
    if trust["witnesses"]:
        vouch = [head.cosigned(w) for w in trust["witnesses"]]
        if None in vouch: fault("a witness's cosignature on the head")
        elif sum(vouch) < trust["witness_quorum"]: unknown("too few of the trusted witnesses vouch for the head")
    if dsse(statement, own[2], "application/vnd.chunkctl.export.v1+json") is None: fault("the statement's signature")

    proofs = parse(stored.text("proof/consistency")); need(isinstance(proofs, dict) and set(proofs) == {"proofs"} and proofs["proofs"], "proofs")
    shown = {0: EMPTY, head.size: head.root}
    for n, p in enumerate(proofs["proofs"]):
        need(set(p) == {"from", "hashes", "root", "to"} and is_nat(p["from"]) and is_nat(p["to"]) and p["to"] == head.size, "proofs")
        root = unb64(p["root"], 32)
        need(n or (p["from"], root) == (a, start.root), "first proof")
        if consistent(p["from"], p["to"], [unb64(x, 32) for x in p["hashes"]], root, head.root): shown.setdefault(p["from"], root)
        else: fault(f"the head does not extend size {p['from']}")
    for s in stamps:
        need(s.checkpoint.origin == head.origin and s.size <= head.size, "a stamped checkpoint")
        if shown.get(s.size) != s.checkpoint.root: fault(f"the head does not extend the stamped checkpoint of size {s.size}")
    judge_stamps(stamps, trust["authorities"], trust["unstamped_max"], a, b, fault, unknown)
    last = trust["last"]
    views = rows(stored, level, a, b, chosen, start, head, trust, shown, stamps, {i for i, _, _ in replaced.told}, fault, unknown) if level else {}
    if last and last.size > head.size: unknown("the auditor has seen a larger log")
    elif last and last.size not in shown: unknown("nothing shows the log at the auditor's last checkpoint")
    elif last and shown[last.size] != last.root: fault("history was rewritten")
    if with_views:
        for name, text in views.items():
            if level < 2 and name != "views/population.csv": continue
            if stored.take(name) != text: fault(f"{name} is not what the rows give")
    need(not stored.m, "members that do not belong: " + " ".join(stored.m))
    return views


def pages(stored, folder):
    """First index and lines of each member that holds entries; all but the last are full, and none is fuller."""
    names = sorted(n.removesuffix(".gz") for n in stored.m if re.fullmatch(folder + r"/[0-9]{12,}\.jsonl(\.gz)?", n))
    names = [n for n in names if n == "%s/%012d.jsonl" % (folder, int(n[len(folder) + 1:-6]))]
    for name in names:
        text = stored.take(name, 2 * (MEMBER_BYTES + LINE_BYTES_MAX)); need(text.endswith("\n"), "a member of rows")
        part, size = text[:-1].split("\n"), len(text.encode())
        before = size - len(part[-1].encode()) - 1
        need(len(part) <= ROWS_MAX and before < MEMBER_BYTES, "too many rows in a member")
        need(name == names[-1] or len(part) == ROWS_MAX or size >= MEMBER_BYTES, "too few rows in a member")
        yield int(name[len(folder) + 1:-6]), part


def rows(stored, level, a, b, chosen, start, head, trust, shown, stamps, replaced, fault, unknown):
    r = parse(stored.text("proof/range")); need(isinstance(r, dict) and set(r) == {"from", "frontier", "tail", "to"}, "range")
    need(is_nat(r["from"]) and is_nat(r["to"]) and (r["from"], r["to"]) == (a, b), "range")
    frontier = Frontier(a, [unb64(x, 32) for x in r["frontier"]])
    if frontier.root() != start.root: fault("the fold does not begin at the start")
    context = []
    for first, part in pages(stored, "context"):
        found = [Entry(x, None) for x in part]; need(found[0].i == first, "name of a member of context"); context += found
    need(all(x.i < y.i for x, y in zip(context, context[1:])) and not any(a <= e.i < b for e in context), "context order")
    for e in context:
        if not included(e.leaf, e.i, head.size, e.proof, head.root): fault(f"entry {e.i} is not under the head")
    ledger, views, attached, needed, erased, erasers, disposed, disposers = Ledger(a, head.origin, trust, fault, unknown), Views(), {}, set(), [], {}, [], {}

    def step(e):
        groups = open_groups(level, e.k)
        if e.form == "erased": erased.append(e); needed.add(e.gone_by)
        elif e.form == "disposed": disposed.append(e); needed.add(e.gone_by)
        elif e.form == "header":
            if level >= 2 and chosen is None: fault(f"entry {e.i}: its body is missing")
            if level >= 2 and chosen is not None and a <= e.i < b and asked_for(chosen, e): fault(f"entry {e.i}: withheld although the filter asks for it")
        else: need(level >= 2 and e.shown == groups and (e.form == "full") == (groups == set(GROUPS)), "a row opens other groups than its level")
        if e.k == "erase": erasers[e.i] = e.text_of("what", "subject") or ""
        if e.k == "retention.dispose": disposers[e.i] = (disposes(e) or []) if "what" in e.shown else None
        if e.k == "key.rotate" and e.i not in replaced: fault(f"entry {e.i}: it replaces the log's key, and the bundle does not tell so beside its rows")
        needed.update(e.refs, [e.h["pol"]] if "pol" in e.h else [])
        ledger.admit(e)
        against_stamps(e, stamps, fault)
        if e.k == "policy.load":
            for member, folder, ext in (("text", "policies", "cedar"), ("schema", "schema", "cedarschema")):
                text = e.text_of("what", member)
                if text is not None: attached[f"{folder}/{sha(text.encode()).hex()}.{ext}"] = text

    for e in context:
        if e.i < a: step(e)
    for first, part in pages(stored, "rows"):
        need(first == frontier.size, "gap")
        for line in part:
            e = Entry(line, frontier.size); need(e.i < b, "rows beyond the range"); frontier.push(e.leaf)
            if trust["last"] and frontier.size == trust["last"].size: shown.setdefault(frontier.size, frontier.root())
            step(e); views.add(e)
    need(frontier.size == b, "rows are missing")
    if not consistent(b, head.size, [unb64(x, 32) for x in r["tail"]], frontier.root(), head.root): fault("the rows do not fold into the head")
    for e in context:
        if e.i >= b: step(e)
    need(sorted(x for x in needed if not a <= x < b) == [e.i for e in context], "context is not what the rows rest on")
    for e in erased:
        whom, act = erasers.get(e.gone_by), e.h.get("act")
        if e.gone_by <= e.i or whom is None or act is None or (level >= 2 and whom != act): fault(f"entry {e.i}: erased by an entry that did not erase it")
    for e in disposed:
        said = disposers.get(e.gone_by, [])
        if e.gone_by <= e.i or (level >= 2 if said is None else not any(k == e.k and e.i < before for k, before in said)):
            fault(f"entry {e.i}: disposed of by an entry that did not")
    for name, text in attached.items():
        if stored.take(name) != text: fault(f"{name} is not what the rows give")
    return {name: "".join(parts) for name, parts in views.v.items()}


# --- the receipt (§7) -------------------------------------------------------------------------------------------------------
RECEIPT = {"session.open": "who", "request.create": "what obj why out", "review.approve": "who what why", "review.reject": "who what why",
           "grant.issue": "what out", "grant.take": "what", "fetch.intent": "what obj mask", "fetch.outcome": "out mask"}


def receipt(text, data, trust, unknown):
    r = parse(text.removesuffix("\n")); need(isinstance(r, dict) and set(r) | {"rotations"} == {"checkpoint", "entries", "file", "format", "rotations"}, "receipt")
    need("rotations" not in r or isinstance(r["rotations"], list) and r["rotations"], "rotations")
    f = r["file"]; need(set(f) | {"name"} == {"bytes", "format", "name", "sha256"} and isinstance(f.get("name", ""), str), "file")
    need(r["format"] == "chunkctl.dev/receipt/v1" and f["sha256"] == sha(data).hex() and is_nat(f["bytes"]) and f["bytes"] == len(data), "another file")
    head = Checkpoint(r["checkpoint"]); replaced = Rotations([Entry(canon(x), None) for x in r.get("rotations", [])], head)
    signer = head.signer(replaced.follow(trust["keys"])); need(signer is not False, "the checkpoint's signature")
    if signer is None: return unknown("signed by a log key that is not known")
    need(replaced.last in (None, signer), "signed by a key that had been replaced before")
    E, last = {}, None
    for line in r["entries"]:
        need(set(line) == {"d", "g", "h", "i", "p"}, "entry"); e = Entry(canon(line), None)
        need(e.shown == set(RECEIPT.get(e.k, "").split()), "an entry opens other groups than a receipt does")
        need(last is None or last.i < e.i and last.t <= e.t, "order"); need(included(e.leaf, e.i, head.size, e.proof, head.root), "inclusion")
        E[e.i] = last = e

    def at(e, n, kind):
        need(len(e.refs) > n and e.refs[n] in E and e.refs[n] < e.i and E[e.refs[n]].k == kind, "references")
        return E[e.refs[n]]
    def holder(e, n):
        s = at(e, n, "session.open"); need(all(k in s.h and s.h[k] == e.h.get(k) for k in ("sid", "act")), "another session")
        w = O(person=(s.text_of("who", "issuer"), s.text_of("who", "subject")), key=s.text_of("who", "key"), pub=unb64(s.text_of("who", "public_key"), 32))
        need(None not in w.person and thumb(w.pub) == w.key, "key"); used.add(s.i)
        return w
    need(last and last.k == "fetch.outcome", "its last entry is no outcome"); out = last; used = {out.i}
    intent = at(out, 0, "fetch.intent"); grant = at(intent, 0, "grant.issue"); request = at(grant, 0, "request.create")
    used |= {intent.i, grant.i, request.i}; asker, taker = holder(request, 0), holder(intent, 1)
    signed = Ledger.request(request, asker); need(signed and asker.person == taker.person, "the requester")
    need((grant.get("what", "id"), grant.get("what", "digest")) == signed and intent.get("what", "request") == signed[0], "another request")
    window = window_of(unverified(request).get("window")); need(not window or window[0] <= intent.t <= window[1], "read outside its window")
    def approvals(grant, request, signed, asker):
        people, d = [], unverified(request)
        votes = [at(grant, n, "review.approve") for n in sorted(range(1, len(grant.refs)), key=lambda n: grant.refs[n])]
        escalated = lambda vote: len(vote.refs) > 2 and vote.refs[2] in E  # what else it points to is an SSH key, which a receipt leaves out
        givers, escalation = [(person_told(at(vote, 1, "session.open")), escalated(vote)) for vote in votes], escalation_of(d.get("escalation"))
        for vote in votes:
            if escalated(vote):
                x = at(vote, 2, "request.escalate"); used.add(x.i)
                need(at(x, 0, "request.create").i == request.i and escalation and x.t >= request.t + escalation[0] * 1000, "escalated early, or another request")
        need(fills(stages_of(d.get("stages"), d["quorum"]), escalation, person_told(at(request, 0, "session.open")), givers), "an approval from outside its stage")
        for n in range(1, len(grant.refs)):
            vote = at(grant, n, "review.approve"); need(at(vote, 0, "request.create").i == request.i, "another request"); who = holder(vote, 1)
            need(Ledger.review(vote, who, signed, "approve") and who.person != asker.person and who.person not in people, "an approval")
            people.append(who.person); used.add(vote.i)
        return people
    d = unverified(request); is_use = len(grant.refs) == 2 and E.get(grant.refs[1]) is not None and E[grant.refs[1]].k == "grant.take"
    need(is_use == (names(d) is not None), "a use of a standing grant that is none")
    if is_use:
        take = at(grant, 1, "grant.take"); above = at(take, 0, "grant.issue"); first = at(above, 0, "request.create")
        need(at(take, 2, "request.create").i == request.i and take.get("what", "request") == signed[0], "taken for another request")
        owner = holder(first, 0); approved = Ledger.request(first, owner)
        need(approved and owner.person == asker.person == holder(take, 1).person and take.get("what", "id") == approved[0], "the standing grant's owner")
        need((above.get("what", "id"), above.get("what", "digest")) == approved, "another standing grant")
        need(terms_of(unverified(first).get("standing")) and uses(d, unverified(first), approved), "another shape than was approved")
        need([d.get(x) for x in ("stages", "escalation")] == [unverified(first).get(x) for x in ("stages", "escalation")], "other people's approvals")
        end = above.nat_of("out", "expires_ms"); need(end is not None and take.t <= end and intent.t <= end, "the standing grant had run out")
        used |= {take.i, above.i, first.i}; people = approvals(above, first, approved, owner); need(len(people) >= unverified(first)["quorum"], "quorum")
    else: people = approvals(grant, request, signed, asker)
    need(len(people) >= d["quorum"] and used == set(E), "quorum, or entries without a part in it")
    need(out.get("out", "end") == "done" and out.get("out", "sha256") == f["sha256"] and out.nat_of("out", "bytes") == f["bytes"], "the outcome")
    need(out.nat_of("out", "rows") is not None and chunk_of(intent) and d.get("format") == f["format"], "format or figures")
    asked, applied = masks(d.get("columns"), "name"), masks(out.get("mask", "columns"), "column")
    need(asked is not None and masks(intent.get("mask", "columns"), "column") == asked and applied is not None and applied <= asked, "masks")


def main(argv):
    if len(argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 3
    faults, unknowns, views = [], [], {}
    with open(argv[2], "rb") as f: t = tomllib.load(f)
    try:
        trust = {"origin": t["origin"], "keys": [vkey(k.strip()) for k in t["log_keys"]], "last": None,
                 "reviewer_keys": t.get("reviewer_keys", "pinned"), "pinned": t.get("pinned", [])}
        trust["witnesses"] = [vkey(k.strip(), 4) for k in t.get("witnesses", [])]
        for p in trust["pinned"]: need(set(p) in ({"issuer", "subject", "thumbprint"}, {"issuer", "subject", "ssh_key"}) and re.fullmatch("SHA256:.{43}", p.get("ssh_key", "SHA256:" + "A" * 43)), "trust file")
        providers = [Provider(p) for p in t.get("issuer", [])]
        trust["providers"] = {p.issuer: p for p in providers}; need(len(trust["providers"]) == len(providers), "trust file")
        trust["authorities"] = [Certificate(c) for c in t.get("timestamp_authorities", [])]
        trust["unstamped_max"] = most = t.get("unstamped_entries_max")
        need(most is None or trust["authorities"] and type(most) is int and 0 <= most < 1 << 64, "trust file")
        trust["witness_quorum"] = t.get("witness_quorum", len(trust["witnesses"]))
        need(all(len({w[i] for w in trust["witnesses"]}) == len(trust["witnesses"]) for i in (0, 2)), "trust file")
        need(trust["witness_quorum"] <= len(trust["witnesses"]) and bool(trust["witness_quorum"]) == bool(trust["witnesses"]), "trust file")
        if t.get("last_checkpoint"): trust["last"] = Checkpoint(t["last_checkpoint"])
        need(trust["keys"] and (not trust["last"] or trust["last"].signer(trust["keys"])), "trust file")
    except (Malformed, KeyError, TypeError, ValueError) as e:
        print(f"trust file: {e}", file=sys.stderr)
        return 3
    with open(argv[1], "rb") as f: data = f.read()
    try:
        if argv[1].endswith(".receipt"):
            with open(argv[1].removesuffix(".receipt"), "rb") as f: receipt(Stored.decode(data), f.read(), trust, unknowns.append)
        else: views = verify(data, trust, faults.append, unknowns.append)
    except (Malformed, KeyError, TypeError, AttributeError) as e:
        faults.append(f"form: {e}")
    for line in faults or unknowns: print(line)
    print("false" if faults else "cannot tell" if unknowns else "true")
    if len(argv) == 4 and not faults and not unknowns:
        os.makedirs(os.path.join(argv[3], "views"), exist_ok=True)
        for name, text in views.items():
            with open(os.path.join(argv[3], name), "w", encoding="utf-8", newline="") as f: f.write(text)
    return 1 if faults else 2 if unknowns else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
