"""One question to a language model behind an OpenAI-compatible endpoint.

Enters: the body of a ``chat/completions`` request. Leaves: the text of the first
choice, with the model that wrote it. What may pass (a busy or restarting server, a
broken connection) is tried again after waits that double; what will not pass by itself
(a wrong key, an unknown model) is one error that names the remedy. Only the standard
library is used: any server with that interface will do.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass

PASSING = frozenset((408, 409, 425, 429))
"""Answers of a server, besides 5xx, after which the same request may succeed."""
REMEDIES = {
    401: "check the key in the environment variable that --api_key_env names",
    403: "check the key in the environment variable that --api_key_env names",
    404: "check --base_url (it usually ends in /v1) and --model",
}
LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Completion:
    """What a model answered.

    Attributes:
        text: The answer as it came; empty if the model gave none.
        model: Name of the model as the server gives it.
        finish: Why the answer ended, e.g. ``stop`` or ``length``.
    """

    text: str
    model: str
    finish: str


class PassingError(Exception):
    """A request failed in a way that may not happen again.

    Attributes:
        wait: Seconds the server asks to wait, 0 if it does not say.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class ChatEndpoint:
    """A server that continues chats.

    Args:
        base_url: Address up to and without ``/chat/completions``.
        api_key: Sent as bearer token; None for servers that want none.
        timeout: Seconds for one answer.
        retries: How often a request is repeated, after one second and then twice as
            many each time.
        sleep: Waits so many seconds.

    Raises:
        ValueError: The address is no http(s) address.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 6,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(
                f"--base_url: expected an address such as http://127.0.0.1:8000/v1, "
                f"found '{base_url}'"
            )
        self.url = base_url.rstrip("/") + "/chat/completions"
        self.headers = {"Content-Type": "application/json"}
        if api_key:
            self.headers["Authorization"] = f"Bearer {api_key}"
        self.timeout, self.retries, self.sleep = timeout, retries, sleep

    def complete(self, body: Mapping) -> Completion:
        """Ask once, and again while that may help.

        Args:
            body: The request.

        Returns:
            The answer.

        Raises:
            RuntimeError: The server refuses, or does not answer in time.
        """
        data = json.dumps(body).encode("utf-8")
        wait = 1.0
        for left in range(self.retries, -1, -1):
            try:
                return read_completion(self._post(data))
            except PassingError as error:
                if not left:
                    raise RuntimeError(
                        f"{self.url} gave no answer after {self.retries + 1} "
                        f"tries ({error}). Answers so far are kept: repeat the command "
                        "when the server is up, or raise --retries or --timeout"
                    ) from error
                self.sleep(min(max(wait, error.wait), LONGEST_WAIT))
            wait *= 2
        raise AssertionError("the last try returns or raises")

    def _post(self, data: bytes) -> bytes:
        """Send the request once; gives the body of the answer."""
        request = urllib.request.Request(self.url, data, self.headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                return reply.read()
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise PassingError(f"{type(error).__name__}: {error}") from error

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        """What an answer that is no success means."""
        said = " ".join(error.read(2000).decode("utf-8", "replace").split())[:300]
        message = f"HTTP {error.code}: {said or error.reason}"
        if error.code in PASSING or error.code >= 500:
            return PassingError(message, _seconds(error.headers.get("Retry-After")))
        remedy = REMEDIES.get(error.code, "the request was not understood")
        return RuntimeError(f"{self.url} refuses ({message}); {remedy}")


def _seconds(value: str | None) -> float:
    """Seconds of a Retry-After header; 0 where it is absent or a date."""
    try:
        return max(float(value or 0), 0.0)
    except ValueError:
        return 0.0


def read_completion(content: bytes) -> Completion:
    """Find the answer in what the server sent.

    Args:
        content: JSON with ``choices``.

    Returns:
        The first choice.

    Raises:
        PassingError: It is no such JSON, e.g. because it was cut short.
    """
    try:
        reply = json.loads(content)
        choice = reply["choices"][0]
        text = choice["message"].get("content") or ""
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        start = content[:200].decode("utf-8", "replace")
        raise PassingError(f"expected a chat completion, found '{start}'") from error
    model, finish = reply.get("model"), choice.get("finish_reason")
    return Completion(str(text), str(model or ""), str(finish or ""))
