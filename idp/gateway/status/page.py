"""The page: server-rendered, without script. Every text is escaped where it is written, whoever chose it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from html import escape
from string import Template
from typing import Final

from idp.gateway import files
from idp.gateway.policy import reasons, words
from idp.gateway.policy.diff import needs
from idp.gateway.status.figures import day, many, moment, number, span
from idp.gateway.status.look import Facts
from idp.gateway.status.troubles import troubles

MOST: Final = 200  # routes on the page: who has more asks the commands
_FILE: Final = "templates/gateway/status.html"
_COUNTED: Final = {
    "local": "counted by this gateway",
    "shared": "counted together, in Redis",
    "alone": "counted by this gateway, since Redis is away",
}


def page(facts: Facts, *, style: str) -> bytes:
    """Write the page."""
    found = troubles(facts)
    return (
        Template(files.read(_FILE))
        .substitute(
            title=_title(len(found)),
            style=escape(style),
            moment=_time(facts.now),
            trouble="".join(
                f'<div class="note {"bad" if each.bad else "warn"}"><strong>{escape(each.text)}</strong>'
                f"<span>{escape(each.more)}</span></div>"
                for each in found
            ),
            tiles="".join(_tile(*tile) for tile in _tiles(facts)),
            issuers=_list(_providers(facts)),
            policy=_list(_policy(facts)),
            behind=_behind(facts),
            refusals=_refusals(facts),
            routes=_routes(facts),
        )
        .encode()
    )


def _title(troubles: int) -> str:
    if not troubles:
        return "The gateway is well"
    return "One thing wants you" if troubles == 1 else f"{troubles} things want you"


def _tiles(facts: Facts) -> Iterator[tuple[str, str, str]]:
    hits, misses = facts.cache
    passed, shadowed = facts.sums["allowed"], facts.sums["shadowed"]
    yield "Let through", number(passed), f"and {number(shadowed)} by shadow mode" if shadowed else "since the start"
    yield "Refused", number(facts.sums["refused"]), "since the start"
    share = f"{hits / (hits + misses):.0%}" if hits + misses else "-"
    yield "Tokens remembered", share, f"{number(misses)} verified anew"
    yield "Open connections", number(facts.clients), "of clients"


def _tile(name: str, value: str, more: str) -> str:
    return f'<li class="tile"><small>{escape(name)}</small><b>{escape(value)}</b><small>{escape(more)}</small></li>'


def _providers(facts: Facts) -> Iterator[tuple[str, list[str], str, str]]:
    for each in facts.providers:
        said = [each.issuer]
        keys = many(len(each.kids), "key")
        said.append("no keys yet" if each.age is None else f"{keys}, confirmed {span(each.age)} ago")
        if each.told:
            heard = "never heard" if each.silence is None else f"heard {span(each.silence)} ago"
            late = "" if each.delay is None else f", the latest {each.delay:.1f} s after it happened"
            said.append(f"revocations {heard}{late}; {number(each.revoked)} held")
        else:
            said.append("not asked about revocations: a token counts until it ends")
        mood, word = ("good", "well") if each.usable and not each.failing else ("warn", "stale")
        yield each.name, said, *(("bad", "no keys") if not each.usable else (mood, word))


def _policy(facts: Facts) -> Iterator[tuple[str, list[str], str, str]]:
    kept = ("warn", "newer file refused") if facts.problems else ("good", "in force")
    yield (
        facts.source or "given by the program",
        [
            f"policy {facts.digest}",
            f"loaded {span(facts.now - facts.loaded_at)} ago, {moment(facts.loaded_at)}",
        ],
        *kept,
    )
    shadow = sum(route.mode == "shadow" for route in facts.routes)
    modes = f", {shadow} in shadow mode" if shadow else ""
    yield (
        many(len(facts.routes), "route") + modes,
        ["everything else is denied"],
        "",
        "",
    )
    limited = sum(bool(route.limits) for route in facts.routes)
    yield f"{number(limited)} of them with limits", [_COUNTED[facts.limits]], "", ""


def _list(rows: Iterable[tuple[str, list[str], str, str]]) -> str:
    return "".join(['<ul class="list">', *(_row(*row) for row in rows), "</ul>"])


def _row(name: str, said: list[str], mood: str, word: str) -> str:
    small = "".join(f"<small>{escape(each)}</small>" for each in said)
    badge = f'<span class="badge {mood}">{escape(word)}</span>' if word else ""
    return f'<li><span class="grow"><strong>{escape(name)}</strong>{small}</span>{badge}</li>'


def _behind(facts: Facts) -> str:
    if not facts.servers:
        return ""
    rows = []
    for each in facts.servers:
        said = [f"{many(each.connections, 'connection')}, {many(each.busy, 'request')} under way"]
        if each.ends is not None:
            said.append(f"our certificate there ends {day(each.ends)}")
        rows.append((each.address, said, *(("good", "well") if each.well else ("warn", "left alone"))))
    return f'<section class="card" aria-labelledby="behind"><h2 id="behind">Servers behind</h2>{_list(rows)}</section>'


def _refusals(facts: Facts) -> str:
    if not facts.refusals:
        return '<p class="soft">None since the start.</p>'
    rows = [
        (
            _time(each.at),
            f'<span class="mono">{escape(each.method)} {escape(each.path)}</span>{_small(each.route or "no route")}',
            escape(reasons.said(each.reason, each.rule)) + (_small("let pass: shadow mode") if each.shadow else ""),
            escape(str(each.status)),
            f'<span class="mono">{escape(each.id)}</span>',
        )
        for each in facts.refusals
    ]
    command = '<span class="mono">idp gateway explain ID --log FILE</span>'
    hint = f'<p class="soft">What stands behind a decision says {command}.</p>'
    return hint + _table("Last refusals", ("When", "Request", "Why", "Status", "Decision"), rows)


def _routes(facts: Facts) -> str:
    rows = []
    for route in facts.routes[:MOST]:
        passed, refused = facts.counts.get(route.id, (0, 0))
        name = f"<strong>{escape(route.id)}</strong>{_small('in shadow mode') if route.mode == 'shadow' else ''}"
        asked = escape(needs(route)) + "".join(map(_small, words.beside(route)))
        where = f'<span class="mono">{escape(words.where(route))}</span>{_small(f"for {route.audience}")}'
        rows.append((name, where, asked, number(passed), number(refused)))
    left = len(facts.routes) - MOST
    more = f'<p class="soft">And {left} more: see <span class="mono">idp gateway check</span>.</p>' if left > 0 else ""
    return _table("Routes", ("Route", "Requests", "Needs", "Let through", "Refused"), rows) + more


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>"


def _table(name: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{escape(name)}, as a table" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _time(at: float) -> str:
    exact = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    return f'<time datetime="{exact}" title="{moment(at)}">{time.strftime("%H:%M:%S UTC", time.gmtime(at))}</time>'
