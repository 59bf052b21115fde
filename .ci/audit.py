"""Says in one line which of the installed packages have known vulnerabilities, or that nobody could be asked.

It ends with 0 either way: a vulnerability that becomes known tomorrow is no fault of today's change.
"""

import json
import subprocess
import sys

WAIT = 120  # seconds for all packages together


def said(report: dict) -> str:
    """The line for what pip-audit found. It leaves out packages that its service does not know."""
    packages = report["dependencies"]
    asked = [package for package in packages if "vulns" in package]
    found = [
        f"{package['name']} {package['version']}: {one['id']}"
        f" ({'mended in ' + ', '.join(one['fix_versions']) if one['fix_versions'] else 'not mended yet'})"
        for package in asked
        for one in package["vulns"]
    ]
    if not asked:
        return "audit: NOT CHECKED, the service knows none of the packages"
    left_out = f", {len(packages) - len(asked)} more NOT CHECKED" if len(asked) < len(packages) else ""
    known = f"{len(found)} KNOWN VULNERABILITIES: {'; '.join(found)}" if found else "no known vulnerability"
    return f"audit: {len(asked)} packages{left_out}; {known}"


def main() -> None:
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--format=json",
        "--progress-spinner=off",
        "--skip-editable",
        "--timeout=5",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
        line = said(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError):  # no network, or no such service: pip-audit then prints no report
        line = "audit: NOT CHECKED, the service that knows vulnerabilities cannot be asked"
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
