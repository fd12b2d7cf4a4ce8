"""The generated part of `docs/profile.md`: what each cause says of itself."""

from __future__ import annotations

from cachedoctor.diagnosis.causes.registry import all_causes, modules
from tools.markdown import table


def causes() -> str:
    """A table of all causes in the order of their questions, then how each is recognized and whether it ends."""
    rows = [
        (f"[`{name}`](#cause-{name})", _documentation(name)[0], cause.affects) for name, cause in all_causes().items()
    ]
    return table(("cause", "what it is", "BuildKit"), rows) + "".join(map(_section, all_causes()))


def _section(name: str) -> str:
    cause = all_causes()[name]
    known = "".join(
        f"- {signature.doing}: {signature.affects or cause.affects}"
        f"{f'; fixed in {signature.fixed_in}' if signature.fixed_in else ''}\n"
        for signature in cause.signatures
    )
    listed = f"\nIt is one of:\n\n{known}" if len(cause.signatures) > 1 else ""
    about = _documentation(name)[1]
    return f"### Cause {name}\n\n{about}\n\n**Does it end?** {cause.ends}\n{listed}\n"


def _documentation(name: str) -> tuple[str, str]:
    summary, _, about = (modules()[name].__doc__ or "").partition("\n\n")
    return summary, about.strip()
