"""Reads a disk's folder by docs/disk-format.md alone, and prints a line of JSON for each response that is found."""

import hashlib
import json
import os
import struct
import sys

MASK = (1 << 64) - 1
TABLE = []
for number in range(256):
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    TABLE.append(number)


def crc32c(data, earlier=0):
    state = earlier ^ 0xFFFFFFFF
    for byte in data:
        state = state >> 8 ^ TABLE[(state ^ byte) & 0xFF]
    return state ^ 0xFFFFFFFF


def siphash13(key, data):
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotated(value, by):
        return (value << by | value >> (64 - by)) & MASK

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotated(v[1], 13) ^ v[0]
            v[0] = rotated(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotated(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotated(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotated(v[1], 17) ^ v[2]
            v[2] = rotated(v[2], 32)

    whole = len(data) - len(data) % 8
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        rounds(1)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(3)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


class Record:
    def __init__(self, secret, segment, offset, data):
        header = data[offset : offset + 64]
        self.is_sound = False
        if len(header) < 64 or header[:8] != b"\xf1TEROREC":
            return
        seal = siphash13(secret, b"record" + struct.pack("<Q", offset) + header[:56])
        if header[56:] != struct.pack("<Q", seal):
            return
        self.kind = header[8]
        key = int.from_bytes(header[9:12], "little")
        head, extents, self.content_length = struct.unpack("<IIQ", header[12:28])
        self.log, self.mark, number, checksum = struct.unpack("<QQQI", header[28:56])
        if number != segment:
            return
        self.seal, self.content_at = header[56:], offset + 64 + key + head + extents * 24
        pieces = (self.content_length + 65535) // 65536
        self.end = (self.content_at + self.content_length + pieces * 4 + 7) // 8 * 8
        text = data[offset + 64 : self.content_at]
        self.key, self.head = text[:key], text[key : key + head]
        rest = text[key + head :]
        self.extents = [struct.unpack("<QQQ", rest[at : at + 24]) for at in range(0, len(rest), 24)]
        self.is_readable = crc32c(text) == checksum and self.kind != 5
        self.data, self.is_sound = data, self.end <= len(data)

    def own_content(self):
        content, at = b"", self.content_at
        while len(content) < self.content_length:
            length = min(65536, self.content_length - len(content))
            piece, checksum = self.data[at : at + length], self.data[at + length : at + length + 4]
            number = struct.pack("<I", len(content) // 65536)
            earlier = int.from_bytes(self.seal[:4], "little")
            if struct.pack("<I", crc32c(number + piece, earlier)) != checksum:
                return None
            content, at = content + piece, at + length + 4
        return content


def text_at(data, at):
    length = struct.unpack("<I", data[at : at + 4])[0]
    return data[at + 4 : at + 4 + length], at + 4 + length


def read_head(head):
    version, status, flags, browser, saved = struct.unpack("<BHBIq", head[:16])
    born, fresh_until, lifetime = struct.unpack("<qqI", head[16:36])
    site, at = text_at(head, 52)
    secondary_key, at = text_at(head, at)
    fields, tags = [], []
    while at < len(head):
        kind = head[at]
        name, at = text_at(head, at + 1)
        value, at = text_at(head, at)
        if kind == 0:
            fields.append([name.decode(), value.decode()])
        elif kind in (2, 3):
            tags.append(value.decode())
    return {
        "version": version,
        "status": status,
        "saved_at_ms": saved,
        "lifetime": lifetime,
        "born_ms": born,
        "fresh_until_ms": fresh_until,
        "site": site.decode(),
        "has_secondary_key": secondary_key != b"\x01\x00",
        "fields": fields,
        "tags": tags,
    }


def read_purges(path):
    with open(path, "rb") as file:
        data = file.read()
    assert data[:16] == b"TEROPURGES\n\0\0\0\0\x02" and len(data) % 65536 == 0 and not any(data[-512:])
    log, base, due, checksum = struct.unpack("<QQQI", data[16:44])
    assert crc32c(data[:40]) == checksum
    lines, sector = [], 512
    while sector < len(data):
        at, end = sector, sector + 512
        while at + 8 <= end:
            length, checksum = struct.unpack("<II", data[at : at + 8])
            if length == 0:
                break
            line = data[at + 8 : at + 8 + length]
            assert crc32c(data[at : at + 4] + line) == checksum
            number, mode, kind = struct.unpack("<QBB", line[:10])
            lines.append((number, mode, kind, line[10:]))
            at += 8 + length
        sector = max(end, (at + 511) // 512 * 512)
    return log, lines


def means(secret, line, key, head):
    url = key.split(b"\n")[0]
    site = head["site"].encode()
    _, _, kind, thing = line
    if kind == 0:
        return True
    if kind == 1:
        texts = [b"url\n" + url, b"site\n" + site]
        for tag in head["tags"]:
            texts += [b"tag\n\n" + tag.encode(), b"tag\n" + site + b"\n\n" + tag.encode()]
        return any(struct.pack("<Q", siphash13(secret, text)) == thing for text in texts)
    if kind == 2:
        return url.startswith(thing)
    raise NotImplementedError("patterns of paths")


def main(folder):
    with open(os.path.join(folder, "secret"), "rb") as file:
        secret = file.read()
    assert secret[:8] == b"TEROSEG\n" and crc32c(secret[:60]) == struct.unpack("<I", secret[60:])[0]
    secret = secret[16:32]
    log, purges = read_purges(os.path.join(folder, "purges"))
    records, found, footers = {}, {}, 0
    for name in sorted(name for name in os.listdir(folder) if name.endswith(".segment")):
        segment = int(name[:10])
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        header = data[:64]
        assert header[:8] == b"TEROSEG\n" and struct.unpack("<I", header[8:12])[0] == 1
        assert header[16:32] == secret and struct.unpack("<Q", header[32:40])[0] == segment
        assert crc32c(header[:60]) == struct.unpack("<I", header[60:])[0]
        offset, listed = 64, []
        while offset + 64 <= len(data):
            record = Record(secret, segment, offset, data)
            if not record.is_sound:
                offset += 8
                continue
            records[segment, offset] = record
            if record.is_readable and record.kind in (1, 3, 4):
                listed.append((siphash13(secret, record.key), offset, record.end - offset + record.kind))
                if record.kind in (3, 4):
                    found.pop(record.key, None)
                if record.kind in (1, 3):
                    found.setdefault(record.key, []).append(record)
            offset = record.end
        trailer = data[-32:]
        if trailer[:8] == b"TEROEND\n":
            entries, checksum, at = struct.unpack("<IIQ", trailer[8:24])
            assert crc32c(trailer[:28]) == struct.unpack("<I", trailer[28:])[0]
            assert crc32c(data[at:-32]) == checksum
            assert [struct.unpack("<QII", data[at + 16 * n : at + 16 * n + 16]) for n in range(entries)] == listed
            footers += 1
    for key, all_of_key in found.items():
        for record in all_of_key:
            content = b""
            if record.extents:
                for segment, offset, length in record.extents:
                    part = records[segment, offset]
                    assert part.content_length == length
                    content += part.own_content()
            else:
                content = record.own_content()
            head = read_head(record.head)
            own = [line for line in purges if line[0] > record.mark and means(secret, line, key, head)]
            state = "current"
            if any(line[1] == 0 for line in own):
                state = "gone"
            elif own or record.log != log:
                state = "stale"
            print(json.dumps({
                "url": key.split(b"\n")[0].decode(),
                "state": state,
                "has_extents": bool(record.extents),
                "footers": footers,
                "length": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                **head,
            }))


main(sys.argv[1])
