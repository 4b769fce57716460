"""Reads an exported log with the package aics-tlog: the checkpoint, every tile, every entry, and one proof."""

import base64
import sys
from pathlib import Path

from aics_tlog.checkpoint import parse_checkpoint, verify_checkpoint
from aics_tlog.note import parse_note, parse_vkey
from aics_tlog.tiles import FileSystemTileReader
from aics_tlog.tree import verify_leaf_inclusion
from aics_tlog.verified import audit_tiles

key, folder, proof, record = parse_vkey(sys.argv[1]), *map(Path, sys.argv[2:])


def head(data):
    note = parse_note(data)
    verified = verify_checkpoint(note, key, expected_origin=key.name)
    assert verified.log_ok, verified
    return parse_checkpoint(note.text)


checkpoint = head((folder / "checkpoint").read_bytes())
audit_tiles(FileSystemTileReader(folder), checkpoint.size, checkpoint.root, entries=True)

lines, note = proof.read_text().split("\n\n", 1)
_, index, *hashes = lines.split("\n")
index = int(index.removeprefix("index "))
proven = head(note)
hashes = [base64.b64decode(line, validate=True) for line in hashes]
assert verify_leaf_inclusion(record.read_bytes(), index, proven.size, hashes, proven.root)
print(f"{checkpoint.size} records, record {index} proven")
