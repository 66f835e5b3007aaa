"""The README's commands, run as they stand: the real Helm and Millrace, without a cluster."""

import os
import re
import subprocess

import helm as helms

# install and upgrade render; what needs a cluster, a registry or an image builder only says what it would do.
HELM = """#!/bin/sh
verb=$1
shift
case $verb in
install | upgrade) echo "== rendered"; exec {helm} template "$@" ;;
*) {helm} "$verb" --help >/dev/null && echo "== $verb $*" ;;
esac
"""
SILENT = """#!/bin/sh
echo "== $(basename "$0") $*"
"""
METRICS = """#!/bin/sh
echo 'millrace_script_info{sha256="0"} 1'
"""


def shims(folder, helm, millrace):
    folder.mkdir()
    (folder / "millrace").symlink_to(millrace)
    texts = {"helm": HELM.format(helm=helm.path), "curl": METRICS}
    texts.update(dict.fromkeys(("kubectl", "docker", "make"), SILENT))
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def test_the_readmes_commands_work_as_they_stand(helm, millrace, tmp_path):
    blocks = re.findall(r"^```sh\n(.*?)^```", (helms.ROOT / "helm/README.md").read_text(), re.M | re.S)
    assert len(blocks) > 5
    (tmp_path / "helm").symlink_to(helms.ROOT / "helm")
    tools = shims(tmp_path / "bin", helm, millrace)
    script = "set -e\n" + "".join(blocks).replace("--create-namespace", "").replace("--reuse-values", "$REUSED")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, stdin=subprocess.DEVNULL, text=True, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**helms.ENVIRONMENT, "PATH": f"{tools}:{os.environ['PATH']}",
                               "REUSED": "--set-file config=job/config/millrace.yaml"
                                         " --set-file scripts.inline.enrich\\.lua=job/scripts/enrich.lua"})
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("== rendered") == 4
    assert "alert: MillraceLagHigh" in done.stdout
    assert "ok job/config/millrace.yaml" in done.stdout
    assert "ok job/scripts/enrich.lua" in done.stdout
