"""How a notifier becomes a mail: its arguments rendered anew each time, and a mail in any case."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseNotifier

from airflow_email_conn.aio import in_thread
from airflow_email_conn.arguments.content import template_of
from airflow_email_conn.hooks.delivery import deliver, generated
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.notifications.notice import notice_of
from airflow_email_conn.notifications.occasion import Occasion
from airflow_email_conn.notifications.wording import Words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jinja2
    from airflow.sdk import Context

__all__ = ["TellingNotifier"]


class TellingNotifier(BaseNotifier):
    """A notifier that mails; subclasses say which attributes describe the mail.

    :cvar words: the attributes that hold subject, text and HTML; empty where there is none.
    :cvar essential: the attributes without which there is no mail: connection and recipients.
    """

    words: ClassVar[Words]
    essential: ClassVar[Sequence[str]]

    def connection_id(self) -> str:
        """The connection to send by."""
        raise NotImplementedError

    def recipients(self) -> Any:
        """To whom."""
        raise NotImplementedError

    def draft(self) -> Draft:
        """The mail that the attributes describe, as far as they do. :raises DraftError:"""
        raise NotImplementedError

    # ------------------------------------------------------------ what Airflow calls

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Nothing: `notify` renders a copy. A notifier that renders itself says the same thing ever after."""

    def notify(self, context: Context) -> None:
        """Send. :raises EmailError: it did not go out."""
        occasion = Occasion.of(context, self)
        known = {**context, "occasion": occasion}
        essence = self._rendered(self.essential, known)
        hook = EmailHook(essence.connection_id())
        _ = hook.settings  # read first: its secrets are masked from then on, in this mail too
        try:
            draft = self._own_draft(known, occasion)
            hook.check(draft)
        except Exception as exc:
            # A template that is wrong, a file that the failed task did not write ...
            self.log.exception("The mail cannot be composed as asked for: the default one goes out")
            told = notice_of(occasion, f"The mail could not be composed as asked for ({_why(exc)}).")
            draft = Draft(to=essence.recipients(), subject=told.subject, text=told.text, html=told.html)
        deliver(hook.send, generated(draft))

    async def async_notify(self, context: Context) -> None:
        """Send, in a thread. :raises EmailError: it did not go out."""
        await in_thread(partial(self.notify, context))

    # ------------------------------------------------------------ steps

    def _rendered(self, names: Sequence[str], context: Mapping[str, Any]) -> TellingNotifier:
        """A copy in which these attributes are rendered. :raises Exception: whatever a template can raise."""
        ready = copy(self)
        env = self.get_template_env(dag=_dag(context))
        ready._do_render_template_fields(ready, names, context, env, set())  # type: ignore[arg-type]  # noqa: SLF001 - a copy of self
        return ready

    def _own_draft(self, context: Mapping[str, Any], occasion: Occasion) -> Draft:
        """The mail that was asked for, with the default words for those that are missing or wrong."""
        names = {name for name in (self.words.subject, self.words.text, self.words.html) if name}
        ready = self._rendered([name for name in self.template_fields if name not in names], context)
        remark = ""
        try:
            own = self._own_words(context)
        except Exception as exc:
            self.log.exception("Subject, text or html cannot be rendered: the default mail goes out")
            own, remark = Words(), f"The notifier's own text could not be rendered ({_why(exc)})."
        for name, value in (
            (self.words.subject, own.subject),
            (self.words.text, own.text),
            (self.words.html, own.html),
        ):
            if name:
                setattr(ready, name, value)
        draft = ready.draft()
        if draft.subject and (draft.text or draft.html):
            return draft
        default = notice_of(occasion, remark)
        if not draft.text and not draft.html:
            draft = replace(draft, text=default.text, html=default.html)
        return draft if draft.subject else replace(draft, subject=default.subject)

    def _own_words(self, context: Mapping[str, Any]) -> Words:
        """What the arguments say. :raises Exception: whatever a template can raise."""
        dag = _dag(context)
        # Never a native environment: it makes numbers of texts, and escapes nothing.
        env = dag.get_template_env(force_sandboxed=True) if dag else self.get_template_env()

        def rendered(env: jinja2.Environment, name: str) -> str:
            value = getattr(self, name) if name else None
            return env.from_string(template_of(value) or value).render(context) if value else ""

        return Words(
            subject=rendered(env, self.words.subject),
            text=rendered(env, self.words.text),
            html=rendered(env.overlay(autoescape=True), self.words.html),
        ).cleared()


def _why(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"


def _dag(context: Mapping[str, Any]) -> Any:
    """The DAG, if it can render: `dag.test()` gives callbacks of a DAG a serialized one, which cannot."""
    dag = context.get("dag")
    return dag if hasattr(dag, "get_template_env") else None
