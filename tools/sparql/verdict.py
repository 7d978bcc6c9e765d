"""What an endpoint's reply means: an answer, something wrong with the query, or trouble."""

from __future__ import annotations

import html
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from agentrl.tools.sparql import answers
from agentrl.tools.sparql.pace import retry_after
from agentrl.tools.sparql.result import Result, cut

if TYPE_CHECKING:
    from agentrl.tools.sparql.transport import Reply

STOPPED = re.compile(
    r"estimated execution time|execution time .{0,40}exceed|Transaction timed out|S1T00|S1TAT"
    r"|TimeoutException|QueryTimeout|Query timed out|query (?:has )?timed out|has been cancelled"
    r"|Query cancelled|QueryCancelled|was cancelled|memory pool",
    re.IGNORECASE,
)
"""How engines say that a query took too long, whatever status they say it with."""
WRONG = re.compile(
    r"^(?:\s*Virtuoso )?\s*(?!08|40)[0-9A-Z]{5} Error|MalformedQuery|QueryParseException|SP0\d\d"
    r"|syntax error|SyntaxError|custom function .* is not supported",
    re.IGNORECASE,
)
"""How engines that answer with 500 say that the query is wrong; Virtuoso's classes 08 and 40 are
lost connections and deadlocks."""
ECHO = re.compile(
    r"\s*(?:SPARQL query:|Was expecting|\bat (?:org|com|java|info)\.[\w.$]+\().*", re.DOTALL
)
"""Where a message turns into an echo of the query, or into a stack trace."""
HEAD = re.compile(
    r".*?(?:MalformedQueryException|QueryParseException|TimeoutException):\s*", re.DOTALL
)
AT_ONCE = {401, 403, 404, 405, 406, 407, 410, 451, 501}
"""Statuses that no second attempt mends."""
OTHER_METHOD = {405, 501}
"""Statuses of servers that know only one of GET and POST."""
NEITHER = "it takes neither GET nor POST there: check the path of its URL"
ADVICE = {
    **dict.fromkeys(OTHER_METHOD, NEITHER),
    401: "sign in with auth and the environment variables that it names",
    403: "it may have banned this client: mind its policy, and set contact",
    404: "check the path of its URL",
    407: "the proxy wants to be signed in to",
}
MESSAGE_BYTES = 16_000
"""What of a body is looked through for a message."""
LIMITS = ("x-sparql-maxrows",)


class TroubleError(Exception):
    """The endpoint gave no answer to a query."""

    def __init__(
        self,
        message: str,
        suspect: str = "",
        *,
        wait: float | None = None,
        final: bool = False,
        slow: bool = False,
        post: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.suspect = suspect
        """What to tell the agent, if the endpoint turns out to be fine and the query is at fault;
        '' where no query can be at fault."""
        self.wait = wait
        """Seconds that the server asks to wait."""
        self.final = final
        """Whether no further attempt helps."""
        self.slow = slow
        """Whether it took all the time there was, so that it is not asked the same again."""
        self.post = post
        """Whether POST is the way, or GET; None where the method was not the trouble."""


def judge(reply: Reply, form: str, max_rows: int) -> Result:
    """What a reply means.

    Raises:
        TroubleError: it is no answer.
    """
    fine = reply.status == HTTPStatus.OK
    if reply.status == HTTPStatus.PARTIAL_CONTENT or (fine and reply.headers.get("x-sql-state")):
        # Virtuoso sends what it found in time
        told = reply.headers.get("x-sql-message", "it sent a part of the rows")
        return Result(error=f"the query took longer than the endpoint allows: {told}")
    if fine:
        return _answer(reply, form, max_rows)
    text = message(reply)
    told = text or f"HTTP {reply.status}"
    if STOPPED.search(text):
        return Result(error=f"the query took longer than the endpoint allows: {told}")
    if reply.status in (400, 422) and not _is_page(reply):
        return Result(error=told)
    if reply.status == HTTPStatus.INTERNAL_SERVER_ERROR and WRONG.search(text):
        return Result(error=told)
    whole = f"HTTP {reply.status}: {cut(text, 300)}"
    if reply.status in AT_ONCE or 300 <= reply.status < 400:
        advice = ADVICE.get(reply.status, "")
        post = not reply.posted if reply.status in OTHER_METHOD else None
        raise TroubleError(f"{whole} ({advice})" if advice else whole, final=True, post=post)
    raise TroubleError(
        whole,
        told if reply.status in (400, 408, 413, 422, 500, 504) else "",
        wait=retry_after(reply.headers.get("retry-after", "")),
        slow=reply.status in (408, 504),
        post=True if reply.status == HTTPStatus.REQUEST_URI_TOO_LONG else None,
    )


def message(reply: Reply) -> str:
    """The text of an error reply, without markup, stack trace and the query's echo."""
    body = reply.body[:MESSAGE_BYTES]
    text = body.decode(reply.charset if reply.charset == "iso-8859-1" else "utf-8", "replace")
    if _is_page(reply):
        text = html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.S))
    elif text.lstrip().startswith("{"):
        text = _from_json(text)
    return " ".join(ECHO.sub("", HEAD.sub("", text, count=1)).split())


def _from_json(text: str) -> str:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):  # a text that begins with a brace
        return text
    fields = ("exception", "message", "detail", "error")
    return next((str(parsed[name]) for name in fields if parsed.get(name)), text)


def _answer(reply: Reply, form: str, max_rows: int) -> Result:
    """The answer in a reply with status 200."""
    if _is_page(reply):
        raise TroubleError(f"a page instead of an answer: {cut(message(reply), 200)!r}")
    triples = form in ("CONSTRUCT", "DESCRIBE")
    try:
        if triples and reply.whole:
            return answers.graph(reply.body, reply.media, max_rows)
        text = answers.decoded(reply.body, reply.charset) if reply.whole else ""
        if reply.whole:
            return _counted(answers.table(text, max_rows), reply)
    except ValueError as error:
        # engines append this to rows that they have already sent
        tail = reply.body[-MESSAGE_BYTES:].decode("utf-8", "replace")
        if STOPPED.search(tail) and not tail.rstrip().endswith("}"):
            return Result(error="the query took longer than the endpoint allows")
        raise TroubleError(f"an answer that does not read: {cut(str(error), 300)}") from error
    size = f"result too large: more than {len(reply.body) / 1e6:g} MB; ask for less, or use LIMIT"
    first = Result() if triples else answers.head(reply.body.decode("utf-8", "replace"), max_rows)
    return Result(
        variables=first.variables, rows=first.rows, more=True, counted=len(first.rows), error=size
    )


def _counted(result: Result, reply: Reply) -> Result:
    """The result, without a total where the server cut the rows itself."""
    limits = [reply.headers.get(name, "") for name in LIMITS]
    if any(limit.isdigit() and result.total == int(limit) for limit in limits):
        return Result(
            variables=result.variables, rows=result.rows, more=True, counted=result.counted
        )
    return result


def _is_page(reply: Reply) -> bool:
    """Whether a reply is meant for a browser, whatever it says that it is."""
    start = reply.body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html")) or reply.media in (
        "text/html",
        "application/xhtml+xml",
    )
