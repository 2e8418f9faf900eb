"""Container names: their grammar, and drawing one for a container that was given none."""

from __future__ import annotations

import re
import secrets
from collections.abc import Container

from wherry.lib.errors import InvalidArgument

_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_FIRST = tuple(
    """
    amber able airy ample azure bold brave breezy bright brisk calm candid clear clever cosy crisp deft
    eager early earnest even fair fleet fond frank free fresh gentle glad golden grand hale handy happy
    hardy hearty honest jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble
    noble patient placid plucky polite proud quick quiet ready regal robust rosy sage serene sharp
    silver sleek smart snug sober spry steady still stout sunny sure swift tidy tranquil trim true
    upbeat vivid warm wise witty zesty
    """.split()
)
_LAST = tuple(
    """
    avocet barge bittern brig caravel catboat clipper cog coracle cormorant curlew curragh cutter dhow
    dinghy dipper dory dunlin eider felucca fulmar galiot galley gannet gig godwit grebe gull hoy ibis
    jolly junk kayak ketch kingfisher kittiwake knarr knot lapwing launch loon lugger merganser moorhen
    nuthatch osprey pelican petrel pinnace piper plover pontoon proa puffin punt rail raft redshank
    sampan sandpiper schooner scow scull shearwater skerry skiff skimmer sloop smack snipe spoonbill
    swan teal tender tern trawler turnstone umiak wherry whimbrel wigeon xebec yawl
    """.split()
)


def check_name(name: str) -> str:
    """The name without its leading slash. Raises InvalidArgument when it breaks the grammar."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name.removeprefix("/")


def draw_name(taken: Container[str]) -> str:
    """A free name such as ``brisk_tern``; after some collisions a digit is added."""
    attempt = 0
    while True:
        name = f"{secrets.choice(_FIRST)}_{secrets.choice(_LAST)}"
        if attempt > 5:
            name += str(secrets.randbelow(10**attempt))
        if name not in taken:
            return name
        attempt += 1
