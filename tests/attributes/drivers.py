"""What tests of publications share."""

from harness.results import Finding, Severity


def everything(name: str) -> bool:
    """A driver that implements all."""
    return True


def violations(findings: list[Finding]) -> list[tuple[str | None, str]]:
    """Clause and subject of each violation."""
    return [(f.clause, f.subject) for f in findings if f.severity is Severity.VIOLATION]
