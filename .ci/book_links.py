"""Follows every relative link and anchor of a built book: book_links.py FOLDER."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("id", "name"):
                self.ids.add(value)
            elif name in ("href", "src"):
                self.links.append(value or "")


book = Path(sys.argv[1]).resolve()
# A combined page for printers, and one that a server shows at any path.
left_out = {"print.html", "404.html"}
pages = {path: Page(path.read_text()) for path in book.rglob("*.html") if path.name not in left_out}
broken, followed = [], 0
for path, page in pages.items():
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or parts.path.endswith("print.html"):
            continue
        followed += 1
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.exists() or (parts.fragment and target in pages and parts.fragment not in pages[target].ids):
            broken.append(f"{path.relative_to(book)}: {link}")
print(f"{followed} links in {len(pages)} pages, {len(broken)} of them broken", *broken, sep="\n")
sys.exit(bool(broken) or followed < 100)
