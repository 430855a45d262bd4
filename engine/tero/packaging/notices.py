#!/usr/bin/env python3
"""Writes the licences of everything that is linked into the program to standard output: notices.py ROOT

The crates are those that cargo resolves for the program on Linux, without the tools of builds and tests. For each there is its
name, its licence, where it comes from, and the texts that lie in it. Equal texts are written once. For a crate without a text, one
of the same authors under the same licence stands in, or the text that all copies of its licence share; else it is an error.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys

TARGET = "x86_64-unknown-linux-gnu"
# Files that hold a licence or what it demands to be passed on.
TEXT = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def resolved(root):
    """The packages that the program is made of, by id, without those of the workspace."""
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", TARGET]
    # With the features of releases.
    command += ["--manifest-path", "engine/tero/Cargo.toml", "--features", "cluster,otlp"]
    metadata = json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    (start,) = (package["id"] for package in metadata["packages"] if package["name"] == "tero" and not package["source"])
    seen, waiting = set(), [start]
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        for dependency in nodes[at]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return [packages[each] for each in seen if packages[each]["source"]]


def texts(package):
    """The texts of a package: those in its folder, one folder deep."""
    folder = pathlib.Path(package["manifest_path"]).parent
    found = [path for path in folder.iterdir() if TEXT.match(path.name)]
    files = [path for path in found if path.is_file()]
    for inner in (path for path in found if path.is_dir()):
        files += [path for path in inner.iterdir() if path.is_file()]
    named = package.get("license_file")
    if named and (folder / named).resolve() not in [path.resolve() for path in files]:
        files.append(folder / named)
    return [path.read_text(encoding="utf-8", errors="replace").strip() for path in sorted(files)]


def stand_in(package, packages, root):
    """Texts for a package that has none."""
    licence = package["license"] or ""
    for other in packages:
        if other["license"] == licence and other["authors"] and other["authors"] == package["authors"] and texts(other):
            return texts(other)
    if "Apache-2.0" in licence:
        return [(root / "LICENSE-APACHE").read_text().strip()]
    if licence == "MIT":
        authors = ", ".join(package["authors"]) or f"the authors of {package['name']}"
        return [re.sub(r"Copyright \(c\).*", f"Copyright (c) {authors}", (root / "LICENSE-MIT").read_text().strip())]
    sys.exit(f"no licence text: {package['name']} {package['version']} ({licence})")


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    packages = sorted(resolved(root), key=lambda package: (package["name"], package["version"]))
    of_text, users = {}, {}
    for package in packages:
        for text in texts(package) or stand_in(package, packages, root):
            key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            of_text.setdefault(key, text)
            users.setdefault(key, []).append(f"{package['name']} {package['version']}")
    out = ["tero is licensed under Apache-2.0 or MIT, at your choice. It contains the following software of others.", ""]
    for package in packages:
        where = package["repository"] or f"https://crates.io/crates/{package['name']}"
        out.append(f"{package['name']} {package['version']}: {package['license'] or 'see below'}, {where}")
    for key, text in of_text.items():
        out += ["", "=" * 80, ", ".join(users[key]), "-" * 80, "", text]
    print("\n".join(out))


main()
