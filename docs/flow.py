"""The picture of README: one deal, there and back. `python docs/flow.py` writes docs/flow.svg beside itself.

The picture brings its own ground, light or dark as its reader's system is, so it is readable on any page.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1180, 640

STYLE = """
svg { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.ground { fill: #fbfcfe; stroke: #d5dce6; }
.frame { fill: #eef3fa; stroke: #9db2cf; }
.box { fill: #ffffff; stroke: #5b7aa6; stroke-width: 1.5; }
.row { fill: #f4f8fd; stroke: #9db2cf; }
.theirs { fill: #fff8ec; stroke: #c08a2b; stroke-width: 1.5; }
.name { font-size: 16px; font-weight: 600; fill: #16202e; }
.code { font-size: 12px; font-family: ui-monospace, "DejaVu Sans Mono", monospace; fill: #56677e; }
.text { font-size: 13px; fill: #33415a; }
.way { fill: none; stroke: #2f6db5; stroke-width: 2; }
.spare { fill: none; stroke: #7b8ca3; stroke-width: 1.5; stroke-dasharray: 5 4; }
.tip { fill: #2f6db5; }
.tip2 { fill: #7b8ca3; }
.mark { fill: #2f6db5; }
.number { font-size: 13px; font-weight: 700; fill: #ffffff; text-anchor: middle; }
.middle { text-anchor: middle; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #10161f; stroke: #2b3747; }
  .frame { fill: #172130; stroke: #41587a; }
  .box { fill: #1f2c3e; stroke: #6d90c2; }
  .row { fill: #1a2534; stroke: #41587a; }
  .theirs { fill: #2b2416; stroke: #c99a45; }
  .name { fill: #eef3fa; }
  .code { fill: #9fb1c9; }
  .text { fill: #c9d5e5; }
  .way { stroke: #6aa9f0; }
  .spare { stroke: #8796ab; }
  .tip { fill: #6aa9f0; }
  .tip2 { fill: #8796ab; }
  .mark { fill: #6aa9f0; }
  .number { fill: #10161f; }
}
"""

TITLE = "crm1c: сделка становится счётом – a deal becomes an invoice"


def picture() -> str:
    """The whole SVG."""
    parts = [*_ground(), *_people(), *_inside(), *_ways()]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
            ' role="img" aria-labelledby="flow-title">',
            f'<title id="flow-title">{escape(TITLE)}</title>',
            f"<style>{STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path class="tip" d="M0 0 L10 5 L0 10 z"/></marker>'
            '<marker id="tip2" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path class="tip2" d="M0 0 L10 5 L0 10 z"/></marker></defs>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _ground() -> Iterable[str]:
    yield _box("ground", 1, 1, WIDTH - 2, HEIGHT - 2, 14)
    yield _box("frame", 268, 96, 630, 476, 12)
    yield _text("name", 290, 126, "crm1c")


def _people() -> Iterable[str]:
    """What is not ours: the CRM at the left, 1C at the right."""
    yield _box("theirs", 24, 96, 176, 476)
    yield _text("name", 44, 126, "CRM")
    yield _text("code", 44, 146, "EspoCRM")
    yield from _lines(44, 182, "Менеджер ставит", "сделке стадию,", "которая просит счёт,", "или жмёт кнопку.")
    yield from _lines(
        44, 440, "В сделке видны", "номер и дата счёта,", "ссылка на 1С, запись", "в ленте – или", "причина отказа."
    )
    yield _box("theirs", 960, 96, 196, 476)
    yield _text("name", 980, 126, "1С")
    yield _text("code", 980, 146, "Бухгалтерия 3.0, OData")
    for number, (what, note) in enumerate(
        (
            ("найти", "по нашему ключу"),
            ("создать", "если нет"),
            ("перечитать", "и сверить поля"),
            ("провести", "отдельным шагом"),
        )
    ):
        top = 182 + number * 70
        yield _box("row", 978, top, 160, 50)
        yield _text("text middle", 1058, top + 21, what)
        yield _text("code middle", 1058, top + 39, note)
        if number:
            yield _way("spare", f"M1058 {top - 20} V{top - 2}", "tip2")
    yield from _lines(980, 488, "Контрагент, договор,", "номенклатура, счёт:", "каждый – один раз.")


def _inside() -> Iterable[str]:
    """Our parts, and the database under them."""
    yield _node(290, 170, 150, "Приём", "intake")
    yield _node(516, 170, 150, "RabbitMQ", "crm1c.onec …")
    yield _node(730, 170, 150, "Исполнитель", "worker")
    yield _box("box", 290, 392, 590, 156)
    yield _text("name", 310, 420, "База данных")
    yield _text("code", 446, 420, "PostgreSQL или SQLite: правда здесь")
    for left, name, code in ((310, "Входящие", "inbox"), (498, "Исходящие", "outbox"), (686, "Связи", "links")):
        yield _box("row", left, 440, 174, 54)
        yield _text("text middle", left + 87, 463, name)
        yield _text("code middle", left + 87, 481, code)
    yield _text("text", 310, 526, "Состояния: due → running → done или parked (ждёт человека)")


def _ways() -> Iterable[str]:
    """What goes where, in its order."""
    yield _way("way", "M200 200 H288")
    yield _number(226, 200, 1)
    yield _text("text middle", 234, 178, "вебхук")
    yield _way("spare", "M290 226 H202", "tip2")
    yield _text("code middle", 236, 246, "202")

    yield _way("way", "M365 244 V390")
    yield _number(365, 300, 2)
    yield from _lines(384, 290, "запись", "в базу,", "потом 202")

    yield _way("way", "M440 206 H514")
    yield _number(466, 206, 3)
    yield _text("text middle", 478, 186, "вызов")
    yield _text("code middle", 478, 232, "только id")

    yield _way("way", "M666 206 H728")
    yield _number(690, 206, 4)

    yield _way("spare", "M590 392 V246", "tip2")
    yield from _lines(478, 322, "обход", "раз в минуту")
    yield from _lines(478, 359, "sweep", kind="code")

    yield _way("way", "M808 246 V390", start=True)
    yield _number(808, 318, 5)
    yield from _lines(666, 294, "занять строку;", "связь и долги –", "одной", "транзакцией")

    yield _way("way", "M882 206 H958", start=True)
    yield _number(920, 206, 7)
    yield _text("text middle", 929, 186, "OData")

    yield _way("way", "M790 170 V66 H112 V94")
    yield _number(390, 66, 8)
    yield _text("text", 410, 57, "номер, дата, ссылка → поля и лента сделки")
    yield _way("spare", "M830 168 V32 H60 V94", "tip2", start=True)
    yield _number(390, 32, 6)
    yield _text("text", 410, 23, "вебхук – только намёк: сделка перечитывается")

    yield _text("code", 290, 604, "ответ потерян → сначала найти, потом решать; вызов потерян → его повторит обход")


# -- drawing ----------------------------------------------------------------------------------------------------------


def _box(kind: str, x: int, y: int, width: int, height: int, radius: int = 8) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}"/>'


def _node(x: int, y: int, width: int, name: str, code: str) -> str:
    centre = x + width // 2
    box = _box("box", x, y, width, 74)
    return f"{box}\n{_text('name middle', centre, y + 33, name)}\n{_text('code middle', centre, y + 54, code)}"


def _text(kind: str, x: int, y: int, text: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'


def _lines(x: int, y: int, *lines: str, kind: str = "text") -> Iterable[str]:
    for number, line in enumerate(lines):
        yield _text(kind, x, y + number * 19, line)


def _way(kind: str, path: str, tip: str = "tip", *, start: bool = False) -> str:
    begins = f' marker-start="url(#{tip})"' if start else ""
    return f'<path class="{kind}" d="{path}" marker-end="url(#{tip})"{begins}/>'


def _number(x: int, y: int, number: int) -> str:
    return f'<circle class="mark" cx="{x}" cy="{y}" r="10"/>\n{_text("number", x, y + 5, str(number))}'


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(picture(), encoding="utf-8")
