"""An OpenAI-compatible server for tests: answers on 127.0.0.1 as it is told to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer(ThreadingHTTPServer):
    """``reply(body)`` gives the text of an answer, or ``(status, headers, bytes)``.

    ``requests`` holds ``(path, headers, body)`` of everything that was asked.
    """

    daemon_threads = True

    def __init__(self, reply):
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply = reply
        self.requests = []
        self.base_url = f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    def log_message(self, *args):
        """Keep quiet."""

    def do_POST(self):
        """Answer a chat."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        answer = self.server.reply(body)
        if isinstance(answer, str):
            choice = {"message": {"content": answer}, "finish_reason": "stop"}
            content = {"model": f"{body['model']}-pinned", "choices": [choice]}
            answer = (200, {}, json.dumps(content).encode())
        status, headers, data = answer
        self.send_response(status)
        for name, value in {"Content-Length": len(data), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)
