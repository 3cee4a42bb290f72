"""A Hugging Face hub for tests: repositories in memory, plain files at ``/files``.

It answers what ``huggingface_hub`` asks to make a repository, upload a folder, tag it
and download it again, all files as regular (not large) ones.
"""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SHA = hashlib.sha1(b"commit").hexdigest()


class Hub(ThreadingHTTPServer):
    """The server; ``repos`` maps ``user/name`` to contents by path."""

    daemon_threads = True

    def __init__(self, files: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.repos: dict[str, dict[str, bytes]] = {}
        self.tags: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Keep quiet."""

    def _send(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _parts(self):
        return self.path.split("?")[0].strip("/").split("/")

    def do_GET(self):
        """Contents, or what is in a repository."""
        parts = self._parts()
        if parts[0] == "files":
            self._send((self.server.files / parts[1]).read_bytes())
        elif parts[:2] == ["api", "models"]:
            self._describe("/".join(parts[2:4]), parts[4:5])
        elif len(parts) > 4 and parts[2] == "resolve":
            content = self.server.repos["/".join(parts[:2])]["/".join(parts[4:])]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self._send(content, ETag=etag, X_Repo_Commit=SHA)
        else:
            self._send({"error": "not found"}, 404)

    do_HEAD = do_GET

    def _describe(self, repo, kind):
        if repo not in self.server.repos:
            headers = {"X_Error_Code": "RepoNotFound"}
            self._send({"error": "Repository not found"}, 404, **headers)
            return
        files = self.server.repos[repo]
        if kind == ["tree"]:
            rows = [
                {
                    "type": "file",
                    "path": path,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                }
                for path, content in files.items()
            ]
            self._send(rows)
            return
        siblings = [{"rfilename": path} for path in files]
        about = {"id": repo, "modelId": repo, "sha": SHA, "siblings": siblings}
        self._send(about | {"private": False, "tags": [], "downloads": 0, "likes": 0})

    def do_POST(self):
        """Make a repository, take files, tag."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self._parts()
        repo = "/".join(parts[2:4])
        if parts[:3] == ["api", "repos", "create"]:
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.repos.setdefault(repo, {})
            self._send({"url": f"{self.server.url}/{repo}", "name": repo, "id": "1"})
        elif parts[1] == "validate-yaml":
            self._send({"errors": [], "warnings": []})
        elif parts[4] == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._send({"files": files})
        elif parts[4] == "commit":
            self._commit(repo, body)
        elif parts[4] == "tag":
            self.server.tags.append((repo, json.loads(body)["tag"]))
            self._send({})
        else:
            self._send({"error": "not found"}, 404)

    def _commit(self, repo, body):
        for line in body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                content = base64.b64decode(item["value"]["content"])
                self.server.repos[repo][item["value"]["path"]] = content
        url = f"{self.server.url}/{repo}/commit/{SHA}"
        self._send({"success": True, "commitOid": SHA, "commitUrl": url})
