"""Lays out a pod's files as a kubelet would, below a folder instead of the root, from rendered objects and from what
the cluster is said to have already."""

import base64
import os
import pathlib
import shutil
import subprocess
import tempfile

import helm as helms


class Cluster:
    """ConfigMaps and Secrets by name: {name: {key: text}}."""

    def __init__(self, objects, config_maps=None, secrets=None):
        self.config_maps = dict(config_maps or {})
        self.secrets = dict(secrets or {})
        for item in objects:
            if item["kind"] == "ConfigMap":
                self.config_maps[item["metadata"]["name"]] = item["data"]
            elif item["kind"] == "Secret":
                self.secrets[item["metadata"]["name"]] = {
                    key: base64.b64decode(text).decode() for key, text in item["data"].items()}

    def files(self, volume):
        """{path: text} of a volume, or None for one that begins empty."""
        if "projected" in volume:
            found = {}
            for source in volume["projected"]["sources"]:
                more = self.files(source)
                assert not found.keys() & more.keys(), f"two sources of {volume['name']} have the same path"
                found.update(more)
            return found
        if "configMap" in volume:
            return chosen(self.config_maps[volume["configMap"]["name"]], volume["configMap"])
        if "secret" in volume:
            return chosen(self.secrets[volume["secret"]["secretName"]], volume["secret"])
        assert "emptyDir" in volume, f"no such volume here: {volume}"
        return None


def chosen(data, source):
    if "items" not in source:
        return dict(data)
    return {item["path"]: data[item["key"]] for item in source["items"]}


def write_volume(folder, files):
    """Files in a hidden folder, `..data` that names it, and a link for each name on top. Called again it swaps the
    whole folder by one rename, as a kubelet does when a ConfigMap has changed."""
    folder.mkdir(parents=True, exist_ok=True)
    version = pathlib.Path(tempfile.mkdtemp(prefix="..2026_", dir=folder))
    for path, text in files.items():
        place = version / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode())
    before = folder / "..data"
    old = before.resolve() if before.is_symlink() else None
    (folder / "..data_tmp").symlink_to(version.name)
    (folder / "..data_tmp").rename(before)
    for top in {path.split("/")[0] for path in files}:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"..data/{top}")
    if old:
        shutil.rmtree(old)


def mount_pod(root, spec, cluster):
    """The files of the pod's first container that is not a sidecar; they appear below root."""
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in spec["containers"][0]["volumeMounts"]:
        # What is no volume of the pod's is a claim of its StatefulSet, which begins empty.
        files = cluster.files(volumes[mount["name"]]) if mount["name"] in volumes else None
        folder = root / mount["mountPath"].lstrip("/")
        if files is None:
            folder.mkdir(parents=True)
        else:
            write_volume(folder, files)
    shipped = root / "usr/share/millrace/scripts"
    shipped.parent.mkdir(parents=True)
    shutil.copytree(helms.ROOT / "scripts", shipped)


def under(root, text):
    """The text with the paths of a pod moved below root."""
    for folder in ("/etc/millrace/", "/usr/share/millrace/", "/etc/ssl/"):
        text = text.replace(folder, f"{root}{folder}")
    return text


def run(millrace, root, arguments):
    """A container's command on the files below root: (exit code, what it said)."""
    done = subprocess.run([millrace, *(under(root, argument) for argument in arguments)], cwd=root,
                          stdin=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1", "POD_NAME": "enrich-millrace-0"},
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def move_configuration(root, path):
    """A configuration beside that at path, with the paths of the pod moved below root; its name."""
    file = pathlib.Path(f"{root}{path}")
    file.with_name("moved.yaml").write_text(under(root, file.read_text()))
    return path.replace("millrace.yaml", "moved.yaml")


def run_check(millrace, root, path):
    """`millrace check` on a configuration below root, as it would run in the pod."""
    return run(millrace, root, ["check", "--deny-warnings", move_configuration(root, path)])


def certificate(folder):
    """A key and a certificate signed by itself: (certificate, key), as texts."""
    key, cert = folder / "tls.key", folder / "tls.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=test", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert.read_text(), key.read_text()
