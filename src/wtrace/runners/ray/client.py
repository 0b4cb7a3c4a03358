"""Ray's own job client, with a limit on how long it waits and one clear line for what may go wrong."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from wtrace.config.engines import custom_resources
from wtrace.config.kinds import Place
from wtrace.errors import ToolError
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ray.job_submission import JobSubmissionClient
    from requests import Response

MOST_S = 8.0
HANDS_IN_S = 60.0
SILENCE_S = 15.0  # a keeper that has nothing to say says so every 3 s
BLOCK = 1 << 16
OLDEST = (2, 49)  # the first whose jobs can be sent to a chosen node
OLDEST_TEXT = ".".join(map(str, OLDEST))
ADDRESS, API_ADDRESS = "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"
_constructing = threading.Lock()


class UnreachableError(ToolError):
    """No answer came: what was asked may have been done or not."""


class Client:
    """A cluster's jobs and the files of its nodes, through its dashboard. May be used by several threads."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Find the cluster and ask for its version. ToolError says why that did not work, within 10 s."""
        self._settings = settings
        self._jobs = _connect(settings.get("address"))
        self.version = self._ask("its version", lambda: str(self._get("/api/version").json()["ray_version"]))
        if _numbers(self.version) < OLDEST:
            raise ToolError(
                f"Ray {self.version} runs at {self.address}, and wtrace needs {OLDEST_TEXT} or newer there",
                hint="update Ray on the cluster",
            )

    @property
    def address(self) -> str:
        """Where the dashboard answers."""
        return self._jobs.get_address()

    def submit(self, job: str, entrypoint: str, **wishes: Any) -> bool:
        """Hand a job in under this name. False: there is one of that name already. ToolError says what was wrong."""
        try:
            self._ask(
                "a job", lambda: self._jobs.submit_job(submission_id=job, entrypoint=entrypoint, **wishes)
            )
        except ToolError as error:
            if "already exists" in f"{error.what} {error.seen}":
                return False
            raise
        return True

    def info(self, job: str) -> dict[str, Any] | None:
        """What Ray says of a job; None: it knows none of that name."""
        answer = self._ask("a job", lambda: self._get(f"/api/jobs/{job}"))
        if answer.status_code == 404:
            return None
        self._check(answer)
        found = job_info(answer.content)
        if found is None:
            seen = plain(answer.text, 200)
            raise ToolError(f"Ray at {self.address} says of a job what cannot be understood", seen=seen)
        return found

    def stop(self, job: str) -> None:
        """Have Ray send the job its SIGTERM."""
        self._ask("a job", lambda: self._jobs.stop_job(job))

    @contextlib.contextmanager
    def read(self, node: str, file: str, *, follow: bool) -> Iterator[Iterator[bytes]]:
        """A file below a node's folder of logs, in blocks as they come; `follow`: it goes on as the file grows.

        ToolError when there is no such file, or the line breaks.
        """
        kind = "stream" if follow else "file"
        query = f"node_id={node}&filename={file}&lines=-1&timeout=86400"
        query += "&interval=0.05" if follow else ""
        timeout = (MOST_S, SILENCE_S if follow else 60.0)
        answer: Response = self._ask("a file", lambda: self._stream(f"/api/v0/logs/{kind}?{query}", timeout))
        with contextlib.closing(answer):
            self._check(answer)
            yield self._blocks(answer)

    def _blocks(self, answer: Response) -> Iterator[bytes]:
        while block := self._ask("a file", lambda: answer.raw.read1(BLOCK)):
            yield block

    def _stream(self, path: str, timeout: tuple[float, float]) -> Response:
        """As the SDK would ask, which reads the whole of an answer, and this one may never end."""
        import requests

        jobs = self._jobs
        return requests.get(
            jobs.get_address() + path,
            headers=jobs._headers,
            cookies=jobs._cookies,
            verify=jobs._verify,
            stream=True,
            timeout=timeout,
        )

    def _get(self, path: str, **options: Any) -> Response:
        return self._jobs._do_request("GET", path, **options)

    def _check(self, answer: Response) -> None:
        if answer.status_code != 200:
            seen = plain(answer.text, 200)
            answer.close()
            raise ToolError(f"Ray at {self.address} answers {answer.status_code}", seen=seen)

    def _ask(self, what: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception as error:
            raise _told(error, what, self._jobs.get_address()) from error


def _connect(address: str | None) -> JobSubmissionClient:
    """The SDK's client. The config's address comes before the environment's, which the SDK would prefer."""
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError:
        hint = "pip install 'wtrace[ray]' (or 'ray[default]') into the environment that runs wtrace"
        raise ToolError("runner ray: Ray's job client is not installed", hint=hint) from None

    class Patient(JobSubmissionClient):
        """Asks with a limit on the time that an answer may take."""

        def _do_request(self, *args: Any, **options: Any) -> Response:
            most_s = MOST_S if args[0] == "GET" else HANDS_IN_S  # a parcel takes its time
            return super()._do_request(*args, **{"timeout": most_s, **options})

    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.ERROR)
    with _constructing, _environment(API_ADDRESS, address):
        given = os.environ.get(API_ADDRESS) or os.environ.get(ADDRESS)
        try:
            return Patient()
        except Exception as error:
            raise _told(error, "its version", given) from error


@contextlib.contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if value is not None:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


def _told(error: Exception, what: str, address: str | None) -> ToolError:
    """What went wrong, in one line."""
    text = plain(str(error).strip().split("\n")[0], 300)
    if type(error).__name__ == "AuthenticationError":
        wrong = "Authentication failed" in text
        said = "refuses the token" if wrong else "asks for a token"
        hint = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or ~/.ray/auth_token) as on the cluster"
        return ToolError(f"Ray at {address} {said}", hint=hint)
    if address is None:
        hint = "start one with `ray start --head`, or name one: `[runners.ray] address`, or RAY_ADDRESS"
        return ToolError("no Ray runs on this machine, and no address is given", hint=hint)
    if "try again later" in text:  # its agent is only starting
        return UnreachableError(f"Ray at {address} is not ready", seen=text)
    if "onnect" in type(error).__name__ + text or "Timeout" in type(error).__name__:
        hint = "is it up, and is this its dashboard's address (usually http://HEAD:8265)?"
        return UnreachableError(f"no Ray answers at {address}", hint=hint)
    return ToolError(f"Ray at {address} could not be asked about {what}", seen=text)


def job_info(content: bytes) -> dict[str, Any] | None:
    """What an answer says of a job; None where it is no such answer."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("status"), str) else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def resources_of(settings: Mapping[str, str]) -> dict[str, float]:
    """The custom resources that each worker takes."""
    text = settings.get("resources")
    return {} if text is None else custom_resources(text, Place(("runners", "resources")))


def check(settings: Mapping[str, str]) -> Iterator[str]:
    """What is found out about a cluster, a line each. ToolError where it is not fit for a race."""
    began = time.monotonic()
    client = Client(settings)
    yield f"Ray {client.version} at {client.address}, answers in {(time.monotonic() - began) * 1000:.0f} ms"
    import ray

    if _numbers(ray.__version__) != _numbers(client.version):
        yield f"Ray {ray.__version__} here: jobs are handed in over HTTP, which may differ"
