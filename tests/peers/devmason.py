"""devmason-server: XML-RPC, JSON pages, and the REST interface, all below /devmason.

It says `Processed Correctly` to every submission that it did not choke on. What it keeps of a submission by XML-RPC is what
`by_rpc` writes down, and nothing at all when the package is not its own slug or a date is none. Its clock is in Chicago.
"""
import base64
import datetime
import email.utils
import json
import os
import re
import time
import unicodedata
import urllib.parse

import base
import rpc

BASE = "/devmason"
HTML = "text/html; charset=utf-8"
PROJECT = ("GET", "PUT", "DELETE")

os.environ["TZ"] = "CST6CDT,M3.2.0,M11.1.0"
time.tzset()


def slug_of(name):
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "_", ascii_only, flags=re.ASCII).strip().lower())


def moment(text):
    """A date by the clock on the wall: what it says of its zone is not heeded, and none at all is today's midnight."""
    if not isinstance(text, str):
        raise AttributeError(f"'{type(text).__name__}' object has no attribute 'read'")
    if not text.strip():
        return datetime.datetime.combine(datetime.date.today(), datetime.time())
    try:
        return datetime.datetime.fromisoformat(text.strip()).replace(tzinfo=None)
    except ValueError:
        parts = email.utils.parsedate(text)
        if parts is None:
            raise ValueError("unknown string format") from None
        return datetime.datetime(*parts[:6])


def rfc2822(when):
    local = time.localtime(when.timestamp())
    return f"{when:%a}, {when.day} {when:%b %Y %H:%M:%S} {time.strftime('%z', local)}"


def tags_of(words):
    """Words joined with commas and taken apart again: at commas if there is one, else at blanks."""
    text = ",".join(words)
    parts = text.split(",") if "," in text else text.split()
    return sorted({part.strip() for part in parts} - {""})


def link(rel, path, methods=("GET",), **query):
    href = BASE + urllib.parse.quote(path) + ("?" + urllib.parse.urlencode(query) if query else "")
    return {"rel": rel, "href": href, "allowed_methods": list(methods)}


class Build:
    def __init__(self, number, slug, data, sent):
        # In this order they are missed.
        self.number, self.slug, self.sent = number, slug, sent
        self.success = bool(data["success"])
        self.started, self.finished = moment(data.get("started", "")), moment(data.get("finished", ""))
        self.client = {"user": "", **data["client"], "host": data["client"]["host"], "arch": data["client"]["arch"]}
        self.tags, self.steps = [], []

    def add_step(self, step):
        today = rfc2822(moment(""))
        # Its own times are not looked for where they are.
        times = {"started": today, "finished": today}
        told = {"success": bool(step["success"]), "name": step["name"], "output": "", "errout": ""}
        self.steps.append({**told, **step, "success": told["success"], **times})

    def shown(self):
        path = f"/{self.slug}"
        links = [link("self", f"{path}/builds/{self.number}"), link("project", path, PROJECT)]
        return {
            "success": self.success, "started": rfc2822(self.started), "finished": rfc2822(self.finished),
            "tags": self.tags, "client": self.client, "results": self.steps,
            "links": links + [link("tag", f"{path}/tags/{tag}") for tag in self.tags],
        }


class Projects:
    """What the server keeps."""

    def __init__(self, with_rpc):
        self.with_rpc, self.projects, self.builds, self.passwords = with_rpc, {}, [], {}

    def kept(self):
        results = [{"key": str(build.number), "package": build.slug, "shown": build.shown(), **build.sent}
                   for build in self.builds]
        return {"results": results, "projects": self.projects}

    def of(self, slug):
        """Newest end first, as every list of builds is."""
        return sorted((build for build in self.builds if build.slug == slug), key=lambda build: build.finished, reverse=True)

    def create(self, slug, data, sent):
        """A build, or what was wrong with it (KeyError, ValueError); then the build stays, with the steps before the bad one.

        What is wrong in another way leaves nothing.
        """
        build = Build(len(self.builds) + 1, slug, data, sent)
        if "tags" in data:
            build.tags = tags_of(data["tags"])
        self.builds.append(build)
        try:
            for step in data.get("results", []):
                build.add_step(step)
        except (KeyError, ValueError):
            raise
        except Exception:
            self.builds.remove(build)
            raise
        return build

    def by_rpc(self, client_info, results):
        data = {
            "success": client_info.get("success", False),
            "started": client_info.get("start_time", ""), "finished": client_info.get("end_time", ""),
            "tags": client_info["tags"],
            "client": {"host": client_info.get("host", ""), "arch": client_info.get("arch", ""), "user": "pony-client"},
            "results": [{
                # A step without a status is as good as one with 0.
                "success": step.get("status", 0) == 0,
                **{key: step.get(key, "") for key in
                   ("name", "errout", "output", "command", "type", "version_type", "version_info")},
            } for step in results],
        }
        package = str(client_info.get("package"))
        self.projects.setdefault(slug_of(package), {"name": package, "owner": ""})
        if package in self.projects:
            try:
                self.create(package, data, {"client_info": client_info, "results": results})
            except (KeyError, ValueError):
                pass
        return "Processed Correctly"

    def call(self, method, params):
        if method == "add_results":
            return self.by_rpc(*params)
        if method == "check_should_build":
            client_info, reserve, allowance = params
            return [True, "We always build, now!"]
        raise Exception(f'method "{method}" is not supported')


class Handler(base.Handler):
    def do_POST(self):
        if "Content-Length" not in self.headers:
            return self.respond(500, "INTERNAL SERVER ERROR", {"Content-Type": HTML}, b"")
        body = self.rfile.read(self.entry["promised"])
        with self.server.lock:
            if self.path == BASE + "/xmlrpc" and self.server.state.with_rpc:
                return self.call(body)
            found = re.fullmatch(BASE + r"/([\w-]+)/builds", self.path.partition("?")[0])
            self.create_build(found[1], body) if found else self.not_there()

    def call(self, document):
        answer = rpc.answer(document, self.server.state.call, self.entry)
        self.respond(200, "OK", {"Content-length": str(len(answer)), "Content-Type": HTML}, answer)

    def create_build(self, slug, body):
        state, data = self.server.state, self.json(body)
        if data is None:
            return self.plain(400, "BAD REQUEST", "Bad Request")
        user, password = self.user()
        if user and state.passwords.get(user, password) != password:
            return self.rest(403, "FORBIDDEN")
        if slug not in state.projects:
            return self.not_there()
        try:
            build = state.create(slug, data, {"client_info": data["client"], "results": data.get("results", [])})
        except (KeyError, ValueError) as error:
            return self.rest(400, "BAD REQUEST", str(error))
        self.created(f"/{slug}/builds/{build.number}")

    def do_PUT(self):
        body = self.rfile.read(self.entry["promised"] or 0)
        found = re.fullmatch(BASE + r"/([\w-]+)", self.path.partition("?")[0])
        if not found:
            return self.not_there()
        with self.server.lock:
            self.put_project(found[1], body)

    def put_project(self, slug, body):
        state, data, (user, password) = self.server.state, self.json(body), self.user()
        if data is None:
            return self.plain(400, "BAD REQUEST", "Bad Request")
        if not user:
            return self.rest(401, "UNAUTHORIZED", more={"WWW-Authenticate": 'Basic realm="pony"'})
        if state.passwords.get(user, password) != password:
            return self.rest(403, "FORBIDDEN")
        if "name" not in data:
            return self.rest(400, "BAD REQUEST")
        if slug not in state.projects:
            state.passwords[user] = password
            state.projects[slug] = {"name": data["name"], "owner": user}
            return self.created("/" + slug)
        if state.projects[slug]["owner"] != user:
            return self.rest(403, "FORBIDDEN")
        state.projects[slug]["name"] = data["name"]
        self.show(self.project(slug))

    def do_GET(self):
        path = urllib.parse.unquote(self.path.partition("?")[0])
        with self.server.lock:
            for pattern, page in PAGES:
                found = re.fullmatch(BASE + pattern, path)
                if found:
                    return page(self, *found.groups())
        self.not_there()

    def page_of_projects(self):
        state = self.server.state
        # A project is there once for each of its builds, and not without one.
        built = [build.slug for build in sorted(state.builds, key=lambda build: state.projects[build.slug]["name"])]
        latest = {slug: state.of(slug)[-1].shown() for slug in built}
        self.show({"projects": [self.project(slug) for slug in built], "builds": latest, "links": [link("self", "/")]})

    def page_of_project(self, slug):
        self.show(self.project(slug)) if slug in self.server.state.projects else self.not_there()

    def page_of_builds(self, slug):
        links = [link("project", f"/{slug}", PROJECT), link("latest-build", f"/{slug}/builds/latest")]
        if slug not in self.server.state.projects:
            return self.not_there()
        self.show_builds(f"/{slug}/builds", self.server.state.of(slug), links, {"project": self.project(slug)})

    def page_of_build(self, slug, number):
        builds = [build for build in self.server.state.of(slug) if build.number == int(number)]
        self.show(builds[0].shown()) if builds else self.not_there()

    def page_of_latest(self, slug, tag=None):
        builds = [build for build in self.server.state.of(slug) if tag is None or tag in build.tags]
        if not builds:
            return self.not_there()
        # The words after `?` do not come along, so that what follows is a page for people.
        where = f"http://{self.headers.get('Host')}{BASE}/{slug}/builds/{builds[0].number}"
        self.rest(302, "FOUND", more={"Location": where})

    def page_of_tags(self, slug):
        if slug not in self.server.state.projects:
            return self.not_there()
        tags = sorted({tag for build in self.server.state.of(slug) for tag in build.tags})
        links = [link("self", f"/{slug}/tags"), link("project", f"/{slug}", PROJECT)]
        self.show({"links": links + [link("tag", f"/{slug}/tags/{tag}") for tag in tags], "tags": tags})

    def page_of_tag(self, slug, tag):
        builds = [build for build in self.server.state.of(slug) if tag in build.tags]
        self.show_builds(f"/{slug}/tags/{tag}", builds, [], {"tags": tag.split(";")})

    def show_builds(self, path, builds, links, more):
        per_page = int(self.query().get("per_page", 25))
        pages = max(1, -(-len(builds) // per_page))
        page = int(self.query().get("page", 1))
        page = page if page in range(1, pages + 1) else 1
        there = builds[(page - 1) * per_page:page * per_page]
        if not there:
            return self.not_there()
        to = {"self": page}
        if pages > 1:
            to |= {"first": 1, "last": pages}
        if page > 1:
            to["previous"] = page - 1
        if page < pages:
            to["next"] = page + 1
        links += [link(rel, path, per_page=per_page, page=which) for rel, which in to.items()]
        self.show({
            "builds": [build.shown() for build in there], "count": len(builds), "num_pages": pages, "page": page,
            "paginated": pages > 1, "per_page": per_page, "links": links, **more,
        })

    def project(self, slug):
        links = [link("self", f"/{slug}", PROJECT), link("build-list", f"/{slug}/builds", ("GET", "POST")),
                 link("latest-build", f"/{slug}/builds/latest"), link("tag-list", f"/{slug}/tags")]
        return {**self.server.state.projects[slug], "links": links}

    def query(self):
        return dict(urllib.parse.parse_qsl(self.path.partition("?")[2]))

    def user(self):
        scheme, _, words = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None, None
        return base64.b64decode(words).decode().split(":")

    def json(self, body):
        try:
            return json.loads(body) if self.headers.get("Content-Type") == "application/json" else None
        except ValueError:
            return None

    def show(self, value):
        if self.query().get("format") != "json":
            return self.rest(200, "OK", "<html><head><title>devmason</title></head><body></body></html>")
        text = json.dumps(value, indent=4, separators=(", ", ": "))
        self.rest(200, "OK", text, kind="application/json; charset=utf-8")

    def created(self, path):
        self.rest(201, "CREATED", more={"Location": f"http://{self.headers.get('Host')}{BASE}{path}"})

    def not_there(self):
        self.plain(404, "NOT FOUND", "Not Found")

    def plain(self, status, reason, text):
        self.rest(status, reason, text, kind="text/plain")

    def rest(self, status, reason, text="", kind=HTML, more={}):
        self.respond(status, reason, {"Vary": "Authorization", "Content-Type": kind, **more}, text.encode())


PAGES = [
    (r"/", Handler.page_of_projects),
    (r"/([\w-]+)", Handler.page_of_project),
    (r"/([\w-]+)/builds", Handler.page_of_builds),
    (r"/([\w-]+)/builds/(\d+)", Handler.page_of_build),
    (r"/([\w-]+)/builds/latest", Handler.page_of_latest),
    (r"/([\w-]+)/tags", Handler.page_of_tags),
    (r"/([\w-]+)/tags/([^/]+)/latest", Handler.page_of_latest),
    (r"/([\w-]+)/tags/(.*)", Handler.page_of_tag),
]


def peer(with_rpc):
    return base.Server(Handler, Projects(with_rpc))
