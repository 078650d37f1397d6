"""SSH signatures of certificates, checked by OpenSSH's own `ssh-keygen -Y` (ssh-keygen(1); 8.2 or newer).

A certificate is signed with `ssh-keygen -Y sign -f KEY -n backend-activity-certificate certificate.json`, which writes
`certificate.json.sig`. `--signers` is a file of allowed signers, a line each: `contact@acme.example ssh-ed25519 AAAA…`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from reports.text import one_line

NAMESPACE = "backend-activity-certificate"
"""What a signature is for, so that one made for something else doesn't count."""

_TIMEOUT_S = 30.0


class SignatureError(Exception):
    """A signature does not hold, or can't be checked; the text says why."""


def check_signature(data: bytes, signature: Path, signers: Path) -> str:
    """The name of the allowed signer whose signature of `data` it is. Raises `SignatureError`."""
    for path, what in ((signature, "signature"), (signers, "file of allowed signers")):
        if not path.is_file():
            raise SignatureError(f"{path}: there is no such {what}")
    found = _keygen("find-principals", signature, signers, [], b"")
    names = found.stdout.decode("utf-8", "replace").replace(",", " ").split()
    if found.returncode != 0 or not names:
        raise SignatureError(f"{signature}: it is by nobody that {signers} names{_said(found)}")
    signer = names[0]
    checked = _keygen("verify", signature, signers, ["-I", signer, "-n", NAMESPACE], data)
    if checked.returncode != 0:
        raise SignatureError(f"{signature}: it is not of this certificate, or not for {NAMESPACE!r}{_said(checked)}")
    return signer


def _keygen(
    what: str, signature: Path, signers: Path, more: list[str], data: bytes
) -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", "-Y", what, "-f", str(signers), *more, "-s", str(signature)]
    try:
        return subprocess.run(command, input=data, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise SignatureError("it can't be checked: there is no ssh-keygen; install OpenSSH 8.2 or newer") from None
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SignatureError(f"it can't be checked: {error}") from error


def _said(ended: subprocess.CompletedProcess[bytes]) -> str:
    text = one_line((ended.stderr or ended.stdout).decode("utf-8", "replace"), 200)
    return f" (ssh-keygen: {text})" if text else ""
