"""One host, as a session sees it: the link to its agent, and the threads that use it.

- The *link* thread opens the link, has results collected, and opens the link again when it broke.
- The *send* thread is the `Sender`, the *bodies* thread fetches large results for the `Collector`, the
  *adopted* thread is the `Adoption`, and the *listen* thread, where it is wanted, the `Listener`.

All state is guarded by the session's lock; nothing is sent or received while it is held. A thread that
meets an error that nobody thought of gives the host up, so that no call waits for a thread that is gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lithops.backends.machine import Link, Machine
from lithops.dispatch.adoption import Adoption
from lithops.dispatch.client import AgentClient, Refused, ask_to_end
from lithops.dispatch.collector import Collector
from lithops.dispatch.listener import Listener
from lithops.dispatch.patience import Patience
from lithops.dispatch.sender import Sender
from lithops.errors import AgentError, EnvironmentFailed, HostDraining, HostError, HostLost
from lithops_agent.protocol import Problem

if TYPE_CHECKING:
    from lithops.dispatch.session import RemoteSession
    from lithops.future import ResponseFuture

logger = logging.getLogger(__name__)

_STEADY = 5.0
"""Seconds after which a link counts as one that works: the next trouble is a new one."""
_RELEASE_PATIENCE = 1.0
"""Seconds that closing waits for the agent to have heard of jobs that it may forget."""


class HostRunner:
    """Carries out for one host what its session decides."""

    def __init__(self, machine: Machine, session: RemoteSession) -> None:
        self.name = machine.name
        self.session = session
        self.changed = session.changed
        self.sender = Sender(self)
        self.collector = Collector(self)
        self.adoption = Adoption(self)
        self.listener = Listener(self)
        self._machine = machine
        self.doing = ""
        """What is being done there before calls can run, in words; empty: nothing."""
        self._link: Link | None = None
        self._agent_id: str | None = None
        self._boot_id: str | None = None
        self._known = False
        """Whether it was ready since it was first tried, or tried again after it had been given up."""
        self._left_behind = False
        """Whether it was given up while its agent may have had calls, which others were given then."""
        self._failed: HostError | None = None
        self._trouble: HostError | None = None
        """What the last link broke with."""
        self._patience = Patience()
        self._threads: dict[str, threading.Thread] = {}

    # -- what the session asks for, under its lock --

    @property
    def in_use(self) -> bool:
        """Whether the host is ready or may become so."""
        return self._failed is None

    @property
    def ready(self) -> bool:
        """Whether there is a link to its agent."""
        return self._link is not None

    def wake(self) -> bool:
        """See that the threads run; whether the host had been given up and is tried again."""
        again = self._failed is not None
        self._failed = None
        if self.session.options.environments is not None and "link" not in self._threads:
            self.session.options.environments.begin(self.name)
        self.spawn("link", self._keep_link)
        self.spawn("send", self.sender.run)
        if self.session.options.printer is not None:
            self.spawn("listen", self.listener.run)
        return again

    def adopt(self, futures: Sequence[ResponseFuture]) -> None:
        """Collect the results of futures that a function made on this host."""
        self.adoption.add(futures)
        self.spawn("adopted", self.adoption.run)
        self.changed.notify_all()

    def expect(self, agent_id: str) -> None:
        """This agent has calls of the session that an earlier process submitted: it is worth waiting for."""
        self._agent_id, self._known = agent_id, True

    def retire(self, error: HostError) -> None:
        """Open no further link, and send nothing more: the host is being dismantled."""
        self._failed, self._known = error, False
        self.sender.clear()
        self.adoption.fail(error)
        self._threads.pop("link", None)
        self.changed.notify_all()

    # -- what others ask for --

    def drain(self, patience: float) -> None:
        """Wait until everything was sent, or the host was given up."""
        with self.session.lock:
            self.changed.wait_for(lambda: self._failed is not None or self.sender.is_empty, patience)
            # Without a link, the jobs go with the agent.
            self.changed.wait_for(
                lambda: self._failed is not None or self._link is None or self.sender.is_released,
                min(patience, _RELEASE_PATIENCE),
            )

    def dismantle(self) -> None:
        """End the agent, and wait until it is gone. Raises HostError."""
        with self.session.lock:
            link = self._link
        if link is not None:
            self.broke(link, HostLost("dismantled", host=self.name))
        self._machine.dismantle(ask_to_end)

    def close(self) -> None:
        """Close the link; the session is closed."""
        with self.session.lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()

    # -- what the threads ask for --

    def client(self, link: Link) -> AgentClient:
        """A connection of one's own to the agent."""
        return AgentClient(link.opener, link.token, self.name)

    def wait_for_link(self, wanted: Callable[[], bool]) -> Link | None:
        """Wait until there is a link and ``wanted()`` holds; None when the session was closed."""
        with self.session.lock:
            self.changed.wait_for(lambda: self.session.closed or (self._link is not None and wanted()))
            return None if self.session.closed else self._link

    def is_off(self, link: Link) -> bool:
        """Whether a link is not the one to be used any more."""
        return self.session.closed or self._link is not link

    def broke(self, link: Link, why: HostError) -> None:
        """A link does not work any more."""
        with self.session.lock:
            if self._link is link:
                logger.debug("host %s: the link broke: %s", self.name, why)
                self._link, self._trouble = None, why
                self.changed.notify_all()
        link.close()

    def spawn(self, name: str, target: Callable[[], None]) -> None:
        """Have a thread run ``target``, unless one does already."""
        thread = self._threads.get(name)
        if thread is None or not thread.is_alive():
            thread = threading.Thread(
                target=self._guard, args=(name, target), name=f"{name} {self.name}", daemon=True
            )
            self._threads[name] = thread
            thread.start()

    def _guard(self, name: str, target: Callable[[], None]) -> None:
        try:
            target()
        except Exception as exc:  # The top of a thread: the error goes to the calls.
            logger.debug("host %s: the thread %r failed", self.name, name, exc_info=True)
            what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
            error = HostError(
                f"an error that should not occur, in the thread {name!r}: {what}", host=self.name
            )
            error.__cause__ = exc
            self._fail(name, error)

    def _fail(self, name: str, error: HostError) -> None:
        with self.session.lock:
            if self._threads.get(name) is threading.current_thread():
                del self._threads[name]
            link, self._link = self._link, None
            if not self.session.closed:
                self._give_up(error)
        if link is not None:
            link.close()

    # -- the link --

    def _keep_link(self) -> None:
        while (link := self._open()) is not None:
            opened_at = time.monotonic()
            try:
                self.collector.collect(link)
            except HostError as exc:
                self.broke(link, exc)
            with self.session.lock:
                if time.monotonic() - opened_at > _STEADY:
                    self._patience.worked()
                self._wait_for_work()
                trouble = self._trouble
            if trouble is None or not self._is_worth_trying(trouble):
                return

    def _wait_for_work(self) -> None:
        """Without work there is no hurry: the agent may have ended because its time had come."""

        def has_work() -> bool:
            return not self.sender.is_empty or self.session.has_work(self.name) or self.adoption.pending

        if not has_work():
            self._patience.worked()
            self.changed.wait_for(lambda: self._is_over() or has_work())

    def _is_over(self) -> bool:
        """Whether this thread is not to keep the link any more."""
        return self.session.closed or self._threads.get("link") is not threading.current_thread()

    def _with_environment(self, link: Link, client: AgentClient) -> Link:
        """The link with the interpreter of the environment, which may have to be built. Raises HostError."""
        environments = self.session.options.environments
        if environments is None:
            return link
        try:
            return environments.prepare(link, client, self._is_over_now, self.tell)
        except Refused as exc:
            if exc.kind != Problem.DRAINING:
                raise EnvironmentFailed(exc.args[0], host=self.name, phase="environment") from exc
            with self.session.lock:
                self._known = True
            message = "it is being dismantled and takes no more calls"
            raise HostDraining(message, host=self.name, phase="environment") from exc
        except HostLost:
            with self.session.lock:
                self._known = True  # Its agent has answered: one that is lost now is worth another try.
            raise

    def _is_over_now(self) -> bool:
        with self.session.lock:
            return self._is_over()

    def _open(self) -> Link | None:
        """Open the link, trying again for a while if the host was ready before."""
        while True:
            try:
                return self._open_once()
            except HostError as exc:
                trouble = exc
            if not self._is_worth_trying(trouble):
                return None

    def _is_worth_trying(self, trouble: HostError) -> bool:
        """Whether to open a link again, decided after a pause; if it isn't, the host was given up."""
        options = self.session.options
        with self.session.lock:
            if self._is_over():
                return False
            if isinstance(trouble, HostDraining) and self.session.hosts.any_ready():
                self._give_up(trouble)
                return False
            # An agent that answered before and refuses now may be about to be started again.
            retryable = self._known and (trouble.retryable or isinstance(trouble, AgentError))
            pause = self._patience.failed(time.monotonic(), options.lost_after) if retryable else None
            if pause is None:
                self._give_up(trouble)
                return False
            if pause:
                logger.debug("host %s: %s; trying again in %.1f s", self.name, trouble, pause)
                self.changed.wait_for(self._is_over, pause)
            return not self._is_over()

    def tell(self, doing: str) -> None:
        """Note what is being done there, for those who wait."""
        self.doing = doing

    def _open_once(self) -> Link | None:
        """Open the link; None when it is not wanted any more. Raises HostError."""
        self.tell("starting the agent")
        try:
            return self._open_link()
        finally:
            self.tell("")

    def _open_link(self) -> Link | None:
        link = self._machine.open()
        client = self.client(link)
        try:
            info = client.info()
            if self._left_behind and self._agent_id == link.agent_id:
                self._take_back(client)
            link = self._with_environment(link, client)
        except BaseException:
            link.close()
            raise
        finally:
            client.close()
        with self.session.lock:
            if self._is_over():
                link.close()
                return None
            self._left_behind = False
            is_new = self._agent_id != link.agent_id
            replaced = is_new and self._agent_id is not None
            if is_new:
                self._agent_id = link.agent_id
                self.sender.forget_agent()
                self.collector.start_over()
            elif info.get("boot_id") != self._boot_id:
                # After a power cut, the last of what the agent had written may not be on its disk.
                self.sender.send_all_again()
                self.collector.start_over()
                self.adoption.start_over()
            self._boot_id = info.get("boot_id")
            if replaced:
                # The journal of the old one is gone, and with it all that was handed to it.
                self.adoption.fail(HostLost("its agent is a new one and has no calls", host=self.name))
            self._link, self._known, self._trouble = link, True, None
            for key in self.session.sought(self.name):
                self.sender.find(key)
            # At once: a script may be over before the agent is heard again, and its calls go on there.
            self.session.host_heard(self.name, link.agent_id, self.session.options.soft_timeout)
            slots = link.processes or int(info["processes"])
            most = self.session.hosts.most_on(self.name) or slots
            self.session.host_ready(self.name, min(slots, most), empty=replaced)
        return link

    def _take_back(self, client: AgentClient) -> None:
        """Have the agent give back what waits there: since it was given up, none of it is its own any more.

        Without that it would run all of it, beside those who have it now. Raises HostError.
        """
        for job, count in client.status()["waiting"].items():
            if self.session.owns(job):
                numbers = client.revoke(job, count)
                logger.debug("host %s gave %d calls of job %s back", self.name, len(numbers), job)

    def _give_up(self, error: HostError) -> None:
        if self._known and error.retryable:
            lost = HostLost(f"lost during the job: {error.args[0]}", host=self.name, phase=error.phase)
            lost.__cause__ = error
            error = lost
        self._failed, self._known = error, False
        self._left_behind = self._agent_id is not None
        self._patience.worked()
        self.sender.clear()
        # This thread is about to end: if the host is tried again, another one does so.
        self._threads.pop("link", None)
        self.adoption.fail(error)
        self.session.host_failed(self.name, error)
