"""Everything that can go wrong, as classes.

::

    LithopsError
    ├── ConfigError (ValueError)            the configuration is wrong: all problems at once
    │   └── NotSupportedYet                 a name that is reserved for a later backend
    ├── DataLimitError (ValueError)         the data of a call is larger than lithops.data_limit
    ├── SerializationError (TypeError)      a function or its data can't be pickled here
    ├── HostError                           a host can't be used; knows host and phase
    │   ├── HostUnreachable (ConnectionError)   no route, name or port
    │   ├── HostTimeout (TimeoutError)          accepted, then silent
    │   ├── HostKeyError                        unknown or changed host key
    │   ├── AuthenticationError                 wrong user, key or password
    │   ├── BootstrapError                      the agent could not be put or started there
    │   │   ├── PythonNotFound                  no interpreter of the needed version
    │   │   ├── HostNotWritable                 the home folder can't be written
    │   │   └── HostDiskFull                    no space
    │   ├── EnvironmentFailed                   the environment of standalone.requirements can't be had
    │   │   ├── RequirementsUnavailable         a distribution is not to be had for the host's platform
    │   │   ├── PackageIndexUnreachable         neither this machine nor the host reaches a package index
    │   │   └── EnvironmentBuildFailed          it could not be built on the host
    │   ├── ImageError                          functions can't run in the image there
    │   │   ├── DockerNotFound                      no engine, or it does not run
    │   │   ├── DockerPermissionError               the login may not use it
    │   │   ├── RegistryUnreachable                 no answer from the registry
    │   │   ├── RegistryUnauthorized                it wants another login
    │   │   ├── ImageNotFound                       there is no such image
    │   │   ├── ImageArchitectureError              it is for other machines
    │   │   └── ImagePythonError                    it has no Python, or another one
    │   ├── CloudError                          the cloud did not do what it was asked; knows its reason
    │   │   ├── CloudUnreachable (ConnectionError)  its API does not answer
    │   │   ├── CloudUnauthorized                   the API key is wrong, or may not do this
    │   │   ├── CloudQuotaExceeded                  the account may have no more of these
    │   │   ├── CloudCapacityExceeded               the zone has no room for more
    │   │   ├── CloudNotFound                       what is named is not there
    │   │   └── InstanceFailed                      a machine was created and did not come up
    │   ├── AgentError                          the agent answered with an error
    │   │   └── AgentBusy                       another version of it is at work there
    │   └── HostLost                            it was there and is gone
    │       └── HostDraining                        it is being dismantled and takes no more calls
    ├── CallError                           one call failed for a reason outside the function
    │   ├── WorkerDied                          exit, signal or kill for memory
    │   ├── CallTimeout (TimeoutError)          killed after its time-out
    │   ├── HardDismantleTimeout (TimeoutError) killed because the host's time was up
    │   ├── ResultError                         the result can't be pickled or read
    │   ├── RemoteError                         the exception could not be brought here; its text could
    │   ├── CallNotSubmitted                    its program ended before it could be handed to a host
    │   └── CallCancelled                       cancelled
    ├── JobUnknown (LookupError)            attach() finds no such job
    ├── CopyError                           a file can't be copied to or from a host
    ├── ScriptError                         a script can't be run again with its new version
    ├── HostUnknown (LookupError)           no host of this name is configured or in use
    └── WaitTimeout (TimeoutError)          wait() or get_result() ran out of time
"""

from __future__ import annotations

from typing import Any


class LithopsError(Exception):
    """The root of this package's errors."""


class ConfigError(LithopsError, ValueError):
    """The configuration is wrong; the message lists every problem found."""


class NotSupportedYet(ConfigError):
    """The configuration names something that is reserved but not built yet."""


class DataLimitError(LithopsError, ValueError):
    """The data of the calls is larger than ``lithops.data_limit``."""


class SerializationError(LithopsError, TypeError):
    """A function, or the data of a call, can't be pickled on this machine."""


class HostError(LithopsError):
    """A host can't be used.

    ``host`` is its name in the configuration, ``phase`` one of connect, authenticate, probe,
    upload, start, environment, submit, collect, create, dismantle, and ``retryable`` tells whether trying
    again can help.
    """

    retryable = False

    def __init__(self, message: str, *, host: str = "", phase: str = "") -> None:
        super().__init__(message)
        self.host = host
        self.phase = phase

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args[0], {"host": self.host, "phase": self.phase})

    def __str__(self) -> str:
        where = f"host {self.host}: " if self.host else ""
        return f"{where}{self.args[0]}"


class HostUnreachable(HostError, ConnectionError):
    """No route to the host, no such name, or nobody listens on the port."""

    retryable = True


class HostTimeout(HostError, TimeoutError):
    """The host accepted the connection, or the command, and then did not answer in time."""

    retryable = True


class HostKeyError(HostError):
    """The host's key is unknown, or is not the one that is known."""


class AuthenticationError(HostError):
    """The host refused the user, the key or the password."""


class BootstrapError(HostError):
    """The agent could not be put on the host, or could not be started there."""


class PythonNotFound(BootstrapError):
    """The host has no Python of the version that the function needs."""


class HostNotWritable(BootstrapError):
    """The home folder on the host can't be written."""


class HostDiskFull(BootstrapError):
    """The disk of the host is full."""


class EnvironmentFailed(HostError):
    """The Python environment that ``standalone.requirements`` asks for can't be had on the host."""


class RequirementsUnavailable(EnvironmentFailed):
    """A distribution can't be had for the Python and platform of the host; the message names it, with why."""


class PackageIndexUnreachable(EnvironmentFailed):
    """This machine, which chooses the versions of packages, reaches no index, not over the host either."""


class EnvironmentBuildFailed(EnvironmentFailed):
    """The host has all that is needed, and the environment could not be built; the message has why."""


class ImageError(HostError):
    """Functions can't run in the image of ``standalone.runtime`` on the host."""


class DockerNotFound(ImageError):
    """The host has no Docker engine, or it does not run."""


class DockerPermissionError(ImageError):
    """The login may not use the Docker engine of the host."""


class RegistryUnreachable(ImageError):
    """The registry of the image does not answer."""


class RegistryUnauthorized(ImageError):
    """The registry of the image wants a login, or another one."""


class ImageNotFound(ImageError):
    """There is no such image."""


class ImageArchitectureError(ImageError):
    """The image is for machines of another kind."""


class ImagePythonError(ImageError):
    """The image has no Python, or not the version that the function needs."""


class CloudError(HostError):
    """The API of the cloud did not do what it was asked.

    ``operation`` says what that was, ``status`` and ``code`` are those of the answer (0 and "" without one).
    """

    def __init__(
        self,
        message: str,
        *,
        host: str = "",
        phase: str = "create",
        operation: str = "",
        status: int = 0,
        code: str = "",
    ) -> None:
        super().__init__(message, host=host, phase=phase)
        self.operation = operation
        self.status = status
        self.code = code

    def on(self, host: str) -> CloudError:
        """The same about a host."""
        error = type(self)(self.args[0], **{**self._who(), "host": host})
        error.__cause__ = self.__cause__
        return error

    def _who(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "phase": self.phase,
            "operation": self.operation,
            "status": self.status,
            "code": self.code,
        }

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args[0], self._who())


class CloudUnreachable(CloudError, ConnectionError):
    """The API of the cloud did not answer, or only with errors of its own."""

    retryable = True


class CloudUnauthorized(CloudError):
    """The API key is not valid, or may not do this."""


class CloudQuotaExceeded(CloudError):
    """The account may have no more of these."""


class CloudCapacityExceeded(CloudError):
    """The zone has no room for more machines of this profile at the moment."""


class CloudNotFound(CloudError):
    """What the configuration names, or what was there a moment ago, is not there."""


class InstanceFailed(CloudError):
    """A machine was created and did not come up; it was deleted again."""


class AgentError(HostError):
    """The agent answered a request with an error."""


class AgentBusy(AgentError):
    """An agent of another version runs jobs on the host; it is replaced when it is idle."""

    retryable = True


class HostLost(HostError):
    """The host was ready, then could not be reached any more; ``job_id`` is the job that fails with it."""

    retryable = True

    def __init__(self, message: str, *, host: str = "", phase: str = "", job_id: str = "") -> None:
        super().__init__(message, host=host, phase=phase)
        self.job_id = job_id

    def with_job(self, job_id: str) -> HostLost:
        """The same for a job that no host is left for."""
        error = type(self)(self.args[0], host=self.host, phase=self.phase, job_id=job_id)
        error.__cause__ = self.__cause__
        return error

    def __reduce__(self) -> tuple[object, ...]:
        who = {"host": self.host, "phase": self.phase, "job_id": self.job_id}
        return _rebuild, (type(self), self.args[0], who)

    def __str__(self) -> str:
        job = f"job {self.job_id} can't go on: " if self.job_id else ""
        return f"{job}{super().__str__()}"


class HostDraining(HostLost):
    """The host is being dismantled and takes no more calls; they go to another one, or it is brought back."""


class CallError(LithopsError):
    """One call failed for a reason outside of its function.

    ``host``, ``job_id`` and ``call_id`` tell which one and where.
    """

    def __init__(self, message: str, *, host: str = "", job_id: str = "", call_id: str = "") -> None:
        super().__init__(message)
        self.host = host
        self.job_id = job_id
        self.call_id = call_id

    def __reduce__(self) -> tuple[object, ...]:
        who = {"host": self.host, "job_id": self.job_id, "call_id": self.call_id}
        return _rebuild, (type(self), self.args[0], who)

    def __str__(self) -> str:
        call = f"call {self.call_id} of job {self.job_id}" if self.job_id else ""
        where = f" on host {self.host}" if self.host else ""
        return f"{call}{where}: {self.args[0]}" if call or where else str(self.args[0])


class WorkerDied(CallError):
    """The worker process ended while it ran the call: exit, signal, or killed for memory."""


class CallTimeout(CallError, TimeoutError):
    """The call ran longer than its time-out and was killed."""


class HardDismantleTimeout(CallError, TimeoutError):
    """The host reached its hard dismantle time-out while the call was unfinished."""


class ResultError(CallError):
    """The result of the call can't be pickled, or can't be read here."""


class RemoteError(CallError):
    """The function raised an exception that can't be rebuilt here; its text and traceback are kept."""


class CallNotSubmitted(CallError):
    """The program that made the call ended before the data of the call were known."""


class JobUnknown(LithopsError, LookupError):
    """There is no job of this id that could be continued."""


class HostUnknown(LithopsError, LookupError):
    """There is no host of this name, neither in the configuration nor among those in use."""


class CopyError(LithopsError):
    """A file or folder can't be copied; the message names it, and why."""


class ScriptError(LithopsError):
    """The new version of a script can't be used to run calls again; the message says why."""


class CallCancelled(CallError):
    """The call was cancelled."""


class WaitTimeout(LithopsError, TimeoutError):
    """``wait()`` or ``get_result()`` ran out of time; the calls go on."""


class RemoteTraceback(Exception):
    """The cause of an exception that was raised on a host: its traceback there, as text."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}" if self.args else ""


def _rebuild(cls: type[Exception], message: str, who: dict[str, Any]) -> Exception:
    return cls(message, **who)
