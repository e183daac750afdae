"""What the daemon is made of, as CycloneDX 1.5, from cargo's own account of the locked dependencies."""
import json
import os
import subprocess
from pathlib import Path


def sbom(root: Path) -> dict:
    """Every crate that goes into the daemon, and which needs which; those of tests alone are left out."""
    cargo = os.environ.get("CARGO", "cargo")
    host = subprocess.run([cargo, "-vV"], stdout=subprocess.PIPE, text=True, check=True).stdout
    target = next(line.split()[1] for line in host.splitlines() if line.startswith("host: "))
    command = [cargo, "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    needs = {node["id"]: linked(node) for node in metadata["resolve"]["nodes"]}
    daemon = metadata["resolve"]["root"]
    used, ahead = set(), [daemon]
    while ahead:
        crate = ahead.pop()
        if crate not in used:
            used.add(crate)
            ahead += needs[crate]
    dependencies = ({"ref": purl(packages[crate]), "dependsOn": sorted(purl(packages[need]) for need in needs[crate])}
                    for crate in used)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages[daemon], "application")},
        "components": sorted((component(packages[crate], "library") for crate in used - {daemon}),
                             key=lambda crate: crate["purl"]),
        "dependencies": sorted(dependencies, key=lambda crate: crate["ref"]),
    }


def linked(node: dict) -> list[str]:
    """What a crate is built with: its own and its build script's dependencies, not those of its tests."""
    return [dep["pkg"] for dep in node["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]


def purl(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict, kind: str) -> dict:
    found = {"type": kind, "bom-ref": purl(package), "purl": purl(package), "name": package["name"],
             "version": package["version"]}
    if package["license"]:
        # Old crates part alternatives with a slash.
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return found
