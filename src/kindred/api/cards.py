"""Generated card pictures for items that have none."""

import html
import re
from functools import lru_cache
from urllib.parse import quote

from kindred.core.rng import seed_of

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORD = re.compile(r"[^\W_]+")
_SMALL = {"a", "an", "the", "of", "and"}


@lru_cache(maxsize=16_384)
def thumbnail_url(item_id: str) -> str:
    """Return the address of an item's generated picture."""
    return f"/api/v1/items/{quote(item_id, safe='')}/thumbnail.svg"


def initials(title: str) -> str:
    """Return up to two initials of a title, `?` when it has no word."""
    words = _WORD.findall(title)
    telling = [word for word in words if word.lower() not in _SMALL] or words
    return "".join(word[0].upper() for word in telling[:2]) or "?"


def card(item_id: str, title: str) -> str:
    """Draw an item's card as SVG: two colours decided by its id, the initials and the title."""
    seed = seed_of("card", item_id)
    hue, turn, angle = seed % 360, 25 + (seed >> 16) % 70, (seed >> 32) % 90
    name = _ILLEGAL.sub("", title or item_id)
    label = html.escape(name if len(name) <= 26 else name[:25].rstrip() + "…")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 360" width="240" height="360" role="img">'
        f"<title>{html.escape(name)}</title>"
        f'<defs><linearGradient id="g" gradientTransform="rotate({angle})">'
        f'<stop stop-color="hsl({hue} 55% 38%)"/><stop offset="1" stop-color="hsl({(hue + turn) % 360} 60% 24%)"/>'
        '</linearGradient></defs><rect width="240" height="360" fill="url(#g)"/>'
        '<g fill="#fff" text-anchor="middle" font-family="system-ui, sans-serif">'
        f'<text x="120" y="196" font-size="84" font-weight="700" opacity=".92">{html.escape(initials(name))}</text>'
        f'<text x="120" y="326" font-size="15" opacity=".85">{label}</text></g></svg>'
    )
